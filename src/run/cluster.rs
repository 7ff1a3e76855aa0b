//! A cluster, as a run sees it: something that brings tasks to executors and their answers back.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::error::Result;

/// Brings tasks to executors. A task that is lost with its executor is given to another one.
pub trait Cluster: Send + Sync {
    /// Has an executor call [`Worker::work`](super::remote::Worker::work) with this task, and returns what that returned. Where the future is dropped, the
    /// task is given up.
    ///
    /// # Errors
    /// The cluster can't be reached, or no executor could end the task.
    fn run(&self, run_id: i64, task: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>>>;
}

/// A cluster, and what its executors must know of the project.
#[derive(Clone)]
pub struct OnCluster {
    pub cluster: Arc<dyn Cluster>,
    /// The texts of the project's files, by their paths in the project.
    pub texts: Arc<BTreeMap<PathBuf, String>>,
}

impl fmt::Debug for OnCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnCluster").finish_non_exhaustive()
    }
}
