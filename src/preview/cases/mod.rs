//! `pipeline test`: runs the test cases of a project side by side, without a database, and compares what comes out with
//! what is expected.

mod actual;
mod bench;
mod compare;
mod create;
mod matching;
mod update;
mod yaml;

pub use actual::Actual;
pub use bench::{CaseResult, test};
pub use compare::Difference;
pub use create::{NewCase, create};
pub use update::update;
