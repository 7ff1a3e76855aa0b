//! A transform that loses or multiplies elements that it should conserve fails its batch, and the old rows stay. A
//! transform that leaves out elements on purpose says so in the YAML.
use serde_json::{Value, json};

use crate::harness::{DATE, Database, Outcome, Project, Small, padded};

const SCHEMA: &str = "id: {type: string, required: true}\nvisits:\n  list: {no: {type: string, required: true}, kind: string, tags: {list: string}}";

/// An entity without a key, so that repeated rows are not refused as duplicates.
fn small(conserves: &str, sql: &str) -> Small {
    Small::new()
        .schema(SCHEMA)
        .columns(&[("record", "text"), ("visit", "text")])
        .rest(&format!("conserves:\n  items: {conserves}\nmax_quarantined: 90%"))
        .quarantine()
        .sql(sql)
}

/// Three records. Each has one visit of kind `a`, two of kind `b`, and one without a kind.
fn input() -> String {
    let record = |id: &str, visits: Value| json!({"id": id, "visits": visits});
    json!([
        record("1", json!([{"no": "v1", "kind": "a", "tags": ["x", "y"]}, {"no": "v2", "kind": "b"}])),
        record("2", Value::Null),
        record("3", json!([])),
        record("4", json!([{"no": "v3", "kind": "b", "tags": []}, {"no": "v4"}])),
        {"id": "5"},
    ])
    .to_string()
}

const VISITS: &str = "with v as (select id, unnest(visits) as item from source)";

/// Runs the check on a server and on the embedded database, each time after a good batch. On the server all entities
/// load at once; the embedded database loads from input that is kept in memory.
fn everywhere(small: &Small, check: impl Fn(&Project, &dyn Fn() -> Vec<String>)) {
    let content = "select record || '-' || coalesce(visit, '') as row from items order by 1";
    for embedded in [false, true] {
        let (database, project) = if embedded {
            (None, small.project())
        } else {
            let (database, project) = small.on_server();
            (Some(database), project)
        };
        let (sql, source) = (
            project.read("sql/clinic/items.sql"),
            project.read("pipelines/clinic.yaml"),
        );
        let good = "select 'old' as record, visits[1]['no'] as visit from source";
        project.write("sql/clinic/items.sql", good);
        let (plain, _) = source.split_once("conserves:").unwrap();
        project.write(
            "pipelines/clinic.yaml",
            format!("{plain}conserves: {{items: \"visits[]\"}}\n"),
        );
        let project = project.json(r#"[{"id": "0", "visits": [{"no": "v"}]}]"#);
        project.run_clinic().code(0);
        project.write("sql/clinic/items.sql", sql);
        project.write("pipelines/clinic.yaml", source);
        let project = project.json(if embedded { input() } else { padded(input()) });
        let rows = || {
            if let Some(database) = &database {
                return database.rows(content);
            }
            let shown = project.run(&["query", content, "--output", "csv"]).code(0).stdout;
            shown.lines().skip(1).map(str::to_owned).collect()
        };
        check(&project, &rows);
    }
}

fn caught(conserves: &str, sql: &str, message: &str) {
    everywhere(&small(conserves, sql), |project, rows| {
        let outcome = project.run_clinic().code(1);
        outcome.stderr_contains(message);
        assert_eq!(rows(), ["old-v"], "{sql}");
    });
}

fn passes(conserves: &str, sql: &str, expected: &[&str]) {
    everywhere(&small(conserves, sql), |project, rows| {
        project.run_clinic().code(0);
        assert_eq!(rows(), expected, "{sql}");
    });
}

#[test]
fn an_inner_join_that_loses_rows() {
    let kinds = "k as (select distinct unnest(visits)['kind'] as kind from source)";
    let sql =
        format!("{VISITS}, {kinds}\nselect id as record, item['no'] as visit from v join k on k.kind = item['kind']");
    caught(
        "visits[]",
        &sql,
        "clinic 2023-05-01: items lost 1 of 4 elements of visits[]\n",
    );
    let outer = sql.replace(" join ", " left join ");
    passes("visits[]", &outer, &["1-v1", "1-v2", "4-v3", "4-v4"]);
}

#[test]
fn an_unnest_of_null_that_loses_records() {
    let sql = format!("{VISITS}\nselect id as record, item['no'] as visit from v");
    caught("$", &sql, "clinic 2023-05-01: items lost 1 of 5 records\n");
    passes(
        "$",
        "select id as record, visits[1]['no'] as visit from source",
        &["1-v1", "2-", "3-", "4-v3", "5-"],
    );
}

#[test]
fn an_unnest_too_many_that_loses_elements() {
    let sql = format!(
        "{VISITS}, t as (select id, item, unnest(item['tags']) as tag from v)\nselect id as record, item['no'] as visit from t"
    );
    caught("visits[]", &sql, "items lost 2 of 4 elements of visits[]\n");
    passes("visits[].tags[]", &sql, &["1-v1", "1-v1"]);
}

#[test]
fn a_join_that_multiplies_rows() {
    let kinds = "k as (select unnest(visits)['kind'] as kind from source)";
    let sql = format!(
        "{VISITS}, {kinds}\nselect id as record, item['no'] as visit from v left join k on k.kind = item['kind']"
    );
    caught("visits[]", &sql, "items has 6 rows from 4 elements of visits[]\n");
}

#[test]
fn what_is_left_out_on_purpose() {
    let sql = format!("{VISITS}\nselect id as record, item['no'] as visit from v where item['kind'] = 'b'");
    caught("visits[]", &sql, "items lost 2 of 4 elements of visits[]\n");
    // As in a WHERE, a null does not count as true.
    passes("{path: \"visits[]\", where: kind = 'b'}", &sql, &["1-v2", "4-v3"]);
    caught(
        "{path: \"visits[]\", where: kind is not null}",
        &sql,
        "items lost 1 of 3 elements of visits[]\ncaused by: of visits[] those count where kind is not null\n",
    );
    caught(
        "{path: \"visits[]\", where: kind = 'a'}",
        &sql,
        "items has 2 rows from 1 elements of visits[]\n",
    );
}

#[test]
fn a_failed_batch_says_all_that_is_not_conserved() {
    let (database, project) = small(
        "visits[]",
        &format!("{VISITS}\nselect id as record, item['no'] as visit from v limit 1"),
    )
    .on_server();
    let project = project.json(input());
    insta::assert_snapshot!(project.run_clinic().code(1).message(), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: items lost 3 of 4 elements of visits[]
    hint: look into sql/clinic/items.sql: an inner join, WHERE, DISTINCT or GROUP BY drops rows; what is left out on purpose, say with `where` in `conserves`
    ");
    assert_eq!(database.count("items"), 0);
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
}

#[test]
fn a_null_element_is_a_row_of_nulls_and_refused_records_bring_none() {
    let sql = format!("{VISITS}\nselect id as record, item['no'] as visit from v");
    let (database, project) = small("visits[]", &sql).on_server();
    let text = r#"[{"id": "1", "visits": [{"no": "v1"}, null]}, {"id": 2, "visits": [{"no": "v2"}]},
        {"id": "3", "visits": [{"no": "v3"}, {"kind": "b"}]}, {"id": "4", "visits": [{"no": "v4"}]}]"#;
    let outcome = run_json(&project.json(text)).code(0);
    assert_eq!(
        database.rows("select record, visit from items order by 1, 2"),
        ["1|v1", "1|", "4|v4"]
    );
    let value: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let batch = &value["batches"][0];
    assert_eq!(
        (&batch["records"], &batch["records_quarantined"]),
        (&json!(4), &json!(2))
    );
    assert_eq!(
        batch["entities"]["items"]["elements"],
        json!({"path": "visits[]", "count": 3})
    );
}

fn run_json(project: &Project) -> Outcome {
    project.run(&["run", "--source", "clinic", "--date", DATE, "--output", "json"])
}

/// Loads the entities in each possible way: one after the other over one connection, all at once, from input that is
/// kept in memory, and embedded. The first way reads the input twice.
#[test]
fn a_loss_is_seen_on_one_connection_as_on_many() {
    let visit =
        json!({"visit_id": "v", "date": "2023-05-01", "diagnoses": [{"code": "c", "treatments": [{"drug": "x"}, {}]}]});
    let records = json!([{"patient_id": "P1", "name": "Ann", "visits": [visit]}, {"patient_id": "P2", "name": "Bob"}]);
    let (small, large) = (records.to_string(), padded(records.to_string()));
    for (connections, records) in [("2", &large), ("9", &large), ("9", &small), ("", &large), ("", &small)] {
        let database = Database::migrated();
        let project = Project::of_repository().in_clear();
        let project = if connections.is_empty() {
            project
        } else {
            project.on(&database)
        };
        project.input("source_a", "20230501", records);
        let twice = "select p.patient_id, p.name from source p join source q on q.patient_id = p.patient_id";
        project.write("sql/source_a/patients.sql", twice);
        let mut run = vec!["run", "--source", "a", "--date", "20230501"];
        if !connections.is_empty() {
            run.extend(["--connections", connections]);
        }
        project.run(&run).code(0);
        project.write("sql/source_a/patients.sql", format!("{twice} and q.visits is not null"));
        let treatments = project.read("sql/source_a/treatments.sql");
        project.write(
            "sql/source_a/treatments.sql",
            treatments.replace("from treatment\n", "from treatment where item['drug'] <> ''\n"),
        );
        project.run(&run).code(1).stderr_contains(
            "patients lost 1 of 2 records; treatments lost 1 of 2 elements of visits[].diagnoses[].treatments[]\n",
        );
        let count = project.run(&["query", "select count(*) from treatments", "--output", "csv"]);
        assert_eq!(count.stdout, "count\n2\n", "the old content stands");
    }
}

/// The shipped source, where a check refuses patients. All child tables are then staged a second time.
#[test]
fn the_account_holds_the_elements_however_often_the_input_is_read() {
    let visit = |id: &str| json!({"visit_id": id, "date": "2023-05-01", "diagnoses": [{"code": id, "treatments": [{"drug": "x"}, {"drug": "y"}]}]});
    let patient = |id: &str, name: &str| json!({"patient_id": id, "name": name, "visits": [visit(&format!("{id}-1")), visit(&format!("{id}-2"))]});
    let small = json!([patient("P1", "Ann"), patient("P2", "Bob")]).to_string();
    let large = padded(small.clone());
    for (connections, records) in [("2", &large), ("9", &large), ("9", &small)] {
        let database = Database::migrated();
        let project = Project::of_repository().in_clear().on(&database);
        project.edit(
            "pipeline.yaml",
            "  patients:\n",
            "  patients:\n    checks:\n      - accepted_values: {column: name, values: [Ann]}\n",
        );
        project.edit(
            "pipelines/source_a.yaml",
            "transforms:",
            "max_quarantined: 90%\ntransforms:",
        );
        project.input("source_a", "20230501", records);
        let run = [
            "run",
            "--source",
            "a",
            "--date",
            "20230501",
            "--connections",
            connections,
        ];
        project.run(&run).code(0);
        assert_eq!(database.count("treatments"), 4);
        let account = "select e.key, e.value -> 'produced', e.value -> 'elements' ->> 'path', e.value -> 'elements' -> 'count' \
                       from pipeline.runs, jsonb_each(account -> 'entities') e order by 1";
        assert_eq!(
            database.rows(account),
            [
                "diagnoses|4|visits[].diagnoses[]|4",
                "patients|2|$|2",
                "treatments|8|visits[].diagnoses[].treatments[]|8",
                "visits|4|visits[]|4"
            ],
            "{connections}"
        );
    }
}

#[test]
fn a_predicate_that_can_not_be_planned_is_shown_in_its_file() {
    let conserves = "\n    path: visits[]\n    where: kin is not null";
    let project = small(conserves, "select id as record, null as visit from source").project();
    insta::assert_snapshot!(project.run(&["check"]).code(2).message(), @r"
    error: the transforms do not fit the project

    error: `where` of `items` can't be planned: column 'kin' not found
      --> pipelines/clinic.yaml:12:12
       |
    12 |     where: kin is not null
       |            ^^^^^^^^^^^^^^^
       |
       = hint: did you mean `kind`?
    ");
    let conserves = "{path: \"visits[].tags[]\", where: length(item)}";
    let project = small(conserves, "select id as record, null as visit from source").project();
    insta::assert_snapshot!(project.run(&["check"]).code(2).message(), @r#"
    error: the transforms do not fit the project

    error: `where` of `items` can't be planned: it must be true or false, this one is Int32
      --> pipelines/clinic.yaml:10:43
       |
    10 |   items: {path: "visits[].tags[]", where: length(item)}
       |                                           ^^^^^^^^^^^^
       |
       = hint: it may name what an element of visits[].tags[] has: item
    "#);
    let project = small("visits[].tag[]", "select id as record, null as visit from source").project();
    insta::assert_snapshot!(project.run(&["check"]).code(2).message(), @r"
    error: the project has a problem

    error: `visits[]` has no field `tag`
      --> pipelines/clinic.yaml:10:10
       |
    10 |   items: visits[].tag[]
       |          ^^^^^^^^^^^^^^
       |
       = hint: did you mean `tags`?
    ");
}
