//! From an empty folder to a loaded source with nothing but what the program prints as the next step: the tutorial's
//! page is the transcript, and all that is printed stands on it.
use std::fmt::Write as _;

use regex::Regex;

use crate::docs::{Page, Step, shell_words};
use crate::harness::{Project, repository};

/// A line without what differs from machine to machine: the key makes other hashes, names and dates, and the clock other
/// seconds.
fn steady(line: &str) -> String {
    let mut line = line.to_owned();
    for (pattern, placeholder) in [
        (r"\b[0-9a-f]{32}\b", "HASH"),
        (r"\b[A-Z][a-z]+ [A-Z][a-z]+ [0-9a-z]{10}\b", "NAME"),
        (r"\d{4}-\d\d-\d\d", "DATE"),
        (r"\b\d+\.\d\d( s)?$", "TIME"),
    ] {
        line = Regex::new(pattern)
            .unwrap()
            .replace_all(&line, placeholder)
            .into_owned();
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lines in an order that does not depend on the hashes of their keys, and the messages with the results.
fn lines<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut lines: Vec<String> = lines.map(steady).filter(|line| !line.is_empty()).collect();
    lines.sort();
    lines
}

#[test]
fn the_tutorial_from_an_empty_folder_shows_all_that_is_printed() {
    let project = Project::new();
    let page = Page::read(&repository().join("docs/tutorial/from-your-files.md"));
    let (mut told, mut shown, mut wrong, mut edits) = (String::new(), String::new(), false, 0);
    let mut commands = Vec::new();
    for step in page.steps() {
        match step {
            Step::File { path, text } => {
                edits += usize::from(!path.starts_with("in/"));
                project.write(&path, text);
            }
            Step::Run { line, output } => {
                let words = shell_words(&line);
                // A reader is told the next command. The name and the files are the reader's own.
                let known =
                    told.contains(&format!("pipeline {line}")) || commands.is_empty() || line.starts_with("source add");
                assert!(known, "nothing says `pipeline {line}`:\n{told}");
                let outcome = project.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
                assert_eq!(outcome.exit(), Some(0), "pipeline {line}: {outcome:?}");
                let printed = lines(outcome.stdout.lines().chain(outcome.stderr.lines()));
                wrong |= printed != lines(output.iter().map(String::as_str));
                let _ = writeln!(shown, "$ pipeline {line}\n{}{}", outcome.stderr, outcome.stdout);
                told += &outcome.stdout;
                told += &outcome.stderr;
                commands.push(words[0].clone());
            }
        }
    }
    assert!(!wrong, "the page does not show what is printed:\n{shown}");
    assert!(edits <= 1, "{edits} files were edited");
    for command in ["init", "source", "check", "preview", "test", "run", "query"] {
        assert!(
            commands.iter().any(|one| one == command),
            "{command} is not in {commands:?}"
        );
    }
    assert_eq!(
        project.query("select count(*) from visits where source = 'north'"),
        ["3"]
    );
}
