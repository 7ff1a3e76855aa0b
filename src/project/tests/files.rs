//! Tests of problems with a project's folders and files, and of reporting them all at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use insta::assert_snapshot;

use super::Files;
use crate::error::Kind;
use crate::model::ViewKind;
use crate::project::{find_root, load};
use crate::report::diagnostics::render;
use crate::workspace;

#[test]
fn views_are_found() {
    let files = Files::good()
        .with("sql/views/b.sql", "SELECT 1")
        .with("sql/views/a.sql", "SELECT 1")
        .with("sql/views/README.md", "")
        .with("sql/functions/f.sql", "CREATE FUNCTION f")
        .with("sql/materialized/m.sql", "SELECT 1");
    let views = files.load().expect("a good project").views;
    let found: Vec<_> = views.iter().map(|view| (view.name.as_str(), view.kind)).collect();
    let expected = [
        ("f", ViewKind::Function),
        ("a", ViewKind::View),
        ("b", ViewKind::View),
        ("m", ViewKind::Materialized),
    ];
    assert_eq!(found, expected);
}

#[test]
fn views_with_problems() {
    let files = Files::good()
        .with("sql/views/visitsByDay.sql", "SELECT 1")
        .with("sql/views/patients.sql", "SELECT 1")
        .with("sql/views/a.sql", "SELECT 1")
        .with("sql/views/empty.sql", "-- nothing yet\n")
        .with("sql/materialized/a.sql", "SELECT 1");
    assert_snapshot!(files.problems(), @r#"
    sql/materialized/a.sql:1:1+1: `a` is made by sql/views/a.sql already
        rename one of the two files
    sql/views/empty.sql:1:1+1: the file holds no SQL
        write a SELECT into it, or remove it
    sql/views/patients.sql:1:1+1: `patients` is an entity, so no view can have that name
        rename the file
    sql/views/visitsByDay.sql:1:1+1: `visitsByDay` can't be the name of a view or function
        rename the file: use a-z, 0-9 and _, with no digit first: `visits_by_day`
    "#);
}

#[test]
fn transforms_with_problems() {
    let files = Files::good()
        .with("sql/clinic/visit.sql", "SELECT 1")
        .with("sql/clinic/visits.sql", "/* later */");
    assert_snapshot!(files.problems(), @r#"
    sql/clinic/visit.sql:1:1+1: pipeline.yaml declares no entity `visit`
        did you mean `visits.sql`?
    sql/clinic/visits.sql:1:1+1: the file holds no SQL
        write a SELECT into it, or remove it
    "#);
    let files = Files::good().source("aliases: [c]", "transforms: sql/clinc");
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:2:13+9: the folder sql/clinc does not exist
        it holds the source's transforms, one file per entity: sql/clinc/patients.sql
    "#);
    let files = Files::good()
        .without("sql/clinic/visits.sql")
        .without("sql/clinic/patients.sql");
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:1:7+6: the folder sql/clinic does not exist
        it holds the source's transforms, one file per entity: sql/clinic/patients.sql
    "#);
    let files = Files::good()
        .without("sql/clinic/visits.sql")
        .without("sql/clinic/patients.sql")
        .with("sql/clinic/README.md", "");
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:1:7+6: the source `clinic` serves no entity: sql/clinic holds no .sql file
        write one file per entity that the source serves: sql/clinic/patients.sql
    "#);
    let files = Files::good().source("aliases: [c]", "transforms: pipeline.yaml");
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:2:13+13: pipeline.yaml is no folder
        it holds the source's transforms, one file per entity: pipeline.yaml/patients.sql
    "#);
}

#[test]
fn a_project_without_sources() {
    assert_snapshot!(Files::good().without("pipelines/clinic.yaml").problems(), @r#"
    pipelines:1:1+1: the project has no folder `pipelines`, so no source
        a file pipelines/<name>.yaml makes a source: name, input, schema
    "#);
    assert_snapshot!(Files::good().without("pipelines/clinic.yaml").with_folder("pipelines").problems(), @r#"
    pipelines:1:1+1: the project has no source
        a file pipelines/<name>.yaml makes a source: name, input, schema
    "#);
    let files = Files::good()
        .without("pipelines/clinic.yaml")
        .with("pipelines/clinic.yml", super::SOURCE);
    assert_snapshot!(files.problems(), @r#"
    pipelines:1:1+1: the project has no source
        a file pipelines/<name>.yaml makes a source: name, input, schema
    pipelines/clinic.yml:1:1+1: a source's file ends in .yaml, so this one is not read
        rename it to pipelines/clinic.yaml
    "#);
}

#[test]
fn a_folder_without_project() {
    let root = tempfile::tempdir().expect("a folder");
    let here = root.path().display().to_string();
    let error = load(root.path()).expect_err("no project");
    assert_eq!(error.kind, Kind::Project);
    assert_snapshot!(render(&error, false).replace(&here, "HERE"), @r#"
    error: HERE is no project: it holds no pipeline.yaml
    hint: name a project's folder: --project DIR, or declare the entities in a pipeline.yaml there
    "#);
    let error = find_root(root.path()).expect_err("no project");
    assert_snapshot!(render(&error, false).replace(&here, "HERE"), @r#"
    error: no project found: neither HERE nor a folder above it holds pipeline.yaml
    hint: go into a project's folder, or name it: --project DIR
    "#);
}

#[test]
fn the_root_is_found_upward() {
    let root = Files::good().write();
    assert_eq!(
        find_root(&root.path().join("sql/clinic")).ok().as_deref(),
        Some(root.path())
    );
    assert_eq!(find_root(root.path()).ok().as_deref(), Some(root.path()));
}

#[test]
fn files_that_are_not_text() {
    let root = Files::good().write();
    std::fs::write(root.path().join("sql/clinic/visits.sql"), b"SELECT '\xe9'").expect("a file");
    std::fs::write(root.path().join("pipelines/clinic.yaml"), b"name: \xff").expect("a file");
    let error = load(root.path()).expect_err("no UTF-8");
    assert_snapshot!(render(&error, false), @r#"
    error: the project has a problem

    error: the file is not UTF-8
    --> pipelines/clinic.yaml:1:1
     = hint: save it in the encoding UTF-8
    "#);
}

#[test]
fn a_syntax_error_leaves_the_other_files_checked() {
    let files = Files::good()
        .with("pipeline.yaml", "entities: [\n")
        .source("aliases: [c]", "alias: [c]");
    assert_snapshot!(render(&files.error(), false), @r#"
    error: the project has 2 problems

    error: this is no YAML: unclosed bracket '['
     --> pipeline.yaml:1:11
      |
    1 | entities: [
      |           ^

    error: unknown key `alias`
     --> pipelines/clinic.yaml:2:1
      |
    2 | alias: [c]
      | ^^^^^
      |
      = hint: did you mean `aliases`?
    "#);
    let levels = (1..10).map(|level| {
        format!(
            "a{level}: &a{level} [{}]",
            vec![format!("*a{}", level - 1); 9].join(",")
        )
    });
    let bomb = ["a0: &a0 [x,x,x,x,x,x,x,x,x]".to_owned()].into_iter().chain(levels);
    let files = Files::good()
        .with("pipelines/bomb.yaml", bomb.collect::<Vec<_>>().join("\n"))
        .source("aliases: [c]", "alias: [c]");
    assert_snapshot!(files.problems(), @r#"
    pipelines/bomb.yaml:5:26+3: the YAML is too large for a project file, its aliases expanded
        a file may hold 50,000 values, and 1,000 aliases and anchors
    pipelines/clinic.yaml:2:1+5: unknown key `alias`
        did you mean `aliases`?
    "#);
}

#[test]
fn an_anchor_used_twice_is_reported_once() {
    let files = Files::good().with(
        "pipelines/clinic.yaml",
        "name: clinic\ninput: {path: \"{date}\"}\nschema:\n  a: {struct: &s {x: strng}}\n  b: {struct: *s}\n",
    );
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:4:22+5: `strng` is no type of a field
        did you mean `string`?
    "#);
}

/// Three files with ten problems.
fn ten_problems() -> Files {
    Files::good()
        .with(
            "pipelines/a.yaml",
            "name: a\ninput: {path: x, formt: csv}\nschema: {x: strng}\non_unknown_field: no\n",
        )
        .with("sql/a/visits.sql", "SELECT 1")
        .with(
            "pipelines/clinic.yaml",
            "name: clinc\naliases: c\ninput: {path: \"{date}\"}\nschema: {x: {type: int, domain: d}}\n",
        )
        .with(
            "pipeline.yaml",
            super::CONTRACT
                .replace("name: test", "nam: test")
                .replace("      name: text", "      name: txt\n      name: text"),
        )
}

#[test]
fn ten_problems_of_three_files_come_in_order() {
    let files = ten_problems();
    assert_eq!(files.error().diagnostics.len(), 10);
    assert_snapshot!(render(&files.error(), false), @r#"
    error: the project has 10 problems

    error: unknown key `nam`
     --> pipeline.yaml:1:1
      |
    1 | nam: test
      | ^^^
      |
      = hint: did you mean `name`?

    error: `txt` is no PostgreSQL type that a contract may name
     --> pipeline.yaml:7:13
      |
    7 |       name: txt
      |             ^^^
      |
      = hint: did you mean `text`?

    error: the key `name` is given twice
     --> pipeline.yaml:8:7
      |
    8 |       name: text
      |       ^^^^
      |
      = hint: it stands in line 7 already: keep one of them

    error: the path has no `{date}`: every batch would read the same files
     --> pipelines/a.yaml:2:15
      |
    2 | input: {path: x, formt: csv}
      |               ^
      |
      = hint: put the batch's date where the path has it: data/{date:%Y%m%d}/visits.json

    error: unknown key `formt`
     --> pipelines/a.yaml:2:18
      |
    2 | input: {path: x, formt: csv}
      |                  ^^^^^
      |
      = hint: did you mean `format`?

    error: `strng` is no type of a field
     --> pipelines/a.yaml:3:13
      |
    3 | schema: {x: strng}
      |             ^^^^^
      |
      = hint: did you mean `string`?

    error: `on_unknown_field` can't be `no`
     --> pipelines/a.yaml:4:19
      |
    4 | on_unknown_field: no
      |                   ^^
      |
      = hint: write warn, ignore or fail

    error: the source `clinc` lies in a file of another name
     --> pipelines/clinic.yaml:1:7
      |
    1 | name: clinc
      |       ^^^^^
      |
      = hint: call the file pipelines/clinc.yaml, or the source `clinic`

    error: `aliases` must be a list, not text
     --> pipelines/clinic.yaml:2:10
      |
    2 | aliases: c
      |          ^
      |
      = hint: write it in brackets: [c]

    error: `x` has a domain, but its mask uses none
     --> pipelines/clinic.yaml:4:10
      |
    4 | schema: {x: {type: int, domain: d}}
      |          ^
      |
      = hint: `domain` goes with `mask: hash`, `mask: pseudonym` and `mask: surrogate`
    "#);
}

#[test]
fn a_hostile_number_of_problems_is_cut() {
    let keys: Vec<String> = (0..20_000).map(|key| format!("k{key}: 1")).collect();
    let files = Files::good().with("pipelines/clinic.yaml", format!("{{{}}}", keys.join(", ")));
    let error = files.error();
    assert_eq!(error.diagnostics.len(), 1_000);
    assert!(render(&error, false).len() < 1_000_000);
}

/// An editor's texts stand in place of the files, and among them where there is no file yet.
#[test]
fn unsaved_texts_come_before_the_files() {
    let root = tempfile::tempdir().unwrap();
    let saved = [
        ("pipeline.yaml", "name: a\nentities: {items: {columns: {id: text}}}\n"),
        (
            "pipelines/old.yaml",
            "name: old\ninput: {path: \"a-{date}.json\"}\nschema: {id: string}\n",
        ),
        ("sql/old/items.sql", "select id from source\n"),
    ];
    for (path, text) in saved {
        fs::create_dir_all(root.path().join(path).parent().unwrap()).unwrap();
        fs::write(root.path().join(path), text).unwrap();
    }
    let load = |unsaved: &[(&str, &str)]| {
        let unsaved: BTreeMap<PathBuf, String> = unsaved
            .iter()
            .map(|(path, text)| ((*path).into(), (*text).to_owned()))
            .collect();
        let files = workspace::Files::with_unsaved(root.path(), unsaved);
        crate::project::load_files(&files)
    };
    let project = load(&[
        ("sql/old/items.sql", "\u{feff}select 1 as id\n"),
        (
            "pipelines/new.yaml",
            "name: new\ninput: {path: \"b-{date}.json\"}\nschema: {no: string}\n",
        ),
        ("sql/new/items.sql", "select no as id from source\n"),
        ("sql/views/all_items.sql", "select id from items\n"),
    ])
    .unwrap();
    let sql: Vec<&str> = project
        .sources
        .iter()
        .map(|source| source.transforms[0].sql.as_str())
        .collect();
    assert_eq!(sql, ["select no as id from source\n", "select 1 as id\n"]);
    assert_eq!(project.views[0].name, "all_items");
    let error = load(&[("pipelines/old.yaml", "name: old\nnam")]).unwrap_err();
    assert_eq!(
        error.diagnostics[0].location.as_ref().unwrap().file,
        PathBuf::from("pipelines/old.yaml")
    );
    assert!(load(&[]).unwrap().views.is_empty());
}
