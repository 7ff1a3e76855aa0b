//! Converts text from the encoding that a source declares to UTF-8, as it is read. A byte or pair of bytes that stands
//! for no character becomes bytes that are not valid UTF-8, so its record is refused like any other.

use std::io::{self, Read};

use encoding_rs::{DecoderResult, ISO_8859_15, UTF_16BE, UTF_16LE, WINDOWS_1250, WINDOWS_1252};

use super::failure::Foreign;
use crate::model::Encoding;

/// How many decompressed bytes are looked at to tell the encoding of a file.
pub(super) const TEXT_HEAD: usize = 512;

/// How many bytes to convert at a time.
const PIECE: usize = if cfg!(test) { 7 } else { 64 << 10 };

/// Stands in the converted text for a unit that is no character. It has the length of U+FFFD, so that byte offsets are
/// those of a conversion that puts this character there. It is never part of valid UTF-8.
const INVALID: &[u8] = b"\xFF\xFF\xFF";

/// How the text of one file is to be converted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Conversion {
    /// It is UTF-8 already.
    None,
    Latin1,
    Other(&'static encoding_rs::Encoding),
}

/// Tells how to convert a file that starts with `head`.
///
/// # Errors
/// A file in another encoding than the one declared, as far as its first bytes can tell.
pub(super) fn conversion(head: &[u8], declared: Encoding) -> Result<Conversion, Foreign> {
    if head.starts_with(b"\xFF\xFE\0\0") || head.starts_with(b"\0\0\xFE\xFF") {
        return Err(Foreign::new("UTF-32 text, which can't be read", "convert it to UTF-8"));
    }
    let marked = marked(head);
    let patterned = marked.or_else(|| zero_pattern(head));
    let contradiction = |found: Encoding| {
        let is = match declared {
            Encoding::Utf8 => format!("{} text", shown(found)),
            declared => format!(
                "{} text, and its source says `encoding: {}`",
                shown(found),
                declared.name()
            ),
        };
        let name = if found == Encoding::Utf8 { "utf-8" } else { "utf-16" };
        Foreign::new(is, format!("set `encoding: {name}` in the source's `input`"))
    };
    match declared {
        Encoding::Utf8 => match patterned.filter(|found| *found != Encoding::Utf8) {
            Some(found) => Err(contradiction(found)),
            None => Ok(Conversion::None),
        },
        Encoding::Utf16 => match marked.or_else(|| more_zeros(head)) {
            Some(Encoding::Utf8) => Err(contradiction(Encoding::Utf8)),
            Some(Encoding::Utf16Be) => Ok(Conversion::Other(UTF_16BE)),
            Some(_) => Ok(Conversion::Other(UTF_16LE)),
            None if head.is_empty() => Ok(Conversion::None),
            None => Err(Foreign::new(
                "not UTF-16 text, as far as its first bytes tell, and its source says `encoding: utf-16`",
                "take `encoding` out; or where the file is UTF-16 without a byte order mark, set utf-16le or utf-16be",
            )),
        },
        Encoding::Utf16Le | Encoding::Utf16Be => match marked.filter(|found| *found != declared) {
            Some(found) => Err(contradiction(found)),
            None if declared == Encoding::Utf16Be => Ok(Conversion::Other(UTF_16BE)),
            None => Ok(Conversion::Other(UTF_16LE)),
        },
        Encoding::Latin1 | Encoding::Latin9 | Encoding::Windows1250 | Encoding::Windows1252 => match patterned {
            Some(found) => Err(contradiction(found)),
            None => Ok(match declared {
                Encoding::Latin9 => Conversion::Other(ISO_8859_15),
                Encoding::Windows1250 => Conversion::Other(WINDOWS_1250),
                Encoding::Windows1252 => Conversion::Other(WINDOWS_1252),
                _ => Conversion::Latin1,
            }),
        },
    }
}

/// The encoding of a source whose files start like this, where the bytes tell: UTF-16.
pub(super) fn told(head: &[u8]) -> Option<Encoding> {
    let found = marked(head).or_else(|| zero_pattern(head))?;
    (found != Encoding::Utf8).then_some(Encoding::Utf16)
}

fn shown(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Utf8 => "UTF-8",
        _ => "UTF-16",
    }
}

/// The encoding that a byte order mark names.
fn marked(head: &[u8]) -> Option<Encoding> {
    match head {
        [0xEF, 0xBB, 0xBF, ..] => Some(Encoding::Utf8),
        [0xFF, 0xFE, ..] => Some(Encoding::Utf16Le),
        [0xFE, 0xFF, ..] => Some(Encoding::Utf16Be),
        _ => None,
    }
}

/// UTF-16, where the first two characters are ASCII. No JSON and no CSV in another encoding starts like this.
fn zero_pattern(head: &[u8]) -> Option<Encoding> {
    match head.first_chunk::<4>()?.map(|byte| byte == 0) {
        [false, true, false, true] => Some(Encoding::Utf16Le),
        [true, false, true, false] => Some(Encoding::Utf16Be),
        _ => None,
    }
}

/// The byte order of UTF-16 in which more of the text is ASCII.
fn more_zeros(head: &[u8]) -> Option<Encoding> {
    let zeros = |from: usize| head.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    match zeros(0).cmp(&zeros(1)) {
        std::cmp::Ordering::Less => Some(Encoding::Utf16Le),
        std::cmp::Ordering::Greater => Some(Encoding::Utf16Be),
        std::cmp::Ordering::Equal => None,
    }
}

/// Reads text of another encoding as UTF-8, without a byte order mark.
pub(super) struct Converted<R> {
    inner: R,
    decoder: Option<encoding_rs::Decoder>,
    input: Vec<u8>,
    output: Vec<u8>,
    /// How many bytes of `output` were returned.
    given: usize,
    ended: bool,
}

impl<R: Read> Converted<R> {
    /// `encoding`: `None` is ISO 8859-1, which encoding_rs, as the WHATWG does, takes for windows-1252.
    pub fn new(inner: R, encoding: Option<&'static encoding_rs::Encoding>) -> Self {
        Self {
            inner,
            decoder: encoding.map(encoding_rs::Encoding::new_decoder_with_bom_removal),
            input: vec![0; PIECE],
            output: Vec::new(),
            given: 0,
            ended: false,
        }
    }

    /// Converts the next bytes into `output`, which is empty afterwards only at the end.
    fn fill(&mut self) -> io::Result<()> {
        self.output.clear();
        self.given = 0;
        while self.output.is_empty() && !self.ended {
            let count = match self.inner.read(&mut self.input) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                count => count?,
            };
            self.ended = count == 0;
            match &mut self.decoder {
                None => {
                    self.output.resize(2 * count, 0);
                    let written = encoding_rs::mem::convert_latin1_to_utf8(&self.input[..count], &mut self.output);
                    self.output.truncate(written);
                }
                Some(decoder) => decode(decoder, &self.input[..count], self.ended, &mut self.output),
            }
            if self
                .decoder
                .as_ref()
                .is_none_or(|decoder| decoder.encoding().is_single_byte())
            {
                mark_controls(&mut self.output);
            }
        }
        Ok(())
    }
}

fn decode(decoder: &mut encoding_rs::Decoder, mut input: &[u8], last: bool, output: &mut Vec<u8>) {
    loop {
        let most = decoder.max_utf8_buffer_length_without_replacement(input.len());
        let start = output.len();
        // 4 bytes per byte of input are more than any of these encodings needs.
        output.resize(start + most.unwrap_or(4 * input.len() + 16), 0);
        let (result, read, written) = decoder.decode_to_utf8_without_replacement(input, &mut output[start..], last);
        output.truncate(start + written);
        input = &input[read..];
        match result {
            DecoderResult::InputEmpty => return,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => output.extend_from_slice(INVALID),
        }
    }
}

/// Makes U+0080 to U+009F invalid, which come out of single bytes. No text holds these control characters: the byte has
/// no character in the declared encoding, or the file is in another one.
fn mark_controls(text: &mut [u8]) {
    let mut from = 0;
    while let Some(at) = memchr::memchr(0xC2, &text[from..]) {
        let at = from + at;
        if text.get(at + 1).is_some_and(|byte| (0x80..=0x9F).contains(byte)) {
            text[at..at + 2].fill(0xFF);
        }
        from = at + 1;
    }
}

impl<R: Read> Read for Converted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.output.len() {
            self.fill()?;
        }
        let count = (self.output.len() - self.given).min(into.len());
        into[..count].copy_from_slice(&self.output[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a file that is declared to be in an encoding.
    fn read(bytes: &[u8], declared: Encoding) -> Result<Vec<u8>, Foreign> {
        let mut text = Vec::new();
        let encoding = match conversion(&bytes[..bytes.len().min(TEXT_HEAD)], declared)? {
            Conversion::None => return Ok(bytes.to_vec()),
            Conversion::Latin1 => None,
            Conversion::Other(encoding) => Some(encoding),
        };
        Converted::new(bytes, encoding).read_to_end(&mut text).unwrap();
        Ok(text)
    }

    fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(order).collect()
    }

    #[test]
    fn texts_come_out_as_utf_8() {
        let text = "id,näme\n1,Ünal 😀 łódź\n";
        for mark in ["", "\u{feff}"] {
            let text_16 = format!("{mark}{text}");
            let (little, big) = (utf16(&text_16, u16::to_le_bytes), utf16(&text_16, u16::to_be_bytes));
            for (bytes, declared) in [
                (&little, Encoding::Utf16),
                (&big, Encoding::Utf16),
                (&little, Encoding::Utf16Le),
                (&big, Encoding::Utf16Be),
            ] {
                assert_eq!(read(bytes, declared).unwrap(), text.as_bytes(), "{declared:?} {mark:?}");
            }
        }
        for (bytes, declared, text) in [
            (&b"M\xFCller \xA7 \xE9"[..], Encoding::Latin1, "Müller § é"),
            (b"M\xFCller \x80 \x93x\x94", Encoding::Windows1252, "Müller € “x”"),
            (b"\xA3\xF3d\x9F", Encoding::Windows1250, "Łódź"),
            (b"10 \xA4", Encoding::Latin9, "10 €"),
        ] {
            assert_eq!(read(bytes, declared).unwrap(), text.as_bytes(), "{declared:?}");
        }
    }

    #[test]
    fn what_is_no_character_becomes_invalid_and_its_neighbours_stay() {
        for (bytes, declared, text) in [
            // No character in windows-1252; control characters in ISO 8859-1.
            (&b"a\x81b"[..], Encoding::Windows1252, &b"a\xFF\xFFb"[..]),
            (b"a\x80b", Encoding::Latin1, b"a\xFF\xFFb"),
            // Half of a surrogate pair, and an odd byte at the end.
            (b"a\0\x3D\xD8b\0", Encoding::Utf16, b"a\xFF\xFF\xFFb"),
            (b"a\0b\0c", Encoding::Utf16, b"ab\xFF\xFF\xFF"),
        ] {
            assert_eq!(read(bytes, declared).unwrap(), text, "{declared:?}");
        }
    }

    #[test]
    fn a_file_in_another_encoding_than_declared_is_named() {
        let text = "[{\"id\": 1}]";
        let (little, big) = (utf16(text, u16::to_le_bytes), utf16(text, u16::to_be_bytes));
        let marked = utf16(&format!("\u{feff}{text}"), u16::to_be_bytes);
        for bytes in [&little, &big, &marked] {
            let found = read(bytes, Encoding::Utf8).unwrap_err();
            assert_eq!(found.is, "UTF-16 text");
            assert_eq!(found.hint, "set `encoding: utf-16` in the source's `input`");
            let found = read(bytes, Encoding::Windows1252).unwrap_err();
            assert_eq!(found.is, "UTF-16 text, and its source says `encoding: windows-1252`");
        }
        let found = read(format!("\u{feff}{text}").as_bytes(), Encoding::Latin1).unwrap_err();
        assert_eq!(found.is, "UTF-8 text, and its source says `encoding: latin1`");
        let found = read(text.as_bytes(), Encoding::Utf16).unwrap_err();
        assert!(found.is.starts_with("not UTF-16"), "{found:?}");
        let found = read(&marked, Encoding::Utf16Le).unwrap_err();
        assert_eq!(found.is, "UTF-16 text, and its source says `encoding: utf-16le`");
        assert!(
            read(b"\xFF\xFE\0\0[\0\0\0", Encoding::Utf16)
                .unwrap_err()
                .is
                .starts_with("UTF-32")
        );
        for text in ["", "1", "[]", "id\n1\n"] {
            assert_eq!(read(text.as_bytes(), Encoding::Utf8).unwrap(), text.as_bytes());
        }
    }
}
