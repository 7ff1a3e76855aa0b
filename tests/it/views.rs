//! Tests of the functions and views in sql/. They are made in the order in which they depend on each other. Their
//! grants survive a replacement. Objects of other users are never replaced.
use crate::harness::{Database, Project, Small};

fn small() -> (Database, Project) {
    let (database, project) = Small::new().on_server();
    (database, project.json(r#"[{"id": "a", "n": 1}, {"id": "b", "n": 2}]"#))
}

#[test]
fn files_are_made_in_the_order_of_what_they_read() {
    let (database, project) = small();
    let project = project
        .file("sql/views/a_last.sql", "select doubled, plus_one(doubled) as more from b_middle\n")
        .file("sql/materialized/b_middle.sql", "-- unique: item_id\nselect item_id, doubled from c_first\n")
        .file("sql/views/c_first.sql", "select item_id, n * 2 as doubled from items\n")
        .file(
            "sql/functions/plus_one.sql",
            "create function plus_one(bigint) returns bigint language sql immutable as $$ select $1 + 1 $$\n",
        )
        .file(
            "sql/functions/a_total.sql",
            "create function a_total() returns numeric language sql stable as $$ select sum(doubled) from b_middle $$\n",
        );
    project.run(&["views"]).code(0);
    project.run_clinic().code(0);
    assert_eq!(database.rows("select * from a_last order by 1"), ["2|3", "4|5"]);
    assert_eq!(database.value("select a_total()"), "6");
    // The second time, nothing has changed.
    project.run(&["views"]).code(0);
    assert_eq!(database.rows("select * from a_last order by 1"), ["2|3", "4|5"]);
}

#[test]
fn a_materialized_view_is_refreshed_after_a_run_that_changed_what_it_reads() {
    let (database, project) = small();
    let project = project.file("sql/materialized/total.sql", "select sum(n) as total from items\n");
    project.run(&["views"]).code(0);
    project.run_clinic().code(0);
    assert_eq!(database.value("select total from total"), "3");
    let project = project.json(r#"{"id": "a", "n": 40}"#);
    project.run_clinic().code(0);
    assert_eq!(database.value("select total from total"), "40");
    project
        .run(&["drop", "--source", "clinic", "--date", "20230501", "--yes"])
        .code(0);
    assert_eq!(database.value("select total from total"), "");
}

/// Rows that break one view: the others are refreshed, and what is not is remembered until it is.
#[test]
fn a_view_that_fails_stops_no_other_and_is_named_until_it_is_refreshed() {
    let (database, project) = small();
    let project = project
        .file(
            "sql/materialized/a_bad.sql",
            "select sum(1 / (n - 7)) as total from items\n",
        )
        .file("sql/materialized/b_on_bad.sql", "select total from a_bad\n")
        .file("sql/materialized/z_good.sql", "select sum(n) as total from items\n");
    project.run(&["views"]).code(0);
    let project = project.json(r#"[{"id": "a", "n": 7}]"#);
    project
        .run_clinic()
        .code(1)
        .stderr_contains("a_bad")
        .stderr_contains("division by zero")
        .stderr_contains("stale: a_bad, b_on_bad");
    assert_eq!(database.value("select total from z_good"), "7");
    project
        .run(&["views"])
        .code(0)
        .stdout_contains("stale materialized view a_bad\n")
        .stdout_contains("stale materialized view b_on_bad\n")
        .stdout_contains("1 up to date");
    project
        .run(&["status"])
        .code(0)
        .stdout_contains("stale materialized view a_bad (without run 1)");
    let status = project.run(&["status", "--output", "json"]).code(0).json();
    assert_eq!(status[0]["stale_views"], serde_json::json!(["a_bad", "b_on_bad"]));
    project.run(&["views", "--refresh"]).code(1).stderr_contains("a_bad");
    // Mended by hand, or by a load of another batch.
    database.execute("update items set n = 8");
    let refreshed = project.run(&["views", "--refresh", "--output", "json"]).code(0).json();
    assert_eq!(refreshed["refreshed"], serde_json::json!(["a_bad", "b_on_bad"]));
    assert_eq!(refreshed["stale"], serde_json::json!([]));
    assert_eq!(database.value("select total from b_on_bad"), "1");
    project.run(&["views"]).code(0).stdout_is("3 up to date\n");
    let status = project.run(&["status", "--output", "json"]).code(0).json();
    assert_eq!(status[0]["stale_views"], serde_json::json!([]));
}

/// A run of two days that a signal or a crash ends after the first: nobody has refreshed yet.
#[test]
fn what_a_run_that_was_ended_owes_is_paid_by_the_next() {
    for kill in [false, true] {
        let (database, project) = small();
        let project = project
            .file("sql/materialized/total.sql", "select sum(n) as total from items\n")
            .file("in/2023-05-02.json", r#"[{"id": "b", "n": 5}]"#);
        project.run(&["views"]).code(0);
        // The second day waits at its swap for this reader.
        let mut reader = database.client();
        let waits = |reader: &mut postgres::Client| reader.batch_execute("begin; select 1 from items").unwrap();
        let run = [
            "run",
            "--source",
            "clinic",
            "--start",
            "2023-05-01",
            "--end",
            "2023-05-02",
            "--threads",
            "1",
        ];
        project.run_clinic().code(0);
        let project = project.json(r#"[{"id": "a", "n": 1000}]"#);
        waits(&mut reader);
        let mut running = project.spawn(&run);
        crate::harness::until("the first day is staged", || database.staging_tables().len() == 1);
        reader.batch_execute("commit").unwrap();
        crate::harness::until("the first day is loaded", || {
            let two = "pipeline.runs where status = 'committed' and batch_date = '2023-05-01'";
            database.count(two) == 2
        });
        waits(&mut reader);
        crate::harness::until("the second day is under way", || {
            database.count("pipeline.runs where batch_date = '2023-05-02'") == 1
        });
        if database.count("pipeline.runs where batch_date = '2023-05-02' and status = 'committed'") == 0 {
            if kill {
                running.kill();
                running.wait().killed();
            } else {
                running.signal("TERM");
                let outcome = running.wait();
                assert_eq!(outcome.exit(), Some(143), "{outcome:?}");
                outcome.stderr_contains("stale: total");
            }
            reader.batch_execute("commit").unwrap();
            assert_eq!(database.value("select total from total"), "3", "kill: {kill}");
            project
                .run(&["status"])
                .code(0)
                .stdout_contains("stale materialized view total");
            project
                .run(&["views"])
                .code(0)
                .stdout_is("stale materialized view total\n");
        } else {
            running.wait().code(0);
        }
        // A run that changes nothing of what the view reads pays, too: its batch fails.
        project.write("in/2023-05-03.json", "[{");
        project
            .run(&["run", "--source", "clinic", "--date", "2023-05-03"])
            .code(1);
        let sum = database.value("select sum(n) from items");
        assert_eq!(database.value("select total from total"), sum);
        project.run(&["views"]).code(0).stdout_is("1 up to date\n");
    }
}

#[test]
fn a_materialized_view_with_a_unique_index_is_refreshed_while_it_is_read() {
    let (database, project) = small();
    let project = project.file(
        "sql/materialized/copy.sql",
        "-- unique: item_id\nselect item_id, n from items\n",
    );
    project.run(&["views"]).code(0);
    project.run_clinic().code(0);
    let mut reader = database.client();
    reader.batch_execute("begin; select * from copy").unwrap();
    let project = project.json(r#"{"id": "c", "n": 3}"#);
    // If the refresh were not concurrent, it would wait forever for the reader.
    project.run_clinic().code(0);
    assert_eq!(database.rows("select * from copy"), ["c|3"]);
    reader.batch_execute("commit").unwrap();
}

#[test]
fn a_replaced_view_keeps_its_grants_and_its_readers() {
    let (database, project) = small();
    let role = format!("reader_{}", database.name);
    let project = project
        .file("sql/views/shown.sql", "select item_id from items\n")
        .file("sql/materialized/kept.sql", "select n from items\n")
        .file(
            "sql/functions/one.sql",
            "create function one() returns int language sql as $$ select 1 $$\n",
        );
    project.run(&["views"]).code(0);
    database.execute(&format!(
        "create role {role}; grant select on shown, kept to {role}; grant select (item_id) on shown to {role};
         revoke execute on function one() from public; grant execute on function one() to {role}"
    ));
    project.write("sql/views/shown.sql", "select n as number, item_id from items\n");
    project.write("sql/materialized/kept.sql", "select n + 1 as n from items\n");
    project.write(
        "sql/functions/one.sql",
        "create function one() returns bigint language sql as $$ select 1::bigint $$\n",
    );
    project.run(&["views"]).code(0);
    let may = |what: &str| database.value(&format!("select {what}"));
    assert_eq!(may(&format!("has_table_privilege('{role}', 'shown', 'select')")), "t");
    assert_eq!(may(&format!("has_table_privilege('{role}', 'kept', 'select')")), "t");
    assert_eq!(
        may(&format!("has_function_privilege('{role}', 'one()', 'execute')")),
        "t"
    );
    assert_eq!(may("has_function_privilege('public', 'one()', 'execute')"), "f");
    assert_eq!(database.value("select pg_typeof(one())"), "bigint");
    assert_eq!(
        database.rows("select attname from pg_attribute where attrelid = 'shown'::regclass order by attnum"),
        ["number", "item_id"]
    );
    database.execute(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn a_strangers_view_on_ours_is_named_and_the_change_refused() {
    let (database, project) = small();
    let project = project.file("sql/views/ours.sql", "select item_id, n from items\n");
    project.run(&["views"]).code(0);
    database.execute("create schema bi; create view bi.theirs as select item_id from ours");
    // A change for which the view would have to be dropped.
    project.write("sql/views/ours.sql", "select n, item_id from items\n");
    project
        .run(&["views"])
        .code(2)
        .stderr_contains("bi.theirs")
        .stderr_contains("ours");
    assert_eq!(
        database.rows("select attname from pg_attribute where attrelid = 'ours'::regclass order by attnum"),
        ["item_id", "n"]
    );
    assert_eq!(database.count("bi.theirs"), 0);
}

#[test]
fn a_strangers_object_of_the_same_name_is_not_replaced() {
    let (database, project) = small();
    database.execute("create view report as select 1 as theirs");
    let project = project.file("sql/views/report.sql", "select item_id from items\n");
    project.run(&["views"]).code(2).stderr_contains("report");
    assert_eq!(database.value("select theirs from report"), "1");
}

#[test]
fn a_view_whose_file_is_gone_is_dropped() {
    let (database, project) = small();
    let project = project
        .file("sql/views/ours.sql", "select item_id, n from items\n")
        .file("sql/views/more.sql", "select n from ours\n");
    project.run(&["views"]).code(0);
    project.remove("sql/views/more.sql");
    project.run(&["views"]).code(0);
    assert_eq!(
        database.rows("select relname from pg_class where relkind = 'v' and relnamespace = 'public'::regnamespace"),
        ["ours"]
    );
}

#[test]
fn a_wrong_view_changes_nothing() {
    let (database, project) = small();
    let project = project
        .file("sql/views/a_good.sql", "select item_id from items\n")
        .file("sql/views/wrong.sql", "select item_id,\n       no_such from items\n");
    project
        .run(&["views"])
        .code(2)
        .stderr_contains("sql/views/wrong.sql")
        .stderr_contains("no_such");
    assert_eq!(
        database.count("pg_class where relkind = 'v' and relnamespace = 'public'::regnamespace"),
        0
    );
}

#[test]
fn a_view_over_an_unknown_table_or_column_says_what_may_be_meant() {
    let (_database, project) = small();
    let project = project
        .file("sql/views/a_good.sql", "select item_id from items\n")
        .file("sql/views/b_table.sql", "select item_id from itms\n")
        .file("sql/views/c_view.sql", "select item_id from public.a_god\n")
        .file("sql/views/d_far.sql", "select 1 as one from elsewhere\n")
        .file("sql/views/e_column.sql", "select itm_id from items\n");
    let message = project.run(&["views"]).code(2).message();
    for (place, hint) in [
        ("sql/views/b_table.sql:1:21", "did you mean `items`?"),
        ("sql/views/c_view.sql:1:21", "did you mean `a_good`?"),
        (
            "sql/views/d_far.sql:1:22",
            "check the name; entity tables are made by `pipeline migrate`",
        ),
        ("sql/views/e_column.sql:1:8", "items.item_id"),
    ] {
        let (_, rest) = message
            .split_once(place)
            .unwrap_or_else(|| panic!("{place}: {message}"));
        let own = rest.split("error: ").next().unwrap();
        assert!(own.contains(hint), "{place}: {own}");
    }
}

#[test]
fn views_that_read_each_other_are_refused() {
    let (_database, project) = small();
    let project = project
        .file("sql/views/a.sql", "select * from b\n")
        .file("sql/views/b.sql", "select * from a\n");
    project
        .run(&["views"])
        .code(2)
        .stderr_contains("sql/views/a.sql")
        .stderr_contains("sql/views/b.sql");
}

/// A view that reads the server's files would show raw input to readers.
#[test]
fn a_view_that_reads_files_of_the_server_is_refused() {
    let (_database, project) = Small::new().on_server();
    for (folder, sql) in [
        ("views", "select pg_read_file('/etc/hostname') as t\n"),
        ("views", "select (pg_stat_file('/etc/hostname')).size as n\n"),
        ("views", "select * from pg_ls_dir('/') f (name)\n"),
        (
            "materialized",
            "select pg_catalog.\"pg_read_binary_file\"('/etc/hostname') as t\n",
        ),
        (
            "functions",
            "create function odd() returns text language sql as $$ select Pg_Read_File('/etc/hostname') $$\n",
        ),
        (
            "functions",
            "create function odd() returns text language sql begin atomic select pg_read_file('/etc/hostname'); end\n",
        ),
    ] {
        let path = format!("sql/{folder}/odd.sql");
        project.write(&path, sql);
        project
            .run(&["views"])
            .code(2)
            .stderr_contains("which is for the server's files")
            .stderr_contains(&path);
        project.remove(&path);
    }
}
