//! Compares the result with arrow's sort of the same rows, in memory and spilled.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray, UInt32Array};
use datafusion::arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::expressions::col;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;

use super::order::Run;
use super::{KeySort, SortByKeys};

const KEYS: [&str; 3] = ["number", "text", "ratio"];

type Row = (Option<i32>, Option<String>, Option<f64>);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::UInt32, false),
        Field::new("number", DataType::Int32, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("ratio", DataType::Float64, true),
    ]))
}

fn batches(rows: &[Row], size: usize) -> Vec<RecordBatch> {
    let rows: Vec<(u32, &Row)> = (0..).zip(rows).collect();
    let batch = |rows: &[(u32, &Row)]| {
        let id: UInt32Array = rows.iter().map(|(id, _)| Some(*id)).collect();
        let number: Int32Array = rows.iter().map(|(_, row)| row.0).collect();
        let text: StringArray = rows.iter().map(|(_, row)| row.1.as_deref()).collect();
        let ratio: Float64Array = rows.iter().map(|(_, row)| row.2).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(id), Arc::new(number), Arc::new(text), Arc::new(ratio)];
        RecordBatch::try_new(schema(), columns).unwrap()
    };
    rows.chunks(size).map(batch).collect()
}

fn sort(batches: Vec<RecordBatch>, options: [SortOptions; 3], fetch: Option<usize>) -> Arc<dyn ExecutionPlan> {
    let schema = schema();
    let by = KEYS
        .iter()
        .zip(options)
        .map(|(name, options)| PhysicalSortExpr::new(col(name, &schema).unwrap(), options));
    let order = LexOrdering::new(by).unwrap();
    let input = MemorySourceConfig::try_new_exec(&[batches], schema, None).unwrap();
    let plan = Arc::new(SortExec::new(order, input).with_fetch(fetch));
    SortByKeys.optimize(plan, SessionConfig::new().options()).unwrap()
}

/// The context for a transform with this much memory in bytes.
fn task(memory: usize, spill: Option<PathBuf>) -> Arc<TaskContext> {
    let mode = spill.map_or(DiskManagerMode::Disabled, |folder| {
        DiskManagerMode::Directories(vec![folder])
    });
    let runtime = RuntimeEnvBuilder::new()
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(mode))
        .with_memory_pool(Arc::new(FairSpillPool::new(memory)))
        .build_arc()
        .unwrap();
    SessionContext::new_with_config_rt(SessionConfig::new(), runtime).task_ctx()
}

fn run(plan: Arc<dyn ExecutionPlan>, task: Arc<TaskContext>) -> Result<Vec<RecordBatch>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(collect(plan, task))
}

/// Checks that the keys are in arrow's order, and that each row of the input is there once.
fn assert_sorted(input: &[RecordBatch], options: [SortOptions; 3], output: &[RecordBatch]) {
    let schema = schema();
    let input = concat_batches(&schema, input).unwrap();
    let output = concat_batches(&schema, output).unwrap();
    let by = KEYS.iter().zip(options).map(|(name, options)| SortColumn {
        values: Arc::clone(input.column_by_name(name).unwrap()),
        options: Some(options),
    });
    let expected = lexsort_to_indices(&by.collect::<Vec<_>>(), None).unwrap();
    let expected = take_record_batch(&input, &expected).unwrap();
    for name in KEYS {
        assert_eq!(output.column_by_name(name), expected.column_by_name(name), "{name}");
    }
    let ids = output.column(0).as_any().downcast_ref::<UInt32Array>().unwrap();
    assert_eq!(take_record_batch(&input, ids).unwrap(), output, "rows were mixed");
    let mut once: Vec<u32> = ids.values().to_vec();
    once.sort_unstable();
    assert!(
        once.into_iter().eq(0..u32::try_from(input.num_rows()).unwrap()),
        "rows were lost or doubled"
    );
}

fn spilled(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.metrics().unwrap().spill_count().unwrap()
}

const ASCENDING: [SortOptions; 3] = [SortOptions {
    descending: false,
    nulls_first: false,
}; 3];

/// Makes many rows. Thousands of them share the first 8 to 80 bytes of their keys.
fn many(count: usize) -> Vec<Row> {
    let row = |at: u32| {
        let mixed = at.wrapping_mul(0x9e37_79b9) % 65_536;
        let text = format!("{}{:05}", "clinic/".repeat(mixed as usize % 12), mixed / 3);
        let ratio = f64::from(mixed) / 7.0;
        (Some(7), (!mixed.is_multiple_of(50)).then_some(text), Some(ratio))
    };
    (0..).map(row).take(count).collect()
}

fn any_row() -> impl Strategy<Value = Row> {
    let text = prop_oneof![
        "[\\x00\\x01a\u{ff}]{0,3}",
        "a{28,36}[\\x00b]{0,3}",
        "(\\x00){0,40}",
        "ab{600,601}[ab]"
    ];
    let ratio = prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(f64::NAN),
        Just(f64::NEG_INFINITY),
        any::<f64>()
    ];
    (
        prop::option::of(prop_oneof![-2..2, any::<i32>()]),
        prop::option::of(text),
        prop::option::of(ratio),
    )
}

fn any_options() -> impl Strategy<Value = [SortOptions; 3]> {
    let one = any::<(bool, bool)>().prop_map(|(descending, nulls_first)| SortOptions {
        descending,
        nulls_first,
    });
    [one.clone(), one.clone(), one]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn sorts_as_arrow_does(
        rows in prop::collection::vec(any_row(), 1..300),
        options in any_options(),
        size in 1_usize..120,
        memory in prop_oneof![Just(64_usize << 10), Just(1 << 30)],
    ) {
        let input = batches(&rows, size);
        let spill = tempfile::tempdir().unwrap();
        let plan = sort(input.clone(), options, None);
        let output = run(plan, task(memory, Some(spill.path().to_owned()))).unwrap();
        assert_sorted(&input, options, &output);
    }
}

#[test]
fn sorts_in_memory_what_fits() {
    let input = batches(&many(40_000), 5_000);
    let plan = sort(input.clone(), ASCENDING, None);
    let output = run(Arc::clone(&plan), task(1 << 30, None)).unwrap();
    assert_sorted(&input, ASCENDING, &output);
    assert_eq!(spilled(&plan), 0);
}

#[test]
fn spills_and_merges_what_does_not_fit() {
    let input = batches(&many(100_000), 1_000);
    let folder = tempfile::tempdir().unwrap();
    let plan = sort(input.clone(), ASCENDING, None);
    let output = run(Arc::clone(&plan), task(1 << 20, Some(folder.path().to_owned()))).unwrap();
    assert_sorted(&input, ASCENDING, &output);
    assert!(spilled(&plan) > 10, "{} runs", spilled(&plan));
    let left = std::fs::read_dir(folder.path())
        .unwrap()
        .flat_map(|inner| std::fs::read_dir(inner.unwrap().path()).unwrap());
    assert_eq!(left.count(), 0, "spilled rows are left on the disk");
}

/// Rows of half a KiB, and one of 40 KiB in each run. The merge reads several times as much as fits into the memory.
#[test]
fn merges_wide_rows_in_several_passes() {
    let mut rows = many(20_000);
    for (at, row) in rows.iter_mut().enumerate() {
        let more = if at % 500 == 0 { 40_000 } else { 500 };
        row.1 = row.1.take().map(|text| text + &"-".repeat(more));
    }
    let input = batches(&rows, 100);
    let folder = tempfile::tempdir().unwrap();
    let plan = sort(input.clone(), ASCENDING, None);
    let output = run(Arc::clone(&plan), task(1 << 20, Some(folder.path().to_owned()))).unwrap();
    assert_sorted(&input, ASCENDING, &output);
    let largest = output.iter().map(RecordBatch::get_array_memory_size).max().unwrap();
    assert!(largest < 1 << 19, "a batch of {largest} bytes");
}

/// Rows of three times the memory among small ones: no operator can hold them in its share, and no batch is smaller.
#[test]
fn rows_larger_than_the_memory_are_sorted() {
    let mut rows = many(2_000);
    for at in [3, 700, 701, 1_500] {
        rows[at].1 = Some("-".repeat(3 << 20));
    }
    let input = batches(&rows, 100);
    let folder = tempfile::tempdir().unwrap();
    let plan = sort(input.clone(), ASCENDING, None);
    let output = run(Arc::clone(&plan), task(1 << 20, Some(folder.path().to_owned()))).unwrap();
    assert_sorted(&input, ASCENDING, &output);
}

/// What a batch of one row allocates is more than the row: counted, it would spill what fits.
#[test]
fn batches_of_a_row_each_fill_a_run_no_faster_than_full_ones() {
    let rows: Vec<Row> = many(5_000);
    let with_room = |batch: RecordBatch| {
        let text = batch.column(2).as_any().downcast_ref::<StringArray>().unwrap();
        let mut bytes = Vec::with_capacity(4096);
        bytes.extend_from_slice(text.value_data());
        let text = StringArray::new(text.offsets().clone(), bytes.into(), text.nulls().cloned());
        let mut columns = batch.columns().to_vec();
        columns[2] = Arc::new(text);
        RecordBatch::try_new(schema(), columns).unwrap()
    };
    let input: Vec<_> = batches(&rows, 1).into_iter().map(with_room).collect();
    let folder = tempfile::tempdir().unwrap();
    let plan = sort(input.clone(), ASCENDING, None);
    let output = run(Arc::clone(&plan), task(8 << 20, Some(folder.path().to_owned()))).unwrap();
    assert_sorted(&input, ASCENDING, &output);
    assert_eq!(spilled(&plan), 0);
}

/// As the branches of a UNION may give them; DataFusion's tables in memory adapt theirs.
#[test]
fn batches_may_differ_in_what_can_be_null() {
    let mut rows = many(100);
    for row in &mut rows[..50] {
        row.1.get_or_insert_default();
    }
    rows[50].1 = None;
    let mut input = batches(&rows, 50);
    let strict = schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(false))
        .collect::<Vec<_>>();
    input[0] = RecordBatch::try_new(Arc::new(Schema::new(strict)), input[0].columns().to_vec()).unwrap();
    let converter = RowConverter::new(vec![SortField::new(DataType::Float64)]).unwrap();
    let mut run = Run::default();
    for batch in input {
        let keys = converter.convert_columns(&[Arc::clone(batch.column(3))]).unwrap();
        let bytes = batch.get_array_memory_size();
        run.push(batch, bytes, keys);
    }
    let sorted: Vec<RecordBatch> = run.sorted(schema(), 100).collect::<Result<_>>().unwrap();
    assert!(sorted[0].column(2).null_count() > 0);
}

#[test]
fn without_a_disk_what_does_not_fit_is_refused() {
    let plan = sort(batches(&many(100_000), 1_000), ASCENDING, None);
    let error = run(plan, task(1 << 20, None)).unwrap_err();
    assert!(
        matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)),
        "{error}"
    );
}

#[test]
fn a_disk_that_fails_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let task = task(1 << 20, Some(folder.path().to_owned()));
    let plan = sort(batches(&many(100_000), 1_000), ASCENDING, None);
    // The first file also creates the folder for spilled files.
    task.runtime_env().disk_manager.create_tmp_file("first").unwrap();
    std::fs::remove_dir_all(folder.path()).unwrap();
    assert!(run(plan, task).is_err());
}

#[test]
fn the_first_rows_alone_are_left_to_datafusion() {
    let input = batches(&many(100), 10);
    assert!(sort(input.clone(), ASCENDING, Some(5)).is::<SortExec>());
    assert!(sort(input, ASCENDING, None).is::<KeySort>());
}

#[test]
fn no_rows_are_none() {
    let plan = sort(vec![batches(&many(1), 1)[0].slice(0, 0)], ASCENDING, None);
    assert_eq!(run(plan, task(1 << 20, None)).unwrap().len(), 0);
}
