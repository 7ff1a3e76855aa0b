//! Encodes Arrow batches in PostgreSQL's binary COPY format (PostgreSQL's manual, COPY, "Binary Format").
//!
//! Two crates do something similar, but neither fits. In this program the contract fixes the types, and a value that
//! does not fit (precision, length, range, null, NUL) must give an error that names the row.
//!
//! - `pgpq` derives the PostgreSQL type from the Arrow type and expects a table made to match. Its errors name only
//!   the field and abort in the middle of a batch. It sends a NUL or a date beyond PostgreSQL's range to the server,
//!   which aborts the whole COPY with an error that has no record number.
//! - `arrow-pg` serves query results. It looks up the type of each cell and boxes it, and it passes decimals through
//!   96 bits.
//!
//! No value is ever rounded, truncated or replaced, and no error quotes a value.

mod cells;
mod codec;
mod encoder;
mod fit;
mod index_rows;
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
pub use fit::Fit;
