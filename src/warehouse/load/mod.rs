//! Loads a batch: its lock, its run in the history, staging tables, checks on them, and the swap that makes them
//! live. It also removes what dead runs have left. It does not know where rows come from.

mod active_run;
mod batch_locks;
mod batch_partitions;
pub mod checks;
pub mod column_masks;
pub mod combinations;
mod commit;
pub mod diversity;
pub mod drop;
mod elsewhere;
pub mod erase;
pub mod failpoint;
pub mod held;
mod indexing;
mod live_rows;
mod partition;
pub mod person;
mod progress;
pub mod quarantine;
mod recovery;
pub mod relations;
pub mod runs;
mod stage_counter;
mod staging;
mod staging_tables;
pub mod statistics;
pub mod suppression;
mod swap;
mod swap_locks;
mod swap_transaction;
#[cfg(test)]
mod tests;

pub use active_run::ActiveRun;
pub use batch_locks::{BatchLock, BatchLocks};
pub use elsewhere::Handed;
pub use progress::{EntityProgress, Progress};
pub use recovery::recover;
pub use stage_counter::{Phase, StageCounter};
pub use staging::{Staged, StagingRun};
pub use swap::Committed;
