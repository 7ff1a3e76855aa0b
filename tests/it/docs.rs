//! Tests that the documentation is correct: commands and options exist and parse, links have a target, pages are
//! listed, and the tutorial does what its pages show.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use healthcare_insights::cli::Cli;
use regex::Regex;

pub use self::page::{Page, Step, shell_words};
use crate::harness::{Project, repository};

mod page;

/// Every page: those in the top folder, of the examples and benchmarks, and everything below docs/.
fn pages() -> Vec<Page> {
    let mut paths: Vec<PathBuf> = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "benches/README.md",
    ]
    .iter()
    .map(|name| repository().join(name))
    .collect();
    for folder in ["docs", "examples"] {
        below(&repository().join(folder), &mut paths);
    }
    paths.iter().map(|path| Page::read(path)).collect()
}

fn below(folder: &Path, paths: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            below(&path, paths);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            paths.push(path);
        }
    }
}

fn page(path: &str) -> Page {
    Page::read(&repository().join(path))
}

fn help(words: &[&str]) -> String {
    let mut args = words.to_vec();
    args.push("--help");
    Project::new().run(&args).code(0).stdout
}

/// The commands that the program's own help lists.
fn known_commands() -> BTreeSet<String> {
    let top = help(&[]);
    let names = Regex::new(r"(?m)^  ([a-z][a-z-]*) ").unwrap();
    let known: BTreeSet<String> = names
        .captures_iter(&top)
        .map(|captures| captures[1].to_owned())
        .collect();
    assert!(known.contains("run") && known.contains("serve-db"), "{known:?}");
    known
}

/// The words of a command, including subcommands such as `quarantine show`.
fn command_words(words: &[String], known: &BTreeSet<String>) -> Vec<String> {
    let nested = ["cluster", "migration", "quarantine", "privacy", "source", "test"];
    let first = &words[0];
    assert!(known.contains(first), "there is no command `{first}`");
    let second = words.get(1).filter(|word| !word.starts_with('-'));
    match second {
        Some(second) if nested.contains(&first.as_str()) => vec![first.clone(), second.clone()],
        _ => vec![first.clone()],
    }
}

#[test]
fn every_command_and_option_that_is_named_exists() {
    let known = known_commands();
    let mut helps: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let mut checked = 0;
    for page in pages() {
        for words in page.commands() {
            if words[0].starts_with('-') {
                continue;
            }
            let place = format!("{}: pipeline {}", page.path.display(), words.join(" "));
            assert!(known.contains(&words[0]), "{place}: there is no command `{}`", words[0]);
            let sub = command_words(&words, &known);
            let help = helps
                .entry(sub)
                .or_insert_with_key(|sub| help(&sub.iter().map(String::as_str).collect::<Vec<_>>()));
            for option in words.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                let name = option.split('=').next().unwrap().trim_end_matches([',', '.', ')', ']']);
                assert!(help.contains(name), "{place}: there is no option `{name}`");
            }
            checked += 1;
        }
    }
    assert!(checked >= 100, "only {checked} commands were found in the documents");
}

/// A user can copy a command from a block, so the program must accept it as it is.
#[test]
fn every_command_in_a_block_is_taken_by_the_program() {
    let mut checked = 0;
    for page in pages() {
        for line in page.command_lines() {
            let words = page::shell_words(&line);
            let parsed = Cli::try_parse_from(std::iter::once("pipeline".to_owned()).chain(words));
            if let Err(error) = parsed {
                assert!(
                    matches!(
                        error.kind(),
                        clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion
                    ),
                    "{}: pipeline {line}\n{error}",
                    page.path.display()
                );
            }
            checked += 1;
        }
    }
    assert!(checked >= 60, "only {checked} commands were found in blocks");
}

#[test]
fn every_command_of_the_program_is_in_the_readme_and_the_reference() {
    let readme = page("README.md").text;
    let reference = page("docs/reference/commands.md").text;
    let word = Regex::new("--[a-z][a-z-]*").unwrap();
    let named: BTreeSet<&str> = word.find_iter(&reference).map(|found| found.as_str()).collect();
    let option = Regex::new(r"(?m)^ +(?:-\w, )?(--[a-z-]+)").unwrap();
    for name in known_commands().iter().filter(|name| *name != "help") {
        assert!(
            readme.contains(&format!("pipeline {name}")),
            "README does not name `pipeline {name}`"
        );
        assert!(
            reference.contains(&format!("`pipeline {name}")),
            "docs/reference/commands.md does not name `pipeline {name}`"
        );
        let subs: &[&str] = match name.as_str() {
            "quarantine" => &["list", "show"],
            "migration" => &["new"],
            "cluster" => &["scheduler", "executor"],
            "privacy" => &["report", "risk", "trace", "erase", "suppression"],
            "test" => &["create"],
            "source" => &["add"],
            _ => &[],
        };
        let mut paths = vec![vec![name.as_str()]];
        paths.extend(subs.iter().map(|sub| vec![name.as_str(), *sub]));
        for path in paths {
            for captures in option.captures_iter(&help(&path)) {
                assert!(
                    named.contains(&captures[1]),
                    "docs/reference/commands.md does not name {} of {path:?}",
                    &captures[1]
                );
            }
        }
    }
}

/// The schemas and the readers have their keys from the same lists.
#[test]
fn every_key_of_the_yaml_files_is_in_the_reference() {
    let mut keys = BTreeSet::new();
    properties(&Project::new().run(&["schema"]).code(0).json(), &mut keys);
    assert!(keys.contains("conserves") && keys.contains("entities"), "{keys:?}");
    let reference: String = pages()
        .iter()
        .filter(|page| page.path.starts_with(repository().join("docs/reference")))
        .map(|page| page.text.as_str())
        .collect();
    for key in keys {
        let named = Regex::new(&format!(r"[`{{ ,]{key}[`:, }}]")).unwrap();
        assert!(named.is_match(&reference), "docs/reference does not explain `{key}`");
    }
}

fn properties(schema: &serde_json::Value, keys: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        keys.extend(properties.keys().cloned());
    }
    match schema {
        serde_json::Value::Object(map) => map.values().for_each(|inner| properties(inner, keys)),
        serde_json::Value::Array(list) => list.iter().for_each(|inner| properties(inner, keys)),
        _ => {}
    }
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut checked = 0;
    for page in pages() {
        for (file, heading) in page.links() {
            let target = match file.as_str() {
                "" => page.path.clone(),
                file => page.path.parent().unwrap().join(file),
            };
            let place = format!("{} links to {file}#{heading}", page.path.display());
            assert!(target.exists(), "{place}: there is no such file");
            if !heading.is_empty() {
                let anchors = Page::read(&target).anchors();
                assert!(anchors.contains(&heading), "{place}: it has {anchors:?}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 100, "only {checked} links were found");
}

/// Files of the code can move. A page that names one must then be corrected.
#[test]
fn every_path_of_the_code_that_is_named_exists() {
    let path = Regex::new(r"`((?:src|tests|benches|docs|\.ci)/[A-Za-z0-9_./-]*)`").unwrap();
    let mut missing = Vec::new();
    for page in pages() {
        for captures in path.captures_iter(&page.text) {
            if !repository().join(&captures[1]).exists() {
                missing.push(format!("{} names {}", page.path.display(), &captures[1]));
            }
        }
    }
    assert!(missing.is_empty(), "which is not there: {missing:#?}");
}

#[test]
fn the_summary_lists_every_page_once() {
    let docs = repository().join("docs");
    let summary = page("docs/SUMMARY.md");
    let mut listed: Vec<PathBuf> = summary.links().iter().map(|(file, _)| docs.join(file)).collect();
    listed.sort();
    let mut there = Vec::new();
    below(&docs, &mut there);
    there.retain(|path| !path.ends_with("SUMMARY.md"));
    there.sort();
    assert_eq!(listed, there);
}

#[test]
fn pages_are_short() {
    assert!(
        page("README.md").text.lines().count() <= 120,
        "README has more than 120 lines"
    );
    // A changelog grows with each change, and is not read from end to end.
    for page in pages().iter().filter(|page| !page.path.ends_with("CHANGELOG.md")) {
        let lines = page.text.lines().count();
        assert!(lines <= 200, "{} has {lines} lines: part it", page.path.display());
    }
}

#[test]
fn the_glossary_explains_the_words_that_pages_use() {
    let text = page("docs/reference/glossary.md").text;
    let rows = text.lines().filter_map(|line| line.strip_prefix("| **"));
    let words: Vec<&str> = rows.filter_map(|row| Some(row.split_once("** | ")?.0)).collect();
    let different: BTreeSet<&str> = words.iter().copied().collect();
    assert_eq!(words.len(), different.len());
    for word in [
        "project",
        "source",
        "record",
        "field",
        "entity",
        "contract",
        "transform",
        "batch",
        "batch date",
        "run",
        "active run",
        "batch lock",
        "partition",
        "staging table",
        "swap",
        "check",
        "refusal",
        "quarantine",
        "class",
        "mask",
        "mask key",
        "domain",
        "subject",
        "profile",
        "parent",
        "element",
        "conserves",
        "account",
        "fingerprint",
        "lost",
        "stale",
        "floor",
    ] {
        assert!(different.contains(word), "{word}");
    }
}

/// A printed line without the parts that differ from run to run: seconds, the number of a run, the width of a column.
fn steady(line: &str) -> String {
    let seconds = Regex::new(r"\d+\.\d\d s$|\s\d+\.\d\d$").unwrap();
    let run = Regex::new(r"(\d{4}-\d\d-\d\d) +\d+ +record ").unwrap();
    let line = seconds.replace(line.trim_end(), " TIME");
    let line = run.replace(&line, "$1 RUN record ");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Writes the files that the pages show, runs their commands in order, and compares the output with the pages.
fn follow(project: &Project, pages: &[&str]) -> usize {
    let mut run = 0;
    for page in pages.iter().map(|path| page(path)) {
        for step in page.steps() {
            match step {
                Step::File { path, text } => project.write(&path, text),
                Step::Run { line, output } => {
                    let words = page::shell_words(&line);
                    let outcome = project.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
                    let place = format!("{}: pipeline {line}", page.path.display());
                    let fails = output.iter().any(|line| line.starts_with("error:"));
                    assert_eq!(outcome.exit() != Some(0), fails, "{place}: {outcome:?}");
                    let printed = format!("{}\n{}", outcome.stdout, outcome.stderr);
                    let printed: BTreeSet<String> = printed.lines().map(steady).collect();
                    for line in output.iter().map(|line| steady(line)) {
                        assert!(printed.contains(&line), "{place}: {line:?} is not in {printed:#?}");
                    }
                    run += 1;
                }
            }
        }
    }
    run
}

#[test]
fn the_tutorial_does_what_it_shows() {
    let project = Project::with_examples();
    let run = follow(
        &project,
        &[
            "docs/tutorial/first-run.md",
            "docs/tutorial/look-at-the-data.md",
            "docs/tutorial/your-first-source.md",
        ],
    );
    assert!(run >= 13, "only {run} commands were run");
}

#[test]
fn the_guides_to_sources_views_and_checks_work() {
    let project = Project::with_examples();
    let run = follow(
        &project,
        &[
            "docs/how-to/add-a-source.md",
            "docs/how-to/add-a-view.md",
            "docs/how-to/add-a-check.md",
            "docs/how-to/test-a-transform.md",
            "docs/reference/lineage.md",
        ],
    );
    assert!(run >= 11, "only {run} commands were run");
    assert_eq!(
        project.query("select count(*), count(distinct visit_id) from visits where source = 'clinic_f'"),
        ["2,2"]
    );
}

/// Each is a project of its own, from an empty folder.
#[test]
fn the_guides_to_kinds_and_deltas_work() {
    let kinds = Project::new();
    assert_eq!(follow(&kinds, &["docs/how-to/many-kinds.md"]), 3);
    let between = "select d.diagnosed - p.born from diagnoses d join patients p using (patient_id)";
    // The days between two dates of a person stay what they were.
    assert_eq!(kinds.query(between), ["14610"]);
    let deltas = Project::new();
    assert_eq!(follow(&deltas, &["docs/how-to/load-deltas.md"]), 4);
    assert_eq!(
        deltas.query("select patient_id is not null from observations_latest"),
        ["t"]
    );
}

#[test]
fn the_guide_to_proposing_a_source_works() {
    let project = Project::with_examples();
    assert_eq!(follow(&project, &["docs/how-to/propose-a-source.md"]), 3);
    let sql = "select count(*), count(distinct v.provider_notes_author) from visits v join patients p \
               using (patient_id, source, batch_date) where source = 'clinic_g' and p.name is not null";
    assert_eq!(project.query(sql), ["2,1"]);
}

#[test]
fn the_readme_loads_a_source_in_ten_lines() {
    let project = Project::with_examples();
    assert_eq!(follow(&project, &["README.md"]), 4);
    assert_eq!(
        project.query("select count(*), count(distinct patient_id) from patients where source = 'clinic_e'"),
        ["1,1"]
    );
    let readme = page("README.md");
    let written: usize = readme
        .steps()
        .iter()
        .filter_map(|step| match step {
            Step::File { text, .. } => Some(text.lines().count()),
            Step::Run { .. } => None,
        })
        .sum();
    assert_eq!(written + 1, 10, "and one command");
}

/// docs/make_pictures.py draws the picture from the tutorial.
#[test]
fn the_picture_shows_what_the_tutorial_does() {
    let picture = fs::read_to_string(repository().join("docs/pictures/session.svg")).unwrap();
    let text = Regex::new(r">([^<>]*)</text>").unwrap();
    let drawn: String = text
        .captures_iter(&picture)
        .map(|captures| {
            captures[1]
                .trim_start()
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&")
        })
        .collect::<Vec<_>>()
        .join(" ");
    let first = page("docs/tutorial/first-run.md");
    let Step::Run { line, output } = &first.steps()[0] else {
        panic!("the tutorial begins with a command");
    };
    for line in output.iter().chain([line]) {
        assert!(
            drawn.contains(line.as_str()),
            "run docs/make_pictures.py: {line:?} is not in {drawn:?}"
        );
    }
}

#[test]
fn the_second_command_of_the_readme_is_this_suite() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    assert!(
        readme.contains("bash tests/run"),
        "README should name the command that runs the tests"
    );
    assert!(repository().join("tests/run").exists());
}

#[test]
fn no_document_names_this_machine() {
    for page in pages() {
        for word in ["/work/", "/root/", "/tmp/wt"] {
            assert!(!page.text.contains(word), "{} holds {word}", page.path.display());
        }
    }
}
