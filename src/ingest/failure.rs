//! Faults of the input before their place in the file is known. With it they are refusals
//! ([`crate::model::refusal::Refusal`]); whether one of them fails the batch is decided in [`super::reading`] alone.

use std::sync::Arc;

use crate::error::{Code, Error};
use crate::model::refusal::{MALFORMED, NO_RECORDS, Reason, Refusal};

/// Why a record can't be decoded, before its place in the file is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The declared path.
    pub path: Arc<str>,
    /// Bytes from the start of the record.
    pub at: usize,
    pub check: &'static str,
    pub reason: Reason,
}

impl Fault {
    /// The refusal of the record, its place still to be filled in.
    pub fn refusal(self) -> Refusal {
        Refusal {
            check: self.check.to_owned(),
            path: Some(self.path.to_string()),
            reason: self.reason,
            ..Refusal::default()
        }
    }
}

/// What is wrong with a record that was found, where that lies around it and not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    pub check: &'static str,
    /// The path that it is about; `None`: the record itself.
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

    /// There are no records at `path`.
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
    /// In the decompressed file, or in the buffer while it is being scanned.
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

/// The error of a file that is not any more what was listed.
pub(super) fn changed(name: &str) -> Error {
    Error::batch(format!("{name} changed while it was read"))
        .code(Code::InputChanged)
        .hint("run the batch again when the file is complete")
}
