//! What the benchmarks share: the shipped project and its source A, with files of generated patients in place of its
//! sample data. It goes the program's own way, so that every stage gets what it gets in a run.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use chrono::NaiveDate;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use futures::{StreamExt as _, TryStreamExt as _};
use healthcare_insights::ingest::{ReadStats, list};
use healthcare_insights::mask::{MaskKey, Masks, Unmasked};
use healthcare_insights::model::{Batch, Entity, Format, Project, Source};
use healthcare_insights::project;
use healthcare_insights::transform::{Engine, Limits, ScanInput, sample};
use healthcare_insights::warehouse;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::patients::{self, Patient};
use healthcare_insights::model::RowCheck;

pub struct World {
    pub patients: Vec<Patient>,
    /// Source A over a file with a record per line.
    pub lines: Source,
    /// ... and over one that is an array.
    pub array: Source,
    pub key: MaskKey,
    project: Project,
    folder: TempDir,
    runtime: Runtime,
}

/// What came of one reading of the input.
pub struct Read {
    pub records: Vec<Unmasked>,
    /// As `--timings` tells them.
    pub split: Duration,
    pub decode: Duration,
}

/// What a transform returns.
pub struct Rows<'a> {
    pub entity: &'a Entity,
    pub row_checks: Vec<RowCheck>,
    pub batches: Vec<RecordBatch>,
}

impl Rows<'_> {
    pub fn count(&self) -> u64 {
        self.batches.iter().map(|batch| batch.num_rows() as u64).sum()
    }
}

impl World {
    pub fn new(count: usize) -> Self {
        let patients = patients::generate(count);
        let records: Vec<String> = patients.iter().map(Patient::json).collect();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let project = project::load(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("the shipped project");
        let over = |name: &str, format: Format, text: String| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("the input is written");
            let mut source = project.source("source_a").expect("the shipped source").clone();
            source.input.paths[0].path = path.into_os_string().into_string().expect("a path in UTF-8");
            source.input.format = format;
            source
        };
        Self {
            lines: over("patients.ndjson", Format::Ndjson, records.join("\n") + "\n"),
            array: over(
                "patients.json",
                Format::Json,
                format!("[\n{}\n]\n", records.join(",\n")),
            ),
            key: MaskKey::load_or_create(true, folder.path()).expect("a key").key,
            runtime: Runtime::new().expect("a runtime"),
            project,
            folder,
            patients,
        }
    }

    /// Reads a source's file with one decoder. All its records must come out.
    pub fn read(&self, source: &Source) -> Read {
        let stats = Arc::<ReadStats>::default();
        let records: Vec<Unmasked> = self.runtime.block_on(async {
            let listing = list(self.folder.path(), source, day()).await.expect("a listing");
            let listing = listing.expect("an input");
            let records = listing.read(source, 1, Arc::clone(&stats));
            records.try_collect().await.expect("readable records")
        });
        let count: usize = records.iter().map(Unmasked::num_rows).sum();
        assert_eq!(count, self.patients.len());
        Read {
            records,
            split: stats.times.split.get(),
            decode: stats.times.decode.get(),
        }
    }

    /// The masks that source A declares.
    pub fn masks(&self) -> Masks {
        Masks::plan(&self.lines, &self.key).expect("the shipped masks")
    }

    /// All rows of an entity, masked, sorted, with the columns of their checks.
    pub fn rows(&self, entity: &str) -> Rows<'_> {
        let limits = Limits {
            memory: 1 << 30,
            at_once: 1,
            spill: None,
        };
        let engine = Engine::new(&limits).expect("the engine");
        let batch = Batch {
            source: self.lines.name.clone(),
            date: day(),
        };
        self.runtime.block_on(async {
            let listing = list(self.folder.path(), &self.lines, day()).await.expect("a listing");
            let (listing, source) = (listing.expect("an input"), self.lines.clone());
            let masks = Arc::new(self.masks());
            let input = ScanInput::own(masks.output_schemas(), move || {
                let masks = Arc::clone(&masks);
                let records = listing.read(&source, 1, Arc::default());
                records.map(move |records| masks.apply(records?)).boxed()
            });
            let any = sample(&self.lines);
            let outlines = engine.outline(&self.project, &self.lines, warehouse::accepts);
            let outlines = outlines.expect("transforms that fit");
            let prepared = engine.prepare(&self.project, &self.lines, &outlines, &any, &|_, _| None);
            let prepared = prepared.expect("transforms that fit");
            let transform = prepared.into_iter().find(|one| one.outline.entity == entity);
            let transform = transform.expect("a transform of the entity");
            let execution = engine.execute(&transform, &batch, input).await.expect("a plan");
            Rows {
                entity: self.project.entity(entity).expect("an entity"),
                row_checks: transform.row_checks,
                batches: execution.rows.try_collect().await.expect("rows"),
            }
        })
    }
}

fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2023, 5, 31).expect("a date")
}

/// A group whose samples take the same number of rounds, so that slow loops end soon.
pub fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    group
}
