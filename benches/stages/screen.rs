//! The row validator over all rows of an entity: where every check holds, and where one row in a hundred belongs to a
//! refused one.

use std::collections::HashSet;

use arrow::array::{Array, AsArray};
use criterion::{Criterion, Throughput};
use healthcare_insights::model::RecordRef;
use healthcare_insights::quality::{Deny, Key, Keys, RowValidator, ValidationReport};

use crate::world::{Rows, World, group};

pub fn bench(criterion: &mut Criterion, world: &World) {
    let (visits, diagnoses) = (world.rows("visits"), world.rows("diagnoses"));
    let refused = patients_of_one_in_a_hundred(&visits);
    let mut group = group(criterion, "screen");
    for (name, rows, children, deny) in [
        ("visits", &visits, ["visit_id"], None),
        ("diagnoses", &diagnoses, ["diagnosis_code"], None),
        ("visits_refused", &visits, ["visit_id"], Some(refused)),
    ] {
        group.throughput(Throughput::Elements(rows.count()));
        let children = vec![children.map(str::to_owned).to_vec()];
        let refusals = validated(rows, &children, deny.as_ref()).refusals;
        assert_eq!(refusals.is_empty(), deny.is_none());
        group.bench_function(name, |bencher| {
            bencher.iter(|| validated(rows, &children, deny.as_ref()));
        });
    }
    group.finish();
}

fn validated(rows: &Rows<'_>, children: &[Vec<String>], deny: Option<&Deny>) -> ValidationReport {
    let deny = deny.cloned().into_iter().collect();
    let mut validator = RowValidator::new(rows.entity, &rows.row_checks, children.to_vec(), deny);
    for batch in &rows.batches {
        let passed = validator.pass(batch, Vec::new(), &|number| RecordRef { file: None, number });
        std::hint::black_box(passed.expect("rows that pass"));
    }
    validator.finish().expect("an account")
}

fn patients_of_one_in_a_hundred(visits: &Rows<'_>) -> Deny {
    let column = "patient_id";
    let mut keys = HashSet::new();
    for batch in &visits.batches {
        let patients = batch
            .column_by_name(column)
            .expect("the visits' patients")
            .as_string::<i32>();
        let some = (0..patients.len()).step_by(100);
        keys.extend(some.filter_map(|row| Key::new([Some(patients.value(row))])));
    }
    Deny {
        keys: Keys {
            keys,
            ..Keys::new(vec![column.to_owned()])
        },
        check: "parent".into(),
        reason: "its row of patients was refused".into(),
        keep_orphans: false,
    }
}
