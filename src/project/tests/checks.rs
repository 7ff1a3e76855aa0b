//! Tests of checks in a contract and in a source.

use insta::assert_snapshot;

use super::Files;
use crate::model::{Rule, Severity, Tolerance};

fn with(checks: &str) -> Files {
    Files::good().contract(
        "    key: [visit_id]",
        &format!("    key: [visit_id]\n    checks:\n{checks}"),
    )
}

#[test]
fn every_rule_is_read() {
    let project = with(
        "      - not_null: patient_id
      - unique: [patient_id, visit_date]
      - accepted_values: {column: visit_id, values: [a, 1, true, 2.50]}
      - range: {column: visit_date, min: 1900-01-01}
        severity: warn
        name: old
      - expression: visit_date <= $date
        orphans: keep
      - relationships: {entity: patients}
      - row_count: {min: 1, max: 1_000, change: 12.5%}
      - freshness: {column: visit_date, days: 7}
        severity: warn
",
    )
    .source(
        "aliases: [c]",
        "checks: {visits: [{not_null: visit_date}]}\nmax_quarantined: 20",
    )
    .load()
    .expect("a good project");
    let visits = project.entity("visits").expect("declared");
    let names: Vec<&str> = visits.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "not_null(patient_id)",
            "unique(patient_id, visit_date)",
            "accepted_values(visit_id)",
            "old",
            "expression(visit_date <= $date)",
            "relationships(patients: patient_id)",
            "row_count",
            "freshness(visit_date)"
        ]
    );
    let rule = |at: usize| &visits.checks[at].rule;
    let Rule::AcceptedValues { values, .. } = rule(2) else {
        panic!()
    };
    assert_eq!(values, &["a", "1", "true", "2.50"], "as written");
    assert_eq!(
        (visits.checks[3].severity, visits.checks[2].severity),
        (Severity::Warn, Severity::Quarantine)
    );
    assert!(visits.checks[4].keep_orphans && !visits.checks[3].keep_orphans);
    let key = vec!["patient_id".to_owned()];
    let relationship = rule(5).relationship().unwrap();
    assert_eq!(relationship.columns, key, "the other's key");
    let counts = Rule::RowCount {
        min: Some(1),
        max: Some(1000),
        change: Some(12.5),
    };
    assert_eq!((rule(6), visits.checks[6].severity), (&counts, Severity::Fail));
    let source = &project.sources[0];
    assert_eq!(source.checks_of(visits).count(), 9);
    assert_eq!(source.max_quarantined, Tolerance::Count(20));
    assert_eq!(Tolerance::default(), Tolerance::Percent(1.0));
}

#[test]
fn what_is_wrong_with_checks() {
    assert_snapshot!(with("      - not_nul: visit_id
      - not_null: vist_id
      - {not_null: visit_id, unique: [visit_id]}
      - severity: warn
      - not_null: visit_id
        severity: hide
      - range: {column: visit_date}
      - row_count: {min: -1, change: 5}
        severity: quarantine
      - freshness: {column: visit_id, days: 1}
      - relationships: {entity: patient}
      - unique: [visit_date]
      - unique: [visit_date]
      - x
").problems(), @r#"
    pipeline.yaml:17:9+7: unknown key `not_nul`
        did you mean `not_null`?
    pipeline.yaml:18:19+7: `visits` has no column `vist_id`
        did you mean `visit_id`?
    pipeline.yaml:19:10+8: a check with two rules
        make two checks of them
    pipeline.yaml:20:9+8: a check without a rule
        give it one: not_null, unique, accepted_values, range, relationships, expression, row_count or freshness
    pipeline.yaml:22:19+4: `severity` can't be `hide`
        write quarantine, fail or warn
    pipeline.yaml:23:9+5: a range without bounds
        give `min`, `max` or both; both belong to the range
    pipeline.yaml:24:26+2: `min` must be a whole number, 0 or above
        -
    pipeline.yaml:24:38+1: `change` must be a percentage
        write `change: 50%`
    pipeline.yaml:25:19+10: `severity` can't be `quarantine`
        write fail or warn
    pipeline.yaml:26:9+9: freshness needs a date, `visit_id` is text
        -
    pipeline.yaml:27:33+7: `patient` is no entity
        did you mean `patients`?
    pipeline.yaml:29:9+6: `visits` has two checks called `unique(visit_date)`
        give one of them a `name`, or take it out
    pipeline.yaml:30:9+1: a check must be a mapping, not text
        write one `key: value` in a line
    "#);
    let files = Files::good().source(
        "aliases: [c]",
        "checks: {visit: [{not_null: visit_id}]}\nmax_quarantined: some",
    );
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:2:19+8: `visit` is no entity
        did you mean `visits`?
    pipelines/clinic.yaml:3:18+4: `max_quarantined` must be a percentage or a whole number
        write a share, `max_quarantined: 1%`, or a number, `max_quarantined: 20`
    "#);
}

#[test]
fn a_source_may_not_repeat_a_check() {
    let files = with("      - not_null: visit_id\n").source("aliases: [c]", "checks: {visits: [{not_null: visit_id}]}");
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:2:20+8: `visits` has two checks called `not_null(visit_id)`
        pipeline.yaml:17:9 has it already for every source: give this one a `name`, or take it out
    "#);
}

#[test]
fn an_entity_may_have_a_limit_of_its_own() {
    let limits = |text: &str| Files::good().source("aliases: [c]", &format!("max_quarantined: {text}"));
    let project = limits("{records: 2%, entities: {visits: 50%}}")
        .load()
        .expect("a good project");
    let source = project.source("clinic").expect("declared");
    assert_eq!(source.max_quarantined, Tolerance::Percent(2.0));
    assert_eq!(source.most_quarantined_of("visits"), Tolerance::Percent(50.0));
    assert_eq!(source.most_quarantined_of("patients"), Tolerance::Percent(2.0));
    let project = limits("{entities: {visits: 3}}").load().expect("a good project");
    let source = project.source("clinic").expect("declared");
    assert_eq!(source.most_quarantined_of("visits"), Tolerance::Count(3));
    assert_eq!(source.most_quarantined_of("patients"), Tolerance::Percent(1.0));
    let files = limits("{record: 1%, entities: {visit: 2, visits: x}}");
    assert_snapshot!(files.problems(), @r"
    pipelines/clinic.yaml:2:19+6: unknown key `record`
        did you mean `records`?
    pipelines/clinic.yaml:2:42+5: `visit` is no entity
        did you mean `visits`?
    pipelines/clinic.yaml:2:60+1: `visits` must be a percentage or a whole number
        write a share, `visits: 1%`, or a number, `visits: 20`
    ");
}
