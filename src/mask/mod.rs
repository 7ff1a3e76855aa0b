//! The masks that replace sensitive values at first touch: above the scan and below every SQL. Which masks a source
//! declares is checked with the project; what they do to a batch is planned once per source ([`Masks::plan`]) and applied
//! to every decoded batch ([`Masks::apply`]), the only way to a [`Masked`] one.
//!
//! Pure functions over Arrow, but for the key, which is read or made here. It never lets a value, or a part of the
//! key, into an error, a log line or a `Debug` output, and never hashes without the key.

mod apply;
mod key;
mod key_file;
mod kinds;
mod plan;

pub use key::{MaskKey, NameHash};
pub use key_file::{KEY_FILE, KEY_VARIABLE, LoadedKey};
pub use kinds::zip3::ZIP3_LISTS;
pub use plan::{Masked, Masks, Unmasked, needs_key};

#[cfg(test)]
mod tests;
