//! Decides which rows may be loaded. It applies the row checks, whose results are columns of a transform's rows. It
//! keeps the first of several rows with the same key, and refuses rows that depend on a refused row. It counts the
//! refused rows and says why, never with a value. It knows neither SQL nor PostgreSQL.

mod keys;
mod pass;
mod suppress;
mod validator;

pub use keys::{Key, Keys, row_keys};
pub use pass::Locate;
pub use suppress::Suppress;
pub use validator::{Deny, FindMisfits, RowValidator, ValidationReport};

#[cfg(test)]
mod tests;
