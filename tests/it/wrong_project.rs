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
    insta::assert_snapshot!(refused(&Project::new()), @r"
    error: no project found: neither [project] nor a folder above it holds pipeline.yaml
    hint: go into a project's folder, or name it: --project DIR
    ");
}

#[test]
fn a_folder_that_is_not_there() {
    insta::assert_snapshot!(Project::new().run(&["check", "--project", "nowhere"]).code(2).message(), @r"
    error: nowhere is no project: it holds no pipeline.yaml
    hint: name a project's folder: --project DIR, or declare the entities in a pipeline.yaml there
    ");
}

#[test]
fn yaml_that_is_none() {
    insta::assert_snapshot!(contract("name: small", "name: [small"), @r"
    error: the project has a problem

    error: this is no YAML: illegal placement of ':' indicator
     --> pipeline.yaml:2:9
      |
    2 | entities:
      |         ^
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
      = hint: it may be description, columns, key, parent, indexes or checks
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

#[test]
fn an_unknown_key_of_a_source() {
    insta::assert_snapshot!(source("schema:", "on_unknown_feild: warn\nschema:"), @r"
    error: the project has a problem

    error: unknown key `on_unknown_feild`
     --> pipelines/clinic.yaml:4:1
      |
    4 | on_unknown_feild: warn
      | ^^^^^^^^^^^^^^^^
      |
      = hint: did you mean `on_unknown_field`?
    ");
}

#[test]
fn an_unknown_key_of_the_input() {
    insta::assert_snapshot!(source("  path:", "  formt: json\n  path:"), @r"
    error: the project has a problem

    error: unknown key `formt`
     --> pipelines/clinic.yaml:3:3
      |
    3 |   formt: json
      |   ^^^^^
      |
      = hint: did you mean `format`?
    ");
}

#[test]
fn an_unknown_key_of_a_field() {
    insta::assert_snapshot!(source("required: true", "requird: true"), @r"
    error: the project has a problem

    error: unknown key `requird`
     --> pipelines/clinic.yaml:5:22
      |
    5 |   id: {type: string, requird: true}
      |                      ^^^^^^^
      |
      = hint: did you mean `required`?
    ");
}

#[test]
fn a_key_of_a_source_given_twice() {
    insta::assert_snapshot!(source("schema:", "name: clinic\nschema:"), @r"
    error: the project has a problem

    error: the key `name` is given twice
     --> pipelines/clinic.yaml:4:1
      |
    4 | name: clinic
      | ^^^^
      |
      = hint: it stands in line 1 already: keep one of them
    ");
}

#[test]
fn a_schema_type_that_does_not_exist() {
    insta::assert_snapshot!(source("n: bigint", "n: bigit"), @r"
    error: the project has a problem

    error: `bigit` is no type of a field
     --> pipelines/clinic.yaml:6:6
      |
    6 |   n: bigit
      |      ^^^^^
      |
      = hint: did you mean `bigint`?
    ");
}

#[test]
fn a_decimal_that_is_too_wide() {
    insta::assert_snapshot!(source("n: bigint", "n: decimal(39,2)"), @r"
    error: the project has a problem

    error: `decimal(39,2)` is no type
     --> pipelines/clinic.yaml:6:6
      |
    6 |   n: decimal(39,2)
      |      ^^^^^^^^^^^^^
      |
      = hint: write decimal(p,s) with a precision from 1 to 38 and a scale from 0 to the precision
    ");
}

#[test]
fn a_field_without_a_type() {
    insta::assert_snapshot!(source("n: bigint", "n: {required: true}"), @r"
    error: the project has a problem

    error: the field `n` has no `type`
     --> pipelines/clinic.yaml:6:3
      |
    6 |   n: {required: true}
      |   ^
      |
      = hint: add `type: string`
    ");
}

#[test]
fn a_field_with_two_types() {
    insta::assert_snapshot!(source("n: bigint", "n: {type: int, list: int}"), @r"
    error: the project has a problem

    error: the field `n` has both `type` and `list`
     --> pipelines/clinic.yaml:6:18
      |
    6 |   n: {type: int, list: int}
      |                  ^^^^
      |
      = hint: keep one of them
    ");
}

#[test]
fn a_field_required_by_a_word() {
    insta::assert_snapshot!(source("required: true", "required: always"), @r"
    error: the project has a problem

    error: `required` must be true or false, not text
     --> pipelines/clinic.yaml:5:32
      |
    5 |   id: {type: string, required: always}
      |                                ^^^^^^
      |
      = hint: write `required: true` or `required: false`
    ");
}

#[test]
fn a_schema_that_is_a_list() {
    insta::assert_snapshot!(source("id: {type: string, required: true}\n  n: bigint", "[id, n]"), @r"
    error: the project has a problem

    error: `schema` must be a mapping, not a list
     --> pipelines/clinic.yaml:4:1
      |
    4 | schema:
      | ^^^^^^
      |
      = hint: write one `key: value` in a line
    ");
}

#[test]
fn a_source_without_a_path() {
    insta::assert_snapshot!(source("  path: in/{date:%Y-%m-%d}.json\n", "  format: json\n"), @r"
    error: the project has a problem

    error: `input` has no `path`
     --> pipelines/clinic.yaml:2:1
      |
    2 | input:
      | ^^^^^
      |
      = hint: add `path: data/{date:%Y%m%d}/visits.json`
    ");
}

#[test]
fn a_source_without_a_schema() {
    insta::assert_snapshot!(source("schema:\n  id: {type: string, required: true}\n  n: bigint\n", ""), @r"
    error: the project has a problem

    error: the source has no `schema`
     --> pipelines/clinic.yaml:1:1
      |
    1 | name: clinic
      | ^
      |
      = hint: add `schema: {patient_id: string}`
    ");
}

#[test]
fn a_format_that_does_not_exist() {
    insta::assert_snapshot!(source("  path:", "  format: jsn\n  path:"), @r"
    error: the project has a problem

    error: `format` can't be `jsn`
     --> pipelines/clinic.yaml:3:11
      |
    3 |   format: jsn
      |           ^^^
      |
      = hint: did you mean `json`?
    ");
}

#[test]
fn a_compression_that_does_not_exist() {
    insta::assert_snapshot!(source("  path:", "  compression: zip\n  path:"), @r"
    error: the project has a problem

    error: `compression` can't be `zip`
     --> pipelines/clinic.yaml:3:16
      |
    3 |   compression: zip
      |                ^^^
      |
      = hint: did you mean `gzip`?
    ");
}

#[test]
fn a_path_without_a_date() {
    insta::assert_snapshot!(source("{date:%Y-%m-%d}", "today"), @r"
    error: the project has a problem

    error: the path has no `{date}`: every batch would read the same files
     --> pipelines/clinic.yaml:3:9
      |
    3 |   path: in/today.json
      |         ^^^^^^^^^^^^^
      |
      = hint: put the batch's date where the path has it: data/{date:%Y%m%d}/visits.json
    ");
}

#[test]
fn a_path_with_a_wrong_date() {
    insta::assert_snapshot!(source("{date:%Y-%m-%d}", "{date:%Q}"), @r"
    error: the project has a problem

    error: `{date:%Q}` holds no valid date format
     --> pipelines/clinic.yaml:3:9
      |
    3 |   path: in/{date:%Q}.json
      |         ^^^^^^^^^^^^^^^^^
      |
      = hint: write a date format such as {date:%Y%m%d}
    ");
}

#[test]
fn a_path_with_an_unknown_token() {
    insta::assert_snapshot!(source("{date:%Y-%m-%d}", "{day}"), @r"
    error: the project has a problem

    error: `{day}` is no token of a path
     --> pipelines/clinic.yaml:3:9
      |
    3 |   path: in/{day}.json
      |         ^^^^^^^^^^^^^
      |
      = hint: write {date}, or {date:%Y%m%d} with a format of your own
    ");
}

#[test]
fn a_path_of_an_unknown_scheme() {
    insta::assert_snapshot!(source("in/", "ftp://host/"), @r"
    error: the project has a problem

    error: unknown URL scheme `ftp://`
     --> pipelines/clinic.yaml:3:9
      |
    3 |   path: ftp://host/{date:%Y-%m-%d}.json
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: use s3://, gs://, az:// or https://
    ");
}

#[test]
fn records_that_are_no_path() {
    insta::assert_snapshot!(source("  path:", "  records: entry[0]\n  path:"), @r"
    error: the project has a problem

    error: `entry[0]` is no path of records: it does not start with `$`
     --> pipelines/clinic.yaml:3:12
      |
    3 |   records: entry[0]
      |            ^^^^^^^^
      |
      = hint: write it like $.entry[*].resource: names and `[*]` only
    ");
}

#[test]
fn records_of_a_csv() {
    insta::assert_snapshot!(source("  path:", "  format: csv\n  records: $.a\n  path:"), @r"
    error: the project has a problem

    error: `records` is nothing for csv
     --> pipelines/clinic.yaml:4:3
      |
    4 |   records: $.a
      |   ^^^^^^^
      |
      = hint: it is for json and ndjson: take it out
    ");
}

#[test]
fn csv_options_of_json() {
    insta::assert_snapshot!(source("  path:", "  csv: {delimiter: \";\"}\n  path:"), @r#"
    error: the project has a problem

    error: `csv` is nothing for json
     --> pipelines/clinic.yaml:3:3
      |
    3 |   csv: {delimiter: ";"}
      |   ^^^
      |
      = hint: write `format: csv`, or take `csv` out
    "#);
}

#[test]
fn a_delimiter_of_two_characters() {
    insta::assert_snapshot!(source("  path:", "  format: csv\n  csv: {delimiter: \"||\"}\n  path:"), @r#"
    error: the project has a problem

    error: `delimiter` must be one ASCII character
     --> pipelines/clinic.yaml:4:20
      |
    4 |   csv: {delimiter: "||"}
      |                    ^^^^
      |
      = hint: write it in quotes: delimiter: ","; a tab is "\t"
    "#);
}

#[test]
fn a_list_in_a_csv() {
    insta::assert_snapshot!(refused(&{ let project = with("pipelines/clinic.yaml", "n: bigint", "n: {list: int}"); project.edit("pipelines/clinic.yaml", "  path:", "  format: csv\n  path:"); project }), @r"
    error: the project has a problem

    error: `n` can't be a list or struct: csv has flat records
     --> pipelines/clinic.yaml:7:3
      |
    7 |   n: {list: int}
      |   ^
      |
      = hint: declare it as `json` where the cell holds JSON, else as `string`
    ");
}

#[test]
fn a_date_format_on_a_string() {
    insta::assert_snapshot!(source("n: bigint", "n: {type: string, format: \"%Y\"}"), @r#"
    error: the project has a problem

    error: `format` is nothing for a string
     --> pipelines/clinic.yaml:6:21
      |
    6 |   n: {type: string, format: "%Y"}
      |                     ^^^^^^
      |
      = hint: it is for date, timestamp and timestamptz
    "#);
}

#[test]
fn a_date_format_that_is_none() {
    insta::assert_snapshot!(source("n: bigint", "n: {type: date, format: \"yyyy-mm-dd\"}"), @r#"
    error: the project has a problem

    error: the format `yyyy-mm-dd` does not give a whole date
     --> pipelines/clinic.yaml:6:27
      |
    6 |   n: {type: date, format: "yyyy-mm-dd"}
      |                           ^^^^^^^^^^^^
      |
      = hint: a date needs year, month and day: "%d.%m.%Y"
    "#);
}

#[test]
fn from_on_a_date() {
    insta::assert_snapshot!(source("n: bigint", "n: {type: date, from: number}"), @r"
    error: the project has a problem

    error: `from: number` is nothing for a date
     --> pipelines/clinic.yaml:6:25
      |
    6 |   n: {type: date, from: number}
      |                         ^^^^^^
      |
      = hint: dates come from strings anyway: name their `format` if it is not ISO 8601
    ");
}

#[test]
fn a_source_named_unlike_its_file() {
    insta::assert_snapshot!(source("name: clinic", "name: klinik"), @r"
    error: the project has a problem

    error: the source `klinik` lies in a file of another name
     --> pipelines/clinic.yaml:1:7
      |
    1 | name: klinik
      |       ^^^^^^
      |
      = hint: call the file pipelines/klinik.yaml, or the source `clinic`
    ");
}

#[test]
fn an_environment_variable_that_is_not_set() {
    insta::assert_snapshot!(source("in/", "${env:NO_SUCH_VARIABLE}/"), @r"
    error: the project has a problem

    error: the environment variable `NO_SUCH_VARIABLE` is not set
     --> pipelines/clinic.yaml:3:9
      |
    3 |   path: ${env:NO_SUCH_VARIABLE}/{date:%Y-%m-%d}.json
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: set it: export NO_SUCH_VARIABLE=...
    ");
}

#[test]
fn a_password_in_a_url() {
    insta::assert_snapshot!(source("in/", "https://user:hunter2@host/"), @r"
    error: the project has a problem

    error: a URL with a secret may not stand in a project file
     --> pipelines/clinic.yaml:3:9
      |
    3 |   path: https://user:*******@host/{date:%Y-%m-%d}.json
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: take it out: secrets come from the environment alone (AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY)
    ");
}

#[test]
fn a_secret_among_the_storage_options() {
    insta::assert_snapshot!(source("  path: in/", "  storage: {aws_secret_access_key: abc}\n  path: s3://bucket/"), @r"
    error: the project has a problem

    error: a secret may not stand in a project file: `aws_secret_access_key`
     --> pipelines/clinic.yaml:3:13
      |
    3 |   storage: {aws_secret_access_key: ***}
      |             ^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: take it out: secrets come from the environment alone (AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY)
    ");
}

#[test]
fn a_secret_from_the_environment_among_the_storage_options() {
    insta::assert_snapshot!(refused(&with("pipelines/clinic.yaml", "  path: in/", "  storage: {aws_secret_access_key: \"${env:SECRET}\"}\n  path: s3://bucket/").env("SECRET", "abc")), @r"
    error: the project has a problem

    error: a secret may not stand in a project file: `aws_secret_access_key`
     --> pipelines/clinic.yaml:3:13
      |
    3 |   storage: {aws_secret_access_key: ***************}
      |             ^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: take it out: secrets come from the environment alone (AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY)
    ");
}

#[test]
fn a_mask_that_its_type_can_t_have() {
    insta::assert_snapshot!(source("required: true", "required: true, mask: year"), @r"
    error: the project has a problem

    error: `id`: `year` does not mask a string; it takes date, timestamp and timestamptz
     --> pipelines/clinic.yaml:5:3
      |
    5 |   id: {type: string, required: true, mask: year}
      |   ^^
      |
      = hint: masks for this type: `keep`, `null`, `redact`, `hash`, `pseudonym`, `zip3`
    ");
}

#[test]
fn a_sensitive_field_without_a_mask() {
    insta::assert_snapshot!(source("required: true", "required: true, phi: name"), @r"
    error: the project has a problem

    error: `id` is classed as name and has no mask
     --> pipelines/clinic.yaml:5:3
      |
    5 |   id: {type: string, required: true, phi: name}
      |   ^^
      |
      = hint: masks for this type: `keep`, `null`, `redact`, `hash`, `pseudonym`, `zip3`; `keep` needs a `reason`
    ");
}

#[test]
fn a_subject_that_is_no_field() {
    insta::assert_snapshot!(source("schema:", "subject: idd\nschema:"), @r"
    error: the project has a problem

    error: the subject `idd` is no top-level field of clinic
     --> pipelines/clinic.yaml:1:7
      |
    1 | name: clinic
      |       ^^^^^^
      |
      = hint: did you mean `id`?
    ");
}

#[test]
fn two_sources_with_one_alias() {
    insta::assert_snapshot!(refused(&{
        let project = with("pipelines/clinic.yaml", "input:", "aliases: [c]\ninput:");
        project.write("pipelines/other.yaml", project.read("pipelines/clinic.yaml").replace("name: clinic", "name: other"));
        project.write("sql/other/items.sql", project.read("sql/clinic/items.sql"));
        project
    }), @r"
    error: the project has a problem

    error: `c` stands for two sources
     --> pipelines/other.yaml:2:11
      |
    2 | aliases: [c]
      |           ^
      |
      = hint: pipelines/clinic.yaml:2:11 gives it to `clinic` already: choose another here or there
    ");
}

#[test]
fn two_sources_with_one_name() {
    insta::assert_snapshot!(refused(&{
        let project = Small::new().project();
        project.write("pipelines/other.yaml", project.read("pipelines/clinic.yaml"));
        project
    }), @r"
    error: the project has 2 problems

    error: `clinic` stands for two sources
     --> pipelines/other.yaml:1:7
      |
    1 | name: clinic
      |       ^^^^^^
      |
      = hint: pipelines/clinic.yaml:1:7 gives it to `clinic` already: choose another here or there

    error: the source `clinic` lies in a file of another name
     --> pipelines/other.yaml:1:7
      |
    1 | name: clinic
      |       ^^^^^^
      |
      = hint: call the file pipelines/clinic.yaml, or the source `other`
    ");
}

#[test]
fn an_alias_that_is_another_sources_name() {
    insta::assert_snapshot!(refused(&{
        let project = Small::new().project();
        let yaml = project.read("pipelines/clinic.yaml").replace("name: clinic", "name: other\naliases: [clinic]");
        project.write("pipelines/other.yaml", yaml);
        project.write("sql/other/items.sql", project.read("sql/clinic/items.sql"));
        project
    }), @r"
    error: the project has a problem

    error: `clinic` stands for two sources
     --> pipelines/other.yaml:2:11
      |
    2 | aliases: [clinic]
      |           ^^^^^^
      |
      = hint: pipelines/clinic.yaml:1:7 gives it to `clinic` already: choose another here or there
    ");
}

#[test]
fn a_source_without_sql() {
    insta::assert_snapshot!(refused(&{
        let project = Small::new().project();
        project.remove("sql/clinic");
        project
    }), @r"
    error: the project has a problem

    error: the folder sql/clinic does not exist
     --> pipelines/clinic.yaml:1:7
      |
    1 | name: clinic
      |       ^^^^^^
      |
      = hint: it holds the source's transforms, one file per entity: sql/clinic/items.sql
    ");
}

#[test]
fn a_folder_of_transforms_that_is_not_there() {
    insta::assert_snapshot!(source("schema:", "transforms: sql/klinic\nschema:"), @r"
    error: the project has a problem

    error: the folder sql/klinic does not exist
     --> pipelines/clinic.yaml:4:13
      |
    4 | transforms: sql/klinic
      |             ^^^^^^^^^^
      |
      = hint: it holds the source's transforms, one file per entity: sql/klinic/items.sql
    ");
}

#[test]
fn sql_that_is_named_after_no_entity() {
    insta::assert_snapshot!(refused(&Small::new().project().file("sql/clinic/itms.sql", "select 1")), @r"
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
fn a_project_without_sources() {
    insta::assert_snapshot!(refused(&{
        let project = Small::new().project();
        project.remove("pipelines");
        project
    }), @r"
    error: the project has a problem

    error: the project has no folder `pipelines`, so no source
    --> pipelines:1:1
     = hint: a file pipelines/<name>.yaml makes a source: name, input, schema
    ");
}

#[test]
fn every_problem_at_once() {
    insta::assert_snapshot!(refused(&{
        let project = with("pipeline.yaml", "int8", "integr");
        project.edit("pipeline.yaml", "key: [item_id]", "key: [itemid]");
        project.edit("pipelines/clinic.yaml", "n: bigint", "n: bigit");
        project.edit("pipelines/clinic.yaml", "schema:", "skema: {}\nschema:");
        project
    }), @r#"
    error: the project has 4 problems

    error: `integr` is no PostgreSQL type that a contract may name
     --> pipeline.yaml:6:17
      |
    6 |       n: {type: "integr"}
      |                 ^^^^^^^^
      |
      = hint: did you mean `integer`?

    error: `items` has no column `itemid`
     --> pipeline.yaml:7:11
      |
    7 |     key: [itemid]
      |           ^^^^^^
      |
      = hint: did you mean `item_id`?

    error: unknown key `skema`
     --> pipelines/clinic.yaml:4:1
      |
    4 | skema: {}
      | ^^^^^
      |
      = hint: it may be name, aliases, description, input, schema, subject, on_unknown_field, transforms, checks, conserves or max_quarantined

    error: `bigit` is no type of a field
     --> pipelines/clinic.yaml:7:6
      |
    7 |   n: bigit
      |      ^^^^^
      |
      = hint: did you mean `bigint`?
    "#);
}

#[test]
fn sql_that_does_not_parse() {
    insta::assert_snapshot!(transform("select id as item_id,\n  n fron source"), @r"
    error: the transforms do not fit the project

    error: Expected: end of statement, found: source at Line: 2, Column: 10
     --> sql/clinic/items.sql:2:10
      |
    2 |   n fron source
      |          ^^^^^^
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
    insta::assert_snapshot!(refused(&Small::new().schema("id: {type: string, required: true}\nl: {list: bigint}").sql("select id as item_id, item as n\nfrom source cross join unnest(l) as t(item)").project()), @r#"
    error: the transforms do not fit the project

    error: This feature is not implemented: Physical plan does not support logical expression OuterReferenceColumn(Field { name: "l", data_type: List(Field { data_type: Int64, nullable: true }), nullable: true }, Column { relation: Some(Bare { table: "source" }), name: "l" })
     --> sql/clinic/items.sql:1:1
      |
    1 | select id as item_id, item as n
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: DataFusion unnests in the SELECT list: WITH v AS (SELECT patient_id, unnest(visits) AS item FROM source) SELECT patient_id, item['date'] FROM v
    "#);
}

#[test]
fn lateral() {
    insta::assert_snapshot!(refused(&Small::new().schema("id: {type: string, required: true}\nl: {list: bigint}").sql("select id as item_id, t.item as n\nfrom source, lateral unnest(source.l) as t(item)").project()), @r"
    error: the transforms do not fit the project

    error: Error during planning: table function 'unnest' not found
     --> sql/clinic/items.sql:1:1
      |
    1 | select id as item_id, t.item as n
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: DataFusion unnests in the SELECT list: WITH v AS (SELECT patient_id, unnest(visits) AS item FROM source) SELECT patient_id, item['date'] FROM v
    ");
}
