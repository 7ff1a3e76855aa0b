//! The embedded database, for a project that names none: PostgreSQL compiled to WebAssembly, run inside this process.
//! This module also has the lock of its folder and the port or socket that `serve-db` opens. It knows nothing of sessions,
//! tables or SQL.

mod door;
#[cfg(feature = "embedded")]
mod engine;
#[cfg(not(feature = "embedded"))]
#[path = "no_engine.rs"]
mod engine;
mod folder_lock;
mod serve;
mod server;
mod socket;
#[cfg(all(test, feature = "embedded"))]
mod tests;

pub use door::Listen;
pub use serve::{Served, serve_db};
pub use server::Embedded;
