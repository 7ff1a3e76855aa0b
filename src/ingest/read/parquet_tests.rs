//! Parquet through the whole read.

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
        assert_eq!(batches.len(), 5, "one per row group");
        assert_eq!(whole(&batches), json);
        assert_eq!(unknown(&stats), [("$".to_owned(), 100)]);
        assert!(stats.bytes.load(Ordering::Relaxed) > 0);
    }
}

#[tokio::test]
async fn parquet_widens_without_loss_or_says_where_not() {
    use arrow::array::{
        ArrayRef, DictionaryArray, Float32Array, Int16Array, Int32Array, LargeStringArray, StringArray,
        TimestampMillisecondArray, TimestampNanosecondArray,
    };
    use arrow::datatypes::Int8Type;
    let folder = tempfile::tempdir().unwrap();
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
    parquet(
        folder.path(),
        "a.parquet",
        &RecordBatch::try_from_iter(columns).unwrap(),
    );
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
    ] {
        let batch = whole(&read(folder.path(), &with(good.clone()), 1).await.unwrap());
        assert_eq!(batch.schema(), arrow_schema(&with(good)));
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
    ] {
        let error = error(folder.path(), &with(bad)).await;
        assert_eq!(error.message, format!("a.parquet, record {record} can't be decoded"));
        assert_eq!(error.cause.as_deref(), Some(cause));
    }
    for (misfit, cause) in [
        (field("absent", FieldType::String), "$.absent: the column is missing"),
        (
            field("text", FieldType::Int),
            "$.text: the column is Utf8, which is not int",
        ),
        (
            field("int", FieldType::Double),
            "$.int: the column is Int32, which is not double",
        ),
        (
            field("millis", FieldType::TimestampTz(vec![])),
            "$.millis: the column is Timestamp(ms), which is not timestamptz",
        ),
        (
            field("int", list_of(field("item", FieldType::Int))),
            "$.int: the column is Int32, which is not a list",
        ),
    ] {
        let error = error(folder.path(), &with(misfit)).await;
        assert_eq!(error.message, "a.parquet does not fit the schema of the source");
        assert_eq!(error.cause.as_deref(), Some(cause));
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
