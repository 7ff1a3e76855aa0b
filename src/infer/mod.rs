//! Proposes a source from a sample of its files: the schema, the classes and masks, and the SQL that fills the entities.
//! It is used by `pipeline source add` only. A run infers nothing.
//!
//! A sample is folded into a [`shape::Shape`] while it is read, so memory does not grow with the sample. No value of the
//! sample is kept, written or shown: a shape holds counts, lengths, bounds and hashes. Only where the user asks for it, a
//! few values are kept to be printed ([`samples::Samples`]).

mod classify;
mod columns;
mod compare;
mod declare;
mod diff;
mod edit;
mod fhir;
mod fit;
mod kinds;
mod location;
mod merge;
mod observe;
mod overlay;
mod parquet;
mod proposal;
mod records;
mod render;
mod request;
mod sample;
mod samples;
mod scalar;
mod shape;
mod subject;
mod tables;
mod texts;
mod update;
mod words;
mod write;
mod writing;

pub use compare::{Change, ChangeKind};
pub use request::{Entities, Request};
pub use samples::Samples;
pub use update::{Updated, update};
pub use write::{Added, add};
