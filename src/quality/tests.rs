//! Rows as a transform returns them: sorted by key, with one column per row check.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, UInt64Array};

use super::*;
use crate::error::{Error, Location};
use crate::model::RecordRef;
use crate::model::Refusal;
use crate::model::RowCheck;
use crate::model::{Column, Entity, PgType, Severity};

fn entity() -> Entity {
    let location = Location {
        file: PathBuf::from("pipeline.yaml"),
        line: 1,
        column: 1,
        length: 1,
        text: String::new(),
    };
    let column = |name: &str| Column {
        name: name.to_owned(),
        pg_type: PgType::Text,
        nullable: true,
        description: None,
        location: location.clone(),
    };
    Entity {
        name: "patients".to_owned(),
        description: None,
        columns: vec![column("id"), column("name")],
        key: vec!["id".to_owned()],
        parent: None,
        deletes_from: None,
        deleted_flag: None,
        indexes: Vec::new(),
        checks: Vec::new(),
        location: location.clone(),
    }
}

fn row_check(severity: Severity) -> RowCheck {
    RowCheck {
        name: "range(name)".to_owned(),
        column: Some("name".to_owned()),
        reason: "the value is not at least 1".to_owned(),
        severity,
        keep_orphans: false,
    }
}

/// Rows of (id, record, whether the row check holds).
fn rows(rows: &[(&str, u64, bool)]) -> RecordBatch {
    let ids: StringArray = rows.iter().map(|(id, ..)| Some(*id)).collect();
    let records: UInt64Array = rows.iter().map(|(_, record, _)| Some(*record)).collect();
    let holds: BooleanArray = rows.iter().map(|(.., holds)| Some(*holds)).collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new(ids.clone())),
        ("name", Arc::new(ids)),
        ("_record", Arc::new(records)),
        ("_check_0", Arc::new(holds)),
    ];
    RecordBatch::try_from_iter(columns).expect("a batch")
}

/// The batch with this column in place of the one of its name, or as the last one.
fn with_column(batch: &RecordBatch, name: &str, array: ArrayRef) -> RecordBatch {
    let names = batch.schema_ref().fields().iter().map(|field| field.name().clone());
    let mut columns: Vec<(String, ArrayRef)> = names.zip(batch.columns().iter().cloned()).collect();
    match columns.iter_mut().find(|(known, _)| known == name) {
        Some((_, column)) => *column = array,
        None => columns.push((name.to_owned(), array)),
    }
    RecordBatch::try_from_iter(columns).expect("a batch")
}

fn locate(record: u64) -> RecordRef {
    RecordRef {
        file: Some("a.json".to_owned()),
        number: record,
    }
}

/// The records of the rows that are accepted, and the report on the others.
fn report(severity: Severity, deny: Vec<Deny>, batches: &[RecordBatch]) -> Result<(Vec<u64>, ValidationReport), Error> {
    let mut validator = RowValidator::new(&entity(), &[row_check(severity)], vec![vec!["id".to_owned()]], deny);
    let mut kept = Vec::new();
    for batch in batches {
        let passed = validator.pass(batch, Vec::new(), &locate)?;
        assert_eq!(passed.num_columns(), 3, "the row checks' columns end here");
        let records = passed
            .column(2)
            .as_any()
            .downcast_ref::<UInt64Array>()
            .expect("records");
        kept.extend(records.values());
    }
    Ok((kept, validator.finish()?))
}

fn key(id: &str) -> Key {
    Key::new([Some(id)]).expect("no null")
}

fn refused(report: &ValidationReport) -> Vec<(String, Option<u64>)> {
    let of = |refusal: &Refusal| (refusal.check.clone(), refusal.record);
    report.refusals.iter().map(of).collect()
}

#[test]
fn clean_rows_pass_untouched() {
    let batch = rows(&[("a", 1, true), ("b", 2, true)]);
    let (kept, report) = report(Severity::Quarantine, vec![], &[batch.clone(), batch.slice(0, 0)]).unwrap();
    assert_eq!(kept, [1, 2]);
    assert_eq!((report.produced, report.accepted()), (2, 2));
    assert!(report.refused[0].is_empty());
}

#[test]
fn of_rows_with_one_key_the_first_stays_also_over_batches() {
    let batches = [
        rows(&[("a", 1, true), ("b", 2, true), ("b", 3, true)]),
        rows(&[("b", 4, true)]),
        rows(&[("b", 5, true), ("c", 6, true), ("c", 6, true)]),
    ];
    let (kept, report) = report(Severity::Quarantine, vec![], &batches).unwrap();
    assert_eq!(kept, [1, 2, 6]);
    assert_eq!((report.produced, report.accepted()), (7, 3));
    let unique = "unique(id)".to_owned();
    let expected = [3, 4, 5, 6].map(|record| (unique.clone(), Some(record)));
    assert_eq!(refused(&report), expected);
    // A row with this key is loaded, so only dependants from other records are refused. Within one record they can't
    // be told apart.
    assert!(report.refused[0].keys.is_empty());
    let mut of: Vec<u64> = report.refused[0].of_records.iter().map(|(record, _)| *record).collect();
    of.sort_unstable();
    assert_eq!(of, [3, 4, 5]);
}

#[test]
fn a_refused_row_does_not_stand_for_its_key() {
    for batches in [
        vec![rows(&[("a", 1, false), ("a", 2, true), ("a", 3, true)])],
        vec![rows(&[("a", 1, false)]), rows(&[("a", 2, true), ("a", 3, true)])],
    ] {
        let (kept, report) = report(Severity::Quarantine, vec![], &batches).unwrap();
        assert_eq!(kept, [2]);
        let expected = [("range(name)".to_owned(), Some(1)), ("unique(id)".to_owned(), Some(3))];
        assert_eq!(refused(&report), expected);
        assert!(report.refused[0].keys.is_empty(), "a row has the key");
        let of: HashSet<u64> = report.refused[0].of_records.iter().map(|(record, _)| *record).collect();
        assert_eq!(of, HashSet::from([1, 3]));
    }
}

#[test]
fn a_refused_row_takes_its_dependants_along() {
    let batch = rows(&[("a", 1, false), ("b", 2, true)]);
    let (_, parents) = report(Severity::Quarantine, vec![], &[batch]).unwrap();
    assert_eq!(parents.refused[0].keys, HashSet::from([key("a")]));
    let deny = Deny {
        keys: parents.refused[0].clone(),
        check: "parent".into(),
        reason: "its row of patients was refused".into(),
        keep_orphans: false,
    };
    let children = rows(&[("a", 1, true), ("b", 2, true)]);
    let (kept, report) = report(Severity::Quarantine, vec![deny], &[children]).unwrap();
    assert_eq!(kept, [2]);
    assert_eq!(refused(&report), [("parent".to_owned(), Some(1))]);
    assert_eq!(report.refused[0].keys, HashSet::from([key("a")]), "and theirs along");
}

#[test]
fn a_duplicate_takes_along_only_what_came_with_it() {
    let mut keys = Keys::new(vec!["id".to_owned()]);
    keys.of_records.insert((2, key("a")));
    let deny = Deny {
        keys,
        check: "parent".into(),
        reason: "its row of patients was refused".into(),
        keep_orphans: false,
    };
    let mut children = entity();
    children.key.clear();
    let mut validator = RowValidator::new(&children, &[row_check(Severity::Quarantine)], vec![], vec![deny]);
    let passed = validator
        .pass(
            &rows(&[("a", 1, true), ("a", 2, true), ("b", 2, true)]),
            Vec::new(),
            &locate,
        )
        .unwrap();
    assert_eq!(passed.num_rows(), 2);
    assert_eq!(refused(&validator.finish().unwrap()), [("parent".to_owned(), Some(2))]);
}

#[test]
fn a_row_refused_after_its_twin_does_not_take_the_twins_dependants() {
    let (kept, report) = report(
        Severity::Quarantine,
        vec![],
        &[rows(&[("a", 1, true), ("a", 2, false), ("b", 3, false)])],
    )
    .unwrap();
    assert_eq!(kept, [1]);
    assert_eq!(report.refused[0].keys, HashSet::from([key("b")]));
    assert_eq!(report.refused[0].of_records, HashSet::from([(2, key("a"))]));
}

#[test]
fn a_warning_counts_and_a_failure_fails() {
    let batch = rows(&[("a", 1, true), ("b", 2, false)]);
    let (kept, warned) = report(Severity::Warn, vec![], std::slice::from_ref(&batch)).unwrap();
    assert_eq!((kept.len(), warned.warnings.get("range(name)")), (2, Some(&1)));
    assert!(warned.refusals.is_empty());
    let error = report(Severity::Fail, vec![], &[batch]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the check range(name) of patients failed: the value is not at least 1, first at a.json, record 2"
    );
}

#[test]
fn a_key_shows_no_value() {
    assert_eq!(format!("{:?}", key("P-1")), "Key(..)");
    assert_ne!(Key::new([Some("a"), Some("bc")]), Key::new([Some("ab"), Some("c")]));
    assert_eq!(Key::new([Some("a"), None]), None);
}

#[test]
fn a_key_of_a_clean_batch_is_known_in_the_next() {
    let batches = [rows(&[("a", 1, true), ("b", 2, true)]), rows(&[("b", 3, true)])];
    let (kept, report) = report(Severity::Quarantine, vec![], &batches).unwrap();
    assert_eq!(kept, [1, 2]);
    assert_eq!(refused(&report), [("unique(id)".to_owned(), Some(3))]);
}

#[test]
fn each_check_has_its_own_column_and_one_that_is_null_refuses() {
    let batch = rows(&[("a", 1, true), ("b", 2, false), ("c", 3, true), ("d", 4, true)]);
    let second: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(true), Some(false), None]));
    let batch = with_column(&batch, "_check_1", second);
    let other = RowCheck {
        name: "not_null(name)".to_owned(),
        ..row_check(Severity::Quarantine)
    };
    let mut validator = RowValidator::new(&entity(), &[row_check(Severity::Quarantine), other], vec![], vec![]);
    let passed = validator.pass(&batch, Vec::new(), &locate).unwrap();
    assert_eq!(passed.num_rows(), 1);
    let expected = [("range(name)", 2), ("not_null(name)", 3), ("not_null(name)", 4)];
    assert_eq!(
        refused(&validator.finish().unwrap()),
        expected.map(|(check, record)| (check.to_owned(), Some(record)))
    );
}

#[test]
fn without_a_key_each_refused_row_takes_its_own_dependants_along() {
    let mut unkeyed = entity();
    unkeyed.key.clear();
    let batch = rows(&[("a", 1, false), ("a", 2, true), ("b", 3, true), ("c", 4, false)]);
    let children = vec![vec!["id".to_owned()]];
    let mut validator = RowValidator::new(&unkeyed, &[row_check(Severity::Quarantine)], children.clone(), vec![]);
    validator.pass(&batch, Vec::new(), &locate).unwrap();
    let report = validator.finish().unwrap();
    assert_eq!(report.refused[0].keys, HashSet::from([key("a"), key("c")]));
    assert!(!report.refused[0].nameless);

    // Dependants of a row whose key is null can't be found by a key.
    let nulls: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; 4]));
    let batch = with_column(&batch, "id", nulls);
    let mut validator = RowValidator::new(&unkeyed, &[row_check(Severity::Quarantine)], children, vec![]);
    validator.pass(&batch, Vec::new(), &locate).unwrap();
    let report = validator.finish().unwrap();
    assert!(report.refused[0].keys.is_empty() && report.refused[0].nameless);
}

#[test]
fn keys_are_empty_only_where_no_row_was_refused() {
    let columns = vec!["id".to_owned()];
    assert!(Keys::new(columns.clone()).is_empty());
    let mut keys = Keys::new(columns.clone());
    keys.keys.insert(key("a"));
    assert!(!keys.is_empty());
    let mut of_records = Keys::new(columns);
    of_records.of_records.insert((1, key("a")));
    assert!(!of_records.is_empty());
}

#[test]
fn more_refusals_than_memory_is_meant_for_fail_the_batch() {
    let mut unkeyed = entity();
    unkeyed.key.clear();
    let mut validator = RowValidator::new(&unkeyed, &[row_check(Severity::Quarantine)], vec![], vec![]);
    let most = rows(&vec![("a", 1, false); 1_000_000]);
    assert_eq!(validator.pass(&most, Vec::new(), &locate).unwrap().num_rows(), 0);
    let error = validator
        .pass(&rows(&[("a", 2, false)]), Vec::new(), &locate)
        .unwrap_err();
    assert_eq!(error.to_string(), "more than 1000000 rows of patients are refused");
}
