//! Each mask over one column of a batch, and all masks of source A over its records.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Date32Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::Date32Type;
use criterion::{Criterion, Throughput};
use healthcare_insights::mask::{Masks, Unmasked};
use healthcare_insights::model::arrow_schema;
use healthcare_insights::model::{Field, FieldType, MaskKind, PhiClass, Privacy, Source};

use crate::patients::Patient;
use crate::world::{World, group};

/// Rows of a batch.
const ROWS: usize = 8192;

pub fn bench(criterion: &mut Criterion, world: &World) {
    let patients = || world.patients.iter().cycle().take(ROWS);
    let visits = || patients().map(|patient| &patient.visits[0]);
    let texts = |texts: &mut dyn Iterator<Item = &str>| Arc::new(StringArray::from_iter_values(texts)) as ArrayRef;
    let ids = texts(&mut patients().map(|patient| patient.id.as_str()));
    let names = texts(&mut patients().map(|patient| patient.name.as_str()));
    let notes = texts(&mut visits().map(|visit| visit.note.as_str()));
    let days = visits().map(|visit| Date32Type::from_naive_date(visit.day));
    let days = Arc::new(Date32Array::from_iter_values(days)) as ArrayRef;

    let mut group = group(criterion, "mask");
    group.throughput(Throughput::Elements(ROWS as u64));
    for (mask, class, field_type, column) in [
        (MaskKind::Hash, PhiClass::Identifier, FieldType::String, &ids),
        (MaskKind::Pseudonym, PhiClass::Name, FieldType::String, &names),
        (MaskKind::Redact, PhiClass::FreeText, FieldType::String, &notes),
        (MaskKind::DateShift, PhiClass::Date, FieldType::Date(Vec::new()), &days),
    ] {
        let source = one_masked(&world.lines, mask, class, field_type);
        let masks = Masks::plan(&source, &world.key).expect("a mask that fits");
        assert!(!masks.is_idle());
        let records: ArrayRef = Arc::new(UInt64Array::from_iter_values(1..=ROWS as u64));
        let columns = vec![Arc::clone(&ids), Arc::clone(column), records];
        let batch = RecordBatch::try_new(arrow_schema(&source.kinds[0]), columns).expect("a batch");
        group.bench_function(mask.name(), |bencher| {
            bencher.iter(|| masks.apply(Unmasked::new(batch.clone(), 0)).expect("masked rows"));
        });
    }

    let masks = world.masks();
    let values: usize = world.patients.iter().map(Patient::masked_values).sum();
    group.throughput(Throughput::Elements(values as u64));
    group.bench_function("source_a", |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| apply(&masks, world.read(&world.lines).records))
                .sum()
        });
    });
    group.finish();
}

/// The time that the masks take, without the reading before.
fn apply(masks: &Masks, records: Vec<Unmasked>) -> Duration {
    let begun = Instant::now();
    for batch in records {
        masks.apply(batch).expect("masked records");
    }
    begun.elapsed()
}

/// A source of two columns: a subject that is kept and a value that is masked.
fn one_masked(like: &Source, mask: MaskKind, class: PhiClass, field_type: FieldType) -> Source {
    let field = |name: &str, field_type, privacy| Field {
        name: name.to_owned(),
        field_type,
        privacy,
        ..like.kinds[0].schema[0].clone()
    };
    let privacy = Privacy {
        phi: Some(class),
        mask: Some(mask),
        ..Privacy::default()
    };
    let subject = field("subject", FieldType::String, Privacy::default());
    let mut source = like.clone();
    source.kinds[0].subject = Some(subject.name.clone());
    source.kinds[0].schema = vec![subject, field("value", field_type, privacy)];
    source
}
