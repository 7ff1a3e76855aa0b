//! Where a source's files are and how their bytes are read.

use super::RecordPath;
use crate::error::Location;

#[derive(Debug, Clone)]
pub struct Input {
    /// Where the files are. There is at least one.
    pub paths: Vec<InputPath>,
    pub format: Format,
    /// `None` means that the first bytes of each file decide.
    pub compression: Option<Compression>,
    pub encoding: Encoding,
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

/// A path, or a pattern, of files.
#[derive(Debug, Clone)]
pub struct InputPath {
    /// The path as written: `{date:...}` and wildcards are not resolved yet, `${env:...}` is. It is relative to the
    /// project's root, unless it is absolute or a URL.
    pub path: String,
    /// The kind of all records in these files. `None`: the records tell.
    pub kind: Option<String>,
    pub location: Location,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON array, one document, or several documents one after the other.
    Json,
    Ndjson,
    Csv,
    Parquet,
    /// The manifest of a bulk export (HL7 FHIR Bulk Data Access), which names files of newline-delimited JSON.
    FhirBulk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
    Bzip2,
    /// An archive with one file in it.
    Zip,
}

impl Compression {
    /// Its name in a source's YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Zip => "zip",
        }
    }
}

/// How the text of the input files is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    /// The byte order mark gives the byte order, or else the zero bytes of ASCII characters do.
    Utf16,
    Utf16Le,
    Utf16Be,
    /// ISO 8859-1.
    Latin1,
    /// ISO 8859-15.
    Latin9,
    Windows1250,
    Windows1252,
}

impl Encoding {
    /// All encodings with their names in a source's YAML. The first is the default.
    pub const ALL: [(&'static str, Self); 8] = [
        ("utf-8", Self::Utf8),
        ("utf-16", Self::Utf16),
        ("utf-16le", Self::Utf16Le),
        ("utf-16be", Self::Utf16Be),
        ("latin1", Self::Latin1),
        ("iso-8859-15", Self::Latin9),
        ("windows-1250", Self::Windows1250),
        ("windows-1252", Self::Windows1252),
    ];

    /// Its name in a source's YAML.
    pub fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, encoding)| *encoding == self);
        named.map_or("", |(name, _)| name)
    }
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
    /// An object that lacks the last key of the path is itself a record. All else is refused.
    Whole,
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
