//! Runs test cases side by side.
//!
//! Masks run with a key that is the same for everyone ([`MaskKey::of_test_cases`]), so that a case needs no secret and
//! its masked values stay the same.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, stream};

use super::actual::Actual;
use super::compare::{self, Difference};
use crate::cores::cores;
use crate::error::{Error, Result};
use crate::ingest::{Listing, ReadStats};
use crate::mask::{MaskKey, Masks};
use crate::model::{
    Batch, CaseRecords, Compression, Encoding, Format, OnEmpty, OnNoRecords, Project, RecordPath, Source, TestCase,
    Tolerance,
};
use crate::preview::cells;
use crate::preview::pass::Pass;
use crate::run::{self, BatchInput, Plans};
use crate::transform::{Engine, Limits};

/// The memory of all cases that run at once, in bytes.
const MEMORY: usize = 192 << 20;

/// What became of a case.
#[derive(Debug)]
pub struct CaseResult {
    pub case: TestCase,
    pub actual: Actual,
    /// None if the case passes.
    pub differences: Vec<Difference>,
    pub took: Duration,
}

impl CaseResult {
    pub fn passes(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Runs test cases. The results come in the order of the cases.
///
/// # Errors
/// Transforms that do not fit the project.
pub async fn test(project: Project, cases: Vec<TestCase>) -> Result<Vec<CaseResult>> {
    let bench = Arc::new(Bench::set_up(project, &cases).await?);
    let results = stream::iter(cases).map(|case| {
        let bench = Arc::clone(&bench);
        async move {
            let begun = Instant::now();
            let (running, task_case) = (bench, case.clone());
            // As a task, so that cases use all cores and a panic ends one case only.
            let actual = tokio::spawn(async move { running.run(&task_case).await });
            let actual = actual.await.unwrap_or_else(|_| Actual {
                error: Some(Error::internal()),
                ..Actual::default()
            });
            let differences = compare::differences(&case, &actual);
            CaseResult {
                case,
                actual,
                differences,
                took: begun.elapsed(),
            }
        }
    });
    Ok(results.buffered(cores().max(1)).collect().await)
}

/// What all cases share.
struct Bench {
    project: Project,
    plans: Plans,
    masks: HashMap<String, Masks>,
}

impl Bench {
    async fn set_up(mut project: Project, cases: &[TestCase]) -> Result<Self> {
        let mut first: BTreeMap<&str, Batch> = BTreeMap::new();
        for case in cases {
            first.entry(&case.source).or_insert_with(|| batch(case));
        }
        let batches: Vec<Batch> = first.into_values().collect();
        project.sources.iter_mut().for_each(read_from_memory);
        let engine = Engine::new(&Limits {
            memory: MEMORY,
            at_once: cores(),
            spill: None,
        })?;
        let outlines = run::outlines(&engine, &project, &batches).await?;
        let plans = run::plans(engine, &project, &batches, &outlines).await?;
        let key = MaskKey::of_test_cases();
        let mut masks = HashMap::new();
        for batch in &batches {
            masks.insert(batch.source.clone(), Masks::plan(project.source(&batch.source)?, &key)?);
        }
        Ok(Self { project, plans, masks })
    }

    async fn run(&self, case: &TestCase) -> Actual {
        self.try_run(case).await.unwrap_or_else(|error| Actual {
            error: Some(error),
            ..Actual::default()
        })
    }

    async fn try_run(&self, case: &TestCase) -> Result<Actual> {
        let (source, batch) = (self.project.source(&case.source)?, batch(case));
        let masks = self.masks.get(&case.source).ok_or_else(Error::internal)?.clone();
        let input = BatchInput {
            listing: Listing::in_memory("records", files(case, source)),
            source: Arc::new(source.clone()),
            // The date of the case, and not today: the case must give the same rows next year.
            masks: Arc::new(run::of_batch(masks, self.project.profile, case.date)?.of_test_cases()),
            stats: Arc::new(ReadStats::default()),
            parallelism: 1,
            most: None,
            parts: None,
        };
        let pass = Pass {
            project: &self.project,
            source,
            batch: &batch,
            plans: &self.plans,
            input: &input,
            keep: usize::MAX,
        };
        let outcome = pass.run().await?;
        if let Some(problem) = outcome.problems.into_iter().next() {
            return Err(problem);
        }
        let mut tables = Vec::new();
        for one in &outcome.entities {
            let rows = cells::table(self.project.entity(&one.entity)?, &one.rows, false)?;
            tables.push((one.entity.clone(), rows));
        }
        Ok(Actual {
            tables,
            refusals: outcome.refusals,
            error: None,
        })
    }
}

/// The records of a case as files, each with the kind of its records.
fn files(case: &TestCase, source: &Source) -> Vec<(Option<usize>, Bytes)> {
    let file = |file: &CaseRecords| {
        let kind = file.kind.as_ref();
        let kind = kind.and_then(|name| source.kinds.iter().position(|kind| kind.name == *name));
        (kind, file.records.join("\n").into())
    };
    case.records.iter().map(file).collect()
}

fn batch(case: &TestCase) -> Batch {
    Batch {
        source: case.source.clone(),
        date: case.date,
    }
}

/// Lets a source read the records of a case, one a line. A case may refuse as much as it likes.
fn read_from_memory(source: &mut Source) {
    let input = &mut source.input;
    input.format = Format::Ndjson;
    input.compression = Some(Compression::None);
    input.encoding = Encoding::Utf8;
    input.records = RecordPath::default();
    input.on_no_records = OnNoRecords::Refuse;
    input.on_empty = OnEmpty::Replace;
    source.max_quarantined = Tolerance::Percent(100.0);
    source.kinds.iter_mut().for_each(|kind| kind.max_quarantined = None);
    source.max_quarantined_of.clear();
}
