//! Patients as the shipped source A sends them: one or two visits each, with one to three diagnoses of up to three
//! treatments. The same for the same count.

use chrono::NaiveDate;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

const FIRST_NAMES: [&str; 10] = [
    "Ada", "Bruno", "Chloé", "Dmitri", "Elif", "Farid", "Greta", "Hana", "Íñigo", "Jamal",
];
const LAST_NAMES: [&str; 10] = [
    "Abe", "Berg", "Costa", "Díaz", "Eriksen", "Fischer", "Gül", "Haddad", "Ito", "O'Neill",
];
const DIAGNOSES: [(&str, &str); 6] = [
    ("ICD-10:E11.9", "Type 2 diabetes"),
    ("ICD-10:I10", "Essential hypertension"),
    ("ICD-10:J45.909", "Asthma"),
    ("ICD-10:E78.5", "Hyperlipidemia"),
    ("ICD-10:F32.9", "Major depressive disorder"),
    ("ICD-11:CA23", "Asthma"),
];
pub const DRUGS: [&str; 10] = [
    "Albuterol",
    "Amlodipine",
    "Atorvastatin",
    "Gabapentin",
    "Insulin",
    "Lisinopril",
    "Losartan",
    "Metformin",
    "Omeprazole",
    "Sertraline",
];
const SENTENCE: &str = "Patient slept well and has less pain. ";

pub struct Patient {
    pub id: String,
    pub name: String,
    pub visits: Vec<Visit>,
}

pub struct Visit {
    id: String,
    pub day: NaiveDate,
    diagnoses: Vec<Diagnosis>,
    pub note: String,
    author: String,
}

struct Diagnosis {
    code: &'static str,
    description: &'static str,
    treatments: Vec<(&'static str, u32)>,
}

pub fn generate(count: usize) -> Vec<Patient> {
    let mut random = StdRng::seed_from_u64(1);
    let mut visits = 0;
    (0..count)
        .map(|number| Patient {
            id: format!("P-{number:09}"),
            name: format!("{} {}", one(&mut random, &FIRST_NAMES), one(&mut random, &LAST_NAMES)),
            visits: (0..random.random_range(1..=2))
                .map(|_| {
                    visits += 1;
                    visit(&mut random, visits)
                })
                .collect(),
        })
        .collect()
}

fn visit(random: &mut StdRng, number: u32) -> Visit {
    let diagnoses = random.random_range(1..=3);
    Visit {
        id: format!("V-{number:09}"),
        day: NaiveDate::from_ymd_opt(2023, 5, random.random_range(1..=31)).expect("a day of May"),
        diagnoses: DIAGNOSES
            .choose_multiple(random, diagnoses)
            .copied()
            .collect::<Vec<_>>()
            .into_iter()
            .map(|(code, description)| Diagnosis {
                code,
                description,
                treatments: (0..random.random_range(0..=3))
                    .map(|_| (one(random, &DRUGS), 5 * random.random_range(1..=100)))
                    .collect(),
            })
            .collect(),
        note: SENTENCE.repeat(random.random_range(1..=4)),
        author: format!("Dr. {}", one(random, &LAST_NAMES)),
    }
}

fn one(random: &mut StdRng, among: &[&'static str]) -> &'static str {
    among.choose(random).expect("some to choose from")
}

impl Patient {
    /// The record; nothing in it needs an escape.
    pub fn json(&self) -> String {
        format!(
            r#"{{"patient_id": "{}", "name": "{}", "visits": [{}]}}"#,
            self.id,
            self.name,
            joined(&self.visits, Visit::json)
        )
    }

    /// How many of its values source A masks: id and name, and of each visit the note and its author.
    pub fn masked_values(&self) -> usize {
        2 + 2 * self.visits.len()
    }
}

impl Visit {
    fn json(&self) -> String {
        format!(
            r#"{{"visit_id": "{}", "date": "{}", "diagnoses": [{}], "provider_notes": {{"text": "{}", "author": "{}"}}}}"#,
            self.id,
            self.day,
            joined(&self.diagnoses, Diagnosis::json),
            self.note,
            self.author
        )
    }
}

impl Diagnosis {
    fn json(&self) -> String {
        let treatment = |(drug, dose): &(&str, u32)| format!(r#"{{"drug": "{drug}", "dose": "{dose}mg"}}"#);
        format!(
            r#"{{"code": "{}", "description": "{}", "treatments": [{}]}}"#,
            self.code,
            self.description,
            joined(&self.treatments, treatment)
        )
    }
}

fn joined<T>(items: &[T], json: impl Fn(&T) -> String) -> String {
    items.iter().map(json).collect::<Vec<_>>().join(", ")
}
