//! Keys that PostgreSQL holds equal although their bytes differ: the doubles are refused as rows, and what belongs to a
//! refused row is found in every spelling.
use serde_json::json;

use crate::harness::{Database, Project};

const LOWER: &str = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
const SPELLINGS: [&str; 5] = [
    LOWER,
    "6F9619FF-8B86-D011-B42D-00C04FC964FF",
    "{6f9619ff-8b86-d011-b42d-00c04fc964ff}",
    "6F9619FF8B86D011B42D00C04FC964FF",
    "6f96-19ff-8b86-d011-b42d-00c0-4fc9-64ff",
];

/// One entity `items` with a key of this type, from the records' field `k`.
fn keyed(kind: &str, field: &str, sql: &str) -> (Database, Project) {
    let database = Database::fresh();
    let project = Project::new()
        .file(
            "pipeline.yaml",
            format!("name: small\nentities:\n  items:\n    columns:\n      k: {{type: \"{kind}\", nullable: false}}\n      n: int8\n    key: [k]\n"),
        )
        .file(
            "pipelines/clinic.yaml",
            format!(
                "name: clinic\ninput:\n  path: in/{{date:%Y-%m-%d}}.json\nschema:\n  k: {field}\n  n: bigint\n\
                 max_quarantined: 100%\n"
            ),
        )
        .file("sql/clinic/items.sql", sql)
        .file(
            "migrations/V1__init.sql",
            format!(
                "create table items (k {kind} not null, n int8, source text not null, batch_date date not null, \
                 primary key (k, source, batch_date)) partition by list (source);\n"
            ),
        )
        .on(&database);
    project.run(&["migrate"]).code(0);
    (database, project)
}

/// Loads records with these keys, all of which are one for PostgreSQL. The first is loaded, the others are refused.
fn doubles(kind: &str, field: &str, sql: &str, keys: &[serde_json::Value]) -> Database {
    let (database, project) = keyed(kind, field, sql);
    let records: Vec<String> = keys
        .iter()
        .enumerate()
        .map(|(n, k)| json!({"k": k, "n": n}).to_string())
        .collect();
    project.json(records.join("\n")).run_clinic().code(0);
    assert_eq!(database.rows("select n::text from items"), ["0"], "{kind}");
    let refused: Vec<String> = (2..=keys.len()).map(|record| format!("unique(k)|{record}")).collect();
    assert_eq!(
        database.rows("select check_name, record from pipeline.quarantine order by record"),
        refused,
        "{kind}"
    );
    database
}

const PLAIN: &str = "select k, n from source\n";

#[test]
fn uuids_in_every_spelling_are_one_key() {
    let keys = SPELLINGS.map(|text| json!(text));
    let database = doubles("uuid", "string", PLAIN, &keys);
    assert_eq!(database.rows("select k::text from items"), [LOWER]);
    doubles(
        "uuid",
        "string",
        "select arrow_cast(k, 'Dictionary(Int32, Utf8)') as k, n from source\n",
        &keys,
    );
    doubles(
        "uuid",
        "string",
        "select arrow_cast(k, 'Utf8View') as k, n from source\n",
        &keys,
    );
}

#[test]
fn a_text_that_is_no_uuid_is_refused_beside_good_keys() {
    let (database, project) = keyed("uuid", "string", PLAIN);
    let records = [LOWER, "no uuid", "{6F9619FF-8B86-D011-B42D-00C04FC964FF"]
        .map(|k| json!({"k": k, "n": 1}).to_string())
        .join("\n");
    project.json(records).run_clinic().code(0);
    assert_eq!(database.count("items"), 1);
    assert_eq!(
        database.rows("select check_name, record, reason from pipeline.quarantine order by record"),
        ["type(k)|2|a text that is no UUID", "type(k)|3|a text that is no UUID"]
    );
}

#[test]
fn both_zeros_are_one_key() {
    for kind in ["float8", "float4"] {
        let sql = format!(
            "select arrow_cast(k, 'Float{}') as k, n from source\n",
            if kind == "float8" { 64 } else { 32 }
        );
        let database = doubles(kind, "double", &sql, &[json!(-0.0), json!(0.0), json!(0), json!(-0.0)]);
        assert_eq!(database.rows("select k::text from items"), ["0"]);
    }
}

#[test]
fn times_that_differ_below_a_microsecond_are_one_key() {
    for (kind, zone) in [("timestamp", "None"), ("timestamptz", "Some(\"UTC\")")] {
        let sql = format!("select arrow_cast(k, 'Timestamp(Nanosecond, {zone})') as k, n from source\n");
        let database = doubles(kind, "bigint", &sql, &[json!(-1), json!(-999), json!(-1000)]);
        assert_eq!(
            database.rows("select extract(microseconds from k)::bigint from items"),
            ["59999999"]
        );
    }
}

#[test]
fn numbers_of_another_scale_are_one_key() {
    doubles("numeric", "decimal(9,3)", PLAIN, &[json!(1), json!(1.0), json!(1.000)]);
    doubles(
        "numeric(9,2)",
        "decimal(9,3)",
        PLAIN,
        &[json!(1), json!(1.0), json!(1.00)],
    );
}

/// Parents and children that join by a column of this type. A parent whose `x` is too long is refused.
fn family(kind: &str, parents: &str, children: &str, relationship: bool) -> (Database, Project) {
    let database = Database::fresh();
    let partitioned = "source text not null, batch_date date not null, primary key";
    let belongs = if relationship {
        "    checks:\n      - relationships: {entity: parents}\n"
    } else {
        "    parent: {entity: parents, columns: [k]}\n"
    };
    let project = Project::new()
        .file(
            "pipeline.yaml",
            format!(
                "name: small\nentities:\n  parents:\n    columns:\n      k: {{type: \"{kind}\", nullable: false}}\n      \
                 x: varchar(4)\n    key: [k]\n  children:\n    columns:\n      \
                 child: {{type: text, nullable: false}}\n      k: \"{kind}\"\n    key: [child]\n{belongs}"
            ),
        )
        .file(
            "pipelines/clinic.yaml",
            "name: clinic\ninput:\n  path: in/{date:%Y-%m-%d}.json\nschema:\n  k: string\n  x: string\n  c: string\n  \
             of: string\nmax_quarantined: 100%\n",
        )
        .file("sql/clinic/parents.sql", parents)
        .file("sql/clinic/children.sql", children)
        .file(
            "migrations/V1__init.sql",
            format!(
                "create table parents (k {kind} not null, x varchar(4), {partitioned} (k, source, batch_date)) \
                 partition by list (source);\ncreate table children (child text not null, k {kind}, \
                 {partitioned} (child, source, batch_date)) partition by list (source);\n"
            ),
        )
        .on(&database);
    project.run(&["migrate"]).code(0);
    (database, project)
}

/// Of two parents the second is refused. Each has a child, whose own record spells the parent's key in another way.
fn children_follow(kind: &str, parents: &str, children: &str, keys: [[&str; 2]; 2]) {
    let (database, project) = family(kind, parents, children, false);
    let mut records = Vec::new();
    for (number, [parent, _]) in keys.iter().enumerate() {
        let x = if number == 1 { "too long" } else { "fits" };
        records.push(json!({"k": parent, "x": x}).to_string());
    }
    for (number, [_, child]) in keys.iter().enumerate() {
        records.push(json!({"c": format!("c{number}"), "of": child}).to_string());
    }
    project.json(records.join("\n")).run_clinic().code(0);
    assert_eq!(database.count("parents"), 1, "{kind}");
    assert_eq!(database.rows("select child from children"), ["c0"], "{kind}");
    assert_eq!(
        database.rows("select entity, check_name from pipeline.quarantine order by record"),
        ["parents|type(x)", "children|parent"],
        "{kind}"
    );
}

#[test]
fn children_of_a_refused_parent_are_found_in_another_spelling() {
    let parents = "select k, x from source where k is not null\n";
    let children = "select c as child, of as k from source where c is not null\n";
    let other = "00000000-0000-0000-0000-00000000000A";
    children_follow(
        "uuid",
        parents,
        children,
        [[other, &other.to_lowercase()], [LOWER, SPELLINGS[1]]],
    );
    children_follow("uuid", parents, children, [[other, other], [SPELLINGS[2], LOWER]]);
    children_follow(
        "numeric",
        "select cast(k as decimal(9,1)) as k, x from source where k is not null\n",
        "select c as child, cast(of as decimal(9,3)) as k from source where c is not null\n",
        [["1", "1.0"], ["2.5", "2.500"]],
    );
    children_follow(
        "float8",
        "select cast(k as double) as k, x from source where k is not null\n",
        "select c as child, cast(of as int) as k from source where c is not null\n",
        [["1", "1"], ["-0.0", "0"]],
    );
    children_follow(
        "timestamp",
        "select arrow_cast(cast(k as bigint), 'Timestamp(Second, None)') as k, x from source where k is not null\n",
        "select c as child, arrow_cast(cast(of as bigint), 'Timestamp(Millisecond, None)') as k from source where c is not null\n",
        [["1", "1000"], ["2", "2000"]],
    );
}

#[test]
fn a_relationship_finds_parents_and_orphans_in_every_spelling() {
    let (database, project) = family(
        "uuid",
        "select k, x from source where k is not null\n",
        "select c as child, of as k from source where c is not null\n",
        true,
    );
    let orphan = "00000000-0000-0000-0000-00000000000A";
    let records = [
        json!({"k": LOWER, "x": "fits"}),
        json!({"c": "c0", "of": SPELLINGS[1]}),
        json!({"c": "c1", "of": orphan}),
        json!({"c": "c2", "of": "{".to_owned() + orphan + "}"}),
    ];
    project
        .json(records.map(|record| record.to_string()).join("\n"))
        .run_clinic()
        .code(0);
    assert_eq!(database.rows("select child from children"), ["c0"]);
    assert_eq!(
        database.rows("select check_name, record from pipeline.quarantine order by record"),
        ["relationships(parents: k)|3", "relationships(parents: k)|4"]
    );
}

/// A parent without a key can't tell its children by it. They are found as rows without a parent in the staging tables.
#[test]
fn orphans_that_only_the_server_can_tell_are_found_by_any_type() {
    for (kind, arrow, values) in [
        ("float8", "Float64", ["1.5", "2"]),
        ("numeric(9,2)", "Decimal128(9, 1)", ["1.5", "2"]),
        ("date", "Date32", ["2023-05-01", "0001-01-01"]),
    ] {
        let (database, project) = family(
            kind,
            &format!("select arrow_cast(k, '{arrow}') as k, x from source where c is null\n"),
            &format!("select c as child, arrow_cast(of, '{arrow}') as k from source where c is not null\n"),
            false,
        );
        let records = [
            json!({"k": values[0], "x": "fits"}),
            json!({"x": "nameless"}),
            json!({"c": "c0", "of": values[0]}),
            json!({"c": "c1", "of": values[1]}),
        ];
        project
            .json(records.map(|record| record.to_string()).join("\n"))
            .run_clinic()
            .code(0);
        assert_eq!(database.rows("select child from children"), ["c0"], "{kind}");
        assert_eq!(
            database.rows("select entity, check_name, record from pipeline.quarantine order by record"),
            ["parents|not_null(k)|2", "children|parent|4"],
            "{kind}"
        );
    }
}

#[test]
fn accepted_uuids_may_be_spelt_in_any_way() {
    let (database, project) = keyed("uuid", "string", PLAIN);
    project.edit(
        "pipeline.yaml",
        "    key: [k]\n",
        &format!(
            "    key: [k]\n    checks:\n      - accepted_values: {{column: k, values: [\"{}\"]}}\n",
            SPELLINGS[1]
        ),
    );
    let records = [SPELLINGS[2], "00000000-0000-0000-0000-00000000000A"];
    project
        .json(records.map(|k| json!({"k": k, "n": 1}).to_string()).join("\n"))
        .run_clinic()
        .code(0);
    assert_eq!(database.rows("select k::text from items"), [LOWER]);
    assert_eq!(
        database.rows("select check_name from pipeline.quarantine"),
        ["accepted_values(k)"]
    );
}

#[test]
fn a_key_that_can_t_be_compared_is_a_problem_of_the_project() {
    let (_, project) = keyed("jsonb", "string", PLAIN);
    project
        .run(&["check"])
        .code(2)
        .stderr_contains("the key column `k` is jsonb, by which rows can't be told apart");
}
