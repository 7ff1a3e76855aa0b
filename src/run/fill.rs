//! Fills a batch's staging tables, and counts what was read and refused on the way. This is the part of a batch that
//! reads its input. It runs in the process that began the run, or on an executor of a cluster.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::Context;
use super::input::{BatchInput, Salvaged};
use super::kinds::KindsOutcome;
use super::observer::Activity;
use super::outcome::Records;
use super::staging::{StagedEntity, Staging};
use super::{missing, suppression};
use crate::error::{Error, Result};
use crate::ingest::ReadStats;
use crate::mask::Masks;
use crate::model::{Batch, RecordRef, Refusal, Source};
use crate::transform::{Counted, Prepared, Tally};
use crate::warehouse::{StageCounter, Staged, StagingRun};

/// A batch whose staging tables are to be filled.
pub(super) struct Filling<'a> {
    pub context: &'a Arc<Context>,
    pub source: &'a Source,
    pub batch: &'a Batch,
    pub input: BatchInput,
}

/// A batch whose staging tables are filled. `T` is a table: one that can be swapped, or what another process tells of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Filled<T> {
    pub entities: Vec<FilledEntity<T>>,
    pub read: Read,
}

/// One entity's rows, and what its checks said of them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FilledEntity<T> {
    pub table: T,
    /// Rows that the transform returned.
    pub produced: u64,
    pub refusals: Vec<Refusal>,
    /// Rows that break a check which only warns, by check.
    pub warnings: BTreeMap<String, u64>,
    /// Rows that lost the values of some columns.
    pub suppressed: u64,
    /// In the order of [`super::staging::STAGES`].
    pub times: Vec<Duration>,
    /// The elements that must be as many as the rows, where the source says so.
    pub elements: Option<Counted>,
    /// Rows that the refused records would have given.
    pub missing: u64,
}

/// What was read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Read {
    /// Records found in the files, good and bad.
    pub found: u64,
    pub records: Records,
    pub kinds: KindsOutcome,
    pub refusals: Vec<Refusal>,
    /// Files that hold no record.
    pub empty_files: Vec<String>,
    /// What the read has warned of.
    pub warnings: Vec<String>,
    /// In the order of [`READ_STAGES`].
    pub times: Vec<Duration>,
}

/// The names of the times of [`Read`].
pub(super) const READ_STAGES: [&str; 3] = ["read", "parse", "mask"];

/// Why the tables were not filled, and what was refused until then.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Unfilled {
    pub error: Error,
    pub refusals: Vec<Refusal>,
}

impl From<Error> for Unfilled {
    fn from(error: Error) -> Self {
        Self {
            error,
            refusals: Vec::new(),
        }
    }
}

/// Refused records, and how many more are left out because their person is on the suppression list.
#[derive(Default)]
struct Refused {
    refusals: Vec<Refusal>,
    suppressed: u64,
}

impl Filling<'_> {
    /// Fills the staging tables of all entities.
    pub async fn run(mut self, run: &StagingRun) -> Result<Filled<Staged>, Unfilled> {
        let filled = match suppress(self.context, self.source, &mut self.input).await {
            Ok(()) => self.fill(run).await,
            Err(error) => Err(error),
        };
        filled.map_err(|error| Unfilled {
            error,
            refusals: self
                .input
                .take_salvaged()
                .map(|salvaged| self.refused(&salvaged).refusals)
                .unwrap_or_default(),
        })
    }

    async fn fill(&self, run: &StagingRun) -> Result<Filled<Staged>> {
        let plans = self.context.plans.of(self.source);
        let conserved = plans.iter().filter_map(|plan| plan.conserves.as_ref());
        let tally = self.context.plans.engine.tally(conserved, self.batch)?;
        let counters: Vec<Arc<StageCounter>> = plans.iter().map(|_| Arc::default()).collect();
        let started = activity(
            self.batch,
            plans,
            &counters,
            self.input.listing.bytes(),
            &self.input.stats,
        );
        self.context.observer.started(started);
        let staging = Staging {
            context: self.context,
            batch: self.batch,
            input: &self.input,
            run,
            plans,
            counters: &counters,
            tally: Arc::clone(&tally),
        };
        let staged = staging.run().await?;
        let salvaged = self.input.take_salvaged()?;
        let refused = self.refused(&salvaged);
        let missing = missing::missing(&self.context.plans.engine, plans, &self.input, self.batch, salvaged).await?;
        let entities = staged.into_iter().map(|one| filled(one, &tally, &missing)).collect();
        Ok(Filled {
            entities,
            read: self.read(refused),
        })
    }

    /// Takes out the refused records, without those of persons on the suppression list, as far as these can be read.
    fn refused(&self, salvaged: &[Salvaged]) -> Refused {
        let Self { input, .. } = self;
        let mut kind_of: HashMap<RecordRef, usize> = HashMap::new();
        for Salvaged { records, suppressed } in salvaged {
            kind_of.extend(suppressed.iter().map(|id| (input.locate(*id), records.kind())));
        }
        let mut refused = Refused {
            refusals: input.stats.take_refused(),
            suppressed: 0,
        };
        if !kind_of.is_empty() {
            refused.refusals.retain(|one| {
                let file = one.file.clone();
                let kind = one
                    .record
                    .and_then(|number| kind_of.get(&RecordRef { file, number }).copied());
                if let Some(kind) = kind {
                    refused.suppressed += 1;
                    input.stats.leave_out_refused(kind);
                }
                kind.is_none()
            });
        }
        refused
    }

    fn read(&self, refused: Refused) -> Read {
        let stats = &self.input.stats;
        let kinds = KindsOutcome::of(self.source, stats);
        let left_out = stats.left_out();
        let times = &stats.times;
        Read {
            found: stats.read.load(Ordering::Relaxed),
            records: Records {
                accepted: stats.records.load(Ordering::Relaxed) - left_out,
                refused: refused.refusals.len() as u64,
                suppressed: left_out + refused.suppressed,
                unknown: kinds.unknown.count,
            },
            kinds,
            refusals: refused.refusals,
            empty_files: stats.empty_files(),
            warnings: stats.warnings(),
            times: vec![times.split.get(), times.decode.get(), times.mask.get()],
        }
    }
}

/// Leaves out the records of persons on the suppression list. It is read after the run has begun: who adds to it waits for
/// runs that have begun before.
pub(super) async fn suppress(context: &Context, source: &Source, input: &mut BatchInput) -> Result<()> {
    let connection = context.warehouse.acquire().await?;
    let Context { project, masks, .. } = context;
    let list = suppression::of_source(&connection, project, source, masks.key()).await?;
    if let Some((subjects, hashes)) = list {
        let masks = Masks::clone(&input.masks);
        input.masks = Arc::new(masks.suppressing(subjects, hashes));
    }
    Ok(())
}

/// What an observer sees of a batch while it is filled.
pub(super) fn activity(
    batch: &Batch,
    plans: &[Prepared],
    counters: &[Arc<StageCounter>],
    input_bytes: u64,
    read: &Arc<ReadStats>,
) -> Activity {
    let entities = plans.iter().map(|plan| plan.outline.entity.clone());
    Activity {
        batch: batch.clone(),
        input_bytes,
        read: Arc::clone(read),
        entities: entities.zip(counters.iter().cloned()).collect(),
    }
}

fn filled(one: StagedEntity, tally: &Tally, missing: &BTreeMap<String, u64>) -> FilledEntity<Staged> {
    let StagedEntity {
        staged, report, times, ..
    } = one;
    FilledEntity {
        elements: tally.of(staged.entity()),
        missing: missing.get(staged.entity()).copied().unwrap_or_default(),
        table: staged,
        produced: report.produced,
        refusals: report.refusals,
        warnings: report.warnings,
        suppressed: report.suppressed,
        times: times.into(),
    }
}

impl<T> Filled<T> {
    /// The same with other tables.
    pub fn with_tables<U>(self, mut other: impl FnMut(T) -> Result<U>) -> Result<Filled<U>> {
        let entity = |one: FilledEntity<T>| {
            Ok(FilledEntity {
                table: other(one.table)?,
                produced: one.produced,
                refusals: one.refusals,
                warnings: one.warnings,
                suppressed: one.suppressed,
                times: one.times,
                elements: one.elements,
                missing: one.missing,
            })
        };
        Ok(Filled {
            entities: self.entities.into_iter().map(entity).collect::<Result<_>>()?,
            read: self.read,
        })
    }
}
