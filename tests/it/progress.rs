//! Where stderr is no terminal, a run says how far it is, without names.
use crate::harness::{Database, Project, RUN_TWO_DAYS, Small};

/// Two batches that are loaded often enough to say something in between: every millisecond.
fn often() -> (Database, Project) {
    let (database, project) = Small::new().on_server();
    let record = |number| format!(r#"{{"id": "{number}", "n": 1}}"#);
    let records = (0..2_000).map(record).collect::<Vec<_>>().concat();
    let project = project.json(&records).file("in/2023-05-02.json", &records);
    (database, project.env("PIPELINE_PROGRESS_MS", "1"))
}

fn lines(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| line.contains("batches done")).collect()
}

#[test]
fn a_run_without_a_terminal_says_how_far_it_is() {
    let (_database, project) = often();
    for output in ["text", "json"] {
        let outcome = project
            .run(&[&RUN_TWO_DAYS[..], &["--output", output]].concat())
            .code(0);
        let lines = lines(&outcome.stderr);
        assert!(lines[0].starts_with("after 0 s: 0 of 2 batches done; "), "{lines:?}");
        let last = lines[lines.len() - 1];
        assert!(last.contains(" read, ") && last.contains(" rows"), "{last}");
        assert!(
            !lines
                .iter()
                .any(|line| line.contains("clinic") || line.contains("items")),
            "{lines:?}"
        );
        assert!(!outcome.stdout.contains("batches done"), "{}", outcome.stdout);
    }
}

#[test]
fn progress_follows_the_format_of_the_log() {
    let (_database, project) = often();
    let outcome = project
        .run(&[&RUN_TWO_DAYS[..], &["--log-format", "json"]].concat())
        .code(0);
    let lines = lines(&outcome.stderr);
    let last: serde_json::Value = serde_json::from_str(lines[lines.len() - 1]).unwrap();
    assert_eq!(last["fields"]["batches"], 2, "{last}");
    assert!(last["fields"]["bytes_read"].is_u64(), "{last}");
}

#[test]
fn a_quiet_run_says_nothing() {
    let (database, project) = often();
    let outcome = project.run(&[&RUN_TWO_DAYS[..], &["--quiet"]].concat()).code(0);
    assert_eq!(outcome.stderr, "");
    assert_eq!(database.count("items"), 4_000);
    project.write("in/2023-05-01.json", "[");
    project
        .run(&[&RUN_TWO_DAYS[..], &["-q"]].concat())
        .code(1)
        .stderr_contains("error: ");
}
