//! Tests of `pipeline test` and `pipeline test create`.
use std::fmt::Write as _;
use std::time::Instant;

use serde_json::Value;

use crate::harness::{DATE, Outcome, Project, Small};

const FILE: &str = "sql/clinic/tests/items.yaml";

fn with_cases(project: Project, cases: &str) -> Project {
    project.file(FILE, cases)
}

fn clinic(cases: &str) -> Project {
    with_cases(Small::new().quarantine().project(), cases)
}

fn test(project: &Project) -> Outcome {
    project.run(&["test"])
}

const PASSING: &str = r"# What items must be.
tests:
  - name: items keep their numbers
    date: 2023-05-01
    records:
      - {id: a, n: 1}
      - id: b   # n is absent
    rows:
      items:
        - {n: null, item_id: b}
        - {item_id: a, n: 1}

  - name: the second of two is refused
    description: The key is item_id.
    date: 20230502
    records:
      - {id: a, n: 1}
      - {id: a, n: 2}
      - {n: 3}
    rows:
      items: [{n: 1}]
    # An order of refusals is not expected.
    refused:
      - {entity: record, check: malformed, path: $.id, record: 3}
      - {entity: items, reason: an earlier row has the same key}
";

#[test]
fn the_whole_output_of_cases_that_pass() {
    let project = clinic(PASSING);
    let outcome = test(&project).code(0);
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("2 cases: 2 passed, 0 failed\n", "")
    );
    assert!(!project.path(".pipeline").exists(), "a database or a key was made");
}

const FAILING: &str = r"tests:
  - name: nothing is right
    date: 2023-05-01
    records:
      - {id: a, n: 1}
      - {id: b, n: 2}
      - {n: 3}
    rows:
      items:
        - {item_id: a, n: 10}
        - {item_id: x, n: 5}
    refused:
      - {check: unknown}
";

#[test]
fn the_whole_output_of_cases_that_fail() {
    let project = clinic(FAILING);
    let outcome = test(&project).code(1);
    insta::assert_snapshot!(outcome.stdout, @r#"
    FAIL sql/clinic/tests/items.yaml:2: nothing is right
      line 9: items: a row is not expected
        item_id  b
        n        2
      line 10: items: a row differs
        n  10 is expected, and 1 came
      line 11: items: a row did not come
        item_id  x
        n        5
      line 13: a refusal did not come
      line 2: a refusal is not expected: {entity: record, check: malformed, record: 3, path: "$.id", reason: "required, but missing"}

    1 case: 0 passed, 1 failed
    "#);
    assert_eq!(
        outcome.stderr,
        "hint: mend the SQL, or write what comes out into the cases: --update\n"
    );
    let json = project.run(&["test", "--output", "json"]).code(1).json();
    assert_eq!(json["failed"], 1, "{json}");
    let cell = &json["cases"][0]["differences"][1]["cells"][0];
    assert_eq!(
        (&cell["column"], &cell["expected"], &cell["actual"]),
        (&Value::from("n"), &Value::from("10"), &Value::from("1"))
    );
    project.run(&["test", "--junit", "report.xml"]).code(1);
    let xml = project.read("report.xml");
    assert!(
        xml.contains("<testsuite name=\"clinic\" tests=\"1\" failures=\"1\""),
        "{xml}"
    );
    assert!(
        xml.contains("<failure message=\"items: a row is not expected\">FAIL sql/clinic/tests/items.yaml:2"),
        "{xml}"
    );
    #[cfg(unix)]
    {
        // A link that somebody else has laid leads to a file of theirs, or of others.
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), project.path("link.xml")).unwrap();
        project
            .run(&["test", "--junit", "link.xml"])
            .code(2)
            .stderr_contains("it is a symbolic link");
        assert_eq!(std::fs::read_to_string(elsewhere.path()).unwrap(), "");
    }
}

#[test]
fn update_rewrites_what_is_expected_and_nothing_else() {
    let project = clinic(&format!(
        "{PASSING}{}",
        FAILING
            .replacen("tests:\n", "\n", 1)
            .replace("    refused:", "    # Kept.\n    refused:")
    ));
    project
        .run(&["test", "--update"])
        .code(0)
        .stdout_is(&format!("{FILE}\n"));
    test(&project).code(0).stdout_is("3 cases: 3 passed, 0 failed\n");
    let text = project.read(FILE);
    assert!(text.starts_with(PASSING), "{text}");
    insta::assert_snapshot!(text[PASSING.len()..], @r#"
      - name: nothing is right
        date: 2023-05-01
        records:
          - {id: a, n: 1}
          - {id: b, n: 2}
          - {n: 3}
        rows:
          items:
            - {item_id: a, n: 1}
            - {item_id: b, n: 2}
        # Kept.
        refused:
          - {entity: record, check: malformed, record: 3, path: "$.id", reason: "required, but missing"}
    "#);
    // A case without expectations gets all columns of all entities.
    project.write(FILE, "tests:\n- name: new\n  records: [{id: a}]\n  date: 2023-05-01\n");
    project.run(&["test", "--update"]).code(0);
    let case = project.read(FILE);
    assert_eq!(case, "tests:\n- name: new\n  records: [{id: a}]\n  date: 2023-05-01\n");
    project.write(
        FILE,
        "tests:\n- {name: new, date: 2023-05-01, records: [{id: a}], rows: {items: []}}\n",
    );
    project
        .run(&["test", "--update"])
        .code(2)
        .stderr_contains("let `rows:` and `refused:` begin lines of their own");
}

#[test]
fn what_is_wrong_with_a_case_has_its_place() {
    let project = clinic(
        r"tests:
  - name: wrong
    date: yesterday
    records:
      - {idd: a, n: 0x1F}
      - [a]
    rows:
      items:
        - {item: a}
      visits: []
    refusals: []
",
    );
    insta::assert_snapshot!(test(&project).code(2).message(), @r"
    error: the test cases have 7 problems

    error: `date` is no date
     --> sql/clinic/tests/items.yaml:3:11
      |
    3 |     date: yesterday
      |           ^^^^^^^^^
      |
      = hint: a date is written 2023-05-02 or 20230502

    error: a record must be a mapping, not a list
     --> sql/clinic/tests/items.yaml:4:5
      |
    4 |     records:
      |     ^^^^^^^
      |
      = hint: write its fields, or its bytes as a text

    error: the source declares no field `idd` here
     --> sql/clinic/tests/items.yaml:5:10
      |
    5 |       - {idd: a, n: 0x1F}
      |          ^^^
      |
      = hint: did you mean `id`?

    error: JSON has no such number
     --> sql/clinic/tests/items.yaml:5:21
      |
    5 |       - {idd: a, n: 0x1F}
      |                     ^^^^
      |
      = hint: write its digits, or put it in quotes if it is a text

    error: items has no column `item`
     --> sql/clinic/tests/items.yaml:9:12
      |
    9 |         - {item: a}
      |            ^^^^
      |
      = hint: did you mean `item_id`?

    error: clinic brings no rows to `visits`
      --> sql/clinic/tests/items.yaml:10:7
       |
    10 |       visits: []
       |       ^^^^^^
       |
       = hint: it serves items

    error: unknown key `refusals`
      --> sql/clinic/tests/items.yaml:11:5
       |
    11 |     refusals: []
       |     ^^^^^^^^
       |
       = hint: it may be name, description, date, records, rows, refused or fails
    ");
    insta::assert_snapshot!(Small::new().project().run(&["test"]).code(2).message(), @r"
    error: the project has no test case
    hint: write one into the folder `tests` beside the SQL of a source, or let `pipeline test create` make one from a record
    ");
}

#[test]
fn nested_records_masks_and_refusals_below_refusals() {
    let project = Project::of_repository().file(
        "sql/source_b/tests/all.yaml",
        r"tests:
  - name: a patient with two visits
    date: 2023-05-01
    records:
      - patient_id: P-1
        name: Ada
        visits:
          - visit_id: V-1
            date: 2023-04-30
            diagnoses:
              - code: I10
                treatments: [{drug_test: x}, {drug_test: x}, {}]
          - {visit_id: V-2, date: 2023-05-01, provider_notes: {text: seen}}
    rows:
      patients: [{}]
      visits:
        - {visit_id: V-1, visit_date: 2023-04-30, provider_notes_text: null}
        - {visit_id: V-2, provider_notes_text: '[redacted]'}
      treatments:
        - {treatments_drug: x}
        - {treatments_drug: x}
        - {treatments_drug: null, visit_id: V-1}
",
    );
    test(&project).code(0).stdout_is("1 case: 1 passed, 0 failed\n");
    // The key is that of all test cases, whatever the environment says.
    let project = project.env("PIPELINE_MASK_KEY", crate::harness::MASK_KEY);
    project.edit(
        "sql/source_b/tests/all.yaml",
        "patients: [{}]",
        "patients: [{patient_id: 4}]",
    );
    let first = test(&project).code(1).stdout;
    assert!(!first.contains(&crate::harness::hashed("P-1")), "{first}");
}

#[test]
fn a_batch_that_must_fail() {
    let cases = r"tests:
  - name: it fails
    date: 2023-05-01
    records: [{id: a, n: 0}]
    fails: a division by zero
  - name: a record that is no JSON
    date: 2023-05-01
    records: ['{broken']
    rows: {items: []}
    refused: [{check: malformed, record: 1}]
";
    let project = Small::new()
        .quarantine()
        .sql("select id as item_id, sum(1 / n) over () as n from source")
        .project();
    let outcome = test(&with_cases(project, cases)).code(0);
    assert_eq!(outcome.stdout, "2 cases: 2 passed, 0 failed\n");
}

#[test]
fn a_row_for_which_an_expression_fails_is_refused_as_in_a_run() {
    let cases = r"tests:
  - name: one of three rows
    date: 2023-05-01
    records: [{id: a, n: 5}, {id: b, n: 0}, {id: c, n: 1}]
    rows:
      items: [{item_id: a, n: 20}, {item_id: c, n: 100}]
    refused: [{entity: items, check: division(n), path: n, record: 2, reason: a division by zero}]
";
    let project = Small::new()
        .quarantine()
        .sql("select id as item_id, 100 / n as n from source")
        .project();
    test(&with_cases(project, cases))
        .code(0)
        .stdout_is("1 case: 1 passed, 0 failed\n");
}

/// Surrogates of a run are random, and its ages count up to today. A case gives the same rows whenever it runs.
#[test]
fn surrogates_and_ages_of_a_case_never_change() {
    let cases = r"tests:
  - name: two persons
    date: 2001-05-01
    records:
      - {id: a, born: 1912-03-04}
      - {id: b, born: 1910-03-04}
    rows:
      items: []
";
    let project = Small::new()
        .columns(&[("item_id", "text"), ("born", "int4")])
        .schema(
            "id: {type: string, phi: identifier, mask: surrogate, required: true}\n\
             born: {type: date, phi: date, mask: year}",
        )
        .sql("select id as item_id, born from source")
        .project();
    let yaml = project.read("pipeline.yaml");
    project.write("pipeline.yaml", format!("{yaml}privacy: safe_harbor\n"));
    let project = with_cases(project, cases);
    project.run(&["test", "--update"]).code(0);
    test(&project).code(0).stdout_is("1 case: 1 passed, 0 failed\n");
    let updated = project.read(FILE);
    // Today both are over 89, and would have one year. On the date of the case only one is.
    assert!(updated.contains("born: 1912}"), "{updated}");
    assert!(updated.contains("born: 1911}"), "{updated}");
}

#[test]
fn every_type_compares_as_it_is_written() {
    let columns = [
        ("t", "text"),
        ("b", "bool"),
        ("i", "int4"),
        ("d", "numeric(10,2)"),
        ("f", "float8"),
        ("day", "date"),
        ("at", "timestamp"),
        ("z", "timestamptz"),
        ("j", "jsonb"),
        ("l", "text[]"),
    ];
    let schema = "t: string\nb: bool\ni: int\nd: {type: 'decimal(8,1)'}\nf: double\nday: date\nat: timestamp\nz: timestamptz\nj: json\nl: {list: string}";
    let project = Small::new()
        .columns(&columns)
        .schema(schema)
        .sql("select t, b, i, d, f, day, at, z, j, l from source")
        .project();
    let case = r"tests:
  - name: types
    date: 2023-05-01
    records:
      - t: 'null'
        b: true
        i: -7
        d: 1.5
        f: 2.0
        day: 2023-05-02
        at: 2023-05-02T10:00:00
        z: 2023-05-02T12:00:00+02:00
        j: {b: [1, x], a: {}}
        l: [a, 'b, c', null]
    rows:
      items:
        - {t: 'null', b: true, i: -7, d: 1.50, f: 2, day: 2023-05-02, at: 2023-05-02 10:00:00,
           z: 2023-05-02T10:00:00Z, j: {a: {}, b: [1, x]}, l: [a, 'b, c', null]}
";
    let project = with_cases(project, case);
    test(&project).code(0);
    // What --update writes is read as the same again.
    project.write(
        FILE,
        case.split("    rows:").next().unwrap().to_owned() + "    rows:\n      items: []\n",
    );
    test(&project).code(1);
    project.run(&["test", "--update"]).code(0);
    test(&project).code(0);
}

#[test]
fn a_case_is_made_from_a_record_without_its_values() {
    let project = Project::with_examples();
    let create = ["test", "create", "--source", "b", "--date", "20230501", "--record", "2"];
    project
        .run(&create)
        .code(0)
        .stdout_is("sql/source_b/tests/record_2.yaml\n");
    test(&project).code(0).stdout_is("1 case: 1 passed, 0 failed\n");
    let case = project.read("sql/source_b/tests/record_2.yaml");
    let input: Value =
        serde_json::from_str(&project.read("examples/data/source_b/20230501/visit_events.json")).unwrap();
    let record = &input[1];
    let mut values = vec!["20230501".to_owned()];
    strings(record, &mut values);
    assert!(values.len() > 8, "{record}");
    for value in values {
        assert!(!case.contains(&value), "{value} is in\n{case}");
        // Words of free text, and the parts of names.
        for word in value
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| word.len() > 4)
        {
            assert!(!case.contains(word), "{word} is in\n{case}");
        }
    }
    for key in ["patient_id: ", "visits:", "drug_test: ", "author_test: "] {
        assert!(case.contains(key), "{key} is not in\n{case}");
    }
    insta::assert_snapshot!(project.run(&create).code(2).message(), @r"
    error: sql/source_b/tests/record_2.yaml exists already
    hint: give the new case another name: --name NAME
    ");
    let none = [
        "test", "create", "--source", "b", "--date", "20230501", "--record", "99999",
    ];
    insta::assert_snapshot!(project.run(&none).code(1).message(), @r"
    error: examples/data/source_b/20230501/visit_events.json has no record 99999
    caused by: the batch has 238 records
    hint: give another number, counted from 1 in each file: --record N
    ");
    assert!(!project.path("sql/source_b/tests/record_99999.yaml").exists());
}

fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| strings(value, found)),
        Value::Object(map) => map.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}

/// A partial date stays as precise as it is, in a format of its field.
#[test]
fn invented_partial_dates_are_as_precise() {
    let schema = "id: {type: string, required: true}\n\
                  y: {type: date, precision: partial}\n\
                  m: {type: timestamptz, precision: partial}\n\
                  t: {type: timestamptz, precision: partial}\n\
                  own: {type: date, precision: partial, format: ['%d.%m.%Y', '%m/%Y']}\n\
                  either: {type: string, from: [string, number]}\n\
                  one: {one_or_many: string}";
    let project = Small::new()
        .schema(schema)
        .columns(&[("item_id", "text"), ("precisions", "text")])
        .sql(
            "select id as item_id, concat_ws(' ', y['precision'], m['precision'], t['precision'], own['precision']) \
             as precisions from source",
        )
        .project()
        .json(
            r#"{"id": "K-77123", "y": "1871", "m": "1871-07", "t": "1871-07-13T10:41Z", "own": "07/1871",
                "either": 87123, "one": "Quorley"}"#,
        );
    project
        .run(&["test", "create", "--source", "clinic", "--date", DATE, "--record", "1"])
        .code(0);
    let case = project.read("sql/clinic/tests/record_1.yaml");
    for original in ["1871", "10:41", "77123", "87123", "Quorley", "refused"] {
        assert!(!case.contains(original), "{original} is in\n{case}");
    }
    assert!(case.contains("year month minute month"), "{case}");
    test(&project).code(0);
}

/// Types, formats, rules and lists survive the invention, and equal values stay equal.
#[test]
fn an_invented_record_fits_the_schema() {
    let schema = "id: {type: string, required: true, matches: '[A-Z]-[0-9]+'}\nsame: string\nother: {type: string, accepted_values: [low, high]}\nday: {type: date, format: '%d.%m.%Y'}\nn: {type: bigint, range: {min: 100, max: 300}}\nbig: {type: bigint, from: string}\ntext: string\nj: json\nlist: {list: int}\nnote: {type: string, phi: free_text, mask: redact}";
    let project = Small::new()
        .schema(schema)
        .sql("select id as item_id, n from source")
        .project()
        .json(r#"{"id": "K-77123", "same": "K-77123", "other": "low", "day": "02.05.2023", "n": 222, "big": "9223372036854775807", "j": {"Ada Lovelace": [1.5, "Countess"]}, "list": [4321, null], "note": "secretword", "text": "222"}"#);
    project
        .run(&["test", "create", "--source", "clinic", "--date", DATE, "--record", "1"])
        .code(0);
    let case = project.read("sql/clinic/tests/record_1.yaml");
    for original in [
        "77123",
        "02.05.2023",
        "222\n",
        "Lovelace",
        "Countess",
        "4321",
        "secretword",
        "refused",
    ] {
        assert!(!case.contains(original), "{original} is in\n{case}");
    }
    let after = |key: &str| {
        let line = case
            .lines()
            .find_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(key));
        line.unwrap_or_else(|| panic!("{key} in\n{case}")).to_owned()
    };
    assert_eq!(after("id: "), after("same: "));
    assert_eq!(after("text: "), format!("\"{}\"", after("\"n\": ")));
    test(&project).code(0);
}

/// The issue asks for 100 cases in 2 seconds in a release build. This is a debug build on a busy machine.
#[test]
fn a_hundred_cases_run_in_seconds() {
    let mut cases = "tests:\n".to_owned();
    for number in 0..100 {
        writeln!(cases, "  - name: case {number}\n    date: 2023-05-01\n    records: [{{id: a, n: {number}}}]\n    rows: {{items: [{{n: {number}}}]}}").unwrap();
    }
    let project = clinic(&cases);
    let begun = Instant::now();
    test(&project).code(0).stdout_is("100 cases: 100 passed, 0 failed\n");
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}
