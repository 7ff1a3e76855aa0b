use insta::assert_snapshot;

use super::Files;
use crate::error::Kind;
use crate::project::{ViewKind, find_root, load};
use crate::report::diagnostics::render;

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
    let expected =
        [("f", ViewKind::Function), ("a", ViewKind::View), ("b", ViewKind::View), ("m", ViewKind::Materialized)];
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
    assert_snapshot!(files.problems(), @"");
}

#[test]
fn transforms_with_problems() {
    let files = Files::good().with("sql/clinic/visit.sql", "SELECT 1").with("sql/clinic/visits.sql", "/* later */");
    assert_snapshot!(files.problems(), @"");
    let files = Files::good().source("aliases: [c]", "transforms: sql/clinc");
    assert_snapshot!(files.problems(), @"");
    let files = Files::good().without("sql/clinic/visits.sql").without("sql/clinic/patients.sql");
    assert_snapshot!(files.problems(), @"");
    let files = Files::good()
        .without("sql/clinic/visits.sql")
        .without("sql/clinic/patients.sql")
        .with("sql/clinic/README.md", "");
    assert_snapshot!(files.problems(), @"");
    let files = Files::good().source("aliases: [c]", "transforms: pipeline.yaml");
    assert_snapshot!(files.problems(), @"");
}

#[test]
fn a_project_without_sources() {
    assert_snapshot!(Files::good().without("pipelines/clinic.yaml").problems(), @"");
    assert_snapshot!(Files::good().without("pipelines/clinic.yaml").with_folder("pipelines").problems(), @"");
    let files = Files::good().without("pipelines/clinic.yaml").with("pipelines/clinic.yml", super::SOURCE);
    assert_snapshot!(files.problems(), @"");
}

#[test]
fn a_folder_without_project() {
    let root = tempfile::tempdir().expect("a folder");
    let here = root.path().display().to_string();
    let error = load(root.path()).expect_err("no project");
    assert_eq!(error.kind, Kind::Project);
    assert_snapshot!(render(&error, false).replace(&here, "HERE"), @"");
    let error = find_root(root.path()).expect_err("no project");
    assert_snapshot!(render(&error, false).replace(&here, "HERE"), @"");
}

#[test]
fn the_root_is_found_upward() {
    let root = Files::good().write();
    assert_eq!(find_root(&root.path().join("sql/clinic")).ok().as_deref(), Some(root.path()));
    assert_eq!(find_root(root.path()).ok().as_deref(), Some(root.path()));
}

#[test]
fn files_that_are_not_text() {
    let root = Files::good().write();
    std::fs::write(root.path().join("sql/clinic/visits.sql"), b"SELECT '\xe9'").expect("a file");
    std::fs::write(root.path().join("pipelines/clinic.yaml"), b"name: \xff").expect("a file");
    let error = load(root.path()).expect_err("no UTF-8");
    assert_snapshot!(render(&error, false), @"");
}

#[test]
fn a_syntax_error_leaves_the_other_files_checked() {
    let files = Files::good().with("pipeline.yaml", "entities: [\n").source("aliases: [c]", "alias: [c]");
    assert_snapshot!(render(&files.error(), false), @"");
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..10 {
        let alias = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![alias; 9].join(",")));
    }
    let files = Files::good().with("pipelines/bomb.yaml", bomb).source("aliases: [c]", "alias: [c]");
    assert_snapshot!(files.problems(), @"");
}

#[test]
fn an_anchor_used_twice_is_reported_once() {
    let files = Files::good().with(
        "pipelines/clinic.yaml",
        "name: clinic\ninput: {path: \"{date}\"}\nschema:\n  a: {struct: &s {x: strng}}\n  b: {struct: *s}\n",
    );
    assert_snapshot!(files.problems(), @"");
}

#[test]
fn ten_problems_of_three_files_come_in_order() {
    let files = Files::good()

        .with("pipelines/a.yaml", "name: a\ninput: {path: x, formt: csv}\nschema: {x: strng}\non_unknown_field: no\n")
        .with("sql/a/visits.sql", "SELECT 1")
        .with("pipelines/clinic.yaml", "name: clinc\naliases: c\ninput: {path: \"{date}\"}\nschema: {x: {type: int, mask: hash}}\n")
        .with("sql/clinc/visits.sql", "SELECT 1");
    let files = files.with("pipeline.yaml", super::CONTRACT.replace("name: test", "nam: test").replace("      name: text", "      name: txt\n      name: text"));
    assert_eq!(files.error().diagnostics.len(), 10);
    assert_snapshot!(render(&files.error(), false), @"");
}
