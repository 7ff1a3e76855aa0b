//! Brings the batches of a run to other machines by Apache DataFusion Ballista: its scheduler gives a batch to an executor
//! that is free, and to another one where that is lost. What an executor does is in `run`; what crosses the network is a
//! recipe of the batch one way and its report the other.

mod client;
mod codec;
mod executor;
mod plan;
mod scheduler;

pub use client::Client;
pub use executor::{Executor, serve as execute};
pub use scheduler::serve as schedule;

/// The largest message between the machines, in bytes. Ballista's own limit of 16 MiB is less than the files of a large
/// project.
const MESSAGE: u32 = 256 << 20;
