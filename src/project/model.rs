//! The checked types that the other stages read. Nothing here knows YAML.

use std::path::PathBuf;

use chrono::NaiveDate;

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
    /// `sql/checks`, sorted by file name.
    pub checks: Vec<SqlCheck>,
    /// `pipeline.yaml` as read, for the fingerprint of a run.
    pub text: String,
    /// What the reader role may see at most.
    pub profile: Profile,
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
    /// What the rows of every source must hold, besides the key's uniqueness and the columns' `nullable: false`.
    pub checks: Vec<Check>,
    pub location: Location,
}

/// What the rows of an entity must hold, within a batch.
#[derive(Debug, Clone)]
pub struct Check {
    /// Unique within its entity: as given, else the rule and its columns.
    pub name: String,
    pub rule: Rule,
    pub severity: Severity,
    /// Whether the rows that belong to a refused row stay.
    pub keep_orphans: bool,
    pub location: Location,
}

/// A check holds where its rule is true or unknown (null), as for CHECK in SQL; `not_null` alone refuses nulls.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    NotNull(String),
    /// Of rows with the same values the first stays; rows with a null in them are never the same.
    Unique(Vec<String>),
    AcceptedValues {
        column: String,
        values: Vec<String>,
    },
    /// Both bounds belong to it.
    Range {
        column: String,
        min: Option<String>,
        max: Option<String>,
    },
    /// A predicate over the entity's columns, in DataFusion's SQL.
    Expression(String),
    /// The batch holds a row of the other entity with the same values in these columns.
    Relationships {
        entity: String,
        columns: Vec<String>,
    },
    /// Rows loaded; `change` is the most that they may differ from the batch before, in percent of that.
    RowCount {
        min: Option<u64>,
        max: Option<u64>,
        change: Option<f64>,
    },
    /// The newest value is no older than this, counted from the batch's date.
    Freshness {
        column: String,
        days: u64,
    },
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotNull(column) => write!(f, "not_null({column})"),
            Self::Unique(columns) => write!(f, "unique({})", columns.join(", ")),
            Self::AcceptedValues { column, .. } => write!(f, "accepted_values({column})"),
            Self::Range { column, .. } => write!(f, "range({column})"),
            Self::Expression(sql) => write!(
                f,
                "expression({})",
                sql.split_whitespace().collect::<Vec<_>>().join(" ")
            ),
            Self::Relationships { entity, columns } => write!(f, "relationships({entity}: {})", columns.join(", ")),
            Self::RowCount { .. } => f.write_str("row_count"),
            Self::Freshness { column, .. } => write!(f, "freshness({column})"),
        }
    }
}

/// What a check does with what breaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The row is refused and noted; the rest of the batch loads.
    Quarantine,
    /// Counted and told; the rows load.
    Warn,
    /// The batch fails and the old content stays.
    Fail,
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

impl PgType {
    /// The widest of the types whose values are compared with each other as they are.
    #[must_use]
    pub fn family(self) -> Self {
        match self {
            Self::Varchar(_) => Self::Text,
            Self::Int2 | Self::Int4 => Self::Int8,
            Self::Float4 => Self::Float8,
            Self::Numeric(_) => Self::Numeric(None),
            other => other,
        }
    }
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
    /// The top-level scalar field that says whose record it is; keys date shifts.
    pub subject: Option<String>,
    pub on_unknown_field: OnUnknownField,
    /// One per entity that the source serves, in the order of the entities.
    pub transforms: Vec<Transform>,
    pub max_quarantined: Tolerance,
    /// What its rows must hold beyond the contracts, each with its entity.
    pub checks: Vec<(String, Check)>,
    /// At most one per entity, and that has a transform.
    pub conserves: Vec<Conserved>,
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

/// What a record does that can't be read or breaks the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMalformed {
    /// It is refused and noted; its neighbours load.
    Quarantine,
    Fail,
}

/// How much of a batch may be refused before it fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// Records, and rows of each entity.
    Count(u64),
    /// Of the records read, and of the rows that a transform returned.
    Percent(f64),
}

impl Tolerance {
    pub fn allows(self, refused: u64, of: u64) -> bool {
        match self {
            Self::Count(most) => refused <= most,
            // Exact up to 2^53 of either.
            #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
            Self::Percent(most) => refused as f64 * 100.0 <= most * of as f64,
        }
    }
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::Percent(1.0)
    }
}

impl std::fmt::Display for Tolerance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(most) => write!(f, "{most}"),
            Self::Percent(most) => write!(f, "{most}%"),
        }
    }
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
    /// Of a leaf: a scalar, or the element of a list of scalars.
    pub privacy: Privacy,
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

/// What a transform may neither lose nor multiply: its rows are as many as these elements of the records.
#[derive(Debug, Clone)]
pub struct Conserved {
    pub entity: String,
    /// Of the schema; ends at the elements of a list. Empty stands for the records themselves.
    pub path: RecordPath,
    /// `path` in one spelling: `visits[].diagnoses[]`, or `$`.
    pub shown: String,
    /// Elements for which it is not true are left out on purpose.
    pub filter: Option<ElementFilter>,
    pub location: Location,
}

/// A predicate in DataFusion's SQL over the fields of an element, or over `item` where it is no struct.
#[derive(Debug, Clone)]
pub struct ElementFilter {
    pub sql: String,
    pub location: Location,
}

/// A SQL file that selects, in PostgreSQL's SQL, what may not be in a batch.
#[derive(Debug, Clone)]
pub struct SqlCheck {
    pub name: String,
    /// `Fail` or `Warn`: its rows need not be rows of an entity, so they can't be refused one by one.
    pub severity: Severity,
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

/// What a project promises about the data that its reader role sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Profile {
    /// HIPAA, 45 CFR 164.514(b)(2).
    SafeHarbor,
    /// GDPR, Art. 4(5).
    Pseudonymised,
    /// Nothing beyond what the fields say.
    #[default]
    Custom,
}

/// How sensitive a leaf is and what replaces its value before any SQL sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Privacy {
    /// `None`: not classed, which counts as [`PhiClass::None`].
    pub phi: Option<PhiClass>,
    pub mask: Option<MaskKind>,
    /// What kind of value it is: the same value of the same domain is masked alike in every source. `None`: the
    /// field's own path in its source.
    pub domain: Option<String>,
    /// Why a sensitive field is kept.
    pub reason: Option<String>,
}

/// What kind of sensitive value a leaf holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PhiClass {
    Identifier,
    Name,
    Date,
    Geo,
    Contact,
    FreeText,
    /// Identifies together with others: age, occupation, ethnicity.
    Quasi,
    None,
}

impl PhiClass {
    pub const ALL: [Self; 8] = [
        Self::Identifier,
        Self::Name,
        Self::Date,
        Self::Geo,
        Self::Contact,
        Self::FreeText,
        Self::Quasi,
        Self::None,
    ];

    /// As YAML spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identifier => "identifier",
            Self::Name => "name",
            Self::Date => "date",
            Self::Geo => "geo",
            Self::Contact => "contact",
            Self::FreeText => "free_text",
            Self::Quasi => "quasi",
            Self::None => "none",
        }
    }
}

/// What replaces a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MaskKind {
    Keep,
    Redact,
    Null,
    Hash,
    Pseudonym,
    DateShift,
    Year,
    Zip3,
    AgeCap,
}

impl MaskKind {
    pub const ALL: [Self; 9] = [
        Self::Keep,
        Self::Redact,
        Self::Null,
        Self::Hash,
        Self::Pseudonym,
        Self::DateShift,
        Self::Year,
        Self::Zip3,
        Self::AgeCap,
    ];

    /// As YAML spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Redact => "redact",
            Self::Null => "null",
            Self::Hash => "hash",
            Self::Pseudonym => "pseudonym",
            Self::DateShift => "date_shift",
            Self::Year => "year",
            Self::Zip3 => "zip3",
            Self::AgeCap => "age_cap",
        }
    }
}
