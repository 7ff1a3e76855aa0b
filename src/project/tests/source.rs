//! Tests of problems with a source as a whole, and between sources.

use insta::assert_snapshot;

use super::Files;
use crate::model::{Compression, Format, OnEmpty, OnMissing, OnUnknownField, RecordStep};

#[test]
fn defaults() {
    let project = Files::good().load().expect("a good project");
    let source = project.source("c").expect("an alias");
    assert_eq!(source.name, "clinic");
    assert_eq!((source.input.format, source.input.compression), (Format::Json, None));
    assert_eq!(source.input.encoding, crate::model::Encoding::Utf8);
    assert_eq!(
        (source.input.on_missing, source.input.on_empty),
        (OnMissing::Fail, OnEmpty::Fail)
    );
    assert_eq!(source.kinds[0].on_unknown_field, OnUnknownField::Warn);
    assert_eq!(source.input.records.0, []);
    assert_eq!(source.text, super::SOURCE);
    let served: Vec<_> = source
        .transforms
        .iter()
        .map(|t| (t.entity.as_str(), t.path.to_str()))
        .collect();
    assert_eq!(
        served,
        [
            ("patients", Some("sql/clinic/patients.sql")),
            ("visits", Some("sql/clinic/visits.sql"))
        ]
    );
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
  encoding: Windows-1252
  on_missing: skip
  on_empty: replace
  on_malformed: fail
  csv: {delimiter: \";\", quote: \"'\", header: false, nulls: [NA, \"\"]}
schema: {id: string}
on_unknown_field: fail
transforms: sql/shared
";
    let files = Files::good()
        .with("pipelines/clinic.yaml", text)
        .with("sql/shared/patients.sql", "\u{feff}SELECT 1");
    let project = files.load().expect("a good project");
    let source = project.source("clinic").expect("its name");
    assert_eq!(source.description.as_deref(), Some("Visits"));
    assert_eq!(source.input.paths[0].path, "data/{date}/**/*.csv");
    assert_eq!(
        (source.input.format, source.input.compression),
        (Format::Csv, Some(Compression::Gzip))
    );
    assert_eq!(source.input.encoding, crate::model::Encoding::Windows1252);
    assert_eq!(
        (source.input.on_missing, source.input.on_empty),
        (OnMissing::Skip, OnEmpty::Replace)
    );
    let csv = &source.input.csv;
    assert_eq!(
        (csv.delimiter, csv.quote, csv.header, csv.nulls.len()),
        (b';', b'\'', false, 2)
    );
    assert_eq!(source.kinds[0].on_unknown_field, OnUnknownField::Fail);
    assert_eq!(source.transforms[0].sql, "SELECT 1");
}

/// A description becomes a comment that readers see, an expression is named in the quarantine.
#[test]
fn variables_are_for_input_and_transforms() {
    let files = Files::good().source(
        "aliases: [c]",
        "description: \"with ${env:BAD}\"\nsubject: ${env:BAD}\nchecks: {visits: [{expression: \"visit_id <> '${env:BAD}'\"}]}",
    );
    let problems = files.problems();
    assert_eq!(
        problems.matches("`${env:BAD}` may not stand here").count(),
        3,
        "{problems}"
    );
    assert!(!problems.contains("hunter2"), "{problems}");
}

#[test]
fn storage_and_records_are_read() {
    let to = "path: s3://bucket/{date}.json\n  records: $.entry[*].resource\n  format: ${env:FORMAT}\n  \
              storage: {endpoint: \"http://127.0.0.1:9000\", allow_http: true, region: eu}";
    let project = Files::good()
        .source("path: data/{date:%Y%m%d}/visits.json", to)
        .load()
        .expect("a good project");
    let input = &project.sources[0].input;
    let key = |name: &str| RecordStep::Key(name.to_owned());
    assert_eq!(input.records.0, [key("entry"), RecordStep::Each, key("resource")]);
    assert_eq!(input.format, Format::Ndjson);
    assert_eq!(input.storage[1], ("allow_http".to_owned(), "true".to_owned()));
}

#[test]
fn keys() {
    let files = Files::good().source(
        "aliases: [c]",
        "alias: [c]\nsubjct: patient_id\nmax_quarantined: 1%\nname: clinic\nzzz: 1",
    );
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:2:1+5: unknown key `alias`
        did you mean `aliases`?
    pipelines/clinic.yaml:3:1+6: unknown key `subjct`
        did you mean `subject`?
    pipelines/clinic.yaml:5:1+4: the key `name` is given twice
        it stands in line 1 already: keep one of them
    pipelines/clinic.yaml:6:1+3: unknown key `zzz`
        it may be name, aliases, description, input, schema, subject, kinds, on_unknown_kind, shift_by, on_unknown_field, transforms, checks, conserves, deletes, allow_constant_masks or max_quarantined
    "#);
    let files = Files::good().source("input:\n", "input:\n  formt: json\n  token: hunter2\n");
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:4:3+5: unknown key `formt`
        did you mean `format`?
    pipelines/clinic.yaml:5:3+5: a secret may not stand in a project file: `token`
        take it out: secrets come from the environment alone (AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY)
    "#);
}

#[test]
fn wrong_types_and_missing_keys() {
    let files = Files::good().with(
        "pipelines/clinic.yaml",
        "aliases: c\ndescription: 1\ninput: x\nschema: [a]\ntransforms: {}\n",
    );
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:1:1+1: the source has no `name`
        add `name: clinic`
    pipelines/clinic.yaml:1:10+1: `aliases` must be a list, not text
        write it in brackets: [c]
    pipelines/clinic.yaml:2:14+1: `description` must be text, not a number
        put it in quotes
    pipelines/clinic.yaml:3:1+5: `input` must be a mapping, not text
        write one `key: value` in a line
    pipelines/clinic.yaml:4:1+6: `schema` must be a mapping, not a list
        write one `key: value` in a line
    pipelines/clinic.yaml:5:1+10: `transforms` must be text, not a mapping
        write one text; one that starts with `{` goes in quotes
    "#);
    assert_snapshot!(Files::good().with("pipelines/clinic.yaml", "name: clinic\n").problems(), @r#"
    pipelines/clinic.yaml:1:1+1: the source has no `input`
        add `input: {path: "data/{date:%Y%m%d}/visits.json"}`
    pipelines/clinic.yaml:1:1+1: the source has no `schema`
        add `schema: {patient_id: string}`
    "#);
    assert_snapshot!(Files::good().with("pipelines/clinic.yaml", "").problems(), @r#"
    pipelines/clinic.yaml:1:1+1: the file declares nothing
        declare the source: name, input, schema
    "#);
    let files = Files::good().source("aliases: [c]", "aliases: [1, ~, c]\non_unknown_field: wrn");
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:2:11+1: each element of `aliases` must be text, not a number
        put it in quotes
    pipelines/clinic.yaml:2:14+1: each element of `aliases` must be text, not empty
        write one text
    pipelines/clinic.yaml:3:19+3: `on_unknown_field` can't be `wrn`
        did you mean `warn`?
    "#);
}

#[test]
fn names() {
    assert_snapshot!(Files::good().source("name: clinic", "name: klinic").problems(), @r#"
    pipelines/clinic.yaml:1:7+6: the source `klinic` lies in a file of another name
        call the file pipelines/klinic.yaml, or the source `clinic`
    "#);
    assert_snapshot!(Files::good().source("name: clinic", "name: Clinic-1").problems(), @r#"
    pipelines/clinic.yaml:1:7+8: `Clinic-1` can't be the name of a source
        use a-z, 0-9 and _, with no digit first: `clinic_1`
    "#);
    assert_snapshot!(Files::good().source("aliases: [c]", "aliases: [clinic, c, c, C]").problems(), @r#"
    pipelines/clinic.yaml:2:11+6: the alias `clinic` is the source's name
        a source is found by its name anyway: take it out
    pipelines/clinic.yaml:2:22+1: the alias `c` is given twice
        keep one
    pipelines/clinic.yaml:2:25+1: `C` can't be an alias
        use a-z, 0-9 and _, with no digit first: `c`
    "#);
    let files = Files::good()
        .with(
            "pipelines/views.yaml",
            super::SOURCE.replace("clinic", "views").replace("[c]", "[v]"),
        )
        .with("sql/views/patients_all.sql", "SELECT 1");
    assert_snapshot!(files.problems(), @r#"
    pipelines/views.yaml:1:7+5: a source can't be called `views`
        sql/views has a meaning of its own: choose another
    "#);
}

#[test]
fn two_sources_with_one_name() {
    let files = Files::good()
        .with(
            "pipelines/c.yaml",
            super::SOURCE.replace("name: clinic", "name: c").replace("[c]", "[d]"),
        )
        .with("pipelines/other.yaml", super::SOURCE.replace("[c]", "[d]"))
        .with("sql/c/patients.sql", "SELECT 1");
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:2:11+1: `c` stands for two sources
        pipelines/c.yaml:1:7 gives it to `c` already: choose another here or there
    pipelines/other.yaml:1:7+6: `clinic` stands for two sources
        pipelines/clinic.yaml:1:7 gives it to `clinic` already: choose another here or there
    pipelines/other.yaml:1:7+6: the source `clinic` lies in a file of another name
        call the file pipelines/clinic.yaml, or the source `other`
    pipelines/other.yaml:2:11+1: `d` stands for two sources
        pipelines/c.yaml:2:11 gives it to `c` already: choose another here or there
    "#);
}

#[test]
fn an_unknown_source_is_asked_for() {
    let project = Files::good().load().expect("a good project");
    let error = project.source("clinik").expect_err("unknown");
    assert_eq!(error.to_string(), "no source has the name or alias `clinik`");
    assert_eq!(error.hint.as_deref(), Some("did you mean `clinic`?"));
    assert_eq!(
        project.source("zzz").expect_err("unknown").hint.as_deref(),
        Some("the project has clinic")
    );
}
