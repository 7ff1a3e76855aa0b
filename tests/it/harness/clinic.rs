//! Input in the format of this repository's two sources.
use serde_json::{Value, json};

use super::Project;

/// The names of the three fields that the two sources call differently.
#[derive(Clone, Copy)]
pub struct Words {
    pub drug: &'static str,
    pub dose: &'static str,
    pub author: &'static str,
}

pub const SOURCE_A: Words = Words {
    drug: "drug",
    dose: "dose",
    author: "author",
};
pub const SOURCE_B: Words = Words {
    drug: "drug_test",
    dose: "dose_test",
    author: "author_test",
};

/// A visit with one diagnosis.
pub fn visit(words: Words, id: &str, date: &str, code: &str, drugs: &[&str]) -> Value {
    let treatments: Vec<Value> = drugs
        .iter()
        .map(|drug| json!({words.drug: drug, words.dose: format!("{drug} dose")}))
        .collect();
    json!({
        "visit_id": id,
        "date": date,
        "diagnoses": [{"code": code, "description": format!("about {code}"), "treatments": treatments}],
        "provider_notes": {"text": format!("notes of {id}"), words.author: "Dr. Who"},
    })
}

pub fn patient(id: &str, name: &str, visits: &[Value]) -> Value {
    json!({"patient_id": id, "name": name, "visits": visits})
}

/// A batch in which every value contains `tag`. It has `patients` patients, twice as many visits, four times as many
/// diagnoses and eight times as many treatments. The ids are the same for every tag.
pub fn batch(words: Words, tag: &str, patients: usize) -> String {
    let treatment = json!({words.drug: tag, words.dose: tag});
    let visits = |patient: usize| -> Vec<Value> {
        (0..2)
            .map(|number| {
                let diagnoses: Vec<Value> = (0..2)
                    .map(|code| json!({"code": format!("C{code}"), "description": tag, "treatments": [treatment, treatment]}))
                    .collect();
                json!({
                    "visit_id": format!("V-{patient}-{number}"),
                    "date": "2023-05-01",
                    "diagnoses": diagnoses,
                    "provider_notes": {"text": tag, words.author: tag},
                })
            })
            .collect()
    };
    let patients: Vec<Value> = (0..patients)
        .map(|number| patient(&format!("P-{number}"), tag, &visits(number)))
        .collect();
    Value::Array(patients).to_string()
}

/// The original system's four batches, with the same structure, ids and counts.
pub fn sample_batches() -> Vec<(&'static str, &'static str, Value)> {
    let day = |words: Words, date: &str, first: (&str, &str), ids: [&str; 2], drugs: [&str; 2]| {
        json!([
            patient(
                first.0,
                "First",
                &[visit(words, ids[0], date, "ICD-10:E11.9", &["Metformin", "Insulin"])]
            ),
            patient(
                first.1,
                "Second",
                &[visit(words, ids[1], date, "ICD-11:E11.90", &drugs)]
            ),
        ])
    };
    let (one, two) = (["V-2023-001", "V-2023-002"], ["V-2023-003", "V-2023-004"]);
    let (old, new) = (
        ["Test Drug Pill", "Test Drug Spray"],
        ["New Drug Pill", "New Drug Spray"],
    );
    vec![
        (
            "source_a",
            "20230501",
            day(SOURCE_A, "2023-05-01", ("P-1001", "P-1002"), one, old),
        ),
        (
            "source_a",
            "20230502",
            day(SOURCE_A, "2023-05-02", ("P-1001", "P-1003"), two, new),
        ),
        (
            "source_b",
            "20230501",
            day(SOURCE_B, "2023-05-01", ("P-100144", "P-1002"), one, old),
        ),
        (
            "source_b",
            "20230502",
            day(SOURCE_B, "2023-05-02", ("P-1001491", "P-1003"), two, new),
        ),
    ]
}

impl Project {
    /// Writes input to the place where the repository's sources look for it. The date is `yyyymmdd`.
    pub fn input(&self, source: &str, date: &str, contents: impl AsRef<[u8]>) {
        self.write(&format!("examples/data/{source}/{date}/visit_events.json"), contents);
    }
}
