//! Checks that every format treats rules of values and undeclared names in the same way.

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, StringArray};
use futures::TryStreamExt;
use regex::Regex;

use super::super::list;
use super::super::testing::{day, field, read_with, required, source};
use super::parquet_tests::parquet;
use super::tests::{error, whole, write};
use super::*;
use crate::mask::MaskKey;
use crate::model::{Bounds, Field, FieldType, Literal, Normalize, OnMalformed, ValueRules};

/// Fields with rules of every kind.
fn ruled_fields() -> Vec<Field> {
    let mut id = required(field("id", FieldType::String));
    id.rules = ValueRules {
        normalize: vec![
            Normalize::Trim,
            Normalize::StripPrefix("Patient/".into()),
            Normalize::Upper,
        ],
        matches: Some(Regex::new(r"\A(?:P-\d)\z").unwrap()),
        ..ValueRules::default()
    };
    let mut age = field("age", FieldType::Int);
    age.rules.range = Some(Bounds {
        min: Some(Literal::Number(0)),
        max: Some(Literal::Number(120)),
    });
    let mut sex = field("sex", FieldType::String);
    sex.rules.accepted_values = vec![Literal::Text("m".into()), Literal::Text("f".into())];
    let mut zip = field("zip", FieldType::String);
    zip.rules.length = Some(Bounds {
        min: Some(3),
        max: Some(5),
    });
    zip.rules.normalize = vec![Normalize::EmptyAsNull];
    vec![id, age, sex, zip]
}

/// The same records in five formats: the same rows load, and the same checks refuse the same records.
#[tokio::test]
async fn rules_hold_alike_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let schema = ruled_fields();
    let records = [
        [" Patient/p-1", "0", "m", "éée"],
        ["P-2", "121", "m", "123"],
        ["P-3", "120", "x", "123"],
        ["P-44", "5", "f", "123"],
        ["p-5 ", "-1", "f", "123"],
        ["p-6 ", "7", "f", "12"],
        ["P-7", "8", "f", ""],
    ];
    let object = |[id, age, sex, zip]: &[&str; 4]| {
        format!("{{\"id\": \"{id}\", \"age\": {age}, \"sex\": \"{sex}\", \"zip\": \"{zip}\"}}")
    };
    let objects: Vec<String> = records.iter().map(object).collect();
    write(folder.path(), "a.ndjson", objects.join("\n"));
    write(folder.path(), "a.json", format!("[{}]", objects.join(", ")));
    write(folder.path(), "b.json", objects.concat());
    let rows: Vec<String> = records.iter().map(|record| record.join(",")).collect();
    write(folder.path(), "a.csv", format!("id,age,sex,zip\n{}", rows.join("\n")));
    let column = |index: usize| -> ArrayRef {
        let texts = records.iter().map(|record| record[index]);
        match index {
            1 => Arc::new(texts.map(|text| text.parse::<i32>().ok()).collect::<Int32Array>()),
            _ => Arc::new(texts.map(Some).collect::<StringArray>()),
        }
    };
    let columns = ["id", "age", "sex", "zip"].into_iter().enumerate();
    let batch = RecordBatch::try_from_iter(columns.map(|(index, name)| (name, column(index)))).unwrap();
    parquet(folder.path(), "a.parquet", &batch);
    for (name, format) in [
        ("a.ndjson", Format::Ndjson),
        ("a.json", Format::Json),
        ("b.json", Format::Json),
        ("a.csv", Format::Csv),
        ("a.parquet", Format::Parquet),
    ] {
        let mut source = source(name, format, schema.clone());
        source.input.on_malformed = OnMalformed::Quarantine;
        let stats = Arc::new(ReadStats::default());
        let all = whole(&read_with(folder.path(), &source, 2, &stats).await.unwrap());
        let ids: Vec<_> = all.column(0).as_string::<i32>().iter().flatten().collect();
        assert_eq!(ids, ["P-1", "P-7"], "{name}");
        assert!(all.column(3).is_null(1), "{name}");
        let entries = stats.take_refused();
        let found: Vec<_> = entries
            .iter()
            .map(|entry| (entry.record.unwrap(), &*entry.check, entry.path.as_deref().unwrap()))
            .collect();
        let expected = [
            (2, "range", "$.age"),
            (3, "accepted_values", "$.sex"),
            (4, "matches", "$.id"),
            (5, "range", "$.age"),
            (6, "length", "$.zip"),
        ];
        assert_eq!(found, expected, "{name}");
        assert!(
            entries
                .iter()
                .all(|entry| entry.byte_offset.is_some() == (name != "a.parquet"))
        );
        source.input.on_malformed = OnMalformed::Fail;
        let error = error(folder.path(), &source).await;
        assert!(error.message.ends_with("breaks the check `range`"), "{error}");
    }
}

#[tokio::test]
async fn undeclared_names_have_one_hash_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let records: Vec<String> = (0..20)
        .map(|id| format!("{{\"id\": \"{id}\", \"SECRET-a\": 1, \"SECRET-b\": {{\"SECRET\": 2}}}}"))
        .collect();
    write(folder.path(), "a.ndjson", records.join("\n"));
    write(folder.path(), "a.json", format!("[{}]", records.join(",")));
    let rows: Vec<String> = (0..20).map(|id| format!("x,{id},y")).collect();
    write(
        folder.path(),
        "a.csv",
        format!("SECRET-a,id,SECRET-b\n{}", rows.join("\n")),
    );
    let column = || -> ArrayRef { Arc::new((0..20).map(|id| Some(id.to_string())).collect::<StringArray>()) };
    let columns = ["id", "SECRET-a", "SECRET-b"].map(|name| (name, column()));
    parquet(
        folder.path(),
        "a.parquet",
        &RecordBatch::try_from_iter(columns).unwrap(),
    );
    let hash = MaskKey::for_tests().names();
    let expected = ["SECRET-a", "SECRET-b"].map(|name| (hash.of(name), 20)).into();
    for (name, format) in [
        ("a.ndjson", Format::Ndjson),
        ("a.json", Format::Json),
        ("a.csv", Format::Csv),
        ("a.parquet", Format::Parquet),
    ] {
        let source = source(name, format, vec![field("id", FieldType::String)]);
        let listing = list(folder.path(), &source, day()).await.unwrap().unwrap();
        let listing = listing.hashing_names(Some(hash.clone()));
        for parallelism in [1, 2] {
            let stats = Arc::new(ReadStats::default());
            let read = listing.read(&source, parallelism, Arc::clone(&stats));
            let _: Vec<_> = read.try_collect().await.unwrap();
            let met = &stats.unknown_fields()["$"];
            assert_eq!((met.count, &met.names), (40, &expected), "{name}");
        }
    }
}
