//! Arrow batches to PostgreSQL's binary COPY format (PostgreSQL's manual, COPY, "Binary Format").
//!
//! Own code, because the two crates for it serve another purpose. `pgpq` derives the PostgreSQL type from the Arrow type
//! and wants a table of its own making; here the contract is given, and what does not fit it (precision, length, range,
//! null, NUL) must be an error that names the row. It names the field, aborts in the middle of a batch, and passes a NUL
//! or a date beyond PostgreSQL's on to the server, where the whole COPY is lost to an error without a record number.
//! `arrow-pg` answers queries: it looks up the type of each cell, boxes it, and decimals pass through 96 bits.
//!
//! It never rounds, truncates or replaces a value, and no error tells one.

mod cells;
mod codec;
mod encoder;
mod json;
mod numeric;
mod texts;
mod time;

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

pub use codec::accepts;
pub use encoder::{EncodeError, Encoder, HEADER, Rows, TRAILER};
