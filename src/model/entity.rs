//! The target tables that all sources share, as `pipeline.yaml` declares them.

use super::Check;
use crate::error::Location;

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
