//! Splits JSON: an array, one document, or several one after the other. The record path says where the records are in a
//! document. A scan of quotes and brackets finds them and decodes nothing. Values beside the path are skipped, but
//! checked fully. The scan can stop at any byte and go on there.

use super::super::failure::{Flaw, SplitFault, no_text};
use super::record_end::RecordEnd;
use super::skipped::{Bad, SkippedValue, Text, Wrong};
use super::token::{key_is, shown};
use super::{Found, Scanner};
use crate::model::refusal::Reason;
use crate::model::{Encoding, OnNoRecords, RecordPath, RecordStep};

mod values;

/// About the most bytes of a key that are kept, as written with escapes, to compare it with the path.
const MAX_KEY: usize = 64 << 10;

/// What a value is to the scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It lies on the path to the records. The number is the index of the step that leads on from it.
    Path(usize),
    Record,
    /// It lies beside the path and is skipped.
    Other,
}

/// An open object or array on the path to the records.
#[derive(Debug)]
struct Frame {
    object: bool,
    /// The role of its elements. In an object: the role of the value whose key is the path's.
    inner: Role,
    /// In an object: whether the key of the path was found.
    met: bool,
    /// Where it starts, in bytes since the start of the scan.
    start: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value is next. Where `may_close`, it may also be the closing bracket.
    Value {
        may_close: bool,
    },
    /// A comma or the closing bracket is next.
    Comma,
    /// A key is next. Where `may_close`, it may also be the closing bracket.
    Key {
        may_close: bool,
    },
    KeyText,
    Colon,
    /// Within a value that is skipped.
    Skipped,
    /// Within a record that is an object or an array.
    Nested,
    /// Within a record that is a string.
    Text {
        escaped: bool,
    },
    /// Within a record that is a word without quotes: a number, `true`, `null`, or something that is not JSON.
    Word,
}

pub(crate) struct JsonScanner {
    steps: Vec<RecordStep>,
    on_no_records: OnNoRecords,
    encoding: Encoding,
    frames: Vec<Frame>,
    state: State,
    /// The role of the value that is next or being read.
    role: Role,
    /// The start of the record, or of the value that is skipped.
    start: usize,
    record_end: RecordEnd,
    skipped: Option<SkippedValue>,
    /// The key that is being read, as written.
    key: Vec<u8>,
    key_text: Text,
    /// What is wrong with the record that is being read, although its own text may be valid.
    fault: Option<Flaw>,
    /// How many bytes were scanned so far.
    seen: u64,
    /// How many of those come before the buffer. Bytes that the buffer lacks, of a record that is too large, are
    /// included.
    before: u64,
}

impl JsonScanner {
    pub fn new(path: &RecordPath, on_no_records: OnNoRecords, encoding: Encoding) -> Self {
        let steps = path.0.clone();
        let state = State::Value { may_close: false };
        Self {
            steps,
            on_no_records,
            encoding,
            frames: Vec::new(),
            state,
            role: Role::Path(0),
            start: 0,
            record_end: RecordEnd::default(),
            skipped: None,
            key: Vec::new(),
            key_text: Text::Plain,
            fault: None,
            seen: 0,
            before: 0,
        }
    }

    /// Handles one byte on the path to the records, outside of keys and values.
    fn step(&mut self, buffer: &[u8], at: usize, records: &mut Vec<Found>) -> Result<(), SplitFault> {
        let byte = buffer[at];
        match (self.state, byte) {
            (_, b' ' | b'\n' | b'\r' | b'\t') => Ok(()),
            (State::Value { may_close: true }, b']') | (State::Key { may_close: true }, b'}') => {
                self.close(at, records);
                Ok(())
            }
            (State::Value { .. }, b',' | b']') if self.among_records() => {
                records.push(Found {
                    fault: Some(Flaw::malformed("not valid JSON: a comma with no record beside it")),
                    ..Found::from(at..at)
                });
                if byte == b']' {
                    self.close(at, records);
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
                self.close(at, records);
                Ok(())
            }
            (State::Key { .. }, b'"') => {
                self.key.clear();
                self.key_text = Text::Plain;
                self.state = State::KeyText;
                Ok(())
            }
            (State::Colon, b':') => self.key_done(at),
            (State::Comma, b']' | b'}') => Err(SplitFault::new(at, "a bracket closes that is not the one open")),
            (State::Comma, _) if self.among_records() && byte != b':' => {
                self.role = Role::Record;
                self.fault = Some(Flaw::malformed("not valid JSON: a comma is missing before this record"));
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
            Role::Path(step) if step == self.steps.len() => {
                if byte == b'[' && spread {
                    self.enter(at, false, Role::Record);
                    return Ok(());
                }
                if byte == b'n' && step > 0 && spread {
                    self.leads_to_null(step);
                } else {
                    self.role = Role::Record;
                }
            }
            Role::Path(step) => match (&self.steps[step], byte) {
                (RecordStep::Key(_), b'{') => {
                    self.enter(at, true, Role::Path(step + 1));
                    return Ok(());
                }
                (RecordStep::Each, b'[') => {
                    self.enter(at, false, Role::Path(step + 1));
                    return Ok(());
                }
                (_, b'n') => self.leads_to_null(step),
                // In a list, such a value is one bad record. Elsewhere, the path and the file do not fit each other.
                (RecordStep::Key(_), _) if self.in_list() => self.off_path(step, "an object"),
                (RecordStep::Each, _) if self.in_list() => self.off_path(step, "an array"),
                (RecordStep::Key(_), _) => return Err(self.leaves_path(step, at, "an object")),
                (RecordStep::Each, _) => return Err(self.leaves_path(step, at, "an array")),
            },
            Role::Record | Role::Other => {}
        }
        self.begin_value(byte, at)
    }

    /// Whether the innermost open container is a list of records.
    fn among_records(&self) -> bool {
        let role = |frame: &Frame| match frame.inner {
            Role::Record => true,
            Role::Path(step) => step == self.steps.len(),
            Role::Other => false,
        };
        self.frames.last().is_some_and(|frame| !frame.object && role(frame))
    }

    fn in_list(&self) -> bool {
        self.frames.last().is_some_and(|frame| !frame.object)
    }

    fn off_path(&mut self, step: usize, wanted: &str) {
        self.fault = Some(Flaw::malformed(self.misses(step, wanted)));
        self.role = Role::Record;
    }

    fn leaves_path(&self, step: usize, at: usize, wanted: &str) -> SplitFault {
        SplitFault::new(at, self.misses(step, wanted))
    }

    fn misses(&self, step: usize, wanted: &str) -> Reason {
        let path = shown(&self.steps[..step]);
        format!("`records` wants {wanted} at `{path}`, and this is none").into()
    }

    /// Handles a null where the path up to `step` leads: there are no records.
    fn leads_to_null(&mut self, step: usize) {
        if self.on_no_records == OnNoRecords::Skip {
            self.role = Role::Other;
        } else {
            self.fault = Some(Flaw::no_records(
                shown(&self.steps[..step]),
                "null, where the records should be",
            ));
            self.role = Role::Record;
        }
    }

    fn enter(&mut self, at: usize, object: bool, inner: Role) {
        self.frames.push(Frame {
            object,
            inner,
            met: false,
            start: self.before + at as u64,
        });
        self.next_in_frame(true);
    }

    /// Closes the innermost container on the path, at position `at`. An object without the key of the path holds no
    /// records. `on_no_records` says what comes of it.
    fn close(&mut self, at: usize, records: &mut Vec<Found>) {
        if let Some(frame) = self.frames.pop()
            && let Role::Path(next) = frame.inner
            && frame.object
            && !frame.met
            && self.on_no_records != OnNoRecords::Skip
        {
            records.push(if let Some(start) = self.whole(&frame) {
                Found::from(start..at + 1)
            } else {
                let reason = "missing, where the records should be";
                Found {
                    from: Some(frame.start),
                    fault: Some(Flaw::no_records(shown(&self.steps[..next]), reason)),
                    ..Found::from(at + 1..at + 1)
                }
            });
        }
        self.value_done();
    }

    /// Where an object starts in the buffer that is itself a record unless the last key of the path stands in it.
    fn whole(&self, frame: &Frame) -> Option<usize> {
        let is_last = matches!(frame.inner, Role::Path(next) if next == self.steps.len());
        if self.on_no_records != OnNoRecords::Whole || !is_last || !frame.object || frame.met {
            return None;
        }
        // Of an object that is too large, the buffer holds the first byte and lacks what follows.
        usize::try_from(frame.start.saturating_sub(self.before)).ok()
    }

    /// Ends a value. What comes next depends on the container around it.
    fn value_done(&mut self) {
        if self.frames.is_empty() {
            self.role = Role::Path(0);
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
            && let Role::Path(next) = frame.inner
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
        self.seen += (buffer.len() - from) as u64;
        self.before = self.seen.saturating_sub(buffer.len() as u64);
        let mut at = from;
        while at < buffer.len() {
            at = match self.state {
                State::Skipped => self.skipped_value(buffer, at)?,
                State::Nested => self.nested(buffer, at, records)?,
                State::Text { escaped } => self.text(buffer, at, escaped, records),
                State::KeyText => self.key_text(buffer, at)?,
                State::Word => self.word(buffer, at, records)?,
                _ => {
                    self.step(buffer, at, records)?;
                    // That byte is done. If it opened a value, the scan of the value goes on after it.
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
            State::Nested | State::Skipped => {
                let in_text = match &self.skipped {
                    Some(value) if self.state == State::Skipped => value.in_text(),
                    _ => self.record_end.in_text(),
                };
                let what = if in_text { "a quote" } else { "a bracket" };
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
        if let Some(start) = self.frames.last().and_then(|frame| self.whole(frame)) {
            return start;
        }
        match self.state {
            State::Nested | State::Text { .. } | State::Word => self.start,
            _ => end,
        }
    }

    fn skip_open(&mut self) -> bool {
        if let Some(start) = self.frames.last().and_then(|frame| self.whole(frame)) {
            // What is scanned within it is not in the buffer any more.
            self.start = start;
            return true;
        }
        self.role == Role::Record
    }

    fn shift(&mut self, count: usize) {
        // The first bytes of a skipped value may be gone from the buffer already. Then this wraps below 0.
        // `Window::offset` adds the offset of the buffer and so wraps it back.
        self.start = self.start.wrapping_sub(count);
    }
}

fn fault((at, wrong): Bad, encoding: Encoding) -> SplitFault {
    match wrong {
        Wrong::NoText => SplitFault::new(at, no_text(encoding)),
        Wrong::Said(reason) => SplitFault::new(at, reason),
    }
}
