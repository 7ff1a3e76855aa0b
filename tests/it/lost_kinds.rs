//! A small share of all records may be every record of a rare kind. The share of rows that a batch loses is judged per
//! entity, also where the rows are missing because their records were refused.
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::harness::{Database, Project, Small, padded};

/// 200 records of the kind `b`, and some of the kind `a` that become items. The first `bad` of those can't be loaded.
fn mixed(rare: usize, bad: usize) -> String {
    let common = (0..200).map(|n| json!({"id": format!("b{n}"), "kind": "b", "n": n}));
    let value = |n: usize| if n < bad { json!("no number") } else { json!(n) };
    let rare = (0..rare).map(|n| json!({"id": format!("a{n}"), "kind": "a", "n": value(n)}));
    json!(common.chain(rare).collect::<Vec<Value>>()).to_string()
}

fn small(rest: &str) -> Small {
    Small::new()
        .schema("id: {type: string, required: true}\nkind: string\nn: bigint")
        .sql("select id as item_id, n from source where kind = 'a'")
        .rest(rest)
        .quarantine()
}

#[test]
fn a_rare_kind_is_judged_by_its_own_share() {
    // With large input, and with input that is kept in memory.
    for text in [mixed(4, 2), padded(mixed(4, 2))] {
        let (database, project) = small("max_quarantined: 5%").on_server();
        let project = project.json(text);
        let failed = project.run_clinic().code(1);
        assert!(
            failed
                .stderr
                .contains("too much is refused: 2 of 4 rows of items (50%, 2 of them with their refused records)"),
            "{}",
            failed.stderr
        );
        assert!(failed.stderr.contains("entities: {items: ...}"), "{}", failed.stderr);
        assert_eq!(database.count("items"), 0);
    }
    // Within the limit it is loaded, and the account says what is missing.
    let (database, project) = small("max_quarantined: 5%").on_server();
    let project = project.json(mixed(40, 2));
    project.run_clinic().code(0);
    assert_eq!(
        database.rows("select account -> 'entities' -> 'items' -> 'missing' from pipeline.runs"),
        ["2"]
    );
    let status = project.run(&["status", "--output", "json"]).code(0);
    assert_eq!(
        status.json()[0]["account"]["entities"]["items"]["missing"],
        2,
        "{}",
        status.stdout
    );
}

#[test]
fn an_entity_may_have_a_limit_of_its_own() {
    for (limit, code) in [("60%", 0), ("40%", 1), ("2", 0), ("1", 1)] {
        let rest = format!("max_quarantined: {{records: 5%, entities: {{items: \"{limit}\"}}}}");
        let (database, project) = small(&rest).on_server();
        let project = project.json(mixed(4, 2));
        let run = project.run_clinic().code(code);
        assert_eq!(database.count("items"), if code == 0 { 2 } else { 0 }, "{limit}");
        if code == 1 {
            let said =
                format!("2 of 4 rows of items (50%, 2 of them with their refused records), where {limit} are allowed");
            assert!(run.stderr.contains(&said), "{}", run.stderr);
        }
    }
    // A batch that may lack such rows altogether says so with its own check.
    let (_database, project) = small("max_quarantined: 5%\nchecks: {items: [{row_count: {min: 0}}]}").on_server();
    project.json(mixed(4, 4)).run_clinic().code(0);
}

#[test]
fn elements_that_are_conserved_count_in_refused_records() {
    // One of 50 records holds half of all visits, and is damaged behind them.
    let common = (0..50).map(|n| json!({"id": format!("b{n}"), "visits": [{"no": "v"}]}).to_string());
    let rare = json!({"id": "rare", "visits": vec![json!({"no": "w"}); 50]}).to_string();
    let broken = rare.replace("]}", "], \"x\": nul}");
    let lines: Vec<String> = common.chain([broken]).collect();
    let small = |conserves: &str| {
        Small::new()
            .input("path: in/{date:%Y-%m-%d}.json\nformat: ndjson")
            .schema("id: {type: string, required: true}\nvisits:\n  list: {no: string}")
            .columns(&[("record", "text"), ("visit", "text")])
            .sql("with v as (select id, unnest(visits) as item from source) select id as record, item['no'] as visit from v")
            .rest(&format!("{conserves}max_quarantined: 5%"))
            .quarantine()
    };
    for (conserves, lost) in [
        ("", "50 of 100 rows of items (50%, 50 of them"),
        (
            "conserves: {items: \"visits[]\"}\n",
            "50 of 100 rows of items (50%, 50 of them",
        ),
    ] {
        let (database, project) = small(conserves).on_server();
        let project = project.json(lines.join("\n"));
        project.run_clinic().code(1).stderr_contains(lost);
        assert_eq!(database.count("items"), 0);
    }
    // What an element is counted for can be told from the part of the record that is read.
    let filtered = small("conserves: {items: {path: \"visits[]\", where: \"no = 'v'\"}}\n");
    let sql = "with v as (select id, unnest(visits) as item from source) select id as record, item['no'] as visit from v where item['no'] = 'v'";
    let (database, project) = filtered.sql(sql).on_server();
    project.json(lines.join("\n")).run_clinic().code(0);
    assert_eq!(database.count("items"), 50);
}

#[test]
fn rows_of_csv_and_parquet_count_as_well() {
    let mut text = "id,kind,n\n".to_owned();
    for n in 0..200 {
        writeln!(text, "b{n},b,{n}").unwrap();
    }
    let csv = text + "a0,a,x\na1,a,1\na2,a\n";
    let small = small("max_quarantined: 5%");
    let (_database, project) = small.input("path: in/{date:%Y-%m-%d}.json\nformat: csv").on_server();
    let project = project.json(csv);
    project
        .run_clinic()
        .code(1)
        .stderr_contains("2 of 3 rows of items (67%, 2 of them with their refused records)");
}

#[test]
fn a_mixed_source_of_four_entities_says_which_lost_what() {
    let database = Database::migrated();
    let project = Project::of_repository().in_clear().on(&database);
    let patient = |id: usize, treated: bool| {
        let treatments = if treated {
            json!([{"drug": "D", "dose": "1"}])
        } else {
            json!([])
        };
        json!({"patient_id": format!("P{id}"), "name": "N", "visits": [{"visit_id": format!("V{id}"), "date": "2023-05-01",
            "diagnoses": [{"code": "C", "treatments": treatments}]}]})
    };
    let mut records: Vec<Value> = (0..150).map(|id| patient(id, false)).collect();
    records.push(patient(150, true));
    records[150]["name"] = json!(7);
    project.input("source_a", "20230501", json!(records).to_string());
    let run = project
        .run(&["run", "--source", "source_a", "--date", "20230501"])
        .code(1);
    assert!(
        run.stderr
            .contains("too much is refused: 1 of 1 rows of treatments (100%, 1 of them with their refused records)"),
        "{}",
        run.stderr
    );
}
