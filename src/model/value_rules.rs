//! The rules for the values of a scalar field. `project` decides which type may have which rule. `ingest` applies the
//! rules while it decodes.

use std::borrow::Cow;

use regex::Regex;

/// How the values of a scalar field are normalised, and what they must match afterwards. Nulls are not checked.
#[derive(Debug, Clone, Default)]
pub struct ValueRules {
    /// Steps in the given order, applied before the checks.
    pub normalize: Vec<Normalize>,
    /// Texts and values that stand for null, as a sender writes that it knows none.
    pub nulls: Nulls,
    /// Anchored at both ends.
    pub matches: Option<Regex>,
    /// The length in characters.
    pub length: Option<Bounds<u64>>,
    /// Literals of the field's type. Empty means that every value is accepted.
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
    /// Removes white space at both ends, as defined by Unicode.
    Trim,
    Upper,
    Lower,
    /// Removes the prefix once, if the text has it.
    StripPrefix(String),
    StripSuffix(String),
    /// An empty text becomes null, and the later steps are skipped.
    EmptyAsNull,
}

/// A range that includes both ends. At least one end is set.
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

/// A value of a scalar field's type that is written in the project. Literals of one type compare as their values do.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum Literal {
    Bool(bool),
    /// A whole number. A decimal counts in units of its last digit, a date in days since 1970 and a time in
    /// microseconds.
    Number(i128),
    Double(f64),
    Text(String),
}

impl Literal {
    pub(crate) fn number(value: impl Into<i128>) -> Self {
        Self::Number(value.into())
    }
}

/// The text after the steps, borrowed if they change nothing. `None` is a null.
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
