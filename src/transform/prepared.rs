//! The results of planning a transform: first its outline, which tells where columns come from, then the prepared
//! transform, which can run.

use std::path::PathBuf;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::LogicalPlan;

use super::elements::Elements;
use super::places::Places;
use crate::model::{PgType, RowCheck};

/// Checks whether a column of this Arrow type can be stored in this PostgreSQL type without loss. The error says why
/// not.
pub type Accepts = fn(&DataType, &PgType) -> std::result::Result<(), String>;

/// A planned transform whose output columns are those of the entity.
#[derive(Debug, Clone)]
pub struct Outline {
    pub entity: String,
    /// The SQL file, relative to the project.
    pub path: PathBuf,
    /// The plan before optimization. Its output is the entity's columns in the contract's order, then `_record`.
    pub(crate) plan: LogicalPlan,
    /// Where its SQL may fail for a value.
    pub(super) places: Places,
    /// Whether its FROM unnests laterally, which DataFusion does not plan. Then the hint shows an equivalent form.
    pub(super) unnests_sideways: bool,
}

/// A transform that is planned, fits its entity, and can run.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub outline: Outline,
    /// How often the SQL scans `source`, before optimization. The optimizer may drop a scan whose predicate is false
    /// on a batch's date. A transform with more than one scan does not share the parse: it reads the input
    /// separately.
    pub scans: usize,
    /// The row checks whose results are in the rows, in the order of their columns.
    pub row_checks: Vec<RowCheck>,
    /// The elements of the records whose number must equal the number of rows.
    pub conserves: Option<Elements>,
    /// The plan. Its output is the entity's columns in the contract's order, then `_record`, then a Boolean per row
    /// check, sorted by the key. `$date` and `$source` are not bound yet.
    pub(super) plan: LogicalPlan,
    /// The part of `source` that the plan reads, `_record` included.
    pub(super) input: SchemaRef,
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
