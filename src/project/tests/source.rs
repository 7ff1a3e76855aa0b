use insta::assert_snapshot;

use super::Files;
use crate::project::{Compression, Format, OnEmpty, OnMissing, OnUnknownField, RecordStep};

#[test]
fn defaults() {
    let project = Files::good().load().expect("a good project");
    let source = project.source("c").expect("an alias");
    assert_eq!(source.name, "clinic");
    assert_eq!((source.input.format, source.input.compression), (Format::Json, None));
    assert_eq!((source.input.on_missing, source.input.on_empty), (OnMissing::Fail, OnEmpty::Fail));
    assert_eq!(source.on_unknown_field, OnUnknownField::Warn);
    assert_eq!(source.input.records.0, []);
    assert_eq!(source.text, super::SOURCE);
    let served: Vec<_> = source.transforms.iter().map(|t| (t.entity.as_str(), t.path.to_str())).collect();
    assert_eq!(served, [("patients", Some("sql/clinic/patients.sql")), ("visits", Some("sql/clinic/visits.sql"))]);
    assert!(source.fingerprint_text().ends_with("\nsql visits 8\nSELECT 1"));
}

#[test]
fn every_key_is_read() {
    let text = "name: clinic
description: Visits
input:
  path: ${env:DATA}/{date}/**/*.csv
  format: csv
  compression: gzip
  on_missing: skip
  on_empty: replace
  on_malformed: fail
  csv: {delimiter: \";\", quote: \"'\", header: false, nulls: [NA, \"\"]}
schema: {id: string}
on_unknown_field: fail
transforms: sql/shared
";
    let files = Files::good().with("pipelines/clinic.yaml", text).with("sql/shared/patients.sql", "\u{feff}SELECT 1");
    let project = files.load().expect("a good project");
    let source = project.source("clinic").expect("its name");
    assert_eq!(source.description.as_deref(), Some("Visits"));
    assert_eq!(source.input.path, "data/{date}/**/*.csv");
    assert_eq!((source.input.format, source.input.compression), (Format::Csv, Some(Compression::Gzip)));
    assert_eq!((source.input.on_missing, source.input.on_empty), (OnMissing::Skip, OnEmpty::Replace));
    let csv = &source.input.csv;
    assert_eq!((csv.delimiter, csv.quote, csv.header, csv.nulls.len()), (b';', b'\'', false, 2));
    assert_eq!(source.on_unknown_field, OnUnknownField::Fail);
    assert_eq!(source.transforms[0].sql, "SELECT 1");
}

#[test]
fn storage_and_records_are_read() {
    let to = "path: s3://bucket/{date}.json\n  records: $.entry[*].resource\n  format: ${env:FORMAT}\n  \
              storage: {endpoint: \"http://127.0.0.1:9000\", allow_http: true, region: eu}";
    let project = Files::good().source("path: data/{date:%Y%m%d}/visits.json", to).load().expect("a good project");
    let input = &project.sources[0].input;
    let key = |name: &str| RecordStep::Key(name.to_owned());
    assert_eq!(input.records.0, [key("entry"), RecordStep::Each, key("resource")]);
    assert_eq!(input.format, Format::Ndjson);
    assert_eq!(input.storage[1], ("allow_http".to_owned(), "true".to_owned()));
}

#[test]
fn keys() {
    let files = Files::good().source("aliases: [c]", "alias: [c]\nsubject: patient_id\nmax_quarantined: 1%\nname: clinic\nzzz: 1");
    assert_snapshot!(files.problems(), @"");
    let files = Files::good().source("input:\n", "input:\n  formt: json\n  token: hunter2\n");
    assert_snapshot!(files.problems(), @"");
}

#[test]
fn wrong_types_and_missing_keys() {
    let files = Files::good().with("pipelines/clinic.yaml", "aliases: c\ndescription: 1\ninput: x\nschema: [a]\ntransforms: {}\n");
    assert_snapshot!(files.problems(), @"");
    assert_snapshot!(Files::good().with("pipelines/clinic.yaml", "name: clinic\n").problems(), @"");
    assert_snapshot!(Files::good().with("pipelines/clinic.yaml", "").problems(), @"");
    let files = Files::good().source("aliases: [c]", "aliases: [1, , c]\non_unknown_field: wrn");
    assert_snapshot!(files.problems(), @"");
}

#[test]
fn names() {
    assert_snapshot!(Files::good().source("name: clinic", "name: klinic").problems(), @"");
    assert_snapshot!(Files::good().source("name: clinic", "name: Clinic-1").problems(), @"");
    assert_snapshot!(Files::good().source("aliases: [c]", "aliases: [clinic, c, c, C]").problems(), @"");
    let files = Files::good()
        .with("pipelines/views.yaml", super::SOURCE.replace("clinic", "views").replace("[c]", "[v]"))
        .with("sql/views/patients_all.sql", "SELECT 1");
    assert_snapshot!(files.problems(), @"");
}

#[test]
fn two_sources_with_one_name() {
    let files = Files::good()
        .with("pipelines/c.yaml", super::SOURCE.replace("name: clinic", "name: c").replace("[c]", "[d]"))
        .with("pipelines/other.yaml", super::SOURCE.replace("[c]", "[d]"))
        .with("sql/c/patients.sql", "SELECT 1");
    assert_snapshot!(files.problems(), @"");
}

#[test]
fn an_unknown_source_is_asked_for() {
    let project = Files::good().load().expect("a good project");
    let error = project.source("clinik").expect_err("unknown");
    assert_eq!(error.to_string(), "no source has the name or alias `clinik`");
    assert_eq!(error.hint.as_deref(), Some("did you mean `clinic`?"));
    assert_eq!(project.source("zzz").expect_err("unknown").hint.as_deref(), Some("the project has clinic"));
}
