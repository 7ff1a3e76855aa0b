//! Mistakes in pipeline.yaml.
use super::contract;

#[test]
fn yaml_that_is_none() {
    insta::assert_snapshot!(contract("name: small", "name: [small"), @r"
    error: the project has a problem

    error: this is no YAML: illegal placement of ':' indicator
     --> pipeline.yaml:2:9
      |
    2 | entities:
      |         ^
      |
      = hint: check brackets and indentation; put a text in quotes that holds `: ` or starts with one of { [ % @ * & ! ` | >
    ");
}

#[test]
fn a_tab_in_yaml() {
    insta::assert_snapshot!(contract("    columns:", "\tcolumns:"), @r"
    error: the project has a problem

    error: this is no YAML: tabs disallowed within this context (block indentation)
     --> pipeline.yaml:4:2
      |
    4 |     columns:
      |     ^
      |
      = hint: check brackets and indentation; put a text in quotes that holds `: ` or starts with one of { [ % @ * & ! ` | >
    ");
}

#[test]
fn an_unknown_key_of_the_project() {
    insta::assert_snapshot!(contract("name: small", "name: small\nentites: {}"), @r"
    error: the project has a problem

    error: unknown key `entites`
     --> pipeline.yaml:2:1
      |
    2 | entites: {}
      | ^^^^^^^
      |
      = hint: did you mean `entities`?
    ");
}

#[test]
fn an_unknown_key_of_an_entity() {
    insta::assert_snapshot!(contract("    columns:", "    descripton: x\n    columns:"), @r"
    error: the project has a problem

    error: unknown key `descripton`
     --> pipeline.yaml:4:5
      |
    4 |     descripton: x
      |     ^^^^^^^^^^
      |
      = hint: did you mean `description`?
    ");
}

#[test]
fn an_unknown_key_of_a_column() {
    insta::assert_snapshot!(contract("nullable: false", "nulable: false"), @r#"
    error: the project has 2 problems

    error: unknown key `nulable`
     --> pipeline.yaml:5:31
      |
    5 |       item_id: {type: "text", nulable: false}
      |                               ^^^^^^^
      |
      = hint: did you mean `nullable`?

    error: the key column `item_id` may be null
     --> pipeline.yaml:7:11
      |
    7 |     key: [item_id]
      |           ^^^^^^^
      |
      = hint: declare it so: item_id: {type: ..., nullable: false}
    "#);
}

#[test]
fn a_key_given_twice() {
    insta::assert_snapshot!(contract("    key: [item_id]", "    key: [item_id]\n    key: [n]"), @r"
    error: the project has a problem

    error: the key `key` is given twice
     --> pipeline.yaml:8:5
      |
    8 |     key: [n]
      |     ^^^
      |
      = hint: it stands in line 7 already: keep one of them
    ");
}

#[test]
fn a_key_of_a_wrong_type() {
    insta::assert_snapshot!(contract("nullable: false", "nullable: maybe"), @r#"
    error: the project has 2 problems

    error: `nullable` must be true or false, not text
     --> pipeline.yaml:5:41
      |
    5 |       item_id: {type: "text", nullable: maybe}
      |                                         ^^^^^
      |
      = hint: write `nullable: true` or `nullable: false`

    error: the key column `item_id` may be null
     --> pipeline.yaml:7:11
      |
    7 |     key: [item_id]
      |           ^^^^^^^
      |
      = hint: declare it so: item_id: {type: ..., nullable: false}
    "#);
}

#[test]
fn columns_that_are_a_list() {
    insta::assert_snapshot!(contract("    columns:\n", "    columns: [a]\n    x:\n"), @r"
    error: the project has 2 problems

    error: `columns` must be a mapping, not a list
     --> pipeline.yaml:4:5
      |
    4 |     columns: [a]
      |     ^^^^^^^
      |
      = hint: write one `key: value` in a line

    error: unknown key `x`
     --> pipeline.yaml:5:5
      |
    5 |     x:
      |     ^
      |
      = hint: it may be description, columns, key, parent, indexes, latest, deletions or checks
    ");
}

#[test]
fn a_column_type_that_does_not_exist() {
    insta::assert_snapshot!(contract("int8", "integr"), @r#"
    error: the project has a problem

    error: `integr` is no PostgreSQL type that a contract may name
     --> pipeline.yaml:6:17
      |
    6 |       n: {type: "integr"}
      |                 ^^^^^^^^
      |
      = hint: did you mean `integer`?
    "#);
}

#[test]
fn a_reserved_column_name() {
    insta::assert_snapshot!(contract("      n:", "      batch_date:"), @r#"
    error: the project has a problem

    error: `batch_date` can't be the name of a column: it is a partition column, which every entity has
     --> pipeline.yaml:6:7
      |
    6 |       batch_date: {type: "int8"}
      |       ^^^^^^^^^^
      |
      = hint: choose another name
    "#);
}

#[test]
fn a_column_name_that_is_no_identifier() {
    insta::assert_snapshot!(contract("      n:", "      Full Name:"), @r#"
    error: the project has a problem

    error: `Full Name` can't be the name of a column
     --> pipeline.yaml:6:7
      |
    6 |       Full Name: {type: "int8"}
      |       ^^^^^^^^^
      |
      = hint: use a-z, 0-9 and _, with no digit first: `full_name`
    "#);
}

#[test]
fn a_key_that_may_be_null() {
    insta::assert_snapshot!(contract("key: [item_id]", "key: [n]"), @r"
    error: the project has a problem

    error: the key column `n` may be null
     --> pipeline.yaml:7:11
      |
    7 |     key: [n]
      |           ^
      |
      = hint: declare it so: n: {type: ..., nullable: false}
    ");
}

#[test]
fn a_key_that_is_no_column() {
    insta::assert_snapshot!(contract("key: [item_id]", "key: [itemid]"), @r"
    error: the project has a problem

    error: `items` has no column `itemid`
     --> pipeline.yaml:7:11
      |
    7 |     key: [itemid]
      |           ^^^^^^
      |
      = hint: did you mean `item_id`?
    ");
}

#[test]
fn an_index_on_no_column() {
    insta::assert_snapshot!(contract("    key: [item_id]", "    key: [item_id]\n    indexes: [[m]]"), @r"
    error: the project has a problem

    error: `items` has no column `m`
     --> pipeline.yaml:8:16
      |
    8 |     indexes: [[m]]
      |                ^
      |
      = hint: its columns are item_id and n
    ");
}

#[test]
fn a_parent_that_is_no_entity() {
    insta::assert_snapshot!(contract("    key: [item_id]", "    key: [item_id]\n    parent: itemz"), @r"
    error: the project has a problem

    error: the parent `itemz` is no entity
     --> pipeline.yaml:8:13
      |
    8 |     parent: itemz
      |             ^^^^^
      |
      = hint: did you mean `items`?
    ");
}

#[test]
fn an_entity_that_is_its_own_parent() {
    insta::assert_snapshot!(contract("    key: [item_id]", "    key: [item_id]\n    parent: items"), @r"
    error: the project has a problem

    error: the parents go in a circle: items -> items
     --> pipeline.yaml:8:13
      |
    8 |     parent: items
      |             ^^^^^
      |
      = hint: take `parent` out of the one that comes first
    ");
}

#[test]
fn a_key_that_nothing_acts_on_yet_in_a_contract() {
    insta::assert_snapshot!(contract("name: small", "name: small\ndefaults: {}"), @r"
    error: the project has a problem

    error: nothing acts on `defaults` yet
     --> pipeline.yaml:2:1
      |
    2 | defaults: {}
      | ^^^^^^^^
      |
      = hint: take `defaults` out: a later version will act on it
    ");
}
