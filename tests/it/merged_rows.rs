//! A row that fails below DISTINCT or GROUP BY is refused by itself, or with the row of its group; what merges the rows loads.
//! Sums that leave their type fail the batch.
use serde_json::{Value, json};

use crate::harness::{Database, Outcome, Small};

const NOTED: &str = "select check_name, record, path, reason from pipeline.quarantine order by record, check_name";
const INT: &str = "a value that can't be cast to INT";

fn load(sql: &str, columns: &[(&str, &str)], records: &[Value]) -> (Database, Outcome) {
    let (database, project) = Small::new()
        .columns(columns)
        .schema("id: string\nx: string\nn: bigint\nm: bigint\nf: double\nd: decimal(38,0)\nt: timestamp\nu: timestamp")
        .sql(sql)
        .rest("max_quarantined: 1000")
        .on_server();
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    let outcome = project.json(lines.join("\n")).run_clinic();
    (database, outcome.output_lacks("confidential"))
}

const ID_AND_N: [(&str, &str); 2] = [("id", "text"), ("n", "int8")];

fn rows(database: &Database) -> Vec<String> {
    database.rows("select id, n from items order by 1, 2")
}

/// Two records are equal, the third fails.
fn doubles() -> [Value; 4] {
    [("a", "1"), ("a", "1"), ("b", "confidential"), ("c", "3")].map(|(id, x)| json!({"id": id, "x": x}))
}

#[test]
fn distinct_rows_and_groups_load_without_the_row_that_fails() {
    for sql in [
        "select distinct id, cast(x as int) as n from source",
        "with v as (select id, cast(x as int) as n from source) select distinct id, n from v",
        "with v as (select distinct id, cast(x as int) as n from source) select id, n from v where id <> 'z'",
        "select id, cast(x as int) as n from source union select id, cast(x as int) as n from source where id = 'a'",
        "select id, cast(x as int) as n from source group by id, cast(x as int)",
        "with v as (select id, cast(x as int) as n from source) select id, n from v group by id, n",
    ] {
        let (database, outcome) = load(sql, &ID_AND_N, &doubles());
        outcome.code(0);
        assert_eq!(rows(&database), ["a|1", "c|3"], "{sql}");
        let noted = database.rows(NOTED);
        assert_eq!(noted, [format!("cast(n)|3|n|{INT}")], "{sql}");
        let account = database.value("select account #>> '{entities,items,produced}' from pipeline.runs");
        assert_eq!(account, "3", "{sql}");
    }
}

/// The values of a group that lacks a row would be wrong, so the row of the group is refused.
#[test]
fn a_group_with_a_row_that_fails_is_refused() {
    let records = [("a", "1"), ("a", "2"), ("b", "confidential"), ("b", "7"), ("c", "3")];
    let records = records.map(|(id, x)| json!({"id": id, "x": x}));
    for sql in [
        "select id, sum(cast(x as int)) as n from source group by id",
        "select id, sum(cast(x as int) + 0) + 0 as n from source group by id having count(*) > 0",
        "with v as (select id, cast(x as int) as n from source) select id, sum(n) as n from v group by id",
        "with v as (select id, sum(cast(x as int)) as n from source group by id) select distinct id, n from v",
    ] {
        let (database, outcome) = load(sql, &ID_AND_N, &records);
        outcome.code(0);
        assert_eq!(rows(&database), ["a|3", "c|3"], "{sql}");
        let noted = database.rows(NOTED);
        assert_eq!(noted, [format!("cast(n)|3|n|{INT}")], "{sql}");
    }
    let distinct = "select id, count(distinct cast(x as int)) as n from source group by id";
    let (database, outcome) = load(distinct, &ID_AND_N, &records);
    outcome.code(0);
    assert_eq!(rows(&database), ["a|2", "c|1"]);
}

/// An aggregate computes its arguments only for the rows that its FILTER lets through.
#[test]
fn a_filter_of_an_aggregate_keeps_from_it_what_fails() {
    let records = [("a", "1"), ("a", "2"), ("b", "confidential"), ("b", "7"), ("c", "3")];
    let records = records.map(|(id, x)| json!({"id": id, "x": x}));
    for sql in [
        "select id, sum(cast(x as int)) filter (where x <> 'confidential') as n from source group by id",
        "select id, cast(string_agg(x, '' order by cast(x as int)) filter (where length(x) = 1) as int) % 11 as n \
         from source group by id",
        "with v as (select id, sum(cast(x as int)) filter (where x <> 'confidential') over (partition by id) as n \
         from source) select distinct id, n from v",
    ] {
        let (database, outcome) = load(sql, &ID_AND_N, &records);
        outcome.code(0);
        let a = if sql.contains("string_agg") { 1 } else { 3 };
        assert_eq!(
            rows(&database),
            [format!("a|{a}"), "b|7".to_owned(), "c|3".to_owned()],
            "{sql}"
        );
        assert_eq!(database.count("pipeline.quarantine"), 0, "{sql}");
    }
    for sql in [
        "select id, sum(cast(x as int)) filter (where id <> 'c') as n from source group by id",
        "select id, count(*) filter (where cast(x as int) > 1) as n from source group by id",
        "select id, sum(cast(x as int)) filter (where cast(x as int) > 0) as n from source group by id",
        "select id, count(distinct cast(x as int)) filter (where id <> 'c') as n from source group by id",
    ] {
        let (database, outcome) = load(sql, &ID_AND_N, &records);
        outcome.code(0);
        let loaded = database.rows("select id from items order by 1");
        assert_eq!(loaded, ["a", "c"], "{sql}");
        assert_eq!(database.rows(NOTED), [format!("cast(n)|3|n|{INT}")], "{sql}");
    }
    let window = "select id, sum(cast(x as int)) filter (where id <> 'a') over (order by id) as n from source";
    let (_, outcome) = load(window, &ID_AND_N, &records);
    let message = outcome.code(1).message();
    assert!(message.contains("in/2023-05-01.json, record 3"), "{message}");
}

/// A row belongs to one group of each set, and each of them lacks it.
#[test]
fn each_group_of_several_sets_that_lacks_a_row_is_refused() {
    let records = [("a", "1"), ("b", "confidential"), ("c", "3")];
    let records = records.map(|(id, x)| json!({"id": id, "x": x}));
    for sql in [
        "select id, sum(cast(x as int)) as n from source group by rollup(id)",
        "select id, sum(cast(x as int)) + grouping(id) as n from source group by grouping sets ((id), ())",
        "select id, sum(cast(x as int)) filter (where x <> 'z') as n from source group by cube(id)",
    ] {
        let (database, outcome) = load(sql, &ID_AND_N, &records);
        outcome.code(0);
        assert_eq!(rows(&database), ["a|1", "c|3"], "{sql}");
        let refused = format!("cast(n)|2|n|{INT}");
        assert_eq!(database.rows(NOTED), [refused.clone(), refused], "{sql}");
    }
}

/// DataFusion leaves casts out of the names of columns.
#[test]
fn aggregates_and_windows_that_differ_in_a_cast_only_stand_beside_each_other() {
    let records = [("a", 1, 1.4), ("a", 2, 1.4), ("b", 3, 2.6)];
    let records = records.map(|(id, n, f)| json!({"id": id, "n": n, "f": f}));
    let columns = [("id", "text"), ("n", "int8"), ("v", "float8"), ("w", "int8")];
    for (sql, expected) in [
        (
            "select id, sum(n) as n, sum(f) as v, sum(cast(f as int)) as w from source group by id",
            ["a|3|2.8|2", "b|3|2.6|2"],
        ),
        (
            "select id, count(*) filter (where f > 1.5) as n, avg(f + 1) as v, \
             count(*) filter (where cast(f as int) > 1.5) as w from source group by id having sum(cast(f as int)) > 0 \
             order by sum(cast(f as int))",
            ["a|0|2.4|0", "b|1|3.6|1"],
        ),
        (
            "with v as (select id, n, sum(f) over (order by id) as v, sum(cast(f as int)) over (order by id) as w, \
             row_number() over (partition by id order by f) as p, \
             row_number() over (partition by id order by cast(f as int)) as q from source) \
             select id, max(n) as n, max(v) as v, max(w) as w from v group by id",
            ["a|2|2.8|2", "b|3|5.4|4"],
        ),
        (
            "select id, sum(distinct n) as n, max(f) as v, sum(distinct try_cast(f as int)) as w from source \
             group by id, cast(id as varchar)",
            ["a|3|1.4|1", "b|3|2.6|2"],
        ),
    ] {
        let (database, outcome) = load(sql, &columns, &records);
        outcome.code(0);
        let found = database.rows("select id, n, round(v::numeric, 6)::float8, w from items order by 1");
        assert_eq!(found, expected, "{sql}");
    }
}

/// The type of a column, what DataFusion plans for it and can't compute, the message and its place.
const UNCOMPUTABLE: &[(&str, &str, &str, &str)] = &[
    (
        "int8",
        "sum(n), sum(distinct n) over (order by m rows between 1 preceding and current row)",
        "can't compute `sum(DISTINCT)` over a frame whose start moves",
        ":1:21",
    ),
    (
        "numeric(20,6)",
        "1, avg(distinct d) over (order by m rows between 1 preceding and 1 following)",
        "can't compute `avg(DISTINCT)` over a frame whose start moves",
        ":1:16",
    ),
    (
        "int8",
        "1, bit_and(n) over w",
        "can't compute `bit_and` over a frame whose start moves",
        ":1:16",
    ),
    (
        "float8",
        "1, stddev(distinct n) over (order by m)",
        "can't compute `stddev(DISTINCT)` over a window",
        ":1:16",
    ),
];

/// A batch would fail with it.
#[test]
fn an_aggregate_that_can_not_be_computed_is_refused_when_the_project_is_checked() {
    for (column, aggregate, said, place) in UNCOMPUTABLE {
        let group = if aggregate.starts_with("sum") {
            " group by n, m"
        } else {
            ""
        };
        let named = " window w as (order by m rows between 1 preceding and current row)";
        let named = if aggregate.ends_with(" w") { named } else { "" };
        let (_, project) = Small::new()
            .columns(&[("a", "int8"), ("b", column)])
            .schema("n: bigint\nm: bigint\nd: decimal(10,2)")
            .sql(&format!(
                "select {} as b from source{group}{named}",
                aggregate.replacen(", ", " as a, ", 1)
            ))
            .on_server();
        let message = project.run(&["check"]).code(2).message();
        assert!(message.contains(said), "{aggregate}: {message}");
        assert!(message.contains(place), "{aggregate}: {message}");
        assert!(message.contains("GROUP BY"), "{aggregate}: {message}");
    }
}

/// Which group the row belongs to is unknown.
#[test]
fn a_key_of_an_aggregate_that_fails_fails_the_batch_and_names_the_record() {
    for sql in [
        "select 'a' as id, count(*) as n from source group by cast(x as int)",
        "with v as (select id, cast(x as int) as k from source) select min(id) as id, count(*) as n from v group by k",
    ] {
        let (database, outcome) = load(sql, &ID_AND_N, &doubles());
        let message = outcome.code(1).message();
        assert!(message.contains(INT), "{sql}: {message}");
        assert!(message.contains("in/2023-05-01.json, record 3"), "{sql}: {message}");
        assert_eq!(database.count("items"), 0);
    }
}

/// A row of a join stands for the record of the side that has one, also where the other side is merged.
#[test]
fn a_join_with_merged_rows_keeps_the_record_of_the_other_side() {
    let sql = "with s as (select id as k, sum(cast(x as int)) as n from source group by id) \
               select source.id || 'xx' as id, s.n from s join source on source.id = s.k";
    let records = [("a", "1"), ("b", "3")].map(|(id, x)| json!({"id": id, "x": x}));
    let (database, outcome) = load(sql, &[("id", "varchar(1)"), ("n", "int8")], &records);
    outcome.code(0);
    assert_eq!(
        database.rows("select check_name, record from pipeline.quarantine order by 2"),
        ["type(id)|1", "type(id)|2"]
    );
}

#[test]
fn rows_that_fit_are_merged_as_before() {
    let columns = [
        ("id", "text"),
        ("n", "int8"),
        ("c", "int8"),
        ("v", "float8"),
        ("w", "int8"),
    ];
    let sql = "with v as (select id, cast(x as int) as k, f from source) \
               select id, sum(k) as n, count(distinct k) as c, avg(f + 1) as v, sum(sum(k)) over (order by id) as w \
               from v group by id";
    let records = [("a", "1", 1.5), ("a", "1", 2.5), ("b", "-4", 0.0)];
    let records = records.map(|(id, x, f)| json!({"id": id, "x": x, "f": f}));
    let (database, outcome) = load(sql, &columns, &records);
    outcome.code(0);
    assert_eq!(
        database.rows("select id, n, c, v, w from items order by 1"),
        ["a|2|1|3|2", "b|-4|1|1|-2"]
    );
}

const MAX: i64 = i64::MAX;

/// An aggregate, the type of its column, and the message.
const BEYOND: &[(&str, &str, &str)] = &[
    (
        "sum(n)",
        "int8",
        "`sum` leaves the range of BIGINT in sql/clinic/items.sql:1:",
    ),
    ("sum(n) over (order by m)", "int8", "`sum` leaves the range of BIGINT"),
    (
        "sum(n) over (order by m rows between 1 preceding and current row)",
        "int8",
        "`sum` leaves the range of BIGINT",
    ),
    ("sum(distinct n + m)", "int8", "`sum` leaves the range of BIGINT"),
    ("sum(d)", "numeric(38,0)", "`sum` leaves the range of DECIMAL(38,0)"),
    ("sum(f)", "float8", "`sum` gives Infinity or NaN"),
    ("avg(f)", "float8", "`avg` gives Infinity or NaN"),
    ("var_pop(f / m)", "float8", "`var_pop` gives Infinity or NaN"),
];

#[test]
fn an_aggregate_that_leaves_its_type_fails_the_batch() {
    let large = json!(99_999_999_999_999_999_999_999_999_999_999_999_999_u128.to_string());
    let record = |m: i64| {
        let text = json!({"id": "a", "n": MAX - 7, "m": m, "f": 1.7e308}).to_string();
        text.replacen('{', &format!("{{\"d\": {}, ", large.as_str().unwrap()), 1)
    };
    let records = [record(1), record(2)].join("\n");
    for (aggregate, column, message) in BEYOND {
        for grouped in ["", " group by id"] {
            let window = aggregate.contains("over");
            if window && !grouped.is_empty() {
                continue;
            }
            let id = if window || !grouped.is_empty() {
                "id"
            } else {
                "'a' as id"
            };
            let (database, project) = Small::new()
                .columns(&[("id", "text"), ("n", column)])
                .schema("id: string\nn: bigint\nm: bigint\nf: double\nd: decimal(38,0)")
                .sql(&format!("select {id}, {aggregate} as n from source{grouped}"))
                .on_server();
            let outcome = project.json(&records).run_clinic().code(1);
            let found = outcome.message();
            assert!(found.contains(message), "{aggregate}{grouped}: {found}");
            assert_eq!(database.count("items"), 0);
        }
    }
}

/// What leaves the range of its type on the way, and comes back, is right.
#[test]
fn an_aggregate_that_comes_back_into_its_type_is_right() {
    let columns = [
        ("id", "text"),
        ("s", "int8"),
        ("a", "int8"),
        ("d", "numeric(38,0)"),
        ("c", "float8"),
    ];
    let sql = "select id, sum(n) as s, cast(avg(u - t) as bigint) as a, sum(cast(m as decimal(38,0))) as d, corr(f, n) as c \
               from source group by id";
    let one =
        |n: i64| json!({"id": "a", "n": n, "m": n, "f": 1.0, "t": "0001-01-01T00:00:00", "u": "9999-12-31T00:00:00"});
    let mut records: Vec<Value> = [MAX, 5, -9].map(one).to_vec();
    records.extend((0..60).map(|_| one(0)));
    records.push(json!({"id": "b", "n": 7, "m": 7, "f": 1.0}));
    let (database, outcome) = load(sql, &columns, &records);
    outcome.code(0);
    let sum = MAX - 4;
    // 9998 years, 11 months and 30 days, in microseconds.
    let span = 3_652_058_i64 * 86_400_000_000;
    assert_eq!(
        database.rows("select id, s, a, d, c from items order by 1"),
        [format!("a|{sum}|{span}|{sum}|"), "b|7||7|".to_owned()]
    );
}

/// Clauses that DataFusion reads and ignores are refused when the project is checked, in transforms and in checks.
#[test]
fn clauses_that_have_no_effect_are_refused() {
    for (sql, said) in [
        (
            "select id as item_id, n from source tablesample (10 percent)",
            "TABLESAMPLE can't be used here",
        ),
        (
            "select id as item_id, n from source for update",
            "FOR UPDATE can't be used here",
        ),
        (
            "select id as item_id, n from source prewhere n > 1",
            "PREWHERE can't be used here",
        ),
        (
            "select cast(id as varchar(3)) as item_id, n from source",
            "the length of VARCHAR(3) can't be used here",
        ),
        (
            "select upper(distinct id) as item_id, n from source",
            "DISTINCT can't be used here",
        ),
        (
            "select id as item_id, n from source fetch first 2 rows with ties",
            "use LIMIT",
        ),
        (
            "select id as item_id, n from source lateral view explode(n) t as m",
            "LATERAL VIEWS",
        ),
        ("select id as item_id, n from source sort by n", "SORT BY"),
        ("select id as item_id, n from source cluster by n", "CLUSTER BY"),
        ("select top 3 id as item_id, n from source", "TOP"),
    ] {
        let (_, project) = Small::new().sql(sql).on_server();
        let message = project.run(&["check"]).code(2).message();
        assert!(message.contains(said), "{sql}: {message}");
        assert!(message.contains("sql/clinic/items.sql:1:"), "{sql}: {message}");
    }
    let (_, project) = Small::new().on_server();
    project.edit(
        "pipeline.yaml",
        "    columns:\n",
        "    checks:\n      - expression: cast(item_id as char(2)) <> 'ab'\n        name: short\n    columns:\n",
    );
    let outcome = project.run(&["check"]).code(2);
    outcome.stderr_contains("the length of CHAR(2) can't be used here");
}
