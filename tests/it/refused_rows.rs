//! An expression of a transform that fails for a row refuses that row, with its record, column and reason, and the rest of
//! the batch loads. Where rows are merged, the batch fails and says which record it was.
use std::fmt::Write;

use serde_json::{Value, json};

use crate::harness::{Database, Outcome, Project, Small};

const NOTED: &str =
    "select check_name, record, path, reason from pipeline.quarantine order by entity, record, check_name";
const ACCOUNT: &str =
    "select (account #> '{entities,items}') - 'warnings'::text from pipeline.runs order by run_id desc limit 1";

/// An expression over the field `x`, a value that it takes, one that it does not take, and what is noted then.
struct Case {
    field: &'static str,
    column: &'static str,
    sql: &'static str,
    fits: Value,
    fails: Value,
    noted: &'static str,
}

/// Loads one record that fits in every column, and for each column a record that fails in it.
fn each_refuses_its_row(cases: &[Case]) {
    let (mut schema, mut columns, mut select) = (String::new(), Vec::new(), String::from("select id"));
    let names: Vec<String> = (0..cases.len()).map(|at| format!("c{at}")).collect();
    columns.push(("id", "text"));
    for (at, case) in cases.iter().enumerate() {
        writeln!(schema, "x{at}: {}", case.field).unwrap();
        write!(select, ", {} as c{at}", case.sql.replace('x', &format!("x{at}"))).unwrap();
        columns.push((&names[at], case.column));
    }
    let record = |failing: Option<usize>| {
        let value = |(at, case): (usize, &Case)| {
            let value = if failing == Some(at) { &case.fails } else { &case.fits };
            (format!("x{at}"), value.clone())
        };
        let mut record: serde_json::Map<String, Value> = cases.iter().enumerate().map(value).collect();
        record.insert("id".into(), json!(format!("i{}", failing.map_or(0, |at| at + 1))));
        Value::Object(record).to_string()
    };
    let (database, project) = Small::new()
        .columns(&columns)
        .schema(&format!("id: string\n{schema}"))
        .sql(&format!("{select} from source"))
        .rest("max_quarantined: 1000")
        .on_server();
    let records: Vec<String> = [record(None)]
        .into_iter()
        .chain((0..cases.len()).map(|at| record(Some(at))))
        .collect();
    let outcome = project.json(records.join("\n")).run_clinic().code(0);
    for case in cases {
        if let Some(text) = case.fails.as_str().filter(|text| text.len() > 4) {
            outcome
                .message()
                .lines()
                .for_each(|line| assert!(!line.contains(text), "{line}"));
        }
    }
    let noted: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(at, case)| {
            let (kind, reason) = case.noted.split_once(": ").unwrap();
            format!("{kind}(c{at})|{}|c{at}|{reason}", at + 2)
        })
        .collect();
    assert_eq!(database.rows(NOTED), noted);
    assert_eq!(database.rows("select id from items"), ["i0"]);
    let produced = cases.len() + 1;
    let account = format!(
        r#"{{"loaded": 1, "produced": {produced}, "quarantined": {}}}"#,
        cases.len()
    );
    assert_eq!(database.value(ACCOUNT), account);
}

fn case(sql: &'static str, fits: Value, fails: Value, noted: &'static str) -> Case {
    let (field, column) = ("string", "text");
    Case {
        field,
        column,
        sql,
        fits,
        fails,
        noted,
    }
}

#[test]
fn a_cast_or_function_that_fails() {
    let with = |field, column, case: Case| Case { field, column, ..case };
    let (text, day) = (json!("7"), json!("2023-05-01"));
    let bad = json!("confidential");
    let date = "cast: a value that can't be cast to DATE";
    let int = "cast: a value that can't be cast to INT";
    let parse = "function: a value that `parse_date` can't take";
    each_refuses_its_row(&[
        with(
            "string",
            "date",
            case("cast(x as date)", day.clone(), bad.clone(), date),
        ),
        with("string", "int4", case("x::int", text.clone(), bad.clone(), int)),
        case(
            "case when x <> '' then cast(cast(x as int) + 1 as varchar) end",
            text.clone(),
            bad.clone(),
            int,
        ),
        case(
            "upper(cast(cast(x as date) as varchar))",
            day.clone(),
            bad.clone(),
            date,
        ),
        case(
            "coalesce(cast(cast(x as int) as varchar), '0')",
            text.clone(),
            bad.clone(),
            int,
        ),
        with(
            "string",
            "date",
            case("parse_date(x, '%d.%m.%Y')", json!("01.05.2023"), bad.clone(), parse),
        ),
        with("string", "date", case("parse_date(trim(x))", day, bad.clone(), parse)),
        with(
            "string",
            "timestamp",
            case(
                "parse_timestamp(x)",
                json!("2023-05-01T10:00:00"),
                bad.clone(),
                "function: a value that `parse_timestamp` can't take",
            ),
        ),
        with(
            "bigint",
            "int4",
            case("cast(x as int)", json!(1), json!(3_000_000_000_u64), int),
        ),
        with(
            "bigint",
            "int8",
            case("100 / x", json!(5), json!(0), "division: a division by zero"),
        ),
        with(
            "bigint",
            "int8",
            case("7 % x", json!(5), json!(0), "division: a division by zero"),
        ),
        with(
            "\n  list: string",
            "int4",
            case("cast(x[1] as int)", json!(["1"]), json!(["confidential"]), int),
        ),
        with(
            "decimal(10,2)",
            "numeric(4,1)",
            case(
                "cast(x as decimal(4,1))",
                json!(1.5),
                json!(123_456.5),
                "cast: a value that can't be cast to DECIMAL(4,1)",
            ),
        ),
    ]);
}

/// At 02:30 of 26 March 2023 the clocks of Berlin went on from 02:00 to 03:00; 02:30 of 29 October came twice.
#[test]
fn a_local_time_that_a_zone_does_not_have_or_has_twice() {
    let zone = |fails: &str| Case {
        field: "timestamp",
        column: "timestamptz",
        ..case(
            "x at time zone 'Europe/Berlin'",
            json!("2023-03-26T01:30:00"),
            json!(fails),
            "cast: a local time that does not exist in Europe/Berlin, or exists twice there",
        )
    };
    each_refuses_its_row(&[zone("2023-03-26T02:30:00"), zone("2023-10-29T02:30:00")]);
}

fn texts(sql: &str, columns: &[(&str, &str)], rest: &str, values: &[Value]) -> (Database, Project, Outcome) {
    let (database, project) = Small::new()
        .columns(columns)
        .schema("id: string\nx: string\nlist:\n  list: string")
        .sql(sql)
        .rest(&format!("max_quarantined: 1000\n{rest}"))
        .on_server();
    let lines: Vec<String> = values.iter().map(Value::to_string).collect();
    let project = project.json(lines.join("\n"));
    let outcome = project.run_clinic();
    (database, project, outcome)
}

const ID_AND_N: [(&str, &str); 2] = [("id", "text"), ("n", "int8")];

fn three() -> Vec<Value> {
    vec![
        json!({"id": "a", "x": "1", "list": ["l", "m"]}),
        json!({"id": "b", "x": "confidential", "list": ["l", "m", "n"]}),
        json!({"id": "c", "x": "3", "list": []}),
    ]
}

#[test]
fn each_row_that_an_unnest_makes_of_it_is_refused() {
    for sql in [
        "with v as (select id, cast(x as int) as n, unnest(list) as l from source) select l || id as id, n from v",
        "with v as (select id, x, unnest(list) as l from source) select l || id as id, cast(x as int) as n from v",
    ] {
        let (database, _, outcome) = texts(sql, &ID_AND_N, "conserves:\n  items: list[]", &three());
        outcome.code(0).output_lacks("confidential");
        let refused = "cast(n)|2|n|a value that can't be cast to INT";
        assert_eq!(database.rows(NOTED), [refused; 3], "{sql}");
        assert_eq!(
            database.rows("select id, n from items order by id"),
            ["la|1", "ma|1"],
            "{sql}"
        );
        assert_eq!(
            database.value("select (account #> '{entities,items}')->>'produced' from pipeline.runs"),
            "5",
            "{sql}"
        );
    }
    // The list itself is what fails: nobody knows how many rows it would have made.
    let sql = "with v as (select id, unnest(make_array(cast(x as int), 7)) as n from source) select id, n from v";
    let (database, _, outcome) = texts(sql, &ID_AND_N, "", &three());
    outcome.code(0);
    assert_eq!(database.rows("select record, path from pipeline.quarantine"), ["2|$"]);
    assert_eq!(database.count("items"), 4);
}

#[test]
fn a_condition_that_fails_refuses_the_row() {
    let where_ = "select id, 1 as n from source where cast(x as int) < 3";
    let (database, _, outcome) = texts(where_, &ID_AND_N, "", &three());
    outcome.code(0);
    assert_eq!(database.rows(NOTED), ["cast|2|$|a value that can't be cast to INT"]);
    assert_eq!(database.rows("select id from items"), ["a"]);
    // A row that another condition leaves out is left out, whatever the order.
    for condition in ["id <> 'b' and cast(x as int) < 5", "cast(x as int) < 5 and id <> 'b'"] {
        let sql = format!("select id, 1 as n from source where {condition}");
        let (database, _, outcome) = texts(&sql, &ID_AND_N, "", &three());
        outcome.code(0);
        assert_eq!(database.rows(NOTED), Vec::<String>::new(), "{condition}");
        assert_eq!(database.count("items"), 2, "{condition}");
    }
    // A row that failed before the filter is not lost in it.
    let above = "with v as (select id, cast(x as int) as n from source) \
                 select id, n from v where n > 1 union all select id, 0 as n from v where n is null";
    let (database, _, outcome) = texts(above, &ID_AND_N, "", &three());
    outcome.code(0);
    assert_eq!(database.rows("select distinct record from pipeline.quarantine"), ["2"]);
    assert_eq!(database.rows("select id, n from items"), ["c|3"]);
}

#[test]
fn a_check_that_cannot_be_evaluated_refuses_the_row() {
    let columns = [("id", "text"), ("n", "text")];
    let (database, project) = Small::new()
        .columns(&columns)
        .schema("id: string\nx: string")
        .sql("select id, x as n from source")
        .rest("max_quarantined: 1000")
        .on_server();
    project.edit(
        "pipeline.yaml",
        "    columns:\n",
        "    checks:\n      - expression: cast(n as int) < 3\n        name: small\n    columns:\n",
    );
    let lines: Vec<String> = three()
        .iter()
        .map(|one| json!({"id": one["id"], "x": one["x"]}).to_string())
        .collect();
    let project = project.json(lines.join("\n"));
    project.run_clinic().code(0);
    assert_eq!(
        database.rows(NOTED),
        [
            "cast(small)|2|$|the check can't be evaluated: a value that can't be cast to INT",
            "small|3||the expression is false",
        ]
    );
}

#[test]
fn too_many_refused_rows_fail_the_batch() {
    let (database, project) = Small::new()
        .columns(&ID_AND_N)
        .schema("id: string\nx: string")
        .sql("select id, cast(x as int) as n from source")
        .on_server();
    let lines: Vec<String> = (0..20)
        .map(|at| json!({"id": "a", "x": if at == 7 { "confidential" } else { "1" }}).to_string())
        .collect();
    let project = project.json(lines.join("\n"));
    let outcome = project.run_clinic().code(1).output_lacks("confidential");
    let message = outcome.message();
    for part in [
        "1 of 20 rows of items",
        "cast(n): a value that can't be cast to INT",
        "record 8",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(database.rows(NOTED), ["cast(n)|8|n|a value that can't be cast to INT"]);
}

/// A row among others that are counted, joined or cut off with it can't be refused by itself.
#[test]
fn where_rows_are_merged_the_batch_fails_and_names_the_record() {
    let reason = "a value that can't be cast to INT";
    for (sql, record) in [
        ("select 'a' as id, sum(cast(x as int)) as n from source", false),
        (
            "with v as (select id, cast(x as int) as n from source) \
          select id, sum(n) over (order by id) as n from v",
            true,
        ),
        (
            "with v as (select id, cast(x as int) as n from source) select id, n from v order by n limit 2",
            true,
        ),
    ] {
        let (database, _, outcome) = texts(sql, &ID_AND_N, "", &three());
        let outcome = outcome.code(1).output_lacks("confidential");
        let message = outcome.message();
        println!("{message}");
        assert!(
            message.contains("sql/clinic/items.sql failed while it ran"),
            "{message}"
        );
        assert!(message.contains(reason) || !record, "{sql}: {message}");
        assert_eq!(
            message.contains("in/2023-05-01.json, record 2"),
            record,
            "{sql}: {message}"
        );
        assert_eq!(database.count("items"), 0);
    }
}

/// The rows below a refused row are refused, those of other rows are not.
#[test]
fn what_belongs_to_a_refused_row_is_refused() {
    let database = Database::fresh();
    let project = Project::new()
        .file(
            "pipeline.yaml",
            "name: small\nentities:\n  patients:\n    columns:\n      id: {type: text, nullable: false}\n      born: {type: date}\n    \
             key: [id]\n  visits:\n    columns:\n      id: {type: text}\n      visit: {type: text, nullable: false}\n    key: [visit]\n    \
             parent: {entity: patients, columns: [id]}\n",
        )
        .file(
            "pipelines/clinic.yaml",
            "name: clinic\ninput:\n  path: in/{date:%Y-%m-%d}.json\nmax_quarantined: 1000\nschema:\n  id: string\n  born: string\n  \
             visits:\n    list: string\n",
        )
        .file("sql/clinic/patients.sql", "select id, cast(born as date) as born from source\n")
        .file("sql/clinic/visits.sql", "select id, unnest(visits) as visit from source\n")
        .file(
            "migrations/V1__all.sql",
            "create table patients (id text not null, born date, source text not null, batch_date date not null, \
             primary key (id, source, batch_date)) partition by list (source);\n\
             create table visits (id text, visit text not null, source text not null, batch_date date not null, \
             primary key (visit, source, batch_date)) partition by list (source);\n",
        )
        .on(&database);
    project.run(&["migrate"]).code(0);
    let records = [
        json!({"id": "a", "born": "1970-01-01", "visits": ["v1", "v2"]}),
        json!({"id": "b", "born": "confidential", "visits": ["v3", "v4"]}),
    ];
    let project = project.json(records.map(|record| record.to_string()).join("\n"));
    project.run_clinic().code(0).output_lacks("confidential");
    assert_eq!(
        database.rows("select entity, check_name, record, reason from pipeline.quarantine order by 1, 2"),
        [
            "patients|cast(born)|2|a value that can't be cast to DATE",
            "visits|parent|2|its row of patients was refused",
            "visits|parent|2|its row of patients was refused",
        ]
    );
    assert_eq!(database.rows("select visit from visits order by 1"), ["v1", "v2"]);
}
