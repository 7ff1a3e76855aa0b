//! The field type `reference`: every form in which FHIR names another resource, the masks of what it names, and the dates
//! of the person whom it names.
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use crate::harness::{DATE, Small, hashed};

const UUID: &str = "0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0";

/// Columns for the parts of the reference `r`.
const PARTS: [(&str, &str); 5] = [
    ("id", "text"),
    ("type", "text"),
    ("ref", "text"),
    ("contained", "text"),
    ("query", "text"),
];
const PARTS_SQL: &str =
    "select id, r['type'] as type, r['id'] as ref, r['contained'] as contained, r['query'] as query from source";

fn parts(field: &str) -> Small {
    Small::new()
        .quarantine()
        .columns(&PARTS)
        .schema(&format!("id: {{type: string, required: true}}\nr: {field}"))
        .sql(PARTS_SQL)
        .rest("max_quarantined: 100%")
}

fn records(references: &[&str]) -> String {
    let records = references.iter().enumerate();
    let records: Vec<String> = records
        .map(|(nth, text)| format!(r#"{{"id": "{:02}", "r": {text}}}"#, nth + 1))
        .collect();
    format!("[{}]", records.join(",\n"))
}

#[test]
fn every_form_gives_its_type_and_id() {
    let (database, project) = parts("{type: reference, nulls: [unknown], normalize: trim}").on_server();
    let urn = format!(r#""urn:uuid:{UUID}""#);
    let project = project.json(records(&[
        r#""Patient/12""#,
        r#""https://x/fhir/Patient/12""#,
        r#"" Patient/12/_history/3 ""#,
        &urn,
        r##""#org""##,
        r#""Practitioner?identifier=npi|999""#,
        "null",
        r#""unknown""#,
        r#""Zqxwsmith/12""#,
        r#""""#,
        "12",
        r#"["Patient/12"]"#,
    ]));
    project.run_clinic().code(0).output_lacks("Zqxwsmith");
    assert_eq!(
        database.rows("select id, type, ref, contained, query from items order by id"),
        [
            "01|Patient|12||",
            "02|Patient|12||",
            "03|Patient|12||",
            &format!("04||{UUID}||"),
            "05|||org|",
            "06|Practitioner|||identifier=npi|999",
            "07||||",
            "08||||",
        ]
    );
    assert_eq!(
        database.rows("select record, path, check_name, reason from pipeline.quarantine order by record"),
        [
            "9|$.r|malformed|a reference to a type that neither FHIR has nor `to` names",
            "10|$.r|malformed|not a reference (Type/id, a URL that ends so, urn:uuid: and a UUID, urn:oid: and an OID, #id or Type?query)",
            "11|$.r|malformed|a number where reference is declared",
            "12|$.r|malformed|a list where reference is declared",
        ]
    );
    assert_eq!(
        database.count("(select from pipeline.quarantine q where q::text like '%Zqxw%') q"),
        0
    );
}

/// FHIR's type Reference is an object: the text is one of its keys, and the others may name a person.
#[test]
fn an_object_is_taken_whole() {
    let (database, project) = parts("{type: reference, nulls: [unknown], normalize: trim}")
        .input("path: in/{date:%Y-%m-%d}.json\nformat: ndjson")
        .on_server();
    let urn = format!(r#""urn:uuid:{UUID}""#);
    let objects = [
        r#"{"display": "Zqxwsmith", "reference": " Patient/12 ", "identifier": {"value": "Zqxwsmith"}}"#.to_owned(),
        format!(r#"{{"type": "Group", "reference": {urn}, "extension": [{{"url": "Zqxwsmith"}}], "id": "Zqxwsmith"}}"#),
        // The text itself names the type.
        r#"{"type": "Group", "reference": "Patient/12"}"#.to_owned(),
        r#"{"type": "Patient", "identifier": {"value": "Zqxwsmith"}}"#.to_owned(),
        r#"{"reference": null, "type": null}"#.to_owned(),
        r#"{"reference": "unknown"}"#.to_owned(),
        r##"{"reference": "#org", "zqx": {"Zqxwsmith": 1}}"##.to_owned(),
        "{}".to_owned(),
        r#"{"reference": "Zqxwsmith 12"}"#.to_owned(),
        format!(r#"{{"reference": {urn}, "type": "Zqxwsmith"}}"#),
        r#"{"reference": {"Zqxwsmith": "Patient/12"}}"#.to_owned(),
        r#"{"reference": "Patient/12", "reference": "Patient/13"}"#.to_owned(),
        r#"{"reference": "Patient/12", "display": Zqxwsmith}"#.to_owned(),
        r#"{"reference": "Patient/12", "type": 7}"#.to_owned(),
    ];
    let lines = objects.iter().zip(1..);
    let lines: Vec<String> = lines
        .map(|(text, nth)| format!("{{\"id\": \"{nth:02}\", \"r\": {text}}}"))
        .collect();
    project.write(&format!("in/{DATE}.json"), lines.join("\n"));
    project.run_clinic().code(0).output_lacks("Zqxwsmith");
    assert_eq!(
        database.rows("select id, type, ref, contained from items order by id"),
        [
            "01|Patient|12|",
            &format!("02|Group|{UUID}|"),
            "03|Patient|12|",
            "04|||",
            "05|||",
            "06|||",
            "07|||org",
            "08|||",
        ]
    );
    assert_eq!(
        database.rows("select record, path, reason from pipeline.quarantine order by record"),
        [
            "9|$.r|not a reference (Type/id, a URL that ends so, urn:uuid: and a UUID, urn:oid: and an OID, #id or Type?query)",
            "10|$.r|a reference to a type that neither FHIR has nor `to` names",
            "11|$.r|an object in a reference, where a text is expected",
            "12|$.r|an undeclared key stands twice in one object",
            "13|$.r|not valid JSON: a value is missing",
            "14|$.r|a number in a reference, where a text is expected",
        ]
    );
    // A key that FHIR does not have is undeclared, and a reference may be required.
    project.edit("pipelines/clinic.yaml", "nulls: [unknown]", "required: true");
    project.edit(
        "pipelines/clinic.yaml",
        "max_quarantined",
        "on_unknown_field: fail\nmax_quarantined",
    );
    let run = |text: &str| {
        project.write(&format!("in/{DATE}.json"), format!("{{\"id\": \"1\", \"r\": {text}}}"));
        project.run_clinic()
    };
    run(&objects[6])
        .code(1)
        .stderr_contains("a field that a reference does not have");
    run(&objects[3]).code(0);
    assert_eq!(
        database.value("select reason from pipeline.quarantine order by run_id desc limit 1"),
        "required, but it holds no `reference`"
    );
}

/// The id of an object gets the domain of its type, and it may be the subject.
#[test]
fn an_object_is_masked_and_may_be_the_subject() {
    let small = Small::new()
        .schema("id: string\nr: {type: reference, phi: identifier, mask: hash}\nday: {type: date, phi: date, mask: date_shift}")
        .columns(&[("id", "text"), ("ref", "text"), ("day", "date")])
        .sql("select id, r['id'] as ref, day from source")
        .rest("subject: r");
    let (database, project) = small.on_server();
    let urn = format!("urn:uuid:{UUID}");
    let records = format!(
        r#"[{{"id": "1", "r": {{"reference": "Patient/12", "display": "Anna"}}, "day": "2020-01-01"}},
            {{"id": "2", "r": "Patient/12", "day": "2020-01-31"}},
            {{"id": "3", "r": {{"reference": "{urn}", "type": "Patient"}}, "day": null}}]"#
    );
    project.json(records).run_clinic().code(0);
    assert_eq!(
        database.rows("select ref from items order by id"),
        [hashed("12"), hashed("12"), hashed(UUID)]
    );
    assert_eq!(
        database.rows("select (max(day) - min(day))::text from items where day <> '2020-01-01'"),
        ["30"]
    );
}

#[test]
fn what_the_field_may_refer_to_is_declared() {
    let (database, project) =
        parts("{type: reference, to: Patient, base: \"https://x/fhir/\", required: true}").on_server();
    let urn = format!(r#""urn:uuid:{UUID}""#);
    let project = project.json(records(&[
        r#""https://x/fhir/Patient/12""#,
        r#""https://y/fhir/Patient/12/_history/1""#,
        &urn,
        r##""#p""##,
        r#""Group/1""#,
        "null",
    ]));
    project.run_clinic().code(0);
    assert_eq!(
        database.rows("select id, type, ref, contained from items order by id"),
        [
            "01|Patient|12|",
            "02|Patient|https://y/fhir/Patient/12|",
            &format!("03|Patient|{UUID}|"),
            "04|Patient||p",
        ]
    );
    assert_eq!(
        database.rows("select record, reason from pipeline.quarantine order by record"),
        [
            "5|a reference to a type that `to` does not name",
            "6|required, but null",
        ]
    );
}

#[test]
fn an_id_is_masked_in_the_domain_of_its_type() {
    let (database, project) =
        parts("{type: reference, domains: {Group: patient}, phi: identifier, mask: hash, domain: of no type}")
            .on_server();
    let urn = format!(r#""urn:uuid:{UUID}""#);
    let references = [
        r#""Patient/12""#,
        r#""Group/12""#,
        r#""Device/12""#,
        &urn,
        r##""#12""##,
        r#""Device?identifier=12""#,
        "null",
    ];
    let project = project.json(records(&references));
    project.run_clinic().code(0).output_lacks(UUID);
    let own = database.rows("select distinct type, ref = any (array(select ref from items where type = 'Group')) from items where type in ('Group', 'Device', 'Patient') and ref is not null order by 1");
    assert_eq!(own, ["Device|f", "Group|t", "Patient|f"]);
    assert_eq!(
        database.value("select ref from items where type = 'Group'"),
        hashed("12")
    );
    // `domain` is for all types that `domains` does not name.
    assert_eq!(
        database.value("select count(distinct ref) from items where type in ('Patient', 'Device')"),
        "1"
    );
    assert_eq!(
        database.rows("select id from items where coalesce(ref, contained, query) !~ '^[0-9a-f]{32}$'"),
        Vec::<String>::new()
    );
    assert_eq!(
        database.value("select count(distinct coalesce(ref, contained, query)) from items"),
        "5"
    );

    // Without a domain, each type has its own, which is its name.
    let (database, project) = parts("{type: reference, phi: identifier, mask: hash}").on_server();
    let project = project.json(records(&references));
    project.run_clinic().code(0);
    assert_eq!(
        database.value("select ref from items where type = 'Patient'"),
        hashed("12")
    );
    assert_eq!(
        database.value("select count(distinct coalesce(ref, contained, query)) from items"),
        "6"
    );

    // Within a load, surrogates join as hashes do; and null is null.
    let (database, project) = parts("{type: reference, phi: identifier, mask: surrogate}").on_server();
    let project = project.json(records(&[
        r#""Patient/12""#,
        r#""https://x/Patient/12""#,
        r#""Group/12""#,
    ]));
    project.run_clinic().code(0);
    assert_eq!(
        database.value("select count(*) || ' ' || count(distinct ref) from items where ref ~ '^[0-9a-f]{32}$'"),
        "3 2"
    );
    let (database, project) = parts("{type: reference, phi: identifier, mask: null}").on_server();
    let project = project.json(records(&references));
    project.run_clinic().code(0);
    assert_eq!(
        database.rows("select distinct type, ref, contained, query from items"),
        ["|||"]
    );
}

const SHIFTED: &str = "seen: {type: timestamptz, precision: partial, phi: date, mask: date_shift}\n\
                       day: {type: date, phi: date, mask: date_shift}";

/// A patient's own record is in one source, and what refers to the patient in another.
#[test]
fn records_that_refer_to_a_patient_join_and_keep_their_distances_in_time() {
    let columns = [
        ("kind", "text"),
        ("patient", "text"),
        ("n", "text"),
        ("seen", "timestamptz"),
        ("day", "date"),
    ];
    let (database, project) = Small::new()
        .columns(&columns)
        .schema(&format!(
            "id: {{type: string, required: true, phi: identifier, mask: hash, domain: patient}}\n{SHIFTED}"
        ))
        .sql("select 'patient' as kind, id as patient, null as n, seen['value'] as seen, day from source")
        .rest("subject: id")
        .on_server();
    let schema = format!(
        "  id: {{type: string, required: true}}\n  subject:\n    struct:\n      reference: {{type: reference, phi: identifier, mask: hash}}\n  {}\n",
        SHIFTED.replace('\n', "\n  ")
    );
    let project = project
        .json(
            r#"[{"id": "12", "seen": "2000-03-01T00:00:00Z", "day": "2000-03-01"},
                {"id": "13", "seen": "2000-03-01T00:00:00Z", "day": "2000-03-01"}]"#,
        )
        .file(
            "pipelines/ward.yaml",
            format!(
                "name: ward\ninput:\n  path: ward/{{date:%Y-%m-%d}}.json\nsubject: subject.reference.id\nschema:\n{schema}"
            ),
        )
        .file(
            "sql/ward/items.sql",
            "select coalesce(subject['reference']['type'], '-') as kind, subject['reference']['id'] as patient, id as n, \
             seen['value'] as seen, day from source\n",
        )
        .file(
            &format!("ward/{DATE}.json"),
            r##"[{"id": "1", "subject": {"reference": "Patient/12"}, "seen": "2000-03-01T07:01:01+02:00", "day": "2000-03-31"},
                {"id": "2", "subject": {"reference": "https://x/Patient/12/_history/2"}, "seen": "2000-03-01", "day": "2000-02-29"},
                {"id": "3", "subject": {"reference": "Group/12"}, "seen": "2000-03-01T05:01:01Z", "day": "2000-03-31"},
                {"id": "4", "subject": {"reference": "#12"}, "seen": "2000-03-01", "day": "2000-03-31"},
                {"id": "5", "subject": {"identifier": {"value": "12"}}, "seen": "2000-03-01", "day": "2000-03-31"}]"##,
        );
    project.run_clinic().code(0);
    project.run(&["run", "--source", "ward", "--date", DATE]).code(0);
    let patient = hashed("12");
    assert_eq!(
        database.rows(&format!(
            "select n, seen - (select seen from items where kind = 'patient' and patient = '{patient}'),
               day - (select day from items where kind = 'patient' and patient = '{patient}')
             from items where kind = 'Patient' and patient = '{patient}' order by n"
        )),
        ["1|05:01:01|30", "2|00:00:00|-1"]
    );
    let shifts = database.rows("select distinct day - date '2000-03-31' from items where n in ('1', '3')");
    assert_eq!(shifts.len(), 2, "a group is not the patient of the same id");
    assert!(
        shifts
            .iter()
            .all(|days| days != "0" && days.parse::<i32>().is_ok_and(|days| days.abs() <= 183))
    );
    // A contained resource has no id outside of its record, and an identifier alone is no reference: there is no shift.
    assert_eq!(
        database.rows("select n, kind, patient, seen, day from items where n in ('4', '5') order by n"),
        ["4|-|||", "5|-|||"]
    );
}

#[test]
fn contained_resources_are_found_within_their_record() {
    let (database, project) = Small::new()
        .columns(&[
            ("id", "text"),
            ("performer", "text"),
            ("contained_id", "text"),
            ("other", "text"),
        ])
        .schema(
            "id: {type: string, required: true}\n\
             performer: {list: {reference: {type: reference, phi: identifier, mask: hash}}}\n\
             contained:\n  list:\n    resourceType: string\n    \
             id: {type: string, phi: identifier, mask: hash, domain: contained}\n    name: string",
        )
        .sql(
            "with one as (select id, contained, unnest(performer) as p from source)
             select id, array_filter(contained, c -> c['id'] = p['reference']['contained'])[1]['name'] as performer,
               p['reference']['contained'] as contained_id, p['reference']['id'] as other from one",
        )
        .on_server();
    let project = project.json(
        r##"[{"id": "1", "contained": [{"resourceType": "Device", "id": "d", "name": "scale"}, {"resourceType": "Organization", "id": "o", "name": "lab"}],
              "performer": [{"reference": "#o"}, {"reference": "#d"}, {"reference": "#x"}, {"reference": "Organization/o"}]},
             {"id": "2", "contained": [{"resourceType": "Organization", "id": "o", "name": "ward"}], "performer": [{"reference": "#o"}]}]"##,
    );
    project.run_clinic().code(0);
    assert_eq!(
        database.rows(
            "select id, performer, contained_id ~ '^[0-9a-f]{32}$', other ~ '^[0-9a-f]{32}$' from items order by 1, 2"
        ),
        ["1|lab|t|", "1|scale|t|", "1||t|", "1|||t", "2|ward|t|"]
    );
    assert_eq!(
        database.value("select count(*) from items where contained_id = other"),
        "0"
    );
}

#[test]
fn csv_and_parquet_hold_references_too() {
    let field = "{type: reference, phi: identifier, mask: hash}";
    let expected = [
        format!("01|Patient|{}", hashed("12")),
        format!("02|Patient|{}", hashed("12")),
        "03||".to_owned(),
    ];
    let shown = "select id, type, ref from items order by id";
    let refused = "select record, path, reason from pipeline.quarantine";
    let reason = ["4|$.r|a reference to a type that neither FHIR has nor `to` names"];

    let (database, project) = parts(field)
        .input("path: in/{date:%Y-%m-%d}.csv\nformat: csv")
        .on_server();
    let project = project.file(
        &format!("in/{DATE}.csv"),
        "id,r\n01,Patient/12\n02,https://x/fhir/Patient/12\n03,\n04,Smith/12\n",
    );
    project.run_clinic().code(0);
    assert_eq!(database.rows(shown), expected);
    assert_eq!(database.rows(refused), reason);

    let (database, project) = parts(field)
        .input("path: in/{date:%Y-%m-%d}.parquet\nformat: parquet")
        .on_server();
    let texts = |texts: Vec<Option<&str>>| Arc::new(StringArray::from(texts)) as ArrayRef;
    let ids = texts(["01", "02", "03", "04"].map(Some).to_vec());
    let references = vec![
        Some("Patient/12"),
        Some("Patient/12/_history/1"),
        None,
        Some("Smith/12"),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("r", texts(references), true)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    project.write(&format!("in/{DATE}.parquet"), bytes);
    project.run_clinic().code(0);
    assert_eq!(database.rows(shown), expected);
    assert_eq!(database.rows(refused), reason);
}

#[test]
fn an_invented_record_refers_to_the_same_kinds_of_resources() {
    let project = Small::new()
        .columns(&[("item_id", "text"), ("refs", "text")])
        .schema(
            "id: {type: string, required: true}\n\
             own: {type: reference, base: \"https://x/fhir\"}\n\
             refs: {list: reference, phi: identifier, mask: hash}",
        )
        .sql(
            "select id as item_id, array_to_string(array_transform(refs, r -> coalesce(r['type'], '-')), ' ') || ' ' ||
               own['type'] || ' ' || cast(own['id'] like 'https:%' as varchar) as refs from source",
        )
        .project()
        .json(format!(
            r##"[{{"id": "K-77123", "own": "https://y.example/Patient/K-77123", "refs": ["Patient/K-77123", "urn:uuid:{UUID}", "urn:oid:2.77123.5",
                "#k77123", "Group?identifier=k|77123"]}}]"##
        ));
    project
        .run(&["test", "create", "--source", "clinic", "--date", DATE, "--record", "1"])
        .code(0);
    let case = project.read("sql/clinic/tests/record_1.yaml");
    for original in ["77123", "0c3151bd", "y.example", "refused"] {
        assert!(!case.contains(original), "{original} is in\n{case}");
    }
    assert!(case.contains("Patient - - - Group Patient true"), "{case}");
    project.run(&["test"]).code(0);
    // Equal ids stay equal.
    let id = case
        .lines()
        .find_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("id: "));
    let id = id.unwrap().trim_matches(['"', '\'']);
    assert!(case.contains(&format!("Patient/{id}")), "{case}");
}

#[test]
fn lineage_and_stale_masks_know_the_domains() {
    let (database, project) = Small::new()
        .columns(&[("id", "text"), ("patient", "text"), ("seen", "date")])
        .schema(
            "id: {type: string, required: true}\n\
             subject:\n  struct:\n    reference: {type: reference, to: [Patient, Group], phi: identifier, mask: hash}\n\
             seen: {type: date, phi: date, mask: date_shift}",
        )
        .sql("select id, subject['reference']['id'] as patient, seen from source")
        .rest("subject: subject.reference")
        .on_server();
    let project = project.json(r#"[{"id": "1", "subject": {"reference": "Patient/12"}, "seen": "2000-03-01"}]"#);
    project.run_clinic().code(0);
    project
        .run(&["lineage", "items.patient"])
        .code(0)
        .stdout_contains("subject.reference (direct, phi identifier, mask hash)");
    let masks =
        "select column_name, fingerprint, fields::text from pipeline.masks where column_name <> 'id' order by 1";
    let before = database.rows(masks);
    assert!(
        before.len() == 2 && before.iter().all(|row| row.contains("Group: group, Patient: patient")),
        "{before:?}"
    );
    // Under another domain, both columns are masked otherwise: a batch that was loaded before is stale.
    project.edit(
        "pipelines/clinic.yaml",
        "to: [Patient, Group]",
        "to: [Patient, Group], domains: {Patient: person}",
    );
    project.run_clinic().code(0);
    let after = database.rows(masks);
    assert!(
        after.len() == 2 && after.iter().all(|row| row.contains("Group: group, Patient: person")),
        "{after:?}"
    );
    let fingerprint = |row: &String| row.split('|').nth(1).unwrap().to_owned();
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(old, new)| fingerprint(old) != fingerprint(new))
    );
}

#[test]
fn keys_of_a_reference_that_mean_nothing_are_problems() {
    for (field, message) in [
        ("{type: reference, to: patient}", "`patient` is no type of a resource"),
        ("{type: reference, to: []}", "`to` names no type"),
        (
            "{type: reference, to: [Patient, Patient]}",
            "`Patient` stands twice in `to`",
        ),
        (
            "{type: reference, base: x.example}",
            "`base` is the address of a FHIR server",
        ),
        (
            "{type: reference, to: Patient, domains: {Group: g}, mask: hash}",
            "`domains` names `Group`, to which the field does not refer",
        ),
        (
            "{type: reference, domains: {Patient: p}}",
            "`r` has domains, but its mask uses none",
        ),
        (
            "{type: reference, mask: pseudonym}",
            "`pseudonym` does not mask a reference",
        ),
        ("{type: reference, matches: x}", "`matches` is nothing for a reference"),
        (
            "{type: reference, accepted_values: [x]}",
            "`accepted_values` is nothing for a reference",
        ),
        (
            "{type: reference, from: number}",
            "`from: number` is nothing for a reference",
        ),
        ("{type: string, to: Patient}", "`to` is nothing for a string"),
    ] {
        parts(field).project().run(&["check"]).code(2).stderr_contains(message);
    }
    let whole =
        parts("reference").sql("select id, null as type, r as ref, null as contained, null as query from source");
    whole
        .project()
        .run(&["check"])
        .code(2)
        .stderr_contains("a reference is a struct: take ref['id'], and ref['type'] in another column");
    let contract = parts("reference").project();
    let yaml = contract.read("pipeline.yaml");
    contract.write("pipeline.yaml", format!("privacy: safe_harbor\n{yaml}"));
    contract
        .run(&["check"])
        .code(2)
        .stderr_contains("`r` is kept, but Safe Harbor");
}
