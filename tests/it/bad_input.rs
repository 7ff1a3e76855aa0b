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
    // A preview keeps the folder for its spill files.
    let files = |project: &Project| {
        let mut found = files(project);
        found.retain(|path| !path.contains("/.pipeline"));
        found
    };
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
    insta::assert_snapshot!(refused(&project, "source add x --from bad/empty.json"), @r"
    error: the sample holds no record: its files are empty
    hint: name a file that holds some records
    exit code 2
    ");
    insta::assert_snapshot!(refused(&project, "source add x --from bad/none.json"), @r"
    error: the sample holds no record: no object was found in it
    hint: a record is a JSON object, a line of CSV or a row of Parquet
    exit code 2
    ");
    insta::assert_snapshot!(refused(&project, "source add x --from bad/binary.json"), @r"
    error: bad/binary.json is neither text nor Parquet
    hint: a source reads JSON, NDJSON, CSV and Parquet, plain or as .gz, .zst, .bz2 or .zip
    exit code 2
    ");
    insta::assert_snapshot!(refused(&project, "source add x --from bad/folder"), @r"
    error: the folder bad/folder holds no file to read
    hint: name a file, a folder, a pattern in quotes, or a URL
    exit code 2
    ");
    insta::assert_snapshot!(refused(&project, "source add x --from bad"), @r"
    error: file 1 of bad is neither text nor Parquet
    hint: a source reads JSON, NDJSON, CSV and Parquet, plain or as .gz, .zst, .bz2 or .zip
    exit code 2
    ");
    insta::assert_snapshot!(refused(&project, "source add x --from bad/absent.json"), @r"
    error: there is no file at bad/absent.json
    hint: name a file, a folder, a pattern in quotes, or a URL
    exit code 2
    ");
    insta::assert_snapshot!(refused(&project, "source add x --from README.md"), @r"
    error: README.md is neither JSON nor CSV
    hint: a source reads JSON, NDJSON, CSV and Parquet, plain or as .gz, .zst, .bz2 or .zip
    exit code 2
    ");
    insta::assert_snapshot!(refused(&project, "source add clinic --from data"), @r"
    error: there is a source `clinic` already
    hint: choose another name, or give `--update` to see what this sample changes in its schema
    exit code 2
    ");
    insta::assert_snapshot!(refused(&project, "source add views --from data"), @r"
    error: sql/views is there already
    hint: choose another name
    exit code 2
    ");
}

#[test]
fn of_preview() {
    let project = project();
    let of = |more: &str| refused(&project, &format!("preview --source clinic --date 2023-05-01 {more}"));
    insta::assert_snapshot!(of("--input bad/empty.json"), @r"
    error: the input of clinic holds no record: bad/empty.json
    hint: if a day without records is normal, set `on_empty: replace`
    exit code 1
    ");
    insta::assert_snapshot!(of("--input bad/none.json"), @r"
    error: the input of clinic holds no record: bad/none.json
    hint: if a day without records is normal, set `on_empty: replace`
    exit code 1
    ");
    insta::assert_snapshot!(of("--input bad/binary.json"), @r"
    error: bad/binary.json can't be split into records at byte 0
    caused by: text between records, where a JSON value should start
    hint: look at the file around that byte (counted in its decompressed form)
    exit code 1
    ");
    insta::assert_snapshot!(of("--input bad/folder"), @r#"
    error: [project]/bad/folder is a folder
    hint: name a file in it, or a pattern: "[project]/bad/folder/*"
    exit code 1
    "#);
    insta::assert_snapshot!(of("--input bad/absent.json"), @r"
    error: there is no file at [project]/bad/absent.json
    hint: name a file, a pattern in quotes, or a URL
    exit code 1
    ");
    insta::assert_snapshot!(of("--entity visits --sql bad/folder"), @r"
    error: bad/folder can't be read
    caused by: Is a directory (os error 21)
    hint: --sql takes a file with one SELECT, or - for standard input
    exit code 2
    ");
    insta::assert_snapshot!(of("--entity visits --sql bad/binary.json"), @r"
    error: bad/binary.json can't be read
    caused by: stream did not contain valid UTF-8
    hint: --sql takes a file with one SELECT, or - for standard input
    exit code 2
    ");
    insta::assert_snapshot!(of("--entity visits --sql bad/empty.json"), @r"
    error: the transforms do not fit the project

    error: there is no statement
    --> bad/empty.json:1:1
     = hint: write one SELECT that returns the entity's columns
    exit code 2
    ");
}

#[test]
fn of_test_and_test_create() {
    let project = project();
    let create = |more: &str| refused(&project, &format!("test create --source clinic {more}"));
    insta::assert_snapshot!(create("--date 2023-05-01 --record 99"), @r"
    error: data/clinic/2023-05-01.json has no record 99
    caused by: the batch has 14 records
    hint: give another number, counted from 1 in each file: --record N
    exit code 1
    ");
    insta::assert_snapshot!(create("--date 2023-05-01 --record 1 --file 2"), @r"
    error: the batch has 1 file, and no file 2
    hint: add --file N
    exit code 1
    ");
    insta::assert_snapshot!(create("--date 2023-05-01 --record 1 --name visits"), @r"
    error: sql/clinic/tests/visits.yaml exists already
    hint: give the new case another name: --name NAME
    exit code 2
    ");
    insta::assert_snapshot!(create("--date 2023-06-01 --record 1"), @r"
    error: the input of clinic 2023-06-01 is missing: data/clinic/2023-06-01.json
    hint: deliver it, or set `on_missing: skip` where a day without input is normal
    exit code 1
    ");
    for (name, contents) in [("empty", &b""[..]), ("none", b"[]"), ("binary", &[0, 1, 2, 255])] {
        project.write("data/clinic/2023-07-01.json", contents);
        let message = refused(&project, "test create --source clinic --date 2023-07-01 --record 1");
        assert!(message.contains("data/clinic/2023-07-01.json"), "{name}: {message}");
    }
    project.write("sql/clinic/tests/empty.yaml", "");
    insta::assert_snapshot!(refused(&project, "test"), @r"
    error: the test cases have a problem

    error: a file of test cases must be a mapping, not empty
    --> sql/clinic/tests/empty.yaml:1:1
     = hint: write one `key: value` in a line
    exit code 2
    ");
    project.write("sql/clinic/tests/empty.yaml", [0_u8, 159, 146, 150]);
    insta::assert_snapshot!(refused(&project, "test"), @r"
    error: the test cases have a problem

    error: the file is not UTF-8
    --> sql/clinic/tests/empty.yaml:1:1
     = hint: save it in the encoding UTF-8
    exit code 2
    ");
    project.remove("sql/clinic/tests/empty.yaml");
    insta::assert_snapshot!(refused(&project, "test --source other"), @r"
    error: no source has the name or alias `other`
    hint: the project has clinic
    exit code 2
    ");
    insta::assert_snapshot!(refused(&project, "test --name other"), @r"
    error: no test case is left
    hint: leave out --source or --name to run all of them
    exit code 2
    ");
    insta::assert_snapshot!(refused(&project, "test --junit bad/folder"), @r"
    error: bad/folder can't be written
    caused by: Is a directory (os error 21)
    hint: --junit takes the path of a file in a folder that is there, and no symbolic link
    exit code 2
    ");
    project.remove("sql/clinic/tests");
    insta::assert_snapshot!(refused(&project, "test"), @r"
    error: the project has no test case
    hint: write one into the folder `tests` beside the SQL of a source, or let `pipeline test create` make one from a record
    exit code 2
    ");
}

#[test]
fn of_init_and_doctor() {
    let project = project();
    insta::assert_snapshot!(refused(&project, "init bad"), @r"
    error: bad is not empty
    hint: name a folder that does not exist yet
    exit code 2
    ");
    insta::assert_snapshot!(refused(&project, "init README.md"), @r"
    error: README.md is a file
    hint: name a folder that does not exist yet
    exit code 2
    ");
    insta::assert_snapshot!(refused(&project, "init README.md/below"), @r"
    error: README.md/below can't be made: what stands above it is a file
    hint: name a folder that does not exist yet
    exit code 2
    ");
    insta::assert_snapshot!(refused(&project, "init /proc/new"), @r"
    error: /proc/new can't be made
    caused by: No such file or directory (os error 2)
    hint: name a folder that you may write to
    exit code 2
    ");
    for folder in ["bad", "absent"] {
        let outcome = project.run(&["--project", folder, "doctor"]).code(1);
        let found: Vec<&str> = outcome.stdout.lines().take(2).map(str::trim).collect();
        assert_eq!(
            found,
            [
                format!("fail  project      {folder} is no project: it holds no pipeline.yaml").as_str(),
                "hint: name a project's folder: --project DIR, or declare the entities in a pipeline.yaml there",
            ]
        );
        assert!(!project.path("absent").exists() && !project.path("bad/.pipeline").exists());
    }
}

/// Where the user is root, every file can be read, and there is nothing to test.
#[test]
fn a_file_that_may_not_be_read() {
    let project = project();
    let path = project.path("bad/secret.json");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).unwrap();
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
