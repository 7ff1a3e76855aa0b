use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::error::Diagnostic;
use crate::model::{View, ViewKind};
use crate::warehouse::schema::migrate;
use crate::warehouse::testing::{both, fresh, project};

const ENTITY: &str = "CREATE TABLE visits (id text, day date, source text, batch_date date) PARTITION BY LIST (source)";

fn files(list: &[(&str, &str)]) -> Project {
    let mut project = project(Path::new("/p"), Vec::new());
    project.views = list
        .iter()
        .map(|(path, sql)| {
            let kind = match path.split_once('/').unwrap().0 {
                "functions" => ViewKind::Function,
                "views" => ViewKind::View,
                _ => ViewKind::Materialized,
            };
            let path = PathBuf::from(format!("sql/{path}.sql"));
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            View {
                name,
                kind,
                path,
                sql: (*sql).to_owned(),
            }
        })
        .collect();
    project
}

async fn prepared(warehouse: &Warehouse) {
    migrate::apply(warehouse, Path::new("/nonexistent")).await.unwrap();
    run(warehouse, ENTITY).await;
}

async fn run(warehouse: &Warehouse, sql: &str) {
    warehouse
        .acquire_as_user()
        .await
        .unwrap()
        .batch_execute(sql)
        .await
        .unwrap();
}

async fn text(warehouse: &Warehouse, sql: &str) -> String {
    let row = warehouse
        .acquire_as_user()
        .await
        .unwrap()
        .query_one(sql, &[])
        .await
        .unwrap();
    row.get::<_, Option<String>>(0).unwrap_or_default()
}

async fn applied(warehouse: &Warehouse, list: &[(&str, &str)]) -> Vec<(String, Action)> {
    let applied = apply(warehouse, &files(list))
        .await
        .unwrap_or_else(|error| panic!("{error:#?}"));
    applied
        .into_iter()
        .map(|applied| (applied.name, applied.action))
        .collect()
}

/// The problems, each as `file:line:col: message`.
async fn problems(warehouse: &Warehouse, list: &[(&str, &str)]) -> Vec<String> {
    let error = apply(warehouse, &files(list)).await.unwrap_err();
    let shown = |problem: &Diagnostic| {
        let place = problem.location.as_ref();
        let place = place.map_or_else(String::new, |p| {
            format!("{}:{}:{}: ", p.file.display(), p.line, p.column)
        });
        format!("{place}{}", problem.message)
    };
    error.diagnostics.iter().map(shown).collect()
}

fn all(names: &[&str], action: Action) -> Vec<(String, Action)> {
    names.iter().map(|name| ((*name).to_owned(), action)).collect()
}

const CHAIN: &[(&str, &str)] = &[
    (
        "functions/a_days",
        "CREATE FUNCTION a_days(d date) RETURNS SETOF c_days LANGUAGE sql STABLE AS\n$$ SELECT * FROM c_days WHERE day < d $$",
    ),
    ("views/b_count", "SELECT count(*) FROM a_days('2024-01-01')"),
    ("views/c_days", "-- Days\nSELECT day, id FROM visits;\n"),
    (
        "materialized/a_top",
        "-- unique: day\nSELECT day, count(*) AS n FROM c_days GROUP BY day",
    ),
];

#[tokio::test]
async fn the_order_is_found_and_unchanged_files_are_left_alone() {
    for warehouse in both().await {
        prepared(&warehouse).await;
        let names = ["a_days", "b_count", "c_days", "a_top"];
        assert_eq!(pending(&warehouse, &files(CHAIN)).await.unwrap(), names);
        assert_eq!(applied(&warehouse, CHAIN).await, all(&names, Action::Created));
        assert_eq!(applied(&warehouse, CHAIN).await, all(&names, Action::Unchanged));
        assert!(pending(&warehouse, &files(CHAIN)).await.unwrap().is_empty());
        // Dropped by hand: made again.
        run(&warehouse, "DROP VIEW b_count").await;
        assert_eq!(applied(&warehouse, CHAIN).await[1].1, Action::Created);
    }
}

#[tokio::test]
async fn what_can_be_replaced_in_place_is_and_its_readers_are_filled_anew() {
    for warehouse in both().await {
        prepared(&warehouse).await;
        applied(&warehouse, CHAIN).await;
        let mut list = CHAIN.to_vec();
        list[2].1 = "SELECT DATE '2020-01-01' AS day, id FROM (VALUES ('x')) v (id)";
        run(&warehouse, "ALTER VIEW c_days SET (security_barrier = true)").await;
        let actions: Vec<Action> = applied(&warehouse, &list)
            .await
            .into_iter()
            .map(|(_, action)| action)
            .collect();
        assert_eq!(
            actions,
            [
                Action::Unchanged,
                Action::Unchanged,
                Action::Replaced,
                Action::Refreshed
            ]
        );
        assert_eq!(text(&warehouse, "SELECT n::text FROM a_top").await, "1");
        let options = "SELECT reloptions::text FROM pg_class WHERE relname = 'c_days'";
        assert_eq!(text(&warehouse, options).await, "{security_barrier=true}");
    }
}

#[tokio::test]
async fn dropping_keeps_what_hands_have_given() {
    for warehouse in both().await {
        prepared(&warehouse).await;
        applied(&warehouse, CHAIN).await;
        run(
            &warehouse,
            "CREATE ROLE bi; CREATE ROLE \"Odd role\"; CREATE ROLE boss;
             GRANT SELECT ON c_days TO bi WITH GRANT OPTION; GRANT SELECT (day) ON c_days TO \"Odd role\";
             GRANT SELECT ON a_top TO bi; REVOKE ALL ON FUNCTION a_days(date) FROM PUBLIC;
             COMMENT ON VIEW c_days IS 'it''s days'; COMMENT ON COLUMN c_days.day IS 'the day';
             ALTER VIEW c_days SET (security_barrier = true); CREATE INDEX by_hand ON a_top (n);
             ALTER VIEW b_count OWNER TO boss; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO boss",
        )
        .await;
        let grants = "SELECT string_agg(c.relname || coalesce(c.relacl, acldefault('r', c.relowner))::text || coalesce(a.attacl::text, '') || coalesce(c.reloptions::text, '')
                       || pg_get_userbyid(c.relowner), ' ' ORDER BY c.relname)
                      || (SELECT proacl::text FROM pg_proc WHERE proname = 'a_days') || obj_description('c_days'::regclass)
                      || (SELECT count(*) FROM pg_indexes WHERE tablename = 'a_top')::text
                      FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'day'
                      WHERE c.relname IN ('c_days', 'a_top', 'b_count')";
        let before = text(&warehouse, grants).await;
        let mut list = CHAIN.to_vec();
        list[2].1 = "SELECT id, day FROM visits";
        assert_eq!(
            applied(&warehouse, &list).await,
            all(&["a_days", "b_count", "c_days", "a_top"], Action::Recreated)
        );
        assert_eq!(text(&warehouse, grants).await, before);
        assert_eq!(
            text(&warehouse, "SELECT col_description('c_days'::regclass, 2)").await,
            "the day"
        );
    }
}

#[tokio::test]
async fn what_others_built_is_named_and_nothing_changes() {
    for warehouse in both().await {
        prepared(&warehouse).await;
        applied(&warehouse, CHAIN).await;
        run(
            &warehouse,
            "CREATE SCHEMA reports; CREATE VIEW reports.mine AS SELECT n FROM a_top",
        )
        .await;
        let mut list = CHAIN.to_vec();
        list[2].1 = "SELECT id FROM visits";
        list[1].1 = "SELECT 1 AS count";
        assert_eq!(
            problems(&warehouse, &list).await,
            ["sql/views/c_days.sql:1:1: public.c_days would have to be dropped, and on it stands view reports.mine"]
        );
        assert_eq!(
            problems(&warehouse, &CHAIN[..3]).await,
            ["public.a_top would have to be dropped, and on it stands view reports.mine"]
        );
        assert_eq!(
            applied(&warehouse, CHAIN).await,
            all(&["a_days", "b_count", "c_days", "a_top"], Action::Unchanged)
        );
        run(&warehouse, "DROP VIEW reports.mine").await;
        let removed = applied(&warehouse, &CHAIN[2..3]).await;
        let dropped: Vec<&str> = removed[1..].iter().map(|(name, _)| name.as_str()).collect();
        assert!(removed[1..].iter().all(|(_, action)| *action == Action::Dropped));
        assert_eq!(dropped.len(), 3);
    }
}

#[tokio::test]
async fn names_of_others_are_not_taken() {
    for warehouse in both().await {
        prepared(&warehouse).await;
        run(&warehouse, "CREATE VIEW c_days AS SELECT 1 AS one").await;
        assert_eq!(
            problems(&warehouse, CHAIN).await,
            ["sql/views/c_days.sql:1:1: public.c_days is there already, and `pipeline views` did not make it"]
        );
        assert_eq!(text(&warehouse, "SELECT one::text FROM c_days").await, "1");
    }
}

#[tokio::test]
async fn errors_have_places_and_followers_are_not_told() {
    for warehouse in both().await {
        prepared(&warehouse).await;
        let list = [
            (
                "functions/f",
                "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS $$\n  SELECT count(nope) FROM visits $$",
            ),
            ("views/a", "SELECT * FROM b"),
            ("views/b", "SELECT id,\n       dya FROM visits"),
            ("views/c", "SELECT 1; DROP TABLE visits"),
        ];
        assert_eq!(
            problems(&warehouse, &list).await,
            [
                "sql/functions/f.sql:2:16: column \"nope\" does not exist (42703)",
                "sql/views/b.sql:2:8: column \"dya\" does not exist (42703)",
                "sql/views/c.sql:1:1: cannot insert multiple commands into a prepared statement (42601)",
            ]
        );
        let circle = [("views/a", "SELECT * FROM b"), ("views/b", "SELECT * FROM a")];
        assert_eq!(
            problems(&warehouse, &circle).await,
            [
                "sql/views/a.sql:1:15: relation \"b\" does not exist (42P01)",
                "sql/views/b.sql:1:15: relation \"a\" does not exist (42P01)",
            ]
        );
    }
}

#[tokio::test]
async fn a_function_with_other_arguments_takes_the_place_of_the_old_one() {
    for warehouse in both().await {
        prepared(&warehouse).await;
        let first = [
            (
                "functions/f",
                "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS $$ SELECT a $$",
            ),
            ("views/v", "SELECT f(1) AS x"),
        ];
        applied(&warehouse, &first).await;
        run(&warehouse, "CREATE ROLE fn; GRANT EXECUTE ON FUNCTION f(int) TO fn").await;
        let second = [
            (
                "functions/f",
                "CREATE FUNCTION f(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql AS $$ SELECT a + b $$",
            ),
            ("views/v", "SELECT f(1) AS x"),
        ];
        applied(&warehouse, &second).await;
        assert_eq!(text(&warehouse, "SELECT x::text FROM v").await, "3");
        let functions = "SELECT string_agg(pg_get_function_identity_arguments(oid) || proacl::text, ';') FROM pg_proc WHERE proname = 'f'";
        let functions = text(&warehouse, functions).await;
        assert!(
            functions.starts_with("a integer, b integer{") && functions.contains("fn=X"),
            "{functions}"
        );
        assert!(
            applied(&warehouse, &second)
                .await
                .iter()
                .all(|(_, action)| *action == Action::Unchanged)
        );
        // From a view to a materialized view.
        let third = [second[0], ("materialized/v", "SELECT f(1) AS x")];
        assert_eq!(applied(&warehouse, &third).await.len(), 3);
        assert_eq!(
            text(&warehouse, "SELECT relkind::text FROM pg_class WHERE relname = 'v'").await,
            "m"
        );
    }
}

#[tokio::test]
async fn what_reads_a_changed_entity_is_refreshed_in_order() {
    for warehouse in both().await {
        prepared(&warehouse).await;
        run(
            &warehouse,
            "CREATE TABLE other (id text, source text) PARTITION BY LIST (source)",
        )
        .await;
        let list = [
            ("views/v", "SELECT id FROM visits"),
            ("materialized/a_second", "-- unique: id\nSELECT id FROM b_first"),
            ("materialized/b_first", "SELECT DISTINCT id FROM v"),
            ("materialized/c_other", "SELECT id FROM other"),
        ];
        applied(&warehouse, &list).await;
        run(
            &warehouse,
            "CREATE TABLE part PARTITION OF visits FOR VALUES IN ('a'); INSERT INTO visits VALUES ('x', NULL, 'a')",
        )
        .await;
        run(&warehouse, &mark("visits", 1)).await;
        // Of a run between: whoever asks now is told.
        let marked: Vec<Stale> = stale(&warehouse).await.unwrap();
        assert_eq!(marked.len(), 2, "{marked:?}");
        assert_eq!(
            (marked[1].name.as_str(), marked[1].runs.as_slice()),
            ("a_second", &[1][..])
        );
        let refreshed = refreshed(&warehouse, &list).await;
        assert!(
            refreshed.errors.is_empty() && refreshed.stale.is_empty(),
            "{refreshed:?}"
        );
        let refreshed = refreshed.refreshed;
        let names: Vec<(&str, bool)> = refreshed.iter().map(|r| (r.name.as_str(), r.concurrently)).collect();
        assert_eq!(names, [("b_first", false), ("a_second", !warehouse.is_embedded())]);
        assert_eq!(text(&warehouse, "SELECT id FROM a_second").await, "x");
        let left = "SELECT count(*)::text FROM pipeline.stale_views";
        assert_eq!(text(&warehouse, left).await, "0");
        // None of them reads it, and the marks do not stay.
        run(&warehouse, &mark("nothing", 2)).await;
        assert!(
            super::refresh(&warehouse, &files(&list), &CancellationToken::new())
                .await
                .unwrap()
                .refreshed
                .is_empty()
        );
        assert_eq!(text(&warehouse, left).await, "0");
    }
}

#[tokio::test]
async fn a_failed_refresh_quotes_no_value() {
    let Some(warehouse) = fresh(2).await else { return };
    prepared(&warehouse).await;
    let list = [("materialized/m", "SELECT id::int AS n FROM visits")];
    applied(&warehouse, &list).await;
    run(
        &warehouse,
        "CREATE TABLE part PARTITION OF visits FOR VALUES IN ('a'); INSERT INTO visits VALUES ('hunter2', NULL, 'a')",
    )
    .await;
    run(&warehouse, &mark("visits", 1)).await;
    let errors = refreshed(&warehouse, &list).await.errors;
    assert_eq!(
        errors[0].to_string(),
        "the materialized view m (sql/materialized/m.sql) can't be refreshed: invalid text representation (22P02)"
    );
}

/// Errors of classes that otherwise speak: the server's text holds the value.
#[tokio::test]
async fn what_runs_over_rows_tells_a_condition_and_no_text() {
    let Some(warehouse) = fresh(2).await else { return };
    prepared(&warehouse).await;
    run(&warehouse, "CREATE TABLE part PARTITION OF visits FOR VALUES IN ('a')").await;
    for (select, condition) in [
        ("SELECT to_tsquery(id) AS n FROM visits", "syntax error (42601)"),
        (
            "SELECT current_setting(id) AS n FROM visits",
            "undefined object (42704)",
        ),
        ("SELECT id::regclass AS n FROM visits", "invalid name (42602)"),
        (
            "SELECT set_config('role', id, true) AS n FROM visits",
            "insufficient privilege (42501)",
        ),
    ] {
        let list = [("materialized/m", select)];
        applied(&warehouse, &list).await;
        run(&warehouse, "INSERT INTO visits VALUES ('hunter2 (', NULL, 'a')").await;
        run(&warehouse, &mark("visits", 1)).await;
        let errors = refreshed(&warehouse, &list).await.errors;
        assert_eq!(errors[0].why().as_deref(), Some(condition), "{select}");
        // Made anew while the rows are there.
        let changed = format!("{select} WHERE true");
        let told = problems(&warehouse, &[("materialized/m", &changed)]).await;
        assert!(told.iter().all(|problem| problem.ends_with(condition)), "{told:?}");
        run(&warehouse, "DELETE FROM visits").await;
        // What is wrong with the text itself is told in the server's words.
        let told = problems(&warehouse, &[("materialized/m", "SELECT nope FROM visits")]).await;
        assert!(told[0].contains("column \"nope\" does not exist (42703)"), "{told:?}");
    }
}

#[tokio::test]
async fn a_view_that_fails_keeps_its_mark_and_no_other_waits_for_it() {
    for warehouse in both().await {
        prepared(&warehouse).await;
        let list = [
            ("materialized/a_bad", "SELECT id::int AS n FROM visits"),
            ("materialized/b_on_bad", "SELECT n FROM a_bad"),
            ("materialized/c_good", "SELECT count(*)::text AS n FROM visits"),
        ];
        applied(&warehouse, &list).await;
        run(
            &warehouse,
            "CREATE TABLE part PARTITION OF visits FOR VALUES IN ('a'); INSERT INTO visits VALUES ('x', NULL, 'a')",
        )
        .await;
        run(&warehouse, &mark("visits", 7)).await;
        let first = refreshed(&warehouse, &list).await;
        assert_eq!(first.errors.len(), 1, "{first:?}");
        let names: Vec<&str> = first.stale.iter().map(|view| view.name.as_str()).collect();
        assert_eq!(names, ["a_bad", "b_on_bad"]);
        assert_eq!(text(&warehouse, "SELECT n FROM c_good").await, "1");
        run(&warehouse, "UPDATE visits SET id = '5'").await;
        let second = refreshed(&warehouse, &list).await;
        assert!(second.errors.is_empty() && second.stale.is_empty(), "{second:?}");
        assert_eq!(second.refreshed.len(), 2);
        assert_eq!(text(&warehouse, "SELECT n::text FROM b_on_bad").await, "5");
    }
}

#[tokio::test]
async fn a_signal_leaves_what_is_stale_to_the_next_run() {
    for warehouse in both().await {
        prepared(&warehouse).await;
        let list = [("materialized/m", "SELECT id FROM visits")];
        applied(&warehouse, &list).await;
        run(&warehouse, &mark("visits", 1)).await;
        let stop = CancellationToken::new();
        stop.cancel();
        let refreshed = super::refresh(&warehouse, &files(&list), &stop).await.unwrap();
        assert!(refreshed.refreshed.is_empty() && refreshed.errors.is_empty());
        assert_eq!(stale(&warehouse).await.unwrap(), refreshed.stale);
        assert_eq!(refreshed.stale.len(), 1);
    }
}

/// As `pg_dump` and newer servers run it: with no schema in the search path.
#[tokio::test]
async fn a_function_finds_its_tables_wherever_it_is_called_from() {
    for warehouse in both().await {
        prepared(&warehouse).await;
        let list = [
            (
                "functions/ids",
                "CREATE FUNCTION ids() RETURNS SETOF text LANGUAGE sql STABLE AS $$ SELECT id FROM visits $$",
            ),
            (
                "functions/own",
                "CREATE FUNCTION own() RETURNS text LANGUAGE sql SET search_path = pg_catalog AS $$ SELECT 'own' $$",
            ),
            (
                "functions/parsed",
                "CREATE FUNCTION parsed() RETURNS bigint STABLE RETURN (SELECT count(*) FROM visits)",
            ),
            ("materialized/m", "SELECT * FROM ids() AS id"),
        ];
        applied(&warehouse, &list).await;
        let elsewhere = "SET search_path = ''; REFRESH MATERIALIZED VIEW public.m; SET search_path = public";
        run(&warehouse, elsewhere).await;
        let paths = "SELECT string_agg(proname || coalesce(proconfig::text, '-'), ' ' ORDER BY proname) FROM pg_proc \
                     WHERE proname IN ('ids', 'own', 'parsed')";
        let expected = "ids{\"search_path=public, pg_temp\"} own{search_path=pg_catalog} parsed-";
        assert_eq!(text(&warehouse, paths).await, expected);
        // One that an older version has made is mended.
        run(&warehouse, "ALTER FUNCTION ids() RESET search_path").await;
        assert_eq!(applied(&warehouse, &list).await[0].1, Action::Replaced);
        assert_eq!(text(&warehouse, paths).await, expected);
        assert_eq!(applied(&warehouse, &list).await[0].1, Action::Unchanged);
    }
}

/// What a swap of the run does.
fn mark(entity: &str, run: i64) -> String {
    format!(
        "INSERT INTO pipeline.stale_views SELECT name, '{entity}', {run} FROM pipeline.views WHERE kind = 'materialized'"
    )
}

async fn refreshed(warehouse: &Warehouse, list: &[(&str, &str)]) -> Refresh {
    super::refresh(warehouse, &files(list), &CancellationToken::new())
        .await
        .unwrap()
}
