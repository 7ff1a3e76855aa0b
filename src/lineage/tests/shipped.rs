//! Tests of the shipped transforms and views against lineage that was written by hand.

use std::path::Path;

use super::*;
use crate::model::{Field, FieldType, MaskKind, PhiClass, Privacy};
use crate::project;

/// The shipped project without its classes and masks. Each test sets those that it needs.
pub(super) fn shipped() -> Project {
    let mut project = project::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    for source in &mut project.sources {
        strip(&mut source.kinds[0].schema);
    }
    project
}

fn strip(fields: &mut [Field]) {
    for field in fields {
        field.privacy = Privacy::default();
        match &mut field.field_type {
            FieldType::Struct(inner) => strip(inner),
            FieldType::List(item) => strip(std::slice::from_mut(item)),
            _ => {}
        }
    }
}

#[tokio::test]
async fn every_example_can_be_told_exactly() {
    for example in ["third_source", "fhir", "fifth_entity"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
        let project = project::load(&root).unwrap();
        let lineage = lineage(&project).await;
        for entity in &project.entities {
            for column in &entity.columns {
                assert!(
                    lineage.of(&entity.name, &column.name).count() > 0,
                    "{example}: {}.{}",
                    entity.name,
                    column.name
                );
            }
        }
        let guessed: Vec<&str> = lineage
            .views
            .iter()
            .filter(|v| v.approximate)
            .map(|v| v.view.as_str())
            .collect();
        assert!(guessed.is_empty(), "{example}: {guessed:?}");
    }
}

#[tokio::test]
async fn transforms() {
    let lineage = lineage(&shipped()).await;
    let visit = "| visits[]";
    let diagnosis = "| visits[] visits[].diagnoses[]";
    let treatment = "| visits[] visits[].diagnoses[] visits[].diagnoses[].treatments[]";
    let fields = |drug: &str, dose: &str, author: &str| {
        [
            ("patients.patient_id", "patient_id |".to_owned()),
            ("patients.name", "name |".to_owned()),
            ("patients.source", "|".to_owned()),
            ("patients.batch_date", "$date |".to_owned()),
            ("visits.patient_id", format!("patient_id {visit}")),
            ("visits.visit_id", format!("visits[].visit_id {visit}")),
            ("visits.visit_date", format!("visits[].date {visit}")),
            (
                "visits.provider_notes_text",
                format!("visits[].provider_notes.text {visit}"),
            ),
            (
                "visits.provider_notes_author",
                format!("visits[].provider_notes.{author} {visit}"),
            ),
            ("visits.source", visit.to_owned()),
            ("visits.batch_date", format!("$date {visit}")),
            ("diagnoses.visit_id", format!("visits[].visit_id {diagnosis}")),
            ("diagnoses.visit_date", format!("visits[].date {diagnosis}")),
            (
                "diagnoses.diagnosis_code",
                format!("visits[].diagnoses[].code {diagnosis}"),
            ),
            (
                "diagnoses.diagnosis_description",
                format!("visits[].diagnoses[].description {diagnosis}"),
            ),
            ("diagnoses.source", diagnosis.to_owned()),
            ("diagnoses.batch_date", format!("$date {diagnosis}")),
            ("treatments.visit_id", format!("visits[].visit_id {treatment}")),
            ("treatments.visit_date", format!("visits[].date {treatment}")),
            (
                "treatments.diagnosis_code",
                format!("visits[].diagnoses[].code {treatment}"),
            ),
            (
                "treatments.treatments_drug",
                format!("visits[].diagnoses[].treatments[].{drug} {treatment}"),
            ),
            (
                "treatments.treatments_dose",
                format!("visits[].diagnoses[].treatments[].{dose} {treatment}"),
            ),
            ("treatments.source", treatment.to_owned()),
            ("treatments.batch_date", format!("$date {treatment}")),
        ]
    };
    for (source, expected) in [
        ("source_a", fields("drug", "dose", "author")),
        ("source_b", fields("drug_test", "dose_test", "author_test")),
    ] {
        let of_source = lineage.entities.iter().filter(|one| one.source == source);
        let found: Vec<(String, String)> = of_source
            .map(|one| (format!("{}.{}", one.entity, one.column), shown(one)))
            .collect();
        let expected: Vec<(String, String)> = expected
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text))
            .collect();
        assert_eq!(found, expected, "{source}");
    }
}

/// The columns that decide the rows of the views about patients.
const PATIENTS: &str = "patients.batch_date patients.patient_id patients.source patients.(rows)";

const VISITS: &str =
    "visits.batch_date visits.patient_id visits.source visits.visit_date visits.visit_id visits.(rows)";

const SUMMARY: &str = "patients.batch_date patients.patient_id patients.source treatments.batch_date treatments.source \
                   treatments.visit_id visits.batch_date visits.patient_id visits.source visits.visit_id \
                   patients.(rows) treatments.(rows) visits.(rows)";
const PREVALENCE: &str = "diagnoses.batch_date diagnoses.diagnosis_code diagnoses.source diagnoses.visit_id \
                      patients.batch_date patients.patient_id patients.source visits.batch_date visits.source \
                      visits.visit_id diagnoses.(rows) patients.(rows) visits.(rows)";
const UTILISATION: &str = "treatments.batch_date treatments.source treatments.treatments_drug treatments.visit_id \
                       visits.batch_date visits.source visits.visit_date visits.visit_id \
                       treatments.(rows) visits.(rows)";
const CURRENT: &str = "visits.batch_date visits.source visits.visit_id visits.(rows)";

/// A view's column, its direct origins, and the origins that decide its rows.
const VIEWS: [(&str, &str, &str); 42] = [
    ("patients_as_of.source", "patients.source", PATIENTS),
    ("patients_as_of.patient_id", "patients.patient_id", PATIENTS),
    ("patients_as_of.name", "patients.name", PATIENTS),
    ("patients_as_of.created_date", "patients.batch_date", PATIENTS),
    ("patients_as_of.updated_date", "patients.batch_date", PATIENTS),
    (
        "patient_treatment_summary.treatments_drug",
        "treatments.treatments_drug",
        SUMMARY,
    ),
    (
        "patient_treatment_summary.treatments_dose",
        "treatments.treatments_dose",
        SUMMARY,
    ),
    (
        "patient_treatment_summary.prescribed_date",
        "treatments.visit_date",
        SUMMARY,
    ),
    ("patient_treatment_summary.name", "patients.name", SUMMARY),
    ("readmissions_within_30_days.source", "visits.source", VISITS),
    ("readmissions_within_30_days.patient_id", "visits.patient_id", VISITS),
    (
        "readmissions_within_30_days.previous_visit_id",
        "visits.visit_id",
        VISITS,
    ),
    (
        "readmissions_within_30_days.previous_visit_date",
        "visits.visit_date",
        VISITS,
    ),
    ("readmissions_within_30_days.visit_id", "visits.visit_id", VISITS),
    ("readmissions_within_30_days.visit_date", "visits.visit_date", VISITS),
    ("readmissions_within_30_days.days_between", "visits.visit_date", VISITS),
    ("visits_current.source", "visits.source", CURRENT),
    ("visits_current.visit_id", "visits.visit_id", CURRENT),
    ("visits_current.patient_id", "visits.patient_id", CURRENT),
    ("visits_current.visit_date", "visits.visit_date", CURRENT),
    (
        "visits_current.provider_notes_text",
        "visits.provider_notes_text",
        CURRENT,
    ),
    (
        "visits_current.provider_notes_author",
        "visits.provider_notes_author",
        CURRENT,
    ),
    ("visits_current.batch_date", "visits.batch_date", CURRENT),
    ("diagnosis_prevalence.source", "visits.source", PREVALENCE),
    (
        "diagnosis_prevalence.diagnosis_code",
        "diagnoses.diagnosis_code",
        PREVALENCE,
    ),
    (
        "diagnosis_prevalence.diagnosis_description",
        "diagnoses.diagnosis_description",
        PREVALENCE,
    ),
    ("diagnosis_prevalence.patients", "visits.patient_id", PREVALENCE),
    ("diagnosis_prevalence.visits", "visits.visit_id", PREVALENCE),
    (
        "diagnosis_prevalence.percent_of_patients",
        "visits.patient_id",
        PREVALENCE,
    ),
    ("diagnosis_prevalence.first_visit_date", "visits.visit_date", PREVALENCE),
    ("diagnosis_prevalence.last_visit_date", "visits.visit_date", PREVALENCE),
    ("drug_utilisation_by_month.month", "visits.visit_date", UTILISATION),
    ("drug_utilisation_by_month.source", "visits.source", UTILISATION),
    (
        "drug_utilisation_by_month.treatments_drug",
        "treatments.treatments_drug",
        UTILISATION,
    ),
    ("drug_utilisation_by_month.prescriptions", "", UTILISATION),
    ("drug_utilisation_by_month.visits", "visits.visit_id", UTILISATION),
    ("drug_utilisation_by_month.patients", "visits.patient_id", UTILISATION),
    ("patients_current.source", "patients.source", PATIENTS),
    ("patients_current.patient_id", "patients.patient_id", PATIENTS),
    ("patients_current.name", "patients.name", PATIENTS),
    ("patients_current.created_date", "patients.batch_date", PATIENTS),
    ("patients_current.updated_date", "patients.batch_date", PATIENTS),
];

#[tokio::test]
async fn views() {
    let lineage = lineage(&shipped()).await;
    let names: Vec<String> = lineage
        .views
        .iter()
        .map(|v| format!("{}.{}", v.view, v.column))
        .collect();
    assert_eq!(names, VIEWS.map(|(name, ..)| name));
    for (name, direct, rows) in VIEWS {
        // A column that is a direct origin is not listed as an indirect one.
        let rows: Vec<&str> = rows.split(' ').filter(|column| *column != direct).collect();
        assert_eq!(
            shown_view(&lineage, name),
            format!("{direct} | {}", rows.join(" ")).trim(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn as_text() {
    let mut project = shipped();
    let name = &mut project.sources[0].kinds[0].schema[1];
    name.privacy = Privacy {
        phi: Some(PhiClass::Name),
        mask: Some(MaskKind::Pseudonym),
        ..Privacy::default()
    };
    let lineage = lineage(&project).await;
    assert_eq!(
        lineage.column("visits.visit_date").unwrap().to_text(),
        "visits.visit_date\n\
         ├─ source_a via sql/source_a/visits.sql\n\
         │  ├─ visits[].date (direct)\n\
         │  └─ visits[] (indirect)\n\
         └─ source_b via sql/source_b/visits.sql\n   \
            ├─ visits[].date (direct)\n   \
            └─ visits[] (indirect)"
    );
    let summary = lineage.column("patient_treatment_summary.name").unwrap();
    let text = summary.to_text();
    assert!(
        text.starts_with("patient_treatment_summary.name (view, sql/views/patient_treatment_summary.sql)\n"),
        "{text}"
    );
    assert!(text.contains("├─ patients.name (direct)\n│  ├─ source_a via sql/source_a/patients.sql\n│  │  └─ name (direct, phi name, mask pseudonym)\n"), "{text}");
    let json = summary.to_json();
    assert_eq!(json["columns"][0]["kind"], "view");
    assert_eq!(json["columns"][0]["columns"][0]["dependence"], "direct");
    let fields = json["columns"][0]["fields"].as_array().unwrap();
    let name = fields
        .iter()
        .find(|f| f["source"] == "source_a" && f["path"] == "name")
        .unwrap();
    assert_eq!(
        name.to_string(),
        r#"{"dependence":"direct","mask":"pseudonym","path":"name","phi":"name","source":"source_a"}"#
    );
    let visit_id = fields
        .iter()
        .find(|f| f["source"] == "source_a" && f["path"] == "visits[].visit_id")
        .unwrap();
    assert_eq!(visit_id["dependence"], "indirect");
}
