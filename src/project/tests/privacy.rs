//! Tests of reading classes, masks and profiles from YAML. Which combinations are allowed is tested with the masks.

use insta::assert_snapshot;

use super::Files;
use crate::model::{FieldType, MaskKind, PhiClass, Privacy, Profile};

fn with_fields(fields: &str) -> Files {
    let start = super::SOURCE.find("schema:").expect("a schema");
    Files::good().with(
        "pipelines/clinic.yaml",
        format!("{}subject: id\nschema:\n{fields}", &super::SOURCE[..start]),
    )
}

#[test]
fn every_key_is_read() {
    let files = with_fields(
        "  id: {type: string, phi: identifier, mask: hash, domain: patient}
  sex: {type: string, phi: quasi, mask: keep, reason: counted by sex}
  note: {type: string, phi: free_text, mask: null}
  codes: {list: string, mask: redact}
  visits: {list: {day: {type: date, phi: date, mask: date_shift}}}
",
    );
    let project = files
        .contract("name: test", "name: test\nprivacy: custom")
        .load()
        .expect("a good project");
    assert_eq!(project.profile, Profile::Custom);
    let source = &project.sources[0];
    assert_eq!(source.kinds[0].subject.as_deref(), Some("id"));
    let privacy = |name: &str| {
        source.kinds[0]
            .schema
            .iter()
            .find(|f| f.name == name)
            .expect(name)
            .privacy
            .clone()
    };
    let id = Privacy {
        phi: Some(PhiClass::Identifier),
        mask: Some(MaskKind::Hash),
        domain: Some("patient".into()),
        reason: None,
    };
    assert_eq!(privacy("id"), id);
    assert_eq!(privacy("sex").reason.as_deref(), Some("counted by sex"));
    assert_eq!(privacy("note").mask, Some(MaskKind::Null), "a bare null");
    assert_eq!(privacy("codes").mask, Some(MaskKind::Redact));
    let FieldType::List(visits) = &source.kinds[0].schema[4].field_type else {
        panic!("a list")
    };
    let FieldType::Struct(fields) = &visits.field_type else {
        panic!("structs")
    };
    assert_eq!(fields[0].privacy.mask, Some(MaskKind::DateShift));
}

#[test]
fn all_problems_are_said_at_once_and_placed() {
    let files = with_fields(
        "  a: {type: string, phi: nam}
  b: {type: string, phi: name}
  c: {type: int, mask: redact}
  d: {type: string, phi: name, mask: keep}
  e: {type: string, mask: }
  f: {phi: name, struct: {x: int}}
",
    );
    assert_snapshot!(files.contract("name: test", "name: test\nprivacy: gdpr").problems(), @r#"
    pipeline.yaml:2:10+4: `privacy` can't be `gdpr`
        write custom, pseudonymised or safe_harbor
    pipelines/clinic.yaml:1:7+6: the subject `id` is no field of clinic
        it may be a, b, c, d, e or f.x
    pipelines/clinic.yaml:7:26+3: `phi` can't be `nam`
        did you mean `name`?
    pipelines/clinic.yaml:8:3+1: `b` is classed as name and has no mask
        masks for this type: `keep`, `null`, `redact`, `hash`, `pseudonym`, `zip3`, `surrogate`; `keep` needs a `reason`
    pipelines/clinic.yaml:9:3+1: `c`: `redact` does not mask an int; it takes string and json
        masks for this type: `keep`, `null`, `hash`, `age_cap`, `surrogate`
    pipelines/clinic.yaml:10:3+1: `d` is classed as name and kept without a reason
        say why in `reason: "..."`, or name another mask
    pipelines/clinic.yaml:11:21+4: `mask` must be text, not empty
        write one text
    pipelines/clinic.yaml:12:3+1: `f` is a struct: it can't have a class or a mask of its own
        put `phi` and `mask` on the fields inside
    "#);
}

#[test]
fn a_profile_is_checked_with_the_project() {
    let files = with_fields("  id: {type: string, phi: identifier, mask: hash}\n  born: date\n");
    files.load().expect("nothing is promised");
    let files = files.contract("name: test", "name: test\nprivacy: safe_harbor");
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:7:3+2: `id` is masked with `hash`, a code that is derived from the value: 45 CFR 164.514(b)(2)(i)(R) removes it, and (c)(1) exempts none that is derived from information about the individual
        `mask: null` or `mask: redact`; `mask: surrogate` tells people apart within one load; to do so across loads use `privacy: pseudonymised`
    pipelines/clinic.yaml:8:3+4: `born` is kept, but Safe Harbor, 45 CFR 164.514(b)(2)(i)(C), removes all of a date but the year
        `mask: year` or `mask: null`; a date that is about no person may say `phi: none`
    "#);
}

#[test]
fn a_subject_may_be_inside_of_structs_and_not_of_lists() {
    let fields = "  id: string
  subject: {struct: {reference: string, score: double}}
  names: {list: {given: {list: string}, family: string}}
";
    let problems = |subject: &str| {
        let start = super::SOURCE.find("schema:").expect("a schema");
        let text = format!("{}subject: {subject}\nschema:\n{fields}", &super::SOURCE[..start]);
        Files::good().with("pipelines/clinic.yaml", text)
    };
    for subject in ["id", "subject.reference"] {
        let project = problems(subject).load().expect(subject);
        assert_eq!(project.sources[0].kinds[0].subject.as_deref(), Some(subject));
    }
    assert_snapshot!(problems("subject").problems(), @"
    pipelines/clinic.yaml:8:3+7: `subject` can't be the subject of clinic: its type does not identify anyone
        it may be subject.reference
    ");
    assert_snapshot!(problems("subject.score").problems(), @"
    pipelines/clinic.yaml:8:41+5: `subject.score` can't be the subject of clinic: its type does not identify anyone
        it may be id or subject.reference
    ");
    assert_snapshot!(problems("subject.refrence").problems(), @"
    pipelines/clinic.yaml:1:7+6: the subject `subject.refrence` is no field of clinic
        did you mean `subject.reference`?
    ");
    assert_snapshot!(problems("names[].family").problems(), @"
    pipelines/clinic.yaml:1:7+6: the subject `names[].family` is inside of the list `names`, of which a record may have several elements
        it may be id or subject.reference
    ");
}
