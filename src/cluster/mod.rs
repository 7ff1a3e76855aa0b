//! Brings the batches of a run to other machines by Apache DataFusion Ballista: its scheduler gives a batch to an executor
//! that is free, and to another one where that is lost. What an executor does is in `run`; what crosses the network is a
//! recipe of the batch one way and its report the other.

mod client;
mod codec;
mod executor;
mod health;
mod job_files;
mod net;
mod plan;
mod scheduler;

use std::net::SocketAddr;

pub use client::Client;
pub use executor::{Executor, serve as execute};
pub use net::TlsFiles;
pub use scheduler::{Scheduler, serve as schedule};

/// Where a server of the cluster listens.
#[derive(Debug, Clone, Copy)]
pub struct Where {
    pub address: SocketAddr,
    /// Where it tells how it is.
    pub health: Option<SocketAddr>,
    /// Whether it asks for a certificate.
    pub encrypted: bool,
}

/// The largest message between the machines, in bytes. Ballista's own limit of 16 MiB is less than the files of a large
/// project.
const MESSAGE: u32 = 256 << 20;
