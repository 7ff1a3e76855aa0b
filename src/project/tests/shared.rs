//! Tests of `use`, which puts shared fields into a schema.

use super::{Files, SOURCE};
use crate::model::{Field, FieldType, MaskKind, PhiClass, Source};

const PATIENT: &str = "\
patient_id: {type: string, required: true, phi: identifier, mask: hash, domain: patient}
name: {type: string, phi: name, mask: pseudonym}
born: date
visits:
  list:
    use: schemas/visit.yaml
    more: string
";
const VISIT: &str = "\
visit_id: string
date: {type: date, format: \"%d.%m.%Y\"}
note: {type: string, phi: free_text}
";

fn with(schema: &str) -> Files {
    let (head, _) = SOURCE.split_once("schema:").unwrap();
    Files::good()
        .with("schemas/patient.yaml", PATIENT)
        .with("schemas/visit.yaml", VISIT)
        .with("pipelines/clinic.yaml", format!("{head}schema:\n{schema}"))
}

fn source(files: &Files) -> Source {
    files.load().expect("a good project").sources.remove(0)
}

fn names(fields: &[Field]) -> Vec<&str> {
    fields.iter().map(|field| field.name.as_str()).collect()
}

fn inside(field: &Field) -> &[Field] {
    match &field.field_type {
        FieldType::List(item) => inside(item),
        FieldType::Struct(fields) => fields,
        other => panic!("{other:?}"),
    }
}

#[test]
fn own_keys_lie_over_shared_ones() {
    let files = with(
        "  use: schemas/patient.yaml\n  name: {mask: redact}\n  born: null\n  ward: string\n  visits:\n    list:\n      note: null\n      \
         date: {format: \"%Y%m%d\"}\n",
    );
    let source = source(&files);
    let schema = &source.kinds[0].schema;
    assert_eq!(names(schema), ["patient_id", "name", "visits", "ward"]);
    assert_eq!(schema[1].privacy.mask, Some(MaskKind::Redact));
    assert_eq!(schema[1].privacy.phi, Some(PhiClass::Name));
    let visits = inside(&schema[2]);
    assert_eq!(names(visits), ["visit_id", "date", "more"]);
    assert!(matches!(&visits[1].field_type, FieldType::Date(formats) if formats == &["%Y%m%d"]));
    let date = |field: &Field| matches!(field.field_type, FieldType::Date(_));
    let short = self::source(&with("  use: schemas/patient.yaml\n  born: {phi: date, mask: year}\n"));
    let born = &short.kinds[0].schema[2];
    assert!(date(born) && born.privacy.mask == Some(MaskKind::Year), "{born:?}");
    // The shared files are part of the fingerprint.
    assert!(source.text.contains("schemas/patient.yaml") && source.text.contains("free_text"));
    assert_eq!(schema[0].location.file.to_str(), Some("schemas/patient.yaml"));
    assert_eq!(schema[3].location.file.to_str(), Some("pipelines/clinic.yaml"));
}

#[test]
fn a_field_may_be_called_use_and_change_its_shape() {
    let files = with("  use: string\n  visits: string\n");
    assert_eq!(names(&source(&files).kinds[0].schema), ["use", "visits"]);
    let files = with("  use: schemas/patient.yaml\n  visits: {type: json}\n  born: {list: date}\n");
    let source = source(&files);
    assert!(matches!(source.kinds[0].schema[3].field_type, FieldType::Json));
    assert!(matches!(source.kinds[0].schema[2].field_type, FieldType::List(_)));
}

#[test]
fn several_files_are_laid_one_over_the_other() {
    let files = with("  use: [schemas/patient.yaml, schemas/more.yaml]\n  ward: date\n")
        .with("schemas/more.yaml", "name: {mask: redact}\nborn: null\nward: string\n");
    let source = source(&files);
    let schema = &source.kinds[0].schema;
    assert_eq!(names(schema), ["patient_id", "name", "visits", "ward"]);
    assert_eq!(schema[1].privacy.mask, Some(MaskKind::Redact));
    assert!(matches!(schema[3].field_type, FieldType::Date(_)));
    assert!(source.text.contains("schemas/more.yaml"));
}

/// A source whose kinds come from `schemas/kinds.yaml`, with others over them.
fn of_kinds(over: &str) -> Files {
    let (head, _) = SOURCE.split_once("schema:").unwrap();
    let kinds = "patient:\n  where: {type: Patient}\n  subject: patient_id\n  schema: {use: schemas/patient.yaml}\n\
                 visit:\n  where: {type: Visit}\n  schema: {use: schemas/visit.yaml}\n";
    Files::good()
        .with("schemas/patient.yaml", PATIENT)
        .with("schemas/visit.yaml", VISIT)
        .with("schemas/kinds.yaml", kinds)
        .with("sql/clinic/patients.sql", "SELECT patient_id, name FROM patient")
        .with("sql/clinic/visits.sql", "SELECT 1 FROM visit")
        .with(
            "pipelines/clinic.yaml",
            format!("{head}kinds:\n  use: schemas/kinds.yaml\n{over}"),
        )
}

#[test]
fn kinds_are_shared_with_own_ones_over_them() {
    let source = source(&of_kinds(
        "  visit: null\n  patient:\n    where: {type: Person}\n    schema: {born: null, name: {mask: redact}, ward: string}\n  \
         lab: {where: {type: Lab}, schema: {use: schemas/visit.yaml, date: null}}\n",
    ));
    let kinds: Vec<&str> = source.kinds.iter().map(|kind| kind.name.as_str()).collect();
    assert_eq!(kinds, ["patient", "lab"]);
    let patient = &source.kinds[0];
    assert_eq!(patient.conditions[0].values, ["Person"]);
    assert_eq!(patient.subject.as_deref(), Some("patient_id"));
    assert_eq!(names(&patient.schema), ["patient_id", "name", "visits", "ward"]);
    assert_eq!(patient.schema[1].privacy.mask, Some(MaskKind::Redact));
    assert_eq!(names(inside(&patient.schema[2])), ["visit_id", "date", "note", "more"]);
    assert_eq!(names(&source.kinds[1].schema), ["visit_id", "note"]);
    assert!(source.text.contains("subject: patient_id") && source.text.contains("visit_id: string"));
    assert_eq!(patient.schema[0].location.file.to_str(), Some("schemas/patient.yaml"));
}

#[test]
fn problems_of_shared_kinds_stand_where_their_key_does() {
    let wrong = of_kinds("").with(
        "schemas/kinds.yaml",
        "patient:\n  were: {type: Patient}\n  schema: {use: schemas/patient.yaml}\nvisit: {where: {type: Visit}}\n",
    );
    let problems = wrong.problems();
    assert!(problems.contains("schemas/kinds.yaml:2:3+4: "), "{problems}");
    assert!(problems.contains("schemas/kinds.yaml:4:1+5: "), "{problems}");
    for (text, said) in [
        ("- a\n", "schemas/kinds.yaml is no mapping of kinds"),
        ("use: schemas/kinds.yaml\n", "uses itself"),
    ] {
        let problems = of_kinds("  own: {where: {type: Own}, schema: {a: string}}\n")
            .with("schemas/kinds.yaml", text)
            .problems();
        assert!(problems.contains(said), "{problems}");
    }
}

#[test]
fn problems_are_told_where_the_key_stands() {
    let files = with("  use: schemas/patient.yaml\n  name: {mask: redcat}\n").with(
        "schemas/visit.yaml",
        "visit_id: strin\ndate: {type: date, format: \"%d.%m.%Y\", phi: date}\n",
    );
    insta::assert_snapshot!(files.problems(), @"
    pipelines/clinic.yaml:7:16+6: `mask` can't be `redcat`
        did you mean `redact`?
    schemas/visit.yaml:1:11+5: `strin` is no type of a field
        did you mean `string`?
    schemas/visit.yaml:2:1+4: `visits[].date` is classed as date and has no mask
        masks for this type: `keep`, `null`, `hash`, `date_shift`, `year`, `surrogate`; `keep` needs a `reason`
    ");
}

#[test]
fn only_files_of_the_project_are_used() {
    for (used, said) in [
        ("../other.yaml", "`../other.yaml` is no path inside of the project"),
        ("/etc/other.yaml", "`/etc/other.yaml` is no path inside of the project"),
        ("schemas/none.yaml", "there is no file schemas/none.yaml"),
        ("schemas/circle.yaml", "`schemas/circle.yaml` uses itself"),
        ("schemas/list.yaml", "schemas/list.yaml is no mapping of fields"),
        ("schemas/broken.yaml", "schemas/broken.yaml:1"),
    ] {
        let files = with(&format!("  use: {used}\n  more: string\n"))
            .with("schemas/circle.yaml", "a: {struct: {use: schemas/circle.yaml}}\n")
            .with("schemas/list.yaml", "- a\n")
            .with("schemas/broken.yaml", "a: [\n");
        let problems = files.problems();
        assert!(problems.contains(said), "{used}: {problems}");
    }
    let files = with("  use: schemas/twice.yaml\n").with("schemas/twice.yaml", "a: string\na: date\n");
    assert!(
        files.problems().contains("the key `a` is given twice"),
        "{}",
        files.problems()
    );
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_project_is_not_read() {
    let files = with("  use: schemas/link.yaml\n");
    let (root, outside) = (files.write(), tempfile::tempdir().unwrap());
    let secret = outside.path().join("secret.yaml");
    std::fs::write(&secret, "hunter2: [\n").unwrap();
    std::os::unix::fs::symlink(&secret, root.path().join("schemas/link.yaml")).unwrap();
    let error = super::load_with(&crate::workspace::Files::saved(root.path()), &|_| None).unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"));
    assert!(format!("{error:?}").contains("symbolic link"), "{error:?}");
}
