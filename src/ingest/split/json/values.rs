//! Walks over what stands inside a document: values, texts, keys and words, whether they are records or lie beside them.

use memchr::memchr2;

use super::super::super::failure::SplitFault;
use super::super::token::string_end;
use super::super::{Found, MAX_RECORD};
use super::{JsonScanner, MAX_KEY, Role, STRUCTURAL, State};

impl JsonScanner {
    /// Within an object or array that is taken as a whole; gives where to go on.
    pub(super) fn nested(
        &mut self,
        buffer: &[u8],
        mut at: usize,
        records: &mut Vec<Found>,
    ) -> Result<usize, SplitFault> {
        let State::Nested { mut quoted, escaped } = self.state else {
            return Ok(at);
        };
        if escaped {
            at += 1;
        }
        loop {
            if quoted {
                match memchr2(b'"', b'\\', &buffer[at..]) {
                    None => break,
                    Some(skip) if buffer[at + skip] == b'"' => {
                        quoted = false;
                        at += skip + 1;
                    }
                    Some(skip) if at + skip + 1 == buffer.len() => {
                        self.state = State::Nested { quoted, escaped: true };
                        return Ok(buffer.len());
                    }
                    Some(skip) => at += skip + 2,
                }
                continue;
            }
            while at < buffer.len() && !STRUCTURAL[buffer[at] as usize] {
                at += 1;
            }
            let Some(&byte) = buffer.get(at) else { break };
            at += 1;
            if self.closers.len() > MAX_RECORD {
                let reason = format!("more than {} million brackets are open here", MAX_RECORD >> 20);
                return Err(SplitFault::new(at - 1, reason));
            }
            match byte {
                b'"' => quoted = true,
                b'{' => self.closers.push(b'}'),
                b'[' => self.closers.push(b']'),
                // Outside of a string; the decoder refuses it.
                b'\\' => {}
                _ => {
                    if self.closers.pop() != Some(byte) {
                        return Err(SplitFault::new(at - 1, "a bracket closes that is not the one open"));
                    }
                    if self.closers.is_empty() {
                        self.take(at, records);
                        return Ok(at);
                    }
                }
            }
        }
        self.state = State::Nested { quoted, escaped: false };
        Ok(buffer.len())
    }

    /// The value ends before `end`.
    pub(super) fn take(&mut self, end: usize, records: &mut Vec<Found>) {
        if self.role == Role::Record {
            records.push(Found {
                range: self.start..end,
                fault: self.fault.take(),
            });
        }
        self.value_done();
    }

    pub(super) fn text(&mut self, buffer: &[u8], at: usize, escaped: bool, records: &mut Vec<Found>) -> usize {
        let (end, state) = string_end(buffer, at, escaped);
        match state {
            Some(escaped) => self.state = State::Text { escaped },
            None => self.take(end, records),
        }
        end
    }

    pub(super) fn key_text(&mut self, buffer: &[u8], at: usize, escaped: bool) -> usize {
        let (end, state) = string_end(buffer, at, escaped);
        if self.key.len() < MAX_KEY {
            self.key.extend_from_slice(&buffer[at..end]);
        }
        self.state = if let Some(escaped) = state {
            State::KeyText { escaped }
        } else {
            // Without the quote that ends it.
            self.key.pop();
            State::Colon
        };
        end
    }

    pub(super) fn word(&mut self, buffer: &[u8], at: usize, records: &mut Vec<Found>) -> Result<usize, SplitFault> {
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b",:{}[]\"".contains(byte);
        Ok(match buffer[at..].iter().position(ends) {
            None => buffer.len(),
            Some(length) => {
                self.word_done(buffer, at + length, records)?;
                at + length
            }
        })
    }

    /// A word beside the way is checked here, since nobody decodes it.
    pub(super) fn word_done(&mut self, buffer: &[u8], end: usize, records: &mut Vec<Found>) -> Result<(), SplitFault> {
        let word = &buffer[self.start..end];
        if self.role == Role::Other && serde_json::from_slice::<serde::de::IgnoredAny>(word).is_err() {
            return Err(SplitFault::new(self.start, "this is no JSON value"));
        }
        self.take(end, records);
        Ok(())
    }
}
