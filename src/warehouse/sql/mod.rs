//! Helpers for SQL statements: quoting, the names of the schemas, and how errors of PostgreSQL are described. It
//! opens no connection and sends nothing.

mod error;
pub mod position;
mod quote;
mod schemas;

pub use error::{
    ClientFailure, Over, client_failure, db_error, describe, describe_over, is_unreachable, rows_error, sqlstate,
};
pub use quote::{at_most, ident, idents, literal, qualified};
pub use schemas::{CHECKER, ENTITIES, PARTITIONS, PATH, PROJECT_PATH, READING};
