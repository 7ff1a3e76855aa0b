//! Tests of problems in `pipeline.yaml`.

use insta::assert_snapshot;

use super::Files;
use crate::model::{Index, PgType};

#[test]
fn the_good_one_is_read_whole() {
    let project = Files::good().load().expect("a good project");
    let patients = project.entity("patients").expect("declared");
    assert_eq!(patients.description.as_deref(), Some("One row per patient"));
    assert_eq!(patients.key, ["patient_id"]);
    assert!(!patients.columns[0].nullable && patients.columns[1].nullable);
    assert_eq!(patients.columns[0].description.as_deref(), Some("Whose"));
    assert_eq!(patients.columns[0].location.line, 6);
    let visits = project.entity("visits").expect("declared");
    let parent = visits.parent.as_ref().expect("a parent");
    assert_eq!(
        (parent.entity.as_str(), &parent.columns[..]),
        ("patients", &["patient_id".to_owned()][..])
    );
    let index = |columns: &[&str]| Index {
        columns: columns.iter().map(|&c| c.to_owned()).collect(),
    };
    assert_eq!(
        visits.indexes,
        [index(&["patient_id", "visit_date"]), index(&["visit_date"])]
    );
    assert_eq!(visits.columns[2].pg_type, PgType::Date);
}

#[test]
fn parents_come_before_their_children_whatever_the_order() {
    let text = "entities:
  c: {columns: {k: text}, parent: {entity: b, columns: [k]}}
  b: {columns: {k: text}, parent: {entity: a, columns: [k]}}
  d: {columns: {k: text}}
  a: {columns: {k: text}}
";
    let files = Files::good()
        .with("pipeline.yaml", text)
        .without("sql/clinic/patients.sql")
        .without("sql/clinic/visits.sql")
        .with("sql/clinic/c.sql", "SELECT 1")
        .with("sql/clinic/a.sql", "SELECT 1");
    let project = files.load().expect("a good project");
    let names: Vec<_> = project.entities.iter().map(|entity| entity.name.as_str()).collect();
    assert_eq!(names, ["d", "a", "b", "c"]);
    let served: Vec<_> = project.sources[0]
        .transforms
        .iter()
        .map(|t| t.entity.as_str())
        .collect();
    assert_eq!(served, ["a", "c"]);
}

#[test]
fn no_entity_is_known_by_another_name() {
    let project = Files::good().load().expect("a good project");
    let error = project.entity("visit").expect_err("unknown");
    assert_eq!(error.to_string(), "pipeline.yaml declares no entity `visit`");
    assert_eq!(error.hint.as_deref(), Some("did you mean `visits`?"));
}

#[test]
fn keys() {
    let files = Files::good().contract("name: test", "nam: test\nprivacy: safe\npassword: hunter2\nzzz: 1");
    assert_snapshot!(files.problems(), @r#"
    pipeline.yaml:1:1+3: unknown key `nam`
        did you mean `name`?
    pipeline.yaml:2:10+4: `privacy` can't be `safe`
        did you mean `safe_harbor`?
    pipeline.yaml:3:1+8: a secret may not stand in a project file: `password`
        take it out: secrets come from the environment alone (AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY)
    pipeline.yaml:4:1+3: unknown key `zzz`
        it may be name, description, privacy, expose or entities
    "#);
    let files = Files::good().contract(
        "    key: [visit_id]",
        "    key: [visit_id]\n    key: [visit_id]\n    defaults: []",
    );
    assert_snapshot!(files.problems(), @r#"
    pipeline.yaml:16:5+3: the key `key` is given twice
        it stands in line 15 already: keep one of them
    pipeline.yaml:17:5+8: unknown key `defaults`
        it may be description, columns, key, parent, indexes, latest, deletions or checks
    "#);
    let files = Files::good().contract("nullable: false, description: Whose", "nulable: false, mask: hash");
    assert_snapshot!(files.problems(), @r#"
    pipeline.yaml:6:32+7: unknown key `nulable`
        did you mean `nullable`?
    pipeline.yaml:6:48+4: nothing acts on `mask` yet
        take `mask` out: a later version will act on it
    pipeline.yaml:8:11+10: the key column `patient_id` may be null
        declare it so: patient_id: {type: ..., nullable: false}
    "#);
}

#[test]
fn wrong_types_of_values() {
    let text = "name: 1
description: [a]
entities:
  a:
  b: text
  c: {columns: [x]}
  d: {columns: {x: text}, key: x, indexes: x, parent: [a]}
  e: {columns: {x: {type: [text], nullable: no, description: 5}, y: 7, z: }, key: [], indexes: [x, [], [1], 2]}
  f: {columns: {}, description: }
  g: {}
";
    assert_snapshot!(Files::good().with("pipeline.yaml", text).problems(), @r#"
    pipeline.yaml:1:7+1: `name` must be text, not a number
        put it in quotes
    pipeline.yaml:2:1+11: `description` must be text, not a list
        write one text
    pipeline.yaml:4:3+1: the entity `a` must be a mapping, not empty
        write one `key: value` in a line
    pipeline.yaml:5:3+1: the entity `b` must be a mapping, not text
        write one `key: value` in a line
    pipeline.yaml:6:7+7: `columns` must be a mapping, not a list
        write one `key: value` in a line
    pipeline.yaml:7:32+1: `key` must be a list, not text
        write it in brackets: [x]
    pipeline.yaml:7:44+1: `indexes` must be a list, not text
        write a list of column lists: [[name]]
    pipeline.yaml:7:47+6: `parent` must be text, not a list
        write one text
    pipeline.yaml:8:21+4: `type` must be text, not a list
        write one text
    pipeline.yaml:8:45+2: `nullable` must be true or false, not text
        write `nullable: true` or `nullable: false`
    pipeline.yaml:8:62+1: `description` must be text, not a number
        put it in quotes
    pipeline.yaml:8:69+1: the type of `y` must be text, not a number
        put it in quotes
    pipeline.yaml:8:72+1: the type of `z` must be text, not empty
        write one text
    pipeline.yaml:8:78+3: `key` names no column
        name the columns, or leave `key` out
    pipeline.yaml:8:97+1: an index must be a list of columns, not text
        write it in brackets of its own: [[x]]
    pipeline.yaml:8:100+1: an index names no column
        name its columns, or take it out
    pipeline.yaml:8:105+1: each element of an index must be text, not a number
        put it in quotes
    pipeline.yaml:8:109+1: an index must be a list of columns, not a number
        write it in brackets of its own: [[name]]
    pipeline.yaml:9:7+7: `columns` declares no column
        add one: patient_id: text
    pipeline.yaml:9:20+11: `description` must be text, not empty
        write one text
    pipeline.yaml:10:3+1: the entity `g` has no `columns`
        add `columns: {patient_id: text}`
    sql/clinic/patients.sql:1:1+1: pipeline.yaml declares no entity `patients`
        name it after an entity: a, b, c, d, e, f or g
    sql/clinic/visits.sql:1:1+1: pipeline.yaml declares no entity `visits`
        name it after an entity: a, b, c, d, e, f or g
    "#);
}

#[test]
fn missing_keys() {
    assert_snapshot!(Files::good().with("pipeline.yaml", "name: a\n").problems(), @r#"
    pipeline.yaml:1:1+1: pipeline.yaml has no `entities`
        add `entities: {patients: {columns: {patient_id: text}}}`
    "#);
    assert_snapshot!(Files::good().with("pipeline.yaml", "# nothing\n").problems(), @r#"
    pipeline.yaml:1:1+1: pipeline.yaml declares nothing
        declare the entities: entities: {patients: {columns: {patient_id: text}}}
    "#);
    assert_snapshot!(Files::good().with("pipeline.yaml", "- a\n").problems(), @r#"
    pipeline.yaml:1:1+1: pipeline.yaml must be a mapping, not a list
        write one `key: value` in a line
    "#);
    assert_snapshot!(Files::good().with("pipeline.yaml", "entities: {}\n").problems(), @r#"
    pipeline.yaml:1:1+8: `entities` declares no entity
        declare one: entities: {patients: {columns: {patient_id: text}}}
    "#);
    let files = Files::good().contract("{type: text, nullable: false, description: Whose}", "{nullable: false}");
    assert_snapshot!(files.problems(), @r#"
    pipeline.yaml:6:7+10: the column `patient_id` has no `type`
        add `type: text`
    "#);
}

#[test]
fn unknown_types() {
    let files = Files::good().contract(
        "      name: text",
        "      name: txt\n      a: string\n      b: numeric(2000)\n      c: {type: varchar(x)}",
    );
    assert_snapshot!(files.problems(), @r#"
    pipeline.yaml:7:13+3: `txt` is no PostgreSQL type that a contract may name
        did you mean `text`?
    pipeline.yaml:8:10+6: `string` is no PostgreSQL type that a contract may name
        write `text`
    pipeline.yaml:9:10+13: `numeric(2000)` is no type
        write numeric(p,s) with a precision from 1 to 1000 and a scale from -1000 to 1000
    pipeline.yaml:10:17+10: `varchar(x)` is no type
        write numbers in the parentheses: varchar(20), numeric(10,2)
    "#);
}

#[test]
fn bad_names() {
    let files = Files::good().contract(
        "      name: text",
        "      name: text\n      visitId: text\n      source: text\n      _a: text\n      true: text",
    );
    assert_snapshot!(files.problems(), @r#"
    pipeline.yaml:8:7+7: `visitId` can't be the name of a column
        use a-z, 0-9 and _, with no digit first: `visit_id`
    pipeline.yaml:9:7+6: `source` can't be the name of a column: it is a partition column, which every entity has
        choose another name
    pipeline.yaml:10:7+2: `_a` can't be the name of a column: it is the engine's, like all names that start with `_`
        choose another name
    "#);
    let long = "a".repeat(41);
    let text = format!("entities:\n  {long}: {{columns: {{x: text}}}}\n  Visits: {{columns: {{x: text}}}}\n");
    let files = Files::good()
        .with("pipeline.yaml", text)
        .without("sql/clinic/patients.sql");
    assert_snapshot!(files.problems(), @r#"
    pipeline.yaml:2:3+41: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` is too long for the name of an entity: 41 characters
        use 40 characters at most
    pipeline.yaml:3:3+6: `Visits` can't be the name of an entity
        use a-z, 0-9 and _, with no digit first: `visits`
    sql/clinic/visits.sql:1:1+1: pipeline.yaml declares no entity `visits`
        did you mean `Visits.sql`?
    "#);
}

#[test]
fn key_columns() {
    let files = Files::good()
        .contract("    key: [patient_id]", "    key: [patient_idd, name, name]")
        .with("pipelines/clinic.yaml", super::SOURCE);
    assert_snapshot!(files.problems(), @r#"
    pipeline.yaml:8:11+11: `patients` has no column `patient_idd`
        did you mean `patient_id`?
    pipeline.yaml:8:24+4: the key column `name` may be null
        declare it so: name: {type: ..., nullable: false}
    pipeline.yaml:8:30+4: `key` names `name` twice
        keep one of them
    pipeline.yaml:16:13+8: `visits` has no column `name`, which is in the key of its parent `patients`
        add the column, or name those to join by: parent: {entity: patients, columns: [...]}
    "#);
}

#[test]
fn parents() {
    assert_snapshot!(Files::good().contract("parent: patients", "parent: patient").problems(), @r#"
    pipeline.yaml:16:13+7: the parent `patient` is no entity
        did you mean `patients`?
    "#);
    let files = Files::good().contract(
        "parent: patients",
        "parent: {entity: patients, columns: [visit_id, name, name]}",
    );
    assert_snapshot!(files.problems(), @r#"
    pipeline.yaml:16:42+8: `patients` has no column `visit_id`
        its columns are patient_id and name
    pipeline.yaml:16:52+4: `visits` has no column `name`
        its columns are patient_id, visit_id and visit_date
    pipeline.yaml:16:58+4: `columns` names `name` twice
        keep one of them
    "#);
    assert_snapshot!(Files::good().contract("    key: [patient_id]\n", "").problems(), @r#"
    pipeline.yaml:15:13+8: the parent `patients` has no key to join by
        give `patients` a key, or name the columns: parent: {entity: patients, columns: [...]}
    "#);
    let files = Files::good().contract("      patient_id: text\n      visit_id", "      visit_id");
    assert_snapshot!(files.problems(), @r#"
    pipeline.yaml:15:13+8: `visits` has no column `patient_id`, which is in the key of its parent `patients`
        add the column, or name those to join by: parent: {entity: patients, columns: [...]}
    pipeline.yaml:16:16+10: `visits` has no column `patient_id`
        its columns are visit_id and visit_date
    "#);
    let files = Files::good().contract("      patient_id: text\n", "      patient_id: int\n");
    assert_snapshot!(files.problems(), @r#"
    pipeline.yaml:16:13+8: `visits.patient_id` is integer, `patients.patient_id` is text
        give both the same type
    "#);
    let files = Files::good().contract("parent: patients", "parent: {columns: []}");
    assert_snapshot!(files.problems(), @r#"
    pipeline.yaml:16:5+6: `parent` has no `entity`
        add `entity: patients`
    "#);
}

#[test]
fn parents_in_a_circle() {
    let text = "entities:
  patients: {columns: {k: text}, parent: {entity: c, columns: [k]}}
  visits: {columns: {k: text}, parent: {entity: patients, columns: [k]}}
  c: {columns: {k: text}, parent: {entity: visits, columns: [k]}}
  d: {columns: {k: text}, parent: {entity: d, columns: [k]}}
  e: {columns: {k: text}, parent: {entity: d, columns: [k]}}
";
    assert_snapshot!(Files::good().with("pipeline.yaml", text).problems(), @r#"
    pipeline.yaml:2:51+1: the parents go in a circle: patients -> c -> visits -> patients
        take `parent` out of the one that comes first
    pipeline.yaml:5:44+1: the parents go in a circle: d -> d
        take `parent` out of the one that comes first
    "#);
}

#[test]
fn indexes() {
    let files = Files::good().contract(
        "[[name]]",
        "[[nam], [name, name], [name], [name], {columns: [name], unique: true}]",
    );
    assert_snapshot!(files.problems(), @r#"
    pipeline.yaml:9:16+3: `patients` has no column `nam`
        did you mean `name`?
    pipeline.yaml:9:29+4: the index names `name` twice
        keep one of them
    pipeline.yaml:9:44+1: the index on (name) is given twice
        keep one of them
    pipeline.yaml:9:52+1: the index on (name) is given twice
        keep one of them
    pipeline.yaml:9:70+6: unknown key `unique`
        it may be columns
    "#);
}

#[test]
fn the_environment_does_not_come_into_the_contract() {
    let files = Files::good().contract(
        "visit_date: date",
        "visit_date: \"${env:BAD}\"\n      b: ${env:NONE}\n      c: ${HOME}",
    );
    assert_snapshot!(files.problems(), @r#"
    pipeline.yaml:14:19+12: `${env:BAD}` may not stand here
        write the value itself: variables are for `input` and `transforms`
    pipeline.yaml:15:10+11: `${env:NONE}` may not stand here
        write the value itself: variables are for `input` and `transforms`
    pipeline.yaml:16:10+7: `${HOME}` is no variable
        write `${env:HOME}`, or `$${HOME}` for the text itself
    "#);
}

/// What the reader role may see all the same is looked up, and a reason is asked for.
#[test]
fn what_is_exposed_has_a_name_and_a_reason() {
    let good = Files::good().with("sql/views/newest.sql", "SELECT 1").contract(
        "name: test",
        "name: test\nexpose:\n  - {view: newest, reason: reviewed}\n  - {view: other.table, reason: reviewed}",
    );
    let exposed = good.load().expect("a good project").exposed;
    let names: Vec<&str> = exposed.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(
        (names, exposed[0].reason.as_str()),
        (vec!["newest", "other.table"], "reviewed")
    );
    let files = Files::good().contract(
        "name: test",
        "name: test\nexpose:\n  - {view: visit, reason: a}\n  - {view: visits}\n  - {view: visits, reason: \" \"}\n  - patients",
    );
    let problems = files.problems();
    for said in [
        "pipeline.yaml:3:12+5: `expose` names `visit`, and the project has no such view",
        "did you mean `visits`?",
        "an element of `expose` has no `reason`",
        "the reason is empty",
        "an element of `expose` must be a mapping, not text",
    ] {
        assert!(problems.contains(said), "{said}: {problems}");
    }
}
