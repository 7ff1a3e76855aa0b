//! Scans the values of JSON documents: records, keys of the path, and values that are skipped.

use super::super::super::failure::SplitFault;
use super::super::Found;
use super::super::skipped::SkippedValue;
use super::super::token::string_end;
use super::{JsonScanner, MAX_KEY, Role, State, fault};
use crate::model::refusal::NO_RECORDS;

impl JsonScanner {
    pub(super) fn begin_value(&mut self, byte: u8, at: usize) -> Result<(), SplitFault> {
        self.start = at;
        if self.role == Role::Other {
            self.skipped = Some(SkippedValue::begin(byte, at).map_err(|bad| fault(bad, self.encoding))?);
            self.state = State::Skipped;
            return Ok(());
        }
        self.state = match byte {
            b'{' | b'[' => {
                self.record_end.begin(byte);
                State::Nested
            }
            b'"' => State::Text { escaped: false },
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => State::Word,
            b']' | b'}' => {
                return Err(SplitFault::new(
                    at,
                    "a bracket closes that is not open, or a value is missing",
                ));
            }
            // In a container, a comma or a bracket ends even a word that is not JSON. So such a word is just one bad
            // record.
            _ if !self.frames.is_empty() && byte != b',' && byte != b':' => State::Word,
            _ => {
                return Err(SplitFault::new(
                    at,
                    "text between records, where a JSON value should start",
                ));
            }
        };
        Ok(())
    }

    /// Scans a value that is skipped. Returns the position to go on at.
    pub(super) fn skipped_value(&mut self, buffer: &[u8], at: usize) -> Result<usize, SplitFault> {
        let Some(value) = &mut self.skipped else { return Ok(at) };
        let (end, over) = value.feed(buffer, at).map_err(|bad| fault(bad, self.encoding))?;
        if over {
            self.value_done();
        }
        Ok(end)
    }

    /// Scans a record that is an object or an array. Returns the position to go on at.
    pub(super) fn nested(&mut self, buffer: &[u8], at: usize, records: &mut Vec<Found>) -> Result<usize, SplitFault> {
        let (end, over) = self.record_end.feed(buffer, at)?;
        if over {
            self.take(end, records);
        }
        Ok(end)
    }

    /// Ends a value before `end`, and adds it if it is a record.
    pub(super) fn take(&mut self, end: usize, records: &mut Vec<Found>) {
        if self.role == Role::Record {
            records.push(Found {
                fault: self.fault.take(),
                ..Found::from(self.start..end)
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

    pub(super) fn key_text(&mut self, buffer: &[u8], at: usize) -> Result<usize, SplitFault> {
        let text = self.key_text.feed(buffer, at);
        let (end, over) = text.map_err(|bad| fault(bad, self.encoding))?;
        if self.key.len() < MAX_KEY {
            self.key.extend_from_slice(&buffer[at..end]);
        }
        if over {
            // The closing quote is not part of the key.
            self.key.pop();
            self.state = State::Colon;
        }
        Ok(end)
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

    pub(super) fn word_done(&mut self, buffer: &[u8], end: usize, records: &mut Vec<Found>) -> Result<(), SplitFault> {
        let no_records = self.fault.as_ref().is_some_and(|flaw| flaw.check == NO_RECORDS);
        if no_records && &buffer[self.start..end] != b"null" {
            return Err(SplitFault::new(self.start, "this is no JSON value"));
        }
        self.take(end, records);
        Ok(())
    }
}
