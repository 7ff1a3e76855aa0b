//! Reads the JSON text of one record, piece by piece. It is as strict as RFC 8259, and also refuses a NUL character,
//! half of a surrogate pair, a key that appears twice, and nesting deeper than [`MAX_DEPTH`]. Unlike serde_json, it
//! returns the digits of a number as written, knows where it stopped, and has no message that quotes a value.

use std::borrow::Cow;

use super::super::split::MAX_DEPTH;
use crate::model::refusal::Reason;

/// Up to this many keys are compared in pairs. More keys are sorted first.
const FEW_KEYS: usize = 8;

/// What is wrong with the text, and at which byte of it.
#[derive(Debug)]
pub(super) struct Bad {
    pub at: usize,
    pub reason: Reason,
}

/// The kind of the value that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

pub(super) struct Cursor<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    /// The undeclared keys of the open objects, to find those that appear twice. Those of the innermost object are
    /// last.
    keys: Vec<Cow<'a, str>>,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            depth: 0,
            keys: Vec::new(),
        }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    pub fn bad<T>(&self, reason: impl Into<Reason>) -> Result<T, Bad> {
        Err(Bad {
            at: self.at,
            reason: reason.into(),
        })
    }

    /// The text from `start` to the current position.
    pub fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    /// The kind of the next value. White space before it is skipped.
    pub fn kind(&mut self) -> Result<Kind, Bad> {
        self.skip_space();
        match self.bytes.get(self.at) {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(b'N' | b'I' | b'+' | b'.') => self.bad("not a JSON number"),
            Some(_) => self.bad("not valid JSON: a value is missing"),
            None => self.bad("not valid JSON: the record ends too early"),
        }
    }

    /// Checks that nothing but white space is left.
    pub fn end(&mut self) -> Result<(), Bad> {
        self.skip_space();
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            self.bad("not valid JSON: text follows the record")
        }
    }

    pub fn null(&mut self) -> Result<(), Bad> {
        self.literal("null")
    }

    pub fn bool(&mut self) -> Result<bool, Bad> {
        if self.bytes[self.at] == b't' {
            self.literal("true").map(|()| true)
        } else {
            self.literal("false").map(|()| false)
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), Bad> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.bad("not valid JSON: an unknown word");
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads a number and returns it as written.
    pub fn number(&mut self) -> Result<&'a str, Bad> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.bad("not a JSON number: it starts with 0");
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(self.since(start))
    }

    fn digits(&mut self) -> Result<(), Bad> {
        let count = self.bytes[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if count == 0 {
            return self.bad("not a JSON number: a digit is missing");
        }
        self.at += count;
        Ok(())
    }

    /// Reads a string. It is borrowed where it has no escapes.
    pub fn string(&mut self) -> Result<Cow<'a, str>, Bad> {
        self.at += 1;
        let start = self.at;
        self.plain()?;
        if self.bytes[self.at] == b'"' {
            let text = self.since(start);
            self.at += 1;
            return Ok(Cow::Borrowed(text));
        }
        let mut text = self.since(start).to_owned();
        loop {
            if self.bytes[self.at] == b'"' {
                self.at += 1;
                return Ok(Cow::Owned(text));
            }
            text.push(self.escape()?);
            let start = self.at;
            self.plain()?;
            text.push_str(self.since(start));
        }
    }

    /// Goes on to the next quote or backslash of a string.
    fn plain(&mut self) -> Result<(), Bad> {
        let Some(length) = special(&self.bytes[self.at..]) else {
            self.at = self.bytes.len();
            return self.bad("not valid JSON: a quote is not closed");
        };
        self.at += length;
        match self.bytes[self.at] {
            b'"' | b'\\' => Ok(()),
            0 => self.bad("a NUL character"),
            _ => self.bad("not valid JSON: a control character that is not escaped"),
        }
    }

    fn escape(&mut self) -> Result<char, Bad> {
        let letter = self.bytes.get(self.at + 1).copied();
        let simple = match letter {
            Some(b'u') => return self.unicode_escape(),
            Some(letter @ (b'"' | b'\\' | b'/')) => char::from(letter),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            _ => return self.bad("not valid JSON: an unknown escape"),
        };
        self.at += 2;
        Ok(simple)
    }

    fn unicode_escape(&mut self) -> Result<char, Bad> {
        let unit = self.code_unit(self.at)?;
        let code = match unit {
            0 => return self.bad("a NUL character"),
            0xD800..=0xDBFF => {
                let low = match self.bytes.get(self.at + 6..self.at + 8) {
                    Some(b"\\u") => self.code_unit(self.at + 6)?,
                    _ => 0,
                };
                if !(0xDC00..=0xDFFF).contains(&low) {
                    return self.bad("half of a surrogate pair");
                }
                self.at += 6;
                0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
            }
            unit => unit,
        };
        let Some(char) = char::from_u32(code) else {
            return self.bad("half of a surrogate pair");
        };
        self.at += 6;
        Ok(char)
    }

    /// The four hexadecimal digits of a `\u` at `at`.
    fn code_unit(&self, at: usize) -> Result<u32, Bad> {
        let digits = self.bytes.get(at + 2..at + 6).unwrap_or_default();
        let value = digits
            .iter()
            .try_fold(0, |value, byte| Some(value << 4 | char::from(*byte).to_digit(16)?));
        match value {
            Some(value) if digits.len() == 4 => Ok(value),
            _ => Err(Bad {
                at,
                reason: "not valid JSON: an incomplete \\u escape".into(),
            }),
        }
    }

    /// Enters the object or array that comes next.
    pub fn enter(&mut self) -> Result<(), Bad> {
        if self.depth == MAX_DEPTH {
            return self.bad(format!("nested deeper than {MAX_DEPTH}"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Reads the next key of the open object, and its colon. `None`: the object has ended.
    pub fn next_key(&mut self, first: bool) -> Result<Option<Cow<'a, str>>, Bad> {
        if !self.goes_on(b'}', first)? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return self.bad("not valid JSON: a key in quotes is missing");
        }
        let key = self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.bad("not valid JSON: a colon is missing");
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Whether the open array has another element. If not, the array has ended.
    pub fn next_element(&mut self, first: bool) -> Result<bool, Bad> {
        self.goes_on(b']', first)
    }

    fn goes_on(&mut self, closer: u8, first: bool) -> Result<bool, Bad> {
        self.skip_space();
        match self.peek() {
            Some(byte) if byte == closer => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(b',') if !first => {
                self.at += 1;
                self.skip_space();
                if self.peek() == Some(closer) {
                    return self.bad("not valid JSON: a comma before a closing bracket");
                }
                Ok(true)
            }
            Some(_) if first => Ok(true),
            Some(_) => self.bad("not valid JSON: a comma is missing"),
            None => self.bad("not valid JSON: the record ends too early"),
        }
    }

    /// The number of remembered keys. [`Cursor::forget`] wants it, as it was when the object was entered.
    pub fn keys_mark(&self) -> usize {
        self.keys.len()
    }

    pub fn remember(&mut self, key: Cow<'a, str>) {
        self.keys.push(key);
    }

    /// Drops the keys remembered since the mark. Two equal ones are an error.
    pub fn forget(&mut self, mark: usize) -> Result<(), Bad> {
        let keys = &mut self.keys[mark..];
        let twice = if keys.len() <= FEW_KEYS {
            (1..keys.len()).any(|index| keys[..index].contains(&keys[index]))
        } else {
            keys.sort_unstable();
            keys.windows(2).any(|pair| pair[0] == pair[1])
        };
        self.keys.truncate(mark);
        if twice {
            self.bad("an undeclared key stands twice in one object")
        } else {
            Ok(())
        }
    }

    /// Skips a value. It is checked as strictly as one that is read.
    pub fn skip_value(&mut self) -> Result<(), Bad> {
        match self.kind()? {
            Kind::Null => self.null(),
            Kind::Bool => self.bool().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::String => self.string().map(drop),
            Kind::Array => {
                self.enter()?;
                let mut first = true;
                while self.next_element(first)? {
                    first = false;
                    self.skip_value()?;
                }
                Ok(())
            }
            Kind::Object => {
                self.enter()?;
                let mark = self.keys_mark();
                let mut first = true;
                while let Some(key) = self.next_key(first)? {
                    first = false;
                    self.remember(key);
                    self.skip_value()?;
                }
                self.forget(mark)
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }
}

/// The index of the first byte that is a quote, a backslash or a control character.
fn special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // Sets the high bit of each byte that is zero. Bytes above a zero byte may get one by mistake, so only the result 0
    // is exact.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let is_special = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < 0x20;
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let value = u64::from_ne_bytes(*word);
        let control = value.wrapping_sub(ONES * 0x20) & !value & HIGH;
        if control | zero(value ^ (ONES * u64::from(b'"'))) | zero(value ^ (ONES * u64::from(b'\\'))) != 0
            && let Some(within) = word.iter().position(is_special)
        {
            return Some(8 * at + within);
        }
    }
    let within = rest.iter().position(is_special)?;
    Some(8 * words.len() + within)
}

#[cfg(test)]
mod tests;
