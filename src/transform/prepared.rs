//! The results of planning a transform: first its outline, which tells where columns come from, then the prepared
//! transform, which can run.

use std::path::PathBuf;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;

use super::elements::Elements;
use super::inputs::Inputs;
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

impl Outline {
    /// Whether each row depends on no more than one record, so that the rows of some records are the same whatever
    /// records follow. It may say no although it is so.
    pub fn is_by_record(&self) -> bool {
        let (mut local, mut nodes, mut all) = (true, 0, 0);
        let walked = self.plan.apply(|node| {
            nodes += 1;
            local &= matches!(
                node,
                LogicalPlan::Projection(_)
                    | LogicalPlan::Filter(_)
                    | LogicalPlan::Unnest(_)
                    | LogicalPlan::TableScan(_)
                    | LogicalPlan::SubqueryAlias(_)
                    | LogicalPlan::Union(_)
                    | LogicalPlan::EmptyRelation(_)
            );
            Ok(TreeNodeRecursion::Continue)
        });
        // A subquery reads all records.
        let walked_all = self.plan.apply_with_subqueries(|_| {
            all += 1;
            Ok(TreeNodeRecursion::Continue)
        });
        local && nodes == all && walked.is_ok() && walked_all.is_ok()
    }
}

/// A transform that is planned, fits its entity, and can run.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub outline: Outline,
    /// The kinds that the SQL scans, by their indexes, once for each scan, before optimization. The optimizer may drop a
    /// scan whose predicate is false on a batch's date.
    pub scans: Vec<usize>,
    /// The row checks whose results are in the rows, in the order of their columns.
    pub row_checks: Vec<RowCheck>,
    /// The elements of the records whose number must equal the number of rows.
    pub conserves: Option<Elements>,
    /// The plan. Its output is the entity's columns in the contract's order, then `_record`, then a Boolean per row
    /// check, sorted by the key. `$date` and `$source` are not bound yet.
    pub(super) plan: LogicalPlan,
    /// The parts of the source's tables that the plan reads, `_record` included.
    pub(super) inputs: Inputs,
}

impl Prepared {
    /// The kind whose records it can take from a parse that others share. `None`: it scans more than one table, or one
    /// more than once, so it reads the input by itself. If one scan waited for the other, as in a join, neither could
    /// take its records from one stream.
    pub fn shares(&self) -> Option<usize> {
        match self.scans[..] {
            [kind] => Some(kind),
            _ => None,
        }
    }

    /// How many scalar fields of the records it reads.
    #[cfg(test)]
    pub(crate) fn reads(&self) -> usize {
        let read = self.scans.iter().filter_map(|kind| self.inputs.get(*kind));
        let scalars = |input: &super::inputs::Input| {
            let fields = input.schema.flattened_fields();
            fields.iter().filter(|field| !field.data_type().is_nested()).count()
        };
        read.map(scalars).sum()
    }
}
