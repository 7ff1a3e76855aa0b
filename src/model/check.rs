//! The checks that rows must pass.

use std::path::PathBuf;

use crate::error::{Code, Error, Location};

/// A check that the rows of an entity must pass, within one batch.
#[derive(Debug, Clone)]
pub struct Check {
    /// Unique within its entity. If the user gives no name, it is made of the rule and its columns.
    pub name: String,
    pub rule: Rule,
    pub severity: Severity,
    /// If true, rows that belong to a refused row are kept.
    pub keep_orphans: bool,
    pub location: Location,
}

/// The rule of a check. A rule passes if it is true or unknown (null), as for CHECK in SQL. Only `not_null` refuses
/// nulls.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    NotNull(String),
    /// Of rows with the same values in these columns, only the first is kept. A row with a null in them equals no other
    /// row.
    Unique(Vec<String>),
    AcceptedValues {
        column: String,
        values: Vec<String>,
    },
    /// Both bounds are allowed values.
    Range {
        column: String,
        min: Option<String>,
        max: Option<String>,
    },
    /// A condition on the entity's columns, in DataFusion's SQL.
    Expression(String),
    Relationships(Relationship),
    /// Limits the number of rows loaded. `change` limits the difference to the previous batch, in percent of its rows.
    RowCount {
        min: Option<u64>,
        max: Option<u64>,
        change: Option<f64>,
    },
    /// The newest value must not be older than this, counted back from the batch's date.
    Freshness {
        column: String,
        days: u64,
    },
}

/// There must be a row of the other entity with the same values in these columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Relationship {
    pub entity: String,
    pub columns: Vec<String>,
    pub scope: Scope,
}

/// Where the rows are that others refer to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// In the same batch.
    #[default]
    Batch,
    /// In the same batch or in any other batch of the source that is in the tables.
    Source,
}

impl Rule {
    /// The columns of the entity that the rule reads. `None`: they are not known, and may be all.
    pub fn columns(&self) -> Option<Vec<&str>> {
        match self {
            Self::NotNull(column)
            | Self::AcceptedValues { column, .. }
            | Self::Range { column, .. }
            | Self::Freshness { column, .. } => Some(vec![column]),
            Self::Unique(columns) | Self::Relationships(Relationship { columns, .. }) => {
                Some(columns.iter().map(String::as_str).collect())
            }
            Self::RowCount { .. } => Some(Vec::new()),
            Self::Expression(_) => None,
        }
    }

    /// What a rule of two entities says; `None` of others.
    pub fn relationship(&self) -> Option<&Relationship> {
        match self {
            Self::Relationships(relationship) => Some(relationship),
            _ => None,
        }
    }
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
            Self::Relationships(Relationship { entity, columns, .. }) => {
                write!(f, "relationships({entity}: {})", columns.join(", "))
            }
            Self::RowCount { .. } => f.write_str("row_count"),
            Self::Freshness { column, .. } => write!(f, "freshness({column})"),
        }
    }
}

/// What happens to rows that fail a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The row is refused and recorded; the rest of the batch is loaded.
    Quarantine,
    /// The rows are counted and reported, and are loaded.
    Warn,
    /// The batch fails and the old rows stay in the table.
    Fail,
}

/// A SQL file with a SELECT in PostgreSQL's SQL. Each row that it returns is a fault of the batch.
#[derive(Debug, Clone)]
pub struct SqlCheck {
    pub name: String,
    /// `Fail` or `Warn`. `Quarantine` is not possible: the query's rows need not be rows of an entity, so there may be
    /// no row to refuse.
    pub severity: Severity,
    /// Relative to the project's root.
    pub path: PathBuf,
    pub sql: String,
}

/// A check whose result a transform computes for each row, in a Boolean column. True means that the row passes. The
/// column is never null.
#[derive(Debug, Clone)]
pub struct RowCheck {
    /// The name of the check that it comes from.
    pub name: String,
    /// The column that the check is about, if it is about a single column.
    pub column: Option<String>,
    /// Why a row is refused. It contains no value.
    pub reason: String,
    pub severity: Severity,
    pub keep_orphans: bool,
}

/// The error of a check whose severity is `fail`.
pub(crate) fn failed(check: &str, entity: &str) -> Error {
    Error::batch(format!("the check {check} of {entity} failed")).code(Code::CheckFailed)
}

/// What to do where rows break such a check.
pub(crate) const LET_IT_REFUSE: &str = "mend the input or the SQL, or let the check refuse rows: severity: quarantine";
