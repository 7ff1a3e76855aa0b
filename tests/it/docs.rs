//! What README and docs/ name exists: commands, options, files.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::harness::{Project, repository};

fn documents() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"]
        .iter()
        .map(|name| repository().join(name))
        .collect();
    let mut docs: Vec<PathBuf> = fs::read_dir(repository().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    docs.sort();
    paths.extend(
        docs.into_iter()
            .filter(|path| path.extension().is_some_and(|ending| ending == "md")),
    );
    paths
        .into_iter()
        .map(|path| {
            (
                path.clone(),
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            )
        })
        .collect()
}

/// The command lines of a document: whatever follows `pipeline` or `cargo run ... --` in code.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let start =
        Regex::new(r"(?:^|\$ |`|&& |; )(?:\./target/\w+/)?(?:pipeline|cargo run[^`\n]*? --) +([a-z-][^`\n]*)").unwrap();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        if !in_block && !line.contains('`') {
            continue;
        }
        for captures in start.captures_iter(line.trim_start()) {
            if !in_block && !captures[0].starts_with('`') {
                continue;
            }
            let words = captures[1].split(" #").next().unwrap_or_default();
            found.push(words.split_whitespace().map(str::to_owned).collect());
        }
    }
    found
}

fn help(words: &[&str]) -> String {
    let mut args = words.to_vec();
    args.push("--help");
    Project::new().run(&args).code(0).stdout
}

#[test]
fn every_command_and_option_that_is_named_exists() {
    let top = help(&[]);
    let names = Regex::new(r"(?m)^  ([a-z][a-z-]*) ").unwrap();
    let known: BTreeSet<String> = names
        .captures_iter(&top)
        .map(|captures| captures[1].to_owned())
        .collect();
    assert!(known.contains("run") && known.contains("serve-db"), "{known:?}");
    let mut checked = 0;
    for (path, text) in documents() {
        for words in commands(&text) {
            let Some(command) = words.first().filter(|word| !word.starts_with('-')) else {
                continue;
            };
            let place = format!("{}: pipeline {}", path.display(), words.join(" "));
            assert!(known.contains(command), "{place}: there is no command `{command}`");
            let mut sub = vec![command.as_str()];
            if command == "migration" {
                sub.push("new");
            } else if command == "quarantine" {
                sub.push("show");
            }
            let help = help(&sub);
            for option in words.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                let name = option.split('=').next().unwrap().trim_end_matches([',', '.', ')', ']']);
                assert!(help.contains(name), "{place}: there is no option `{name}`");
            }
            checked += 1;
        }
    }
    assert!(checked >= 10, "only {checked} commands were found in the documents");
}

#[test]
fn every_command_of_the_program_is_in_the_readme() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let top = help(&[]);
    for captures in Regex::new(r"(?m)^  ([a-z][a-z-]*) ").unwrap().captures_iter(&top) {
        let name = &captures[1];
        assert!(
            name == "help" || readme.contains(&format!("pipeline {name}")),
            "README does not name `pipeline {name}`"
        );
    }
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    let link = Regex::new(r"\]\(([^)#:]+)(#[^)]*)?\)").unwrap();
    for (path, text) in documents() {
        for captures in link.captures_iter(&text) {
            let target = path.parent().unwrap().join(&captures[1]);
            assert!(
                target.exists(),
                "{} links to {}, which is not there",
                path.display(),
                &captures[1]
            );
        }
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

/// No Docker here: paths and commands are checked, building and starting are not.
#[test]
fn what_docker_compose_names_exists() {
    let compose = fs::read_to_string(repository().join("docker-compose.yml")).unwrap();
    let value: serde_json::Value = serde_saphyr::from_str(&compose).unwrap();
    let services = value["services"].as_object().expect("services");
    assert!(services.len() >= 2, "postgres and the pipeline");
    for (name, service) in services {
        let known = [
            "image",
            "build",
            "environment",
            "depends_on",
            "volumes",
            "command",
            "entrypoint",
            "healthcheck",
            "ports",
            "restart",
            "working_dir",
            "user",
            "profiles",
            "init",
            "shm_size",
            "secrets",
            "env_file",
            "stop_grace_period",
        ];
        for key in service.as_object().unwrap().keys() {
            assert!(
                known.contains(&key.as_str()),
                "{name}: `{key}` is no key of a compose service that we know"
            );
        }
        assert!(
            service.get("image").is_some() || service.get("build").is_some(),
            "{name}"
        );
        if let Some(build) = service.get("build") {
            let context = build.as_str().or_else(|| build["context"].as_str()).unwrap_or(".");
            let dockerfile = build["dockerfile"].as_str().unwrap_or("Dockerfile");
            assert!(
                repository().join(context).join(dockerfile).is_file(),
                "{name}: no {dockerfile} in {context}"
            );
        }
        for volume in service["volumes"].as_array().unwrap_or(&Vec::new()) {
            let text = volume.as_str().or_else(|| volume["source"].as_str()).unwrap();
            let host = text.split(':').next().unwrap();
            if host.starts_with('.') || host.starts_with('/') {
                assert!(repository().join(host).exists(), "{name}: {host} is not there");
            } else {
                assert!(
                    value["volumes"].get(host).is_some(),
                    "{name}: the volume {host} is not declared"
                );
            }
        }
        if let Some(needs) = service.get("depends_on") {
            let named: Vec<String> = match needs {
                serde_json::Value::Array(list) => list.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
                other => other.as_object().unwrap().keys().cloned().collect(),
            };
            assert!(
                named.iter().all(|need| services.contains_key(need)),
                "{name}: {named:?}"
            );
        }
    }
    let dockerfile = fs::read_to_string(repository().join("Dockerfile")).unwrap();
    for line in dockerfile
        .lines()
        .filter(|line| line.starts_with("COPY ") && !line.contains("--from="))
    {
        let words: Vec<&str> = line
            .split_whitespace()
            .skip(1)
            .filter(|word| !word.starts_with("--"))
            .collect();
        for source in &words[..words.len() - 1] {
            assert!(
                Path::new(source) == Path::new(".") || repository().join(source).exists(),
                "Dockerfile copies {source}"
            );
        }
    }
}

#[test]
fn no_document_names_this_machine() {
    for (path, text) in documents() {
        for word in ["/work/", "/root/", "/tmp/wt"] {
            assert!(!text.contains(word), "{} holds {word}", path.display());
        }
    }
}
