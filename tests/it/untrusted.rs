//! Who edits a project or sends its input can't make the program die without a word, write elsewhere, or write a project's
//! files with what should be a name.
use std::os::unix::fs::{chown, symlink};

use serde_json::json;

use crate::harness::{Outcome, Project, Running, Small};

fn check(sql: &str) -> Outcome {
    Small::new().sql(sql).project().run(&["check"])
}

/// The SQL parser makes trees of any depth of these, and planning them would end the program by a full stack.
#[test]
fn sql_that_is_nested_too_deeply_is_refused() {
    let chain = |first: &str, repeated: &str, times: usize, last: &str| {
        format!("select {first}{}{last}", repeated.repeat(times))
    };
    for (first, repeated, last) in [
        ("id as item_id, n", "+n", " as n from source"),
        ("id", "::text", " as item_id, n from source"),
        ("id as item_id, n from source where n = 1", " or n = 2", ""),
        (
            "id as item_id, n from source",
            " union all select id, n from source",
            "",
        ),
    ] {
        // The longest that may be is planned, also without optimisation. A sum takes too long for a test.
        let operators = if repeated.contains('=') { 2 } else { 1 };
        if repeated != "+n" {
            check(&chain(first, repeated, 248 / operators, last)).code(0);
        }
        for times in [251, 200_000] {
            check(&chain(first, repeated, times, last))
                .code(2)
                .stderr_contains("the SQL is nested too deeply: more than 250 operators, joins or subqueries in a row")
                .stderr_contains("hint: write `x IN (...)`");
        }
    }
    let check = Small::new()
        .rest(&format!(
            "checks:\n  items:\n    - expression: \"n = 1{}\"",
            " or n = 2".repeat(600)
        ))
        .project()
        .run(&["check"]);
    check.code(2).stderr_contains("the SQL is nested too deeply");
}

/// Such a view is PostgreSQL's to refuse; its lineage is approximate.
#[test]
fn a_view_that_is_nested_too_deeply_does_not_end_the_program() {
    let project = Small::new().project().file(
        "sql/views/long.sql",
        format!("select item_id, n{} as n from items\n", " + 1".repeat(2_000)),
    );
    let outcome = project.run(&["lineage"]);
    assert!(outcome.exit().is_some(), "{outcome:?}");
    outcome.code(0);
}

/// A file that uses others three times each stands for 3^21 fields.
#[test]
fn files_that_use_one_another_are_bounded() {
    let small = Small::new().schema("use: schemas/c0.yaml\nid: {type: string, required: true}\nn: bigint");
    let wide = (0..21).fold(small.project(), |project, at| {
        let used = format!("{{struct: {{use: schemas/c{}.yaml}}}}", at + 1);
        project.file(
            &format!("schemas/c{at}.yaml"),
            format!("a: {used}\nb: {used}\nc: {used}\n"),
        )
    });
    wide.file("schemas/c21.yaml", "a: string\n")
        .run(&["check"])
        .code(2)
        .stderr_contains("the source and the files that it uses hold more than 50000 values");
    let deep = (0..40).fold(small.project(), |project, at| {
        let used = format!("a: {{struct: {{use: schemas/c{}.yaml}}}}\n", at + 1);
        project.file(&format!("schemas/c{at}.yaml"), used)
    });
    deep.file("schemas/c40.yaml", "a: string\n")
        .run(&["check"])
        .code(2)
        .stderr_contains("in them: more than 64 levels");
}

/// A key of a sender ends no comment of the YAML that is proposed, and steers no terminal.
#[test]
fn names_of_a_sender_write_no_yaml() {
    let hostile = "total\nmax_quarantined: 100%\nshift_by: weeks\nchecks: {}\n# ";
    let steering = "esc\u{1b}[31mred\u{7}\u{202e}\u{2028}";
    let project = Project::new().file("pipeline.yaml", "name: small\n").file(
        "in/20230501.json",
        json!({hostile: 2, steering: 1, "patients": [{"id": "a", "n": 1, steering: "x"}, {"id": "b", "n": 2}]})
            .to_string(),
    );
    let added = project
        .run(&["source", "add", "s", "--from", "in/20230501.json", "--entities", "new"])
        .code(0);
    let yaml = project.read("pipelines/s.yaml");
    for key in ["max_quarantined", "shift_by", "checks"] {
        assert!(!yaml.lines().any(|line| line.starts_with(key)), "{yaml}");
    }
    assert!(yaml.contains(r"$['total\nmax_quarantined: 100%"), "{yaml}");
    let steers = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2028}".contains(c);
    assert!(!yaml.contains(steers), "{yaml:?}");
    assert!(!added.stderr.contains(steers), "{:?}", added.stderr);
    project.run(&["check"]).code(0);

    project.write(
        "in/20230502.json",
        json!({"patients": [{"id": "a", "n": 1, "new\n  evil: {type: json}": 1, "red\u{1b}[31m\u{202e}": 1}]})
            .to_string(),
    );
    let updated = project
        .run(&["source", "add", "s", "--from", "in/20230502.json", "--update"])
        .code(0)
        .stdout;
    assert!(updated.contains(r"$['new\n  evil: {type: json}']"), "{updated}");
    assert!(!updated.contains(steers), "{updated:?}");
    assert!(
        !updated.lines().any(|line| line.trim_start().starts_with("evil:")),
        "{updated}"
    );
}

/// Who may edit the project would make the program write elsewhere.
#[test]
fn nothing_is_written_through_links_out_of_the_project() {
    let outside = tempfile::tempdir().unwrap();
    let linked = |at: &str| {
        let project = Small::new().project().json(r#"[{"id": "a", "n": 1}]"#);
        let place = project.path(at);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        if place.exists() {
            std::fs::rename(&place, outside.path().join("moved")).unwrap();
        }
        symlink(outside.path(), place).unwrap();
        project
    };
    let refused = |outcome: Outcome, link: &str| {
        assert!(outcome.exit() != Some(0), "{outcome:?}");
        outcome.stderr_contains(&format!("{link} is a symbolic link that leaves the project"));
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0, "{link}");
    };
    let create = [
        "test",
        "create",
        "--source",
        "clinic",
        "--date",
        "2023-05-01",
        "--record",
        "1",
    ];
    refused(linked("sql/clinic/tests").run(&create), "sql/clinic/tests");
    refused(linked("schemas").run(&["schema", "--into", "schemas"]), "schemas");
    let project = Project::new().file("in/2023-05-01.json", r#"[{"id": "a", "n": 1}, {"id": "b", "n": 2}]"#);
    symlink(outside.path(), project.path("sql")).unwrap();
    let add = [
        "source",
        "add",
        "s",
        "--from",
        "in/2023-05-01.json",
        "--entities",
        "new",
    ];
    refused(project.run(&add), "sql");
    assert!(!project.path("pipelines").exists());
}

/// Its SQL would run with this user's database, and its owner could take the key that is made in it.
#[test]
fn a_project_of_somebody_else_above_the_working_folder_is_not_taken() {
    let project = Small::new().project();
    let below = project.path("sql/clinic");
    let from_below = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.current_dir(&below);
        Running::start(command, &project.path("")).wait()
    };
    from_below(&["check"]).code(0);
    // Only the superuser may give a file away.
    if chown(project.path("pipeline.yaml"), Some(12_345), None).is_err() {
        return;
    }
    let root = project.path("").display().to_string();
    from_below(&["check"])
        .code(2)
        .stderr_contains("pipeline.yaml lies above the working folder and belongs to another user")
        .stderr_contains("name it: --project DIR");
    from_below(&["--project", &root, "check"]).code(0);
    project.run(&["check"]).code(0);
}
