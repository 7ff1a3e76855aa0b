//! Helpers for SQL statements: quoting, the names of the schemas, and how errors of PostgreSQL are described. It
//! opens no connection and sends nothing.

mod error;
pub mod position;
mod quote;
mod schemas;

pub use error::{ClientFailure, client_failure, db_error, describe, is_unreachable, sqlstate};
pub use quote::{at_most, ident, idents, literal, qualified};
pub use schemas::{ENTITIES, PARTITIONS, READING};
