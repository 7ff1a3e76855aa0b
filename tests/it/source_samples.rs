//! `pipeline source add`: how much of a sample is looked at, what of it is shown, and what the schema language says of
//! values that differ.
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::harness::{Database, Project};
use crate::source_add::{files, holds_every_scalar, lines, loaded, patients, resources, scalars};

/// What `source add` says of a sample that it reads up to a number of records: how many it has read, of how many files,
/// and whether it has left some out.
fn looked_at(project: &Project, sample: &str) -> (u64, u64, bool) {
    let args = [
        "--output",
        "json",
        "source",
        "add",
        "x",
        "--from",
        "in",
        "--entities",
        "new",
        "--sample",
        sample,
    ];
    let added = project.run(&args).code(0).json();
    (
        added["records"].as_u64().unwrap(),
        added["files"].as_u64().unwrap(),
        added["cut"].as_bool().unwrap(),
    )
}

fn of_files(files: &[(String, String)]) -> Project {
    files.iter().fold(Project::new(), |project, (path, text)| {
        project.file(&format!("in/{path}"), text)
    })
}

#[test]
fn no_more_records_are_looked_at_than_asked_for() {
    let records = patients(20);
    let one = |text: String| of_files(&[("20230501/a.json".to_owned(), text)]);
    let per_file: Vec<(String, String)> = (0..20)
        .map(|n| (format!("20230501/d{n:02}.json"), records[n].to_string()))
        .collect();
    assert_eq!(
        looked_at(&of_files(&per_file), "5"),
        (5, 5, true),
        "one document a file"
    );
    assert_eq!(looked_at(&of_files(&per_file), "20"), (20, 20, false), "all files");
    assert_eq!(looked_at(&one(lines(&records)), "7"), (7, 1, true), "lines");
    let array = json!(records).to_string();
    assert_eq!(
        looked_at(&one(array.clone()), "1"),
        (1, 1, true),
        "the first of an array"
    );
    assert_eq!(looked_at(&one(array), "20"), (20, 1, false), "a whole array");
    let wrapper = json!({"codes": ["a", "b", "c"], "patients": records}).to_string();
    assert_eq!(looked_at(&one(wrapper), "4"), (4, 1, true), "a wrapper");
    let entries: Vec<Value> = resources().into_iter().map(|one| json!({"resource": one})).collect();
    let bundle = json!({"resourceType": "Bundle", "entry": entries}).to_string();
    assert_eq!(looked_at(&one(bundle), "3"), (3, 1, true), "a bundle");
    let mut cells = "id,name\n".to_owned();
    (0..20).for_each(|n| {
        let _ = writeln!(cells, "{n},N{n}");
    });
    assert_eq!(looked_at(&one(cells.clone()), "6"), (6, 1, true), "cells");
    assert_eq!(looked_at(&one(cells), "20"), (20, 1, false), "all cells");
    for (sample, cut) in [("2", true), ("3", false)] {
        let project = Project::new().file("in/20230501/x.parquet", crate::formats::nested_parquet());
        let expected = sample.parse().unwrap();
        assert_eq!(looked_at(&project, sample), (expected, 1, cut), "Parquet");
    }
}

#[test]
fn what_stands_behind_the_records_is_named_although_it_is_not_reached() {
    let document = json!({"patients": patients(200), "zone": "z", "sent": {"by": "c"}});
    let project = Project::new().file("in/20230501/w.json", document.to_string());
    project
        .run(&[
            "source",
            "add",
            "x",
            "--from",
            "in",
            "--entities",
            "new",
            "--sample",
            "2",
        ])
        .code(0)
        .stderr_contains("left out, since it stands beside the records: $.sent, $.zone");
}

#[test]
fn values_are_shown_only_where_the_user_asks_for_them() {
    let records: Vec<Value> = (0..4)
        .map(|n| json!({"id": n, "name": format!("Secret{n}"), "labs": {"hb": [1.5, 2.5]}}))
        .collect();
    let sample = || Project::new().file("in/20230501/x.json", json!(records).to_string());
    let add = ["source", "add", "x", "--from", "in", "--entities", "new"];
    sample()
        .run(&add)
        .code(0)
        .output_lacks("Secret")
        .output_lacks("printed here");

    let project = sample();
    let shown = project.run(&[&add[..], &["--show-samples"]].concat()).code(0);
    insta::assert_snapshot!(shown.stdout, @r#"
    written  pipelines/x.yaml
    written  sql/x/xs.sql
    written  sql/x/hbs.sql
    written  pipeline.yaml
    written  migrations/V1__add_x.sql

    values of the sample, printed here and written nowhere:
      $.id: "0", "1", "2"
      $.labs.hb[]: "1.5", "2.5"
      $.name: "Secret0", "Secret1", "Secret2"
    "#);
    assert!(!shown.stderr.contains("Secret"), "{}", shown.stderr);
    for path in files(&project).iter().filter(|path| !path.contains("/in/")) {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        assert!(!text.contains("Secret"), "{path}");
    }

    let logged = sample().run(&[&add[..], &["--show-samples", "-vv"]].concat()).code(0);
    assert!(!logged.stderr.contains("Secret"), "{}", logged.stderr);
    let refused = sample().run(&[&["--output", "json"], &add[..], &["--show-samples"]].concat());
    insta::assert_snapshot!(refused.code(2).message(), @r"
    error: --show-samples prints values for a person to read, not as JSON
    hint: leave out --show-samples or --output json
    ");
}

#[test]
fn one_or_many_and_partial_dates_and_numbers_as_strings() {
    let records: Vec<Value> = (0..24)
        .map(|n: u32| {
            let coding = json!({"code": format!("c{n}"), "rank": n});
            let born = ["1970", "1970-03", "1970-03-05"][n as usize % 3];
            let seen = ["2023-05", "2023-05-01", "2023-05-01T10:00:00Z", "2023-05-01T10:00+02:00"][n as usize % 4];
            json!({"id": format!("k{n}"), "coding": if n.is_multiple_of(4) { coding.clone() } else { json!([coding, coding]) },
                "tags": if n.is_multiple_of(2) { json!("t") } else { json!(["t", "u"]) }, "onset": born, "recorded": seen,
                "amount": format!("{n}.50"), "grade": n.to_string(), "level": if n == 3 { json!("high") } else { json!(n) }})
        })
        .collect();
    let project = holds_every_scalar(
        "idioms",
        &[("20230501/x.ndjson", &lines(&records))],
        scalars(&json!(records)),
    );
    let yaml = project.read("pipelines/idioms.yaml");
    for part in [
        "# a list 18 times, and its only element without a list 6 times, first in record 1\n  coding:\n    one_or_many:",
        "# a list 12 times, and its only element without a list 12 times, first in record 1\n  tags: {one_or_many: string",
        "  onset: {type: date, required: true, precision: partial",
        "  recorded: {type: timestamptz, required: true, precision: partial",
        "  amount: {type: \"decimal(12,4)\", required: true, from: string}",
        "# whole numbers sent as strings: {type: int, from: string} reads them as numbers, if they are no codes\n  grade: {type: string",
        "# read as either, since it is number 23 times (first in record 1), string once (first in record 4)\n  level: {type: string",
    ] {
        assert!(yaml.contains(part), "{part}\n{yaml}");
    }
    let sql = project.read("sql/idioms/idioms.sql");
    for part in [
        "onset['value'] as onset, -- onset: its first day or moment",
        "onset['precision'] as onset_precision, -- onset: how much of it is known",
    ] {
        assert!(sql.contains(part), "{part}\n{sql}");
    }
}

#[test]
fn the_encoding_is_told_by_the_content() {
    let mut text = "number;ward;Remark\n".to_owned();
    (0..300).for_each(|n| {
        let _ = writeln!(text, "{n};Station {n};{}", if n > 200 { "grün" } else { "blue" });
    });
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let wide: Vec<u8> = std::iter::once('\u{feff}')
        .chain(json!(patients(12)).to_string().chars())
        .flat_map(|c| u16::try_from(u32::from(c)).unwrap().to_le_bytes())
        .collect();
    for (name, file, encoding, expected) in [
        ("latin", latin, "windows-1252", 900),
        ("wide", wide, "utf-16", scalars(&json!(patients(12)))),
    ] {
        let database = Database::fresh();
        let project = Project::new().on(&database).file("in/20230501/x.txt", file);
        project
            .run(&["source", "add", name, "--from", "in", "--entities", "new"])
            .code(0);
        let yaml = project.read(&format!("pipelines/{name}.yaml"));
        assert!(yaml.contains(&format!("  encoding: {encoding}\n")), "{yaml}");
        project.run(&["migrate"]).code(0);
        project.load(name, "20230501").code(0);
        assert_eq!(loaded(&project, &database, name), expected, "{name}");
    }
}

#[test]
fn a_name_that_an_entity_has_already_is_made_longer_by_a_word() {
    let project = Project::of_repository().file("in/20230501/x.json", json!(patients(12)).to_string());
    project
        .run(&["source", "add", "clinic_z", "--from", "in", "--entities", "new"])
        .code(0)
        .stdout_is(
            "written  pipelines/clinic_z.yaml\nwritten  sql/clinic_z/clinic_z_patients.sql\n\
             written  sql/clinic_z/clinic_z_visits.sql\nwritten  sql/clinic_z/codes.sql\nwritten  sql/clinic_z/scores.sql\n\
             written  migrations/V2__add_clinic_z.sql\nchanged  pipeline.yaml\n",
        );
}

#[test]
fn a_list_that_is_called_like_another_is_named_after_the_rows_above() {
    let list = |n: u32| json!([{"code": format!("c{n}")}, {"code": "d"}]);
    let records: Vec<Value> = (0..12)
        .map(|n| json!({"id": format!("k{n}"), "codes": list(n), "visits": [{"day": "2023-05-01", "codes": list(n)}]}))
        .collect();
    let project = holds_every_scalar(
        "twice",
        &[("20230501/x.json", &json!(records).to_string())],
        scalars(&json!(records)),
    );
    assert!(project.path("sql/twice/codes.sql").exists() && project.path("sql/twice/visit_codes.sql").exists());
}

#[test]
fn each_line_of_sql_says_what_it_rests_on_and_a_column_without_a_field_what_is_like_it() {
    let outside = Project::new();
    outside.run(&["init", "p"]).code(0);
    let drugs = json!([{"name": "x", "dose_mg": "500 mg"}]);
    let records = json!([{"id": "P1", "visits": [{"number": "V1", "date": "2023-05-01", "drugs": drugs}]}]);
    let project = Project::copy_of(&outside.path("p")).file("in/20230501/x.json", records.to_string());
    project.run(&["source", "add", "other", "--from", "in"]).code(0);
    insta::assert_snapshot!(project.read("sql/other/patients.sql"), @r"
    -- Proposed by `pipeline source add` from a sample of other.
    select
        id as patient_id, -- id, string: like name and place
        null as name, -- no field found
        null as birth_year -- no field found
    from source
    ");
    insta::assert_snapshot!(project.read("sql/other/prescriptions.sql"), @r"
    -- Proposed by `pipeline source add` from a sample of other.
    with visits as (
        select
            unnest(visits) as item
        from source
    )
    , drugs as (
        select
            item['number'] as visit_id,
            unnest(item['drugs']) as item
        from visits
    )
    select
        visit_id, -- visits.number, string: like name and place
        item['name'] as drug, -- visits.drugs.name, string: like name and place
        null as dose_mg -- no field found: visits.drugs.dose_mg is like it, but string, not numeric(8,2)
    from drugs
    ");
    insta::assert_snapshot!(project.read("sql/other/visits.sql"), @r"
    -- Proposed by `pipeline source add` from a sample of other.
    with visits as (
        select
            id as patient_id,
            unnest(visits) as item
        from source
    )
    select
        patient_id, -- id, string: like name and place
        item['number'] as visit_id, -- visits.number, string: like name and place
        item['date'] as visit_date, -- visits.date, date: like name and place
        null as reason -- no field found
    from visits
    ");
}

#[test]
fn a_project_without_a_source_gets_its_first() {
    let outside = Project::new();
    outside.run(&["init", "p"]).code(0);
    let day = outside.read("p/data/clinic/2023-05-01.json");
    for which in ["existing", "new"] {
        let project = Project::copy_of(&outside.path("p")).file("in/20230501/x.json", &day);
        project.remove("pipelines");
        project.remove("sql/clinic");
        project
            .run(&["source", "add", "first", "--from", "in", "--entities", which])
            .code(0);
        project.run(&["check"]).code(0);
        let own = project.path("sql/first/first_patients.sql").exists()
            || project.path("sql/first/first_visits.sql").exists();
        assert_eq!(own, which == "new", "{which}");
    }
}

#[test]
fn files_of_one_line_and_of_several_are_one_source() {
    let records = patients(13);
    let project = holds_every_scalar(
        "mixed",
        &[
            ("20230501/a.json", &records[0].to_string()),
            ("20230501/b.json", &lines(&records[1..])),
        ],
        scalars(&json!(records)),
    );
    assert!(project.read("pipelines/mixed.yaml").contains("format: json\n"));
}
