//! `privacy: {k, quasi, over}`: no batch goes live in which a person stands too alone.
use crate::harness::{DATE, Database, Project, Small};

fn gated(severity: &str) -> (Database, Project) {
    let (database, project) = Small::new()
        .schema("id: {type: string, required: true}\nn: bigint")
        .on_server();
    let yaml = project.read("pipeline.yaml");
    let gate = format!("privacy: {{k: 3, quasi: [n], over: items, severity: {severity}}}\n");
    project.write("pipeline.yaml", format!("{yaml}{gate}"));
    (database, project)
}

fn records(list: &[(&str, &str)]) -> String {
    let records = list.iter().map(|(id, n)| format!(r#"{{"id": "{id}", "n": {n}}}"#));
    format!("[{}]", records.collect::<Vec<_>>().join(","))
}

#[test]
fn a_batch_with_a_person_who_stands_alone_is_not_loaded() {
    let (database, project) = gated("fail");
    let alone = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "7777")];
    project.write(&format!("in/{DATE}.json"), records(&alone));
    let refused = project.run_clinic().code(1).output_lacks("7777");
    refused
        .stderr_contains("<10 combinations of n in items are shared by fewer than 3 persons")
        .stderr_contains("<10 persons");
    assert_eq!(database.count("items"), 0);
    // Nulls tell nothing. Two days with the same person are one person, and others of another day count.
    project.write(
        &format!("in/{DATE}.json"),
        records(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "null")]),
    );
    project.run_clinic().code(0);
    let next = ["run", "--source", "clinic", "--date", "2023-05-02"];
    project.write("in/2023-05-02.json", records(&[("a", "2"), ("b", "2")]));
    project.run(&next).code(1);
    project.write("in/2023-05-02.json", records(&[("a", "1"), ("e", "1")]));
    project.run(&next).code(0);
    // A batch that takes persons away is counted as the rows will be afterwards.
    project.write(&format!("in/{DATE}.json"), records(&[("z", "null")]));
    project.run_clinic().code(1);
    assert_eq!(database.count("items"), 6);
}

/// A surrogate is another one in each load, so one person of three days would pass for three.
#[test]
fn ids_that_change_with_each_load_count_within_a_batch() {
    let (database, project) = gated("fail");
    project.edit(
        "pipelines/clinic.yaml",
        "id: {type: string, required: true}",
        "id: {type: string, required: true, phi: identifier, mask: surrogate}",
    );
    let load = |day: &str, list: &[(&str, &str)], code: i32| {
        project.write(&format!("in/2023-05-{day}.json"), records(list));
        let date = format!("2023-05-{day}");
        project.run(&["run", "--source", "clinic", "--date", &date]).code(code);
    };
    let enough = [("a", "1"), ("b", "1"), ("c", "1")];
    load("01", &enough, 0);
    project.edit("pipeline.yaml", "severity: fail", "severity: warn");
    for day in ["02", "03", "04"] {
        load(day, &[("d", "2")], 0);
    }
    project.edit("pipeline.yaml", "severity: warn", "severity: fail");
    load("05", &[("d", "2")], 1);
    load("05", &[("a", "1")], 1);
    for day in ["02", "03", "04"] {
        project
            .run(&[
                "drop",
                "--source",
                "clinic",
                "--date",
                &format!("2023-05-{day}"),
                "--yes",
            ])
            .code(0);
    }
    // The batch of the first day has enough of them.
    load("05", &[("a", "1")], 0);
    assert_eq!(database.count("items"), 4);
}

#[test]
fn a_warning_loads_the_batch() {
    let (database, project) = gated("warn");
    let project = project.json(records(&[("a", "1"), ("b", "2")]));
    project
        .run_clinic()
        .code(0)
        .stderr_contains("combinations of n in items are shared by fewer than 3 persons");
    assert_eq!(database.count("items"), 2);
}

#[test]
fn who_stands_alone_is_loaded_without_the_quasi_identifiers() {
    let (database, project) = gated("suppress");
    let alone = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "7777"), ("e", "null")];
    project.write(&format!("in/{DATE}.json"), records(&alone));
    project
        .run_clinic()
        .code(0)
        .output_lacks("7777")
        .stderr_contains("n are null in <10 rows of items: fewer than 3 persons share their values");
    let rows = "select concat(item_id, ' ', n) from items order by batch_date, item_id";
    assert_eq!(database.rows(rows), ["a 1", "b 1", "c 1", "d ", "e "]);
    let account = "select account -> 'entities' -> 'items' ->> 'suppressed' from pipeline.runs order by run_id";
    assert_eq!(database.rows(account), ["<10"]);
    // Others of another day count.
    let next = ["run", "--source", "clinic", "--date", "2023-05-02", "--output", "json"];
    project.write("in/2023-05-02.json", records(&[("f", "1"), ("g", "2"), ("a", "1")]));
    let said = project.run(&next).code(0).json();
    assert_eq!(said["batches"][0]["entities"]["items"]["suppressed"], "<10");
    assert_eq!(database.rows(rows)[5..], ["a 1", "f 1", "g "]);
    // A batch that takes persons away leaves the rows of others as they are, and says so.
    project.write(&format!("in/{DATE}.json"), records(&[("z", "null")]));
    project
        .run_clinic()
        .code(0)
        .stderr_contains(
            "<10 combinations of n in items are shared by fewer than 3 persons, all in rows of other batches",
        )
        .stderr_contains("<10 persons stand in them");
    assert_eq!(database.rows(rows), ["z ", "a 1", "f 1", "g "]);
}

#[test]
fn what_is_alone_with_the_batch_becomes_null_when_it_is_loaded_again() {
    let (database, project) = gated("suppress");
    let project = project.json(records(&[("a", "1"), ("b", "1"), ("c", "1")]));
    project.run_clinic().code(0).output_lacks("null");
    project.write(&format!("in/{DATE}.json"), records(&[("a", "1"), ("b", "1")]));
    project.run_clinic().code(0).output_lacks("other batches");
    assert_eq!(database.rows("select count(n) from items"), ["0"]);
}

/// The staging table is filled a second time: nothing else may change by that.
#[test]
fn refused_rows_and_warnings_stay_as_they_are() {
    let sql = "select id as item_id, place, born, n from source";
    let small = Small::new()
        .schema("id: {type: string, required: true}\nplace: string\nborn: date\nn: bigint")
        .columns(&[("item_id", "text"), ("place", "text"), ("born", "date"), ("n", "int8")])
        .sql(sql)
        .rest("max_quarantined: 50%\nchecks:\n  items:\n    - {range: {column: n, max: 9}}\n    - {range: {column: n, max: 5}, severity: warn, name: high}");
    for embedded in [false, true] {
        let (database, project) = if embedded {
            (None, small.project())
        } else {
            let (database, project) = small.on_server();
            (Some(database), project)
        };
        let yaml = project
            .read("pipeline.yaml")
            .replace("    columns:", "    key: [item_id]\n    columns:");
        let yaml = yaml.replace(
            "item_id: {type: \"text\"}",
            "item_id: {type: \"text\", nullable: false}",
        );
        let gate = "privacy: {k: 2, quasi: [place, born], over: items, severity: suppress}\n";
        project.write("pipeline.yaml", format!("{yaml}{gate}"));
        let migration = project
            .read("migrations/V1__items.sql")
            .replace("item_id text", "item_id text not null");
        let migration = migration.replace(
            "batch_date date not null",
            "batch_date date not null, primary key (item_id, source, batch_date)",
        );
        if let Some(database) = &database {
            database.execute("alter table items alter item_id set not null; alter table items add primary key (item_id, source, batch_date)");
        } else {
            project.write("migrations/V1__items.sql", migration);
        }
        let record = |id: &str, place: &str, born: &str, n: u32| {
            format!(r#"{{"id": "{id}", "place": {place}, "born": {born}, "n": {n}}}"#)
        };
        let same = [("a", 1), ("b", 6)].map(|(id, n)| record(id, "\"x\"", "\"1970-01-01\"", n));
        let others = [
            record("a", "\"x\"", "\"1970-01-01\"", 2),
            record("c", "\"x\"", "null", 7),
            record("d", "null", "\"1970-01-01\"", 10),
            record("e", "null", "null", 3),
            // A quarantined row shares no combination: it is not there.
            record("f", "\"y\"", "\"1971-01-01\"", 1),
            record("g", "\"y\"", "\"1971-01-01\"", 10),
        ];
        let all = [&same[..], &others[..]].concat();
        project.write(&format!("in/{DATE}.json"), format!("[{}]", all.join(",")));
        let run = ["run", "--source", "clinic", "--date", DATE, "--output", "json"];
        let said = project.run(&run).code(0).json();
        let items = &said["batches"][0]["entities"]["items"];
        assert_eq!(items["quarantined"], 3, "{said}");
        assert_eq!((&items["rows"], &items["produced"]), (&5.into(), &8.into()));
        assert_eq!(
            (&items["warnings"]["high"], &items["suppressed"]),
            (&4.into(), &"<10".into())
        );
        let rows = project.run(&[
            "query",
            "select concat_ws(' ', item_id, place, born, n) as row from items order by 1",
            "--output",
            "csv",
        ]);
        let rows = rows.code(0).stdout;
        assert_eq!(rows.trim(), "row\na x 1970-01-01 1\nb x 1970-01-01 6\nc 7\ne 3\nf 1");
        let refused = project.run(&[
            "quarantine",
            "show",
            "--source",
            "clinic",
            "--date",
            DATE,
            "--output",
            "json",
        ]);
        assert_eq!(refused.code(0).json().as_array().map(Vec::len), Some(3));
    }
}

#[test]
fn views_are_measured() {
    let (_database, project) = gated("warn");
    let project = project
        .json(records(&[
            ("a", "1"),
            ("b", "1"),
            ("c", "1"),
            ("d", "2"),
            ("e", "2"),
            ("f", "null"),
        ]))
        .file(
            "sql/views/known.sql",
            "select item_id, n as place, 'x' as same from items\n",
        )
        .file("sql/views/places.sql", "select n as place from items\n")
        .file("sql/views/dates.sql", "select source from items\n");
    project.run(&["views"]).code(0);
    project.run_clinic().code(0);
    let risk = project.run(&["privacy", "risk", "--output", "json"]).code(0).json();
    let of = |view: &str| {
        risk.as_array()
            .unwrap()
            .iter()
            .find(|one| one["view"] == view)
            .unwrap()
            .clone()
    };
    let known = of("known");
    assert_eq!(known["k"], 2);
    assert_eq!(known["of"], "persons");
    assert_eq!(known["l"]["same"], 1);
    assert_eq!((&of("places")["k"], &of("places")["of"]), (&2.into(), &"rows".into()));
    assert_eq!(of("dates")["k"], serde_json::json!(null));
    project
        .run(&["privacy", "risk"])
        .code(0)
        .stdout_contains("known")
        .stdout_contains("persons");
    // A view whose file is new, and one whose file has changed since.
    let project = project
        .file("sql/views/later.sql", "select n as place from items\n")
        .file("sql/views/places.sql", "select n as region from items\n");
    let told = project
        .run(&["privacy", "risk", "--output", "json"])
        .code(1)
        .stderr_contains("the view later can't be measured")
        .stderr_contains("the view places can't be measured")
        .stderr_contains("`pipeline views`");
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let of = |view: &str| told.as_array().unwrap().iter().find(|one| one["view"] == view).unwrap();
    assert_eq!(of("known")["k"], 2);
    assert!(of("known")["failed"].is_null());
    assert_eq!(of("later")["k"], serde_json::json!(null));
    assert_eq!(of("later")["failed"]["message"], "the view later can't be measured");
    project
        .run(&["privacy", "risk"])
        .code(1)
        .stdout_contains("not measured")
        .stdout_contains("persons");
}

#[test]
fn what_can_not_be_counted_is_said_with_the_project() {
    let project = Small::new().project();
    let yaml = project.read("pipeline.yaml");
    for (gate, said) in [
        (
            "{k: 1, quasi: [n], over: items}",
            "`k` must be a whole number from 2 on",
        ),
        ("{k: 5, quasi: [m], over: items}", "`items` has no column `m`"),
        ("{k: 5, quasi: [n], over: item}", "there is no entity `item`"),
        ("{k: 5, over: items}", "`privacy` has no `quasi`"),
        (
            "{k: 5, quasi: [n], over: items, severity: hide}",
            "`severity` can't be `hide`",
        ),
        (
            "{k: 5, quasi: [n, item_id], over: items, severity: suppress}",
            "`severity: suppress` would make `item_id` null, but it belongs to the key of `items`",
        ),
        ("{profile: safe_harbour}", "`profile` can't be `safe_harbour`"),
        ("{kk: 5}", "unknown key `kk`"),
    ] {
        project.write("pipeline.yaml", format!("{yaml}privacy: {gate}\n"));
        project.run(&["check"]).code(2).stderr_contains(said);
    }
    project.write("pipeline.yaml", format!("{yaml}privacy: {{profile: safe_harbor}}\n"));
    project
        .run(&["privacy", "report"])
        .code(0)
        .stdout_contains("privacy profile: safe_harbor");
}

#[test]
fn a_drop_says_who_stands_alone_afterwards() {
    let (database, project) = gated("fail");
    let project = project.json(records(&[("a", "7777"), ("b", "7777"), ("c", "7777")]));
    project.run_clinic().code(0);
    project.write("in/2023-05-02.json", records(&[("d", "7777")]));
    project
        .run(&["run", "--source", "clinic", "--date", "2023-05-02"])
        .code(0);
    let drop = ["drop", "--source", "clinic", "--yes", "--date"];
    project
        .run(&[&drop[..], &[DATE]].concat())
        .code(0)
        .output_lacks("7777")
        .stderr_contains("<10 combinations of n in items are shared by fewer than 3 persons");
    assert_eq!(database.count("items"), 1);
    let json = project
        .run(&[&drop[..], &["2023-05-02", "--output", "json"]].concat())
        .code(0);
    assert_eq!(json.json()["warnings"].as_array().map(Vec::len), Some(0), "{json:?}");
}

/// Each batch alone passes while the rows of the other are live. Whoever swaps second must see the first.
#[test]
fn batches_that_are_loaded_at_the_same_time_see_one_another() {
    let (database, project) = gated("fail");
    let next = "2023-05-02";
    let project = project.json(records(&[("a", "1"), ("b", "1"), ("c", "1")]));
    project.run_clinic().code(0);
    project.write(&format!("in/{next}.json"), records(&[("d", "1")]));
    project.run(&["run", "--source", "clinic", "--date", next]).code(0);
    // Now each day leaves a person out on whom the other day counts.
    project.write(&format!("in/{DATE}.json"), records(&[("a", "1"), ("b", "1")]));
    project.write(&format!("in/{next}.json"), records(&[("e", "null")]));
    let key = database.value(
        "select ('x' || substr(encode(sha256(convert_to('pipeline batch', 'UTF8') || '\\x00'::bytea || '\\x00'::bytea
             || convert_to('1970-01-01', 'UTF8')), 'hex'), 1, 16))::bit(64)::int8",
    );
    let mut other = database.client();
    other.batch_execute(&format!("select pg_advisory_lock({key})")).unwrap();
    let mut waiting = project.spawn(&[
        "run",
        "--source",
        "clinic",
        "--start",
        DATE,
        "--end",
        next,
        "--threads",
        "2",
    ]);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(!waiting.is_over(), "both batches were swapped in without the lock");
    assert_eq!(database.count("items"), 4);
    other
        .batch_execute(&format!("select pg_advisory_unlock({key})"))
        .unwrap();
    waiting
        .wait()
        .code(1)
        .stderr_contains("are shared by fewer than 3 persons");
    let persons = "select count(distinct item_id)::int4 from items where n = 1";
    assert!(database.value(persons).parse::<u32>().unwrap() >= 3);
}

/// What is suppressed in one column is told by another one that comes from the same field.
#[test]
fn columns_that_show_what_is_suppressed_are_named() {
    let (_database, project) = gated("suppress");
    project.run(&["check"]).code(0).output_lacks("copy");
    project.edit(
        "pipeline.yaml",
        "n: {type: \"int8\"}",
        "n: {type: \"int8\"}\n      copy: int8",
    );
    project.write(
        "sql/clinic/items.sql",
        "select id as item_id, n, n + 1 as copy from source\n",
    );
    project.write("migrations/V2__copy.sql", "alter table items add copy int8;\n");
    let said = "items.copy comes from the same field as items.n, and `severity: suppress` leaves it as it is";
    project.run(&["check"]).code(0).stderr_contains(said);
    project.run(&["migrate"]).code(0);
    project.run(&["privacy", "risk"]).code(0).stderr_contains(said);
}
