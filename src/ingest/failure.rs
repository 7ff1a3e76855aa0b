//! Faults of the input, as they are found. A fault becomes a refusal ([`crate::model::refusal::Refusal`]) once the
//! file, record number and byte offset are added. Whether it fails the batch is decided in [`super::reading`] only.

use std::sync::Arc;

use crate::error::{Code, Error};
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
