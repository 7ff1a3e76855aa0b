//! Runs the part of a batch that reads its input on an executor of a cluster. The process that began the run keeps the
//! batch's lock, its account, its fence and its swap. An executor gets a [`Recipe`]: the texts of the project, the files of
//! the batch as they were listed, and ids. It finds the key of the masks, the credentials of stores and the database in its
//! own environment, so that none of them is sent. What it sends back holds counts, refusals and names of tables, and no
//! value of the data.
//!
//! How a task comes to an executor is not known here: see [`Cluster`].

mod frames;
mod parts;
mod progress;
mod recipe;
mod report;
mod same;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::Utc;

use super::context::Context;
use super::files::noted;
use super::fill::{self, Filled, Unfilled};
use super::fingerprint::fingerprint;
use crate::error::{Error, Result};
use crate::ingest::{InputFile, Part, ReadStats};
use crate::mask::MaskKey;
use crate::model::Source;
use crate::warehouse::{ActiveRun, StageCounter, Staged};

pub use super::cluster::{Cluster, Job, OnCluster};
pub use parts::PartRows;
use recipe::{Recipe, VERSION, Work};
use report::Report;
pub use worker::{Capacity, LoadSent, Worker};

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
    context.observer.started(started.clone());
    let job = job(on, context, source, files, run)?;
    let answer = tokio::select! {
        answer = on.cluster.run(run.run_id(), job) => answer?,
        () = context.stop.cancelled() => return Err(Error::interrupted().into()),
        never = progress::follow(&context.locks, run.run_id(), &started) => match never {},
    };
    match Report::from_bytes(&answer)? {
        Report::Filled(filled) => {
            // The executor has logged them where nobody may look.
            for warning in &filled.read.warnings {
                tracing::warn!("{warning}");
            }
            let filled = filled.with_tables(|handed| run.take_over(handed))?;
            progress::end(&filled, &started);
            Ok(filled)
        }
        Report::Unfilled(unfilled) => Err(unfilled),
    }
}

/// The tasks of a batch.
fn job(on: &OnCluster, context: &Context, source: &Source, files: &[InputFile], run: &ActiveRun) -> Result<Job> {
    let today = Utc::now().date_naive();
    let noted = noted(context, files);
    let whole = Recipe {
        version: VERSION.to_owned(),
        root: root(context)?,
        texts: BTreeMap::clone(&on.texts),
        source: source.name.clone(),
        date: run.batch().date,
        run_id: run.run_id(),
        key_id: context.masks.key().map(MaskKey::key_id),
        fingerprint: fingerprint(&context.project, source, &noted, context.masks.key_id(source)),
        files: Vec::new(),
        today,
        work: Work::Fill,
    };
    let masks = context.masks.of(source, run.batch(), today)?;
    let cost = whole.to_bytes().len();
    let parts = parts::divided(files, source, &masks, on.part_size, context.batches, cost);
    if !parts.is_empty() {
        let run_id = run.run_id();
        tracing::info!(
            source = source.name,
            run_id,
            parts = parts.len(),
            "the input is read in parts"
        );
    }
    let read = |(number, part): (i32, &Part)| {
        let recipe = Recipe {
            files: noted[part.files()].to_vec(),
            work: Work::Read {
                part: *part,
                number,
                bytes: part.stored_bytes(files),
            },
            ..whole.clone()
        };
        recipe.to_bytes()
    };
    Ok(Job {
        parts: (1..).zip(&parts).map(read).collect(),
        fill: Recipe {
            files: noted,
            work: if parts.is_empty() {
                Work::Fill
            } else {
                Work::FillFrom(parts)
            },
            ..whole
        }
        .to_bytes(),
    })
}

/// The project's folder as other processes find it.
fn root(context: &Context) -> Result<PathBuf> {
    let root = &context.project.root;
    std::path::absolute(root)
        .map_err(|error| Error::project(format!("the folder {} can't be used", root.display())).cause(error))
}
