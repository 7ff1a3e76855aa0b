//! Decides which rows may be loaded: applies the checks that a transform's rows carry the result of, keeps the first of
//! the rows with one key, and refuses what belongs to a refused row. It counts what it refuses and says why, never with
//! a value; it knows neither SQL nor PostgreSQL.

mod keys;
mod validator;

pub use keys::{Key, Keys};
pub use validator::{Deny, Locate, RowValidator, ValidationReport};

#[cfg(test)]
mod tests;
