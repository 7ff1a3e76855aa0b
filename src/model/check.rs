//! The checks that rows must pass.

use std::path::PathBuf;

use crate::error::Location;

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

/// A check that a transform's rows carry the result of: one Boolean column, never null, true where it holds.
#[derive(Debug, Clone)]
pub struct RowCheck {
    /// Of the check that it comes from.
    pub name: String,
    /// The column it is about, where it is about one.
    pub column: Option<String>,
    /// Why a row is refused; holds no value.
    pub reason: String,
    pub severity: Severity,
    pub keep_orphans: bool,
}
