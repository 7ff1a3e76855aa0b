//! Mistakes in the SQL of a transform.
use super::{problems, transform};
use crate::harness::Small;

#[test]
fn sql_that_is_named_after_no_entity() {
    insta::assert_snapshot!(problems(&Small::new().project().file("sql/clinic/itms.sql", "select 1")), @r"
    error: the project has a problem

    error: pipeline.yaml declares no entity `itms`
    --> sql/clinic/itms.sql:1:1
     = hint: did you mean `items.sql`?
    ");
}

#[test]
fn sql_that_is_empty() {
    insta::assert_snapshot!(transform(""), @r"
    error: the project has a problem

    error: the file holds no SQL
    --> sql/clinic/items.sql:1:1
     = hint: write a SELECT into it, or remove it
    ");
}

#[test]
fn sql_of_an_unknown_column() {
    insta::assert_snapshot!(transform("select id as item_id,\n  m as n\nfrom source"), @r"
    error: the transforms do not fit the project

    error: column 'm' not found
     --> sql/clinic/items.sql:2:3
      |
    2 |   m as n
      |   ^
      |
      = hint: the columns here are id and n
    ");
}

#[test]
fn sql_of_an_unknown_table() {
    insta::assert_snapshot!(transform("select id as item_id, n\nfrom sorce"), @r"
    error: the transforms do not fit the project

    error: table 'sorce' not found
     --> sql/clinic/items.sql:2:6
      |
    2 | from sorce
      |      ^^^^^
      |
      = hint: did you mean `source`?
    ");
}

#[test]
fn sql_of_an_unknown_function() {
    insta::assert_snapshot!(transform("select lowr(id) as item_id, n from source"), @r"
    error: the transforms do not fit the project

    error: Invalid function 'lowr'
     --> sql/clinic/items.sql:1:8
      |
    1 | select lowr(id) as item_id, n from source
      |        ^^^^
      |
      = hint: did you mean `lower`?
    ");
}

#[test]
fn a_column_of_the_contract_that_sql_lacks() {
    insta::assert_snapshot!(transform("select id as item_id\nfrom source"), @r"
    error: the transforms do not fit the project

    error: column `n` (bigint) of items is missing
     --> sql/clinic/items.sql:1:1
      |
    1 | select id as item_id
      | ^^^^^^^^^^^^^^^^^^^^
      |
      = hint: return it, or `NULL AS n` where this source has none
    ");
}

#[test]
fn a_column_that_the_contract_lacks() {
    insta::assert_snapshot!(transform("select id as item_id, n,\n  id as more\nfrom source"), @r"
    error: the transforms do not fit the project

    error: column `more` is not one of items
     --> sql/clinic/items.sql:2:3
      |
    2 |   id as more
      |   ^^^^^^^^^^
      |
      = hint: drop it, or declare it under items in pipeline.yaml
    ");
}

#[test]
fn a_column_of_another_type() {
    insta::assert_snapshot!(transform("select id as item_id,\n  id as n\nfrom source"), @r"
    error: the transforms do not fit the project

    error: column `n` of items is bigint but the transform returns Utf8
     --> sql/clinic/items.sql:2:3
      |
    2 |   id as n
      |   ^^^^^^^
      |
      = hint: is Utf8, the contract says bigint: CAST(... AS BIGINT)
    ");
}

#[test]
fn a_column_given_twice() {
    insta::assert_snapshot!(transform("select id as item_id, n, n from source"), @r#"
    error: the transforms do not fit the project

    error: Projections require unique expression names but the expression "source.n" at position 1 and "source.n" at position 2 have the same name. Consider aliasing ("AS") one of them.
     --> sql/clinic/items.sql:1:23
      |
    1 | select id as item_id, n, n from source
      |                       ^
    "#);
}

#[test]
fn a_column_of_the_engine() {
    insta::assert_snapshot!(transform("select id as item_id, n,\n  'x' as source\nfrom source"), @r"
    error: the transforms do not fit the project

    error: column `source` is not one of items
     --> sql/clinic/items.sql:2:3
      |
    2 |   'x' as source
      |   ^^^^^^^^^^^^^
      |
      = hint: drop it, or declare it under items in pipeline.yaml
    ");
}

#[test]
fn two_statements() {
    insta::assert_snapshot!(transform("select id as item_id, n from source;\nselect 1"), @r"
    error: the transforms do not fit the project

    error: the file holds more than one statement
     --> sql/clinic/items.sql:1:1
      |
    1 | select id as item_id, n from source;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: a transform is one SELECT: take out the others
    ");
}

#[test]
fn no_select() {
    insta::assert_snapshot!(transform("drop table source"), @r"
    error: the transforms do not fit the project

    error: a transform is one SELECT
     --> sql/clinic/items.sql:1:1
      |
    1 | drop table source
      | ^^^^^^^^^^^^^^^^^
      |
      = hint: return the entity's rows with a SELECT
    ");
}

#[test]
fn cross_join_unnest() {
    insta::assert_snapshot!(problems(&Small::new().schema("id: {type: string, required: true}\nl: {list: bigint}").sql("select id as item_id, item as n\nfrom source cross join unnest(l) as t(item)").project()), @r#"
    error: the transforms do not fit the project

    error: DataFusion can't use a column of the outer query here
     --> sql/clinic/items.sql:2:31
      |
    2 | from source cross join unnest(l) as t(item)
      |                               ^
      |
      = hint: DataFusion unnests in the SELECT list: WITH v AS (SELECT patient_id, unnest(visits) AS item FROM source) SELECT patient_id, item['date'] FROM v. For WITH ORDINALITY: unnest(with_ordinality(visits)) AS v gives v['item'] and v['ordinality']
    "#);
}

#[test]
fn lateral() {
    insta::assert_snapshot!(problems(&Small::new().schema("id: {type: string, required: true}\nl: {list: bigint}").sql("select id as item_id, t.item as n\nfrom source, lateral unnest(source.l) as t(item)").project()), @r"
    error: the transforms do not fit the project

    error: table function 'unnest' not found
     --> sql/clinic/items.sql:2:22
      |
    2 | from source, lateral unnest(source.l) as t(item)
      |                      ^^^^^^
      |
      = hint: DataFusion unnests in the SELECT list: WITH v AS (SELECT patient_id, unnest(visits) AS item FROM source) SELECT patient_id, item['date'] FROM v. For WITH ORDINALITY: unnest(with_ordinality(visits)) AS v gives v['item'] and v['ordinality']
    ");
}

#[test]
fn not_in_a_subquery() {
    insta::assert_snapshot!(transform("select id as item_id, n from source\nwhere n not in (select n from source)"), @r"
    error: the transforms do not fit the project

    error: `NOT IN (subquery)` can't be relied on: DataFusion 55 gives too many rows or too few where one of the values is null
     --> sql/clinic/items.sql:2:7
      |
    2 | where n not in (select n from source)
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: write `NOT EXISTS (SELECT 1 FROM ... WHERE the values are equal)`; for a value, `CASE WHEN EXISTS (...) THEN ... END`
    ");
}

#[test]
fn a_group_by_a_field_that_is_the_same_everywhere() {
    let wrong = Small::new()
        .schema("id: {type: string, required: true, phi: name, mask: redact}\nn: bigint")
        .sql("select max(id) as item_id, n from source\ngroup by n, lower(id)");
    insta::assert_snapshot!(problems(&wrong.project()), @r"
    error: the transforms do not fit the project

    error: `id` is used in GROUP BY, but its mask `redact` makes it the same in every record
     --> sql/clinic/items.sql:2:19
      |
    2 | group by n, lower(id)
      |                   ^^
      |
      = hint: mask it with hash or pseudonym, which keep equal values equal; or leave it out; or, if that is meant, list its path in `allow_constant_masks` of the source clinic

    error: column `item_id` of items, of the key, derives from `id` alone, but its mask `redact` makes it the same in every record
     --> sql/clinic/items.sql:1:1
      |
    1 | select max(id) as item_id, n from source
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: mask it with hash or pseudonym, which keep equal values equal; or leave it out; or, if that is meant, list its path in `allow_constant_masks` of the source clinic
    ");
    let meant = wrong.rest("allow_constant_masks: [id]").project();
    meant.run(&["check"]).code(0);
}

/// A source with structs in lists in structs.
fn nested(sql: &str) -> String {
    let schema = "id: {type: string, required: true}\nn: bigint\ns: {struct: {a: bigint, inner: {struct: {deep: bigint}}}}\n\
                  visits:\n  list:\n    no: bigint\n    codes: {list: {code: bigint}}";
    problems(&Small::new().schema(schema).sql(sql).project())
}

#[test]
fn fields_that_there_are_not() {
    for (sql, place, said, hint) in [
        (
            "select id as item_id,\n  s.nop as n from source",
            "2:5",
            "`s` has no field `nop`",
            "its fields are a and inner",
        ),
        (
            "select id as item_id,\n  source.s.aa as n from source",
            "2:12",
            "`s` has no field `aa`",
            "its fields are",
        ),
        (
            "select id as item_id,\n  s['nop'] as n from source",
            "2:4",
            "there is no field `nop`",
            "its fields are a and inner",
        ),
        (
            "select id as item_id,\n  s.inner.dep as n from source",
            "2:11",
            "`s.inner` has no field `dep`",
            "did you mean `deep`?",
        ),
        (
            "select id as item_id,\n  s['inner']['dep'] as n from source",
            "2:13",
            "no field `dep`",
            "did you mean `deep`?",
        ),
        (
            "select id as item_id,\n  n from source where s.nop > 1",
            "2:25",
            "`s` has no field `nop`",
            "its fields are",
        ),
        (
            "select id as item_id, n from source\nunion all\nselect id,\n  s.nop from source",
            "4:5",
            "`s` has no field `nop`",
            "its",
        ),
        (
            "select id as item_id,\n  visits[1]['nop'] as n from source",
            "2:12",
            "there is no field `nop`",
            "did you mean `no`?",
        ),
        (
            "select id as item_id,\n  visits.no as n from source",
            "2:10",
            "`visits` is a list and has no field `no`",
            "unnest(list)",
        ),
        (
            "select id as item_id,\n  n.x as n from source",
            "2:5",
            "`n` is bigint and has no field `x`",
            "without a field",
        ),
        (
            "select id as item_id,\n  array_length(array_filter(visits, v -> v['nop'] = 1)) as n from source",
            "2:43",
            "there is no field `nop`",
            "did you mean `no`?",
        ),
    ] {
        let shown = nested(sql);
        assert!(shown.contains(said) && shown.contains(hint), "{shown}");
        assert!(
            shown.contains(&format!("items.sql:{place}\n")) && shown.contains('^'),
            "{shown}"
        );
    }
}

#[test]
fn fields_of_unnested_elements_that_there_are_not() {
    const V: &str = "with v as (select id, unnest(visits) as item from source)";
    for (sql, place, said, hint) in [
        (
            "\nselect id as item_id,\n  item.nop as n from v",
            "3:8",
            "`item` has no field `nop`",
            "did you mean `no`?",
        ),
        (
            "\nselect id as item_id,\n  v.item['nop'] as n from v",
            "3:9",
            "there is no field `nop`",
            "did you mean `no`?",
        ),
        (
            ",\nw as (select id, unnest(item.codes) as c from v)\nselect id as item_id,\n  abs(c.cod) as n from w",
            "4:9",
            "`c` has no field `cod`",
            "did you mean `code`?",
        ),
    ] {
        let shown = nested(&format!("{V}{sql}"));
        assert!(shown.contains(said) && shown.contains(hint), "{shown}");
        assert!(shown.contains(&format!("items.sql:{place}\n")), "{shown}");
    }
}

#[test]
fn names_without_a_place_of_their_own_are_looked_up_in_the_text() {
    for (sql, place, said, hint) in [
        (
            "select id as item_id,\n  n from source order by nop",
            "2:26",
            "column 'nop' not found",
            "the columns here are",
        ),
        (
            "select id as item_id,\n  count(*) as n from source group by nop",
            "2:38",
            "column 'nop' not found",
            "the columns here",
        ),
        (
            "select id as item_id,\n  $dat as n from source",
            "2:3",
            "placeholder with name $dat",
            "$date and $source",
        ),
        (
            "select id as item_id,\n  t.n as n from source",
            "2:3",
            "not found in 't'",
            "the tables here are source",
        ),
        (
            "select id as item_id,\n  sqrtt(n) as n from source",
            "2:3",
            "Invalid function 'sqrtt'",
            "did you mean `sqrt`?",
        ),
    ] {
        let shown = transform(sql);
        assert!(shown.contains(said) && shown.contains(hint), "{shown}");
        assert!(
            shown.contains(&format!("items.sql:{place}\n")) && shown.contains('^'),
            "{shown}"
        );
    }
}

#[test]
fn what_datafusion_can_not_do_is_said_in_plain_words() {
    for sql in [
        "select id as item_id, (select max(o.n) from source o where o.n < source.n) as n from source",
        "select id as item_id, (select count(*) from range(1, n)) as n from source",
        "select id as item_id, n from source limit (select 1)",
        "select id as item_id, n from source pivot (max(n) for id in ('a'))",
        "select id as item_id, n from source where unnest([n]) > 1",
        "select id as item_id, substr(id) as n from source",
    ] {
        let shown = transform(sql);
        for never in [
            "bug in DataFusion",
            "issue tracker",
            "Internal error",
            "Error during planning",
            "Field {",
            "Span(",
        ] {
            assert!(!shown.contains(never), "{shown}");
        }
    }
}

#[test]
fn the_remedy_for_a_time_with_a_zone_works() {
    let project = |at: &str| {
        Small::new()
            .schema("id: {type: string, required: true}\ntext: string\nday: date\ntime: timestamp")
            .columns(&[("item_id", "text"), ("at", "timestamptz")])
            .sql(&format!("select id as item_id, {at} as at from source"))
            .project()
    };
    let known = project("cast(text as timestamptz)").run(&["check"]);
    assert_eq!(known.exit(), Some(0), "{}", known.stderr);
    for column in ["text", "day", "time"] {
        let shown = problems(&project(column));
        let (_, remedy) = shown
            .split_once("the contract says timestamp with time zone: ")
            .unwrap();
        let remedy = remedy.trim_end().trim_start_matches("say which zone it is in: ");
        let mended = project(&remedy.replace("...", column));
        let checked = mended.run(&["check"]);
        assert_eq!(checked.exit(), Some(0), "{remedy}\n{}", checked.stderr);
    }
}
