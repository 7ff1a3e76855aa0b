//! All that knows PostgreSQL: connections, the embedded database, migrations, the contract against the catalog,
//! views and queries. It never reads a project's files itself (save `migrations/`, which it runs) and never prints;
//! no value from the data and no password leaves it in an error, a log line or a Debug output.

pub mod checks;
pub mod claim;
pub mod comments;
pub mod contract;
pub mod database;
pub mod ddl;
pub mod drop;
pub mod encode;
pub mod error;
pub mod failpoint;
pub mod leaf;
pub mod migrate;
pub mod orphans;
pub mod pool;
pub mod quarantine;
pub mod query;
pub mod roles;
pub mod runs;
pub mod sql;
pub mod stage;
pub mod swap;
pub mod views;

mod catalog;
mod connect;
mod conninfo;
mod embedded;
mod exchange;
mod holder;
mod indexing;
#[cfg(test)]
mod load_tests;
mod passfile;
mod place;
pub mod relations;
mod serve;
mod server;
mod target;
#[cfg(test)]
mod testing;
mod tls;

pub use claim::{Claim, Lease};
pub use database::Database;
pub use encode::accepts;
pub use pool::{Connection, Dedicated, Warehouse};
pub use serve::{Served, serve_db};
pub use stage::{StageCounter, Staged, StagingRun};
pub use swap::Committed;
