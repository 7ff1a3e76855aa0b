//! Connections to a database: connection strings, password files, TLS, sessions and their pool. It knows nothing of
//! the statements that are sent.

mod config;
mod conninfo;
mod database;
mod dial;
mod environment;
mod kept_session;
mod passfile;
mod pool;
#[cfg(test)]
mod pooler_tests;
mod protection;
mod server;
mod service;
mod session;
mod target;
mod tls;
mod url;
mod values;

pub use database::Database;
pub use kept_session::KeptSession;
pub use pool::{Connection, Dedicated, Warehouse};
