use insta::assert_snapshot;

use super::Files;
use crate::project::{Index, PgType};

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
    assert_eq!((parent.entity.as_str(), &parent.columns[..]), ("patients", &["patient_id".to_owned()][..]));
    let index = |columns: &[&str]| Index { columns: columns.iter().map(|&c| c.to_owned()).collect() };
    assert_eq!(visits.indexes, [index(&["patient_id", "visit_date"]), index(&["visit_date"])]);
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
    let served: Vec<_> = project.sources[0].transforms.iter().map(|t| t.entity.as_str()).collect();
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
    let files = Files::good().contract("name: test", "nam: test\nprivacy: safe_harbor\npassword: hunter2\nzzz: 1");
    assert_snapshot!(files.problems(), @"");
    let files = Files::good().contract("    key: [visit_id]", "    key: [visit_id]\n    key: [visit_id]\n    checks: []");
    assert_snapshot!(files.problems(), @"");
    let files = Files::good().contract("nullable: false, description: Whose", "nulable: false, mask: hash");
    assert_snapshot!(files.problems(), @"");
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
    assert_snapshot!(Files::good().with("pipeline.yaml", text).problems(), @"");
}

#[test]
fn missing_keys() {
    assert_snapshot!(Files::good().with("pipeline.yaml", "name: a\n").problems(), @"");
    assert_snapshot!(Files::good().with("pipeline.yaml", "# nothing\n").problems(), @"");
    assert_snapshot!(Files::good().with("pipeline.yaml", "- a\n").problems(), @"");
    assert_snapshot!(Files::good().with("pipeline.yaml", "entities: {}\n").problems(), @"");
    let files = Files::good().contract("{type: text, nullable: false, description: Whose}", "{nullable: false}");
    assert_snapshot!(files.problems(), @"");
}

#[test]
fn unknown_types() {
    let files = Files::good()
        .contract("      name: text", "      name: txt\n      a: string\n      b: numeric(2000)\n      c: {type: varchar(x)}");
    assert_snapshot!(files.problems(), @"");
}

#[test]
fn bad_names() {
    let files = Files::good()
        .contract("      name: text", "      name: text\n      visitId: text\n      source: text\n      _a: text\n      true: text");
    assert_snapshot!(files.problems(), @"");
    let long = "a".repeat(41);
    let text = format!("entities:\n  {long}: {{columns: {{x: text}}}}\n  Visits: {{columns: {{x: text}}}}\n");
    let files = Files::good().with("pipeline.yaml", text).without("sql/clinic/patients.sql");
    assert_snapshot!(files.problems(), @"");
}

#[test]
fn key_columns() {
    let files = Files::good()
        .contract("    key: [patient_id]", "    key: [patient_idd, name, name]")
        .with("pipelines/clinic.yaml", super::SOURCE);
    assert_snapshot!(files.problems(), @"");
}

#[test]
fn parents() {
    assert_snapshot!(Files::good().contract("parent: patients", "parent: patient").problems(), @"");
    let files = Files::good().contract("parent: patients", "parent: {entity: patients, columns: [visit_id, name, name]}");
    assert_snapshot!(files.problems(), @"");
    assert_snapshot!(Files::good().contract("    key: [patient_id]\n", "").problems(), @"");
    let files = Files::good().contract("      patient_id: text\n      visit_id", "      visit_id");
    assert_snapshot!(files.problems(), @"");
    let files = Files::good().contract("      patient_id: text\n", "      patient_id: int\n");
    assert_snapshot!(files.problems(), @"");
    let files = Files::good().contract("parent: patients", "parent: {columns: []}");
    assert_snapshot!(files.problems(), @"");
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
    assert_snapshot!(Files::good().with("pipeline.yaml", text).problems(), @"");
}

#[test]
fn indexes() {
    let files = Files::good().contract("[[name]]", "[[nam], [name, name], [name], [name], {columns: [name], unique: true}]");
    assert_snapshot!(files.problems(), @"");
}

#[test]
fn the_environment_works_in_values_and_is_not_shown() {
    let files = Files::good().contract("visit_date: date", "visit_date: \"${env:BAD}\"\n      b: ${env:NONE}\n      c: ${HOME}");
    assert_snapshot!(files.problems(), @"");
}
