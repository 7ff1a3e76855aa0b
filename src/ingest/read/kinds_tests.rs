//! Reads records of several kinds from each format.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{Int64Type, UInt64Type};
use futures::TryStreamExt;

use super::super::list;
use super::super::testing::{day, field, required, source, unknown};
use super::parquet_tests::parquet;
use super::tests::write;
use super::*;
use crate::mask::MaskKey;
use crate::model::testing::kind;
use crate::model::{Condition, FieldType, InputPath, Kind, OnMalformed, OnUnknownField, OnUnknownKind, PhiClass};

/// Two kinds whose `code` has different types.
fn two_kinds() -> Vec<Kind> {
    let of = |name: &str, value: &str, schema| Kind {
        conditions: vec![Condition {
            path: vec!["type".into()],
            values: vec![value.into()],
        }],
        ..kind(name, schema)
    };
    vec![
        of(
            "patient",
            "P",
            vec![
                required(field("id", FieldType::String)),
                field("code", FieldType::String),
            ],
        ),
        of(
            "lab",
            "L",
            vec![field("code", FieldType::Bigint), field("unit", FieldType::String)],
        ),
    ]
}

fn mixed(path: &str, format: Format) -> Source {
    let mut source = source(path, format, Vec::new());
    source.input.on_malformed = OnMalformed::Quarantine;
    source.kinds = two_kinds();
    source
}

#[derive(Debug, Default)]
struct Seen {
    /// The codes and record numbers by kind.
    codes: BTreeMap<usize, Vec<(Option<String>, u64)>>,
    /// The number and the reason of each refused record.
    refused: Vec<(Option<u64>, String)>,
    stats: Arc<ReadStats>,
}

async fn seen(root: &Path, source: &Source) -> crate::error::Result<Seen> {
    let mut seen = Seen::default();
    let names = MaskKey::for_tests().names();
    let listing = list(root, source, day())
        .await?
        .expect("an input")
        .hashing_names(Some(names));
    let batches: Vec<Unmasked> = listing.read(source, 2, Arc::clone(&seen.stats)).try_collect().await?;
    for batch in batches {
        let kind = batch.kind();
        let batch = batch.into_inner();
        let codes = batch.column_by_name("code").unwrap();
        let ids = batch.columns().last().unwrap().as_primitive::<UInt64Type>();
        for row in 0..batch.num_rows() {
            let code = codes.is_valid(row).then(|| match codes.as_string_opt::<i32>() {
                Some(texts) => texts.value(row).to_owned(),
                None => codes.as_primitive::<Int64Type>().value(row).to_string(),
            });
            seen.codes.entry(kind).or_default().push((code, ids.value(row)));
        }
    }
    let refused = seen.stats.take_refused().into_iter();
    seen.refused = refused.map(|one| (one.record, one.reason.into_owned())).collect();
    seen.refused.sort();
    Ok(seen)
}

const RECORDS: &str = r#"[{"type":"P","id":"1","code":"x"},{"code":7,"type":"L"},{"type":"P","code":"y"},
{"type":"L","code":"no"},{"type":"SECRET","id":1},{"id":"2"},{"type":"P","id":"3","code":null,"more":1},{"type":"L","code":nul},
{"ty": SECRET},{"type":"L","code":9}]"#;

#[tokio::test]
async fn each_record_is_decoded_as_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.json", RECORDS);
    let seen = seen(folder.path(), &mixed("a.json", Format::Json)).await.unwrap();
    assert_eq!(seen.codes[&0], [(Some("x".to_owned()), 1), (None, 7)]);
    assert_eq!(seen.codes[&1], [(Some("7".to_owned()), 2), (Some("9".to_owned()), 10)]);
    let numbers: Vec<_> = seen.refused.iter().map(|(number, _)| number.unwrap()).collect();
    assert_eq!(numbers, [3, 4, 8, 9]);
    assert_eq!(seen.refused[0].1, "required, but missing");
    assert!(!format!("{seen:?}").contains("SECRET"));
    // `type` tells the kind, so it is no undeclared field. `more` is one.
    assert_eq!(unknown(&seen.stats), [("patient: $".to_owned(), 1)]);
    let of = |kind| {
        let records = seen.stats.records_of(kind);
        (records.accepted, records.refused)
    };
    assert_eq!((of(0), of(1)), ((2, 1), (2, 2)));
    let strays = seen.stats.strays();
    assert_eq!((strays.count, strays.names["(none)"], strays.names.len()), (2, 1, 2));
    assert_eq!(seen.stats.read.load(Ordering::Relaxed), 10);
}

#[tokio::test]
async fn the_name_of_a_kind_is_shown_where_it_is_declared_to_be_no_data() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "a.json",
        r#"[{"type":"Claim"},{"type":"two words"},{"type":"P","id":"1"}]"#,
    );
    let mut source = mixed("a.json", Format::Json);
    let mut declared = field("type", FieldType::String);
    declared.privacy.phi = Some(PhiClass::None);
    source.kinds[0].schema.push(declared);
    let strays = seen(folder.path(), &source).await.unwrap().stats.strays();
    assert_eq!((strays.count, strays.names["Claim"]), (2, 1));
    assert!(!strays.names.contains_key("two words"));
}

#[tokio::test]
async fn rows_of_csv_have_the_columns_of_their_kind() {
    let folder = tempfile::tempdir().unwrap();
    let text = "id,type,code,unit,more\n1,P,x,,\n,L,7,mg,1\n2,P,y,not empty,\n,L,no,,\n,X,,,\n,L\n";
    write(folder.path(), "a.csv", text);
    let seen = seen(folder.path(), &mixed("a.csv", Format::Csv)).await.unwrap();
    assert_eq!(seen.codes[&0], [(Some("x".to_owned()), 1), (Some("y".to_owned()), 3)]);
    assert_eq!(seen.codes[&1], [(Some("7".to_owned()), 2)]);
    let refused: Vec<_> = seen.refused.iter().map(|(number, _)| number.unwrap()).collect();
    assert_eq!(refused, [4, 6]);
    assert_eq!(seen.stats.strays().count, 1);
    // A column of the other kind counts only where it is not empty.
    assert_eq!(
        unknown(&seen.stats),
        [("lab: $".to_owned(), 1), ("patient: $".to_owned(), 3)]
    );
}

#[tokio::test]
async fn rows_of_csv_without_a_header_have_the_order_of_their_kind() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.csv", "P,1,x\nL,7\nL,8,mg\n");
    let mut source = mixed("a.csv", Format::Csv);
    source.input.csv.header = false;
    let declared = || field("type", FieldType::String);
    source.kinds[0].schema.insert(0, declared());
    source.kinds[1].schema = vec![declared(), field("code", FieldType::Bigint)];
    let seen = seen(folder.path(), &source).await.unwrap();
    assert_eq!(
        (&seen.codes[&0][..], &seen.codes[&1][..]),
        (&[(Some("x".to_owned()), 1)][..], &[(Some("7".to_owned()), 2)][..])
    );
    assert_eq!(
        seen.refused,
        [(Some(3), "a row of 3 cells where there are 2 columns".to_owned())]
    );
}

#[tokio::test]
async fn rows_of_parquet_are_told_by_their_columns() {
    let folder = tempfile::tempdir().unwrap();
    let texts = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
    let columns = [
        (
            "type",
            texts(vec![Some("P"), Some("L"), Some("L"), Some("X"), None, Some("P")]),
        ),
        ("id", texts(vec![Some("1"), None, None, None, None, None])),
        (
            "code",
            texts(vec![Some("x"), Some("7"), Some("no"), None, None, Some("z")]),
        ),
    ];
    parquet(
        folder.path(),
        "a.parquet",
        &RecordBatch::try_from_iter(columns).unwrap(),
    );
    let mut source = mixed("a.parquet", Format::Parquet);
    source.kinds[1].schema[0].from = Some(crate::model::From::String);
    let seen = seen(folder.path(), &source).await.unwrap();
    assert_eq!(seen.codes[&0], [(Some("x".to_owned()), 1)]);
    assert_eq!(seen.codes[&1], [(Some("7".to_owned()), 2)]);
    let refused: Vec<_> = seen.refused.iter().map(|(number, _)| number.unwrap()).collect();
    assert_eq!(refused, [3, 6]);
    assert_eq!(seen.stats.strays().count, 2);
    assert_eq!(unknown(&seen.stats), []);
}

#[tokio::test]
async fn a_kind_whose_required_column_a_parquet_file_lacks_is_refused_and_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let columns: [(&str, ArrayRef); 2] = [
        ("type", Arc::new(StringArray::from(vec!["P", "L"]))),
        ("code", Arc::new(Int64Array::from(vec![1, 2]))),
    ];
    parquet(
        folder.path(),
        "a.parquet",
        &RecordBatch::try_from_iter(columns).unwrap(),
    );
    let seen = seen(folder.path(), &mixed("a.parquet", Format::Parquet)).await.unwrap();
    assert_eq!(seen.codes[&1], [(Some("2".to_owned()), 2)]);
    assert_eq!(seen.refused[0].0, Some(1));
    assert!(
        seen.refused[0].1.contains("the column is missing"),
        "{:?}",
        seen.refused
    );
}

#[tokio::test]
async fn a_record_of_two_kinds_is_of_neither() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "a.json",
        r#"[{"type":"P","id":"1","event":"lab"},{"type":"P","id":"2"}]"#,
    );
    let mut source = mixed("a.json", Format::Json);
    source.kinds[1].conditions[0].path = vec!["event".into()];
    source.kinds[1].conditions[0].values = vec!["lab".into()];
    let seen = seen(folder.path(), &source).await.unwrap();
    assert_eq!(
        seen.refused,
        [(Some(1), "the record is of two kinds, patient and lab".to_owned())]
    );
    assert_eq!(seen.codes[&0], [(None, 2)]);
}

#[tokio::test]
async fn what_is_unknown_can_fail_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.json", RECORDS);
    let mut source = mixed("a.json", Format::Json);
    source.on_unknown_kind = OnUnknownKind::Fail;
    let error = seen(folder.path(), &source).await.unwrap_err();
    assert!(format!("{error:?}").contains("no declared kind"), "{error:?}");
    assert!(!format!("{error:?}").contains("SECRET"));
    source.on_unknown_kind = OnUnknownKind::Ignore;
    source.kinds[0].on_unknown_field = OnUnknownField::Fail;
    let error = seen(folder.path(), &source).await.unwrap_err();
    assert!(
        format!("{error:?}").contains("a field that is not declared"),
        "{error:?}"
    );
}

/// A second read of the batch wants one kind: the others are found, counted as present, and not decoded.
#[tokio::test]
async fn a_read_of_one_kind_decodes_no_other() {
    let folder = tempfile::tempdir().unwrap();
    // The second record could not be decoded as its kind.
    let text = "{\"type\": \"P\", \"id\": \"1\"}\n{\"type\": \"L\", \"code\": \"no number\"}\n{\"type\": \"P\", \"id\": \"2\"}\n";
    write(folder.path(), "in/a.ndjson", text.as_bytes());
    let mut source = mixed("in/a.ndjson", Format::Ndjson);
    source.input.on_malformed = OnMalformed::Fail;
    let listing = list(folder.path(), &source, day()).await.unwrap().expect("an input");
    let read = |listing: Listing| {
        let batches = listing.read(&source, 2, Arc::default());
        async move {
            let batches: Vec<Unmasked> = batches.try_collect().await?;
            let rows = batches.iter().map(|batch| (batch.kind(), batch.num_rows()));
            Ok::<_, crate::error::Error>(rows.collect::<Vec<_>>())
        }
    };
    assert_eq!(read(listing.clone().of_kind(0)).await.unwrap(), [(0, 2)]);
    assert!(read(listing.clone()).await.is_err());
    // A batch without a record of the kind is no empty batch.
    write(
        folder.path(),
        "in/a.ndjson",
        text.replace("\"P\"", "\"L\"").replace("\"no number\"", "1").as_bytes(),
    );
    let listing = list(folder.path(), &source, day()).await.unwrap().expect("an input");
    assert_eq!(read(listing.of_kind(0)).await.unwrap(), []);
}

/// As above. What a row of the other kind holds can't be its kind's, and a file of the other kind is only counted.
#[tokio::test]
async fn a_read_of_one_kind_decodes_no_other_row_of_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let texts = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
    let columns = [
        ("type", texts(vec![Some("P"), Some("L"), Some("P")])),
        ("id", texts(vec![Some("1"), None, Some("2")])),
        ("code", texts(vec![Some("x"), Some("no number"), Some("y")])),
    ];
    parquet(
        folder.path(),
        "a.parquet",
        &RecordBatch::try_from_iter(columns).unwrap(),
    );
    let lab = [("code", texts(vec![Some("no number")]))];
    parquet(folder.path(), "b.parquet", &RecordBatch::try_from_iter(lab).unwrap());
    let mut source = mixed("a.parquet", Format::Parquet);
    source.input.on_malformed = OnMalformed::Fail;
    source.kinds[1].schema[0].from = Some(crate::model::From::String);
    let read = |source: &Source, kind: Option<usize>| {
        let source = source.clone();
        let folder = folder.path();
        async move {
            let listing = list(folder, &source, day()).await?.expect("an input");
            let listing = kind.map_or(listing.clone(), |kind| listing.of_kind(kind));
            let batches: Vec<Unmasked> = listing.read(&source, 2, Arc::default()).try_collect().await?;
            Ok::<_, crate::error::Error>(
                batches
                    .iter()
                    .map(|batch| (batch.kind(), batch.num_rows()))
                    .collect::<Vec<_>>(),
            )
        }
    };
    assert_eq!(read(&source, Some(0)).await.unwrap(), [(0, 2)]);
    assert!(read(&source, None).await.is_err());
    let of_lab = InputPath {
        kind: Some(source.kinds[1].name.clone()),
        ..mixed("b.parquet", Format::Parquet).input.paths[0].clone()
    };
    source.kinds[1].conditions.clear();
    source.input.paths.push(of_lab);
    assert_eq!(read(&source, Some(0)).await.unwrap(), [(0, 2)]);
}
