//! The masks that replace sensitive values before any SQL runs. The project check decides which masks a source may
//! declare. [`Masks::plan`] plans them once per source. [`Masks::apply`] applies them to every decoded batch and is the
//! only way to get a [`Masked`] batch.
//!
//! All functions are pure and work on Arrow arrays, except that the key is read or made here. No value and no part of
//! the key ever appears in an error, a log line or a `Debug` output. Nothing is hashed without the key.

mod apply;
mod batch;
mod invent;
mod key;
mod key_file;
mod kinds;
mod nested;
mod plan;
mod suppression;

pub use batch::{Masked, Unmasked};
pub use key::{MaskKey, NameHash};
pub use key_file::{KEY_FILE, KEY_VARIABLE, LoadedKey};
pub use kinds::zip3::ZIP3_LISTS;
pub use plan::{Masks, needs_key};
pub use suppression::{SubjectHash, id_domains, subject_domains};

#[cfg(test)]
mod tests;
