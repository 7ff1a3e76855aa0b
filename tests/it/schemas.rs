//! Tests of `pipeline schema`: every YAML file that is shipped or written names a schema that is there, and another
//! validator than the program's own reader finds it right.
use std::fs;
use std::path::{Path, PathBuf};

use healthcare_insights::error::Error;
use jsonschema_valid::Config;
use jsonschema_valid::schemas::Draft;
use regex::Regex;
use serde_json::Value;

use crate::harness::{Project, Small, repository};

const KINDS: [&str; 5] = ["project", "source", "tests", "fields", "kinds"];

/// Validates a YAML file by the schema that its first line names.
#[track_caller]
fn is_right(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let named = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# yaml-language-server: $schema="));
    let named = named.unwrap_or_else(|| panic!("{} names no schema", path.display()));
    let schema = fs::read_to_string(path.parent().unwrap().join(named));
    let schema: Value = serde_json::from_str(&schema.unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap();
    let config = Config::from_schema(&schema, Some(Draft::Draft7)).unwrap();
    let value: Value = serde_saphyr::from_str(&text).unwrap();
    if let Err(errors) = config.validate(&value) {
        let errors: Vec<String> = errors.map(|error| error.to_string()).collect();
        panic!("{}: {errors:#?}", path.display());
    }
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            found.push(path);
        }
    }
}

#[test]
fn the_whole_output_of_one_kind_and_of_all() {
    let outside = Project::new();
    let all = outside.run(&["schema"]).code(0).json();
    for kind in KINDS {
        let one = outside.run(&["schema", kind]).code(0);
        assert_eq!(one.stderr, "");
        assert_eq!(one.json(), all[kind]);
        assert!(all[kind]["title"].as_str().unwrap().contains(".yaml: "), "{kind}");
    }
    assert_eq!(all.as_object().unwrap().len(), KINDS.len());
    outside.run(&["schema", "sources"]).code(2).stderr_contains("source");
}

#[test]
fn the_schemas_of_the_repository_are_those_that_the_program_prints() {
    let outside = Project::new();
    let written = outside.run(&["schema", "--into", "a/b"]).code(0);
    assert_eq!(
        written.stdout,
        "a/b/project.json\na/b/source.json\na/b/tests.json\na/b/fields.json\na/b/kinds.json\n"
    );
    for kind in KINDS {
        let kept = fs::read_to_string(repository().join(format!("schemas/{kind}.json"))).unwrap();
        let now = outside.read(&format!("a/b/{kind}.json"));
        assert!(kept == now, "run: pipeline schema --into schemas");
        assert_eq!(outside.run(&["schema", kind]).code(0).stdout, now);
    }
    outside.write("a/b/source.json", "older");
    outside
        .run(&["schema", "source", "--into", "a/b", "--output", "json"])
        .code(0);
    assert_ne!(outside.read("a/b/source.json"), "older");
    // A link is replaced, and what it points to stays as it is.
    outside.write("theirs", "theirs");
    fs::remove_file(outside.path("a/b/source.json")).unwrap();
    std::os::unix::fs::symlink(outside.path("theirs"), outside.path("a/b/source.json")).unwrap();
    outside.run(&["schema", "source", "--into", "a/b"]).code(0);
    assert_eq!(outside.read("theirs"), "theirs");
    outside.write("file", "");
    insta::assert_snapshot!(outside.run(&["schema", "--into", "file"]).code(2).message(), @r"
    error: the schemas can't be written into file
    caused by: File exists (os error 17)
    hint: name a folder that you may write to: --into DIR
    ");
}

#[test]
fn every_shipped_yaml_file_is_right_by_its_schema() {
    let mut files = vec![repository().join("pipeline.yaml")];
    yaml_files(&repository().join("pipelines"), &mut files);
    yaml_files(&repository().join("sql"), &mut files);
    yaml_files(&repository().join("examples"), &mut files);
    // Files of shared fields and kinds have no schema of their own, and those of Kubernetes one of another kind.
    files.retain(|path| {
        !["schemas", "kubernetes"]
            .iter()
            .any(|folder| path.parent().unwrap().ends_with(folder))
    });
    assert!(files.len() >= 10, "{files:?}");
    for path in &files {
        is_right(path);
    }
}

#[test]
fn every_yaml_file_that_is_written_is_right_by_its_schema() {
    let outside = Project::new();
    outside.run(&["init", "mine"]).code(0);
    let project = Project::copy_of(&outside.path("mine"));
    let sample = "data/clinic/2023-05-01.json";
    let add = ["source", "add", "other", "--from", sample, "--entities", "new"];
    project.run(&add).code(0);
    let case = [
        "test",
        "create",
        "--source",
        "other",
        "--date",
        "2023-05-01",
        "--record",
        "1",
    ];
    project.run(&case).code(0);
    let mut files = vec![project.path("pipeline.yaml")];
    yaml_files(&project.path("pipelines"), &mut files);
    yaml_files(&project.path("sql"), &mut files);
    assert_eq!(files.len(), 5, "{files:?}");
    for path in &files {
        is_right(path);
    }
    project.run(&["check"]).code(0);
}

#[test]
fn a_project_without_schemas_gets_no_comment_that_leads_nowhere() {
    let project = Small::new()
        .project()
        .file("in/2023-05-01.json", r#"[{"id": "a", "n": 1}]"#);
    let case = [
        "test",
        "create",
        "--source",
        "clinic",
        "--date",
        "2023-05-01",
        "--record",
        "1",
    ];
    project.run(&case).code(0);
    assert!(project.read("sql/clinic/tests/record_1.yaml").starts_with("tests:"));
}

/// Whether a faulty project is also refused by the schemas, where an editor can know the fault.
pub fn agree(wrong: &Project, error: &Error) {
    let of_shape = Regex::new("^unknown key|must be (a mapping|a list|text)|^`[a-z_]+` can't be `").unwrap();
    for problem in error
        .diagnostics
        .iter()
        .filter(|problem| of_shape.is_match(&problem.message))
    {
        let path = &problem.location.as_ref().unwrap().file;
        let kind = match path.to_str().unwrap() {
            "pipeline.yaml" => "project",
            path if path.starts_with("pipelines/") => "source",
            _ => continue,
        };
        let schema = fs::read_to_string(repository().join(format!("schemas/{kind}.json"))).unwrap();
        let schema: Value = serde_json::from_str(&schema).unwrap();
        let config = Config::from_schema(&schema, Some(Draft::Draft7)).unwrap();
        if let Ok(value) = serde_saphyr::from_str::<Value>(&wrong.read(path.to_str().unwrap())) {
            assert!(
                config.validate(&value).is_err(),
                "the schema accepts: {}",
                problem.message
            );
        }
    }
}
