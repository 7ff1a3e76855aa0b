//! The input of a batch: lists its files, splits their bytes into records, and decodes the records into Arrow against
//! the source's declared schema. Records are split before they are decoded, so that each knows its file, number and
//! byte offset, and a bad one is data ([`crate::model::Refusal`]) before it is a failure.
//!
//! It never infers a schema, never coerces a value in silence, never shortens a read, and never puts a value of the
//! data into an error or a log line.

mod ahead;
mod decode;
mod failure;
mod fetch;
mod files;
mod gather;
mod open;
mod parquet;
mod pattern;
mod read;
mod reading;
mod split;
mod stats;
mod store;
#[cfg(test)]
mod testing;
mod unknown;

pub use files::{InputFile, Listing, list};
pub use pattern::is_glob;
pub use stats::{ReadStats, ReadTimes};
pub use unknown::Unknown;
