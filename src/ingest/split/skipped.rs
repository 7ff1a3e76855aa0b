//! Checks the JSON values that lie beside the records. They are skipped and never decoded, but must be valid. The check
//! goes byte by byte, can stop at any byte, and keeps only which brackets are open. It follows RFC 8259. Some things
//! that the decoder refuses pass here, since nothing of the value is stored: `\u0000`, half of a surrogate pair, and a
//! key that appears twice.

use super::MAX_DEPTH;
use crate::model::refusal::Reason;

/// The bytes of a string that need no closer look: they neither end it, nor start an escape, nor belong to a character
/// of several bytes.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x20;
    while byte < 0x80 {
        table[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    table
};

/// The position of a fault in the buffer, and what is wrong.
pub(super) type Bad = (usize, Wrong);

/// What is wrong with a value.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The bytes are not valid UTF-8. How that is said depends on the encoding of the input.
    NoText,
    Said(Reason),
}

impl<R: Into<Reason>> From<R> for Wrong {
    fn from(reason: R) -> Self {
        Self::Said(reason.into())
    }
}

/// The state within a string, after its first quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    Plain,
    /// After a backslash.
    Escape,
    /// After `\u`, while this many digits are missing.
    Hex(u8),
    /// Within a character of several bytes. `left` bytes are missing, and the next one must be from `low` to `high`.
    Wide {
        left: u8,
        low: u8,
        high: u8,
    },
}

impl Text {
    /// Reads on. Returns the position after what was read, and whether that includes the closing quote.
    pub fn feed(&mut self, buffer: &[u8], mut at: usize) -> Result<(usize, bool), Bad> {
        while let Some(&byte) = buffer.get(at) {
            *self = match *self {
                Self::Plain if PLAIN[byte as usize] => {
                    at += buffer[at..].iter().take_while(|byte| PLAIN[**byte as usize]).count();
                    continue;
                }
                Self::Plain if byte == b'"' => return Ok((at + 1, true)),
                Self::Plain => Self::special(byte).map_err(|wrong| (at, wrong))?,
                Self::Escape => match byte {
                    b'u' => Self::Hex(4),
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Self::Plain,
                    _ => return Err((at, "not valid JSON: an unknown escape".into())),
                },
                Self::Hex(left) if byte.is_ascii_hexdigit() => match left {
                    1 => Self::Plain,
                    left => Self::Hex(left - 1),
                },
                Self::Hex(_) => return Err((at, "not valid JSON: an incomplete \\u escape".into())),
                Self::Wide { left, low, high } if (low..=high).contains(&byte) => match left {
                    1 => Self::Plain,
                    left => Self::wide(left - 1, 0x80, 0xBF),
                },
                Self::Wide { .. } => return Err((at, Wrong::NoText)),
            };
            at += 1;
        }
        Ok((at, false))
    }

    /// The state after a byte that is not plain. The bounds are those of Unicode's table of well-formed UTF-8.
    fn special(byte: u8) -> Result<Self, Wrong> {
        Ok(match byte {
            b'\\' => Self::Escape,
            0..0x20 => return Err("not valid JSON: a control character that is not escaped".into()),
            0xC2..=0xDF => Self::wide(1, 0x80, 0xBF),
            0xE0 => Self::wide(2, 0xA0, 0xBF),
            0xED => Self::wide(2, 0x80, 0x9F),
            0xE1..=0xEF => Self::wide(2, 0x80, 0xBF),
            0xF0 => Self::wide(3, 0x90, 0xBF),
            0xF1..=0xF3 => Self::wide(3, 0x80, 0xBF),
            0xF4 => Self::wide(3, 0x80, 0x8F),
            _ => return Err(Wrong::NoText),
        })
    }

    fn wide(left: u8, low: u8, high: u8) -> Self {
        Self::Wide { left, low, high }
    }
}

/// The part of a number that was read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

impl Number {
    /// The part after this byte. `None`: the byte does not belong to the number.
    fn then(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Self::Whole,
            (Self::Zero | Self::Whole, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::Sign,
            (Self::Exponent | Self::Sign | Self::Power, b'0'..=b'9') => Self::Power,
            _ => return None,
        })
    }

    fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Power)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Value {
        may_close: bool,
    },
    Key {
        may_close: bool,
    },
    Colon,
    /// A comma, or the closing bracket.
    Comma,
    Text {
        key: bool,
    },
    Number(Number),
    /// The rest of `true`, `false` or `null`.
    Word(&'static [u8]),
}

/// A value that is being checked.
#[derive(Debug)]
pub(super) struct SkippedValue {
    next: Next,
    text: Text,
    /// The open brackets, innermost last. True stands for an object, false for an array.
    open: Vec<bool>,
}

impl SkippedValue {
    /// Begins the check of a value whose first byte, at position `at`, is `byte`.
    pub fn begin(byte: u8, at: usize) -> Result<Self, Bad> {
        let mut value = Self {
            next: Next::Value { may_close: false },
            text: Text::Plain,
            open: Vec::new(),
        };
        value.open_value(byte, at)?;
        Ok(value)
    }

    pub fn in_text(&self) -> bool {
        matches!(self.next, Next::Text { .. })
    }

    /// Reads on. Returns the position after what was read, and whether the value ends there.
    pub fn feed(&mut self, buffer: &[u8], mut at: usize) -> Result<(usize, bool), Bad> {
        while let Some(&byte) = buffer.get(at) {
            match self.next {
                Next::Text { key } => {
                    let (end, over) = self.text.feed(buffer, at)?;
                    at = end;
                    if over && key {
                        self.next = Next::Colon;
                    } else if over && self.value_done() {
                        return Ok((at, true));
                    }
                    continue;
                }
                Next::Number(number) => match number.then(byte) {
                    Some(number) => self.next = Next::Number(number),
                    None if !number.may_end() || byte.is_ascii_digit() => {
                        return Err((at, "not a JSON number".into()));
                    }
                    // The byte is not part of the number, so it is not consumed.
                    None if self.value_done() => return Ok((at, true)),
                    None => continue,
                },
                Next::Word(rest) => {
                    if rest[0] != byte {
                        return Err((at, "not valid JSON: an unknown word".into()));
                    }
                    self.next = Next::Word(&rest[1..]);
                    if rest.len() == 1 && self.value_done() {
                        return Ok((at + 1, true));
                    }
                }
                _ if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') => {}
                _ => {
                    if self.sign(byte, at)? {
                        return Ok((at + 1, true));
                    }
                }
            }
            at += 1;
        }
        Ok((at, false))
    }

    /// Handles a byte outside of strings, numbers and words. Returns whether the whole value ends with it.
    fn sign(&mut self, byte: u8, at: usize) -> Result<bool, Bad> {
        let in_object = self.open.last().copied().unwrap_or_default();
        match (self.next, byte) {
            (Next::Value { may_close: true }, b']') | (Next::Key { may_close: true }, b'}') => Ok(self.close()),
            (Next::Comma, b']' | b'}') if in_object == (byte == b'}') => Ok(self.close()),
            (Next::Comma, b']' | b'}') => Err((at, "a bracket closes that is not the one open".into())),
            (Next::Comma, b',') => {
                self.next = if in_object {
                    Next::Key { may_close: false }
                } else {
                    Next::Value { may_close: false }
                };
                Ok(false)
            }
            (Next::Comma, _) => Err((at, "not valid JSON: a comma is missing".into())),
            (Next::Colon, b':') => {
                self.next = Next::Value { may_close: false };
                Ok(false)
            }
            (Next::Colon, _) => Err((at, "not valid JSON: a colon is missing".into())),
            (Next::Key { .. }, b'"') => {
                self.text = Text::Plain;
                self.next = Next::Text { key: true };
                Ok(false)
            }
            (Next::Key { .. }, _) => Err((at, "not valid JSON: a key in quotes is missing".into())),
            _ => self.open_value(byte, at).map(|()| false),
        }
    }

    fn open_value(&mut self, byte: u8, at: usize) -> Result<(), Bad> {
        if matches!(byte, b'{' | b'[') {
            if self.open.len() == MAX_DEPTH {
                return Err((at, format!("nested deeper than {MAX_DEPTH}").into()));
            }
            self.open.push(byte == b'{');
        }
        self.next = match byte {
            b'{' => Next::Key { may_close: true },
            b'[' => Next::Value { may_close: true },
            b'"' => {
                self.text = Text::Plain;
                Next::Text { key: false }
            }
            b'-' => Next::Number(Number::Minus),
            b'0' => Next::Number(Number::Zero),
            b'1'..=b'9' => Next::Number(Number::Whole),
            b't' => Next::Word(b"rue"),
            b'f' => Next::Word(b"alse"),
            b'n' => Next::Word(b"ull"),
            b',' | b':' | b']' | b'}' => return Err((at, "not valid JSON: a value is missing".into())),
            _ => return Err((at, "this is no JSON value".into())),
        };
        Ok(())
    }

    fn close(&mut self) -> bool {
        self.open.pop();
        self.value_done()
    }

    /// Ends a value. Returns whether it was the whole one.
    fn value_done(&mut self) -> bool {
        self.next = Next::Comma;
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::SkippedValue;

    /// Whether the text is valid JSON when it comes in pieces of this length.
    fn valid(text: &[u8], pieces: usize) -> bool {
        let text = [text, b" "].concat();
        let Ok(mut value) = SkippedValue::begin(text[0], 0) else {
            return false;
        };
        let mut at = 1;
        while at < text.len() {
            let end = (at + pieces).min(text.len());
            match value.feed(&text[..end], at) {
                Ok((end, true)) => return text[end..].trim_ascii().is_empty(),
                Ok((next, false)) => at = next,
                Err(_) => return false,
            }
        }
        false
    }

    #[test]
    fn it_is_read_to_the_letter() {
        for good in [
            r#"{"a":[1,-0.5e+3,{"b":null}],"c":"\u00e9\n\"é€😀"}"#,
            "[]",
            "{}",
            "[[],{}]",
            "0",
            "-1E9",
            "true",
            "false",
            "null",
            r#""""#,
            " \"x\"".trim(),
        ] {
            assert!(valid(good.as_bytes(), 1) && valid(good.as_bytes(), 99), "{good}");
        }
        for bad in [
            "{\"a\":1,}",
            "[1,]",
            "[1 2]",
            "{\"a\" 1}",
            "{a:1}",
            "[01]",
            "[1.]",
            "[.5]",
            "[+1]",
            "[-]",
            "[1e]",
            "nul",
            "[tru]",
            "[NaN]",
            "[nulll]",
            "\"\\q\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "[1}",
            "{\"a\"}",
            "{\"a\":}",
            "[,1]",
            "'a'",
        ] {
            assert!(!valid(bad.as_bytes(), 1) && !valid(bad.as_bytes(), 99), "{bad}");
        }
        for bytes in [
            &b"\"\xff\""[..],
            b"\"\xc3(\"",
            b"\"\xed\xa0\x80\"",
            b"\"\xf4\x90\x80\x80\"",
            b"\"\xc0\x80\"",
            b"\"\xe2\x82\"",
        ] {
            assert!(!valid(bytes, 1) && !valid(bytes, 99));
        }
    }

    #[test]
    fn brackets_do_not_pile_up() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(valid(nested(128).as_bytes(), 99));
        assert!(!valid(nested(129).as_bytes(), 99));
    }

    proptest! {
        /// The check accepts what serde_json accepts.
        #[test]
        fn it_agrees_with_another_reader(text in "[\\[\\]{}:,\"\\\\a0-2enul.\\- é]{1,12}", pieces in 1..4_usize) {
            let other = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(valid(text.trim().as_bytes(), pieces), other);
        }
    }
}
