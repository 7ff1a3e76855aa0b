//! Mistakes in a source's `input`: path, format, storage.
use super::source;

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
    insta::assert_snapshot!(source("  path:", "  compression: gzap\n  path:"), @r"
    error: the project has a problem

    error: `compression` can't be `gzap`
     --> pipelines/clinic.yaml:3:16
      |
    3 |   compression: gzap
      |                ^^^^
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
