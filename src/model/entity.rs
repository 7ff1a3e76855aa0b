//! The target tables that all sources share, as declared in `pipeline.yaml`.

use super::{Check, Scope};
use crate::error::Location;

/// The columns that every PostgreSQL table has (manual, "System Columns"). They tell the partition of a row, which is its
/// batch.
pub(crate) const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// A target table that all sources share.
#[derive(Debug, Clone)]
pub struct Entity {
    pub name: String,
    pub description: Option<String>,
    /// In the contract's order, without the partition columns `source` and `batch_date`.
    pub columns: Vec<Column>,
    /// Columns that identify a row within a batch. Empty if the entity has no key.
    pub key: Vec<String>,
    pub parent: Option<Parent>,
    /// The entity of which this one holds the keys that are deleted, so that its `latest` view does not show them.
    pub deletes_from: Option<String>,
    /// The column that is true in a row which says that its key is deleted, so that its `latest` view does not show it.
    pub deleted_flag: Option<String>,
    pub indexes: Vec<Index>,
    /// Checks on the rows of every source, in addition to the key and the columns with `nullable: false`.
    pub checks: Vec<Check>,
    pub location: Location,
}

impl Entity {
    /// An entity of which nothing is declared yet but its name.
    pub fn named(name: String, location: Location) -> Self {
        Self {
            name,
            description: None,
            columns: Vec::new(),
            key: Vec::new(),
            parent: None,
            deletes_from: None,
            deleted_flag: None,
            indexes: Vec::new(),
            checks: Vec::new(),
            location,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub pg_type: PgType,
    pub nullable: bool,
    pub description: Option<String>,
    pub location: Location,
}

/// The PostgreSQL types that a contract may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PgType {
    Text,
    /// The length in characters, if given.
    Varchar(Option<u32>),
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Precision and scale, if given.
    Numeric(Option<(u16, i16)>),
    Date,
    Timestamp,
    TimestampTz,
    Jsonb,
    Uuid,
    TextArray,
}

impl PgType {
    /// The widest type of this type's family, for example text for a varchar. Types of one family are compared without
    /// a conversion.
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

/// The parent entity. Each row belongs to the parent row that has the same values in columns of the same names.
#[derive(Debug, Clone)]
pub struct Parent {
    pub entity: String,
    /// The columns that identify the parent row. They exist in the parent and in the child.
    pub columns: Vec<String>,
    pub scope: Scope,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub columns: Vec<String>,
}
