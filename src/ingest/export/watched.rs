//! Counts and hashes what is read of a file of a bulk export, to compare it with the manifest.

use memchr::memchr;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use super::super::split::{MAX_RECORD, Pieces};
use super::manifest::Expected;
use crate::error::{Code, Error, Result};
use crate::model::refusal::Reason;

/// The bytes of a file, watched on their way.
pub(in super::super) struct Watched<'a, P> {
    pieces: P,
    expected: &'a Expected,
    hash: Option<Sha256>,
    length: u64,
    /// The number of lines that are not blank.
    lines: u64,
    /// Whether the first line has ended. It may begin with a byte order mark, which is none of a record.
    past_first: bool,
    /// The line that has not ended yet, as far as it may be a record.
    open: Vec<u8>,
}

impl<'a, P: Pieces> Watched<'a, P> {
    pub fn new(pieces: P, expected: &'a Expected) -> Self {
        Self {
            pieces,
            expected,
            hash: expected.sha256.as_ref().map(|_| Sha256::new()),
            length: 0,
            lines: 0,
            past_first: false,
            open: Vec::new(),
        }
    }

    /// Compares the whole file, which messages call `path`, with what the manifest says of it.
    ///
    /// # Errors
    /// It differs.
    pub fn verify(self, path: &str) -> Result<()> {
        let differs = |what: &str, hint: &str| {
            let error = Error::batch(format!("{path} {what}"));
            Err(error.code(Code::InputIncomplete).hint(hint.to_owned()))
        };
        let again = "download the file again, whole, or export once more";
        let open = self.line();
        let is_open = !is_blank(open);
        // A file may end without a line break, and then its last line may be cut off.
        if is_open && open.len() < MAX_RECORD && serde_json::from_slice::<IgnoredAny>(open).is_err() {
            return differs("ends within a resource", again);
        }
        let lines = self.lines + u64::from(is_open);
        if let Some(count) = self.expected.count.filter(|count| *count != lines) {
            let what = format!("holds {lines} resources, where the manifest says {count}");
            return differs(&what, again);
        }
        if let Some(length) = self.expected.length.filter(|length| *length != self.length) {
            let what = format!("has {} bytes, where the manifest says {length}", self.length);
            return differs(
                &what,
                "the length is that of the decompressed file; download the file again, whole",
            );
        }
        let found = self.hash.map(|hash| hex::encode(hash.finalize()));
        if found != self.expected.sha256 {
            let hint = "the checksum is the SHA-256 of the decompressed file; download the file again, whole";
            return differs("has another checksum than the manifest says", hint);
        }
        Ok(())
    }

    fn note(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let is_blank = if self.past_first {
                is_blank(&self.open) && is_blank(&rest[..end])
            } else {
                self.hold(&rest[..end]);
                is_blank(self.line())
            };
            self.lines += u64::from(!is_blank);
            self.open.clear();
            self.past_first = true;
            rest = &rest[end + 1..];
        }
        self.hold(rest);
    }

    /// Of a line that is too large for a record, the beginning tells whether it is blank.
    fn hold(&mut self, bytes: &[u8]) {
        let room = MAX_RECORD.saturating_sub(self.open.len());
        self.open.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The line that has not ended yet, without a byte order mark.
    fn line(&self) -> &[u8] {
        let mark = self.open.strip_prefix(b"\xEF\xBB\xBF").filter(|_| !self.past_first);
        mark.unwrap_or(&self.open)
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

impl<P: Pieces> Pieces for Watched<'_, P> {
    fn append(&mut self, buffer: &mut Vec<u8>) -> Result<usize> {
        let from = buffer.len();
        let appended = self.pieces.append(buffer);
        self.note(&buffer[from..]);
        appended
    }

    fn damage(&self) -> Option<Reason> {
        self.pieces.damage()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a text in pieces of two bytes.
    struct Pairs(&'static [u8]);

    impl Pieces for Pairs {
        fn append(&mut self, buffer: &mut Vec<u8>) -> Result<usize> {
            let (now, later) = self.0.split_at(self.0.len().min(2));
            self.0 = later;
            buffer.extend_from_slice(now);
            Ok(now.len())
        }
    }

    fn verified(text: &'static [u8], expected: &Expected) -> Result<()> {
        let mut watched = Watched::new(Pairs(text), expected);
        let mut buffer = Vec::new();
        while watched.append(&mut buffer)? > 0 {}
        assert_eq!(buffer, text);
        watched.verify("in/manifest.json#output[0]")
    }

    #[test]
    fn lines_bytes_and_hash_are_compared() {
        let text = b"{\"a\": 1}\r\n \n\n{\"b\": 2}\n{}";
        let right = Expected {
            deleted: false,
            count: Some(3),
            length: Some(text.len() as u64),
            sha256: Some(hex::encode(Sha256::digest(text))),
        };
        verified(text, &right).unwrap();
        verified(
            b"",
            &Expected {
                count: Some(0),
                ..Expected::default()
            },
        )
        .unwrap();
        verified(text, &Expected::default()).unwrap();
        for (marked, count) in [
            (&b"\xEF\xBB\xBF{}"[..], 1),
            (b"\xEF\xBB\xBF\r\n{}\n{}", 2),
            (b"\xEF\xBB\xBF", 0),
        ] {
            let expected = Expected {
                count: Some(count),
                ..Expected::default()
            };
            verified(marked, &expected).unwrap();
        }
        let cut = verified(b"{\"a\": 1}\n{\"b\": {}", &Expected::default()).unwrap_err();
        assert_eq!(
            (cut.message.as_str(), cut.code),
            (
                "in/manifest.json#output[0] ends within a resource",
                Code::InputIncomplete
            )
        );
        verified(b"{\"a\": 1}\n{\"b\": \n", &Expected::default()).unwrap();
        let wrong = [
            (
                Expected {
                    count: Some(4),
                    ..right.clone()
                },
                "holds 3 resources, where the manifest says 4",
            ),
            (
                Expected {
                    length: Some(1),
                    ..right.clone()
                },
                "has 24 bytes, where the manifest says 1",
            ),
            (
                Expected {
                    sha256: Some("0".repeat(64)),
                    ..right
                },
                "has another checksum",
            ),
        ];
        for (expected, said) in wrong {
            let error = verified(text, &expected).unwrap_err();
            assert!(error.message.contains(said), "{error}");
            assert_eq!(error.code, Code::InputIncomplete);
        }
    }
}
