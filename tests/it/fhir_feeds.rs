//! The example project of FHIR feeds: bundles and a bulk export of the same ten kinds of resources come to the same
//! tables, and every element of them is accounted for.
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta};
use serde_json::{Value, json};

use self::expected::{Cell, Row};
use crate::harness::{Database, Outcome, Project, everything, hashed_in, repository, rows, server, talkative};
use crate::roles::{Roles, client, refusal};

mod expected;

const DAYS: [&str; 2] = ["2023-05-01", "2023-05-02"];
const SOURCES: [&str; 2] = ["bulk", "bundles"];
/// The tables, each with the columns of its key.
const TABLES: [(&str, &[&str]); 11] = [
    ("patients", &["patient_id"]),
    ("encounters", &["encounter_id"]),
    ("conditions", &["condition_id"]),
    ("procedures", &["procedure_id"]),
    ("medication_requests", &["request_id"]),
    ("observations", &["observation_id"]),
    ("observation_components", &["observation_id", "position"]),
    ("immunizations", &["immunization_id"]),
    ("allergies", &["allergy_id"]),
    ("reports", &["report_id"]),
    ("documents", &["document_id"]),
];

fn example() -> PathBuf {
    repository().join("examples/fhir")
}

fn project(database: &Database) -> Project {
    let project = Project::copy_of(&example()).on(database);
    project.run(&["migrate"]).code(0);
    project.run(&["views"]).code(0);
    project
}

fn load(project: &Project) -> Outcome {
    project.run(&["run", "--all-sources", "--start", DAYS[0], "--end", DAYS[1]])
}

fn folder(source: &str, day: &str) -> PathBuf {
    example().join(format!("data/{source}/{}", day.replace('-', "")))
}

/// The resources that a source brings on a day.
fn sent(source: &str, day: &str) -> Vec<Value> {
    expected::resources(&folder(source, day))
}

/// A FHIR date or time, or one of PostgreSQL's JSON: its first moment in UTC.
fn moment(text: &str) -> NaiveDateTime {
    let day = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").unwrap().into();
    match text.len() {
        4 => day(&format!("{text}-01-01")),
        7 => day(&format!("{text}-01")),
        10 => day(text),
        _ => DateTime::parse_from_rfc3339(text).unwrap().naive_utc(),
    }
}

/// What a date becomes that moves by so many days: a month stays a month, and a year a year.
fn moved(text: &str, shift: TimeDelta) -> NaiveDateTime {
    let whole = moment(text) + shift;
    let day = whole.date();
    match text.len() {
        4 => day.with_ordinal(1).unwrap().into(),
        7 => day.with_day(1).unwrap().into(),
        _ => whole,
    }
}

fn same(found: &Value, wanted: &Value) -> bool {
    match (found.as_f64(), wanted.as_f64()) {
        (Some(found), Some(wanted)) => found.to_bits() == wanted.to_bits(),
        _ => found == wanted,
    }
}

fn key(cell: impl Fn(&str) -> Value, columns: &[&str]) -> String {
    columns
        .iter()
        .map(|column| cell(column).to_string())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Compares the rows of a batch with those that its resources must become. Notes how far the dates of each patient have
/// moved.
fn compare(database: &Database, source: &str, day: &str, shifts: &mut BTreeMap<String, BTreeSet<TimeDelta>>) {
    let mut wanted: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    for row in sent(source, day).iter().flat_map(expected::rows) {
        wanted.entry(row.table).or_default().push(row);
    }
    for (table, columns) in TABLES {
        let mut found = BTreeMap::new();
        for row in database.rows(&format!(
            "select to_jsonb(t) - 'source' - 'batch_date' from {table} t where source = '{source}' and batch_date = '{day}'"
        )) {
            let row: Value = serde_json::from_str(&row).unwrap();
            found.insert(key(|column| row[column].clone(), columns), row);
        }
        let wanted = wanted.remove(table).unwrap_or_default();
        assert_eq!(found.len(), wanted.len(), "{source} {day} {table}");
        for row in wanted {
            let id = |column: &str| match &row.cells[column] {
                Cell::Is(value) => value.clone(),
                other => panic!("{other:?}"),
            };
            let found = found.remove(&key(id, columns)).expect("a row with this key");
            check(&row, &found, shifts.entry(row.patient.clone()).or_default());
        }
    }
}

fn check(row: &Row, found: &Value, shifts: &mut BTreeSet<TimeDelta>) {
    assert_eq!(found.as_object().unwrap().len(), row.cells.len(), "{row:?} {found}");
    for (column, cell) in &row.cells {
        let (found, place) = (&found[column], format!("{}.{column}", row.table));
        match cell {
            Cell::Is(value) => assert!(same(found, value), "{place}: {found} where {value} was sent"),
            Cell::Moved(None) => assert!(found.is_null(), "{place}: {found}"),
            Cell::Moved(Some(text)) if text.len() >= 10 => {
                shifts.insert(moment(found.as_str().expect(&place)) - moment(text));
            }
            // What is known to the month or the year is compared when the shift is known.
            Cell::Moved(Some(_)) => assert!(found.is_string(), "{place}: {found}"),
            Cell::Pseudonym => assert!(found.as_str().unwrap().split(' ').count() == 3, "{place}: {found}"),
        }
    }
}

#[test]
fn both_forms_of_the_feed_give_every_value_of_the_json() {
    let database = Database::fresh();
    let run = load(&project(&database)).code(0);
    assert!(!run.stderr.contains("undeclared"), "{}", run.stderr);
    assert_eq!(database.count("pipeline.quarantine"), 0);

    let mut shifts = BTreeMap::new();
    for source in SOURCES {
        for day in DAYS {
            compare(&database, source, day, &mut shifts);
        }
    }
    // The distances between all dates of a patient are what they were, to the second, in all tables, days and sources.
    let all = shifts.values().flatten().count();
    assert_eq!(all, shifts.len(), "a patient has several shifts: {shifts:?}");
    for shift in shifts.values().flatten() {
        assert!((1..=183).contains(&shift.num_days().abs()), "{shift}");
        assert_eq!(*shift, TimeDelta::days(shift.num_days()));
    }
    assert!(shifts.values().flatten().collect::<BTreeSet<_>>().len() > 1);
    partial_dates_move_with_the_others(&database, &shifts);

    // Both sources bring the same resources, in other forms.
    for (table, _) in TABLES {
        let rows = |source: &str| format!("select to_jsonb(t) - 'source' from {table} t where source = '{source}'");
        let (bulk, bundles) = (rows("bulk"), rows("bundles"));
        for (one, other) in [(&bulk, &bundles), (&bundles, &bulk)] {
            assert_eq!(
                database.rows(&format!("({one}) except all ({other})")),
                [""; 0],
                "{table}"
            );
        }
    }
}

fn partial_dates_move_with_the_others(database: &Database, shifts: &BTreeMap<String, BTreeSet<TimeDelta>>) {
    let mut compared = BTreeSet::new();
    for row in DAYS
        .iter()
        .flat_map(|day| sent("bulk", day))
        .flat_map(|resource| expected::rows(&resource))
    {
        let columns = TABLES.iter().find(|(table, _)| *table == row.table).unwrap().1;
        for (column, cell) in &row.cells {
            let Cell::Moved(Some(text)) = cell else { continue };
            if text.len() >= 10 {
                continue;
            }
            let conditions = columns.iter().map(|key| match &row.cells[key] {
                Cell::Is(Value::String(id)) => format!("{key} = '{id}'"),
                Cell::Is(other) => format!("{key} = {other}"),
                other => panic!("{other:?}"),
            });
            let conditions = conditions.collect::<Vec<_>>().join(" and ");
            let (table, shift) = (row.table, shifts[&row.patient].first().unwrap());
            let wanted = moved(text, *shift);
            for found in database.rows(&format!(
                "select to_jsonb({column}) #>> '{{}}' from {table} where {conditions}"
            )) {
                assert_eq!(moment(&found), wanted, "{table}.{column}, sent as {text}");
                compared.insert(text.len());
            }
        }
    }
    assert_eq!(
        compared,
        BTreeSet::from([4, 7]),
        "the sample has dates of both precisions"
    );
}

#[test]
fn no_reference_is_an_orphan() {
    let database = Database::fresh();
    load(&project(&database)).code(0);
    let links = "
        select source, 'patients' as whose, patient_id as id from TABLES
        union all select source, 'encounters', encounter_id from CHILDREN
        union all select source, 'reasons', reason_id from procedures
        union all select source, 'reasons', reason_id from medication_requests
        union all select source, 'observations', unnest(observation_ids) from reports
        union all select source, 'observations', observation_id from observation_components";
    let each = |columns: &str, tables: &[&str]| {
        let selects = tables
            .iter()
            .map(|table| format!("select source, {columns} from {table}"));
        format!("({}) x", selects.collect::<Vec<_>>().join(" union all "))
    };
    let children: Vec<&str> = TABLES
        .iter()
        .map(|(table, _)| *table)
        .filter(|table| !["patients", "encounters", "observation_components"].contains(table))
        .collect();
    let patients: Vec<&str> = children.iter().copied().chain(["encounters"]).collect();
    let links = links
        .replace("TABLES", &each("patient_id", &patients))
        .replace("CHILDREN", &each("encounter_id", &children));
    let targets = "
        select source, 'patients' as whose, patient_id as id from patients
        union all select source, 'encounters', encounter_id from encounters
        union all select source, 'reasons', condition_id from conditions
        union all select source, 'reasons', observation_id from observations
        union all select source, 'observations', observation_id from observations";
    assert_eq!(
        database.rows(&format!(
            "select whose, count(*) filter (where id is null) as without, count(*) filter (where id is not null and not exists (
                 select from ({targets}) t where (t.source, t.whose, t.id) = (l.source, l.whose, l.id))) as orphans
             from ({links}) l group by whose order by whose"
        )),
        ["encounters|0|0", "observations|0|0", "patients|0|0", "reasons|0|0"]
    );
    // The sample has each form of a reference, and records that come a day after what they name.
    let text = sent("bundles", DAYS[0])
        .into_iter()
        .chain(sent("bulk", DAYS[0]))
        .map(|resource| resource.to_string());
    let text = text.collect::<String>();
    for form in [
        "\"Patient/",
        "\"https://fhir.example.org/r4/Patient/",
        "/_history/1\"",
        "\"urn:uuid:",
        "\"#med\"",
        "\"Practitioner?identifier=",
        "\"identifier\":{\"system\":\"urn:example:staff\"",
    ] {
        assert!(text.contains(form), "{form}");
    }
    let of_an_earlier_day = "select count(*) > 0 from conditions c join encounters e using (source, encounter_id)
        where c.batch_date > e.batch_date and c.source = ";
    for source in SOURCES {
        assert_eq!(database.value(&format!("{of_an_earlier_day}'{source}'")), "t");
    }
}

/// The newest version of each resource that is not deleted, by type and id.
fn newest() -> BTreeMap<(String, String), Value> {
    let mut newest = BTreeMap::new();
    for day in DAYS {
        for one in sent("bundles", day) {
            let name = |key: &str| one[key].as_str().unwrap().to_owned();
            newest.insert((name("resourceType"), name("id")), one);
        }
        for gone in expected::deleted(&folder("bundles", day)) {
            newest.remove(&gone);
        }
    }
    newest
}

/// The rows of the view `encounter_diagnoses`: a condition names its encounter, or an encounter its conditions.
fn diagnoses(conditions: &[&Value], encounters: &[&Value]) -> Vec<String> {
    let hash = |id: &str| hashed_in("resource", id);
    let mut roles: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for one in conditions {
        let encounter = expected::named(&one["encounter"]).unwrap();
        roles.insert((encounter, one["id"].as_str().unwrap()), "");
    }
    let (by_condition, mut without) = (roles.len(), Vec::new());
    for encounter in encounters {
        let id = encounter["id"].as_str().unwrap();
        for one in encounter["diagnosis"].as_array().unwrap() {
            let condition = expected::named(&one["condition"]).unwrap();
            if conditions.iter().any(|known| known["id"] == condition) {
                let role = one["use"]["coding"][0]["code"].as_str().unwrap_or_default();
                roles.insert((id, condition), role);
            }
        }
        if !roles.keys().any(|(of, _)| *of == id) {
            without.push(format!("{}||", hash(id)));
        }
    }
    assert!(
        roles.len() > by_condition,
        "some encounters name a condition of another"
    );
    let mut rows: Vec<String> = roles
        .into_iter()
        .map(|((encounter, condition), role)| format!("{}|{}|{role}", hash(encounter), hash(condition)))
        .chain(without)
        .collect();
    rows.sort();
    rows
}

#[test]
fn the_views_show_what_is_newest() {
    let database = Database::fresh();
    let project = project(&database);
    load(&project).code(0);
    let newest = newest();
    let of = |kind: &str| {
        newest
            .values()
            .filter(|one| one["resourceType"] == kind)
            .collect::<Vec<_>>()
    };
    let code = |concept: &Value| concept["coding"][0]["code"].as_str().unwrap_or_default().to_owned();

    let problems = of("Condition").into_iter().filter(|one| {
        ["active", "recurrence"].contains(&&code(&one["clinicalStatus"])[..])
            && code(&one["verificationStatus"]) != "refuted"
    });
    let diagnoses = diagnoses(&of("Condition"), &of("Encounter"));
    let mut values = BTreeSet::new();
    for one in of("Observation") {
        let patient = expected::named(&one["subject"]).unwrap();
        let parts = one["component"]
            .as_array()
            .map_or_else(|| vec![one], |parts| parts.iter().collect());
        for part in parts.into_iter().filter(|part| part["dataAbsentReason"].is_null()) {
            values.insert((patient, code(&part["code"])));
        }
    }
    for source in SOURCES {
        let count = |view: &str| database.count(&format!("{view} where source = '{source}'"));
        assert_eq!(count("current_problems"), problems.clone().count());
        let shown = "select encounter_id, condition_id, role from encounter_diagnoses where source = ";
        let mut shown = database.rows(&format!("{shown}'{source}'"));
        shown.sort();
        assert_eq!(shown, diagnoses);
        assert_eq!(count("latest_values"), values.len());
        assert_eq!(count("patients_latest"), of("Patient").len());
        let corrected = of("Observation")
            .into_iter()
            .filter(|one| one["status"] == "corrected")
            .count();
        assert!(corrected > 0);
        assert_eq!(
            count("(select * from observations_latest where status = 'corrected') x"),
            corrected
        );
        assert_eq!(count("observations_latest"), of("Observation").len());
    }
    // Of each patient and code, no loaded value is newer than the one that is shown.
    assert_eq!(
        database.value(
            "select count(*) from latest_values v join observations_latest o using (source, patient_id, loinc)
             where o.absent_reason is null and o.components = 0 and o.effective > v.effective"
        ),
        "0"
    );

    // Readers get these views, and of the others only what shows no batch's date.
    let roles = Roles::of(&database);
    project.run(&roles.args()).code(0);
    let mut reader = client(&database, &roles.reader);
    for view in ["current_problems", "encounter_diagnoses", "latest_values"] {
        let count = format!("select count(*) from {view}");
        assert_eq!(rows(&mut reader, &count), [database.value(&count)]);
    }
    let batch_date = "select batch_date from conditions";
    assert!(refusal(&mut reader, batch_date).contains("does not exist"));
}

/// Within a record, `#x` names another resource in each record, and resources of all types may stand there: the name of
/// an organization is a text, that of a person a list.
#[test]
fn contained_resources_are_those_of_their_record() {
    let database = Database::fresh();
    let project = project(&database);
    let organization = |name: &str| json!({"resourceType": "Organization", "id": "1", "name": name});
    let person = |kind: &str, id: &str| json!({"resourceType": kind, "id": id, "name": [{"family": "QKINDQ", "given": ["QKINDQ"]}]});
    let report = |id: &str, contained: Value, performer: &str| {
        json!({"resource": {"resourceType": "DiagnosticReport", "id": id, "subject": {"reference": "Patient/p1"},
            "contained": contained, "performer": [{"reference": performer}]}})
    };
    let entries = json!([
        {"resource": {"resourceType": "Patient", "id": "p1"}},
        report("r1", json!([organization("One \"and\" only")]), "#1"),
        report("r2", json!([person("Practitioner", "2"), null, organization("Two")]), "#1"),
        report("r3", json!([person("Practitioner", "1"), person("Patient", "3")]), "#1"),
        report("r4", json!([organization("Four")]), "#2"),
        report("r5", json!([organization("Five")]), "Organization/1"),
    ]);
    project.write(
        "data/bundles/20230503/bundle-1.json.gz",
        json!({"entry": entries}).to_string(),
    );
    project.load("bundles", "2023-05-03").code(0);
    assert_eq!(
        database.rows("select count(*), count(laboratory) from reports"),
        ["5|2"]
    );
    assert_eq!(
        database.rows("select laboratory from reports where laboratory is not null order by 1"),
        ["One \"and\" only", "Two"]
    );
    assert!(!everything(&database).contains("QKINDQ"));
}

/// A panel may have a value of its own beside its components, an observation may have no value, and a code may be of no
/// system that the tables know.
#[test]
fn the_latest_value_of_each_code_is_one_that_was_sent() {
    let database = Database::fresh();
    let project = project(&database);
    let coded = |code: &str| json!({"coding": [{"system": "http://loinc.org", "code": code, "display": code}]});
    let local = |name: &str| json!({"coding": [{"system": "urn:local", "code": name, "display": name}]});
    let quantity = |value: f64| json!({"value": value, "unit": "mm"});
    let panel = |own: Value| {
        let parts = json!([{"code": coded("part"), "valueQuantity": quantity(120.0)}, {"code": coded("empty part")}]);
        let mut panel = json!({"code": coded("panel"), "effectiveDateTime": "2023-05-01", "component": parts});
        panel["valueQuantity"] = own;
        panel
    };
    let seen = |day: u8, code: Value, value: Value| {
        let mut seen = json!({"code": code, "effectiveDateTime": format!("2023-05-0{day}")});
        seen.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        seen
    };
    let observations = [
        panel(quantity(7.0)),
        seen(1, coded("range"), json!({"valueRange": {"high": quantity(3.0)}})),
        // What comes later has no value.
        seen(2, coded("range"), json!({})),
        seen(1, coded("flag"), json!({"valueBoolean": false})),
        seen(
            1,
            coded("samples"),
            json!({"valueSampledData": {"origin": quantity(0.0), "data": "1 2"}}),
        ),
        seen(1, local("one"), json!({"valueQuantity": quantity(1.0)})),
        seen(1, local("two"), json!({"valueQuantity": quantity(2.0)})),
        seen(2, local("two"), json!({"valueQuantity": quantity(22.0)})),
    ];
    let mut entries = vec![json!({"resource": {"resourceType": "Patient", "id": "p1"}})];
    for (number, mut one) in observations.into_iter().chain([panel(Value::Null)]).enumerate() {
        one["resourceType"] = "Observation".into();
        one["id"] = format!("o{number}").into();
        one["status"] = "final".into();
        one["subject"] = json!({"reference": "Patient/p1"});
        // The second panel comes later, has no value of its own, and does not hide that of the first.
        if number == 8 {
            one["effectiveDateTime"] = "2023-05-02".into();
        }
        entries.push(json!({"resource": one}));
    }
    project.write(
        "data/bundles/20230503/bundle-1.json.gz",
        json!({"entry": entries}).to_string(),
    );
    project.load("bundles", "2023-05-03").code(0);
    assert_eq!(
        database.rows(
            "select display, coalesce(loinc, ''), coalesce(value, value_high), coalesce(unit, ''), value_bool, coalesce(samples, '')
             from latest_values order by 1"
        ),
        [
            "flag|flag|||f|",
            "one||1|mm||",
            "panel|panel|7|mm||",
            "part|part|120|mm||",
            "range|range|3|mm||",
            "samples|samples||mm||1 2",
            "two||22|mm||",
        ]
    );
}

#[test]
fn what_is_deleted_is_not_shown_and_comes_back_with_its_batch() {
    let database = Database::fresh();
    let project = project(&database);
    let run = load(&project).code(0);
    let kinds = [
        ("Condition", "conditions"),
        ("Procedure", "procedures"),
        ("MedicationRequest", "medication_requests"),
        ("Observation", "observations"),
        ("Immunization", "immunizations"),
        ("AllergyIntolerance", "allergies"),
        ("DiagnosticReport", "reports"),
        ("DocumentReference", "documents"),
    ];
    let mut all = 0;
    for source in SOURCES {
        let mut gone = expected::deleted(&folder(source, DAYS[1]));
        gone.sort();
        assert!(expected::deleted(&folder(source, DAYS[0])).is_empty());
        for (kind, table) in kinds {
            let of_kind = gone.iter().filter(|(of, _)| of == kind);
            let mut ids: Vec<String> = of_kind.map(|(_, id)| hashed_in("resource", id)).collect();
            ids.sort();
            let key = TABLES.iter().find(|(name, _)| *name == table).unwrap().1[0];
            let rows = |from: &str| {
                database.rows(&format!(
                    "select {key} from {from} where source = '{source}' order by 1"
                ))
            };
            assert_eq!(rows(&format!("{table}_deleted")), ids);
            let shown = rows(&format!("{table}_latest"));
            assert!(ids.iter().all(|id| !shown.contains(id)), "{table}");
            assert_eq!(
                shown.len(),
                newest().keys().filter(|(of, _)| of == kind).count(),
                "{table}"
            );
            all += ids.len();
        }
        // One of them was never loaded, which is said and no error.
        assert!(
            run.stdout
                .contains("keys of conditions are deleted, of which <10 were never loaded"),
            "{}",
            run.stdout
        );
    }
    assert!(all > 20, "{all}");
    // Without the day that brought the deletions, nothing is deleted.
    let of_first_day = "select count(*) from observations where batch_date = '2023-05-01' and source = 'bulk'";
    project
        .run(&["drop", "--source", "bulk", "--date", DAYS[1], "--yes"])
        .code(0);
    assert_eq!(
        database.value("select count(*) from observations_latest where source = 'bulk'"),
        database.value(of_first_day)
    );
}

/// Calls `change` for each text of a resource that says who somebody is, or that somebody wrote.
fn identifying(value: &mut Value, within: &str, change: &mut dyn FnMut(&mut String)) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| identifying(value, within, change)),
        Value::Object(fields) => {
            let (is_coding, is_attachment) = (fields.contains_key("code"), fields.contains_key("contentType"));
            for (key, value) in fields {
                let secret = match key.as_str() {
                    "div" | "family" | "given" | "line" | "city" | "title" | "authorString" | "conclusion"
                    | "lotNumber" | "onsetString" | "valueString" | "text" | "description" => true,
                    "value" => ["identifier", "telecom"].contains(&within),
                    "display" => !is_coding,
                    "url" | "data" => is_attachment,
                    _ => false,
                };
                match value {
                    Value::String(text) if secret => change(text),
                    Value::Array(texts) if secret => texts.iter_mut().for_each(|text| match text {
                        Value::String(text) => change(text),
                        other => identifying(other, key, change),
                    }),
                    other => identifying(other, key, change),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn nothing_that_names_somebody_arrives() {
    let database = Database::fresh();
    talkative(&database);
    let run = load(&project(&database)).code(0);
    let mut secrets = BTreeSet::new();
    for resource in &mut SOURCES
        .iter()
        .flat_map(|source| DAYS.iter().flat_map(|day| sent(source, day)))
        .collect::<Vec<_>>()
    {
        secrets.insert(resource["id"].as_str().unwrap().to_owned());
        identifying(resource, "", &mut |text| {
            secrets.insert(text.clone());
        });
    }
    assert!(secrets.len() > 300, "{}", secrets.len());
    let stored = everything(&database);
    for secret in secrets {
        assert!(!stored.contains(&secret), "{secret:?} is stored");
        assert!(!server().log().contains(&secret), "{secret:?} is in the server's log");
        assert!(
            !format!("{}{}", run.stdout, run.stderr).contains(&secret),
            "{secret:?} is printed"
        );
    }
}

#[test]
fn no_kind_lets_a_value_out_by_way_of_another_kind_or_damage() {
    let database = Database::fresh();
    talkative(&database);
    let project = project(&database);
    project.edit(
        "pipelines/bundles.yaml",
        "transforms:",
        "max_quarantined: 100%\ntransforms:",
    );
    let mut resources = sent("bundles", DAYS[0]);
    let kinds: BTreeSet<String> = resources
        .iter()
        .map(|one| one["resourceType"].as_str().unwrap().to_owned())
        .collect();
    let kinds: Vec<String> = kinds.into_iter().collect();
    assert_eq!(kinds.len(), 11, "{kinds:?}");
    let mut entries = Vec::new();
    for (number, resource) in resources.iter_mut().enumerate() {
        identifying(resource, "", &mut |text| *text = format!("QKINDQ-{text}"));
        let kind = match number % 4 {
            // Of the wrong kind, in turn with each.
            0 | 1 => kinds[(number / 4) % kinds.len()].clone(),
            2 => "Unheard".to_owned(),
            _ => resource["resourceType"].as_str().unwrap().to_owned(),
        };
        resource["resourceType"] = kind.into();
        let text = resource.to_string();
        // Every third is damaged behind its values.
        let end = if number % 3 == 0 { "broken" } else { "" };
        entries.push(format!("{{\"resource\": {}{end}}}}}", &text[..text.len() - 1]));
    }
    entries.push(r#"{"request": {"method": "DELETE", "url": "QKINDQ/QKINDQ"}, "fullUrl": "QKINDQ"}"#.to_owned());
    project.remove("data/bundles/20230501");
    let files = entries.iter().enumerate();
    for (number, entry) in files {
        project.write(
            &format!("data/bundles/20230501/bundle-{number}.json.gz"),
            format!("{{\"entry\": [{entry}]}}"),
        );
    }
    let run = project.run(&["run", "--source", "bundles", "--date", DAYS[0]]);
    assert!(database.count("pipeline.quarantine") > 50, "{}", run.stderr);
    assert!(!everything(&database).contains("QKINDQ"));
    assert!(!server().log().contains("QKINDQ"));
    for args in [
        &["quarantine", "list", "--output", "json"][..],
        &["status", "--output", "json"],
    ] {
        project.run(args).output_lacks("QKINDQ");
    }
    run.output_lacks("QKINDQ");
}

/// The files that a person writes: all YAML and SQL of the example.
fn files() -> Vec<PathBuf> {
    fn below(folder: PathBuf, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(path, files);
            } else if path
                .extension()
                .is_some_and(|ending| ending == "yaml" || ending == "sql")
            {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    below(example(), &mut files);
    files
}

#[test]
fn the_sample_is_what_its_script_writes() {
    let script = example().join("generate.py");
    let Ok(run) = std::process::Command::new("python3")
        .arg(script)
        .arg("--check")
        .output()
    else {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        eprintln!("python3 is missing: nothing was compared");
        return;
    };
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn the_example_takes_at_most_sixty_lines_a_kind() {
    let mut lines = 0;
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        lines += text.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(
            text.lines().all(|line| line.len() <= 120),
            "{} has a line of more than 120 characters",
            path.display()
        );
    }
    assert!(lines > 200, "{lines}");
    assert!(lines <= 10 * 60, "{lines} lines of YAML and SQL for ten kinds");
}

#[test]
fn the_migration_is_the_one_that_the_program_writes() {
    let project = Project::copy_of(&example());
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join(" ")
            .replace("( ", "(")
    };
    let plain = |text: &str| {
        words(
            &text
                .lines()
                .filter(|line| !line.starts_with("--"))
                .collect::<Vec<_>>()
                .join("\n"),
        )
        .replace(" )", ")")
    };
    let ours = project.read("migrations/V1__tables.sql");
    project.remove("migrations");
    project.run(&["migration", "new", "tables"]).code(0);
    assert_eq!(plain(&ours), plain(&project.read("migrations/V1__tables.sql")));
}
