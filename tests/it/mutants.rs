//! `.cargo/mutants.toml` names files. cargo-mutants does not report a name that matches no file. After a rename, it
//! would silently test fewer files and find fewer faults.
use crate::harness::repository;

/// The quoted words of a list.
fn list(text: &str, key: &str) -> Vec<String> {
    let body = text
        .split(&format!("\n{key} = ["))
        .nth(1)
        .unwrap_or_else(|| panic!("no {key}"));
    let body = body.split("\n]").next().unwrap();
    body.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split('"').nth(1))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_module_that_guards_data_is_there() {
    let text = std::fs::read_to_string(repository().join(".cargo/mutants.toml")).unwrap();
    let globs = list(&text, "examine_globs");
    assert!(globs.len() > 10, "{globs:?}");
    let matches = |pattern: &String| {
        let pattern = repository().join(pattern);
        glob::glob(pattern.to_str().unwrap()).unwrap().count()
    };
    let stale: Vec<&String> = globs.iter().filter(|pattern| matches(pattern) == 0).collect();
    assert!(
        stale.is_empty(),
        "no file matches {stale:?}: write into .cargo/mutants.toml what they are called now"
    );
}
