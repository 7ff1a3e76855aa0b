//! Failures of the input as data: where (file, record, byte offset, declared path) and why, never a value of the data
//! nor a name that is not declared. Whether one of them fails the batch is decided in [`super::read`] alone.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::Error;

/// Why, in the user's words; free of values.
pub(super) type Reason = Cow<'static, str>;

/// A record that can't be decoded, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// As in [`super::InputFile::path`].
    pub file: String,
    /// Within its file, from 1.
    pub record: u64,
    /// Where the record starts in the decompressed file, in bytes; `None` for parquet, which has no such place.
    pub offset: Option<u64>,
    /// Where the fault lies in the decompressed file, in bytes.
    pub fault_offset: Option<u64>,
    /// The declared JSON path, such as `$.visits[].date`; `$` is the record itself.
    pub path: Arc<str>,
    /// Which rule: [`MALFORMED`], [`UNKNOWN_FIELD`], [`UNREADABLE`], or the key of a field's check.
    pub check: &'static str,
    pub reason: Cow<'static, str>,
}

/// What is not JSON as it must be, or does not fit its declaration.
pub(super) const MALFORMED: &str = "malformed";
/// An undeclared field where the source says that there are none.
pub(super) const UNKNOWN_FIELD: &str = "unknown_field";
/// The rest of a file in which no next record can be found.
pub(super) const UNREADABLE: &str = "unreadable";

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        let at = |offset: Option<u64>| offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default();
        let (start, fault) = (at(error.offset), at(error.fault_offset));
        let what = match error.check {
            MALFORMED | UNKNOWN_FIELD | UNREADABLE => "can't be decoded".to_owned(),
            check => format!("breaks the check `{check}`"),
        };
        Error::batch(format!("{}, record {}{start} {what}", error.file, error.record))
            .cause(format!("{}: {}{fault}", error.path, error.reason))
            .hint("mend the file, or the schema of the source if the record is right")
    }
}

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
            .cause(self.reason)
            .hint("look at the file around that byte (counted in its decompressed form)")
    }
}
