//! Runs the analysts' SQL on DataFusion: plans each transform once, checks its output against the
//! entity's contract before a byte is read, and feeds all transforms of a batch from one parse of
//! its input. It owns the only session builder and the only list of functions; it never opens a
//! file and knows no database.

mod ast;
mod bind;
mod elements;
mod failure;
mod feed;
mod functions;
mod guards;
mod narrow;
mod ordinal;
mod plan;
mod planner;
mod record;
mod session;
mod sort;
mod steady;

pub use elements::{Counted, Tally};
pub use feed::{Broadcast, Feed, broadcast};
pub use guards::Guard;
pub use plan::{Accepts, Effort, Execution, Outline, Prepared};
pub use planner::sample;
pub(crate) use session::SOURCE_TABLE;
pub use session::{Engine, Limits};

#[cfg(test)]
mod tests;
