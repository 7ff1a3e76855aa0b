//! What may not be loaded, and the accounts that show that nothing else was lost: refused records and rows, with the
//! place and the reason of each, collected while a batch runs.
//!
//! It never holds a value of the data, never writes to a database, and never decides by itself to leave something out
//! without a trace: what can't be kept as an entry fails the batch.

mod account;
mod quarantine;

pub use account::{Account, Records, Rows};
pub use quarantine::{Counts, MOST_ENTRIES, Quarantine, Refusal};
