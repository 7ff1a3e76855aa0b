//! `pipeline preview`: the first rows that a batch would load, or what it would refuse.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{NaiveDate, Utc};

use super::cells;
use super::pass::{Pass, PassOutcome};
use crate::cores::cores;
use crate::error::{Code, Error, Result};
use crate::ingest::{self, Listing, ReadStats};
use crate::mask::{self, MaskKey, Masks};
use crate::model::wording::{all_of, did_you_mean};
use crate::model::{Batch, ColumnMasks, InputPath, Project, Refusal, Shown, Source, Transform};
use crate::run::{self, BatchInput, Most, Plans};
use crate::transform::{Engine, Limits, Operator};
use crate::warehouse::query::QueryResult;
use crate::workspace::Spill;

/// The memory that sorts, joins and aggregates may use, in bytes.
const MEMORY: usize = 192 << 20;

/// How many records to read at first. Where they do not give enough rows, ten times as many are read, and so on.
const FIRST_RECORDS: usize = 200;

/// What the user wants to see.
#[derive(Debug)]
pub struct Request {
    /// The name or alias of the source.
    pub source: String,
    pub date: NaiveDate,
    /// `None` is every entity that the source serves.
    pub entity: Option<String>,
    /// The most rows of each entity, or refusals.
    pub limit: usize,
    /// A SELECT in place of the entity's own, and the file that it comes from.
    pub sql: Option<(PathBuf, String)>,
    /// A file or pattern in place of the source's own. It is absolute or a URL.
    pub input: Option<String>,
    /// The kind of all records of `input`. `None`: that of the source's only path, or the records tell.
    pub kind: Option<String>,
    /// Whether refusals are wanted, and not rows.
    pub refused: bool,
}

/// What a batch would load or refuse.
#[derive(Debug)]
pub struct Preview {
    pub batch: Batch,
    pub tables: Vec<Table>,
    /// What would be refused of the records that were read, at most `limit` of them. Only where refusals are wanted.
    pub refusals: Vec<Refusal>,
    /// How much would be refused of the records that were read.
    pub refused: usize,
    /// How many records were read, accepted or refused.
    pub records: u64,
    /// Whether these are all records of the batch.
    pub complete: bool,
    /// Whether the values were masked with a random key, since the project has none.
    pub random_key: bool,
    /// Why a run would not load the batch.
    pub problems: Vec<Error>,
}

/// The rows of one entity.
#[derive(Debug)]
pub struct Table {
    pub entity: String,
    pub rows: QueryResult,
    /// The number of rows that break a check which only warns, by check.
    pub warnings: Vec<(String, Shown)>,
    /// The operators of the plan, from the last to the first.
    pub plan: Vec<Operator>,
}

/// Runs the transforms over as many records as it takes, and shows their rows or refusals.
///
/// # Errors
/// An entity that the source does not serve, and everything that would fail a run.
pub async fn look(mut project: Project, request: Request) -> Result<Preview> {
    let source = adjusted(&project, &request)?;
    let batch = Batch {
        source: source.name.clone(),
        date: request.date,
    };
    let place = project.sources.iter_mut().find(|one| one.name == source.name);
    *place.ok_or_else(Error::internal)? = source.clone();
    let spill = Spill::make(&project.root).ok();
    let engine = Engine::new(&Limits {
        memory: MEMORY,
        at_once: 1,
        spill: spill.as_ref().map(|spill| spill.folder().to_owned()),
    })?;
    let batches = [batch.clone()];
    let outlines = run::outlines(&engine, &project, &batches).await?;
    let by_record = outlines.values().flatten().all(crate::transform::Outline::is_by_record);
    let plans = run::plans(engine, &project, &batches, &outlines).await?;
    let column_masks = run::previewed_masks(&project, &source, outlines).await;
    let (masks, random_key) = masks(&project, &source, &batch)?;
    let listing = ingest::list(&project.root, &source, batch.date).await;
    let listing = listing.map_err(|error| of_input(error, &request))?.ok_or_else(|| {
        Error::batch(format!("the input of {batch} is missing, so a run would skip it"))
            .code(Code::InputMissing)
            .hint("name a file to look at: --input FILE")
    })?;
    let looking = Looking {
        project,
        source,
        batch,
        plans,
        listing: listing.hashing_names(masks.names().cloned()),
        masks: Arc::new(masks),
        request,
        random_key,
        column_masks,
    };
    looking.look(by_record).await
}

/// The error of an input that the user has named: it is not a delivery that is late.
fn of_input(error: Error, request: &Request) -> Error {
    let Some(path) = request.input.as_ref().filter(|_| error.code == Code::InputMissing) else {
        return error;
    };
    let (what, remedy) = if std::path::Path::new(path).is_dir() {
        (
            format!("{path} is a folder"),
            format!("name a file in it, or a pattern: \"{path}/*\""),
        )
    } else {
        (
            format!("there is no file at {path}"),
            "name a file, a pattern in quotes, or a URL".to_owned(),
        )
    };
    Error::batch(what).code(Code::InputMissing).hint(remedy)
}

/// The path in place of all those of the source. Its records are of one kind, or tell their kinds.
fn given_input(source: &Source, path: &str, kind: Option<&String>) -> Result<InputPath> {
    let first = source.input.paths.first().ok_or_else(Error::internal)?;
    let of_path = first.kind.as_ref().filter(|_| source.input.paths.len() == 1);
    let kind = kind.or(of_path);
    let names: Vec<&str> = source.kinds.iter().map(|kind| kind.name.as_str()).collect();
    match kind {
        Some(kind) if !names.contains(&kind.as_str()) => {
            let hint = did_you_mean(kind, names.iter().copied())
                .unwrap_or_else(|| format!("its kinds are {}", all_of(&names)));
            return Err(Error::project(format!("{} declares no kind `{kind}`", source.name)).hint(hint));
        }
        None if source.kinds.len() > 1 && source.kinds.iter().all(|kind| kind.conditions.is_empty()) => {
            let message = "nothing says of which kind the records of --input are";
            return Err(Error::project(message).hint(format!("add --kind NAME; its kinds are {}", all_of(&names))));
        }
        _ => {}
    }
    Ok(InputPath {
        path: path.to_owned(),
        kind: kind.cloned(),
        location: first.location.clone(),
    })
}

/// The source with what the request replaces, and with only those transforms that the request needs.
fn adjusted(project: &Project, request: &Request) -> Result<Source> {
    let mut source = project.source(&request.source)?.clone();
    if let Some(path) = &request.input {
        let only = given_input(&source, path, request.kind.as_ref())?;
        source.input.paths = vec![only];
        source.input.compression = None;
    }
    let Some(name) = &request.entity else {
        if request.sql.is_some() {
            return Err(Error::project("--sql does not say whose rows it returns").hint("add --entity NAME"));
        }
        return Ok(source);
    };
    let entity = project.entity(name)?;
    if let Some((path, sql)) = &request.sql {
        source.transforms.retain(|one| one.entity != entity.name);
        source.transforms.push(Transform {
            entity: entity.name.clone(),
            path: path.clone(),
            sql: sql.clone(),
            given: None,
        });
        let position = |name: &str| project.entities.iter().position(|one| one.name == name);
        source.transforms.sort_by_key(|one| position(&one.entity));
    }
    let served: Vec<&str> = source.transforms.iter().map(|one| one.entity.as_str()).collect();
    if !served.contains(&name.as_str()) {
        let hint =
            did_you_mean(name, served.iter().copied()).unwrap_or_else(|| format!("it serves {}", all_of(&served)));
        return Err(Error::project(format!("{} brings no rows to {name}", source.name)).hint(hint));
    }
    let needed = needed(project, &source, name);
    source.transforms.retain(|one| needed.contains(&one.entity));
    source.conserves.retain(|one| needed.contains(&one.entity));
    Ok(source)
}

/// The entities whose rows decide which rows of this one are refused: those above it, and those that its checks and
/// theirs name.
fn needed(project: &Project, source: &Source, entity: &str) -> BTreeSet<String> {
    let (mut needed, mut open) = (BTreeSet::new(), vec![entity.to_owned()]);
    while let Some(name) = open.pop() {
        if let Ok(entity) = project.entity(&name)
            && needed.insert(name)
        {
            open.extend(entity.parent.iter().map(|parent| parent.entity.clone()));
            let others = source.checks_of(entity).filter_map(|check| check.rule.relationship());
            open.extend(others.map(|other| other.entity.clone()));
        }
    }
    needed
}

/// The masks, with the project's key where there is one. The second value tells whether a random key was taken.
fn masks(project: &Project, source: &Source, batch: &Batch) -> Result<(Masks, bool)> {
    let (key, random) = if mask::needs_key(source) {
        match MaskKey::find(&project.root)? {
            Some(key) => (Some(key), false),
            None => (Some(random_key()?), true),
        }
    } else {
        (None, false)
    };
    let masks = Masks::plan(source, key.as_ref())?;
    let latest = batch.date.max(Utc::now().date_naive());
    Ok((run::of_batch(masks, project.profile, latest)?, random))
}

/// A key that is kept nowhere.
fn random_key() -> Result<MaskKey> {
    MaskKey::random().map_err(|error| Error::project("no random key can be made").cause(error))
}

/// The problem with a remedy that needs no run: nothing is in the quarantine yet.
fn self_service(problem: Error) -> Error {
    match problem.code {
        Code::TooManyRefused => {
            problem.hint("`--refused` names each; mend the input, the schema or the SQL, or raise max_quarantined")
        }
        _ => problem,
    }
}

/// A preview that is being made.
struct Looking {
    project: Project,
    source: Source,
    batch: Batch,
    plans: Plans,
    listing: Listing,
    masks: Arc<Masks>,
    request: Request,
    random_key: bool,
    /// What decides which small numbers are shown.
    column_masks: Vec<ColumnMasks>,
}

impl Looking {
    /// Reads more and more records until there is enough to show. `by_record`: the rows of the first records do not
    /// depend on later ones. Otherwise all records are read at once.
    async fn look(self, by_record: bool) -> Result<Preview> {
        let mut most = by_record.then(|| FIRST_RECORDS.max(self.request.limit));
        loop {
            let outcome = self.pass(most).await?;
            if outcome.ended || self.is_enough(&outcome) {
                return self.preview(outcome);
            }
            most = most.and_then(|most| most.checked_mul(10));
        }
    }

    async fn pass(&self, most: Option<usize>) -> Result<PassOutcome> {
        let input = BatchInput {
            listing: self.listing.clone(),
            source: Arc::new(self.source.clone()),
            masks: Arc::clone(&self.masks),
            stats: Arc::new(ReadStats::default()),
            // The fewer chunks are read ahead, the less is read in vain.
            parallelism: if most.is_some() { 1 } else { 2 * cores() },
            most: most.map(Most::new),
            parts: None,
        };
        let pass = Pass {
            project: &self.project,
            source: &self.source,
            batch: &self.batch,
            plans: &self.plans,
            input: &input,
            keep: self.request.limit,
        };
        let outcome = pass.run().await?;
        tracing::debug!(bytes = input.stats.bytes.load(Ordering::Relaxed), "read");
        Ok(outcome)
    }

    fn is_enough(&self, outcome: &PassOutcome) -> bool {
        if self.request.refused {
            return self.refusals(outcome).count() >= self.request.limit;
        }
        let shown = outcome.entities.iter().filter(|one| self.is_wanted(&one.entity));
        shown
            .into_iter()
            .all(|one| one.report.accepted() >= self.request.limit as u64)
    }

    fn is_wanted(&self, entity: &str) -> bool {
        self.request.entity.as_deref().is_none_or(|wanted| wanted == entity)
    }

    /// The refused records, and the refused rows of the wanted entities.
    fn refusals<'a>(&'a self, outcome: &'a PassOutcome) -> impl Iterator<Item = &'a Refusal> {
        let wanted = |refusal: &&Refusal| refusal.entity.as_deref().is_none_or(|entity| self.is_wanted(entity));
        outcome.refusals.iter().filter(wanted)
    }

    fn preview(self, outcome: PassOutcome) -> Result<Preview> {
        let refused = self.refusals(&outcome).count();
        let refusals = if self.request.refused {
            self.refusals(&outcome).take(self.request.limit).cloned().collect()
        } else {
            Vec::new()
        };
        let mut tables = Vec::new();
        for one in outcome.entities.iter().filter(|one| self.is_wanted(&one.entity)) {
            let entity = self.project.entity(&one.entity)?;
            let shown: usize = one.rows.iter().map(arrow::array::RecordBatch::num_rows).sum();
            let more = !outcome.ended || one.report.accepted() > shown as u64;
            tables.push(Table {
                entity: one.entity.clone(),
                rows: cells::table(entity, &one.rows, more)?,
                warnings: run::shown(
                    &self.project,
                    &self.source,
                    &self.column_masks,
                    &one.entity,
                    &one.report.warnings,
                )
                .into_iter()
                .collect(),
                plan: one.metrics.operators(),
            });
        }
        Ok(Preview {
            batch: self.batch,
            tables,
            refusals,
            refused,
            records: outcome.records.read(),
            complete: outcome.ended,
            random_key: self.random_key,
            problems: outcome.problems.into_iter().map(self_service).collect(),
        })
    }
}
