//! Runs one batch, from its files to its swap. Each step consumes the one before. Dropping a step leaves the live
//! tables as they were.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::clock::Clock;
use super::context::Context;
use super::files::{input, noted};
use super::fill::{Filled, Filling, READ_STAGES, Unfilled};
use super::fingerprint::{files_value, fingerprint, sql_fingerprint};
use super::input::BatchInput;
use super::kinds::{self, KindsOutcome};
use super::outcome::{BatchOutcome, EntityOutcome, Records, Status};
use super::shown::shown;
use super::staging::STAGES;
use super::{account, checks, deletions, remote, replaced};
use crate::error::{Error, Result};
use crate::ingest::{self, Listing};
use crate::model::{Batch, ColumnMasks, OnEmptyFile, Refusal, Shown, Source};
use crate::warehouse::runs::{Action, Failure, RunRecord, Summary};
use crate::warehouse::{ActiveRun, Connection, Staged};

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
    let input = input(context, source, batch, listing, Utc::now().date_naive())?;
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
    let files = noted(context, listing.map_or(&[][..], Listing::files));
    RunRecord {
        mask_key_id: key_id.map(str::to_owned),
        invocation: context.invocation,
        action: Action::Load,
        fingerprint: listing.map(|_| fingerprint(&context.project, source, &files, key_id)),
        sql_fingerprint: listing.map(|_| sql_fingerprint(source)),
        files: files_value(&files),
    }
}

/// A batch that this run has locked.
struct Loading<'a> {
    context: &'a Arc<Context>,
    source: &'a Source,
    batch: &'a Batch,
    input: BatchInput,
    clock: Clock,
}

/// A batch whose staging tables are filled.
struct Loaded {
    tables: Vec<Staged>,
    /// The records that were found in the files.
    found: u64,
    records: Records,
    kinds: KindsOutcome,
    entities: Vec<EntityOutcome>,
    refusals: Vec<Refusal>,
    /// Files that hold no record.
    empty_files: Vec<String>,
    read_times: Vec<Duration>,
}

impl Loading<'_> {
    async fn stage(mut self, run: ActiveRun) -> Result<BatchOutcome> {
        let filled = self.fill(&run).await;
        self.clock.lap("stage");
        match filled {
            Ok(filled) => {
                let loaded = self.loaded(filled);
                self.verify(run, loaded).await
            }
            Err(Unfilled { error, refusals }) => {
                self.note(&run, &refusals).await;
                Ok(self.failed(run, error).await)
            }
        }
    }

    /// Fills the staging tables of all entities, here or on the cluster.
    async fn fill(&self, run: &ActiveRun) -> Result<Filled<Staged>, Unfilled> {
        let (context, source, batch) = (self.context, self.source, self.batch);
        if let Some(on) = &context.cluster {
            let files = self.input.listing.files();
            return remote::fill(on, context, source, files, run).await;
        }
        let input = self.input.clone();
        let filling = Filling {
            context,
            source,
            batch,
            input,
        };
        filling.run(&run.staging()).await
    }

    fn loaded(&self, filled: Filled<Staged>) -> Loaded {
        let Filled { entities, read } = filled;
        let mut loaded = Loaded {
            tables: Vec::new(),
            found: read.found,
            records: read.records,
            kinds: read.kinds,
            entities: Vec::new(),
            refusals: read.refusals,
            empty_files: read.empty_files,
            read_times: read.times,
        };
        let masks = self.context.column_masks(self.source);
        let (project, source) = (&self.context.project, self.source);
        for one in entities {
            let entity = one.table.entity();
            loaded.entities.push(EntityOutcome {
                entity: entity.to_owned(),
                rows: one.table.rows(),
                bytes: one.table.bytes(),
                produced: one.produced,
                warnings: shown(project, source, &masks, entity, &one.warnings),
                times: STAGES.into_iter().zip(one.times).collect(),
                elements: one.elements,
                missing: one.missing,
                suppressed: Shown::new(one.suppressed, true),
                deletions: None,
            });
            loaded.refusals.extend(one.refusals);
            loaded.tables.push(one.table);
        }
        loaded
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
        account::balance(loaded.found, loaded.records)?;
        // A kind that is not met explains much of what is refused.
        let lacking = replaced::verdict(self.context, self.source, self.batch, &loaded.kinds, connection).await?;
        let explained = |error: Error| match (&lacking, error.hint.clone()) {
            (Some(lacking), Some(hint)) => error.hint(format!("{lacking}; {hint}")),
            _ => error,
        };
        account::verdict(
            &self.context.project,
            self.source,
            self.batch,
            self.input.listing.files().len() as u64,
            loaded.records,
            &loaded.entities,
            &loaded.refusals,
        )
        .map_err(explained)?;
        kinds::verdict(self.source, self.batch, &loaded.kinds).map_err(explained)?;
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
        warnings.extend(lacking);
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
        for (stage, spent) in READ_STAGES.into_iter().zip(&loaded.read_times) {
            self.clock.add(stage, *spent);
        }
        for (stage, spent) in loaded.entities.iter().flat_map(|entity| &entity.times) {
            self.clock.add(stage, *spent);
        }
        let empty = self.empty_files(&loaded);
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
        if self.context.cluster.is_some()
            && let Err(error) = self.context.locks.remove_unused(run_id).await
        {
            tracing::warn!(%error, "tables of attempts that were not needed are left to the next run");
        }
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
    fn empty_files(&self, loaded: &Loaded) -> Vec<String> {
        if loaded.records.read() == 0 || self.source.input.on_empty_file == OnEmptyFile::Ignore {
            return Vec::new();
        }
        loaded.empty_files.clone()
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
