//! The rules for the values of a scalar field. `project` decides which type may have which rule. `ingest` applies the
//! rules while it decodes.

use std::borrow::Cow;

use regex::Regex;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfkc_quick};

use super::Zone;

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
    /// The zone of times without an offset. Only for a time with a zone.
    pub zone: Option<Zone>,
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
    /// Makes each run of white space one space, removes zero-width spaces, and trims.
    CollapseSpaces,
    /// Unicode's canonical composition: an `e` and its accent become one character.
    Nfc,
    /// Unicode's compatibility composition: also ligatures, full-width and superscript characters become plain ones.
    Nfkc,
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
            Normalize::CollapseSpaces => collapsed(text),
            Normalize::Nfc if is_nfc_quick(text.chars()) == IsNormalized::Yes => text,
            Normalize::Nfc => text.nfc().collect::<String>().into(),
            Normalize::Nfkc if is_nfkc_quick(text.chars()) == IsNormalized::Yes => text,
            Normalize::Nfkc => text.nfkc().collect::<String>().into(),
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

/// White space is what Unicode calls so, no-break spaces included. Zero-width spaces (U+200B, U+2060, U+FEFF) go without
/// a space in their place, since nobody sees one. Zero-width joiners are no spaces: they change how a word is written.
fn collapsed(text: Cow<'_, str>) -> Cow<'_, str> {
    let is_hidden = |char: char| matches!(char, '\u{200B}' | '\u{2060}' | '\u{FEFF}');
    let mut before = ' ';
    let is_plain = text.chars().all(|char| {
        let doubled = before == ' ' && char == ' ';
        before = char;
        !doubled && !is_hidden(char) && (char == ' ' || !char.is_whitespace())
    });
    if is_plain && (before != ' ' || text.is_empty()) {
        return text;
    }
    let seen: String = text.chars().filter(|char| !is_hidden(*char)).collect();
    seen.split_whitespace().collect::<Vec<_>>().join(" ").into()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn after(step: Normalize, text: &str) -> String {
        normalized(&[step], text).unwrap().into_owned()
    }

    #[test]
    fn spaces_of_every_width_collapse() {
        for (text, expected) in [
            ("", ""),
            ("a b", "a b"),
            (" a  b ", "a b"),
            ("a\t\r\n b\u{a0}", "a b"),
            ("\u{2003}a\u{202f}\u{3000}b\u{2007}", "a b"),
            ("a\u{200b}b", "ab"),
            ("\u{feff}a \u{2060} b\u{200b}", "a b"),
            ("\u{200b}\u{a0}", ""),
            // Joiners and soft hyphens are no spaces.
            ("a\u{200d}b\u{200c}\u{ad}", "a\u{200d}b\u{200c}\u{ad}"),
        ] {
            assert_eq!(after(Normalize::CollapseSpaces, text), expected, "{text:?}");
        }
        let kept = normalized(&[Normalize::CollapseSpaces], "a b \u{e9}").unwrap();
        assert!(
            matches!(kept, Cow::Borrowed(_)),
            "nothing is copied where nothing changes"
        );
    }

    #[test]
    fn compositions_are_unicodes() {
        let (text, full) = ("Rene\u{301} \u{fb01}\u{ff11}\u{b2}\u{212b}", "René");
        assert_eq!(
            after(Normalize::Nfc, text),
            format!("{full} \u{fb01}\u{ff11}\u{b2}\u{c5}")
        );
        assert_eq!(after(Normalize::Nfkc, text), format!("{full} fi12\u{c5}"));
        for step in [Normalize::Nfc, Normalize::Nfkc] {
            let kept = normalized(&[step], full).unwrap();
            assert!(matches!(kept, Cow::Borrowed(_)));
        }
    }
}
