//! Names that somebody gives to functions and operators of `public` do not stand in for those of PostgreSQL.
use crate::harness::{DATE, Small};

/// Each fits better than PostgreSQL's own, where `public` is looked through: its types are exactly those of the call.
const HOSTILE: &str = r#"
create function public.stolen() returns text language plpgsql as $$ begin raise exception 'hostile'; end $$;
create function public.quote_ident(name) returns text language sql as 'select public.stolen()';
create function public.unnest(text[]) returns setof text language sql as 'select public.stolen()';
create function public.format(text, date, date) returns text language sql as 'select public.stolen()';
create function public.other("char", text) returns boolean language sql as 'select public.stolen() is null';
create operator public.= (leftarg = "char", rightarg = text, function = public.other);
"#;

#[test]
fn what_is_in_public_stands_in_for_nothing() {
    let (database, project) = Small::new().on_server();
    let project = project
        .json(r#"[{"id": "a", "n": 1}, {"id": "b", "n": 2}]"#)
        .file("sql/views/known.sql", "select item_id from items\n")
        .file(
            "sql/materialized/counted.sql",
            "-- unique: item_id\nselect item_id, n from items\n",
        )
        .file("sql/checks/few.sql", "select * from items where n > 9\n");
    database.execute(HOSTILE);
    let run = |args: &[&str]| project.run(args).code(0).output_lacks("hostile");
    run(&["migrate"]);
    run(&["views"]);
    for _ in 0..2 {
        run(&["run", "--source", "clinic", "--date", DATE]);
    }
    run(&["check"]);
    run(&["status"]);
    run(&["doctor"]);
    run(&["quarantine", "list"]);
    run(&["privacy", "report"]);
    run(&["views", "--refresh"]);
    // The names of the project's own SQL are those of `public`.
    run(&["query", "select count(*) from known"]).stdout_contains("2");
    run(&["drop", "--source", "clinic", "--date", DATE, "--yes"]);
    assert_eq!(database.count("items"), 0);
}
