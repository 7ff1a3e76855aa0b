//! Refuses aggregates that DataFusion plans and can't compute, when the project is checked: several over a window, most of
//! them with DISTINCT or over a frame whose start moves.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::window::{PlainAggregateWindowExpr, SlidingAggregateWindowExpr, WindowExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};

/// Over what an aggregate is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Group,
    Window,
    /// A frame whose start moves. An aggregate there has to forget rows.
    MovingFrame,
}

/// An aggregate that can't be computed where it stands.
#[derive(Debug)]
pub(super) struct Uncomputable {
    pub function: String,
    pub distinct: bool,
    over: Over,
}

impl Uncomputable {
    /// The aggregate that an error is about, where it is one of these.
    pub fn of(error: &DataFusionError) -> Option<&Self> {
        match error.find_root() {
            DataFusionError::External(own) => own.downcast_ref(),
            _ => None,
        }
    }

    pub fn hint(&self) -> &'static str {
        match self.over {
            Over::MovingFrame => {
                "let the frame start at UNBOUNDED PRECEDING, or join each row with the rows of its frame and use GROUP BY"
            }
            Over::Window => "join each row with the rows of its window, and use GROUP BY",
            Over::Group if self.distinct => "take DISTINCT rows in a CTE, and the function over those",
            Over::Group => "cast its argument to another type, or use another function",
        }
    }
}

impl fmt::Display for Uncomputable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let distinct = if self.distinct { "(DISTINCT)" } else { "" };
        let over = match self.over {
            Over::Group => "of this type",
            Over::Window => "over a window",
            Over::MovingFrame => "over a frame whose start moves",
        };
        write!(f, "DataFusion can't compute `{}{distinct}` {over}", self.function)
    }
}

impl std::error::Error for Uncomputable {}

/// Makes sure that every aggregate of a plan can be computed.
pub(super) fn refused(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    plan.apply(|node| {
        if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
            for one in aggregate.aggr_expr() {
                let grouped = !aggregate.group_expr().is_empty() && one.groups_accumulator_supported();
                let made = if grouped {
                    one.create_groups_accumulator().map(drop)
                } else {
                    one.create_accumulator().map(drop)
                };
                made.map_err(|error| refusal(error, one, Over::Group))?;
            }
        }
        if let Some(window) = node.downcast_ref::<BoundedWindowAggExec>() {
            window.window_expr().iter().try_for_each(of_window)?;
        }
        if let Some(window) = node.downcast_ref::<WindowAggExec>() {
            window.window_expr().iter().try_for_each(of_window)?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn of_window(window: &Arc<dyn WindowExpr>) -> Result<()> {
    let window = window.as_any();
    if let Some(plain) = window.downcast_ref::<PlainAggregateWindowExpr>() {
        let one = plain.get_aggregate_expr();
        let made = one.create_accumulator();
        made.map_err(|error| refusal(error, one, Over::Window))?;
    }
    if let Some(moving) = window.downcast_ref::<SlidingAggregateWindowExpr>() {
        let one = moving.get_aggregate_expr();
        let made = one.create_sliding_accumulator();
        made.map_err(|error| refusal(error, one, Over::MovingFrame))?;
    }
    Ok(())
}

/// Other errors stay as they are: they tell what is wrong with the arguments.
fn refusal(error: DataFusionError, aggregate: &AggregateFunctionExpr, over: Over) -> DataFusionError {
    if !matches!(error.find_root(), DataFusionError::NotImplemented(_)) {
        return error;
    }
    DataFusionError::External(Box::new(Uncomputable {
        function: aggregate.fun().name().to_owned(),
        distinct: aggregate.is_distinct(),
        over,
    }))
}
