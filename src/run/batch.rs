//! Runs one batch, from its files to its swap. Each step consumes the one before. Dropping a step leaves the live
//! tables as they were.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::clock::Clock;
use super::context::Context;
use super::fingerprint::{files_value, fingerprint};
use super::input::BatchInput;
use super::kinds::{self, KindsOutcome};
use super::observer::Activity;
use super::outcome::{BatchOutcome, EntityOutcome, Records, Status};
use super::shown::shown;
use super::staging::{StagedEntity, Staging};
use super::{account, checks, deletions, missing, replaced, suppression};
use crate::cores::cores;
use crate::error::{Error, Result};
use crate::ingest::{self, InputFile, Listing, ReadStats};
use crate::mask::Masks;
use crate::model::{Batch, ColumnMasks, OnEmptyFile, RecordRef, Refusal, Shown, Source};
use crate::transform::Tally;
use crate::warehouse::runs::{Action, Failure, RunRecord, Summary};
use crate::warehouse::{ActiveRun, Connection, StageCounter, Staged, StagingRun};

/// Runs one batch to its end. An error is part of the outcome.
pub(super) async fn run(context: Arc<Context>, batch: Batch) -> BatchOutcome {
    let begun = Instant::now();
    let mut outcome = match load(&context, &batch).await {
        Ok(outcome) => outcome,
        Err(error) => BatchOutcome::failed(batch, error),
    };
    outcome.elapsed = begun.elapsed();
    context.observer.finished(&outcome);
    outcome
}

async fn load(context: &Arc<Context>, batch: &Batch) -> Result<BatchOutcome> {
    let source = context.project.source(&batch.source)?;
    let mut clock = Clock::start();
    let listing = ingest::list(&context.project.root, source, batch.date).await?;
    clock.lap("list");
    let record = record(context, source, listing.as_ref());
    let Some(listing) = listing else {
        let run_id = context.locks.skip(batch, &record).await?;
        return Ok(BatchOutcome::skipped(batch.clone(), run_id));
    };
    let input = input(context, source, batch, listing)?;
    let run = tokio::select! {
        run = context.locks.start_run(batch, &record, context.wait) => run?,
        // A run that is begun meanwhile is one of a dead process to the next run.
        () = context.stop.cancelled() => return Err(Error::interrupted()),
    };
    clock.lap("lock");
    let step = Loading {
        context,
        source,
        batch,
        input,
        clock,
    };
    step.stage(run).await
}

/// The entry of the run in `pipeline.runs`.
fn record(context: &Context, source: &Source, listing: Option<&Listing>) -> RunRecord {
    let key_id = context.masks.key_id(source);
    let etags = context.masks.etags();
    let files: Vec<InputFile> = listing.map_or(&[][..], Listing::files).to_vec();
    let files: Vec<InputFile> = files
        .into_iter()
        .map(|file| InputFile {
            etag: file.noted_etag(etags),
            ..file
        })
        .collect();
    RunRecord {
        mask_key_id: key_id.map(str::to_owned),
        invocation: context.invocation,
        action: Action::Load,
        fingerprint: listing.map(|_| fingerprint(&context.project, source, &files, key_id)),
        files: files_value(&files),
    }
}

fn input(context: &Context, source: &Source, batch: &Batch, listing: Listing) -> Result<BatchInput> {
    let masks = context.masks.of(source, batch)?;
    Ok(BatchInput {
        listing: listing.hashing_names(masks.names().cloned()),
        source: Arc::new(source.clone()),
        masks,
        stats: Arc::new(ReadStats::default()),
        // Chunks are handed on in order. With more of them under way than there are cores, no core waits for the
        // oldest.
        parallelism: 2 * cores(),
        most: None,
    })
}

/// A batch that this run has locked.
struct Loading<'a> {
    context: &'a Arc<Context>,
    source: &'a Source,
    batch: &'a Batch,
    input: BatchInput,
    clock: Clock,
}

/// Refused records, and how many more are left out because their person is on the suppression list.
#[derive(Default)]
struct Refused {
    refusals: Vec<Refusal>,
    suppressed: u64,
}

/// A batch whose staging tables are filled.
struct Loaded {
    tables: Vec<Staged>,
    records: Records,
    kinds: KindsOutcome,
    entities: Vec<EntityOutcome>,
    refusals: Vec<Refusal>,
}

impl Loading<'_> {
    async fn stage(mut self, run: ActiveRun) -> Result<BatchOutcome> {
        let loaded = match self.suppress().await {
            Ok(()) => self.fill(&run.staging()).await,
            Err(error) => Err(error),
        };
        self.clock.lap("stage");
        match loaded {
            Ok(loaded) => self.verify(run, loaded).await,
            Err(error) => {
                let refused = self.refused().unwrap_or_default();
                self.note(&run, &refused.refusals).await;
                Ok(self.failed(run, error).await)
            }
        }
    }

    /// Leaves out the records of persons on the suppression list. It is read after the run has begun: who adds to it
    /// waits for runs that have begun before.
    async fn suppress(&mut self) -> Result<()> {
        let connection = self.context.warehouse.acquire().await?;
        let Context { project, masks, .. } = &**self.context;
        let list = suppression::of_source(&connection, project, self.source, masks.key()).await?;
        if let Some((subjects, hashes)) = list {
            let masks = Masks::clone(&self.input.masks);
            self.input.masks = Arc::new(masks.suppressing(subjects, hashes));
        }
        Ok(())
    }

    /// Fills the staging tables of all entities.
    async fn fill(&self, run: &StagingRun) -> Result<Loaded> {
        let plans = self.context.plans.of(self.source);
        let conserved = plans.iter().filter_map(|plan| plan.conserves.as_ref());
        let tally = self.context.plans.engine.tally(conserved, self.batch)?;
        let counters: Vec<Arc<StageCounter>> = plans.iter().map(|_| Arc::default()).collect();
        let entities = plans.iter().map(|plan| plan.outline.entity.clone());
        self.context.observer.started(Activity {
            batch: self.batch.clone(),
            input_bytes: self.input.listing.bytes(),
            read: Arc::clone(&self.input.stats),
            entities: entities.zip(counters.iter().cloned()).collect(),
        });
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
        let refused = self.refused()?;
        let missing = missing::missing(&self.context.plans.engine, plans, &self.input, self.batch).await?;
        Ok(self.loaded(staged, &tally, &missing, refused))
    }

    /// Takes out the refused records, without those of persons on the suppression list, as far as these can be read.
    fn refused(&self) -> Result<Refused> {
        let Self { input, .. } = self;
        let theirs = input
            .stats
            .look_at_salvaged(|batch| Ok((batch.kind(), input.masks.suppressed_among(batch)?)))?;
        let mut kind_of: HashMap<RecordRef, usize> = HashMap::new();
        for (kind, ids) in theirs {
            kind_of.extend(ids.into_iter().map(|id| (input.locate(id), kind)));
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
        Ok(refused)
    }

    fn loaded(
        &self,
        staged: Vec<StagedEntity>,
        tally: &Tally,
        missing: &BTreeMap<String, u64>,
        refused: Refused,
    ) -> Loaded {
        let mut refusals = refused.refusals;
        let kinds = KindsOutcome::of(self.source, &self.input.stats);
        let left_out = self.input.stats.left_out();
        let records = Records {
            accepted: self.input.stats.records.load(Ordering::Relaxed) - left_out,
            refused: refusals.len() as u64,
            suppressed: left_out + refused.suppressed,
            unknown: kinds.unknown.count,
        };
        let masks = self.context.column_masks(self.source);
        let (mut tables, mut entities) = (Vec::new(), Vec::new());
        for one in staged {
            entities.push(EntityOutcome {
                entity: one.staged.entity().to_owned(),
                rows: one.staged.rows(),
                bytes: one.staged.bytes(),
                produced: one.report.produced,
                warnings: shown(
                    &self.context.project,
                    self.source,
                    &masks,
                    one.staged.entity(),
                    &one.report.warnings,
                ),
                times: one.times,
                elements: tally.of(one.staged.entity()),
                missing: missing.get(one.staged.entity()).copied().unwrap_or_default(),
                suppressed: Shown::new(one.report.suppressed, true),
                deletions: None,
            });
            refusals.extend(one.report.refusals);
            tables.push(one.staged);
        }
        Loaded {
            tables,
            records,
            kinds,
            entities,
            refusals,
        }
    }

    /// Notes what was refused and decides whether the batch may be loaded.
    async fn verify(mut self, run: ActiveRun, mut loaded: Loaded) -> Result<BatchOutcome> {
        let mut connection = self.context.warehouse.acquire().await?;
        match self.verdict(&run, &mut connection, &mut loaded).await {
            Ok((warnings, gate)) => {
                self.clock.lap("verify");
                self.swap(run, connection, loaded, warnings)
                    .await
                    .inspect(|_| drop(gate))
            }
            Err(error) => {
                drop(connection);
                Ok(self.failed(run, error).await)
            }
        }
    }

    /// Writes the quarantine and judges the batch. Returns the warnings of checks, and the gate's lock until the swap.
    async fn verdict(
        &self,
        run: &ActiveRun,
        connection: &mut Connection,
        loaded: &mut Loaded,
    ) -> Result<checks::Verdict> {
        run.quarantine(connection, &loaded.refusals).await?;
        let (project, batch) = (&self.context.project, self.batch);
        deletions::count(project, batch, connection, &loaded.tables, &mut loaded.entities).await?;
        account::balance(self.input.stats.read.load(Ordering::Relaxed), loaded.records)?;
        account::verdict(
            &self.context.project,
            self.source,
            self.batch,
            self.input.listing.files().len() as u64,
            loaded.records,
            &loaded.entities,
            &loaded.refusals,
        )?;
        kinds::verdict(self.source, self.batch, &loaded.kinds)?;
        replaced::verdict(self.source, self.batch, &loaded.kinds, connection).await?;
        account::conservation(self.source, &loaded.entities)?;
        let batch = checks::WholeBatch {
            project: &self.context.project,
            source: self.source,
            batch: self.batch,
            tables: &loaded.tables,
            entities: &loaded.entities,
            masked: self
                .context
                .column_masks(self.source)
                .iter()
                .any(ColumnMasks::is_masked),
        };
        let mut warnings = batch.vanished(connection, loaded.records).await?;
        warnings.extend(batch.check(connection).await?);
        let gate = self.context.gate().await?;
        warnings.extend(batch.gate(connection).await?);
        Ok((warnings, gate))
    }

    async fn swap(
        mut self,
        run: ActiveRun,
        connection: Connection,
        loaded: Loaded,
        mut warnings: Vec<String>,
    ) -> Result<BatchOutcome> {
        let run_id = run.run_id();
        let times = &self.input.stats.times;
        self.clock.add("read", times.split.get());
        self.clock.add("parse", times.decode.get());
        self.clock.add("mask", times.mask.get());
        for (stage, spent) in loaded.entities.iter().flat_map(|entity| &entity.times) {
            self.clock.add(stage, *spent);
        }
        let empty = self.empty_files(loaded.records);
        if !empty.is_empty() {
            warnings.push(account::empty_files(&empty));
        }
        let mut summary = Summary {
            records: loaded.records.read(),
            account: account::value(loaded.records, &loaded.kinds, &loaded.entities, &empty),
            masks: self.context.column_masks(self.source),
            ..Summary::default()
        };
        if let Some(export) = self.input.listing.export() {
            summary.account["export"] = export.value();
            warnings.extend(export.warning());
        }
        for (stage, took) in &self.clock.laps {
            summary.time(stage, *took);
        }
        let (entities, stop) = (&self.context.project.entities, &self.context.stop);
        let committed = run.swap(connection, entities, loaded.tables, summary, stop).await?;
        self.clock.lap("swap");
        if committed.retries > 0 {
            tracing::info!(batch = %self.batch, retries = committed.retries, "the swap gave way to readers");
        }
        Ok(BatchOutcome {
            status: Status::Committed,
            run_id: Some(run_id),
            records: loaded.records,
            kinds: loaded.kinds,
            files: self.input.listing.files().to_vec(),
            export: self.input.listing.export().cloned(),
            entities: loaded.entities,
            warnings,
            times: self.clock.laps,
            ..BatchOutcome::not_started(self.batch.clone())
        })
    }

    /// The files without records, where other files hold some and the source wants to be told.
    fn empty_files(&self, records: Records) -> Vec<String> {
        if records.read() == 0 || self.source.input.on_empty_file == OnEmptyFile::Ignore {
            return Vec::new();
        }
        self.input.stats.empty_files()
    }

    /// Ends the run as failed. Where that can't be written to the history, the next run finds out and ends it.
    async fn failed(&self, run: ActiveRun, error: Error) -> BatchOutcome {
        let (run_id, batch) = (run.run_id(), run.batch().clone());
        if let Err(unmarked) = run.fail(Failure::of(&error), &error.to_string()).await {
            tracing::warn!(error = %unmarked, "the run could not be marked as ended; the next run will");
        }
        BatchOutcome {
            run_id: Some(run_id),
            ..BatchOutcome::failed(batch, error)
        }
    }

    /// Writes refusals to the quarantine for a run that fails. An error in that is only logged, since the run has an
    /// error of its own.
    async fn note(&self, run: &ActiveRun, refused: &[Refusal]) {
        if refused.is_empty() {
            return;
        }
        let noted = async { run.quarantine(&*self.context.warehouse.acquire().await?, refused).await };
        if let Err(error) = noted.await {
            tracing::warn!(%error, "what the run refused could not be noted");
        }
    }
}
