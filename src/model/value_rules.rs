//! What a source's schema asks of a scalar field's values. Which type may have which rule is decided in `project`; `ingest`
//! applies the rules while it decodes.

use std::borrow::Cow;

use regex::Regex;

/// What the values of a scalar field are made into and then must be. A null is never looked at.
#[derive(Debug, Clone, Default)]
pub struct ValueRules {
    /// In the order given, before the checks.
    pub normalize: Vec<Normalize>,
    /// Texts and values that stand for null, as a sender writes that it knows none.
    pub nulls: Nulls,
    /// Anchored at both ends.
    pub matches: Option<Regex>,
    /// In characters.
    pub length: Option<Bounds<u64>>,
    /// Of the field's type; empty is no check.
    pub accepted_values: Vec<Literal>,
    pub range: Option<Bounds<Literal>>,
}

/// What stands for null. What comes as text is held against the texts before it is read, and every value against the
/// values after it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Nulls {
    pub texts: Vec<String>,
    pub values: Vec<Literal>,
}

impl Nulls {
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.values.is_empty()
    }
}

/// One step that brings a text to the spelling that all senders share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Normalize {
    /// White space at both ends, as Unicode has it.
    Trim,
    Upper,
    Lower,
    /// Once, where it is there.
    StripPrefix(String),
    StripSuffix(String),
    /// An empty text is null, and the steps after it are not taken.
    EmptyAsNull,
}

/// Both ends belong to it; at least one is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds<T> {
    pub min: Option<T>,
    pub max: Option<T>,
}

impl<T: PartialOrd> Bounds<T> {
    pub fn hold(&self, value: &T) -> bool {
        self.min.as_ref().is_none_or(|min| min <= value) && self.max.as_ref().is_none_or(|max| value <= max)
    }
}

/// A value of a scalar field's type that stands in the project; those of one type compare as their values do.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum Literal {
    Bool(bool),
    /// Whole numbers; decimals in units of their last digit; dates in days and times in microseconds since 1970.
    Number(i128),
    Double(f64),
    Text(String),
}

impl Literal {
    pub(crate) fn number(value: impl Into<i128>) -> Self {
        Self::Number(value.into())
    }
}

/// The text after the steps, borrowed where they change nothing; `None` is a null.
pub fn normalized<'a>(steps: &[Normalize], text: &'a str) -> Option<Cow<'a, str>> {
    let mut text = Cow::Borrowed(text);
    for step in steps {
        text = match step {
            Normalize::Trim => part(text, str::trim),
            Normalize::StripPrefix(prefix) => part(text, |text| text.strip_prefix(prefix.as_str()).unwrap_or(text)),
            Normalize::StripSuffix(suffix) => part(text, |text| text.strip_suffix(suffix.as_str()).unwrap_or(text)),
            Normalize::Upper if text.chars().all(|char| is_same(char, char.to_uppercase())) => text,
            Normalize::Upper => text.to_uppercase().into(),
            Normalize::Lower if text.chars().all(|char| is_same(char, char.to_lowercase())) => text,
            Normalize::Lower => text.to_lowercase().into(),
            Normalize::EmptyAsNull if text.is_empty() => return None,
            Normalize::EmptyAsNull => text,
        };
    }
    Some(text)
}

fn part<'a>(text: Cow<'a, str>, cut: impl for<'t> Fn(&'t str) -> &'t str) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => cut(text).into(),
        Cow::Owned(text) => {
            let kept = cut(&text);
            if kept.len() == text.len() {
                text.into()
            } else {
                kept.to_owned().into()
            }
        }
    }
}

fn is_same(char: char, mut cased: impl Iterator<Item = char>) -> bool {
    cased.next() == Some(char) && cased.next().is_none()
}
