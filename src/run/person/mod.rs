//! One person: where their rows are, and how they are erased. The person's id is held in memory only.

mod entries;
mod erase;
mod groups;
mod lone;
mod probe;
mod records;
mod spot;
mod subject;
mod trace;
mod unsearched;

pub use entries::unsuppress;
pub use erase::{Erased, Planned, erase, plan};
pub use records::{Entry, FileTrace};
pub use subject::{Person, Subject};
pub use trace::{BatchTrace, Named, Trace, ViewTrace, trace};
pub use unsearched::Unsearched;
