//! Invalid records and rows are refused and recorded. Rows that belong to a refused row are refused with it. The
//! numbers of rows read, loaded and refused add up.
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::harness::{Database, Project, Small, padded};

const GOOD: usize = 1000;

/// Records that can't be read. In each case, the start of the next record can be found.
fn damaged() -> Vec<Vec<u8>> {
    let record = |rest: &str| format!("{{\"id\": \"bad-SECRET\", {rest}}}").into_bytes();
    let deep = format!("\"x\": {}{}", "[".repeat(10_000), "]".repeat(10_000));
    let mut records: Vec<Vec<u8>> = [
        r#""n": "\q""#,
        r#""x": "\ud800""#,
        r#""x": "\udc00 tail""#,
        r#""x": "\u12""#,
        r#""n": 1e999"#,
        r#""n": NaN"#,
        r#""n": Infinity"#,
        r#""n": 1."#,
        r#""n": 01"#,
        r#""n": 1.5"#,
        r#""n": 9223372036854775808"#,
        r#""n": "1""#,
        r#""n": true"#,
        r#""n": [1]"#,
        r#""n": {"a": 1}"#,
        r#""n": 1,"#,
        r#""n": 1,, "m": 2"#,
        r#""n" 1"#,
        r#""n": nul"#,
        r#""n": 1, "n": 2"#,
        r#""id": "twice""#,
        r#""tags": "a""#,
        r#""tags": [1]"#,
        r#""tags": {"a": "b"}"#,
        r#""tags": ["a",]"#,
        r#""tags": ["a" "b"]"#,
        r#""inner": []"#,
        r#""inner": "a""#,
        r#""inner": {"k": 1}"#,
        r#""inner": {}"#,
        r#""x": "a\u0000b""#,
        &deep,
    ]
    .iter()
    .map(|rest| record(rest))
    .collect();
    for whole in [
        r#"{"n": 1}"#,
        r#"{"id": null}"#,
        r#"{"id": 7}"#,
        r#"["SECRET"]"#,
        r#""SECRET""#,
        "17",
        "null",
    ] {
        records.push(whole.as_bytes().to_vec());
    }
    records.push(b"{\"id\": \"bad-SECRET\", \"x\": \"\xff\xfe\"}".to_vec());
    assert_eq!(records.len(), 40);
    records
}

fn small(format: &str) -> Small {
    Small::new()
        .input(&format!("path: in/{{date:%Y-%m-%d}}.json\nformat: {format}"))
        .schema("id: {type: string, required: true}\nn: bigint\nx: string\ntags: {list: string}\ninner: {struct: {k: {type: string, required: true}}}")
        .rest("max_quarantined: 5%")
        .quarantine()
}

/// Valid records with the damaged ones among them. Returns the numbers of the damaged records and where they start.
fn mixed(array: bool) -> (Vec<u8>, Vec<(i64, i64)>) {
    let mut text = if array { b"[".to_vec() } else { Vec::new() };
    let mut places = Vec::new();
    let mut damaged = damaged().into_iter();
    let mut number = 0;
    let mut push = |record: &[u8], bad: bool| {
        if array && number > 0 {
            text.extend_from_slice(b",\n");
        }
        number += 1;
        if bad {
            places.push((number, i64::try_from(text.len()).unwrap()));
        }
        text.extend_from_slice(record);
        if !array {
            text.push(b'\n');
        }
    };
    for good in 0..GOOD {
        // The records are large, so that the file is decoded in several pieces.
        let x = "x".repeat(2500);
        push(
            format!("{{\"id\": \"good-{good:04}\", \"n\": {good}, \"x\": \"{x}\", \"inner\": {{\"k\": \"v\"}}}}")
                .as_bytes(),
            false,
        );
        if good % 25 == 12 {
            push(&damaged.next().unwrap(), true);
        }
    }
    if array {
        text.push(b']');
    }
    (text, places)
}

#[test]
fn forty_damaged_records_among_a_thousand_good_ones() {
    let formats = [("ndjson", false), ("json", true), ("json", false)];
    for ((format, array), cores) in formats.into_iter().flat_map(|format| [(format, 1), (format, 2)]) {
        let (text, places) = mixed(array);
        assert!(text.len() > 2 << 20);
        let (database, project) = small(format).on_server();
        let project = project.json(&text).on_cores(cores);
        let outcome = project.run_clinic().code(0).output_lacks("SECRET");
        assert!(
            outcome
                .message()
                .contains("loaded 1,000 items from 1,040 records, 40 quarantined"),
            "{format} on {cores}"
        );
        assert_eq!(database.count("items"), GOOD, "{format} {array} on {cores}");
        let noted = database.rows(
            "select record, byte_offset from pipeline.quarantine where check_name = 'malformed' and entity is null \
             and file = 'in/2023-05-01.json' order by record",
        );
        // A list between concatenated documents is read as a list of records.
        let is_list = |offset: i64| text[usize::try_from(offset).unwrap()] == b'[' && format == "json" && !array;
        let place = |(record, offset): &(i64, i64)| format!("{record}|{}", offset + i64::from(is_list(*offset)));
        let expected: Vec<String> = places.iter().map(place).collect();
        assert_eq!(noted.len(), 40);
        assert_eq!(noted, expected, "{format} {array} on {cores}");
        assert_eq!(
            database.rows("select account -> 'records' from pipeline.runs"),
            [r#"{"read": 1040, "accepted": 1000, "quarantined": 40}"#]
        );
        assert_eq!(database.count("pipeline.quarantine q where q::text like '%SECRET%'"), 0);
    }
}

#[test]
fn damage_that_hides_the_next_record_fails_the_batch() {
    for cut in [
        r#"[{"id": "a"}, {"id": "b", "x": [1, {"id": "c"}]"#,
        r#"[{"id": "a"}, {"id": "b"#,
        r#"[{"id": "a"}, {"id": "b}, {"id": "c"}]"#,
        r#"[{"id": "a"}"#,
    ] {
        let (database, project) = small("json").on_server();
        let project = project.json(r#"[{"id": "old"}]"#);
        project.run_clinic().code(0);
        let project = project.json(cut);
        project.run_clinic().code(1).stderr_contains("in/2023-05-01.json");
        assert_eq!(database.rows("select item_id from items"), ["old"], "{cut}");
        assert_eq!(database.staging_tables(), [] as [&str; 0]);
        let noted = database.rows(
            "select byte_offset, check_name, file, substring(reason from 'of (\\d+) bytes') from pipeline.quarantine",
        );
        let [noted] = &noted[..] else { panic!("{noted:?}") };
        let (offset, rest) = noted.split_once('|').unwrap();
        let bytes = cut.len() - offset.parse::<usize>().unwrap();
        assert_eq!(rest, format!("unreadable|in/2023-05-01.json|{bytes}"), "{cut}");
    }
}

#[test]
fn a_document_over_several_lines_is_no_ndjson() {
    let (_database, mut project) = small("ndjson").on_server();
    let hint = "hint: an array, or documents over several lines, are `format: json`; `pipeline quarantine show";
    for text in [
        "[\n{\"id\": \"a\"},\n{\"id\": \"b\"}\n]\n",
        "[{\"id\": \"a\"}]",
        "{\n\"id\": \"a\"\n}\n",
    ] {
        project = project.json(text);
        project.run_clinic().code(1).stderr_contains(hint);
    }
    // The input consists of one record per line, so `format: json` is not suggested, whatever is wrong with the
    // records.
    let project = project.json("{\"id\": 2}\n{\"id\": 1}\n");
    project.run_clinic().code(1).output_lacks("format: json");
}

#[test]
fn more_than_is_tolerated_fails_the_batch_and_is_noted() {
    let (database, project) = small("json").on_server();
    let project = project.json(r#"[{"id": "old"}]"#);
    project.run_clinic().code(0);
    let project = project.json(r#"[{"id": "a"}, {"id": "b"}, {"id": 7}, {"id": 8}]"#);
    insta::assert_snapshot!(project.run_clinic().code(1).message(), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: too much is refused: 2 of 4 records
    caused by: malformed: $.id: a number where string is declared, 2 times, first at in/2023-05-01.json, record 3; max_quarantined is 5%
    hint: `pipeline quarantine show --source clinic --date 2023-05-01` names each; mend the input, the schema or the SQL and run the batch again, or raise max_quarantined
    ");
    assert_eq!(database.rows("select item_id from items"), ["old"]);
    assert_eq!(
        database.rows(
            "select r.status, q.record from pipeline.quarantine q join pipeline.runs r using (run_id) order by 2"
        ),
        ["failed|3", "failed|4"]
    );
    insta::assert_snapshot!(project.run(&["quarantine", "list"]).code(0).stdout, @r"
    batch              run  status  entity  check      entries  reason
    clinic 2023-05-01    2  failed  record  malformed        2  a number where string is declared
    ");
    insta::assert_snapshot!(project.run(&["quarantine", "show", "--source", "clinic", "--date", "20230501"]).code(0).stdout, @r"
    batch              run  entity  check      file                record  byte  path  reason
    clinic 2023-05-01    2  record  malformed  in/2023-05-01.json       3    27  $.id  a number where string is declared
    clinic 2023-05-01    2  record  malformed  in/2023-05-01.json       4    38  $.id  a number where string is declared
    ");
    let shown = project
        .run(&["quarantine", "show", "--output", "json", "--check", "malformed"])
        .code(0);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown[0]["record"], json!(3));
    // After the input is corrected, the batch replaces the old rows and nothing is quarantined.
    let project = project.json(r#"[{"id": "a"}]"#);
    project.run_clinic().code(0);
    insta::assert_snapshot!(project.run(&["quarantine", "list"]).code(0).stdout, @"nothing is quarantined");
}

/// The repository's project with checks in its contract.
fn checked(database: &Database, entity: &str, checks: &str) -> Project {
    let project = Project::of_repository().in_clear().on(database);
    let contract = project.read("pipeline.yaml");
    let (before, after) = contract.split_once(&format!("  {entity}:\n")).unwrap();
    let text = format!("{before}  {entity}:\n    checks:\n{checks}{after}");
    project.write("pipeline.yaml", text);
    project.edit(
        "pipelines/source_a.yaml",
        "transforms:",
        "max_quarantined: 90%\ntransforms:",
    );
    project
}

/// A patient with one visit, one diagnosis and one treatment. All ids are made from `id`.
fn patient(id: &str, name: &str, day: &str) -> Value {
    json!({"patient_id": id, "name": name, "visits": [{"visit_id": format!("{id}-v"), "date": day,
        "diagnoses": [{"code": format!("{id}-c"), "treatments": [{"drug": "Metformin", "dose": "1"}]}]}]})
}

fn run(project: &Project, records: &[Value]) -> crate::harness::Outcome {
    project.input("source_a", "20230501", json!(records).to_string());
    project.run(&["run", "--source", "source_a", "--date", "20230501", "--output", "json"])
}

fn counts(database: &Database) -> [usize; 4] {
    ["patients", "visits", "diagnoses", "treatments"].map(|entity| database.count(entity))
}

fn quarantined(database: &Database) -> Vec<String> {
    database.rows("select entity, check_name, record from pipeline.quarantine order by 1, 3, 2")
}

#[test]
fn a_refused_row_takes_its_dependants_with_it() {
    for (rule, severity) in [
        ("accepted_values: {column: name, values: [Ann, Bob]}", ""),
        ("expression: length(name) < 5", "        name: short\n"),
        ("range: {column: name, max: C}", ""),
        ("not_null: name", ""),
    ] {
        let database = Database::migrated();
        let project = checked(&database, "patients", &format!("      - {rule}\n{severity}"));
        let name = if rule.starts_with("not_null") {
            Value::Null
        } else {
            json!("Zacharias")
        };
        let mut bad = patient("P-2", "", "2023-05-01");
        bad["name"] = name;
        run(
            &project,
            &[
                patient("P-1", "Ann", "2023-05-01"),
                bad,
                patient("P-3", "Bob", "2023-05-01"),
            ],
        )
        .code(0);
        assert_eq!(counts(&database), [2, 2, 2, 2], "{rule}");
        let mut check = rule.split(':').next().unwrap().to_owned();
        check = if check == "expression" {
            "short".to_owned()
        } else {
            check + "(name)"
        };
        let mut expected = String::new();
        writeln!(expected, "diagnoses|parent|2").unwrap();
        writeln!(expected, "patients|{check}|2").unwrap();
        write!(expected, "treatments|parent|2\nvisits|parent|2").unwrap();
        assert_eq!(quarantined(&database).join("\n"), expected, "{rule}");
        let account = database.rows("select (account -> 'entities' -> 'treatments') - 'warnings' from pipeline.runs");
        let elements = r#"{"path": "visits[].diagnoses[].treatments[]", "count": 3}"#;
        let whole = format!(r#"{{"loaded": 2, "elements": {elements}, "produced": 3, "quarantined": 1}}"#);
        assert_eq!(account, [whole]);
        assert_eq!(database.staging_tables(), [] as [&str; 0]);
    }
}

#[test]
fn a_row_that_is_refused_for_a_null_key_takes_its_dependants_with_it() {
    let database = Database::migrated();
    let project = checked(&database, "patients", "      - not_null: name\n");
    // The children still have the key of the parent that was refused.
    project.edit(
        "sql/source_a/visits.sql",
        "item['visit_id'] as",
        "nullif(item['visit_id'], 'P-2-v') as",
    );
    run(
        &project,
        &[patient("P-1", "Ann", "2023-05-01"), patient("P-2", "Bob", "2023-05-01")],
    )
    .code(0);
    assert_eq!(counts(&database), [2, 1, 1, 1]);
    assert_eq!(
        quarantined(&database),
        [
            "diagnoses|parent|2",
            "treatments|parent|2",
            "visits|not_null(visit_id)|2"
        ]
    );
}

#[test]
fn orphans_stay_where_the_check_says_so() {
    let database = Database::migrated();
    let checks = "      - accepted_values: {column: name, values: [Ann]}\n        orphans: keep\n";
    let project = checked(&database, "patients", checks);
    run(
        &project,
        &[patient("P-1", "Ann", "2023-05-01"), patient("P-2", "Bob", "2023-05-01")],
    )
    .code(0);
    assert_eq!(counts(&database), [1, 2, 2, 2]);
}

#[test]
fn of_two_records_with_one_key_the_first_stays_with_all_that_is_its_own() {
    let database = Database::migrated();
    let project = checked(&database, "patients", "      - not_null: patient_id\n");
    let mut second = patient("P-1", "Second", "2023-05-01");
    second["visits"][0]["visit_id"] = json!("other");
    run(
        &project,
        &[
            patient("P-1", "First", "2023-05-01"),
            second,
            patient("P-2", "Bob", "2023-05-01"),
        ],
    )
    .code(0);
    assert_eq!(database.rows("select name from patients order by 1"), ["Bob", "First"]);
    assert_eq!(counts(&database), [2, 2, 2, 2]);
    assert_eq!(
        quarantined(&database),
        [
            "diagnoses|parent|2",
            "patients|unique(patient_id)|2",
            "treatments|parent|2",
            "visits|parent|2"
        ]
    );
}

#[test]
fn the_same_on_one_connection_as_on_many() {
    let records = [
        patient("P-1", "Ann", "2023-05-01"),
        patient("P-2", "Bob", "2023-05-01"),
        patient("P-1", "Ann", "2023-05-01"),
    ];
    let checks = "      - accepted_values: {column: name, values: [Ann]}\n";
    let mut seen = Vec::new();
    let small = json!(records).to_string();
    let large = padded(small.clone());
    for (connections, records) in [("1", &large), ("5", &large), ("5", &small)] {
        let database = Database::migrated();
        let project = checked(&database, "patients", checks);
        project.input("source_a", "20230501", records);
        let arguments = [
            "run",
            "--source",
            "source_a",
            "--date",
            "20230501",
            "--connections",
            connections,
        ];
        project.run(&arguments).code(0);
        seen.push((counts(&database), quarantined(&database)));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
    assert_eq!(seen[0].0, [1, 1, 1, 1]);
}

#[test]
fn a_relationship_refuses_what_belongs_to_nothing() {
    let database = Database::migrated();
    let project = checked(&database, "visits", "      - relationships: {entity: patients}\n");
    // The transform of patients loses one patient, as an inner join would. No rule says that it must not.
    project.edit("pipelines/source_a.yaml", "  patients: $\n", "");
    project.edit(
        "sql/source_a/patients.sql",
        "from source",
        "from source where patient_id <> 'P-2'",
    );
    run(
        &project,
        &[patient("P-1", "Ann", "2023-05-01"), patient("P-2", "Bob", "2023-05-01")],
    )
    .code(0);
    assert_eq!(counts(&database), [1, 1, 1, 1]);
    assert_eq!(
        quarantined(&database),
        [
            "diagnoses|parent|2",
            "treatments|parent|2",
            "visits|relationships(patients: patient_id)|2"
        ]
    );
    // Without the check, the orphans are loaded, because the analyst did not ask for a check.
    for (severity, code, visits) in [("warn", 0, 2), ("fail", 1, 2)] {
        project.edit(
            "pipeline.yaml",
            "{entity: patients}\n",
            &format!("{{entity: patients}}\n        severity: {severity}\n"),
        );
        run(
            &project,
            &[patient("P-1", "Ann", "2023-05-01"), patient("P-2", "Bob", "2023-05-01")],
        )
        .code(code);
        assert_eq!(counts(&database)[1], visits, "{severity}");
        project.edit("pipeline.yaml", &format!("        severity: {severity}\n"), "");
    }
}

#[test]
fn a_warning_loads_and_a_failure_does_not() {
    let database = Database::migrated();
    let checks = "      - accepted_values: {column: name, values: [Ann]}\n        severity: warn\n";
    let project = checked(&database, "patients", checks);
    let records = [
        patient("P-1", "Ann", "2023-05-01"),
        patient("P-2", "Bob-SECRET", "2023-05-01"),
    ];
    run(&project, &records)
        .code(0)
        .stderr_contains("warning: source_a 2023-05-01: 1 rows of patients break accepted_values(name)")
        .output_lacks("SECRET");
    assert_eq!(counts(&database), [2, 2, 2, 2]);
    project.edit("pipeline.yaml", "severity: warn", "severity: fail");
    run(&project, &records)
        .code(1)
        .stderr_contains("the check accepted_values(name) of patients failed")
        .stderr_contains("record 2")
        .output_lacks("SECRET");
    assert_eq!(counts(&database), [2, 2, 2, 2], "the old content stands");
}

#[test]
fn of_rows_with_the_same_values_the_first_stays_and_nulls_are_not_the_same() {
    let database = Database::migrated();
    let project = checked(&database, "patients", "      - unique: [name]\n");
    let named = |id: &str, name: Option<&str>| {
        let mut named = patient(id, "", "2023-05-01");
        named["name"] = json!(name);
        named
    };
    run(
        &project,
        &[
            named("P-1", Some("Ann")),
            named("P-2", None),
            named("P-3", Some("Ann")),
            named("P-4", None),
        ],
    )
    .code(0);
    assert_eq!(
        database.rows("select patient_id from patients order by 1"),
        ["P-1", "P-2", "P-4"]
    );
    assert_eq!(
        quarantined(&database),
        [
            "diagnoses|parent|3",
            "patients|unique(name)|3",
            "treatments|parent|3",
            "visits|parent|3"
        ]
    );
}

#[test]
fn checks_of_the_whole_batch() {
    let database = Database::migrated();
    let checks = "      - row_count: {min: 2, max: 9, change: 50%}\n      - freshness: {column: visit_date, days: 3}\n";
    let project = checked(&database, "visits", checks);
    let old = patient("P-1", "Ann", "2023-04-01");
    run(&project, std::slice::from_ref(&old))
        .code(1)
        .stderr_contains("1 rows, at least 2 are expected");
    run(&project, &[old, patient("P-2", "Bob", "2023-04-01")])
        .code(1)
        .stderr_contains("the newest is 30 days older than the batch, 3 are allowed");
    let fresh = |n: usize| {
        (0..n)
            .map(|i| patient(&format!("P-{i}"), "Ann", "2023-05-01"))
            .collect::<Vec<_>>()
    };
    run(&project, &fresh(10))
        .code(1)
        .stderr_contains("10 rows, at most 9 are expected");
    run(&project, &fresh(4)).code(0);
    project.input("source_a", "20230502", json!(fresh(7)).to_string());
    project
        .run(&["run", "--source", "source_a", "--date", "20230502"])
        .code(1)
        .stderr_contains("7 rows, 4 in the batch before, which is more than 50% apart");
    project.input("source_a", "20230502", json!(fresh(6)).to_string());
    project
        .run(&["run", "--source", "source_a", "--date", "20230502"])
        .code(0);
    assert_eq!(counts(&database)[1], 10);
}

#[test]
fn a_check_that_can_not_be_planned_is_shown_in_its_file() {
    let database = Database::migrated();
    let checks = "      - expression: nam = 'x'\n      - range: {column: name, min: 1}\n";
    let project = checked(&database, "patients", checks);
    insta::assert_snapshot!(project.run(&["check"]).code(2).message(), @r"
    error: the transforms do not fit the project

    error: the check `expression(nam = 'x')` of patients can't be planned: column 'nam' not found
     --> pipeline.yaml:9:9
      |
    9 |       - expression: nam = 'x'
      |         ^^^^^^^^^^
      |
      = hint: did you mean `name`?
    ");
    let chance = checked(&database, "patients", "      - expression: random() < 2\n");
    chance
        .run(&["check"])
        .code(2)
        .stderr_contains("can't be planned: an expression must give the same each time");
    let checks = "      - range: {column: visit_date, min: soon}\n      - expression: length(visit_id)\n";
    let project = checked(&database, "visits", checks);
    insta::assert_snapshot!(project.run(&["check"]).code(2).message(), @r"
    error: the transforms do not fit the project

    error: the check `range(visit_date)` of visits can't be planned: `soon` is no value of the column's type Date32
      --> pipeline.yaml:16:9
       |
    16 |       - range: {column: visit_date, min: soon}
       |         ^^^^^

    error: the check `expression(length(visit_id))` of visits can't be planned: an expression must be true or false, this one is Int32
      --> pipeline.yaml:17:9
       |
    17 |       - expression: length(visit_id)
       |         ^^^^^^^^^^
    ");
}

#[test]
fn a_check_in_sql_sees_the_batch_alone() {
    let database = Database::migrated();
    let project = checked(&database, "patients", "      - not_null: name\n");
    let one = |id: &str| patient(id, "Ann", "2023-05-01");
    run(&project, &[one("P-1"), one("P-2"), one("P-3")]).code(0);
    let check =
        "with counted as (select count(*) as n from patients)\nselect n from counted where n > 2 -- too many\n;\n";
    project.write("sql/checks/few.sql", check);
    project.input("source_a", "20230502", json!([one("P-1"), one("P-2")]).to_string());
    project
        .run(&["run", "--source", "source_a", "--date", "20230502"])
        .code(0);
    run(&project, &[one("P-1"), one("P-2"), one("P-3"), one("P-4")])
        .code(1)
        .stderr_contains("the check sql/checks/few.sql failed\ncaused by: it selects 1 rows of the batch");
    assert_eq!(counts(&database)[0], 5, "the old content stands");
    project.write("sql/checks/few.sql", format!("-- severity: warn\n{check}"));
    run(&project, &[one("P-1"), one("P-2"), one("P-3"), one("P-4")])
        .code(0)
        .stderr_contains(
            "warning: source_a 2023-05-01: the check sql/checks/few.sql failed: it selects 1 rows of the batch",
        );
    assert_eq!(counts(&database)[0], 6);
    project.write("sql/checks/few.sql", "select 'é',\n  nme from patients");
    for failed in [run(&project, &[]), project.run(&["check"])] {
        failed
            .code(2)
            .stderr_contains("the check sql/checks/few.sql can't be made")
            .stderr_contains("sql/checks/few.sql:2:3\n")
            .stderr_contains("  nme from patients\n  |   ^^^")
            .stderr_contains("Perhaps you meant to reference the column");
    }
    project.write("sql/checks/few.sql", "select 1\nfrom public.visit");
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("sql/checks/few.sql:2:6\n")
        .stderr_contains("did you mean `visits`?");
    project.write("sql/checks/few.sql", "-- severity: hide\nselect 1");
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("the severity of a check in SQL can't be `hide`");
}

#[test]
fn a_check_sees_what_the_masks_leave() {
    let database = Database::migrated();
    let project = Project::of_repository().on(&database);
    project.edit(
        "pipeline.yaml",
        "  visits:\n",
        "  visits:\n    checks:\n      - expression: provider_notes_text = '[redacted]'\n",
    );
    let mut noted = patient("P-1", "Ann", "2023-05-01");
    noted["visits"][0]["provider_notes"] = json!({"text": "SECRET", "author": "Dr. Who"});
    run(&project, &[noted]).code(0).output_lacks("SECRET");
    assert_eq!(counts(&database), [1, 1, 1, 1]);
    project.edit("pipeline.yaml", "'[redacted]'", "'SECRET'");
    let mut noted = patient("P-1", "Ann", "2023-05-01");
    noted["visits"][0]["provider_notes"] = json!({"text": "SECRET", "author": "Dr. Who"});
    run(&project, &[noted]).code(1).stderr_contains("too much is refused");
}

#[test]
fn a_check_that_only_the_physical_planner_refuses_is_shown_in_its_file() {
    let database = Database::migrated();
    let late = "unnest(make_array(name)) = 'x'";
    let checks = format!("      - not_null: name\n      - expression: {late}\n");
    let project = checked(&database, "patients", &checks);
    let shown = project.run(&["check"]).code(2);
    let shown = shown
        .stderr_contains("of patients can't be planned")
        .output_lacks("sql/source_a/patients.sql");
    assert!(shown.stderr.contains("--> pipeline.yaml:10:9\n"), "{}", shown.stderr);
    // Of a source's own check, the source's file is shown.
    let project = Project::of_repository().in_clear().on(&database);
    project.edit(
        "pipelines/source_a.yaml",
        "transforms:",
        &format!("checks:\n  patients:\n    - expression: {late}\ntransforms:"),
    );
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("--> pipelines/source_a.yaml:");
}

#[test]
fn undeclared_fields_are_counted_at_the_object_that_holds_them() {
    let schema = "id: {type: string, required: true}\nn: bigint\ns: {struct: {a: bigint, inner: {struct: {deep: bigint}}}}\n\
                  visits:\n  list:\n    no: bigint\n    codes: {list: {code: string}}";
    let codes = json!([{"code": "c", "x": 1, "y": [1]}, {"x": {"code": 1}}]);
    let record = |id: usize| {
        json!({"id": id.to_string(), "n": 1, "s": {"a": 1, "u": 1, "v": {"w": 2}, "inner": {"deep": 1, "t": 1}},
            "visits": [{"no": 1, "codes": codes}, {"codes": codes, "z": 1}]})
    };
    let records: Vec<Value> = (0..10).map(record).collect();
    for text in [json!(records).to_string(), padded(json!(records).to_string())] {
        let project = Small::new().schema(schema).project().json(text);
        let run = project.run_clinic().code(0);
        for (path, count) in [
            ("$.s", 20),
            ("$.s.inner", 10),
            ("$.visits[]", 10),
            ("$.visits[].codes[]", 60),
        ] {
            let said = format!("path={path} count={count}\n");
            assert!(run.stderr.contains(&said), "{said}{}", run.stderr);
        }
        assert!(!run.stderr.contains("path=$ "), "{}", run.stderr);
    }
}
