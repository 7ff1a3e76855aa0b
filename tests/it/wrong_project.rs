//! What is wrong in the project's own files is said whole: file, line and column, the line with a caret, what to do.
//! Every message is asserted to the letter.
use crate::harness::{Project, Small};

/// What `pipeline check` says of a wrong project.
fn refused(project: &Project) -> String {
    let outcome = project.run(&["check"]).code(2).stdout_is("");
    outcome.message()
}

/// The small project with one text of one file replaced.
fn with(path: &str, old: &str, new: &str) -> Project {
    let project = Small::new().project();
    project.edit(path, old, new);
    project
}

fn contract(old: &str, new: &str) -> String {
    refused(&with("pipeline.yaml", old, new))
}

fn source(old: &str, new: &str) -> String {
    refused(&with("pipelines/clinic.yaml", old, new))
}

fn transform(sql: &str) -> String {
    refused(&Small::new().sql(sql).project())
}

#[test]
fn no_project_at_all() {
    insta::assert_snapshot!(refused(&Project::new()), @"");
}

#[test]
fn a_folder_that_is_not_there() {
    insta::assert_snapshot!(Project::new().run(&["check", "--project", "nowhere"]).code(2).message(), @"");
}

#[test]
fn yaml_that_is_none() {
    insta::assert_snapshot!(contract("name: small", "name: [small"), @"");
}

#[test]
fn a_tab_in_yaml() {
    insta::assert_snapshot!(contract("    columns:", "\tcolumns:"), @"");
}

#[test]
fn an_unknown_key_of_the_project() {
    insta::assert_snapshot!(contract("name: small", "name: small\nentites: {}"), @"");
}

#[test]
fn an_unknown_key_of_an_entity() {
    insta::assert_snapshot!(contract("    columns:", "    descripton: x\n    columns:"), @"");
}

#[test]
fn an_unknown_key_of_a_column() {
    insta::assert_snapshot!(contract("nullable: false", "nulable: false"), @"");
}

#[test]
fn a_key_given_twice() {
    insta::assert_snapshot!(contract("    key: [item_id]", "    key: [item_id]\n    key: [n]"), @"");
}

#[test]
fn a_key_of_a_wrong_type() {
    insta::assert_snapshot!(contract("nullable: false", "nullable: maybe"), @"");
}

#[test]
fn columns_that_are_a_list() {
    insta::assert_snapshot!(contract("    columns:\n", "    columns: [a]\n    x:\n"), @"");
}

#[test]
fn a_column_type_that_does_not_exist() {
    insta::assert_snapshot!(contract("int8", "integr"), @"");
}

#[test]
fn a_reserved_column_name() {
    insta::assert_snapshot!(contract("      n:", "      batch_date:"), @"");
}

#[test]
fn a_column_name_that_is_no_identifier() {
    insta::assert_snapshot!(contract("      n:", "      Full Name:"), @"");
}

#[test]
fn a_key_that_may_be_null() {
    insta::assert_snapshot!(contract("key: [item_id]", "key: [n]"), @"");
}

#[test]
fn a_key_that_is_no_column() {
    insta::assert_snapshot!(contract("key: [item_id]", "key: [itemid]"), @"");
}

#[test]
fn an_index_on_no_column() {
    insta::assert_snapshot!(contract("    key: [item_id]", "    key: [item_id]\n    indexes: [[m]]"), @"");
}

#[test]
fn a_parent_that_is_no_entity() {
    insta::assert_snapshot!(contract("    key: [item_id]", "    key: [item_id]\n    parent: itemz"), @"");
}

#[test]
fn an_entity_that_is_its_own_parent() {
    insta::assert_snapshot!(contract("    key: [item_id]", "    key: [item_id]\n    parent: items"), @"");
}

#[test]
fn a_key_that_nothing_acts_on_yet_in_a_contract() {
    insta::assert_snapshot!(contract("    key: [item_id]", "    key: [item_id]\n    checks: []"), @"");
}

#[test]
fn an_unknown_key_of_a_source() {
    insta::assert_snapshot!(source("schema:", "on_unknown_feild: warn\nschema:"), @"");
}

#[test]
fn an_unknown_key_of_the_input() {
    insta::assert_snapshot!(source("  path:", "  formt: json\n  path:"), @"");
}

#[test]
fn an_unknown_key_of_a_field() {
    insta::assert_snapshot!(source("required: true", "requird: true"), @"");
}

#[test]
fn a_key_of_a_source_given_twice() {
    insta::assert_snapshot!(source("schema:", "name: clinic\nschema:"), @"");
}

#[test]
fn a_schema_type_that_does_not_exist() {
    insta::assert_snapshot!(source("n: bigint", "n: bigit"), @"");
}

#[test]
fn a_decimal_that_is_too_wide() {
    insta::assert_snapshot!(source("n: bigint", "n: decimal(39,2)"), @"");
}

#[test]
fn a_field_without_a_type() {
    insta::assert_snapshot!(source("n: bigint", "n: {required: true}"), @"");
}

#[test]
fn a_field_with_two_types() {
    insta::assert_snapshot!(source("n: bigint", "n: {type: int, list: int}"), @"");
}

#[test]
fn a_field_required_by_a_word() {
    insta::assert_snapshot!(source("required: true", "required: always"), @"");
}

#[test]
fn a_schema_that_is_a_list() {
    insta::assert_snapshot!(source("id: {type: string, required: true}\n  n: bigint", "[id, n]"), @"");
}

#[test]
fn a_source_without_a_path() {
    insta::assert_snapshot!(source("  path: in/{date:%Y-%m-%d}.json\n", "  format: json\n"), @"");
}

#[test]
fn a_source_without_a_schema() {
    insta::assert_snapshot!(source("schema:\n  id: {type: string, required: true}\n  n: bigint\n", ""), @"");
}

#[test]
fn a_format_that_does_not_exist() {
    insta::assert_snapshot!(source("  path:", "  format: jsn\n  path:"), @"");
}

#[test]
fn a_compression_that_does_not_exist() {
    insta::assert_snapshot!(source("  path:", "  compression: zip\n  path:"), @"");
}

#[test]
fn a_path_without_a_date() {
    insta::assert_snapshot!(source("{date:%Y-%m-%d}", "today"), @"");
}

#[test]
fn a_path_with_a_wrong_date() {
    insta::assert_snapshot!(source("{date:%Y-%m-%d}", "{date:%Q}"), @"");
}

#[test]
fn a_path_with_an_unknown_token() {
    insta::assert_snapshot!(source("{date:%Y-%m-%d}", "{day}"), @"");
}

#[test]
fn a_path_of_an_unknown_scheme() {
    insta::assert_snapshot!(source("in/", "ftp://host/"), @"");
}

#[test]
fn records_that_are_no_path() {
    insta::assert_snapshot!(source("  path:", "  records: entry[0]\n  path:"), @"");
}

#[test]
fn records_of_a_csv() {
    insta::assert_snapshot!(source("  path:", "  format: csv\n  records: $.a\n  path:"), @"");
}

#[test]
fn csv_options_of_json() {
    insta::assert_snapshot!(source("  path:", "  csv: {delimiter: \";\"}\n  path:"), @"");
}

#[test]
fn a_delimiter_of_two_characters() {
    insta::assert_snapshot!(source("  path:", "  format: csv\n  csv: {delimiter: \"||\"}\n  path:"), @"");
}

#[test]
fn a_list_in_a_csv() {
    insta::assert_snapshot!(refused(&{ let project = with("pipelines/clinic.yaml", "n: bigint", "n: {list: int}"); project.edit("pipelines/clinic.yaml", "  path:", "  format: csv\n  path:"); project }), @"");
}

#[test]
fn a_date_format_on_a_string() {
    insta::assert_snapshot!(source("n: bigint", "n: {type: string, format: \"%Y\"}"), @"");
}

#[test]
fn a_date_format_that_is_none() {
    insta::assert_snapshot!(source("n: bigint", "n: {type: date, format: \"yyyy-mm-dd\"}"), @"");
}

#[test]
fn from_on_a_date() {
    insta::assert_snapshot!(source("n: bigint", "n: {type: date, from: number}"), @"");
}

#[test]
fn a_source_named_unlike_its_file() {
    insta::assert_snapshot!(source("name: clinic", "name: klinik"), @"");
}

#[test]
fn an_environment_variable_that_is_not_set() {
    insta::assert_snapshot!(source("in/", "${env:NO_SUCH_VARIABLE}/"), @"");
}

#[test]
fn a_password_in_a_url() {
    insta::assert_snapshot!(source("in/", "https://user:hunter2@host/"), @"");
}

#[test]
fn a_secret_among_the_storage_options() {
    insta::assert_snapshot!(source("  path: in/", "  storage: {aws_secret_access_key: abc}\n  path: s3://bucket/"), @"");
}

#[test]
fn a_secret_from_the_environment_among_the_storage_options() {
    insta::assert_snapshot!(refused(&with("pipelines/clinic.yaml", "  path: in/", "  storage: {aws_secret_access_key: \"${env:SECRET}\"}\n  path: s3://bucket/").env("SECRET", "abc")), @"");
}

#[test]
fn a_mask_which_nothing_acts_on_yet() {
    insta::assert_snapshot!(source("required: true", "required: true, mask: hash"), @"");
}

#[test]
fn a_subject_which_nothing_acts_on_yet() {
    insta::assert_snapshot!(source("schema:", "subject: id\nschema:"), @"");
}

#[test]
fn quarantine_which_nothing_acts_on_yet() {
    insta::assert_snapshot!(source("  path:", "  on_malformed: quarantine\n  path:"), @"");
}

#[test]
fn two_sources_with_one_alias() {
    insta::assert_snapshot!(refused(&{
        let project = with("pipelines/clinic.yaml", "input:", "aliases: [c]\ninput:");
        project.write("pipelines/other.yaml", project.read("pipelines/clinic.yaml").replace("name: clinic", "name: other"));
        project.write("sql/other/items.sql", project.read("sql/clinic/items.sql"));
        project
    }), @"");
}

#[test]
fn two_sources_with_one_name() {
    insta::assert_snapshot!(refused(&{
        let project = Small::new().project();
        project.write("pipelines/other.yaml", project.read("pipelines/clinic.yaml"));
        project
    }), @"");
}

#[test]
fn an_alias_that_is_another_sources_name() {
    insta::assert_snapshot!(refused(&{
        let project = Small::new().project();
        let yaml = project.read("pipelines/clinic.yaml").replace("name: clinic", "name: other\naliases: [clinic]");
        project.write("pipelines/other.yaml", yaml);
        project.write("sql/other/items.sql", project.read("sql/clinic/items.sql"));
        project
    }), @"");
}

#[test]
fn a_source_without_sql() {
    insta::assert_snapshot!(refused(&{
        let project = Small::new().project();
        project.remove("sql/clinic");
        project
    }), @"");
}

#[test]
fn a_folder_of_transforms_that_is_not_there() {
    insta::assert_snapshot!(source("schema:", "transforms: sql/klinic\nschema:"), @"");
}

#[test]
fn sql_that_is_named_after_no_entity() {
    insta::assert_snapshot!(refused(&Small::new().project().file("sql/clinic/itms.sql", "select 1")), @"");
}

#[test]
fn sql_that_is_empty() {
    insta::assert_snapshot!(transform(""), @"");
}

#[test]
fn a_project_without_sources() {
    insta::assert_snapshot!(refused(&{
        let project = Small::new().project();
        project.remove("pipelines");
        project
    }), @"");
}

#[test]
fn every_problem_at_once() {
    insta::assert_snapshot!(refused(&{
        let project = with("pipeline.yaml", "int8", "integr");
        project.edit("pipeline.yaml", "key: [item_id]", "key: [itemid]");
        project.edit("pipelines/clinic.yaml", "n: bigint", "n: bigit");
        project.edit("pipelines/clinic.yaml", "schema:", "skema: {}\nschema:");
        project
    }), @"");
}

#[test]
fn sql_that_does_not_parse() {
    insta::assert_snapshot!(transform("select id as item_id,\n  n fron source"), @"");
}

#[test]
fn sql_of_an_unknown_column() {
    insta::assert_snapshot!(transform("select id as item_id,\n  m as n\nfrom source"), @"");
}

#[test]
fn sql_of_an_unknown_table() {
    insta::assert_snapshot!(transform("select id as item_id, n\nfrom sorce"), @"");
}

#[test]
fn sql_of_an_unknown_function() {
    insta::assert_snapshot!(transform("select lowr(id) as item_id, n from source"), @"");
}

#[test]
fn a_column_of_the_contract_that_sql_lacks() {
    insta::assert_snapshot!(transform("select id as item_id\nfrom source"), @"");
}

#[test]
fn a_column_that_the_contract_lacks() {
    insta::assert_snapshot!(transform("select id as item_id, n,\n  id as more\nfrom source"), @"");
}

#[test]
fn a_column_of_another_type() {
    insta::assert_snapshot!(transform("select id as item_id,\n  id as n\nfrom source"), @"");
}

#[test]
fn a_column_given_twice() {
    insta::assert_snapshot!(transform("select id as item_id, n, n from source"), @"");
}

#[test]
fn a_column_of_the_engine() {
    insta::assert_snapshot!(transform("select id as item_id, n,\n  'x' as source\nfrom source"), @"");
}

#[test]
fn two_statements() {
    insta::assert_snapshot!(transform("select id as item_id, n from source;\nselect 1"), @"");
}

#[test]
fn no_select() {
    insta::assert_snapshot!(transform("drop table source"), @"");
}

#[test]
fn cross_join_unnest() {
    insta::assert_snapshot!(refused(&Small::new().schema("id: {type: string, required: true}\nl: {list: bigint}").sql("select id as item_id, item as n\nfrom source cross join unnest(l) as t(item)").project()), @"");
}

#[test]
fn lateral() {
    insta::assert_snapshot!(refused(&Small::new().schema("id: {type: string, required: true}\nl: {list: bigint}").sql("select id as item_id, t.item as n\nfrom source, lateral unnest(source.l) as t(item)").project()), @"");
}
