use insta::assert_snapshot;

use super::Files;

fn with_path(path: &str) -> Files {
    Files::good().source("path: data/{date:%Y%m%d}/visits.json", &format!("path: {path}"))
}

fn with_input(more: &str) -> Files {
    Files::good().source("visits.json\n", &format!("visits.json\n{more}"))
}

#[test]
fn paths() {
    assert_snapshot!(with_path("data/visits.json").problems(), @"");
    assert_snapshot!(with_path("data/{date:%Q}/visits.json").problems(), @"");
    assert_snapshot!(with_path("data/{dat}/visits.json").problems(), @"");
    assert_snapshot!(with_path("data/{date}/[a.json").problems(), @"");
    assert_snapshot!(with_path("ftp://host/{date}.json").problems(), @"");
    assert_snapshot!(with_path("${env:BAD}/{date}/[x").problems(), @"");
    assert_snapshot!(with_path("${env:BAD}").problems(), @"");
    assert_snapshot!(with_path("\"\"").problems(), @"");
}

#[test]
fn choices() {
    let files = with_input("  format: jsn\n  compression: lzma\n  on_missing: skp\n  on_empty: drop\n  on_malformed: quarantine\n");
    assert_snapshot!(files.problems(), @"");
    assert_snapshot!(with_input("  format: true\n  on_malformed: ${env:BAD}\n").problems(), @"");
}

#[test]
fn keys_of_another_format() {
    let files = with_input("  records: $.a\n  format: csv\n");
    assert_snapshot!(files.problems(), @"");
    let files = with_input("  csv: {delimiter: \",\"}\n  records: a.b\n");
    assert_snapshot!(files.problems(), @"");
    assert_snapshot!(with_input("  format: parquet\n  compression: gzip\n").problems(), @"");
    assert_snapshot!(with_input("  storage: {region: eu}\n").problems(), @"");
}

#[test]
fn csv_options() {
    let text = super::SOURCE.replace("  visits:\n    list:\n      visit_id: string\n", "  a: string\n  b:\n    struct:\n");
    let text = text.replace("visits.json", "v.csv\n  format: csv\n  csv: {delimiter: ab, quote: \",\", header: 1, nulls: NA, escape: x}");
    assert_snapshot!(Files::good().with("pipelines/clinic.yaml", text).problems(), @"");
}

#[test]
fn secrets() {
    let files = with_path("s3://bucket/{date}\n  storage: {secret_access_key: hunter2, encryption_key: \"hunter2\", region: x}");
    assert_snapshot!(files.problems(), @"");
    assert_snapshot!(with_path("https://me:hunter2@host/{date}").problems(), @"");
    assert_snapshot!(with_path("${env:URL}/{date}").problems(), @"");
    assert_snapshot!(with_path("https://host/{date}?sig=hunter2").problems(), @"");
    let files = Files::good().source("aliases: [c]", "description: see https://me:hunter2@host\npassword: |\n  hunter2\n  hunter2");
    assert_snapshot!(files.problems(), @"");
    let shown = files.error().diagnostics[0].location.clone().expect("a place").text;
    assert_eq!(shown, "description: see https://me:*******@host");
}

#[test]
fn a_secret_beside_a_syntax_error_is_not_shown() {
    let files = Files::good().source("aliases: [c]", "password: \"hunter2\" hunter2\naliases: [c");
    assert_snapshot!(crate::report::diagnostics::render(&files.error(), false), @"");
}
