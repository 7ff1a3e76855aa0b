//! Makes sources and reads inputs, for the tests of `ingest`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::NaiveDate;
use futures::TryStreamExt;

use super::{ReadStats, list};
use crate::error::{Location, Result};
use crate::model::{Field, FieldType, Format, From, Source};

pub(super) fn location() -> Location {
    Location {
        file: PathBuf::from("pipelines/test.yaml"),
        line: 1,
        column: 1,
        length: 1,
        text: String::new(),
    }
}

pub(super) fn field(name: &str, field_type: FieldType) -> Field {
    Field {
        privacy: crate::model::Privacy::default(),
        rules: crate::model::ValueRules::default(),
        name: name.to_owned(),
        field_type,
        required: false,
        from: None,
        description: None,
        one_or_many: false,
        location: location(),
    }
}

pub(super) fn required(mut field: Field) -> Field {
    field.required = true;
    field
}

pub(super) fn from(mut field: Field, from: From) -> Field {
    field.from = Some(from);
    field
}

pub(super) fn list_of(item: Field) -> FieldType {
    FieldType::List(Box::new(item))
}

pub(super) fn source(path: &str, format: Format, schema: Vec<Field>) -> Source {
    let mut source = crate::model::testing::source("test", schema);
    path.clone_into(&mut source.input.paths[0].path);
    source.input.format = format;
    source
}

/// The schema that most tests read: a patient with visits.
pub(super) fn patients() -> Vec<Field> {
    vec![
        required(field("id", FieldType::String)),
        field("age", FieldType::Int),
        field(
            "visits",
            list_of(field(
                "item",
                FieldType::Struct(vec![
                    required(field("visit_id", FieldType::String)),
                    field("date", FieldType::Date(Vec::new())),
                    field("codes", list_of(field("item", FieldType::String))),
                ]),
            )),
        ),
    ]
}

pub(super) fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2023, 5, 2).unwrap()
}

/// How many undeclared fields were found, by the path of their object.
pub(super) fn unknown(stats: &ReadStats) -> Vec<(String, u64)> {
    let met = stats.unknown_fields().into_iter();
    met.map(|(path, met)| (path, met.count)).collect()
}

pub(super) async fn read(root: &Path, source: &Source, parallelism: usize) -> Result<Vec<RecordBatch>> {
    read_with(root, source, parallelism, &Arc::default()).await
}

pub(super) async fn read_with(
    root: &Path,
    source: &Source,
    parallelism: usize,
    stats: &Arc<ReadStats>,
) -> Result<Vec<RecordBatch>> {
    let listing = list(root, source, day()).await?.expect("an input");
    listing
        .read(source, parallelism, Arc::clone(stats))
        .map_ok(crate::mask::Unmasked::into_inner)
        .try_collect()
        .await
}
