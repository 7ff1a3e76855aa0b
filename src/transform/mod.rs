//! Runs the analysts' SQL on DataFusion: plans each transform once, checks its output against the
//! entity's contract before a byte is read, and feeds all transforms of a batch from one parse of
//! its input. It owns the only session builder and the only list of functions; it never opens a
//! file and knows no database.

mod ast;
mod bind;
mod cached_plan;
mod dialect;
mod elements;
mod execute;
mod failure;
mod functions;
mod narrow;
mod not_in;
mod ordinal;
mod parse;
mod plan;
mod planner;
mod prepared;
mod record;
mod row_checks;
mod scan_input;
mod session;
mod sort;
mod volatility;

pub use elements::{Counted, Tally};
pub use execute::{Execution, PlanMetrics};
pub(crate) use failure::place;
pub use plan::Used;
pub use planner::sample;
pub use prepared::{Accepts, Outline, Prepared};
pub use scan_input::{Broadcast, ScanInput, broadcast};
pub(crate) use session::SOURCE_TABLE;
pub use session::{Engine, Limits};

#[cfg(test)]
mod tests;
