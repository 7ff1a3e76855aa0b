//! Tests that the code keeps to the arrows in ARCHITECTURE.md: which folder of `src` may use which. It also tests that
//! no folders, and no files of one folder, use one another in a circle.
//!
//! The test reads `use` lines and paths that begin with `crate`, `self` or `super`. A `pub use` does not count as a
//! use. Code that imports an item through it counts as using the file that defines the item. Test modules are left out.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex::Regex;

use crate::harness::repository;

/// The path of a module from the crate's root: `["ingest", "split", "json"]`.
type Module = Vec<String>;

/// The source text of a crate, without comments, strings and tests.
struct Sources(BTreeMap<Module, String>);

/// The modules that each module uses. An item counts for the module that defines it.
type Uses = BTreeMap<Module, BTreeSet<Module>>;

impl Sources {
    fn read(folder: &Path) -> Self {
        let mut modules = BTreeMap::new();
        let mut folders = vec![(folder.to_owned(), Module::new())];
        while let Some((folder, module)) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                let mut inner = module.clone();
                if path.is_dir() {
                    inner.push(name);
                    folders.push((path, inner));
                } else if path.extension().is_some_and(|ending| ending == "rs") && name != "main" {
                    if !matches!(&*name, "mod" | "lib") {
                        inner.push(name);
                    }
                    modules.insert(inner, code(&fs::read_to_string(&path).unwrap()));
                }
            }
        }
        modules.retain(|module, _| !module.iter().any(|name| is_test(name)));
        Self(modules)
    }

    fn uses(&self) -> Uses {
        let statements = Regex::new(r"(pub(?:\([^)]*\))?\s+)?\buse\s+([^;]+);").unwrap();
        let inline = Regex::new(r"\b(?:crate|super|self)(?:::\w+)+").unwrap();
        let mut exports: BTreeMap<&Module, BTreeMap<String, Module>> = BTreeMap::new();
        let mut paths: BTreeMap<&Module, Vec<Module>> = BTreeMap::new();
        for (module, text) in &self.0 {
            for statement in statements.captures_iter(text) {
                for (path, name) in leaves(&statement[2]) {
                    let Some(path) = self.absolute(module, &path) else {
                        continue;
                    };
                    if statement.get(1).is_none() {
                        paths.entry(module).or_default().push(path.clone());
                    }
                    exports.entry(module).or_default().insert(name, path);
                }
            }
            for path in inline.find_iter(&statements.replace_all(text, "")) {
                let path: Vec<String> = path.as_str().split("::").map(str::to_owned).collect();
                paths.entry(module).or_default().extend(self.absolute(module, &path));
            }
        }
        let defined = |(module, paths): (&Module, Vec<Module>)| {
            let others = paths.iter().filter_map(|path| self.defined(path, &exports, 0));
            (module.clone(), others.filter(|other| other != module).collect())
        };
        paths.into_iter().map(defined).collect()
    }

    /// The path from the crate's root. `None` for a path into another crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        let (mut base, mut rest) = (module.clone(), path);
        match path.first()?.as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|step| step == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            first => {
                base.push(first.to_owned());
                if path.len() < 2 || !self.0.contains_key(&base) {
                    return None;
                }
                base.pop();
            }
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The module that defines the item at a path, found through re-exports.
    fn defined(
        &self,
        path: &Module,
        exports: &BTreeMap<&Module, BTreeMap<String, Module>>,
        depth: usize,
    ) -> Option<Module> {
        let length = (0..=path.len())
            .rev()
            .find(|length| self.0.contains_key(&path[..*length]))?;
        let module = path[..length].to_vec();
        let exported = path.get(length).and_then(|name| exports.get(&module)?.get(name));
        match exported {
            Some(target) if target != path && depth < 8 => {
                let target: Module = target.iter().chain(&path[length + 1..]).cloned().collect();
                self.defined(&target, exports, depth + 1).or(Some(module))
            }
            _ => Some(module),
        }
    }
}

fn is_test(name: &str) -> bool {
    matches!(name, "tests" | "testing") || name.ends_with("_tests")
}

/// The code without comments and strings, and without what is compiled only for tests.
fn code(text: &str) -> String {
    // In one pass, since each of them may hold what begins another. A text may go on over lines.
    let quoted = r##"(?s)//[^\n]*|r#".*?"#|r"[^"]*"|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])'"##;
    let text = Regex::new(quoted).unwrap().replace_all(text, "");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let test_line = Regex::new(r"#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))?\s+)?(?:use[^;]*|mod \w+);").unwrap();
    test_line.replace_all(text, "").into_owned()
}

/// The paths of a `use` declaration, each with the name that it imports.
fn leaves(tree: &str) -> Vec<(Module, String)> {
    let tree = tree.trim();
    if let Some((stem, rest)) = tree.split_once('{') {
        let stem: Module = stem
            .split("::")
            .map(str::trim)
            .filter(|step| !step.is_empty())
            .map(str::to_owned)
            .collect();
        let (mut found, mut depth, mut part) = (Vec::new(), 0, String::new());
        for char in rest.trim_end().trim_end_matches('}').chars().chain([',']) {
            depth += i32::from(char == '{') - i32::from(char == '}');
            if char == ',' && depth == 0 {
                let inner = leaves(&std::mem::take(&mut part));
                found.extend(
                    inner
                        .into_iter()
                        .map(|(path, name)| ([stem.clone(), path].concat(), name)),
                );
            } else {
                part.push(char);
            }
        }
        return found
            .into_iter()
            .map(|(mut path, name)| {
                if path.last().is_some_and(|step| step == "self") {
                    path.pop();
                }
                let name = if name == "self" {
                    path.last().cloned().unwrap_or_default()
                } else {
                    name
                };
                (path, name)
            })
            .collect();
    }
    let (path, alias) = tree
        .split_once(" as ")
        .map_or((tree, None), |(path, alias)| (path, Some(alias)));
    let path: Module = path.split("::").map(|step| step.trim().to_owned()).collect();
    if path == [""] {
        return Vec::new();
    }
    let name = alias.map_or_else(|| path[path.len() - 1].clone(), |alias| alias.trim().to_owned());
    vec![(path, name)]
}

/// A circle in a graph, if there is one.
fn circle(graph: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut left: BTreeMap<&String, BTreeSet<&String>> = graph
        .iter()
        .map(|(node, used)| (node, used.iter().filter(|one| graph.contains_key(*one)).collect()))
        .collect();
    while let Some(free) = left.iter().find(|(_, used)| used.is_empty()).map(|(node, _)| *node) {
        left.remove(free);
        for used in left.values_mut() {
            used.remove(free);
        }
    }
    // Everything that is left uses something that is left. So following these uses must lead into a circle.
    let mut way = vec![*left.keys().next()?];
    loop {
        let next = left[way[way.len() - 1]].first().copied()?;
        if let Some(start) = way.iter().position(|seen| *seen == next) {
            return Some(way[start..].iter().map(|node| (*node).clone()).collect());
        }
        way.push(next);
    }
}

/// The uses between the files and folders directly in a folder. `.` stands for the folder's own file.
fn inside(folder: &[String], uses: &Uses) -> BTreeMap<String, BTreeSet<String>> {
    let child = |module: &Module| {
        let inner = module.strip_prefix(folder)?;
        Some(inner.first().cloned().unwrap_or_else(|| ".".to_owned()))
    };
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, others) in uses {
        let Some(from) = child(module) else { continue };
        let others = others.iter().filter_map(child).filter(|to| *to != from);
        graph.entry(from.clone()).or_default().extend(others);
    }
    graph
}

/// The arrows under a heading of ARCHITECTURE.md. Each line is `folder: the folders that it may use`.
fn allowed(heading: &str) -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let section = text.split(&format!("\n## {heading}\n")).nth(1);
    let section = section.unwrap_or_else(|| panic!("ARCHITECTURE.md has no section {heading:?}"));
    let block = section.split("```").nth(1).expect("a block of arrows");
    let mut arrows = BTreeMap::new();
    for line in block.lines().skip(1) {
        let (folder, used) = line.split_once(':').unwrap_or_else(|| panic!("not an arrow: {line:?}"));
        arrows.insert(
            folder.trim().to_owned(),
            used.split_whitespace().map(str::to_owned).collect(),
        );
    }
    arrows
}

fn uses_of_the_crate() -> Uses {
    Sources::read(&repository().join("src")).uses()
}

fn holds_to(folder: &[String], heading: &str) {
    let (uses, allowed) = (uses_of_the_crate(), allowed(heading));
    let found = inside(folder, &uses);
    for (from, used) in &found {
        if from == "." {
            continue;
        }
        let may = allowed
            .get(from)
            .unwrap_or_else(|| panic!("ARCHITECTURE.md, {heading}: `{from}` is missing"));
        for to in used.iter().filter(|to| *to != ".") {
            assert!(
                may.contains(to),
                "`{from}` uses `{to}`, which ARCHITECTURE.md, {heading}, does not allow"
            );
        }
    }
    for (from, may) in &allowed {
        assert!(
            found.contains_key(from) || may.is_empty(),
            "ARCHITECTURE.md, {heading}: there is no `{from}`"
        );
        for to in may {
            assert!(
                found[from].contains(to),
                "`{from}` does not use `{to}`: take the arrow out of ARCHITECTURE.md, {heading}"
            );
        }
    }
}

#[test]
fn folders_use_only_those_that_they_may() {
    holds_to(&[], "Which folder may use which");
}

#[test]
fn the_warehouse_uses_its_own_folders_downwards() {
    holds_to(&["warehouse".to_owned()], "Inside the warehouse");
}

#[test]
fn neither_files_nor_folders_use_one_another_in_a_circle() {
    let uses = uses_of_the_crate();
    assert!(uses.len() > 150, "only {} files were read", uses.len());
    let mut folders: BTreeSet<Module> = BTreeSet::new();
    for module in uses.keys() {
        folders.extend((0..=module.len()).map(|length| module[..length].to_vec()));
    }
    for folder in folders {
        let circle = circle(&inside(&folder, &uses));
        assert!(
            circle.is_none(),
            "in src/{}: {}",
            folder.join("/"),
            circle.unwrap().join(" -> ")
        );
    }
}

/// The documentation lists all codes of errors; one that no error has would promise what never comes.
#[test]
fn every_code_of_an_error_is_given_to_one() {
    let sources = Sources::read(&repository().join("src")).0;
    let declared = &sources[&["error", "code"].map(str::to_owned)[..]];
    let codes: BTreeSet<&str> = Regex::new(r"Self::(\w+) =>")
        .unwrap()
        .captures_iter(declared)
        .map(|captures| captures.get(1).unwrap().as_str())
        .collect();
    assert!(codes.len() > 20, "{codes:?}");
    let given = |code: &&str| {
        let given = Regex::new(&format!(r"\bCode::{code}\b")).unwrap();
        sources.values().any(|text| given.is_match(text))
    };
    let never: Vec<&&str> = codes.iter().filter(|code| !given(code)).collect();
    assert!(never.is_empty(), "no error has the code {never:?}");
}

#[test]
fn no_file_is_longer_than_400_lines() {
    let mut folders = vec![repository().join("src")];
    let mut long = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if is_test(path.file_stem().unwrap().to_str().unwrap()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let lines = fs::read_to_string(&path).unwrap().lines().count();
                long.extend((lines > 400).then(|| format!("{}: {lines}", path.display())));
            }
        }
    }
    assert!(long.is_empty(), "look for the seam in {long:#?}");
}

#[test]
fn reads_uses_as_the_compiler_does() {
    let modules = [
        ("", "pub mod a; pub mod b;"),
        ("a", "mod inner; pub use inner::Thing; mod other;"),
        ("a/inner", "pub struct Thing; // use super::other;"),
        (
            "a/other",
            "use super::inner::{self, Thing as Other};\n#[cfg(test)]\nuse crate::b;\n#[cfg(test)]\nmod tests { use crate::b; }",
        ),
        (
            "b",
            r##"fn f() { let quote = '"'; let raw = r#"crate::a::other " "#; // "
                let text = "crate::a::other \
                            crate::a::other";
                crate::a::Thing; } use std::fmt;"##,
        ),
    ];
    let split = |path: &str| {
        path.split('/')
            .filter(|step| !step.is_empty())
            .map(str::to_owned)
            .collect::<Module>()
    };
    let sources = Sources(modules.map(|(path, text)| (split(path), code(text))).into());
    let uses = sources.uses();
    let of = |path: &str| uses.get(&split(path)).cloned().unwrap_or_default();
    assert_eq!(of("a/other"), BTreeSet::from([split("a/inner")]));
    assert_eq!(
        of("b"),
        BTreeSet::from([split("a/inner")]),
        "the file that defines it, behind `pub use`"
    );
    assert_eq!(of("a"), BTreeSet::new(), "a re-export is no use");
    let graph = |edges: &[(&str, &str)]| {
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            graph.entry((*to).to_owned()).or_default();
        }
        graph
    };
    assert_eq!(circle(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    assert_eq!(
        circle(&graph(&[("z", "a"), ("a", "b"), ("b", "c"), ("c", "a")])).map(|way| way.len()),
        Some(3)
    );
}
