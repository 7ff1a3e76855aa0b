//! A cluster, as a run sees it: something that brings tasks to executors and their answers back.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::error::Result;

/// Brings tasks to executors. A task that is lost with its executor is given to another one.
pub trait Cluster: Send + Sync {
    /// Has an executor call [`Worker::work`](super::remote::Worker::work), and returns what that returned. Where the future
    /// is dropped, the tasks are given up.
    ///
    /// # Errors
    /// The cluster can't be reached, or no executor could end a task.
    fn run(&self, run_id: i64, job: Job) -> BoxFuture<'_, Result<Vec<u8>>>;
}

/// The tasks of a batch.
#[derive(Debug, Clone)]
pub struct Job {
    /// That of the executor that fills the tables.
    pub fill: Vec<u8>,
    /// Those of the executors that read parts of the input for it, with
    /// [`Worker::read`](super::remote::Worker::read), in the order of the parts.
    pub parts: Vec<Vec<u8>>,
}

/// A cluster, and what its executors must know of the project.
#[derive(Clone)]
pub struct OnCluster {
    pub cluster: Arc<dyn Cluster>,
    /// The texts of the project's files, by their paths in the project.
    pub texts: Arc<BTreeMap<PathBuf, String>>,
    /// The size of the parts into which the input of a large batch is divided, in bytes. `None`: it is not divided.
    pub part_size: Option<u64>,
}

impl fmt::Debug for OnCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnCluster").finish_non_exhaustive()
    }
}
