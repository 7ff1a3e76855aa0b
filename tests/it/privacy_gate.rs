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
            "{k: 5, quasi: [n], over: items, severity: suppress}",
            "`severity` can't be `suppress`",
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
