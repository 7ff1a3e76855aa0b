//! JSON documents: an array, one document, or several one after the other, with the path to the records in them.
//! A structural scan (strings, escapes, brackets) that never decodes a value, can stop at any byte and go on there.

mod values;

use super::super::failure::SplitFault;
use super::token::{key_is, shown};
use super::{Found, Scanner};
use crate::model::refusal::Reason;
use crate::model::{RecordPath, RecordStep};

/// Keys of the path are compared up to this length, as written with escapes.
const MAX_KEY: usize = 64 << 10;

/// Bytes that matter outside of strings.
const STRUCTURAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut index = 0;
    while index < 6 {
        table[b"\"{}[]\\"[index] as usize] = true;
        index += 1;
    }
    table
};

/// What the next value in a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// On the way to the records: the step of the path that leads on from it.
    Way(usize),
    Record,
    /// Beside the way.
    Other,
}

/// A container on the way to the records.
#[derive(Debug)]
struct Frame {
    object: bool,
    /// Of its elements; in an object of the value whose key matches.
    inner: Role,
    /// In an object: the key of the path was met.
    met: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value is next; the closing bracket will do where `may_close`.
    Value {
        may_close: bool,
    },
    /// A comma or the closing bracket is next.
    Comma,
    /// A key is next.
    Key {
        may_close: bool,
    },
    KeyText {
        escaped: bool,
    },
    Colon,
    /// Within a record or a value beside the way: an object or array,
    Nested {
        quoted: bool,
        escaped: bool,
    },
    /// a string,
    Text {
        escaped: bool,
    },
    /// or a bare word (number, true, null, or what is meant to be one).
    Word,
}

pub(crate) struct JsonScanner {
    steps: Vec<RecordStep>,
    frames: Vec<Frame>,
    state: State,
    /// Of the value that is next or being read.
    role: Role,
    /// Where the record (or the value beside the way) starts.
    start: usize,
    /// Brackets that must close within the value, innermost last.
    closers: Vec<u8>,
    /// The key that is being read, as written.
    key: Vec<u8>,
    /// What is wrong with the record being read although it may be whole.
    fault: Option<Reason>,
}

impl JsonScanner {
    pub fn new(path: &RecordPath) -> Self {
        let steps = path.0.clone();
        let state = State::Value { may_close: false };
        Self {
            steps,
            frames: Vec::new(),
            state,
            role: Role::Way(0),
            start: 0,
            closers: Vec::new(),
            key: Vec::new(),
            fault: None,
        }
    }

    /// One structural byte on the way to the records.
    fn step(&mut self, buffer: &[u8], at: usize, records: &mut Vec<Found>) -> Result<(), SplitFault> {
        let byte = buffer[at];
        match (self.state, byte) {
            (_, b' ' | b'\n' | b'\r' | b'\t') => Ok(()),
            (State::Value { may_close: true }, b']') | (State::Key { may_close: true }, b'}') => {
                self.close();
                Ok(())
            }
            (State::Value { .. }, b',' | b']') if self.among_records() => {
                records.push(Found {
                    range: at..at,
                    fault: Some("not valid JSON: a comma with no record beside it".into()),
                });
                if byte == b']' {
                    self.close();
                } else {
                    self.state = State::Value { may_close: false };
                }
                Ok(())
            }
            (State::Value { .. }, _) => self.open(byte, at),
            (State::Comma, b',') => {
                self.next_in_frame(false);
                Ok(())
            }
            (State::Comma, b']' | b'}') if self.frames.last().is_some_and(|f| f.object == (byte == b'}')) => {
                self.close();
                Ok(())
            }
            (State::Key { .. }, b'"') => {
                self.key.clear();
                self.state = State::KeyText { escaped: false };
                Ok(())
            }
            (State::Colon, b':') => self.key_done(at),
            (State::Comma, b']' | b'}') => Err(SplitFault::new(at, "a bracket closes that is not the one open")),
            (State::Comma, _) if self.among_records() && byte != b':' => {
                self.role = Role::Record;
                self.fault = Some("not valid JSON: a comma is missing before this record".into());
                self.begin_value(byte, at)
            }
            (State::Comma, _) => Err(SplitFault::new(
                at,
                "text between records, where a comma or the end should be",
            )),
            (State::Colon, _) => Err(SplitFault::new(at, "a colon is missing after a key")),
            _ => Err(SplitFault::new(at, "a key in quotes is missing")),
        }
    }

    fn open(&mut self, byte: u8, at: usize) -> Result<(), SplitFault> {
        let spread = self.steps.last() != Some(&RecordStep::Each);
        match self.role {
            Role::Way(step) if step == self.steps.len() => {
                if byte == b'[' && spread {
                    self.enter(false, Role::Record);
                    return Ok(());
                }
                // A list that the path leads to may be null, which is no record; a document may not.
                self.role = if byte == b'n' && step > 0 && spread {
                    Role::Other
                } else {
                    Role::Record
                };
            }
            Role::Way(step) => match (&self.steps[step], byte) {
                (RecordStep::Key(_), b'{') => {
                    self.enter(true, Role::Way(step + 1));
                    return Ok(());
                }
                (RecordStep::Each, b'[') => {
                    self.enter(false, Role::Way(step + 1));
                    return Ok(());
                }
                (_, b'n') => self.role = Role::Other,
                // Among its like it is one bad record; alone, it says that the path or the file is another.
                (RecordStep::Key(_), _) if self.in_list() => self.off_path(step, "an object"),
                (RecordStep::Each, _) if self.in_list() => self.off_path(step, "an array"),
                (RecordStep::Key(_), _) => return Err(self.leaves_path(step, at, "an object")),
                (RecordStep::Each, _) => return Err(self.leaves_path(step, at, "an array")),
            },
            Role::Record | Role::Other => {}
        }
        self.begin_value(byte, at)
    }

    fn begin_value(&mut self, byte: u8, at: usize) -> Result<(), SplitFault> {
        self.start = at;
        self.closers.clear();
        self.state = match byte {
            b'{' | b'[' => {
                self.closers.push(if byte == b'{' { b'}' } else { b']' });
                State::Nested {
                    quoted: false,
                    escaped: false,
                }
            }
            b'"' => State::Text { escaped: false },
            // In an array commas tell where a word ends, so that a bad one is a bad record and no more.
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => State::Word,
            b']' | b'}' => {
                return Err(SplitFault::new(
                    at,
                    "a bracket closes that is not open, or a value is missing",
                ));
            }
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

    /// Whether the innermost open container is a list of records.
    fn among_records(&self) -> bool {
        let role = |frame: &Frame| match frame.inner {
            Role::Record => true,
            Role::Way(step) => step == self.steps.len(),
            Role::Other => false,
        };
        self.frames.last().is_some_and(|frame| !frame.object && role(frame))
    }

    fn in_list(&self) -> bool {
        self.frames.last().is_some_and(|frame| !frame.object)
    }

    fn off_path(&mut self, step: usize, wanted: &str) {
        self.fault = Some(self.misses(step, wanted));
        self.role = Role::Record;
    }

    fn leaves_path(&self, step: usize, at: usize, wanted: &str) -> SplitFault {
        SplitFault::new(at, self.misses(step, wanted))
    }

    fn misses(&self, step: usize, wanted: &str) -> Reason {
        let path = shown(&self.steps[..step]);
        format!("`records` wants {wanted} at `{path}`, and this is none").into()
    }

    fn enter(&mut self, object: bool, inner: Role) {
        self.frames.push(Frame {
            object,
            inner,
            met: false,
        });
        self.next_in_frame(true);
    }

    fn close(&mut self) {
        self.frames.pop();
        self.value_done();
    }

    /// After a value on the way: what its container wants next.
    fn value_done(&mut self) {
        if self.frames.is_empty() {
            self.role = Role::Way(0);
            self.state = State::Value { may_close: false };
        } else {
            self.state = State::Comma;
        }
    }

    fn next_in_frame(&mut self, first: bool) {
        let Some(frame) = self.frames.last() else { return };
        if frame.object {
            self.state = State::Key { may_close: first };
        } else {
            self.role = frame.inner;
            self.state = State::Value { may_close: first };
        }
    }

    fn key_done(&mut self, at: usize) -> Result<(), SplitFault> {
        self.role = Role::Other;
        if let Some(frame) = self.frames.last_mut()
            && let Role::Way(next) = frame.inner
            && let RecordStep::Key(wanted) = &self.steps[next - 1]
            && key_is(&self.key, wanted)
        {
            if frame.met {
                let path = shown(&self.steps[..next]);
                return Err(SplitFault::new(at, format!("`{path}` stands twice in one object")));
            }
            frame.met = true;
            self.role = frame.inner;
        }
        self.state = State::Value { may_close: false };
        Ok(())
    }
}

impl Scanner for JsonScanner {
    fn scan(&mut self, buffer: &[u8], from: usize, records: &mut Vec<Found>) -> Result<(), SplitFault> {
        let mut at = from;
        while at < buffer.len() {
            at = match self.state {
                State::Nested { .. } => self.nested(buffer, at, records)?,
                State::Text { escaped } => self.text(buffer, at, escaped, records),
                State::KeyText { escaped } => self.key_text(buffer, at, escaped),
                State::Word => self.word(buffer, at, records)?,
                _ => {
                    self.step(buffer, at, records)?;
                    // The first byte of a container or string belongs to the state that it opens.
                    at + 1
                }
            };
        }
        Ok(())
    }

    fn finish(&mut self, buffer: &[u8], records: &mut Vec<Found>) -> Result<(), SplitFault> {
        if self.state == State::Word && self.frames.is_empty() {
            self.word_done(buffer, buffer.len(), records)?;
        }
        match self.state {
            State::Value { .. } if self.frames.is_empty() => Ok(()),
            State::Nested { quoted, .. } => {
                let what = if quoted { "a quote" } else { "a bracket" };
                Err(SplitFault::new(
                    self.start,
                    format!("the file ends inside the value that starts here: {what} is not closed"),
                ))
            }
            State::Text { .. } => Err(SplitFault::new(
                self.start,
                "the file ends inside the string that starts here: a quote is not closed",
            )),
            _ => Err(SplitFault::new(
                buffer.len(),
                "the file ends here, inside a document that is not closed",
            )),
        }
    }

    fn keep_from(&self, end: usize) -> usize {
        match self.state {
            State::Nested { .. } | State::Text { .. } if self.role == Role::Record => self.start,
            State::Word => self.start,
            _ => end,
        }
    }

    fn skip_open(&mut self) -> bool {
        self.role == Role::Record
    }

    fn shift(&mut self, count: usize) {
        // Of a value beside the way the first bytes are gone: then this wraps, and adding the buffer's offset in an
        // error wraps it back.
        self.start = self.start.wrapping_sub(count);
    }
}
