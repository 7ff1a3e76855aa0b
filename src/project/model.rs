//! The checked types that the other stages read. Nothing here knows YAML.

use std::path::PathBuf;

use chrono::NaiveDate;

pub use super::limit::MaxQuarantined;
use crate::error::Location;

/// One batch: the unit of work, of replacement, of retry and of parallelism.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Batch {
    pub source: String,
    pub date: NaiveDate,
}

impl std::fmt::Display for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.source, self.date)
    }
}

/// A whole project, checked.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder that holds `pipeline.yaml`.
    pub root: PathBuf,
    /// Parents before their children.
    pub entities: Vec<Entity>,
    /// Sorted by name.
    pub sources: Vec<Source>,
    /// `sql/functions`, `sql/views`, `sql/materialized`, each sorted by file name.
    pub views: Vec<View>,
    /// `pipeline.yaml` as read, for the fingerprint of a run.
    pub text: String,
}

/// A target table that all sources share.
#[derive(Debug, Clone)]
pub struct Entity {
    pub name: String,
    pub description: Option<String>,
    /// In the contract's order, without the partition columns `source` and `batch_date`.
    pub columns: Vec<Column>,
    /// Columns that identify a row within a batch; empty where there is no key.
    pub key: Vec<String>,
    pub parent: Option<Parent>,
    pub indexes: Vec<Index>,
    pub location: Location,
}

#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub pg_type: PgType,
    pub nullable: bool,
    pub description: Option<String>,
    pub location: Location,
}

/// The PostgreSQL types that a contract may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PgType {
    Text,
    /// Length in characters, where given.
    Varchar(Option<u32>),
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Precision and scale, where given.
    Numeric(Option<(u16, i16)>),
    Date,
    Timestamp,
    TimestampTz,
    Jsonb,
    Uuid,
    TextArray,
}

/// The entity whose row a row belongs to, joined by columns of the same names.
#[derive(Debug, Clone)]
pub struct Parent {
    pub entity: String,
    /// The parent's columns, all present in the child.
    pub columns: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub columns: Vec<String>,
}

/// One upstream system.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub aliases: Vec<String>,
    pub description: Option<String>,
    pub input: Input,
    /// The declared fields of a record.
    pub schema: Vec<Field>,
    pub on_unknown_field: OnUnknownField,
    pub max_quarantined: MaxQuarantined,
    /// One per entity that the source serves, in the order of the entities.
    pub transforms: Vec<Transform>,
    pub location: Location,
    /// The YAML as read, for the fingerprint of a run.
    pub text: String,
}

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
    pub on_malformed: OnMalformed,
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

/// Where records start inside a document; empty is the document itself. Where the path ends at an array, each of its
/// elements is a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordPath(pub Vec<RecordStep>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordStep {
    Key(String),
    /// `[*]`
    Each,
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

/// What becomes of a record that can't be read or breaks the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMalformed {
    /// It is refused, and its neighbours load.
    Quarantine,
    /// It fails the batch.
    Fail,
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

/// A declared field of a source's record.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub field_type: FieldType,
    /// Present and not null.
    pub required: bool,
    /// The JSON type that the value comes in, where it is not the natural one of its type.
    pub from: Option<From>,
    pub location: Location,
}

#[derive(Debug, Clone, PartialEq, Eq, Copy)]
pub enum From {
    /// A number or boolean that is sent as a string: `"1234"`.
    String,
    /// A string that is sent as a number: `1234`.
    Number,
}

#[derive(Debug, Clone)]
pub enum FieldType {
    String,
    Bool,
    /// 32 bits, signed.
    Int,
    /// 64 bits, signed.
    Bigint,
    Double,
    /// Precision 1 to 38, scale 0 to precision.
    Decimal(u8, i8),
    /// chrono formats, tried in order; empty is ISO 8601 (`%Y-%m-%d`).
    Date(Vec<String>),
    /// Without time zone, microseconds; formats as for dates, empty is ISO 8601 without an offset.
    Timestamp(Vec<String>),
    /// An instant, microseconds UTC; empty is RFC 3339, the offset is required.
    TimestampTz(Vec<String>),
    /// Any JSON value, kept as its text.
    Json,
    Struct(Vec<Field>),
    /// Elements have the name `item`.
    List(Box<Field>),
}

/// One SQL file: the rows that one source brings to one entity.
#[derive(Debug, Clone)]
pub struct Transform {
    pub entity: String,
    /// Relative to the project's root.
    pub path: PathBuf,
    pub sql: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ViewKind {
    Function,
    View,
    Materialized,
}

/// A SQL file that `pipeline views` makes into a database object named after the file.
#[derive(Debug, Clone)]
pub struct View {
    pub name: String,
    pub kind: ViewKind,
    /// Relative to the project's root.
    pub path: PathBuf,
    pub sql: String,
}
