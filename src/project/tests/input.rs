//! Tests of problems in the `input` of a source, including secrets.

use insta::assert_snapshot;

use super::Files;
use crate::report::diagnostics::render;

fn with_path(path: &str) -> Files {
    Files::good().source("path: data/{date:%Y%m%d}/visits.json", &format!("path: {path}"))
}

fn with_input(more: &str) -> Files {
    Files::good().source("visits.json\n", &format!("visits.json\n{more}"))
}

#[test]
fn paths() {
    assert_snapshot!(with_path("data/visits.json").problems(), @r#"
    pipelines/clinic.yaml:4:9+16: the path has no `{date}`: every batch would read the same files
        put the batch's date where the path has it: data/{date:%Y%m%d}/visits.json
    "#);
    assert_snapshot!(with_path("data/{date:%Q}/visits.json").problems(), @r#"
    pipelines/clinic.yaml:4:9+26: `{date:%Q}` holds no valid date format
        write a date format such as {date:%Y%m%d}
    "#);
    assert_snapshot!(with_path("data/{dat}/visits.json").problems(), @r#"
    pipelines/clinic.yaml:4:9+22: `{dat}` is no token of a path
        did you mean `{date}`?
    "#);
    assert_snapshot!(with_path("data/{date}/[a.json").problems(), @r#"
    pipelines/clinic.yaml:4:9+19: `[a.json` is no pattern: invalid range pattern
        close the brackets, or write `[[]` for a `[` itself
    "#);
    assert_snapshot!(with_path("ftp://host/{date}.json").problems(), @r#"
    pipelines/clinic.yaml:4:9+22: unknown URL scheme `ftp://`
        use s3://, gs://, az:// or https://
    "#);
    assert_snapshot!(with_path("${env:BAD}/{date}/[x").problems(), @r#"
    pipelines/clinic.yaml:4:9+20: `[x` is no pattern: invalid range pattern
        close the brackets, or write `[[]` for a `[` itself
    "#);
    assert_snapshot!(with_path("${env:BAD}").problems(), @r#"
    pipelines/clinic.yaml:4:9+10: the path has no `{date}`: every batch would read the same files
        put the batch's date where the path has it: data/{date:%Y%m%d}/visits.json
    "#);
    assert_snapshot!(with_path("\"\"").problems(), @r#"
    pipelines/clinic.yaml:4:9+2: the path is empty
        name the input: data/{date}/visits.json
    "#);
    assert_snapshot!(with_path("{date}/a.json").problems(), @r#"
    pipelines/clinic.yaml:4:15+1: this is no YAML: while parsing a block mapping, did not find expected key
        check brackets and indentation; put a text in quotes that holds `: ` or starts with one of { [ % @ * & ! ` | >
    "#);
    assert_snapshot!(with_path("{date}").problems(), @r#"
    pipelines/clinic.yaml:4:3+4: `path` must be text, not a mapping
        write one text; one that starts with `{` goes in quotes
    "#);
}

#[test]
fn choices() {
    let files = with_input(
        "  format: jsn\n  compression: lzma\n  on_missing: skp\n  on_empty: drop\n  on_malformed: quarantin\n",
    );
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:5:11+3: `format` can't be `jsn`
        did you mean `json`?
    pipelines/clinic.yaml:6:16+4: `compression` can't be `lzma`
        write auto, none, gzip, zstd, bzip2 or zip
    pipelines/clinic.yaml:7:15+3: `on_missing` can't be `skp`
        did you mean `skip`?
    pipelines/clinic.yaml:8:13+4: `on_empty` can't be `drop`
        write fail or replace
    pipelines/clinic.yaml:9:17+9: `on_malformed` can't be `quarantin`
        did you mean `quarantine`?
    "#);
    assert_snapshot!(with_input("  format: true\n  on_malformed: ${env:BAD}\n").problems(), @r#"
    pipelines/clinic.yaml:5:11+4: `format` must be text, not true
        put it in quotes
    pipelines/clinic.yaml:6:17+10: `on_malformed` can't be `${env:BAD}`
        write quarantine or fail
    "#);
}

#[test]
fn keys_of_another_format() {
    let files = with_input("  records: $.a\n  format: csv\n");
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:5:3+7: `records` is nothing for csv
        it is for json and ndjson: take it out
    pipelines/clinic.yaml:9:3+6: `visits` can't be a list or struct: csv has flat records
        declare it as `json` where the cell holds JSON, else as `string`
    "#);
    let files = with_input("  csv: {delimiter: \",\"}\n  records: a.b\n");
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:5:3+3: `csv` is nothing for json
        write `format: csv`, or take `csv` out
    pipelines/clinic.yaml:6:12+3: `a.b` is no path of records: it does not start with `$`
        write it like $.entry[*].resource: names and `[*]` only
    "#);
    assert_snapshot!(with_input("  format: parquet\n  compression: gzip\n").problems(), @r#"
    pipelines/clinic.yaml:6:16+4: a parquet file is not compressed as a whole
        take `compression` out: the file itself says how its pages are compressed
    "#);
    assert_snapshot!(with_input("  storage: {region: eu}\n").problems(), @r#"
    pipelines/clinic.yaml:5:3+7: nothing acts on `storage` for a local path
        it is for s3://, gs://, az:// and https://: take it out
    "#);
}

#[test]
fn csv_options() {
    let text = super::SOURCE.replace(
        "  visits:\n    list:\n      visit_id: string\n",
        "  a: string\n  b:\n    struct:\n",
    );
    let text = text.replace(
        "visits.json",
        "v.csv\n  format: csv\n  csv: {delimiter: ab, quote: \",\", header: 1, nulls: NA, escape: x}",
    );
    assert_snapshot!(Files::good().with("pipelines/clinic.yaml", text).problems(), @r#"
    pipelines/clinic.yaml:6:20+2: `delimiter` must be one ASCII character
        write it in quotes: delimiter: ","; a tab is "\t"
    pipelines/clinic.yaml:6:31+3: `delimiter` and `quote` are the same
        choose two signs
    pipelines/clinic.yaml:6:44+1: `header` must be true or false, not a number
        write `header: true` or `header: false`
    pipelines/clinic.yaml:6:54+2: `nulls` must be a list, not text
        write it in brackets: [NA]
    pipelines/clinic.yaml:6:58+6: unknown key `escape`
        it may be delimiter, quote, header or nulls
    pipelines/clinic.yaml:10:3+1: `b` can't be a list or struct: csv has flat records
        declare it as `json` where the cell holds JSON, else as `string`
    "#);
}

#[test]
fn storage() {
    let files = with_path("s3://bucket/{date}\n  storage: {regoin: eu, bucket: b, endpoint: ~, zzz: x, region: 5}");
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:5:13+6: `s3://` knows no setting `regoin`
        did you mean `region`?
    pipelines/clinic.yaml:5:25+6: `bucket` is nothing for `storage`
        the path names it: take it out
    pipelines/clinic.yaml:5:36+8: `endpoint` must be text, not empty
        write one text
    pipelines/clinic.yaml:5:49+3: `s3://` knows no setting `zzz`
        settings are those of object_store: endpoint, region, allow_http, ...
    pipelines/clinic.yaml:5:65+1: `region` must be text, not a number
        put it in quotes
    "#);
    let files = with_path("https://host/{date}\n  storage: {region: eu, timeout: 5 s}");
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:5:13+6: `https://` knows no setting `region`
        settings are those of object_store: endpoint, region, allow_http, ...
    "#);
    assert_snapshot!(with_path("gs://bucket/{date}\n  storage: [a]").problems(), @r#"
    pipelines/clinic.yaml:5:3+7: `storage` must be a mapping, not a list
        write one `key: value` in a line
    "#);
}

/// Who may edit a project file must not have the credentials sent to a server of their own. Which other server is named is
/// looked at where a store is opened.
#[test]
fn what_becomes_a_part_of_a_servers_name_is_a_label() {
    let of = |path: &str, settings: &str| with_path(&format!("{path}/{{date}}\n  storage: {{{settings}}}")).problems();
    for (path, settings) in [
        ("az://c", "account_name: \"example.org/x\""),
        ("az://c", "account_name: \"${env:ACCOUNT}.example.org?\""),
        ("s3://b", "region: \"x.example.org#\""),
    ] {
        let problems = of(path, settings);
        assert!(problems.contains("it becomes a part of a server's name"), "{problems}");
    }
    for (path, settings) in [
        ("az://c", "endpoint: \"http://127.0.0.1:1\", skip_signature: true"),
        ("az://c", "account_name: clinic-1"),
        (
            "s3://b",
            "endpoint: \"http://minio.internal:9000\", allow_http: true, region: eu-central-1",
        ),
        ("https://h", "proxy_url: \"http://127.0.0.1:1\""),
    ] {
        let files = with_path(&format!("{path}/{{date}}\n  storage: {{{settings}}}"));
        assert!(files.load().is_ok(), "{path} {settings}");
    }
}

#[test]
fn secrets() {
    let files = with_path(
        "s3://bucket/{date}\n  storage: {secret_access_key: hunter2, encryption_key: \"hunter2\", region: x}",
    );
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:5:13+17: a secret may not stand in a project file: `secret_access_key`
        take it out: secrets come from the environment alone (AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY)
    pipelines/clinic.yaml:5:41+14: a secret may not stand in a project file: `encryption_key`
        take it out: secrets come from the environment alone (AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY)
    "#);
    assert_snapshot!(with_path("https://me:hunter2@host/{date}").problems(), @r#"
    pipelines/clinic.yaml:4:9+30: a URL with a secret may not stand in a project file
        take it out: secrets come from the environment alone (AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY)
    "#);
    assert_snapshot!(with_path("${env:URL}/{date}").problems(), @r#"
    pipelines/clinic.yaml:4:9+17: the content of the environment variable `URL` is a secret
        take it out: secrets come from the environment alone (AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY)
    "#);
    assert_snapshot!(with_path("https://host/{date}?sig=hunter2").problems(), @r#"
    pipelines/clinic.yaml:4:9+31: a URL with a secret may not stand in a project file
        take it out: secrets come from the environment alone (AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY)
    "#);
    let files = Files::good().source(
        "aliases: [c]",
        "description: see https://me:hunter2@host\npassword: |\n  hunter2\n  hunter2",
    );
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:2:14+27: a URL with a secret may not stand in a project file
        take it out: secrets come from the environment alone (AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY)
    pipelines/clinic.yaml:3:1+8: a secret may not stand in a project file: `password`
        take it out: secrets come from the environment alone (AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY)
    "#);
    let shown = files.error().diagnostics[0].location.clone().expect("a place").text;
    assert_eq!(shown, "description: see https://me:*******@host");
}

#[test]
fn a_secret_beside_a_syntax_error_is_not_shown() {
    let files = Files::good().source("aliases: [c]", "password: \"hunter2\" hunter2\naliases: [c");
    assert!(!render(&files.error(), false).contains("hunter2"));
    assert_snapshot!(render(&files.error(), false), @r#"
    error: the project has a problem

    error: this is no YAML: invalid trailing content after double-quoted scalar
     --> pipelines/clinic.yaml:2:21
      |
    2 | password: *****************
      |                     ^
      |
      = hint: check brackets and indentation; put a text in quotes that holds `: ` or starts with one of { [ % @ * & ! ` | >
    "#);
}
