use std::path::PathBuf;

use super::*;

fn view(kind: ViewKind, sql: &str) -> View {
    View {
        name: "f".to_owned(),
        kind,
        path: PathBuf::from("sql/f.sql"),
        sql: sql.to_owned(),
    }
}

fn message(kind: ViewKind, sql: &str) -> String {
    Definition::parse(&view(kind, sql))
        .err()
        .map(|problem| problem.message)
        .unwrap_or_default()
}

#[test]
fn a_function_may_or_may_not_say_replace() {
    let plain = view(
        ViewKind::Function,
        "-- it's one\n/* x */ Create Function F(a int) RETURNS int",
    );
    let definition = Definition::parse(&plain).ok().unwrap();
    assert_eq!(
        definition.statement,
        "-- it's one\n/* x */ Create OR REPLACE Function F(a int) RETURNS int"
    );
    let replacing = view(
        ViewKind::Function,
        "CREATE OR REPLACE FUNCTION public.\"f\"() RETURNS int",
    );
    assert_eq!(Definition::parse(&replacing).ok().unwrap().statement, replacing.sql);
}

#[test]
fn what_is_no_such_file_is_said() {
    assert_eq!(
        message(ViewKind::Function, "SELECT 1"),
        "the file of a function holds one CREATE FUNCTION"
    );
    assert_eq!(
        message(ViewKind::Function, "CREATE FUNCTION g() RETURNS int"),
        "the function is g, and the file f"
    );
    assert_eq!(
        message(ViewKind::Function, "CREATE FUNCTION x.f()"),
        "functions are made in the schema public"
    );
    assert_eq!(
        message(ViewKind::View, "CREATE VIEW f AS SELECT 1"),
        "the file of a view holds its SELECT alone"
    );
    assert_eq!(
        message(ViewKind::View, "-- unique: a\nSELECT 1"),
        "only a materialized view has indexes"
    );
    assert_eq!(
        message(ViewKind::Materialized, "-- unique: a b\nSELECT 1"),
        "an index is declared as column names with commas between them"
    );
}

#[test]
fn indexes_of_long_names_are_kept_apart() {
    let head = "a".repeat(40);
    let names = [
        head.clone(),
        format!("{head}_one"),
        format!("{head}_two"),
        "é".repeat(31),
    ];
    let prefixes: std::collections::HashSet<String> = names.iter().map(|name| index_prefix(name)).collect();
    assert_eq!(prefixes.len(), names.len());
    assert!(prefixes.iter().all(|prefix| prefix.len() <= 45), "{prefixes:?}");
    assert_eq!(index_prefix("short"), "short__by_");
    assert!(is_our_index(&names[1], &format!("{}1", index_prefix(&names[1]))));
    assert!(is_our_index(&names[1], &format!("{head}__by_1")), "of an older version");
    assert!(!is_our_index(&names[1], "by_hand"));
}

#[test]
fn line_endings_change_no_fingerprint() {
    let lines = |ending: &str| view(ViewKind::View, &["SELECT 1", "AS a", ""].join(ending));
    assert_eq!(fingerprint(&lines("\n")), fingerprint(&lines("\r\n")));
    assert_ne!(fingerprint(&lines("\n")), fingerprint(&lines(" ")));
}

#[test]
fn indexes_are_declared_in_comments() {
    let sql = "-- What it shows: everything\n-- unique: a, b\n--index: c\nSELECT 1";
    let found = view(ViewKind::Materialized, sql);
    assert_eq!(
        Definition::parse(&found).ok().unwrap().indexes,
        [
            "CREATE UNIQUE INDEX \"f__by_1\" ON public.\"f\" (\"a\", \"b\")",
            "CREATE INDEX \"f__by_2\" ON public.\"f\" (\"c\")"
        ]
    );
}
