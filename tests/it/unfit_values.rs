//! A value that the contract or PostgreSQL can't take refuses its row, and the rest of the batch loads.
use serde_json::json;

use crate::harness::{Database, Project, Small};

/// `good` rows with a value that fits, and one row after the first half with a value that does not.
fn one_among(good: usize, fits: &serde_json::Value, unfit: &serde_json::Value) -> String {
    let record = |number: usize| {
        let value = if number == good / 2 { unfit } else { fits };
        json!({"id": format!("i{number}"), "x": value}).to_string() + "\n"
    };
    (0..=good).map(record).collect()
}

fn small(kind: &str, field: &str, sql: &str) -> (Database, Project) {
    Small::new()
        .columns(&[("id", "text"), ("x", kind)])
        .schema(&format!("id: {{type: string, required: true}}\nx: {field}"))
        .sql(sql)
        .on_server()
}

/// Loads one value that does not fit among 200 that do; it is the only row refused, and its place and reason are noted.
fn refuses(kind: &str, field: &str, sql: &str, fits: &serde_json::Value, unfit: &serde_json::Value, reason: &str) {
    let (database, project) = small(kind, field, sql);
    let project = project.json(one_among(200, fits, unfit));
    let outcome = project.run_clinic().code(0);
    if let Some(text) = unfit.as_str().filter(|text| text.len() > 3) {
        outcome.output_lacks(text);
    }
    assert_eq!(database.count("items"), 200, "{kind} {sql}");
    let noted = "select entity, check_name, file, record, path, reason from pipeline.quarantine";
    assert_eq!(
        database.rows(noted),
        [format!("items|type(x)|in/2023-05-01.json|101|x|{reason}")],
        "{kind} {sql}"
    );
    assert_eq!(
        database.rows("select (account #> '{entities,items}') - 'warnings'::text from pipeline.runs"),
        [r#"{"loaded": 200, "produced": 201, "quarantined": 1}"#]
    );
}

#[test]
fn a_text_that_does_not_fit() {
    let plain = "select id, x from source";
    let longer = "a text longer than varchar(4)";
    refuses("varchar(4)", "string", plain, &json!("abcd"), &json!("abcde"), longer);
    // Characters count, not bytes.
    refuses("varchar(4)", "string", plain, &json!("äöüß"), &json!("äöüßx"), longer);
    refuses(
        "varchar(4)",
        "string",
        "select id, upper(x) as x from source",
        &json!("abcd"),
        &json!("abcde"),
        longer,
    );
    let no_uuid = "a text that is no UUID";
    let uuid = json!("6f9619ff-8b86-d011-b42d-00c04fc964ff");
    refuses(
        "uuid",
        "string",
        plain,
        &uuid,
        &json!("6f9619ff-8b86-d011-b42d-00c04fc964f"),
        no_uuid,
    );
    let no_json = "a text that is no JSON (its line 1, byte 6)";
    refuses(
        "jsonb",
        "string",
        plain,
        &json!("{\"a\": 1}"),
        &json!("{\"a\":"),
        no_json.replace('6', "5").as_str(),
    );
    let nul = "a JSON text with the escape \\u0000, which PostgreSQL can't store";
    refuses("jsonb", "string", plain, &json!("[1]"), &json!("[\"\\u0000\"]"), nul);
}

#[test]
fn a_number_that_does_not_fit() {
    let decimal = "select id, x from source";
    let unfit = "a number that does not fit numeric(4,2)";
    refuses(
        "numeric(4,2)",
        "decimal(10,3)",
        decimal,
        &json!(12.34),
        &json!(123.4),
        unfit,
    );
    refuses(
        "numeric(4,2)",
        "decimal(10,3)",
        decimal,
        &json!(12.34),
        &json!(1.234),
        unfit,
    );
    let finite = "NaN or Infinity in place of a number";
    let float = "select id, cast(x as double) as x from source";
    refuses("float8", "string", float, &json!("2.5"), &json!("inf"), finite);
    refuses("float8", "string", float, &json!("2.5"), &json!("nan"), finite);
}

#[test]
fn a_date_that_postgres_does_not_know() {
    let sql = "select id, arrow_cast(x, 'Date32') as x from source";
    let range = "a date outside of PostgreSQL's range (4713 BC to 5874897 AD)";
    refuses("date", "int", sql, &json!(19000), &json!(-3_000_000), range);
    let sql = "select id, arrow_cast(arrow_cast(x, 'Date32'), 'Timestamp(Second, None)') as x from source";
    let range = "a timestamp outside of PostgreSQL's range (4713 BC to 294276 AD)";
    refuses("timestamp", "int", sql, &json!(19000), &json!(200_000_000), range);
}

#[test]
fn more_unfit_values_than_tolerated_fail_the_batch() {
    let (database, project) = small("varchar(4)", "string", "select id, x from source");
    let project = project.json(one_among(20, &json!("abcd"), &json!("abcde")));
    project
        .run_clinic()
        .code(1)
        .stderr_contains("type(x)")
        .output_lacks("abcde");
    assert_eq!(database.count("items"), 0);
}

#[test]
fn what_belongs_to_an_unfit_row_is_refused_with_it() {
    let database = Database::fresh();
    let partitioned = "source text not null, batch_date date not null, primary key";
    let project = Project::new()
        .file(
            "pipeline.yaml",
            "name: small\nentities:\n  parents:\n    columns:\n      id: {type: text, nullable: false}\n      \
             x: varchar(4)\n    key: [id]\n  children:\n    columns:\n      \
             child: {type: text, nullable: false}\n      id: {type: text, nullable: false}\n    key: [child]\n    \
             parent: {entity: parents, columns: [id]}\n",
        )
        .file(
            "pipelines/clinic.yaml",
            "name: clinic\ninput:\n  path: in/{date:%Y-%m-%d}.json\nschema:\n  id: {type: string, required: true}\n  \
             x: string\n  c: {list: string}\n",
        )
        .file("sql/clinic/parents.sql", "select id, x from source\n")
        .file("sql/clinic/children.sql", "select unnest(c) as child, id from source\n")
        .file(
            "migrations/V1__init.sql",
            format!(
                "create table parents (id text not null, x varchar(4), {partitioned} (id, source, batch_date)) \
                 partition by list (source);\ncreate table children (child text not null, id text not null, \
                 {partitioned} (child, source, batch_date)) partition by list (source);\n"
            ),
        )
        .on(&database);
    project.run(&["migrate"]).code(0);
    let record = |number: usize| {
        let x = if number == 150 { "too long" } else { "fits" };
        json!({"id": format!("p{number:03}"), "x": x, "c": [format!("c{number}a"), format!("c{number}b")]}).to_string()
    };
    let records: Vec<String> = (0..300).map(record).collect();
    project.json(records.join("\n")).run_clinic().code(0);
    assert_eq!((database.count("parents"), database.count("children")), (299, 598));
    assert_eq!(
        database.rows("select entity, check_name, record from pipeline.quarantine order by entity, path"),
        ["children|parent|151", "children|parent|151", "parents|type(x)|151"]
    );
}

/// Letters that PostgreSQL's compression makes no shorter.
fn incompressible(length: usize) -> String {
    let mut state = 88_172_645_463_325_252_u64;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[(state >> 40) as usize % 64])
    };
    (0..length).map(letter).collect()
}

#[test]
fn a_key_that_an_index_can_t_hold() {
    // Of the 2,704 bytes the row's header takes 8, the text's length 4, the source's name 7 and the date 4, aligned.
    let (header, fixed) = (8, 4 + 7 + 4);
    let longest = (2704 - header - fixed) / 4 * 4;
    let (database, project) = Small::new().on_server();
    let records = (0..200).map(|number| json!({"id": format!("i{number}"), "n": 1}).to_string());
    let fits = json!({"id": incompressible(longest), "n": 1}).to_string();
    let unfit = json!({"id": incompressible(longest + 5), "n": 1}).to_string();
    let records: Vec<String> = records.chain([fits, unfit]).collect();
    project.json(records.join("\n")).run_clinic().code(0);
    assert_eq!(database.count("items"), 201);
    assert_eq!(
        database.rows("select check_name, record, path, reason from pipeline.quarantine"),
        ["index(item_id)|202|item_id|longer than an index of PostgreSQL can hold (2,704 bytes)"]
    );
}
