//! Bad input to the commands with which a project is developed: one message with a remedy, and no file that is half
//! written.
use std::os::unix::fs::PermissionsExt;

use crate::harness::Project;
use crate::source_add::files;

/// The project that `init` makes, with files that are no good input.
fn project() -> Project {
    let outside = Project::new();
    outside.run(&["init", "p"]).code(0);
    let project = Project::copy_of(&outside.path("p"))
        .file("bad/empty.json", "")
        .file("bad/none.json", "[]")
        .file("bad/binary.json", [0_u8, 1, 2, 255, 254])
        .file("bad/secret.json", "[]");
    std::fs::create_dir(project.path("bad/folder")).unwrap();
    project
}

/// What the command prints. It must fail, with one error, and leave the files as they were.
#[track_caller]
fn refused(project: &Project, line: &str) -> String {
    let before = files(project);
    let words: Vec<&str> = line.split(' ').collect();
    let outcome = project.run(&words);
    let code = outcome.exit();
    assert!(matches!(code, Some(1 | 2)), "{line}: {outcome:?}");
    assert_eq!(outcome.stdout, "", "{line}");
    assert!(
        outcome.stderr.contains("hint: "),
        "{line} has no remedy: {}",
        outcome.stderr
    );
    assert_eq!(files(project), before, "{line}");
    format!("{}exit code {}", outcome.message(), code.unwrap())
}

#[test]
fn of_source_add() {
    let project = project();
    insta::assert_snapshot!(refused(&project, "source add x --from bad/empty.json"), @"");
    insta::assert_snapshot!(refused(&project, "source add x --from bad/none.json"), @"");
    insta::assert_snapshot!(refused(&project, "source add x --from bad/binary.json"), @"");
    insta::assert_snapshot!(refused(&project, "source add x --from bad/folder"), @"");
    insta::assert_snapshot!(refused(&project, "source add x --from bad"), @"");
    insta::assert_snapshot!(refused(&project, "source add x --from bad/absent.json"), @"");
    insta::assert_snapshot!(refused(&project, "source add x --from README.md"), @"");
    insta::assert_snapshot!(refused(&project, "source add clinic --from data"), @"");
    insta::assert_snapshot!(refused(&project, "source add views --from data"), @"");
}

#[test]
fn of_preview() {
    let project = project();
    let of = |more: &str| refused(&project, &format!("preview --source clinic --date 2023-05-01 {more}"));
    insta::assert_snapshot!(of("--input bad/empty.json"), @"");
    insta::assert_snapshot!(of("--input bad/none.json"), @"");
    insta::assert_snapshot!(of("--input bad/binary.json"), @"");
    insta::assert_snapshot!(of("--input bad/folder"), @"");
    insta::assert_snapshot!(of("--input bad/absent.json"), @"");
    insta::assert_snapshot!(of("--entity visits --sql bad/folder"), @"");
    insta::assert_snapshot!(of("--entity visits --sql bad/binary.json"), @"");
    insta::assert_snapshot!(of("--entity visits --sql bad/empty.json"), @"");
}

#[test]
fn of_test_and_test_create() {
    let project = project();
    let create = |more: &str| refused(&project, &format!("test create --source clinic {more}"));
    insta::assert_snapshot!(create("--date 2023-05-01 --record 99"), @"");
    insta::assert_snapshot!(create("--date 2023-05-01 --record 1 --file 2"), @"");
    insta::assert_snapshot!(create("--date 2023-05-01 --record 1 --name visits"), @"");
    insta::assert_snapshot!(create("--date 2023-06-01 --record 1"), @"");
    for (name, contents) in [("empty", &b""[..]), ("none", b"[]"), ("binary", &[0, 1, 2, 255])] {
        project.write("data/clinic/2023-07-01.json", contents);
        let message = refused(&project, "test create --source clinic --date 2023-07-01 --record 1");
        assert!(message.contains("data/clinic/2023-07-01.json"), "{name}: {message}");
    }
    project.write("sql/clinic/tests/empty.yaml", "");
    insta::assert_snapshot!(refused(&project, "test"), @"");
    project.write("sql/clinic/tests/empty.yaml", [0_u8, 159, 146, 150]);
    insta::assert_snapshot!(refused(&project, "test"), @"");
    project.remove("sql/clinic/tests/empty.yaml");
    insta::assert_snapshot!(refused(&project, "test --source other"), @"");
    insta::assert_snapshot!(refused(&project, "test --name other"), @"");
    insta::assert_snapshot!(refused(&project, "test --junit bad/folder"), @"");
    project.remove("sql/clinic/tests");
    insta::assert_snapshot!(refused(&project, "test"), @"");
}

#[test]
fn of_init_and_doctor() {
    let project = project();
    insta::assert_snapshot!(refused(&project, "init bad"), @"");
    insta::assert_snapshot!(refused(&project, "init README.md"), @"");
    insta::assert_snapshot!(refused(&project, "init README.md/below"), @"");
    insta::assert_snapshot!(refused(&project, "init /proc/new"), @"");
    insta::assert_snapshot!(refused(&project, "--project bad doctor"), @"");
    insta::assert_snapshot!(refused(&project, "--project absent doctor"), @"");
}

/// Where the user is root, every file can be read, and there is nothing to test.
#[test]
fn a_file_that_may_not_be_read() {
    let project = project();
    let path = project.path("bad/secret.json");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0)).unwrap();
    if std::fs::read(&path).is_ok() {
        return;
    }
    for line in [
        "source add x --from bad/secret.json",
        "preview --source clinic --date 2023-05-01 --input bad/secret.json",
        "preview --source clinic --date 2023-05-01 --entity visits --sql bad/secret.json",
    ] {
        let message = refused(&project, line);
        assert!(message.contains("secret.json can't be read"), "{line}: {message}");
    }
}
