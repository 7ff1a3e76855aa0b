//! Partial dates in every format of the input.

use arrow::array::{ArrayRef, Date32Array, StringArray};

use super::super::testing::{field, read, required, source};
use super::parquet_tests::parquet;
use super::tests::{error, whole, write};
use super::*;
use crate::model::FieldType;

#[tokio::test]
async fn partial_dates_are_the_same_in_json_csv_and_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let partial = FieldType::Partial(Box::new(FieldType::Date(vec![])));
    let schema = || vec![required(field("id", FieldType::String)), field("born", partial.clone())];
    let texts = ["1970", "1970-03", "1970-03-05"];
    let json = texts.map(|text| format!(r#"{{"id":"x","born":"{text}"}}"#)).concat();
    write(folder.path(), "a.json", json + r#"{"id":"x"}"#);
    let csv = texts.map(|text| format!("x,{text}\n")).concat();
    write(folder.path(), "a.csv", format!("id,born\n{csv}x,\n"));
    let born: StringArray = texts.map(Some).into_iter().chain([None]).collect();
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["x"; 4]));
    let columns = |born: ArrayRef| RecordBatch::try_from_iter([("id", Arc::clone(&ids)), ("born", born)]).unwrap();
    parquet(folder.path(), "a.parquet", &columns(Arc::new(born)));
    let of = async |name: &str, format| whole(&read(folder.path(), &source(name, format, schema()), 1).await.unwrap());
    let json = of("a.json", Format::Json).await;
    assert_eq!(json.column(1).null_count(), 1);
    assert_eq!(of("a.csv", Format::Csv).await, json);
    assert_eq!(of("a.parquet", Format::Parquet).await, json);
    // A column of whole dates can't say that one is not.
    parquet(
        folder.path(),
        "b.parquet",
        &columns(Arc::new(Date32Array::from(vec![0; 4]))),
    );
    let error = error(folder.path(), &source("b.parquet", Format::Parquet, schema())).await;
    assert_eq!(
        error.why().as_deref(),
        Some("$.born: the column is Date32, which is not partial date")
    );
}
