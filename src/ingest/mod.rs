//! Reads the input of a batch: lists its files, splits their bytes into records, and decodes the records into Arrow by
//! the source's declared schema. Records are found before they are decoded. So each record knows its file, number and
//! byte offset, and a bad one becomes a refusal ([`crate::model::Refusal`]) that need not fail the batch.
//!
//! It infers no schema and converts no value silently. A read that can't reach the end of a file reports that. No value
//! of the data appears in an error or a log line.

mod ahead;
mod content;
mod decode;
mod encoding;
mod export;
mod failure;
mod fetch;
mod files;
mod gather;
mod lines;
mod listing;
mod merge;
mod odd_keys;
mod open;
mod parquet;
mod part;
mod pattern;
mod reach;
mod read;
mod reading;
mod sample;
mod secret_files;
mod split;
mod stats;
mod store;
mod store_error;
mod store_hosts;
mod stored;
#[cfg(test)]
mod testing;
mod unknown;
mod unpack;
mod walk;
mod zip;

pub use export::Export;
pub use files::InputFile;
pub use listing::{Listing, list};
pub use merge::Merge;
pub use part::Part;
pub use pattern::is_glob;
pub use reach::reach;
pub use sample::{Opened, SampleFile, Stored, sample_files};
pub use stats::{KindRecords, PartReport, ReadStats, ReadTimes};
pub use unknown::{Names, Unknown};
