//! Every type of a contract is stored exactly. A value that PostgreSQL can't hold is an error with file and record. It
//! is never stored as a wrong value, and the message never shows it.
use serde_json::json;

use crate::harness::{Database, Project, Small};

/// A column of every type. Each is filled from a field of the same name.
const COLUMNS: [(&str, &str); 21] = [
    ("id", "text"),
    ("t", "text"),
    ("vc", "varchar"),
    ("vc5", "varchar(5)"),
    ("b", "bool"),
    ("i2", "int2"),
    ("i4", "int4"),
    ("i8", "int8"),
    ("f4", "float4"),
    ("f8", "float8"),
    ("nu", "numeric"),
    ("nu62", "numeric(6,2)"),
    ("nu38", "numeric(38,10)"),
    ("d", "date"),
    ("ts", "timestamp"),
    ("tz", "timestamptz"),
    ("j", "jsonb"),
    ("u", "uuid"),
    ("ta", "text[]"),
    ("d2", "date"),
    ("tf", "timestamp"),
];

const SCHEMA: &str = "\
id: {type: string, required: true}
t: string
vc: string
vc5: string
b: bool
i2: int
i4: int
i8: bigint
f4: double
f8: double
nu: {type: \"decimal(30,12)\"}
nu62: {type: \"decimal(6,2)\", from: string}
nu38: {type: \"decimal(38,10)\", from: string}
d: date
ts: timestamp
tz: timestamptz
j: json
u: string
ta: {list: string}
d2: {type: date, format: [\"%d.%m.%Y\", \"%Y/%m/%d\"]}
tf: {type: timestamp, format: \"%d.%m.%Y %H:%M:%S%.f\"}";

const SQL: &str = "select id, t, vc, vc5, b, cast(i2 as smallint) as i2, i4, i8, arrow_cast(f4, 'Float32') as f4, f8, nu, \
                   nu62, nu38, d, ts, tz, j, u, ta, d2, tf from source";

fn all_types() -> (Database, Project) {
    Small::new().columns(&COLUMNS).schema(SCHEMA).sql(SQL).on_server()
}

#[test]
fn every_type_arrives_exactly() {
    let (database, project) = all_types();
    let long = "ä😀".repeat(100_000);
    let records = r#"[
      {"id": "1", "t": "LONG", "vc": "", "vc5": "äöü😀x", "b": true, "i2": 32767, "i4": 2147483647, "i8": 9223372036854775807,
       "f4": 1.5, "f8": 1.7976931348623157e308, "nu": 123456789012345678.000000000001, "nu62": "-9999.99",
       "nu38": "9999999999999999999999999999.9999999999", "d": "9999-12-31", "ts": "2023-05-01T23:59:59.999999",
       "tz": "2023-05-01T23:59:59.999999+02:00", "j": {"a": [1, null, "x\ty", 1e3, 12345678901234567890.5]},
       "u": "0188D0A6-0000-7000-8000-00000000000f", "ta": ["a", null, "", "{\"},", "NULL"], "d2": "01.05.2023",
       "tf": "01.05.2023 01:02:03.5"},
      {"id": "2", "t": "line\n\ttab\\", "vc": "\u007f", "vc5": "", "b": false, "i2": -32768, "i4": -2147483648,
       "i8": -9223372036854775808, "f4": -0.0, "f8": 5e-324, "nu": -0.000000000001, "nu62": "0", "nu38": "-0.0000000001",
       "d": "0001-01-01", "ts": "0001-01-01T00:00:00", "tz": "1970-01-01T00:00:00Z", "j": null, "u": null, "ta": [],
       "d2": "2023/05/02", "tf": null},
      {"id": "3"},
      {"id": "4", "j": "text", "f8": 0.1, "nu": 0, "nu62": "100.10"}]"#;
    let project = project.json(records.replace("LONG", &long));
    project.run_clinic().code(0);
    let sql = "select id, case when length(t) > 100 then md5(t) else t end, vc, vc5, b, i2, i4, i8, f4, f8, nu, nu62, nu38, d, ts,
               tz at time zone 'UTC', j, u, ta, d2, tf from items order by id";
    let max = "1.7976931348623157e+308";
    assert_eq!(
        database.rows(sql),
        [
            format!(
                "1|{}||äöü😀x|t|32767|2147483647|9223372036854775807|1.5|{max}|123456789012345678.000000000001|-9999.99|\
                 9999999999999999999999999999.9999999999|9999-12-31|2023-05-01 23:59:59.999999|2023-05-01 21:59:59.999999|\
                 {{\"a\": [1, null, \"x\\ty\", 1000, 12345678901234567890.5]}}|0188d0a6-0000-7000-8000-00000000000f|\
                 {{a,NULL,\"\",\"{{\\\"}},\",\"NULL\"}}|2023-05-01|2023-05-01 01:02:03.5",
                database.value(&format!("select md5('{long}')"))
            ),
            "2|line\n\ttab\\|\u{7f}||f|-32768|-2147483648|-9223372036854775808|-0|5e-324|-0.000000000001|0.00|-0.0000000001|\
             0001-01-01|0001-01-01 00:00:00|1970-01-01 00:00:00|||{}|2023-05-02|"
                .to_owned(),
            "3||||||||||||||||||||".to_owned(),
            "4|||||||||0.1|0.000000000000|100.10|||||\"text\"||||".to_owned(),
        ]
    );
    // An empty string is not null, and null is not an empty string.
    assert_eq!(
        database.rows("select id from items where vc = '' or vc5 = '' order by 1"),
        ["1", "2"]
    );
    assert_eq!(database.count("items where j is null"), 2);
}

#[test]
fn what_a_column_cannot_hold_is_refused_with_its_place_and_without_its_value() {
    // The field, the JSON of its value, and the part of the value that no message may show.
    let cases = [
        ("t", r#""nul \u0000 Secretvalue""#, "Secretvalue"),
        ("ta", r#"["x", "nul \u0000 Secretvalue"]"#, "Secretvalue"),
        ("j", r#"{"a": "nul \u0000 Secretvalue"}"#, "Secretvalue"),
        ("j", r#"{"nul \u0000 Secretvalue": 1}"#, "Secretvalue"),
        ("vc5", r#""Secretvalue""#, "Secretvalue"),
        ("u", r#""0188d0a6-Secretvalue""#, "Secretvalue"),
        ("i4", "98765432109", "98765432109"),
        ("i8", "98765432109876543210", "98765432109876543210"),
        ("i8", "12345.625", "12345.625"),
        ("i8", r#""87654321""#, "87654321"),
        ("f8", "1e987", "987"),
        ("nu", "0.12345678912345", "12345678912345"),
        ("nu62", r#""98765.43""#, "98765"),
        ("nu62", r#""54.321""#, "54.321"),
        ("nu62", "54.32", "54.32"),
        ("d", r#""2023-02-31""#, "2023-02-31"),
        ("d", r#""31.12.1987""#, "1987"),
        ("ts", r#""1987-12-31T25:00:00""#, "1987"),
        ("tz", r#""1987-12-31T23:00:00""#, "1987"),
        ("d2", r#""1987-12-31""#, "1987"),
        ("b", r#""Secretvalue""#, "Secretvalue"),
        ("b", "54321", "54321"),
        ("t", "54321", "54321"),
        ("t", r#"{"x": "Secretvalue"}"#, "Secretvalue"),
        ("ta", r#""Secretvalue""#, "Secretvalue"),
        ("ta", r#"["Secretvalue", 54321]"#, "54321"),
    ];
    let (database, project) = all_types();
    for (field, value, secret) in cases {
        let project = &project;
        project.write(
            "in/2023-05-01.json",
            format!("{{\"id\": \"1\"}}\n{{\"id\": \"2\", \"{field}\": {value}}}\n"),
        );
        let outcome = project
            .run_clinic()
            .code(1)
            .stderr_contains("in/2023-05-01.json")
            .stderr_contains("record 2");
        outcome.output_lacks(secret);
        assert_eq!(database.count("items"), 0, "{field} {value}");
    }
}

#[test]
fn dates_out_of_postgresqls_range_are_refused() {
    let (database, project) = Small::new()
        .columns(&[("id", "text"), ("d", "date"), ("ts", "timestamp")])
        .schema("id: {type: string, required: true}\nn: int")
        .sql("select id, arrow_cast(n, 'Date32') as d, arrow_cast(arrow_cast(n, 'Date32'), 'Timestamp(Microsecond, None)') as ts from source")
        .on_server();
    // 2 000 000 days before 1970 is in 3507 BC; PostgreSQL begins at 4713 BC.
    let project = project.json(r#"[{"id": "1", "n": -2000000}]"#);
    project.run_clinic().code(0);
    assert_eq!(
        database.rows("select d, ts from items"),
        database.rows("select date '1970-01-01' - 2000000, (date '1970-01-01' - 2000000)::timestamp")
    );
    let project = project.json(r#"[{"id": "1", "n": 0}, {"id": "2", "n": -3000000}]"#);
    project
        .run_clinic()
        .code(1)
        .stderr_contains("record 2")
        .output_lacks("3000000");
    assert_eq!(database.rows("select id from items"), ["1"]);
}

#[test]
fn what_is_no_number_is_refused_in_float_columns_too() {
    let (database, project) = Small::new()
        .columns(&[("id", "text"), ("f4", "float4"), ("f8", "float8")])
        .schema("id: {type: string, required: true}\nn: double\nd: double")
        .sql("select id, arrow_cast(n / d, 'Float32') as f4, n / d as f8 from source")
        .rest("max_quarantined: 3")
        .on_server();
    let record = |id: &str, n: f64, d: f64| json!({"id": id, "n": n, "d": d});
    let records = [
        record("1", 1.0, 0.0),
        record("2", -1.0, 0.0),
        record("3", 0.0, 0.0),
        record("4", 1.0, 2.0),
    ];
    project.json(json!(records).to_string()).run_clinic().code(0);
    assert_eq!(database.rows("select id, f4, f8 from items"), ["4|0.5|0.5"]);
    assert_eq!(
        database.rows("select record, check_name from pipeline.quarantine order by 1"),
        ["1|division(f4)", "2|division(f4)", "3|division(f4)"]
    );
}

#[test]
fn numbers_come_as_strings_only_where_the_schema_says_so() {
    let (database, project) = Small::new()
        .columns(&[("i", "int4"), ("b", "bool"), ("f", "float8"), ("s", "text")])
        .schema("i: {type: int, from: string}\nb: {type: bool, from: string}\nf: {type: double, from: string}\ns: {type: string, from: number}")
        .sql("select i, b, f, s from source")
        .on_server();
    let project = project.json(r#"{"i": "-7", "b": "true", "f": "1e-3", "s": 12345678901234567890.50}"#);
    project.run_clinic().code(0);
    assert_eq!(
        database.rows("select i, b, f, s from items"),
        ["-7|t|0.001|12345678901234567890.50"]
    );
    for wrong in [
        r#"{"i": -7}"#,
        r#"{"i": "7 "}"#,
        r#"{"i": ""}"#,
        r#"{"b": true}"#,
        r#"{"b": "maybe"}"#,
        r#"{"s": "7"}"#,
    ] {
        project.write("in/2023-05-01.json", wrong);
        project.run_clinic().code(1).stderr_contains("record 1");
    }
}

#[test]
fn a_required_field_that_is_missing_or_null_fails() {
    let (database, project) = Small::new().on_server();
    for wrong in [r#"[{"id": "a"}, {"n": 1}]"#, r#"[{"id": "a"}, {"id": null, "n": 1}]"#] {
        project.write("in/2023-05-01.json", wrong);
        project
            .run_clinic()
            .code(1)
            .stderr_contains("id")
            .stderr_contains("record 2");
    }
    assert_eq!(database.count("items"), 0);
}

#[test]
fn a_null_in_a_column_that_takes_none_fails_with_its_place() {
    let (database, project) = Small::new()
        .schema("id: string\nn: bigint")
        .sql("select id as item_id, n from source")
        .on_server();
    let project = project.json(r#"[{"id": "a", "n": 1}, {"id": null, "n": 54321}]"#);
    project
        .run_clinic()
        .code(1)
        .stderr_contains("item_id")
        .stderr_contains("record 2")
        .output_lacks("54321");
    assert_eq!(database.count("items"), 0);
}
