//! Faults of the input, as they are found. A fault becomes a refusal ([`crate::model::refusal::Refusal`]) once the
//! file, record number and byte offset are added. Whether it fails the batch is decided in [`super::reading`] only.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::error::{Code, Error};
use crate::model::Encoding;
use crate::model::refusal::{MALFORMED, NO_RECORDS, Reason, Refusal};

/// Why a record can't be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The declared path of the field.
    pub path: Arc<str>,
    /// Bytes from the start of the record.
    pub at: usize,
    pub check: &'static str,
    pub reason: Reason,
}

impl Fault {
    /// Makes the refusal of the record. The caller adds the file, the record number and the byte offsets.
    pub fn refusal(self) -> Refusal {
        Refusal {
            check: self.check.to_owned(),
            path: Some(self.path.to_string()),
            reason: self.reason,
            ..Refusal::default()
        }
    }
}

/// What is wrong with a record that was found although its own text may be valid. Example: a comma is missing before
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    pub check: &'static str,
    /// The path that the fault is about. `None`: the record itself.
    pub path: Option<Reason>,
    pub reason: Reason,
}

impl Flaw {
    pub fn malformed(reason: impl Into<Reason>) -> Self {
        Self {
            check: MALFORMED,
            path: None,
            reason: reason.into(),
        }
    }

    /// There are no records at `path`, where the source expects them.
    pub fn no_records(path: Reason, reason: &'static str) -> Self {
        Self {
            check: NO_RECORDS,
            path: Some(path),
            reason: reason.into(),
        }
    }
}

/// A file of a kind that can't be read as its source says. It passes through readers as an `io::Error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Foreign {
    /// What the file is, after "is".
    pub is: Cow<'static, str>,
    pub hint: Cow<'static, str>,
}

impl Foreign {
    pub fn new(is: impl Into<Cow<'static, str>>, hint: impl Into<Cow<'static, str>>) -> Self {
        Self {
            is: is.into(),
            hint: hint.into(),
        }
    }

    pub fn into_error(self, file: &str) -> Error {
        Error::batch(format!("{file} is {}", self.is))
            .code(Code::InputUnreadable)
            .hint(self.hint)
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the file is {}: {}", self.is, self.hint)
    }
}

impl std::error::Error for Foreign {}

impl From<Foreign> for io::Error {
    fn from(foreign: Foreign) -> Self {
        Self::other(foreign)
    }
}

/// Says that bytes are no text in the encoding that the source declares. Scanners and decoders see every text as UTF-8:
/// bytes that are not valid in another encoding come to them as bytes that are not valid in UTF-8.
pub(super) fn no_text(encoding: Encoding) -> Reason {
    match encoding {
        Encoding::Utf8 => "not valid UTF-8 (another encoding needs `encoding` in `input`)".into(),
        Encoding::Utf16 | Encoding::Utf16Le | Encoding::Utf16Be => format!("not valid {}", encoding.name()).into(),
        _ => format!("not valid {}: a byte that stands for no character", encoding.name()).into(),
    }
}

/// Why a file can't be split into records any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SplitFault {
    /// The byte of the fault: in the buffer while that is being scanned, later in the decompressed file.
    pub offset: u64,
    pub reason: Reason,
}

impl SplitFault {
    pub fn new(offset: usize, reason: impl Into<Reason>) -> Self {
        Self {
            offset: offset as u64,
            reason: reason.into(),
        }
    }

    pub fn into_error(self, file: &str) -> Error {
        Error::batch(format!("{file} can't be split into records at byte {}", self.offset))
            .code(Code::InputUnreadable)
            .cause(self.reason)
            .hint("look at the file around that byte (counted in its decompressed form)")
    }
}

/// The error of a file that has changed since it was listed.
pub(super) fn changed(name: &str) -> Error {
    Error::batch(format!("{name} changed while it was read"))
        .code(Code::InputChanged)
        .hint("run the batch again when the file is complete")
}
