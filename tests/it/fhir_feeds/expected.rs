//! What must stand in the tables of `examples/fhir`, worked out from the JSON alone: no code of the program and nothing
//! of the example's YAML and SQL is used.
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::harness::hashed_in;

const SNOMED: &str = "http://snomed.info/sct";
const LOINC: &str = "http://loinc.org";
const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";

/// A cell of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Stands in the table as it is here, null included.
    Is(Value),
    /// A date or time in FHIR's spelling: the table has it moved by the days of its patient.
    Moved(Option<String>),
    /// A name in whose place an invented one stands.
    Pseudonym,
}

/// A row: the table, the patient's id as it is sent, and the cells by column.
#[derive(Debug)]
pub struct Row {
    pub table: &'static str,
    pub patient: String,
    pub cells: BTreeMap<&'static str, Cell>,
}

/// The entries of all files of a folder: of bundles, and one for each resource of NDJSON.
fn entries(folder: &Path) -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "gz"))
        .collect();
    files.sort();
    let mut entries = Vec::new();
    for path in files {
        let mut text = String::new();
        let file = std::fs::File::open(&path).unwrap();
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
        for line in text.lines() {
            let document: Value = serde_json::from_str(line).unwrap();
            match document["entry"].as_array() {
                Some(of_bundle) => entries.extend(of_bundle.iter().cloned()),
                None => entries.push(json!({"resource": document})),
            }
        }
    }
    entries
}

/// The resources of all files of a folder.
pub fn resources(folder: &Path) -> Vec<Value> {
    let resources = entries(folder).into_iter().map(|mut entry| entry["resource"].take());
    resources.filter(Value::is_object).collect()
}

/// The types and ids of what the files of a folder delete.
pub fn deleted(folder: &Path) -> Vec<(String, String)> {
    let entries = entries(folder).into_iter();
    let deletions = entries.filter(|entry| entry["request"]["method"] == "DELETE");
    let named = deletions.map(|entry| {
        let (kind, id) = entry["request"]["url"].as_str().unwrap().split_once('/').unwrap();
        (kind.to_owned(), id.to_owned())
    });
    named.collect()
}

/// The id that a reference names, in any of its forms.
pub fn named(reference: &Value) -> Option<&str> {
    let text = reference["reference"].as_str()?;
    let text = text.split("/_history/").next()?;
    let text = text.strip_prefix("urn:uuid:").unwrap_or(text);
    text.rsplit('/').next()
}

fn masked(reference: &Value) -> Value {
    named(reference).map_or(Value::Null, |id| json!(hashed_in("resource", id)))
}

fn by_system(concept: &Value, system: &str) -> Value {
    let codings = concept["coding"].as_array().into_iter().flatten();
    let mut found = codings.filter(|coding| coding["system"] == system);
    found.next().map_or(Value::Null, |coding| coding["code"].clone())
}

fn code(concept: &Value) -> Value {
    concept["coding"][0]["code"].clone()
}

fn display(concept: &Value) -> Value {
    concept["coding"][0]["display"].clone()
}

fn moved(value: &Value) -> Cell {
    Cell::Moved(value.as_str().map(str::to_owned))
}

fn first<'v>(values: &[&'v Value]) -> &'v Value {
    values
        .iter()
        .find(|value| !value.is_null())
        .copied()
        .unwrap_or(&Value::Null)
}

/// How much of a date is known.
pub fn precision(value: &Value) -> Value {
    match value.as_str().map(str::len) {
        None => Value::Null,
        Some(4) => json!("year"),
        Some(7) => json!("month"),
        Some(10) => json!("day"),
        Some(_) => json!("second"),
    }
}

/// The cells of value[x].
fn values(of: &Value) -> Vec<(&'static str, Cell)> {
    let (quantity, low, samples) = (&of["valueQuantity"], &of["valueRange"]["low"], &of["valueSampledData"]);
    let (numerator, denominator) = (&of["valueRatio"]["numerator"], &of["valueRatio"]["denominator"]);
    let text = if of["valueString"].is_string() {
        json!("[redacted]")
    } else {
        of["valueTime"].clone()
    };
    let unit_of_ratio = match (numerator["unit"].as_str(), denominator["unit"].as_str()) {
        (Some(one), Some(other)) => json!(format!("{one}/{other}")),
        (None, None) => Value::Null,
        _ => panic!("the sample has no such ratio"),
    };
    let units = [
        &quantity["unit"],
        &low["unit"],
        &samples["origin"]["unit"],
        &unit_of_ratio,
    ];
    vec![
        number(
            "value",
            first(&[
                &quantity["value"],
                &of["valueInteger"],
                &low["value"],
                &numerator["value"],
            ]),
        ),
        number("value_high", &of["valueRange"]["high"]["value"]),
        number("denominator", &denominator["value"]),
        is(
            "comparator",
            first(&[&quantity["comparator"], &numerator["comparator"]]),
        ),
        is("unit", first(&units)),
        ("value_end", moved(&of["valuePeriod"]["end"])),
        is("samples", &samples["data"]),
        number("sample_origin", &samples["origin"]["value"]),
        number("sample_factor", &samples["factor"]),
        number("sample_period", &samples["period"]),
        ("value_code", Cell::Is(code(&of["valueCodeableConcept"]))),
        ("value_bool", Cell::Is(of["valueBoolean"].clone())),
        ("value_text", Cell::Is(text)),
        (
            "value_time",
            moved(first(&[&of["valueDateTime"], &of["valuePeriod"]["start"]])),
        ),
        ("absent_reason", Cell::Is(code(&of["dataAbsentReason"]))),
    ]
}

/// The rows that a resource must become. Empty for a resource of no kind.
pub fn rows(resource: &Value) -> Vec<Row> {
    let kind = resource["resourceType"].as_str().unwrap();
    let id = resource["id"].as_str().unwrap();
    if kind == "Patient" {
        return vec![Row {
            table: "patients",
            patient: id.to_owned(),
            cells: patient(resource).into(),
        }];
    }
    let Some((table, key, own)) = event(kind, resource) else {
        return Vec::new();
    };
    let subject = first(&[&resource["subject"], &resource["patient"]]);
    let patient = named(subject).unwrap().to_owned();
    let mut cells = BTreeMap::from([
        (key, Cell::Is(json!(hashed_in("resource", id)))),
        ("patient_id", Cell::Is(json!(hashed_in("patient", &patient)))),
    ]);
    if kind != "Encounter" {
        let encounter = first(&[&resource["encounter"], &resource["context"]["encounter"][0]]);
        cells.insert("encounter_id", Cell::Is(masked(encounter)));
    }
    if table != "conditions" && table != "allergies" {
        cells.insert("status", Cell::Is(resource["status"].clone()));
    }
    cells.extend(own);
    let mut rows = vec![Row {
        table,
        patient: patient.clone(),
        cells,
    }];
    for (number, component) in resource["component"].as_array().into_iter().flatten().enumerate() {
        let mut cells = BTreeMap::from([
            ("observation_id", Cell::Is(json!(hashed_in("resource", id)))),
            ("position", Cell::Is(json!(number + 1))),
            ("loinc", Cell::Is(by_system(&component["code"], LOINC))),
            ("display", Cell::Is(display(&component["code"]))),
        ]);
        cells.extend(values(component));
        rows.push(Row {
            table: "observation_components",
            patient: patient.clone(),
            cells,
        });
    }
    rows
}

fn patient(of: &Value) -> [(&'static str, Cell); 11] {
    let extension = |list: &Value, url: &str| {
        let mut found = list.as_array().into_iter().flatten();
        found
            .find(|one| one["url"].as_str().unwrap().ends_with(url))
            .cloned()
            .unwrap_or_default()
    };
    let race = extension(&of["extension"], "/us-core-race");
    let identifiers = of["identifier"].as_array().unwrap();
    let mrn = identifiers
        .iter()
        .find(|one| one["system"] == "urn:example:mrn")
        .unwrap();
    let died = &of["deceasedDateTime"];
    let deceased = if died.is_string() {
        json!(true)
    } else {
        json!(of["deceasedBoolean"] == true)
    };
    [
        (
            "patient_id",
            Cell::Is(json!(hashed_in("patient", of["id"].as_str().unwrap()))),
        ),
        (
            "mrn",
            Cell::Is(json!(hashed_in("patient identifier", mrn["value"].as_str().unwrap()))),
        ),
        ("name", Cell::Pseudonym),
        ("birth_date", moved(&of["birthDate"])),
        ("birth_precision", Cell::Is(precision(&of["birthDate"]))),
        ("gender", Cell::Is(of["gender"].clone())),
        (
            "birth_sex",
            Cell::Is(extension(&of["extension"], "/us-core-birthsex")["valueCode"].clone()),
        ),
        (
            "race",
            Cell::Is(extension(&race["extension"], "ombCategory")["valueCoding"]["code"].clone()),
        ),
        ("deceased", Cell::Is(deceased)),
        ("death_date", moved(died)),
        (
            "zip3",
            Cell::Is(json!(of["address"][0]["postalCode"].as_str().unwrap()[..3])),
        ),
    ]
}

type Event = (&'static str, &'static str, Vec<(&'static str, Cell)>);

type Cells = Vec<(&'static str, Cell)>;

fn is(column: &'static str, value: &Value) -> (&'static str, Cell) {
    (column, Cell::Is(value.clone()))
}

fn number(column: &'static str, value: &Value) -> (&'static str, Cell) {
    (
        column,
        Cell::Is(value.as_f64().map_or(Value::Null, |number| json!(number))),
    )
}

fn coded(column: &'static str, concept: &Value, system: &str) -> (&'static str, Cell) {
    (column, Cell::Is(by_system(concept, system)))
}

fn labelled(concept: &Value) -> (&'static str, Cell) {
    ("display", Cell::Is(display(concept)))
}

fn precise(column: &'static str, value: &Value) -> (&'static str, Cell) {
    (column, Cell::Is(precision(value)))
}

fn category(of: &Value) -> (&'static str, Cell) {
    ("category", Cell::Is(code(&of["category"][0])))
}

fn reason(of: &Value) -> Cells {
    let reason = &of["reasonReference"][0];
    let told = reason["reference"].as_str().unwrap();
    let told = ["Condition/", "Observation/"]
        .into_iter()
        .find(|name| told.contains(name));
    let kind = told.map_or(reason["type"].clone(), |name| json!(name.trim_end_matches('/')));
    vec![("reason_id", Cell::Is(masked(reason))), ("reason_type", Cell::Is(kind))]
}

fn effective(of: &Value) -> Cells {
    let text = first(&[&of["effectiveDateTime"], &of["effectivePeriod"]["start"]]);
    vec![
        ("effective", moved(first(&[text, &of["effectiveInstant"]]))),
        precise("effective_precision", text),
        ("issued", moved(&of["issued"])),
    ]
}

fn encounter(of: &Value) -> Cells {
    let diagnoses = of["diagnosis"].as_array().unwrap().iter();
    let ids: Vec<Value> = diagnoses.clone().map(|one| masked(&one["condition"])).collect();
    let roles: Vec<Value> = diagnoses.map(|one| code(&one["use"])).collect();
    vec![
        is("class", &of["class"]["code"]),
        coded("type_snomed", &of["type"][0], SNOMED),
        coded("reason_snomed", &of["reasonCode"][0], SNOMED),
        ("started", moved(&of["period"]["start"])),
        ("ended", moved(&of["period"]["end"])),
        is("diagnosis_ids", &json!(ids)),
        is("diagnosis_roles", &json!(roles)),
    ]
}

fn problem(of: &Value) -> Cells {
    let onset = first(&[&of["onsetDateTime"], &of["onsetPeriod"]["start"]]);
    let age = first(&[&of["onsetAge"], &of["onsetRange"]["low"]]);
    vec![
        ("clinical_status", Cell::Is(code(&of["clinicalStatus"]))),
        ("verification_status", Cell::Is(code(&of["verificationStatus"]))),
        ("onset", moved(onset)),
        precise("onset_precision", onset),
        number("onset_age", &age["value"]),
        is("onset_age_unit", &age["unit"]),
        ("recorded", moved(&of["recordedDate"])),
    ]
}

fn condition(of: &Value) -> Cells {
    let mut cells = problem(of);
    cells.extend([
        category(of),
        coded("snomed", &of["code"], SNOMED),
        coded("icd10", &of["code"], "http://hl7.org/fhir/sid/icd-10-cm"),
        labelled(&of["code"]),
        ("abated", moved(&of["abatementDateTime"])),
    ]);
    cells
}

fn procedure(of: &Value) -> Cells {
    let started = first(&[&of["performedDateTime"], &of["performedPeriod"]["start"]]);
    let mut cells = vec![
        coded("snomed", &of["code"], SNOMED),
        labelled(&of["code"]),
        ("started", moved(started)),
        precise("started_precision", started),
        ("ended", moved(&of["performedPeriod"]["end"])),
    ];
    cells.extend(reason(of));
    cells
}

fn medication_request(of: &Value) -> Cells {
    let concept = first(&[&of["medicationCodeableConcept"], &of["contained"][0]["code"]]);
    let dose = &of["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"];
    let mut cells = vec![
        is("intent", &of["intent"]),
        coded("rxnorm", concept, RXNORM),
        labelled(concept),
        ("dose", Cell::Is(json!(dose["value"].as_f64()))),
        is("dose_unit", &dose["unit"]),
        ("authored", moved(&of["authoredOn"])),
        precise("authored_precision", &of["authoredOn"]),
    ];
    cells.extend(reason(of));
    cells
}

fn allergy_intolerance(of: &Value) -> Cells {
    let reactions = of["reaction"].as_array().unwrap().iter();
    let reactions: Vec<Value> = reactions.map(|reaction| code(&reaction["manifestation"][0])).collect();
    let mut cells = problem(of);
    cells.extend([
        is("type", &of["type"]),
        is("categories", &of["category"]),
        is("criticality", &of["criticality"]),
        coded("snomed", &of["code"], SNOMED),
        coded("rxnorm", &of["code"], RXNORM),
        labelled(&of["code"]),
        is("reactions", &json!(reactions)),
    ]);
    cells
}

fn diagnostic_report(of: &Value) -> Cells {
    let results: Vec<Value> = of["result"].as_array().unwrap().iter().map(masked).collect();
    let mut cells = vec![
        category(of),
        coded("loinc", &of["code"], LOINC),
        labelled(&of["code"]),
        is("laboratory", &of["contained"][0]["name"]),
        is("observation_ids", &json!(results)),
    ];
    cells.extend(effective(of));
    cells
}

/// The table, the column of its key and the cells that only this kind has.
fn event(kind: &str, of: &Value) -> Option<Event> {
    let (table, key, cells) = match kind {
        "Encounter" => ("encounters", "encounter_id", encounter(of)),
        "Condition" => ("conditions", "condition_id", condition(of)),
        "Procedure" => ("procedures", "procedure_id", procedure(of)),
        "MedicationRequest" => ("medication_requests", "request_id", medication_request(of)),
        "Observation" => {
            let components = of["component"].as_array().map_or(0, Vec::len);
            let mut cells = vec![
                category(of),
                coded("loinc", &of["code"], LOINC),
                labelled(&of["code"]),
                is("components", &json!(components)),
            ];
            cells.extend(effective(of));
            cells.extend(values(of));
            ("observations", "observation_id", cells)
        }
        "Immunization" => (
            "immunizations",
            "immunization_id",
            vec![
                coded("cvx", &of["vaccineCode"], "http://hl7.org/fhir/sid/cvx"),
                labelled(&of["vaccineCode"]),
                ("occurred", moved(&of["occurrenceDateTime"])),
                precise("occurred_precision", &of["occurrenceDateTime"]),
                is("primary_source", &of["primarySource"]),
            ],
        ),
        "AllergyIntolerance" => ("allergies", "allergy_id", allergy_intolerance(of)),
        "DiagnosticReport" => ("reports", "report_id", diagnostic_report(of)),
        "DocumentReference" => (
            "documents",
            "document_id",
            vec![
                coded("loinc", &of["type"], LOINC),
                labelled(&of["type"]),
                ("created", moved(&of["date"])),
                is("content_type", &of["content"][0]["attachment"]["contentType"]),
            ],
        ),
        _ => return None,
    };
    Some((table, key, cells))
}
