//! healthcare-insights loads nested JSON from many healthcare sources. It flattens the records with SQL on Apache
//! DataFusion and writes them to partitioned PostgreSQL tables.
//!
//! Data flows in one direction and the stages do not know each other. [`run`] calls them in this order:
//!
//! ```text
//! project ──> ingest ──> mask ──> transform ──> quality ──> warehouse ──> report
//! ```
#![forbid(unsafe_code)]

pub mod check;
pub mod cli;
#[cfg(feature = "cluster")]
pub mod cluster;
mod cores;
pub mod doctor;
pub mod error;
pub mod infer;
pub mod ingest;
pub mod init;
pub mod lineage;
pub mod lsp;
pub mod mask;
pub mod model;
pub mod preview;
pub mod project;
pub mod quality;
pub mod report;
pub mod run;
pub mod timing;
pub mod transform;
pub mod warehouse;
pub mod workspace;

pub use cores::STACK_BYTES;
pub use error::{Error, Result};
