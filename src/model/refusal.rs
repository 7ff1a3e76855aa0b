//! Records and rows that are not loaded. The reader, the checks and the quarantine table all use this one type.

use std::borrow::Cow;
use std::fmt;

use crate::error::{Code, Error};

/// Why something is refused, in the user's words. It contains no value.
pub type Reason = Cow<'static, str>;

/// The record is not valid JSON, or does not match the declared schema.
pub const MALFORMED: &str = "malformed";
/// The record has an undeclared field, and its source does not allow undeclared fields.
pub const UNKNOWN_FIELD: &str = "unknown_field";
/// The record is of no declared kind, and its source does not allow that.
pub const UNKNOWN_KIND: &str = "unknown_kind";
/// The document, line or entry has no records where its source says that they are.
pub const NO_RECORDS: &str = "no_records";
/// The rest of a file in which the start of the next record can't be found.
pub const UNREADABLE: &str = "unreadable";

/// The place of a record: its file, as messages name it, and its number in the file, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordRef {
    /// `None` if the file is not known.
    pub file: Option<String>,
    pub number: u64,
}

impl fmt::Display for RecordRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{file}, record {}", self.number),
            None => write!(f, "record {}", self.number),
        }
    }
}

/// A row of a batch that its table can't take. It holds no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The row's position in its batch, from 0.
    pub row: usize,
    pub check: String,
    /// The column or columns.
    pub path: String,
    pub reason: Reason,
}

/// A record or a row that is not loaded, and why. It never holds a value of the data or the name of an undeclared
/// field.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Refusal {
    /// The entity of a refused row. `None` for a record that was refused before any transform saw it.
    pub entity: Option<String>,
    /// The check that refused it: [`MALFORMED`], [`UNKNOWN_FIELD`], [`UNKNOWN_KIND`], [`NO_RECORDS`], [`UNREADABLE`],
    /// or the name of a declared check.
    pub check: String,
    /// The input file, as messages name it.
    pub file: Option<String>,
    /// The record's number within its file, from 1. `None` if the transform did not keep it.
    pub record: Option<u64>,
    /// Where the record starts in the decompressed file. `None` for rows and for Parquet.
    pub byte_offset: Option<u64>,
    /// The declared JSON path, such as `$.visits[].date`, or the column. `$` means the whole record.
    pub path: Option<String>,
    pub reason: Reason,
    /// Where in the decompressed file the fault is. It is shown if the fault fails the batch. The quarantine does not
    /// keep it.
    #[serde(skip)]
    pub fault_offset: Option<u64>,
}

impl From<Refusal> for Error {
    /// Makes the error for a record that fails its batch.
    fn from(refusal: Refusal) -> Self {
        let at = |offset: Option<u64>| offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default();
        let (start, fault) = (at(refusal.byte_offset), at(refusal.fault_offset));
        let what = match refusal.check.as_str() {
            NO_RECORDS => "holds no records".to_owned(),
            MALFORMED | UNKNOWN_FIELD | UNKNOWN_KIND | UNREADABLE => "can't be decoded".to_owned(),
            check => format!("breaks the check `{check}`"),
        };
        let hint = match refusal.check.as_str() {
            NO_RECORDS => {
                "mend the file, or `records`; where some have no records by nature, set `on_no_records: skip`, and where they \
                 are records themselves, as a deletion in a FHIR bundle, `whole`"
            }
            UNKNOWN_KIND => "declare the kind under `kinds`, or set `on_unknown_kind: warn`",
            _ => "mend the file, or the schema of the source if the record is right",
        };
        let record = RecordRef {
            file: refusal.file,
            number: refusal.record.unwrap_or_default(),
        };
        Error::batch(format!("{record}{start} {what}"))
            .code(Code::RecordRefused)
            .cause(format!(
                "{}: {}{fault}",
                refusal.path.as_deref().unwrap_or("$"),
                refusal.reason
            ))
            .hint(hint)
    }
}
