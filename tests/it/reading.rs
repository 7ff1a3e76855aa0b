//! Tests of what readers see. If dates are shifted, they do not see the batch's date. Comments say where a column comes
//! from. Nothing is left of a person who was erased.
use crate::harness::{DATE, Database, Project, Small, hashed, rows};
use crate::roles::{Roles, client, refusal, url};

/// A project with shifted dates. The view `late` shows the batch's date and the view `days` does not.
fn shifting() -> (Database, Project, Roles) {
    let (database, project) = Small::new()
        .schema("id: {type: string, required: true}\nday: {type: date, phi: date, mask: date_shift}")
        .columns(&[("item_id", "text"), ("day", "date"), ("filled", "date")])
        .sql("select id as item_id, day, coalesce(day, $date) as filled from source")
        .rest("subject: id")
        .on_server();
    let project = project
        .json(r#"[{"id": "a", "day": "2023-04-30"}]"#)
        .file("sql/views/days.sql", "select item_id, day from items\n")
        .file("sql/views/late.sql", "select item_id, batch_date - day as days from items\n")
        .file("sql/materialized/newest.sql", "select max(batch_date) as newest from items\n")
        .file(
            "sql/functions/as_owner.sql",
            "create function as_owner() returns date language sql stable security definer as $$ select max(batch_date) from items $$\n",
        );
    project.run(&["views"]).code(0);
    project.run_clinic().code(0);
    let roles = Roles::of(&database);
    (database, project, roles)
}

#[test]
fn where_dates_are_shifted_no_reader_sees_the_batch_date() {
    let (database, project, roles) = shifting();
    project
        .run(&roles.args())
        .code(0)
        .stdout_contains("without items.filled, items.batch_date")
        .stdout_contains("as_owner (");
    let mut reader = client(&database, &roles.reader);
    let columns =
        "select string_agg(column_name, ' ' order by table_name, ordinal_position) from information_schema.columns
                   where table_schema in ('public', 'pipeline_reading')";
    assert_eq!(rows(&mut reader, columns), ["item_id day item_id day source"]);
    assert_eq!(rows(&mut reader, "select item_id, source from items"), ["a|clinic"]);
    assert_eq!(rows(&mut reader, "select count(*) from days"), ["1"]);
    for sql in [
        "select batch_date from public.items",
        "select item_id from public.items",
        "select * from late",
        "select * from newest",
        "select as_owner()",
    ] {
        assert!(refusal(&mut reader, sql).starts_with("permission denied for"), "{sql}");
    }
    assert!(refusal(&mut reader, "select batch_date from items").contains("does not exist"));

    // Runs and views by the loader keep it hidden. An additional column of the contract becomes visible.
    let project = project.env("DATABASE_URL", &url(&database, &roles.loader));
    project.run_clinic().code(0);
    project.write("sql/views/late.sql", "select item_id, batch_date from items\n");
    project.write("sql/materialized/newest.sql", "select max(day) as newest from items\n");
    project.run(&["views"]).code(0);
    assert!(refusal(&mut reader, "select * from late").starts_with("permission denied for view"));
    assert_eq!(rows(&mut reader, "select count(*) from newest"), ["1"]);
    // A view that the reader could use is changed so that it shows the batch's date.
    project.write("sql/views/days.sql", "select item_id, day, batch_date from items\n");
    project.run(&["views"]).code(0);
    assert!(refusal(&mut reader, "select * from days").starts_with("permission denied for view"));
    project.write("sql/views/days.sql", "select item_id, day from items\n");
    project.run(&["views"]).code(0);
    assert_eq!(rows(&mut reader, "select count(*) from days"), ["1"]);
    // Changing only the file gives no access, because the view in the database still shows the date. It also takes no
    // access away.
    let (late, days) = (project.read("sql/views/late.sql"), project.read("sql/views/days.sql"));
    project.write("sql/views/late.sql", "select item_id from items\n");
    project.write("sql/views/days.sql", "select item_id from items\n");
    project.run_clinic().code(0);
    assert!(refusal(&mut reader, "select * from late").starts_with("permission denied for view"));
    assert_eq!(rows(&mut reader, "select count(*) from days"), ["1"]);
    project.write("sql/views/late.sql", late);
    project.write("sql/views/days.sql", days);
    let again = project.env("DATABASE_URL", &database.url());
    let json = again
        .run(&[&["--output", "json"], &roles.args()[..]].concat())
        .code(0)
        .json();
    assert_eq!(json["hidden"], serde_json::json!(["items.filled", "items.batch_date"]));
    assert_eq!(json["withheld"]["late"], serde_json::json!(["batch_date"]));
    assert_eq!(json["views"], serde_json::json!(["days", "newest"]));
    let project = again.env("DATABASE_URL", &url(&database, &roles.loader));

    // No date is shifted any more. The reader reads the tables themselves, and the views in between are removed.
    project.edit(
        "pipelines/clinic.yaml",
        "mask: date_shift",
        "mask: keep, reason: synthetic",
    );
    project.run_clinic().code(0);
    assert_eq!(rows(&mut reader, "select batch_date from items"), [DATE]);
    assert_eq!(rows(&mut reader, "select batch_date from late"), [DATE]);
    let left = "select count(*) from pg_class where relnamespace = 'pipeline_reading'::regnamespace";
    assert_eq!(database.value(left), "0");
    // Dates are shifted again. The run that loads the first shifted date hides the batch's date before it loads. The
    // file of `late` no longer shows that date, but the view in the database still does.
    let late = project.read("sql/views/late.sql");
    project.write("sql/views/late.sql", "select item_id from items\n");
    project.edit(
        "pipelines/clinic.yaml",
        "mask: keep, reason: synthetic",
        "mask: date_shift",
    );
    project.run_clinic().code(0);
    assert!(refusal(&mut reader, "select batch_date from public.items").starts_with("permission denied"));
    assert!(refusal(&mut reader, "select * from late").starts_with("permission denied"));
    project.run(&["views"]).code(0);
    assert_eq!(rows(&mut reader, "select * from late"), ["a"]);
    project.write("sql/views/late.sql", late);
    project.run(&["views"]).code(0);
    assert!(refusal(&mut reader, "select * from late").starts_with("permission denied"));
    assert_eq!(rows(&mut reader, columns), ["item_id day item_id day source"]);
}

#[test]
fn a_grant_that_shows_the_batch_date_is_taken_back_or_stops_the_run() {
    let (database, project, roles) = shifting();
    project.run(&roles.args()).code(0);
    let reader = &roles.reader;
    database.execute(&format!(
        "grant select on items, late to {reader}; grant select (batch_date) on items to {reader}"
    ));
    let project = project.env("DATABASE_URL", &url(&database, &roles.loader));
    project.run_clinic().code(0);
    let mut client = client(&database, reader);
    for table in ["public.items", "late"] {
        assert!(refusal(&mut client, &format!("select * from {table}")).contains("denied"));
    }
    database.execute("grant select (batch_date) on items to public");
    project
        .run_clinic()
        .code(1)
        .stderr_contains(&format!("{reader} can read public.items"));
}

#[test]
fn the_report_tells_what_the_reader_does_not_get() {
    let (_database, project, _) = shifting();
    let report = project.run(&["privacy", "report"]).code(0);
    assert!(
        report.stdout.contains("tables, direct: items.batch_date, items.filled")
            && report
                .stdout
                .contains("views, direct: as_owner.as_owner, late.days, newest.newest")
            && report.stdout.contains("and not as_owner, late, newest"),
        "{}",
        report.stdout
    );
    let json = project.run(&["--output", "json", "privacy", "report"]).code(0).json();
    assert_eq!(json["batch_date"]["phi"], "date");
    assert_eq!(
        json["batch_date"]["withheld"],
        serde_json::json!(["as_owner", "late", "newest"])
    );
}

#[test]
fn columns_say_what_they_are_and_where_they_come_from() {
    let (database, project, _) = shifting();
    let comment = |table: &str, column: &str| {
        database.value(&format!(
            "select col_description(attrelid, attnum) from pg_attribute where attrelid = '{table}'::regclass and attname = '{column}'"
        ))
    };
    assert_eq!(comment("items", "day"), "[lineage: clinic: day (date, date_shift)]");
    assert_eq!(
        comment("items", "filled"),
        "[lineage: clinic: day (date, date_shift), the batch's date]"
    );
    assert_eq!(
        comment("items", "batch_date"),
        "The date of the batch that the row came with [lineage: the batch's date (date, not masked)]"
    );
    assert_eq!(comment("days", "day"), "[lineage: items.day (date, date_shift)]");

    // A comment that a user has written stays in front. A description in the contract replaces it.
    database.execute("comment on column items.day is 'by hand'; comment on column items.item_id is 'by hand'");
    project.edit(
        "pipeline.yaml",
        "item_id: {type: \"text\"",
        "item_id: {type: \"text\", description: Which item",
    );
    project.edit(
        "pipelines/clinic.yaml",
        "mask: date_shift",
        "mask: keep, reason: synthetic",
    );
    project.run_clinic().code(0);
    assert_eq!(comment("items", "day"), "by hand [lineage: clinic: day (date, keep)]");
    assert_eq!(comment("items", "item_id"), "Which item [lineage: clinic: id]");
    assert_eq!(comment("days", "day"), "[lineage: items.day (date, keep)]");

    // If no comment changes, no lock is requested. So a lock of another session does not delay the run.
    let mut holder = database.client();
    holder
        .batch_execute("begin; lock table only items in share update exclusive mode")
        .unwrap();
    let unchanged = "select xmin::text from pg_description where objoid = 'items'::regclass and objsubid = 2";
    let before = database.value(unchanged);
    project.run(&["views"]).code(0).output_lacks("could not be written");
    // If a comment must change and the table is locked, the run prints a warning and continues.
    project.edit("pipeline.yaml", "Which item", "The item");
    project
        .run(&["views"])
        .code(0)
        .stderr_contains("comments could not be written");
    holder.batch_execute("commit").unwrap();
    assert_eq!(database.value(unchanged), before);
    project.run(&["views"]).code(0).output_lacks("could not be written");
    assert_eq!(comment("items", "item_id"), "The item [lineage: clinic: id]");
}

/// Follows the procedure of docs/how-to/erase-a-person.md.
#[test]
fn an_erased_person_is_in_no_table_and_no_view() {
    let (database, project) = Small::new()
        .schema("id: {type: string, required: true, phi: identifier, mask: hash, domain: patient}\nn: bigint")
        .on_server();
    let project = project
        .json(r#"[{"id": "P-1", "n": 1}, {"id": "P-2", "n": 2}]"#)
        .file("in/2023-05-02.json", r#"[{"id": "P-1", "n": 3}]"#)
        .file(
            "sql/materialized/known.sql",
            "-- unique: item_id, n\nselect item_id, n from items\n",
        );
    project.run(&["views"]).code(0);
    for date in [DATE, "2023-05-02"] {
        project.load("clinic", date);
    }
    let hash = hashed("P-1");
    let batches = format!("select distinct source, batch_date from items where item_id = '{hash}' order by 1, 2");
    assert_eq!(database.rows(&batches), ["clinic|2023-05-01", "clinic|2023-05-02"]);
    let project = project.json(r#"[{"id": "P-2", "n": 2}]"#);
    project.load("clinic", DATE);
    // If a file holds nobody else, its batch is dropped as a whole.
    project
        .run(&["drop", "--source", "clinic", "--date", "2023-05-02", "--yes"])
        .code(0);
    assert_eq!(database.rows(&batches), [""; 0]);
    assert_eq!(database.rows("select n from known"), ["2"]);
    let everything = database.rows(
        "select format('select t::text from %I.%I t', n.nspname, c.relname) from pg_class c join pg_namespace n
         on n.oid = c.relnamespace where n.nspname in ('public', 'pipeline', 'pipeline_partitions') and c.relkind in ('r', 'm')",
    );
    for sql in everything {
        let held = database.rows(&sql).join("\n");
        assert!(!held.contains(&hash) && !held.contains("P-1"), "{sql}: {held}");
    }
}

/// Views that each show the batch's date, or a part of it, in a way of its own.
fn detours() -> Vec<(&'static str, String)> {
    let calendar = "(values (date '2023-04-30'), (date '2023-05-01')) c (d)";
    vec![
        ("over_runs", "select source, r.batch_date as d from pipeline.runs r".to_owned()),
        ("values_equal", format!("select c.d from items i join {calendar} on c.d = i.batch_date")),
        ("values_where", format!("select c.d from items i, {calendar} where i.batch_date = c.d")),
        ("values_less", format!("select c.d from items i, {calendar} where c.d <= i.batch_date")),
        ("one_day", "select item_id from items where batch_date = date '2023-05-01'".to_owned()),
        ("by_in", "select item_id from items where batch_date in (date '2023-05-01')".to_owned()),
        (
            "unnested",
            "select u.d from items i, unnest(array[date '2023-04-30', date '2023-05-01']) u (d) where u.d = i.batch_date".to_owned(),
        ),
        (
            "recursive",
            "with recursive c (d) as (select date '2023-04-01' union all select (d + 1)::date from c where d < date '2023-06-01')
             select c.d from items i join c on c.d = i.batch_date".to_owned(),
        ),
        (
            "unions",
            "select b.k from items i join (select batch_date as d, null::date as k from items where false
             union all select date '2023-05-01', date '2023-05-01') b on b.d = i.batch_date".to_owned(),
        ),
        ("ranked", "select item_id, dense_rank() over (order by batch_date) as r from items".to_owned()),
        ("numbered", "select item_id, row_number() over (order by batch_date) as r from items".to_owned()),
        ("ordered", "select item_id from items order by batch_date".to_owned()),
        ("first_one", "select item_id from items order by batch_date limit 1".to_owned()),
        ("grouped", "select count(*) as n from items group by batch_date".to_owned()),
        ("counted", "select count(distinct batch_date) as n from items".to_owned()),
        ("case_of", "select case when batch_date > day then 1 end as n from items".to_owned()),
        ("in_code", "select i.d from (select item_id, U&\"batch\\005fdate\" as d from U&\"\\0069tems\") i".to_owned()),
        ("by_xml", "select query_to_xml('select batch' || '_date from it' || 'ems', true, false, '')::text as x".to_owned()),
        (
            "named_recursive",
            "with recursive items (d) as (select null::date union all
             select i.batch_date from public.items i, items w where w.d is null)
             select d from items where d is not null".to_owned(),
        ),
        ("by_function", "select lower(item_id) as l from items".to_owned()),
        ("whole", "select i as whole from items i".to_owned()),
        ("above", "select d as again from values_equal".to_owned()),
        // PostgreSQL takes another column than DataFusion would.
        (
            "ordered_by_an_alias",
            "select x.day as batch_date, x.item_id from (select a.item_id, a.day, a.batch_date from items a
             join items b on b.batch_date = a.batch_date and b.item_id = a.item_id) x
             order by case when batch_date >= date '2023-05-01' then 1 else 2 end limit 1".to_owned(),
        ),
        (
            "named_by_its_function",
            "select w.item_id from items w where exists (select 1 from (select batch_date as d, item_id from items) v,
             unnest(array[date '2023-05-01']) as batch_date where v.d = batch_date and v.item_id = w.item_id)".to_owned(),
        ),
        (
            "without_a_name",
            "select (select max from (select max(v.batch_date) from items v where v.item_id = o.item_id) s) as d
             from (select item_id, null::date as max from items) o".to_owned(),
        ),
        (
            "by_partition",
            "select (select max(tableoid::text) from items v where v.item_id = o.item_id) as p
             from (select item_id, 0 as tableoid from items) o".to_owned(),
        ),
    ]
}

/// None of these views is for readers.
#[test]
fn no_view_shows_the_batch_date_by_a_detour() {
    let (database, project, roles) = shifting();
    let detours = detours();
    for (name, sql) in &detours {
        project.write(&format!("sql/views/{name}.sql"), format!("{sql}\n"));
    }
    project.write(
        "sql/functions/lower.sql",
        "create function lower(x varchar) returns text language sql stable as $$ select max(batch_date)::text from items $$\n",
    );
    project.write(
        "sql/functions/executes.sql",
        "create function executes() returns setof text language plpgsql stable as $$ begin
         return query execute 'select batch' || '_date::text from it' || 'ems'; end $$\n",
    );
    project.write("sql/materialized/executed.sql", "select * from executes() e (d)\n");
    // These do not show it.
    let open = [
        (
            "latest",
            "select distinct on (item_id) item_id, day from items order by item_id, batch_date desc",
        ),
        (
            "same_batch",
            "select a.item_id, b.day from items a join items b on b.batch_date = a.batch_date and b.item_id = a.item_id",
        ),
    ];
    for (name, sql) in open {
        project.write(&format!("sql/views/{name}.sql"), format!("{sql}\n"));
    }
    project.run(&["views"]).code(0);
    let made = project.run(&roles.args()).code(0);
    let mut reader = client(&database, &roles.reader);
    let names = detours.iter().map(|(name, _)| *name).chain(["executed"]);
    for name in names {
        assert!(made.stdout.contains(name), "{name}: {}", made.stdout);
        let said = refusal(&mut reader, &format!("select * from {name}"));
        assert!(said.starts_with("permission denied for"), "{name}: {said}");
    }
    for (name, _) in open {
        assert_eq!(
            rows(&mut reader, &format!("select count(*) from {name}")),
            ["1"],
            "{name}"
        );
    }
    // A person may show one of them all the same, with a reason that the report tells.
    let project = project.env("DATABASE_URL", &url(&database, &roles.loader));
    project.edit(
        "pipeline.yaml",
        "entities:",
        "expose:\n  - {view: ranked, reason: the order of visits is no secret here}\n  - {view: executed, reason: tried}\n  - {view: as_owner, reason: tried}\nentities:",
    );
    project.run_clinic().code(0);
    assert_eq!(rows(&mut reader, "select r from ranked"), ["1"]);
    assert_eq!(rows(&mut reader, "select count(*) from executed"), ["1"]);
    assert_eq!(rows(&mut reader, "select as_owner()"), [DATE]);
    assert!(refusal(&mut reader, "select * from numbered").starts_with("permission denied"));
    project
        .run(&["privacy", "report"])
        .code(0)
        .stdout_contains("exposed is ranked: the order of visits is no secret here");
    // What is no longer exposed is taken back.
    project.edit("pipeline.yaml", "  - {view: as_owner, reason: tried}\n", "");
    project.edit(
        "pipeline.yaml",
        "  - {view: ranked, reason: the order of visits is no secret here}\n",
        "",
    );
    project.run_clinic().code(0);
    assert!(refusal(&mut reader, "select * from ranked").starts_with("permission denied"));
    assert!(refusal(&mut reader, "select as_owner()").starts_with("permission denied"));
}

/// A transform that joins `$date` shows it in what it joins.
#[test]
fn a_transform_shows_no_date_by_a_detour() {
    let (database, project) = Small::new()
        .schema("id: {type: string, required: true}\nday: {type: date, phi: date, mask: date_shift}")
        .columns(&[("item_id", "text"), ("marker", "text")])
        .sql("select id as item_id, c.k as marker from source join (values ('2023-04-30'), ('2023-05-01')) c (k) on c.k = cast($date as varchar)")
        .rest("subject: id")
        .on_server();
    let project = project
        .json(r#"[{"id": "a", "day": "2023-04-30"}]"#)
        .file("sql/views/markers.sql", "select marker from items\n")
        .file("sql/views/how_many.sql", "select count(*) as n from items\n");
    project.run(&["views"]).code(0);
    project.run_clinic().code(0);
    let roles = Roles::of(&database);
    project.run(&roles.args()).code(0);
    let mut reader = client(&database, &roles.reader);
    for sql in [
        "select marker from items",
        "select * from markers",
        "select * from how_many",
    ] {
        refusal(&mut reader, sql);
    }
    let project = project.env("DATABASE_URL", &url(&database, &roles.loader));
    project.edit(
        "pipeline.yaml",
        "entities:",
        "expose: [{view: items, reason: tried}]\nentities:",
    );
    project.run_clinic().code(0);
    assert_eq!(rows(&mut reader, "select marker from items"), ["2023-05-01"]);
    refusal(&mut reader, "select batch_date from items");
    refusal(&mut reader, "select * from markers");
}

/// What a migration makes is not planned at all.
#[test]
fn what_migrations_make_stops_the_load_if_a_reader_may_use_it() {
    let (database, project, roles) = shifting();
    project.run(&roles.args()).code(0);
    let project = project.env("DATABASE_URL", &url(&database, &roles.loader));
    let reader = &roles.reader;
    let said = |what: &str, sql: &str, undo: &str| {
        let mut loader = client(&database, &roles.loader);
        loader
            .batch_execute(&format!("set role {}; {sql}", roles.owner))
            .unwrap();
        project
            .run_clinic()
            .code(1)
            .stderr_contains(&format!("{reader} can use {what}, which may show the batch's date"))
            .stderr_contains("expose");
        loader.batch_execute(undo).unwrap();
        project.run_clinic().code(0);
    };
    said(
        "public.leak()",
        "create function leak() returns date language sql security definer as $$ select max(batch_date) from public.items $$",
        "drop function leak()",
    );
    said(
        "public.leaks",
        &format!("create view leaks as select batch_date from items; grant select on leaks to {reader}"),
        "drop view leaks",
    );
    said(
        "more.leaked",
        &format!(
            "create schema more; create table more.leaked as select batch_date from items;
             grant usage on schema more to {reader}; grant select on more.leaked to public"
        ),
        "drop schema more cascade",
    );
    // A view in the place of one that is made for readers.
    let mut loader = client(&database, &roles.loader);
    loader
        .batch_execute(&format!(
            "set role {}; create or replace view pipeline_reading.items as
             select item_id, day, batch_date::text as source from public.items",
            roles.owner
        ))
        .unwrap();
    project.run_clinic().code(0);
    let mut seen = client(&database, reader);
    assert_eq!(rows(&mut seen, "select source from items"), ["clinic"]);
    // An operator or a function by which PostgreSQL reads a view of sql/ otherwise than its plan.
    let mut loader = client(&database, &roles.loader);
    loader
        .batch_execute(&format!(
            "set role {}; create function upper(x varchar) returns text language sql as $$ select max(batch_date)::text from public.items $$",
            roles.owner
        ))
        .unwrap();
    project.write(
        "sql/materialized/upper_ids.sql",
        "select upper(item_id::varchar) as u from items\n",
    );
    project.run(&["views"]).code(0);
    assert_eq!(database.value("select u from upper_ids"), DATE);
    let mut reader = client(&database, reader);
    assert!(refusal(&mut reader, "select * from upper_ids").starts_with("permission denied"));
}
