//! All that knows PostgreSQL: connections, the embedded database, migrations, the contract against the catalog,
//! views and queries. It never reads a project's files itself (save `migrations/`, which it runs) and never prints;
//! no value from the data and no password leaves it in an error, a log line or a Debug output.

pub mod contract;
pub mod database;
pub mod ddl;
pub mod error;
pub mod migrate;
pub mod pool;
pub mod query;
pub mod sql;
pub mod views;

mod catalog;
mod connect;
mod conninfo;
mod embedded;
mod holder;
mod passfile;
mod place;
mod serve;
mod server;
mod target;
#[cfg(test)]
mod testing;
mod tls;

pub use database::Database;
pub use pool::{Connection, Dedicated, Warehouse};
pub use serve::{Served, serve_db};
