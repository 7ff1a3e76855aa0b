//! A third source needs only one YAML and four SQL files, even if its fields have other names and its records are
//! inside a wrapper object.
use crate::harness::{Database, Project, SOURCE_A, batch};

const YAML: &str = "\
name: source_c
aliases: [c]
description: Clinic C, which wraps its export
input:
  path: in/c/{date:%Y-%m-%d}/*.json
  records: $.export['patient records'][*]
schema:
  person: {type: string, required: true}
  label: string
  encounters:
    list:
      no: {type: bigint, required: true}
      day: {type: date, format: \"%d.%m.%Y\", required: true}
      note: string
      findings:
        list:
          icd: {type: string, required: true}
          says: string
          rx: {list: string}
";

const VISIT: &str = "with visit as (select person, unnest(encounters) as item from source)";

fn project() -> Project {
    let from_visit = |columns: &str| format!("{VISIT}\nselect {columns} from visit\n");
    let finding = format!(
        "{VISIT},\nfinding as (select item['no'] as no, item['day'] as day, unnest(item['findings']) as finding from visit)"
    );
    Project::of_repository()
        .file("pipelines/source_c.yaml", YAML)
        .file("sql/source_c/patients.sql", "select person as patient_id, label as name from source\n")
        .file(
            "sql/source_c/visits.sql",
            from_visit(
                "person as patient_id, cast(item['no'] as varchar) as visit_id, item['day'] as visit_date,
                 item['note'] as provider_notes_text, cast(null as varchar) as provider_notes_author",
            ),
        )
        .file(
            "sql/source_c/diagnoses.sql",
            format!(
                "{finding}\nselect cast(no as varchar) as visit_id, day as visit_date, finding['icd'] as diagnosis_code,
                 finding['says'] as diagnosis_description from finding\n"
            ),
        )
        .file(
            "sql/source_c/treatments.sql",
            format!(
                "{finding},\nrx as (select no, day, finding['icd'] as icd, unnest(finding['rx']) as drug from finding)
                 select cast(no as varchar) as visit_id, day as visit_date, icd as diagnosis_code,
                 drug as treatments_drug, cast(null as varchar) as treatments_dose from rx\n"
            ),
        )
        .file(
            "in/c/2023-05-01/1.json",
            r#"{"made": "2023-05-01", "export": {"clinic": {"id": 7}, "patient records": [
                {"person": "C-1", "label": "Ünal", "encounters": [
                    {"no": 1, "day": "30.04.2023", "note": "late", "findings": [{"icd": "E11.9", "says": "x", "rx": ["Metformin", "Insulin"]}]},
                    {"no": 2, "day": "01.05.2023", "findings": []}]},
                {"person": "C-2", "encounters": null}]}, "trailer": []}"#,
        )
}

#[test]
fn a_third_source_needs_no_change_of_the_program() {
    let database = Database::migrated();
    let project = project().on(&database);
    project.input("source_a", "20230501", batch(SOURCE_A, "a", 2));
    project
        .run(&["run", "--source", "c", "--source", "a", "--date", "2023-05-01"])
        .code(0);
    let rows = |entity: &str, columns: &str| {
        database.rows(&format!(
            "select {columns} from {entity} where source = 'source_c' order by 1, 2, 3"
        ))
    };
    assert_eq!(
        rows("patients", "patient_id, name, batch_date"),
        ["C-1|Ünal|2023-05-01", "C-2||2023-05-01"]
    );
    assert_eq!(
        rows("visits", "visit_id, visit_date, provider_notes_text"),
        ["1|2023-04-30|late", "2|2023-05-01|"]
    );
    assert_eq!(
        rows("diagnoses", "visit_id, diagnosis_code, diagnosis_description"),
        ["1|E11.9|x"]
    );
    assert_eq!(
        rows("treatments", "treatments_drug, visit_id, visit_date"),
        ["Insulin|1|2023-04-30", "Metformin|1|2023-04-30"]
    );
    assert_eq!(database.count("patient_treatment_summary where name = 'Ünal'"), 2);
}
