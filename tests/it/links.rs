//! Tests of files that are links. A link of the project to other data would show it in a message.
use std::os::unix::fs::symlink;

use crate::harness::{Outcome, Small};

const CANARY: &str = "zq-link-canary";

/// The small project with records and a key that hold the canary, and with a link in one place.
fn with_link(at: &str, to: &str) -> Outcome {
    let project = Small::new()
        .project()
        .json(format!(r#"[{{"id": "{CANARY}", "n": 1}}]"#))
        .file("in/other.sql", format!("select {CANARY} from source\n"))
        .file(".pipeline/mask.key", format!("{CANARY}\n"));
    let place = project.path(at);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    if place.is_dir() {
        std::fs::remove_dir_all(&place).unwrap();
    } else if place.exists() {
        std::fs::remove_file(&place).unwrap();
    }
    symlink(project.path(to), place).unwrap();
    let outcome = project.run(&["check"]);
    outcome.output_lacks(CANARY)
}

#[test]
fn a_link_that_leaves_its_folder_is_not_read() {
    for (at, to) in [
        ("sql/clinic/items.sql", "in/2023-05-01.json"),
        ("sql/clinic/items.sql", ".pipeline/mask.key"),
        ("sql/clinic/items.sql", "in/other.sql"),
        ("sql/clinic", "in"),
        ("sql/views/seen.sql", "in/2023-05-01.json"),
        ("sql/materialized/seen.sql", ".pipeline/mask.key"),
        ("sql/functions/seen.sql", "in/other.sql"),
        ("sql/checks/seen.sql", "in/2023-05-01.json"),
        ("pipelines/other.yaml", ".pipeline/mask.key"),
        ("pipelines/other.yaml", "in/2023-05-01.json"),
        ("pipeline.yaml", "in/2023-05-01.json"),
        ("migrations/V2__more.sql", "in/other.sql"),
    ] {
        let outcome = with_link(at, to);
        assert_eq!(outcome.exit(), Some(2), "{at}: {outcome:?}");
        if at != "sql/clinic" {
            assert!(
                outcome.stderr.contains("is a symbolic link that leaves its folder"),
                "{at}: {}",
                outcome.stderr
            );
        }
    }
}

/// As a mounted configuration of Kubernetes has them.
#[test]
fn a_link_within_its_folder_is_read() {
    let project = Small::new().project().json(r#"[{"id": "a", "n": 1}]"#);
    let folder = project.path("sql/clinic");
    std::fs::create_dir(folder.join("..data")).unwrap();
    std::fs::rename(folder.join("items.sql"), folder.join("..data/items.sql")).unwrap();
    symlink("..data/items.sql", folder.join("items.sql")).unwrap();
    project.run_clinic().code(0);
}

/// A message shows the text of a file that `use` names.
#[test]
fn use_reads_neither_input_nor_the_work_folder() {
    for (path, reason) in [
        (".pipeline/key.yaml", "is hidden"),
        ("shared/.key.yaml", "is hidden"),
        ("in/2023-05-01.yaml", "lies in the folder of an input"),
        ("in/deeper/2023-05-01.yaml", "lies in the folder of an input"),
        ("./in/2023-05-01.yaml", "is no path inside of the project"),
        ("feed/x/2023.yaml", "lies in the folder of an input"),
    ] {
        let project = Small::new()
            .schema(&format!("use: {path}\nid: {{type: string, required: true}}\nn: bigint"))
            .project()
            .file(
                "pipelines/other.yaml",
                "name: other\ninput: {path: [{path: \"feed/x/{date}.json\"}]}\nschema: {id: string}\n",
            )
            .file(path, format!("{{\"{CANARY}\": {CANARY}}}\n"));
        let outcome = project.run(&["check"]).output_lacks(CANARY);
        assert_eq!(outcome.exit(), Some(2), "{path}: {outcome:?}");
        assert!(outcome.stderr.contains(reason), "{path}: {}", outcome.stderr);
    }
}

/// Who may edit a path would load the key into a table.
#[test]
fn files_of_secrets_are_no_input() {
    let home = |project: &crate::harness::Project| {
        std::fs::create_dir_all(project.path("home/.ssh")).unwrap();
        project.write("home/.pgpass", format!("{CANARY}\n"));
        project.write("home/.ssh/id", format!("{CANARY}\n"));
        std::fs::hard_link(project.path("home/.pgpass"), project.path("in/hard.csv")).unwrap();
        symlink(project.path(".pipeline/mask.key"), project.path("in/soft.csv")).unwrap();
    };
    for path in [
        "in/{date}/../../.pipeline/mask.key",
        "in/{date}/../soft.csv",
        "in/{date}/../hard.csv",
        "in/{date}/../*.csv",
        "in/{date}/../../home/.pgpass",
        "in/{date}/../../home/.ssh/id",
        "in/{date}/../../../../../../../../../proc/self/environ",
    ] {
        let project = Small::new()
            .input(&format!("path: \"{path}\"\nformat: csv\ncsv: {{header: false}}"))
            .schema("id: string")
            .columns(&[("item_id", "text")])
            .sql("select id as item_id from source")
            .project()
            .file("in/2023-05-01/x", "")
            .file(".pipeline/mask.key", format!("{CANARY}\n"));
        home(&project);
        let home = project.path("home");
        let project = project.env("HOME", home.to_str().unwrap());
        let args = ["preview", "--source", "clinic", "--date", "2023-05-01"];
        let outcome = project.run(&args).output_lacks(CANARY);
        assert!(outcome.exit() != Some(0), "{path}: {outcome:?}");
        if !path.contains("/proc/") {
            outcome.stderr_contains("is not read as input");
        }
    }
}
