//! One pass of a batch's records through the masks, the transforms and the checks of all its entities.
//!
//! The entities run one after the other, in the contract's order, each over the same records. Rows below refused rows
//! are refused as in a run (`src/run/cascade.rs`). A run asks the database which rows have no partner. Here the keys
//! of the rows are compared, so those of one batch must fit into memory.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use futures::{StreamExt, stream};

use crate::error::{Error, Result};
use crate::model::{Batch, Project, RECORD_BITS, Refusal, Relationship, Scope, Shown, Source};
use crate::quality::{Deny, Key, Keys, RowValidator, ValidationReport, row_keys};
use crate::run::{
    BatchInput, EntityOutcome, KindsOutcome, Plans, Records, below, children, conservation, find_misfits, judged,
    missing, no_partners, verdict, verdict_of_kinds,
};
use crate::transform::{Execution, PlanMetrics, ScanInput, Tally};

/// The most bytes of columns to keep in memory for the transforms.
const HELD: usize = 8 << 20;

/// What a pass needs.
pub(super) struct Pass<'a> {
    pub project: &'a Project,
    pub source: &'a Source,
    pub batch: &'a Batch,
    pub plans: &'a Plans,
    pub input: &'a BatchInput,
    /// How many rows of each entity to keep.
    pub keep: usize,
}

/// What became of the records in one pass.
pub(super) struct PassOutcome {
    pub entities: Vec<EntityRows>,
    /// Refused records, then refused rows.
    pub refusals: Vec<Refusal>,
    pub records: Records,
    /// Whether the input was read to its end.
    pub ended: bool,
    /// Why a run would not load the batch, although it can be read: rows lost, or too much refused.
    pub problems: Vec<Error>,
}

/// The rows of one entity.
pub(super) struct EntityRows {
    pub entity: String,
    /// The first rows that would be loaded.
    pub rows: Vec<RecordBatch>,
    pub report: ValidationReport,
    pub metrics: PlanMetrics,
    /// The rows that were denied in this pass.
    deny: Vec<Deny>,
    /// The keys of the accepted rows, over the columns that were asked for.
    keys: HashSet<Key>,
}

impl Pass<'_> {
    /// Runs the pass.
    ///
    /// # Errors
    /// Input that can't be read, SQL that fails on a value, and a check of severity `fail`.
    pub async fn run(&self) -> Result<PassOutcome> {
        let plans = self.plans.of(self.source);
        let conserved = plans.iter().filter_map(|plan| plan.conserves.as_ref());
        let tally = self.plans.engine.tally(conserved, self.batch)?;
        let scan = self.read(&tally).await?;
        let mut entities = Vec::with_capacity(plans.len());
        for at in 0..plans.len() {
            entities.push(self.entity(at, &scan, Vec::new(), None).await?);
        }
        self.cascade(&mut entities, &scan).await?;
        let salvaged = self.input.take_salvaged()?;
        let missing = missing(&self.plans.engine, plans, self.input, self.batch, salvaged).await?;
        let outcomes = entities.iter().map(|one| EntityOutcome {
            entity: one.entity.clone(),
            rows: one.report.accepted(),
            bytes: 0,
            produced: one.report.produced,
            // The verdict does not count them, and the preview shows those of the report.
            warnings: BTreeMap::new(),
            times: Vec::new(),
            elements: tally.of(&one.entity),
            missing: missing.get(&one.entity).copied().unwrap_or_default(),
            suppressed: Shown::Exactly(0),
            deletions: None,
        });
        let outcomes: Vec<EntityOutcome> = outcomes.collect();
        let accepted = self.input.stats.records.load(Ordering::Relaxed);
        let (mut refusals, ended, accepted) = self.refused_records(accepted);
        let kinds = KindsOutcome::of(self.source, &self.input.stats);
        let records = Records {
            accepted,
            refused: refusals.len() as u64,
            // Without a database nobody is known to be suppressed.
            suppressed: 0,
            unknown: kinds.unknown.count,
        };
        refusals.extend(entities.iter().flat_map(|one| one.report.refusals.iter().cloned()));
        let mut problems: Vec<Error> = conservation(self.source, &outcomes).err().into_iter().collect();
        if ended {
            let files = self.input.listing.files().len() as u64;
            problems.extend(
                verdict(
                    self.project,
                    self.source,
                    self.batch,
                    files,
                    records,
                    &outcomes,
                    &refusals,
                )
                .err(),
            );
            problems.extend(verdict_of_kinds(self.source, self.batch, &kinds).err());
        }
        Ok(PassOutcome {
            entities,
            refusals,
            records,
            ended,
            problems,
        })
    }

    /// Reads the input once and keeps its columns in memory for the transforms, unless they are too large for that. Then
    /// each transform reads the files by itself.
    async fn read(&self, tally: &Arc<Tally>) -> Result<Arc<ScanInput>> {
        let mut records = self.input.read(tally);
        let (mut held, mut bytes) = (Some(Vec::new()), 0);
        while let Some(batch) = records.next().await {
            let batch = batch?;
            bytes += batch.batch().get_array_memory_size();
            if bytes > HELD {
                held = None;
            }
            if let Some(held) = &mut held {
                held.push(batch);
            }
        }
        Ok(match held {
            Some(held) => ScanInput::own(self.input.schemas(), move || {
                stream::iter(held.clone().into_iter().map(Ok)).boxed()
            }),
            None => self.input.scan(),
        })
    }

    /// The refused records among those that the pass has read, whether these were all, and how many were accepted.
    /// Records are decoded some thousand at a time, so more may be decoded than the pass has read.
    fn refused_records(&self, decoded: u64) -> (Vec<Refusal>, bool, u64) {
        let mut refusals = self.input.stats.take_refused();
        let Some(most) = &self.input.most else {
            return (refusals, true, decoded);
        };
        if decoded < most.records as u64 {
            return (refusals, true, decoded);
        }
        let last = most.last.load(Ordering::Relaxed);
        let files = self.input.listing.files();
        refusals.retain(|refusal| {
            let file = files.iter().position(|file| Some(&file.path) == refusal.file.as_ref());
            let (Some(file), Some(record)) = (file, refusal.record) else {
                return false;
            };
            ((file as u64) << RECORD_BITS | record) <= last
        });
        (refusals, false, most.records as u64)
    }

    /// Runs one transform through its checks. `collect` names the columns whose keys are wanted.
    async fn entity(
        &self,
        at: usize,
        scan: &Arc<ScanInput>,
        deny: Vec<Deny>,
        collect: Option<&[String]>,
    ) -> Result<EntityRows> {
        let plan = &self.plans.of(self.source)[at];
        let execution = self.plans.engine.execute(plan, self.batch, Arc::clone(scan));
        let Execution {
            mut rows,
            metrics,
            failed,
        } = execution.await?;
        let entity = self.project.entity(&plan.outline.entity)?;
        let locate = |record: u64| self.input.locate(record);
        let children = children(self.project, &entity.name);
        let misfits = find_misfits(entity.clone(), self.batch.source.clone());
        let mut validator =
            RowValidator::new(entity, &plan.row_checks, children, deny.clone()).refusing_misfits(misfits);
        let position = |name: &String| entity.columns.iter().position(|column| column.name == *name);
        let collect: Option<Vec<usize>> = collect.map(|names| names.iter().filter_map(position).collect());
        let (mut kept, mut room, mut keys) = (Vec::new(), self.keep, HashSet::new());
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| failed.explain(error, &locate))?;
            let (batch, unmade) = failed.restore(batch)?;
            let accepted = validator.pass(&batch, unmade, &locate)?;
            if let Some(columns) = &collect {
                keys.extend(row_keys(&accepted, columns)?);
            }
            let taken = accepted.num_rows().min(room);
            if taken > 0 {
                kept.push(accepted.slice(0, taken));
                room -= taken;
            }
        }
        Ok(EntityRows {
            entity: entity.name.clone(),
            rows: kept,
            report: validator.finish()?,
            metrics,
            deny,
            keys,
        })
    }

    /// Refuses the rows that belong to refused rows, parents first.
    async fn cascade(&self, entities: &mut [EntityRows], scan: &Arc<ScanInput>) -> Result<()> {
        for at in 0..entities.len() {
            let mut deny = self.denied_by_parent(entities, at, scan).await?;
            deny.extend(self.denied_by_checks(entities, at, scan).await?);
            if deny.is_empty() {
                continue;
            }
            entities[at] = self.entity(at, scan, deny, None).await?;
            if !self.denied_by_checks(entities, at, scan).await?.is_empty() {
                return Err(Error::batch(format!(
                    "rows of {} that belong to no row can't be told apart",
                    entities[at].entity
                )));
            }
        }
        Ok(())
    }

    async fn denied_by_parent(&self, entities: &[EntityRows], at: usize, scan: &Arc<ScanInput>) -> Result<Vec<Deny>> {
        let entity = self.project.entity(&entities[at].entity)?;
        let Some(parent) = entity.parent.as_ref().filter(|parent| parent.scope == Scope::Batch) else {
            return Ok(Vec::new());
        };
        let Some(above) = entities.iter().position(|one| one.entity == parent.entity) else {
            return Ok(Vec::new());
        };
        let refused = entities[above].report.refused.iter();
        let Some(refused) = refused.into_iter().find(|keys| keys.columns == parent.columns) else {
            return Ok(Vec::new());
        };
        let mut deny = Vec::new();
        if !refused.is_empty() {
            deny.push(below(parent, refused.clone()));
        }
        if refused.nameless {
            let missing = self.missing(entities, [at, above], &parent.columns, scan).await?;
            if !missing.is_empty() {
                deny.push(below(parent, missing));
            }
        }
        Ok(deny)
    }

    /// The rows that `relationships` checks refuse.
    async fn denied_by_checks(
        &self,
        entities: &mut [EntityRows],
        at: usize,
        scan: &Arc<ScanInput>,
    ) -> Result<Vec<Deny>> {
        let entity = self.project.entity(&entities[at].entity)?;
        let mut deny = Vec::new();
        for check in self.source.checks_of(entity) {
            let Some(Relationship {
                entity: target,
                columns,
                scope,
            }) = check.rule.relationship()
            else {
                continue;
            };
            // Without a database, nothing is known of other batches.
            if *scope == Scope::Source {
                continue;
            }
            let Some(other) = entities.iter().position(|one| one.entity == *target) else {
                return Err(no_partners(check, entity, &self.source.name, target));
            };
            let missing = self.missing(entities, [at, other], columns, scan).await?;
            deny.extend(judged(check, &mut entities[at].report, &entity.name, missing)?);
        }
        Ok(deny)
    }

    /// The keys that accepted rows of the first entity have and those of the second have not.
    async fn missing(
        &self,
        entities: &[EntityRows],
        [of, target]: [usize; 2],
        columns: &[String],
        scan: &Arc<ScanInput>,
    ) -> Result<Keys> {
        let mut found = Vec::new();
        for at in [of, target] {
            let again = self.entity(at, scan, entities[at].deny.clone(), Some(columns));
            found.push(again.await?.keys);
        }
        Ok(Keys {
            keys: found[0].difference(&found[1]).cloned().collect(),
            ..Keys::new(columns.to_vec())
        })
    }
}
