//! One person: where their rows are, and how they are erased. The person's id is held in memory only.

mod entries;
mod erase;
mod groups;
mod probe;
mod records;
mod subject;
mod trace;

pub use entries::unsuppress;
pub use erase::{Erased, Planned, erase, plan};
pub use groups::Unsearched;
pub use records::{Entry, FileTrace};
pub use subject::{Person, Subject};
pub use trace::{BatchTrace, Trace, ViewTrace, trace};
