//! `pipeline source add --update`: what a newer sample changes of a schema, in the text that a person wrote.
use serde_json::{Value, json};

use crate::harness::{Database, Project};

/// A new project with its small sample, and a source whose YAML a person has written in two styles.
fn clinic() -> Project {
    let outside = Project::new();
    outside.run(&["init", "p"]).code(0);
    let project = Project::copy_of(&outside.path("p"));
    project.edit(
        "pipelines/clinic.yaml",
        "  id: {type: string, required: true,",
        "  # The number on the card.\n  id: {type: string,   required: true,",
    );
    project.edit(
        "pipelines/clinic.yaml",
        "      reason: {type: string, normalize: [trim, empty_as_null]}\n",
        "      reason:   # as the patient says it\n        type: string\n        normalize: [trim, empty_as_null]\n      cost: int # in cents\n",
    );
    project
}

fn newer() -> Value {
    let visit = |n: u32| {
        json!({"number": format!("V{n}"), "day": if n.is_multiple_of(2) { "2023-05-01" } else { "01.05.2023" },
            "drugs": [{"name": "x", "dose_mg": 1.25}], "cost": if n == 3 { json!("17") } else { json!(5_000_000_000_u64 + u64::from(n)) },
            "nurse": {"name": "Secret"}})
    };
    let records: Vec<Value> = (0..6)
        .map(|n| {
            let mut record = json!({"id": if n == 1 { json!(77) } else { json!(format!("P{n}")) }, "name": "Secret", "phone": "Secret",
                "visits": if n == 2 { visit(n) } else { json!([visit(n)]) }});
            if n > 0 {
                record["born"] = json!("1970-01-01");
            }
            record
        })
        .collect();
    json!(records)
}

const UPDATE: [&str; 6] = ["source", "add", "clinic", "--update", "--from", "newer"];

#[test]
fn the_whole_output_and_nothing_is_written_without_yes() {
    let project = clinic().file("newer/x.json", newer().to_string());
    let before = project.read("pipelines/clinic.yaml");
    let shown = project.run(&UPDATE).code(0);
    insta::assert_snapshot!(shown.stdout, @r#"
    widened   pipelines/clinic.yaml:11  $.id: a string or a number: number once (first in record 2), string 5 times (first in record 1)
    widened   pipelines/clinic.yaml:14  $.visits: list becomes one_or_many: 1 times its only element without a list
    widened   pipelines/clinic.yaml:17  $.visits[].day: written in another format, too: %d.%m.%Y
    vanished  pipelines/clinic.yaml:18  $.visits[].reason: no value in 6 objects; it stays declared
    widened   pipelines/clinic.yaml:21  $.visits[].cost: int becomes bigint; a string or a number: number 5 times (first in record 1), string once (first in record 4)
    added     pipelines/clinic.yaml:26  $.visits[].nurse: in 6 of 6 objects: nurse: {struct: {name: {type: string, phi: name, mask: pseudonym, domain: name}}}
    added     pipelines/clinic.yaml:26  $.phone: in 6 of 6 objects: phone: {type: string, phi: contact, mask: redact}

    --- pipelines/clinic.yaml
    +++ pipelines/clinic.yaml
    @@ -9,19 +9,25 @@
     schema:
       # The number on the card.
    -  id: {type: string,   required: true, phi: identifier, mask: hash, domain: patient}
    +  id: {type: string, from: [string, number],   required: true, phi: identifier, mask: hash, domain: patient}
       name: {type: string, phi: name, mask: pseudonym}
       born: {type: date, phi: date, mask: year}
       visits:
    -    list:
    +    one_or_many:
           number: {type: string, required: true}
    -      day: {type: date, required: true}
    +      day: {type: date, format: ["%Y-%m-%d", "%d.%m.%Y"], required: true}
           reason:   # as the patient says it
             type: string
             normalize: [trim, empty_as_null]
    -      cost: int # in cents
    +      cost: {type: bigint, from: [string, number]} # in cents
           drugs:
             list:
               name: {type: string, required: true}
               dose_mg: "decimal(8,2)"
    +      nurse:
    +        struct:
    +          # name, pseudonym: `name` in its name
    +          name: {type: string, phi: name, mask: pseudonym, domain: name}
    +  # contact, redact: `phone` in its name
    +  phone: {type: string, phi: contact, mask: redact}
     # One row of these tables for each of these elements: a transform may neither lose nor double one.
     conserves:
    "#);
    insta::assert_snapshot!(shown.message(), @r"
    6 records in 1 file were looked at.
    note: no SQL of sql/clinic reads $.visits[].nurse, $.phone
    7 differences. Nothing is written yet; `--yes` writes it.
    ");
    assert_eq!(project.read("pipelines/clinic.yaml"), before);
    shown.output_lacks("Secret");
    let json = project
        .run(&[&["--output", "json"], &UPDATE[..]].concat())
        .code(0)
        .json();
    assert_eq!(
        (&json["written"], &json["changes"][0]["kind"]),
        (&json!(false), &json!("widened"))
    );
}

#[test]
fn what_is_written_keeps_comments_and_takes_the_sample() {
    let database = Database::fresh();
    let project = clinic().on(&database).file("newer/x.json", newer().to_string());
    let sql = project.read("sql/clinic/visits.sql");
    project
        .run(&[&UPDATE[..], &["--yes"]].concat())
        .code(0)
        .stderr_contains("written  pipelines/clinic.yaml");
    insta::assert_snapshot!(project.read("pipelines/clinic.yaml"), @r#"
    # yaml-language-server: $schema=../schemas/source.json
    # One upstream system: where its files are, and what its records hold.
    name: clinic
    description: A clinic that delivers one JSON file a day
    input:
      path: data/clinic/{date:%Y-%m-%d}.json
      format: json
    subject: id
    schema:
      # The number on the card.
      id: {type: string, from: [string, number],   required: true, phi: identifier, mask: hash, domain: patient}
      name: {type: string, phi: name, mask: pseudonym}
      born: {type: date, phi: date, mask: year}
      visits:
        one_or_many:
          number: {type: string, required: true}
          day: {type: date, format: ["%Y-%m-%d", "%d.%m.%Y"], required: true}
          reason:   # as the patient says it
            type: string
            normalize: [trim, empty_as_null]
          cost: {type: bigint, from: [string, number]} # in cents
          drugs:
            list:
              name: {type: string, required: true}
              dose_mg: "decimal(8,2)"
          nurse:
            struct:
              # name, pseudonym: `name` in its name
              name: {type: string, phi: name, mask: pseudonym, domain: name}
      # contact, redact: `phone` in its name
      phone: {type: string, phi: contact, mask: redact}
    # One row of these tables for each of these elements: a transform may neither lose nor double one.
    conserves:
      patients: $
      visits: visits[]
      prescriptions: visits[].drugs[]
    # What may be refused. The sample has one visit too many of the same number.
    max_quarantined: 10%
    "#);
    assert_eq!(project.read("sql/clinic/visits.sql"), sql);
    project.run(&["check"]).code(0);
    project.write("data/clinic/2023-06-01.json", newer().to_string());
    project.run(&["migrate"]).code(0);
    project.load("clinic", "20230601");
    assert_eq!((database.count("patients"), database.count("visits")), (6, 6));
    // A second look finds nothing but what vanished.
    let again = project.run(&[&UPDATE[..], &["--yes"]].concat()).code(0);
    insta::assert_snapshot!(format!("{}{}", again.stdout, again.message()), @r"
    vanished  pipelines/clinic.yaml:18  $.visits[].reason: no value in 6 objects; it stays declared
    6 records in 1 file were looked at.
    1 difference. None of them changes the file.
    ");
}

#[test]
fn a_sample_that_fits_changes_nothing() {
    let project = clinic();
    let shown = project
        .run(&["source", "add", "clinic", "--update", "--yes", "--from", "data/clinic"])
        .code(0);
    insta::assert_snapshot!(format!("{}{}", shown.stdout, shown.message()), @r"
    vanished  pipelines/clinic.yaml:21  $.visits[].cost: no value in 32 objects; it stays declared
    26 records in 2 files were looked at.
    1 difference. None of them changes the file.
    ");
}

#[test]
fn a_change_that_the_tables_do_not_take_is_not_written() {
    let project = clinic();
    project.edit(
        "pipeline.yaml",
        "reason: {type: text,",
        "cost: {type: int4}\n      reason: {type: text,",
    );
    project.edit(
        "sql/clinic/visits.sql",
        "item['reason']",
        "item['cost'] as cost, item['reason']",
    );
    project.run(&["migration", "new", "cost"]).code(0);
    let day = json!([{"id": "P1", "name": "n", "born": "1970-01-01", "visits": [{"number": "V1", "day": "2023-05-01", "reason": "r",
        "cost": 1.5, "drugs": [{"name": "x", "dose_mg": 1}]}]}]);
    project.write("newer/x.json", day.to_string());
    let before = project.read("pipelines/clinic.yaml");
    let shown = project.run(&[&UPDATE[..], &["--yes"]].concat()).code(2);
    insta::assert_snapshot!(format!("{}{}", shown.stdout, shown.message()), @r"
    error: the transforms do not fit the project

    error: column `cost` of visits is integer but the transform returns Decimal128(11, 1)
      --> sql/clinic/visits.sql:10:5
       |
    10 |     item['cost'] as cost, item['reason'] as reason
       |     ^^^^^^^^^^^^^^^^^^^^
       |
       = hint: is Decimal128(11, 1), the contract says integer: CAST(... AS INT)

    hint: nothing was written; let the SQL and the tables take the new types first
    ");
    assert_eq!(project.read("pipelines/clinic.yaml"), before);
}

#[test]
fn wrong_use_has_one_message() {
    let project = clinic()
        .file("newer/x.csv", "id,name\n1,a\n")
        .file("newer/empty.json", "");
    let message = |args: &[&str]| {
        let outcome = project.run(args);
        assert_eq!(outcome.exit(), Some(2), "{args:?}");
        outcome.message()
    };
    insta::assert_snapshot!(message(&["source", "add", "other", "--update", "--from", "newer/x.csv"]), @r"
    error: no source has the name or alias `other`
    hint: the project has clinic
    ");
    insta::assert_snapshot!(message(&["source", "add", "clinic", "--update", "--from", "newer/x.csv"]), @r"
    error: the sample is csv, and clinic declares json
    hint: name files of this source, or change `format` first
    ");
    insta::assert_snapshot!(message(&["source", "add", "clinic", "--update", "--from", "newer/empty.json"]), @r"
    error: the sample holds no record: its files are empty
    hint: name a file that holds some records
    ");
    insta::assert_snapshot!(message(&["source", "add", "clinic", "--yes", "--from", "newer/x.csv"]), @r"
    error: the following required arguments were not provided:
      --update

    Usage: pipeline source add --from <PATH>... --update --yes <NAME>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(message(&["source", "add", "clinic", "--from", "newer/x.csv"]), @r"
    error: there is a source `clinic` already
    hint: choose another name, or give `--update` to see what this sample changes in its schema
    ");
}

#[test]
fn cells_and_lists_of_scalars_and_braces() {
    let project = Project::new().file("in/20230501/a.csv", "number,ward,amount\n1,a,1.5\n2,b,2.5\n");
    project
        .run(&["source", "add", "cells", "--from", "in", "--entities", "new"])
        .code(0);
    project.write("newer/a.csv", "number,amount,note\n10000000000,x,a\n2,2.5,b\n");
    let shown = project
        .run(&["source", "add", "cells", "--update", "--from", "newer"])
        .code(0);
    insta::assert_snapshot!(shown.stdout, @r#"
    widened   pipelines/cells.yaml:9  $.number: int becomes bigint
    vanished  pipelines/cells.yaml:10  $.ward: no value in 2 objects; it stays declared
    differs   pipelines/cells.yaml:11  $.amount: declared as a decimal, and it is no number in some rows
    added     pipelines/cells.yaml:12  $.note: in 2 of 2 objects: note: {type: string, phi: free_text, mask: redact}

    --- pipelines/cells.yaml
    +++ pipelines/cells.yaml
    @@ -7,7 +7,9 @@
     schema:
       # identifier, hash: it names a person or what belongs to one
    -  number: {type: int, required: true, phi: identifier, mask: hash, domain: record}
    +  number: {type: bigint, required: true, phi: identifier, mask: hash, domain: record}
       ward: string
       amount: "decimal(10,3)"
    +  # free_text, redact: `note` in its name
    +  note: {type: string, phi: free_text, mask: redact}
     on_unknown_field: warn
     conserves:
    "#);

    let yaml = "name: flat\ninput: {path: \"in/{date}.json\"}\nschema: {id: string, tags: {list: int}, at: {struct: {x: int}}, \"odd: one\": {list: {a: int}}}\n";
    project.write("pipelines/flat.yaml", yaml);
    project.write(
        "sql/flat/cells.sql",
        "select id as number, null as ward, null as amount from source",
    );
    project.write(
        "newer/b.json",
        json!([{"id": "a", "tags": [1, 2.5, 5], "at": {"x": 1, "y": "z"}, "odd: one": [{"a": 1, "b": 2}], "more": true}]).to_string(),
    );
    let shown = project
        .run(&["source", "add", "flat", "--update", "--from", "newer/b.json"])
        .code(0);
    insta::assert_snapshot!(shown.stdout, @r#"
    widened   pipelines/flat.yaml:3  $.tags[]: int becomes decimal(11,1)
    added     pipelines/flat.yaml:3  $.at.y: in 1 of 1 object: "y": string
    added     pipelines/flat.yaml:3  $['odd: one'][].b: in 1 of 1 object: b: int
    added     pipelines/flat.yaml:3  $.more: in 1 of 1 object: more: bool

    --- pipelines/flat.yaml
    +++ pipelines/flat.yaml
    @@ -1,3 +1,3 @@
     name: flat
     input: {path: "in/{date}.json"}
    -schema: {id: string, tags: {list: int}, at: {struct: {x: int}}, "odd: one": {list: {a: int}}}
    +schema: {id: string, tags: {list: "decimal(11,1)"}, at: {struct: {x: int, "y": string}}, "odd: one": {list: {a: int, b: int}}, more: bool}
    "#);
}
