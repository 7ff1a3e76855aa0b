//! What planning a transform gives: first its outline, which tells where columns come from, then what can be run.

use std::path::PathBuf;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::LogicalPlan;

use super::cached_plan::CachedPlan;
use super::elements::Elements;
use crate::model::{PgType, RowCheck};

/// Tells whether a column of this Arrow type can be stored in this PostgreSQL type without loss; why not, otherwise.
pub type Accepts = fn(&DataType, &PgType) -> std::result::Result<(), String>;

/// A transform that can be read: its names are known and its output's columns are the entity's.
#[derive(Debug, Clone)]
pub struct Outline {
    pub entity: String,
    /// The SQL file, relative to the project.
    pub path: PathBuf,
    /// Not optimized: the entity's columns in the contract's order, then `_record`.
    pub(crate) plan: LogicalPlan,
    /// Whether its FROM unnests sideways, which DataFusion does not plan; then the hint shows the form that it does.
    pub(super) unnests_sideways: bool,
}

/// A transform that was planned and fits its entity.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub outline: Outline,
    /// How often it scans `source`, at most: the optimizer may drop a scan that a date makes idle. A transform that scans
    /// more than once reads the input by itself.
    pub scans: usize,
    /// The checks that the rows carry the result of, in the order of their columns.
    pub row_checks: Vec<RowCheck>,
    /// The elements of the records that its rows are as many as.
    pub conserves: Option<Elements>,
    /// The entity's columns in the contract's order, then `_record`, then a Boolean per row check; sorted by the key;
    /// `$date` and `$source` still open.
    pub(super) plan: LogicalPlan,
    /// What the plan reads of `source`, `_record` included.
    pub(super) input: SchemaRef,
    pub(super) cached: CachedPlan,
}

impl Prepared {
    /// How many scalar fields of the records it reads.
    #[cfg(test)]
    pub(crate) fn reads(&self) -> usize {
        self.input
            .flattened_fields()
            .iter()
            .filter(|field| !field.data_type().is_nested())
            .count()
    }
}
