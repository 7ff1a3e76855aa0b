//! Where a source's files lie and how their bytes are read.

use super::RecordPath;
use crate::error::Location;

#[derive(Debug, Clone)]
pub struct Input {
    /// As written, `{date:...}` and globs unresolved, `${env:...}` resolved. Relative to the project's root unless
    /// absolute or a URL.
    pub path: String,
    pub location: Location,
    pub format: Format,
    /// `None`: told by the file's ending (`.gz`, `.zst`, `.bz2`).
    pub compression: Option<Compression>,
    pub records: RecordPath,
    pub on_missing: OnMissing,
    pub on_empty: OnEmpty,
    pub on_empty_file: OnEmptyFile,
    pub on_malformed: OnMalformed,
    pub on_no_records: OnNoRecords,
    pub csv: CsvOptions,
    /// Object-store settings that are no secrets (`endpoint`, `region`, ...), named as object_store names them.
    pub storage: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An array, one document, or concatenated documents.
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

/// What a record does that can't be read or breaks the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMalformed {
    /// It is refused and noted; its neighbours load.
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
    /// Cells equal to one of these are null; an empty cell always is for a type other than string.
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
