//! Partial dates in every format of the input.

use arrow::array::{Array, ArrayRef, Date32Array, Int64Array, StringArray, StructArray};
use arrow::datatypes::{DataType, Field};

use super::super::testing::{field, list_of, read, required, source};
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
    // Of a column of whole dates, each is known to the day, whatever a text would look like.
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![Some(0), None, Some(73), Some(-719_162)]));
    parquet(folder.path(), "b.parquet", &columns(dates));
    let days = |texts: [Option<&str>; 4]| {
        let line = |text: Option<&str>| match text {
            Some(text) => format!(r#"{{"id":"x","born":"{text}"}}"#),
            None => r#"{"id":"x"}"#.to_owned(),
        };
        texts.map(line).concat()
    };
    write(
        folder.path(),
        "b.json",
        days([Some("1970-01-01"), None, Some("1970-03-15"), Some("0001-01-01")]),
    );
    assert_eq!(of("b.parquet", Format::Parquet).await, of("b.json", Format::Json).await);
    let year_first = FieldType::Partial(Box::new(FieldType::Date(vec!["%d.%m.%Y".to_owned()])));
    let declared = vec![required(field("id", FieldType::String)), field("born", year_first)];
    let read = read(folder.path(), &source("b.parquet", Format::Parquet, declared), 1)
        .await
        .unwrap();
    assert_eq!(whole(&read).column(1), of("b.json", Format::Json).await.column(1));
    // A date beyond what a text may hold is refused.
    parquet(
        folder.path(),
        "c.parquet",
        &columns(Arc::new(Date32Array::from(vec![i32::MAX; 4]))),
    );
    let error = error(folder.path(), &source("c.parquet", Format::Parquet, schema())).await;
    assert!(format!("{error:?}").contains("$.born: not a date"), "{error:?}");
}

/// A column that is no list stands for lists of one element.
#[tokio::test]
async fn one_element_is_a_list_of_one_in_parquet_as_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let schema = || {
        let code = required(field("code", FieldType::String));
        let mut codes = field("codes", list_of(field("item", FieldType::Struct(vec![code]))));
        let mut names = field("names", list_of(field("item", FieldType::String)));
        (codes.one_or_many, names.one_or_many) = (true, true);
        vec![codes, names]
    };
    write(
        folder.path(),
        "a.json",
        r#"{"codes": {"code": "a"}, "names": "n"}{"names": ""}{"codes": {"code": "c"}}"#,
    );
    let code: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]));
    let code_field = Arc::new(Field::new("code", DataType::Utf8, true));
    let codes = StructArray::new(
        vec![code_field].into(),
        vec![code],
        Some(vec![true, false, true].into()),
    );
    let names = StringArray::from(vec![Some("n"), Some(""), None]);
    let columns: [(&str, ArrayRef); 2] = [("codes", Arc::new(codes)), ("names", Arc::new(names))];
    parquet(
        folder.path(),
        "a.parquet",
        &RecordBatch::try_from_iter(columns).unwrap(),
    );
    let of = async |name: &str, format| whole(&read(folder.path(), &source(name, format, schema()), 1).await.unwrap());
    let json = of("a.json", Format::Json).await;
    assert_eq!(json.column(0).null_count(), 1);
    assert_eq!(of("a.parquet", Format::Parquet).await, json);
    // The element must still be what is declared.
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    parquet(
        folder.path(),
        "b.parquet",
        &RecordBatch::try_from_iter([("codes", numbers)]).unwrap(),
    );
    let error = error(folder.path(), &source("b.parquet", Format::Parquet, schema())).await;
    assert_eq!(
        error.why().as_deref(),
        Some("$.codes[]: an int64 where a struct is declared")
    );
}
