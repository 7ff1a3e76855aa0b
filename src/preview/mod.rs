//! Runs a batch, or a test case, from its records to the rows that a run would load, without a database: reads, masks,
//! transforms and checks as a run does, and keeps the rows and the refusals.

mod cases;
mod cells;
mod look;
mod pass;

pub use cases::{Actual, CaseResult, Difference, NewCase, create, test, update};
pub use look::{Preview, Request, Table, look};
