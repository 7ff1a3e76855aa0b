//! healthcare-insights: nested JSON of many healthcare sources, flattened with SQL on Apache
//! DataFusion into partitioned PostgreSQL tables.
//!
//! The way of the data is one direction; the stages do not know each other, and [`run`] is the
//! arrow diagram in code:
//!
//! ```text
//! project ──> ingest ──> mask ──> transform ──> quality ──> warehouse ──> report
//! ```
#![forbid(unsafe_code)]

pub mod cli;
mod cores;
pub mod error;
pub mod ingest;
pub mod lineage;
pub mod mask;
pub mod model;
pub mod project;
pub mod quality;
pub mod report;
pub mod run;
pub mod timing;
pub mod transform;
pub mod warehouse;
pub mod workspace;

pub use error::{Error, Result};
