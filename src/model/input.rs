//! Where a source's files are and how their bytes are read.

use super::RecordPath;
use crate::error::Location;

#[derive(Debug, Clone)]
pub struct Input {
    /// The path as written: `{date:...}` and wildcards are not resolved yet, `${env:...}` is. It is relative to the
    /// project's root, unless it is absolute or a URL.
    pub path: String,
    pub location: Location,
    pub format: Format,
    /// `None` means that the file's ending decides (`.gz`, `.zst`, `.bz2`).
    pub compression: Option<Compression>,
    pub records: RecordPath,
    pub on_missing: OnMissing,
    pub on_empty: OnEmpty,
    pub on_empty_file: OnEmptyFile,
    pub on_malformed: OnMalformed,
    pub on_no_records: OnNoRecords,
    pub csv: CsvOptions,
    /// Object-store settings that are not secret (`endpoint`, `region`, ...), named as in the crate object_store.
    pub storage: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON array, one document, or several documents one after the other.
    Json,
    Ndjson,
    Csv,
    Parquet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
    Bzip2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    Fail,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnEmpty {
    Fail,
    Replace,
}

/// What a file without records does, where other files of the batch have some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnEmptyFile {
    Warn,
    Fail,
    Ignore,
}

/// What happens when a record can't be read or does not match the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMalformed {
    /// The record is refused and recorded; the other records are loaded.
    Quarantine,
    Fail,
}

/// What a document, a line or an entry does in which the path to the records leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnNoRecords {
    /// It is a refused record.
    Refuse,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknownField {
    Ignore,
    Warn,
    Fail,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    pub delimiter: u8,
    pub quote: u8,
    pub header: bool,
    /// Cells equal to one of these texts are null. An empty cell is always null, unless the field is a string.
    pub nulls: Vec<String>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: b'"',
            header: true,
            nulls: vec![String::new()],
        }
    }
}
