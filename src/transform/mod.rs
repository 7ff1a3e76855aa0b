//! Runs the users' SQL on DataFusion. It plans each transform once, checks its output against the entity's contract
//! before any input is read, and gives all transforms of a batch the records of one parse. All DataFusion sessions
//! are built here, and all functions are listed here. It never opens a file and knows no database.

mod ast;
mod bind;
mod canonical;
mod cast_names;
mod catalog;
mod depth;
mod dialect;
mod elements;
mod exact;
mod execute;
mod failure;
mod functions;
mod ignored;
mod inputs;
mod list_fields;
mod marks;
mod memory;
mod merged;
mod merged_columns;
mod narrow;
mod not_in;
mod ordinal;
mod parse;
mod places;
mod plan;
mod planner;
mod prepared;
mod record;
mod refuse;
mod row_checks;
mod scan_input;
mod session;
mod sort;
mod struct_fields;
mod tokens;
mod uncomputable;
mod unnest;
mod volatility;
mod wording;

pub use catalog::SqlFunction;
pub(crate) use depth::is_too_deep;
pub use elements::{Counted, Tally};
pub use execute::{Execution, Operator, PlanMetrics};
pub(crate) use failure::place;
pub use plan::Used;
pub use planner::sample;
pub use prepared::{Accepts, Outline, Prepared};
pub use refuse::Failed;
pub use scan_input::{Broadcast, ScanInput, broadcast};
pub use session::{Engine, Limits};
pub(crate) use wording::words;

#[cfg(test)]
mod tests;
