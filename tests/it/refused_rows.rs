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
    let (database, project) = Small::new()
        .columns(&[("id", "text"), ("x", "timestamptz")])
        .schema("id: string\nx: timestamp")
        .sql("select id, arrow_try_cast(x, 'Timestamp(Microsecond, Some(\"Europe/Berlin\"))') as x from source")
        .on_server();
    let record = |id: &str, x: &str| json!({"id": id, "x": x}).to_string();
    let records = [record("a", "2023-03-26T02:30:00"), record("b", "2023-03-26T03:30:00")];
    project.json(records.join("\n")).run_clinic().code(0);
    assert_eq!(
        database.rows("select id, x at time zone 'UTC' from items order by id"),
        ["a|", "b|2023-03-26 01:30:00"]
    );
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

/// The rows of several branches are sorted by the key, each branch by itself.
#[test]
fn a_row_of_a_union_is_refused() {
    let (database, project) = Small::new()
        .schema("id: string\nx: string")
        .sql(
            "with v as (select id, cast(x as bigint) as n from source)
             select id as item_id, n from v union all select id || '2' as item_id, n + 1 as n from v",
        )
        .rest("max_quarantined: 1000")
        .on_server();
    let lines = three()
        .iter()
        .map(|one| json!({"id": one["id"], "x": one["x"]}).to_string())
        .collect::<Vec<_>>();
    project
        .json(lines.join("\n"))
        .run_clinic()
        .code(0)
        .output_lacks("confidential");
    let refused = "cast(n)|2|n|a value that can't be cast to BIGINT";
    assert_eq!(database.rows(NOTED), [refused; 2]);
    let loaded = database.rows("select item_id, n from items order by 1");
    assert_eq!(loaded, ["a|1", "a2|2", "c|3", "c2|4"]);
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
    for sql in [
        "select 'a' as id, count(*) as n from source group by cast(x as int)",
        "select id, sum(cast(x as int)) over (order by id) as n from source",
        "select id, row_number() over (order by cast(x as int)) as n from source",
        "with v as (select id, cast(x as int) as n from source) select id, sum(n) over (order by id) as n from v",
        "with v as (select id, cast(x as int) as n from source) select id, n from v order by n limit 2",
    ] {
        let (database, _, outcome) = texts(sql, &ID_AND_N, "", &three());
        let outcome = outcome.code(1).output_lacks("confidential");
        let message = outcome.message();
        println!("{message}");
        assert!(
            message.contains("sql/clinic/items.sql failed while it ran"),
            "{message}"
        );
        assert!(message.contains(reason), "{sql}: {message}");
        assert!(message.contains("in/2023-05-01.json, record 2"), "{sql}: {message}");
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

#[test]
fn a_number_beyond_its_type() {
    let with = |field, column, case: Case| Case { field, column, ..case };
    let beyond = "overflow: a number beyond the range of its type";
    let max = 9_223_372_036_854_775_807_i64;
    let zero = "division: a division by zero";
    each_refuses_its_row(&[
        with(
            "bigint",
            "int8",
            case("x + 9223372036854775807", json!(0), json!(1), beyond),
        ),
        with("bigint", "int8", case("x * x", json!(7), json!(max), beyond)),
        with("bigint", "int8", case("-2 - x", json!(7), json!(max), beyond)),
        with("bigint", "int8", case("-x", json!(7), json!(-max - 1), beyond)),
        with(
            "int",
            "int4",
            case("x * cast(2 as int)", json!(7), json!(2_000_000_000), beyond),
        ),
        with(
            "bigint",
            "bool",
            case("case when x + 1 > 0 then true end", json!(7), json!(max), beyond),
        ),
        with("double", "bool", case("1.0 / x > 5", json!(2.5), json!(0.0), zero)),
        with(
            "double",
            "bool",
            case("x * 1e300 > 5", json!(2.5), json!(1e300), beyond),
        ),
        with(
            "double",
            "bool",
            case("power(x, 400) > 5", json!(2.5), json!(1e30), beyond),
        ),
        with("double", "bool", case("ln(x) > 5", json!(2.5), json!(-1.0), beyond)),
    ]);
}

/// DataFusion makes two billion characters or elements in each row, if it can, or ends the process.
#[test]
fn a_result_that_is_too_large() {
    let large = |sql, noted| case(sql, json!("1"), json!("20"), noted);
    let between = |sql, fits: &str, fails: &str, noted| case(sql, json!(fits), json!(fails), noted);
    let range = "function: a value that `range` can't take";
    let series = "function: a value that `generate_series` can't take";
    each_refuses_its_row(&[
        large(
            "cast(length(lpad('a', cast(x as int) * 1000000)) as varchar)",
            "function: a value that `lpad` can't take",
        ),
        large(
            "cast(length(rpad('a', cast(x as int) * 1000000, 'bc')) as varchar)",
            "function: a value that `rpad` can't take",
        ),
        large(
            "cast(length(repeat('ab', cast(x as int) * 500000)) as varchar)",
            "function: a value that `repeat` can't take",
        ),
        large(
            "cast(length(replace(repeat('a', 1000), 'a', repeat('b', cast(x as int) * 1000))) as varchar)",
            "function: a value that `replace` can't take",
        ),
        large(
            "cast(array_length(array_repeat(1, cast(x as int) * 100000)) as varchar)",
            "function: a value that `array_repeat` can't take",
        ),
        large(
            "cast(array_length(array_resize(make_array(1), cast(x as int) * 100000, 2)) as varchar)",
            "function: a value that `array_resize` can't take",
        ),
        large(
            "cast(array_length(range(cast(x as bigint) * 100000)) as varchar)",
            range,
        ),
        large(
            "cast(array_length(generate_series(1, cast(x as bigint) * 100000)) as varchar)",
            series,
        ),
        large(
            "cast(array_length(range(0, cast(x as bigint) * -300000, -3)) as varchar)",
            range,
        ),
        between(
            "cast(array_length(range(cast(x as date), date '9999-12-31', interval '1 day')) as varchar)",
            "9000-01-01",
            "0001-01-01",
            range,
        ),
        between(
            "cast(array_length(generate_series(cast(x as timestamp), timestamp '2023-05-02 00:00:00', interval '1 second')) \
             as varchar)",
            "2023-05-01T00:00:00",
            "2000-01-01T00:00:00",
            series,
        ),
    ]);
}

#[test]
fn a_number_in_json_beyond_its_type() {
    let with = |column, case: Case| Case { column, ..case };
    let json = |number: &str| json!(format!("{{\"a\": {number}, \"b\": \"text\"}}"));
    let int = "function: a value that `json_get_int` can't take";
    let float = "function: a value that `json_get_float` can't take";
    each_refuses_its_row(&[
        with(
            "int8",
            case(
                "json_get_int(x, 'a')",
                json("9223372036854775807"),
                json("9223372036854775808"),
                int,
            ),
        ),
        with(
            "int8",
            case(
                "cast(x -> 'a' as bigint)",
                json("-7"),
                json("-92233720368547758080"),
                int,
            ),
        ),
        with("int8", case("json_get_int(x, 'a')", json("7"), json("1e30"), int)),
        with(
            "bool",
            case("json_get_float(x, 'a') > 5", json("1e300"), json("1e400"), float),
        ),
        // What is no number is null, as before.
        with(
            "int8",
            case(
                "coalesce(json_get_int(x, 'b'), json_get_int(x, 'a'))",
                json("7"),
                json("1e30"),
                int,
            ),
        ),
    ]);
}

/// Expressions over 9999-12-31 and 1600-02-29, their types and their values.
const FAR: &[(&str, &str, &str)] = &[
    (
        "coalesce(t, timestamp '1900-01-01')",
        "timestamp",
        "9999-12-31 12:34:56|1600-02-29 12:34:56",
    ),
    ("coalesce(t, d)", "timestamp", "9999-12-31 12:34:56|1600-02-29 12:34:56"),
    (
        "case when t > '2000-01-01' then t else timestamp '0001-01-01' end",
        "timestamp",
        "9999-12-31 12:34:56|0001-01-01 00:00:00",
    ),
    ("t > timestamp '2000-01-01'", "bool", "t|f"),
    ("t > d", "bool", "t|t"),
    ("t = timestamp '9999-12-31 12:34:56'", "bool", "t|f"),
    ("t between d and '9999-12-31T23:00:00'", "bool", "t|t"),
    (
        "date_trunc('year', t)",
        "timestamp",
        "9999-01-01 00:00:00|1600-01-01 00:00:00",
    ),
    (
        "date_trunc('quarter', t)",
        "timestamp",
        "9999-10-01 00:00:00|1600-01-01 00:00:00",
    ),
    (
        "date_trunc('month', d)",
        "timestamp",
        "9999-12-01 00:00:00|1600-02-01 00:00:00",
    ),
    (
        "date_trunc('week', t)",
        "timestamp",
        "9999-12-27 00:00:00|1600-02-28 00:00:00",
    ),
    (
        "date_trunc('day', t)",
        "timestamp",
        "9999-12-31 00:00:00|1600-02-29 00:00:00",
    ),
    (
        "date_trunc('hour', t)",
        "timestamp",
        "9999-12-31 12:00:00|1600-02-29 12:00:00",
    ),
    (
        "date_trunc('month', t at time zone 'UTC')",
        "timestamptz",
        "9999-12-01 00:00:00+00|1600-02-01 00:00:00+00",
    ),
    (
        "cast(d as timestamp)",
        "timestamp",
        "9999-12-31 00:00:00|1600-02-29 00:00:00",
    ),
    (
        "cast(x as timestamp)",
        "timestamp",
        "9999-12-31 12:34:56|1600-02-29 12:34:56",
    ),
    (
        "to_timestamp(x)",
        "timestamp",
        "9999-12-31 12:34:56|1600-02-29 12:34:56",
    ),
    (
        "to_timestamp(n)",
        "timestamp",
        "9999-12-31 00:00:00|1600-02-29 00:00:00",
    ),
    (
        "cast(n as timestamp)",
        "timestamp",
        "9999-12-31 00:00:00|1600-02-29 00:00:00",
    ),
    (
        "cast(x || '+01:00' as timestamptz)",
        "timestamptz",
        "9999-12-31 11:34:56+00|1600-02-29 11:34:56+00",
    ),
    (
        "x::timestamp with time zone",
        "timestamptz",
        "9999-12-31 12:34:56+00|1600-02-29 12:34:56+00",
    ),
    (
        "t at time zone 'UTC'",
        "timestamptz",
        "9999-12-31 12:34:56+00|1600-02-29 12:34:56+00",
    ),
    (
        "t + interval '1' hour",
        "timestamp",
        "9999-12-31 13:34:56|1600-02-29 13:34:56",
    ),
    (
        "d + time '10:00:00'",
        "timestamp",
        "9999-12-31 10:00:00|1600-02-29 10:00:00",
    ),
    ("extract(year from cast(x as timestamp))", "int4", "9999|1600"),
    (
        "greatest(t, timestamp '1700-01-01')",
        "timestamp",
        "9999-12-31 12:34:56|1700-01-01 00:00:00",
    ),
];

/// PostgreSQL's timestamps are in microseconds and go far beyond 1677 to 2262.
#[test]
fn timestamps_outside_of_nanoseconds() {
    let expressions = FAR;
    let names: Vec<String> = (0..expressions.len()).map(|at| format!("c{at}")).collect();
    let mut columns: Vec<(&str, &str)> = expressions
        .iter()
        .zip(&names)
        .map(|((_, kind, _), name)| (name.as_str(), *kind))
        .collect();
    columns.push(("id", "int8"));
    let select: Vec<String> = expressions
        .iter()
        .zip(&names)
        .map(|((sql, ..), name)| format!("{sql} as {name}"))
        .collect();
    let (database, project) = Small::new()
        .columns(&columns)
        .schema("id: bigint\nt: timestamp\nd: date\nx: string\nn: bigint")
        .sql(&format!("select id, {} from source", select.join(",\n  ")))
        .on_server();
    let records = [
        json!({"id": 1, "t": "9999-12-31T12:34:56", "d": "9999-12-31", "x": "9999-12-31T12:34:56", "n": 253_402_214_400_i64}),
        json!({"id": 2, "t": "1600-02-29T12:34:56", "d": "1600-02-29", "x": "1600-02-29T12:34:56", "n": -11_670_998_400_i64}),
    ];
    project
        .json(records.map(|record| record.to_string()).join("\n"))
        .run_clinic()
        .code(0);
    for ((sql, _, expected), name) in expressions.iter().zip(&names) {
        let mut client = database.client();
        client.batch_execute("set time zone 'UTC'").unwrap();
        let select = format!("select string_agg({name}::text, '|' order by id) from items");
        let found: String = client.query_one(&select, &[]).unwrap().get(0);
        let found = found.replace("true", "t").replace("false", "f");
        assert_eq!(found, *expected, "{sql}");
    }
}

/// The place of what failed is in the message where no row can be refused.
#[test]
fn a_failure_among_merged_rows_names_its_place() {
    for (sql, place) in [
        (
            "select 'a' as id,\n  count(*) as n\nfrom source group by cast(x as int)",
            "in sql/clinic/items.sql:3:27",
        ),
        (
            "select 'a' as id,\n  count(*) as n from source group by\n parse_date(x)",
            "in sql/clinic/items.sql:3:2",
        ),
    ] {
        let (_, _, outcome) = texts(sql, &ID_AND_N, "", &three());
        let message = outcome.code(1).output_lacks("confidential").message();
        assert!(message.contains(place), "{message}");
    }
}

/// What the planner says is for its users, not for DataFusion's authors.
#[test]
fn a_function_whose_arguments_fit_no_form() {
    let (_, project) = Small::new()
        .sql("select id as item_id, range(id, id)[1] as n from source")
        .on_server();
    let message = project
        .run(&["check"])
        .code(2)
        .output_lacks("bug in DataFusion")
        .message();
    assert!(
        message.contains("no form of the function takes range(Utf8, Utf8): it is range(Int64) or"),
        "{message}"
    );
}
