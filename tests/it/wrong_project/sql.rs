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

    error: Error during planning: Projections require unique expression names but the expression "source.n" at position 1 and "source.n" at position 2 have the same name. Consider aliasing ("AS") one of them.
     --> sql/clinic/items.sql:1:1
      |
    1 | select id as item_id, n, n from source
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
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

    error: This feature is not implemented: The context currently only supports a single SQL statement
     --> sql/clinic/items.sql:1:1
      |
    1 | select id as item_id, n from source;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
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

    error: This feature is not implemented: Physical plan does not support logical expression OuterReferenceColumn(Field { name: "l", data_type: List(Field { data_type: Int64, nullable: true }), nullable: true }, Column { relation: Some(Bare { table: "source" }), name: "l" })
     --> sql/clinic/items.sql:1:1
      |
    1 | select id as item_id, item as n
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: DataFusion unnests in the SELECT list: WITH v AS (SELECT patient_id, unnest(visits) AS item FROM source) SELECT patient_id, item['date'] FROM v. For WITH ORDINALITY: unnest(with_ordinality(visits)) AS v gives v['item'] and v['ordinality']
    "#);
}

#[test]
fn lateral() {
    insta::assert_snapshot!(problems(&Small::new().schema("id: {type: string, required: true}\nl: {list: bigint}").sql("select id as item_id, t.item as n\nfrom source, lateral unnest(source.l) as t(item)").project()), @r"
    error: the transforms do not fit the project

    error: Error during planning: table function 'unnest' not found
     --> sql/clinic/items.sql:1:1
      |
    1 | select id as item_id, t.item as n
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
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
