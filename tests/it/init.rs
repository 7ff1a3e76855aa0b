//! Tests of `pipeline init`: the new project works as its README says.
use std::fs;

use regex::Regex;

use crate::harness::Project;

#[test]
fn the_whole_output_and_a_project_that_runs_at_once() {
    let outside = Project::new();
    let outcome = outside.run(&["init", "my clinic"]).code(0);
    insta::assert_snapshot!(outcome.stdout, @r#"
    made a project in my clinic, with a small sample

    next:
      cd 'my clinic'
      pipeline run --source clinic --start 2023-05-01 --end 2023-05-02
      pipeline query "select * from visits limit 5"

    to load files of your own:
      pipeline source add NAME --from FILES

    README.md tells what comes after that
    "#);
    assert_eq!(outcome.stderr, "");
    let left: Vec<String> = fs::read_dir(outside.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with(".out") && !name.starts_with(".err"))
        .collect();
    assert_eq!(left, ["my clinic"]);

    let project = Project::copy_of(&outside.path("my clinic"));
    assert!(project.read("pipeline.yaml").contains("name: \"my clinic\""));
    // Every command of its README, in order.
    let readme = project.read("README.md");
    let lines: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("$ pipeline "))
        .collect();
    assert!(lines.len() >= 7, "{readme}");
    let word = Regex::new(r#""([^"]*)"|(\S+)"#).unwrap();
    for line in &lines {
        let words: Vec<String> = word
            .captures_iter(line)
            .map(|found| found.get(1).or(found.get(2)).unwrap().as_str().to_owned())
            .collect();
        project
            .run(&words.iter().map(String::as_str).collect::<Vec<_>>())
            .code(0);
    }
    let view = project
        .run(&["query", "--output", "csv", "select count(*) > 3 from drugs_by_month"])
        .code(0);
    assert_eq!(view.stdout.lines().nth(1), Some("t"));
    project
        .run(&["test"])
        .code(0)
        .stdout_is("3 cases: 3 passed, 0 failed\n");
    project
        .run(&["quarantine", "show"])
        .code(0)
        .stdout_contains("an earlier row has the same key");
}

#[test]
fn nothing_of_it_speaks_of_this_repository() {
    let outside = Project::new();
    outside.run(&["init", "x"]).code(0);
    let mut folders = vec![outside.path("x")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap().to_lowercase();
            for word in [
                "healthcare-insights",
                "source_a",
                "source_b",
                "cargo",
                "github",
                "{project}",
                "docs/",
            ] {
                assert!(!text.contains(word), "{} holds {word}", path.display());
            }
            files += 1;
        }
    }
    assert_eq!(files, 17);
}

#[test]
fn nothing_is_overwritten() {
    let outside = Project::new()
        .file("used/a.txt", "mine")
        .file("file", "")
        .file("clone/.git/HEAD", "ref");
    insta::assert_snapshot!(outside.run(&["init", "used"]).code(2).message(), @r"
    error: used is not empty
    hint: name a folder that does not exist yet
    ");
    insta::assert_snapshot!(outside.run(&["init", "file"]).code(2).message(), @r"
    error: file is a file
    hint: name a folder that does not exist yet
    ");
    let names: Vec<_> = fs::read_dir(outside.path("used")).unwrap().collect();
    assert_eq!(names.len(), 1);
    outside.run(&["init", "clone"]).code(0);
    assert!(outside.path("clone/.git/HEAD").exists() && outside.path("clone/pipeline.yaml").exists());
    let files = outside.run(&["init", "deep/er", "--output", "json"]).code(0).json();
    assert_eq!(files["files"].as_array().unwrap().len(), 17);
}
