//! Runs the part of a batch that reads its input on an executor of a cluster. The process that began the run keeps the
//! batch's lock, its account, its fence and its swap. An executor gets a [`Recipe`]: the texts of the project, the files of
//! the batch as they were listed, and ids. It finds the key of the masks, the credentials of stores and the database in its
//! own environment, so that none of them is sent. What it sends back holds counts, refusals and names of tables, and no
//! value of the data.
//!
//! How a task comes to an executor is not known here: see [`Cluster`].

mod recipe;
mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::batch;
use super::context::Context;
use super::fill::{self, Filled, Unfilled};
use super::fingerprint::fingerprint;
use crate::error::{Error, Result};
use crate::ingest::{InputFile, ReadStats};
use crate::mask::MaskKey;
use crate::model::Source;
use crate::warehouse::{ActiveRun, Handed, StageCounter, Staged};

use recipe::{Recipe, VERSION};
pub use worker::{Capacity, LoadSent, Worker};

/// Brings tasks to executors. A task that is lost with its executor is given to another one.
pub trait Cluster: Send + Sync {
    /// Has an executor call [`Worker::work`] with this task, and returns what that returned. Where the future is dropped, the
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

/// What an executor answers.
#[derive(Debug, Serialize, Deserialize)]
enum Report {
    Filled(Filled<Handed>),
    Unfilled(Unfilled),
}

impl Report {
    fn to_bytes(&self) -> Vec<u8> {
        // The types have no map with other keys than texts, so this can't fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|error| Error::internal().cause(error))
    }
}

/// Has the staging tables of a batch filled on the cluster. `files` are those of the batch.
pub(super) async fn fill(
    on: &OnCluster,
    context: &Arc<Context>,
    source: &Source,
    files: &[InputFile],
    run: &ActiveRun,
) -> Result<Filled<Staged>, Unfilled> {
    let plans = context.plans.of(source);
    let counters: Vec<Arc<StageCounter>> = plans.iter().map(|_| Arc::default()).collect();
    let bytes = files.iter().map(|file| file.size).sum();
    let stats = Arc::new(ReadStats::default());
    let started = fill::activity(run.batch(), plans, &counters, bytes, &stats);
    context.observer.started(started);
    let files = batch::noted(context, files);
    let recipe = Recipe {
        version: VERSION.to_owned(),
        root: root(context)?,
        texts: BTreeMap::clone(&on.texts),
        source: source.name.clone(),
        date: run.batch().date,
        run_id: run.run_id(),
        key_id: context.masks.key().map(MaskKey::key_id),
        fingerprint: fingerprint(&context.project, source, &files, context.masks.key_id(source)),
        files,
    };
    let answer = tokio::select! {
        answer = on.cluster.run(run.run_id(), recipe.to_bytes()) => answer?,
        () = context.stop.cancelled() => return Err(Error::interrupted().into()),
    };
    match Report::from_bytes(&answer)? {
        Report::Filled(filled) => Ok(filled.with_tables(|handed| run.take_over(handed))?),
        Report::Unfilled(unfilled) => Err(unfilled),
    }
}

/// The project's folder as other processes find it.
fn root(context: &Context) -> Result<PathBuf> {
    let root = &context.project.root;
    std::path::absolute(root)
        .map_err(|error| Error::project(format!("the folder {} can't be used", root.display())).cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::model::Refusal;

    #[test]
    fn a_report_arrives_as_it_was_sent() {
        let refusal = Refusal {
            entity: Some("visits".into()),
            check: "not_null".into(),
            record: Some(3),
            reason: "visit_date is null".into(),
            ..Refusal::default()
        };
        let sent = Report::Unfilled(Unfilled {
            error: Error::batch("it failed").code(Code::InputMissing).hint("a remedy"),
            refusals: vec![refusal.clone()],
        });
        let Report::Unfilled(arrived) = Report::from_bytes(&sent.to_bytes()).unwrap() else {
            panic!("it was no success");
        };
        assert_eq!(arrived.refusals, [refusal]);
        assert_eq!(arrived.error.code, Code::InputMissing);
        assert!(Report::from_bytes(b"").is_err());
    }
}
