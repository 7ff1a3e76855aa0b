//! The shipped transforms and views, their lineage written out by hand.

use super::*;

macro_rules! sql {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/", $path))
    };
}

/// The shipped project, without its YAML.
pub(super) fn shipped() -> Project {
    let entities = vec![
        entity("patients", "patient_id, name"),
        entity(
            "visits",
            "patient_id, visit_id, visit_date:date, provider_notes_text, provider_notes_author",
        ),
        entity(
            "diagnoses",
            "visit_id, visit_date:date, diagnosis_code, diagnosis_description",
        ),
        entity(
            "treatments",
            "visit_id, visit_date:date, diagnosis_code, treatments_drug, treatments_dose",
        ),
    ];
    let a = source(
        "source_a",
        "patient_id, name, visits[visit_id, date:date, diagnoses[code, description, treatments[drug, dose]], \
         provider_notes{text, author}]",
        &[
            ("patients", sql!("source_a/patients.sql")),
            ("visits", sql!("source_a/visits.sql")),
            ("diagnoses", sql!("source_a/diagnoses.sql")),
            ("treatments", sql!("source_a/treatments.sql")),
        ],
    );
    let b = source(
        "source_b",
        "patient_id, name, visits[visit_id, date:date, diagnoses[code, description, treatments[drug_test, dose_test]], \
         provider_notes{text, author_test}]",
        &[
            ("patients", sql!("source_b/patients.sql")),
            ("visits", sql!("source_b/visits.sql")),
            ("diagnoses", sql!("source_b/diagnoses.sql")),
            ("treatments", sql!("source_b/treatments.sql")),
        ],
    );
    let views = vec![
        view(
            ViewKind::Function,
            "patients_as_of",
            sql!("functions/patients_as_of.sql"),
        ),
        view(
            ViewKind::View,
            "patient_treatment_summary",
            sql!("views/patient_treatment_summary.sql"),
        ),
        view(
            ViewKind::View,
            "readmissions_within_30_days",
            sql!("views/readmissions_within_30_days.sql"),
        ),
        view(ViewKind::View, "visits_current", sql!("views/visits_current.sql")),
        view(
            ViewKind::Materialized,
            "diagnosis_prevalence",
            sql!("materialized/diagnosis_prevalence.sql"),
        ),
        view(
            ViewKind::Materialized,
            "drug_utilisation_by_month",
            sql!("materialized/drug_utilisation_by_month.sql"),
        ),
        view(
            ViewKind::Materialized,
            "patients_current",
            sql!("materialized/patients_current.sql"),
        ),
    ];
    project(entities, vec![a, b], views)
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

#[tokio::test]
async fn views() {
    let lineage = lineage(&shipped()).await;
    for view in &lineage.views {
        println!(
            "{}.{}: {}",
            view.view,
            view.column,
            shown_view(&lineage, &format!("{}.{}", view.view, view.column))
        );
    }
}
