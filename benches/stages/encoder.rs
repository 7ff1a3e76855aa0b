//! The encoder: all rows of each of source A's entities, as their transforms return them, and a table with a column of
//! every other type, in pieces of the size that a load sends.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, ListBuilder, RecordBatch,
    StringArray, StringBuilder, TimestampMicrosecondArray,
};
use bytes::BytesMut;
use criterion::{Criterion, Throughput};
use healthcare_insights::model::{Column, Entity, PgType};
use healthcare_insights::warehouse::Encoder;

use crate::world::{World, group};

const PIECE: usize = 256 * 1024;
/// Rows of a batch.
const ROWS: i32 = 8192;

pub fn bench(criterion: &mut Criterion, world: &World) {
    let mut group = group(criterion, "encode");
    for entity in ["patients", "visits", "diagnoses", "treatments"] {
        let rows = world.rows(entity);
        let encoder = Encoder::new(rows.entity, rows.batches[0].schema_ref()).expect("an encoder");
        group.throughput(Throughput::ElementsAndBytes {
            elements: rows.count(),
            bytes: encode(&encoder, &rows.batches),
        });
        group.bench_function(entity, |bencher| bencher.iter(|| encode(&encoder, &rows.batches)));
    }

    let (entity, batch) = results(world.rows("patients").entity);
    let (encoder, batches) = (Encoder::new(&entity, batch.schema_ref()).expect("an encoder"), [batch]);
    group.throughput(Throughput::ElementsAndBytes {
        elements: batches[0].num_rows() as u64,
        bytes: encode(&encoder, &batches),
    });
    group.bench_function("other_types", |bencher| bencher.iter(|| encode(&encoder, &batches)));
    group.finish();
}

/// How many bytes the rows are.
fn encode(encoder: &Encoder, batches: &[RecordBatch]) -> u64 {
    let (mut out, mut bytes) = (BytesMut::with_capacity(PIECE), 0);
    for batch in batches {
        let mut rows = encoder.bind(batch).expect("a batch of this shape");
        let mut more = true;
        while more {
            more = rows.write(&mut out, PIECE).expect("rows that fit");
            bytes += out.len() as u64;
            std::hint::black_box(&out);
            out.clear();
        }
    }
    bytes
}

/// Results of a laboratory.
fn results(like: &Entity) -> (Entity, RecordBatch) {
    let texts = |text: &dyn Fn(i32) -> String| Arc::new(StringArray::from_iter_values((0..ROWS).map(text))) as ArrayRef;
    let mut flags = ListBuilder::new(StringBuilder::new());
    for row in 0..ROWS {
        flags.append_value((0..row % 4).map(|flag| Some(format!("flag {flag}"))));
    }
    let value = Decimal128Array::from_iter_values((0..ROWS).map(|row| i128::from(row) * 7919));
    let valid: BooleanArray = (0..ROWS).map(|row| (row % 9 > 0).then_some(row % 2 > 0)).collect();
    let microseconds = (0..ROWS).map(|row| 1_680_000_000_000_000 + i64::from(row) * 60_000_000);
    let columns: [(&str, PgType, ArrayRef); 10] = [
        (
            "id",
            PgType::Uuid,
            texts(&|row| format!("018bcfe5-687b-7fff-8000-{row:012x}")),
        ),
        (
            "code",
            PgType::Varchar(Some(20)),
            texts(&|row| format!("LOINC {row:05}-1")),
        ),
        ("rank", PgType::Int4, Arc::new(Int32Array::from_iter_values(0..ROWS))),
        (
            "sample",
            PgType::Int8,
            Arc::new(Int64Array::from_iter_values((0..ROWS).map(i64::from))),
        ),
        (
            "value",
            PgType::Numeric(Some((12, 2))),
            Arc::new(value.with_precision_and_scale(12, 2).expect("a decimal")),
        ),
        (
            "ratio",
            PgType::Float8,
            Arc::new(Float64Array::from_iter_values(
                (0..ROWS).map(|row| f64::from(row) / 3.0),
            )),
        ),
        ("valid", PgType::Bool, Arc::new(valid)),
        (
            "raw",
            PgType::Jsonb,
            texts(&|row| format!(r#"{{"device": {row}, "comment": "repeated twice"}}"#)),
        ),
        (
            "taken",
            PgType::Timestamp,
            Arc::new(TimestampMicrosecondArray::from_iter_values(microseconds)),
        ),
        ("flags", PgType::TextArray, Arc::new(flags.finish())),
    ];
    let declared = columns.iter().map(|(name, pg_type, _)| Column {
        name: (*name).to_owned(),
        pg_type: *pg_type,
        nullable: true,
        ..like.columns[0].clone()
    });
    let entity = Entity {
        columns: declared.collect(),
        ..like.clone()
    };
    let named = columns.into_iter().map(|(name, _, array)| (name, array));
    (entity, RecordBatch::try_from_iter(named).expect("a batch"))
}
