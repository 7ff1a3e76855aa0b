//! Reads parquet files, from the listing to the batches.

use arrow::array::RecordBatchWriter;

use super::super::testing::{field, from, list_of, patients, read, read_with, required, source, unknown};
use super::tests::{error, people, whole, write};
use super::*;
use crate::model::FieldType;
use crate::model::{OnMalformed, arrow_schema};
use std::path::Path;

pub(super) fn parquet(root: &Path, name: &str, batch: &RecordBatch) {
    let file = std::fs::File::create(root.join(name)).unwrap();
    let properties = ::parquet::file::properties::WriterProperties::builder()
        .set_max_row_group_row_count(Some(20))
        .build();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    RecordBatchWriter::write(&mut writer, batch).unwrap();
    RecordBatchWriter::close(writer).unwrap();
}

#[tokio::test]
async fn parquet_gives_the_same_as_json() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.json", people(100).concat());
    let json = whole(
        &read(folder.path(), &source("a.json", Format::Json, patients()), 1)
            .await
            .unwrap(),
    );
    parquet(folder.path(), "a.parquet", &json);
    for parallelism in [1, 2] {
        let stats = Arc::new(ReadStats::default());
        let source = source("a.parquet", Format::Parquet, patients());
        let batches = read_with(folder.path(), &source, parallelism, &stats).await.unwrap();
        assert_eq!(batches.len(), 2, "five row groups, as many to a batch as fill it");
        assert_eq!(whole(&batches), json);
        assert_eq!(unknown(&stats), [("$".to_owned(), 100)]);
        assert!(stats.bytes.load(Ordering::Relaxed) > 0);
    }
}

/// Columns of other types than the fields declare. Some have a value that the field can't hold.
fn drifted() -> RecordBatch {
    use arrow::array::{
        ArrayRef, DictionaryArray, Float32Array, Int16Array, Int32Array, LargeStringArray, StringArray,
        TimestampMillisecondArray, TimestampNanosecondArray,
    };
    use arrow::datatypes::Int8Type;
    let dictionary: DictionaryArray<Int8Type> = vec![Some("x"), None, Some("x")].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("dictionary", Arc::new(dictionary)),
        (
            "large",
            Arc::new(LargeStringArray::from(vec![Some("a"), None, Some("b")])),
        ),
        ("narrow", Arc::new(Int16Array::from(vec![1, 2, 3]))),
        ("int", Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]))),
        ("float", Arc::new(Float32Array::from(vec![0.5, 1.5, f32::NAN]))),
        ("millis", Arc::new(TimestampMillisecondArray::from(vec![1, 2, 3]))),
        (
            "nanos",
            Arc::new(TimestampNanosecondArray::from(vec![1000, 2000, 3001])),
        ),
        ("text", Arc::new(StringArray::from(vec!["1", "2", "x"]))),
        ("nul", Arc::new(StringArray::from(vec!["1", "2", "\0"]))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[tokio::test]
async fn parquet_widens_without_loss_or_says_where_not() {
    let folder = tempfile::tempdir().unwrap();
    parquet(folder.path(), "a.parquet", &drifted());
    let with = |field| source("a.parquet", Format::Parquet, vec![field]);
    for good in [
        field("dictionary", FieldType::String),
        field("large", FieldType::String),
        field("narrow", FieldType::Int),
        field("narrow", FieldType::Bigint),
        field("int", FieldType::Bigint),
        field("millis", FieldType::Timestamp(vec![])),
        field("nanos", FieldType::Timestamp(vec![])),
        from(field("narrow", FieldType::String), crate::model::From::Number),
        field("int", FieldType::Double),
    ] {
        let batch = whole(&read(folder.path(), &with(good.clone()), 1).await.unwrap());
        assert_eq!(batch.schema(), arrow_schema(&with(good).kinds[0]));
    }
    for (bad, record, cause) in [
        (field("float", FieldType::Double), 3, "$.float: not a finite number"),
        (
            from(field("text", FieldType::Int), crate::model::From::String),
            3,
            "$.text: not a whole number",
        ),
        (field("nul", FieldType::String), 3, "$.nul: a NUL character"),
        (
            required(field("int", FieldType::Bigint)),
            2,
            "$.int: required, but null",
        ),
        (field("text", FieldType::Int), 1, "$.text: a text where int is declared"),
        (
            field("millis", FieldType::TimestampTz(vec![])),
            1,
            "$.millis: a timestamp without time zone where timestamptz is declared",
        ),
        (
            field("int", list_of(field("item", FieldType::Int))),
            1,
            "$.int: an int32 where a list is declared",
        ),
    ] {
        let error = error(folder.path(), &with(bad)).await;
        assert_eq!(error.message, format!("a.parquet, record {record} can't be decoded"));
        assert_eq!(error.why().as_deref(), Some(cause));
    }
    for (misfit, cause) in [(
        required(field("absent", FieldType::String)),
        "$.absent: the column is missing, and the field is required",
    )] {
        let misfit = vec![field("int", FieldType::Int), misfit];
        let misfit = source("a.parquet", Format::Parquet, misfit);
        let error = error(folder.path(), &misfit).await;
        assert_eq!(error.message, "a.parquet does not fit the schema of the source");
        assert_eq!(error.why().as_deref(), Some(cause));
    }
}

#[tokio::test]
async fn a_damaged_parquet_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.json", people(10).concat());
    let json = whole(
        &read(folder.path(), &source("a.json", Format::Json, patients()), 1)
            .await
            .unwrap(),
    );
    parquet(folder.path(), "whole.parquet", &json);
    let bytes = std::fs::read(folder.path().join("whole.parquet")).unwrap();
    for length in [0, 4, 100, bytes.len() - 1] {
        write(folder.path(), "a.parquet", &bytes[..length]);
        let error = error(folder.path(), &source("a.parquet", Format::Parquet, patients())).await;
        assert_eq!(error.message, "a.parquet is no valid parquet file", "{length}");
    }
}

#[tokio::test]
async fn every_bad_row_is_refused_and_the_others_load() {
    use arrow::array::{ArrayRef, AsArray, Int32Array, StringArray};
    let folder = tempfile::tempdir().unwrap();
    let numbers: Vec<Option<i32>> = (0..500).map(|row| (row % 50 != 7).then_some(row)).collect();
    let texts: Vec<&str> = (0..500).map(|row| if row % 90 == 3 { "x" } else { "5" }).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("int", Arc::new(Int32Array::from(numbers))),
        ("text", Arc::new(StringArray::from(texts))),
    ];
    parquet(
        folder.path(),
        "a.parquet",
        &RecordBatch::try_from_iter(columns).unwrap(),
    );
    let text = from(field("text", FieldType::Int), crate::model::From::String);
    let mut source = source(
        "a.parquet",
        Format::Parquet,
        vec![required(field("int", FieldType::Int)), text],
    );
    source.input.on_malformed = OnMalformed::Quarantine;
    let stats = Arc::new(ReadStats::default());
    let all = whole(&read_with(folder.path(), &source, 2, &stats).await.unwrap());
    let bad: Vec<u64> = (0..500)
        .filter(|row| row % 50 == 7 || row % 90 == 3)
        .map(|row| row + 1)
        .collect();
    let refused: Vec<u64> = stats.take_refused().iter().filter_map(|entry| entry.record).collect();
    assert_eq!(refused, bad);
    let numbers = all.column(2).as_primitive::<arrow::datatypes::UInt64Type>();
    let good: Vec<u64> = (1..=500).filter(|row| !bad.contains(row)).collect();
    assert_eq!(numbers.values().to_vec(), good);
    let values = all.column(0).as_primitive::<arrow::datatypes::Int32Type>();
    assert!(
        values
            .values()
            .iter()
            .zip(&good)
            .all(|(value, row)| i64::from(*value) + 1 == i64::try_from(*row).unwrap())
    );
}

#[tokio::test]
async fn small_parquet_files_are_read_into_full_batches() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.json", people(20).concat());
    let as_json = source("a.json", Format::Json, patients());
    let json = whole(&read(folder.path(), &as_json, 1).await.unwrap());
    std::fs::create_dir(folder.path().join("in")).unwrap();
    for number in 10..20 {
        parquet(folder.path(), &format!("in/{number}.parquet"), &json);
    }
    let stats = Arc::new(ReadStats::default());
    let source = source("in/*.parquet", Format::Parquet, patients());
    let batches = read_with(folder.path(), &source, 2, &stats).await.unwrap();
    let rows: Vec<_> = batches.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(rows, [60, 60, 60, 20]);
    let read = whole(&batches);
    for file in 0..10 {
        assert_eq!(read.slice(file * 20, 20).column(0), json.column(0));
    }
    assert_eq!(unknown(&stats), [("$".to_owned(), 200)]);
    // Batches of the files before a damaged one are returned first.
    write(folder.path(), "in/15.parquet", "PAR1 and no more");
    let listing = super::super::list(folder.path(), &source, super::super::testing::day());
    let listing = listing.await.unwrap().unwrap();
    let items: Vec<_> = listing.read(&source, 2, Arc::default()).collect().await;
    let rows = items
        .iter()
        .map(|item| item.as_ref().map_or(0, crate::mask::Unmasked::num_rows));
    assert_eq!(rows.collect::<Vec<_>>(), [60, 40, 0]);
    let error = items.into_iter().next_back().unwrap().err().unwrap();
    assert!(error.message.starts_with("in/*.parquet#6 "), "{error}");
}

#[tokio::test]
async fn large_parquet_rows_are_read_by_their_bytes() {
    use arrow::array::{ArrayRef, StringArray};
    let folder = tempfile::tempdir().unwrap();
    let fields = || vec![field("text", FieldType::String)];
    // First one value that every row repeats, which a dictionary stores once. Then a different value in each row.
    for repeated in [true, false] {
        let texts = (0..100).map(|row| format!("{:05}{}", if repeated { 0 } else { row }, "x".repeat(4 << 10)));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        let batch = RecordBatch::try_from_iter([("text", texts)]).unwrap();
        let file = std::fs::File::create(folder.path().join("a.parquet")).unwrap();
        let mut writer = ::parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        RecordBatchWriter::write(&mut writer, &batch).unwrap();
        RecordBatchWriter::close(writer).unwrap();
        let source = source("a.parquet", Format::Parquet, fields());
        let batches = read(folder.path(), &source, 1).await.unwrap();
        let rows: Vec<_> = batches.iter().map(RecordBatch::num_rows).collect();
        assert_eq!(rows.iter().sum::<usize>(), 100);
        assert!(rows.iter().all(|rows| *rows <= 4), "{rows:?}");
    }
}
