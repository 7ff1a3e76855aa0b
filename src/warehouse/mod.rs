//! All that knows PostgreSQL, in wings that use each other only downwards:
//!
//! ```text
//! sql < embedded < connect < schema < copy < load
//!                  connect < views, access, query, health
//! ```
//!
//! It never reads a project's files itself (save `migrations/`, which it runs) and never prints. No value from the data
//! and no password leaves it in an error, a log line or a Debug output.

mod access;
mod connect;
mod copy;
mod embedded;
pub mod health;
mod load;
pub mod query;
mod schema;
mod sql;
#[cfg(test)]
mod testing;
pub mod views;

pub use access::{comments, roles};
pub use connect::{Connection, Database, Warehouse};
pub use copy::{Encoder, Fit, accepts};
pub use embedded::{Listen, Served, serve_db};
pub use load::column_masks as masks;
pub use load::held;
pub use load::{
    ActiveRun, BatchLock, BatchLocks, Committed, EntityProgress, Handed, Phase, Progress, StageCounter, Staged,
    StagingRun, recover,
};
pub use load::{
    checks, combinations, diversity, drop, erase, failpoint, person, quarantine, relations, runs, statistics,
    suppression,
};
pub use schema::{drift, migrate, migration_new, type_name};
