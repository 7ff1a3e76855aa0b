//! Checks licences, sources and duplicate versions by the same `deny.toml` as `cargo deny`. It is for machines without
//! that tool, which takes minutes to build. Advisories need the tool's database, so only `cargo deny` checks them.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::harness::repository;

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The quoted words of a list in `deny.toml`, which has one entry per line.
fn list(section: &str, key: &str) -> Vec<String> {
    let text = fs::read_to_string(repository().join("deny.toml")).unwrap();
    let section = text
        .split(&format!("\n[{section}]\n"))
        .nth(1)
        .unwrap_or_else(|| panic!("deny.toml has no [{section}]"));
    let body = section
        .split(&format!("\n{key} = [\n"))
        .nth(1)
        .unwrap_or_else(|| panic!("no {key} in [{section}]"));
    let body = body.split("\n]").next().unwrap();
    body.lines()
        .filter_map(|line| line.split('"').nth(1))
        .map(str::to_owned)
        .collect()
}

/// Whether the allowed licences alone can satisfy an SPDX expression.
fn allowed(expression: &str, licences: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ")
        .replace(" WITH ", "~");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = either(&tokens, &mut at, licences);
    assert_eq!(at, tokens.len(), "can't read the licence {expression:?}");
    met
}

fn either(tokens: &[&str], at: &mut usize, licences: &[String]) -> bool {
    let mut met = both(tokens, at, licences);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        met |= both(tokens, at, licences);
    }
    met
}

fn both(tokens: &[&str], at: &mut usize, licences: &[String]) -> bool {
    let mut met = one(tokens, at, licences);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(tokens, at, licences);
    }
    met
}

fn one(tokens: &[&str], at: &mut usize, licences: &[String]) -> bool {
    let token = tokens[*at];
    *at += 1;
    if token == "(" {
        let met = either(tokens, at, licences);
        assert_eq!(tokens.get(*at), Some(&")"));
        *at += 1;
        return met;
    }
    let token = token.replace('~', " WITH ");
    licences.contains(&token)
}

#[test]
fn licences_are_allowed_ones() {
    let (metadata, licences) = (metadata(), list("licenses", "allow"));
    let text = fs::read_to_string(repository().join("deny.toml")).unwrap();
    let mut refused = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let met = match package["license"].as_str() {
            Some(licence) => allowed(licence, &licences),
            // Some crates have only a licence file. A person has read it and listed the crate in `deny.toml`.
            None => text.contains(&format!("crate = \"{name}\"\n")),
        };
        if !met {
            refused.push(format!("{name}: {}", package["license"]));
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn licence_expressions_are_understood() {
    let licences: Vec<String> = ["MIT", "Apache-2.0 WITH LLVM-exception", "ISC"]
        .map(str::to_owned)
        .to_vec();
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND ISC", true),
        ("MIT OR GPL-3.0 AND GPL-2.0", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
    ] {
        assert_eq!(allowed(expression, &licences), met, "{expression}");
    }
}

#[test]
fn packages_come_from_one_registry() {
    let metadata = metadata();
    let members: Vec<&Value> = metadata["workspace_members"].as_array().unwrap().iter().collect();
    let mut sources = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        match package["source"].as_str() {
            Some(source) => {
                assert!(source.starts_with("registry+"), "{} is from {source}", package["name"]);
                sources.insert(source);
            }
            None => assert!(
                members.contains(&&package["id"]),
                "{} is a path of its own",
                package["name"]
            ),
        }
    }
    assert_eq!(sources.len(), 1, "{sources:?}");
}

#[test]
fn what_must_be_one_version_is() {
    let metadata = metadata();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        versions
            .entry(package["name"].as_str().unwrap())
            .or_default()
            .insert(package["version"].as_str().unwrap());
    }
    let single = list("bans", "deny");
    assert!(single.len() >= 5);
    for name in single {
        let found = versions
            .get(name.as_str())
            .unwrap_or_else(|| panic!("deny.toml names {name}, which nothing needs"));
        assert_eq!(found.len(), 1, "{name}: {found:?}");
    }
}

#[test]
fn every_direct_dependency_says_why() {
    let metadata = metadata();
    let text = fs::read_to_string(repository().join("docs/reference/dependencies.md")).unwrap();
    let root = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|package| package["name"] == "healthcare-insights")
        .unwrap();
    let direct: BTreeSet<&str> = root["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dependency| dependency["name"].as_str().unwrap())
        .collect();
    let missing: Vec<&&str> = direct
        .iter()
        .filter(|name| {
            !text
                .lines()
                .any(|line| line.contains(&format!("`{name}`")) || line.contains(&format!("| {name} |")))
        })
        .collect();
    assert!(
        missing.is_empty(),
        "docs/reference/dependencies.md has no line for {missing:?}"
    );
}
