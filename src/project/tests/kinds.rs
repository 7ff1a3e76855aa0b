//! Tests of `kinds` and of a list of paths.

use super::{Files, SOURCE};
use crate::model::{OnUnknownField, OnUnknownKind, Tolerance};

const PATHS: &str = "\
input:
  path:
    - {path: \"in/{date}/Patient.ndjson\", kind: patient}
    - in/{date}/rest.ndjson
  format: ndjson
";
const KINDS: &str = "\
on_unknown_kind: fail
on_unknown_field: ignore
kinds:
  patient: {schema: {patient_id: string}, on_unknown_field: fail, max_quarantined: 5%}
  visit:
    where: {type: Visit, meta.version: [1, 2], live: true}
    schema: {visit_id: string, visits: {list: string}}
    conserves: {visits: \"visits[]\"}
    allow_constant_masks: [visit_id]
";

fn with(paths: &str, kinds: &str) -> Files {
    Files::good().with("pipelines/clinic.yaml", format!("name: clinic\n{paths}{kinds}"))
}

fn problems(from: &str, to: &str) -> String {
    let text = format!("{PATHS}{KINDS}");
    assert!(text.contains(from), "{from}");
    with(&text.replacen(from, to, 1), "").problems()
}

#[test]
fn kinds_and_paths_are_read() {
    let source = with(PATHS, KINDS).load().expect("a good project").sources.remove(0);
    assert_eq!(source.on_unknown_kind, OnUnknownKind::Fail);
    let [patient, visit] = &source.kinds[..] else { panic!() };
    assert_eq!(
        (patient.name.as_str(), patient.label.as_str()),
        ("patient", "clinic.patient")
    );
    assert_eq!(patient.on_unknown_field, OnUnknownField::Fail);
    assert_eq!(visit.on_unknown_field, OnUnknownField::Ignore);
    assert_eq!(
        (patient.max_quarantined, visit.max_quarantined),
        (Some(Tolerance::Percent(5.0)), None)
    );
    let conditions = visit.conditions.iter().map(|one| (one.shown(), one.values.join(" ")));
    let conditions: Vec<_> = conditions.collect();
    assert_eq!(
        conditions,
        [("type", "Visit"), ("meta.version", "1 2"), ("live", "true")]
            .map(|(path, values)| (path.into(), values.into()))
    );
    assert_eq!(
        (source.conserves[0].kind, source.conserves[0].shown.as_str()),
        (1, "visits[]")
    );
    assert_eq!(source.allow_constant_masks, ["visit.visit_id"]);
    let paths: Vec<_> = source
        .input
        .paths
        .iter()
        .map(|one| (one.path.as_str(), one.kind.as_deref()))
        .collect();
    assert_eq!(
        paths,
        [
            ("in/{date}/Patient.ndjson", Some("patient")),
            ("in/{date}/rest.ndjson", None)
        ]
    );
    // A source without kinds has one.
    let source = Files::good().load().expect("a good project").sources.remove(0);
    assert_eq!(
        (
            source.kinds.len(),
            source.kinds[0].label.as_str(),
            source.kinds[0].prefix()
        ),
        (1, "clinic", "")
    );
}

#[test]
fn each_problem_has_a_remedy() {
    for (from, to, said) in [
        ("kind: patient}", "kind: patint}", "did you mean `patient`?"),
        (
            "{path: \"in/{date}/Patient.ndjson\", kind: patient}",
            "{kind: patient}",
            "an element of `path` has no `path`",
        ),
        (
            "    - in/{date}/rest.ndjson\n",
            "    - [in]\n",
            "each element of `path` must be text",
        ),
        (
            "    - {path: \"in/{date}/Patient.ndjson\", kind: patient}\n",
            "",
            "nothing says which records are of the kind `patient`",
        ),
        (
            "    - in/{date}/rest.ndjson\n",
            "    - in/{date}/rest.ndjson\n    - {path: \"in/{date}/x.ndjson\", kin: visit}\n",
            "did you mean `kind`?",
        ),
        (
            "max_quarantined: 5%",
            "max_quarantined: {records: 5%}",
            "`max_quarantined` of a kind is one limit",
        ),
        ("  visit:\n", "  _record:\n", "a kind can't be called `_record`"),
        ("  visit:\n", "  Visit:\n", "`Visit` can't be the name of a kind"),
        ("type: Visit,", "type: [],", "the list holds no value"),
        (
            "type: Visit,",
            "type: {a: b},",
            "a value must be text, a number, true or false",
        ),
        (
            "kinds:\n",
            "conserves: {visits: $}\nkinds:\n",
            "`conserves` stands beside `kinds`",
        ),
        ("  format: ndjson", "  format: csv", "`meta.version` can't be a column"),
        (
            "    schema: {visit_id",
            "    transforms: x\n    schema: {visit_id",
            "unknown key `transforms`",
        ),
    ] {
        let found = problems(from, to);
        assert!(found.contains(said), "{to}: {found}");
    }
    let without = SOURCE.replacen("aliases: [c]", "aliases: [c]\non_unknown_kind: warn", 1);
    let found = Files::good().with("pipelines/clinic.yaml", without).problems();
    assert!(found.contains("`on_unknown_kind` goes with `kinds`"), "{found}");
    let found = problems(KINDS, "schema: {patient_id: string}\n");
    assert!(
        found.contains("a path has a `kind`, and the source has no kinds"),
        "{found}"
    );
    // Without a condition in any kind, a path must tell.
    let found = problems("    where: {type: Visit, meta.version: [1, 2], live: true}\n", "");
    assert!(
        found.contains("nothing says of which kind the records of this path are"),
        "{found}"
    );
}
