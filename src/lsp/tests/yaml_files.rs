use serde_json::{Value, json};

use super::*;

fn offered(path: &str, text: &str, schema: &Value) -> String {
    let (text, offset) = marked(text);
    let (items, _) = yaml::completions(&SMALL.project, Path::new(path), &text, offset, schema);
    labels(items).join(" ")
}

/// What is offered by the schema of the kind of file that lies at a path.
fn really(path: &str, text: &str) -> String {
    offered(
        path,
        text,
        &yaml::kind_of(&SMALL.project, Path::new(path)).unwrap().schema(),
    )
}

#[test]
fn offers_names_that_only_the_project_knows() {
    let source = "pipelines/clinic.yaml";
    assert_eq!(
        offered(source, "subject: |", &json!({})),
        "Address.Zip Address.city born id"
    );
    assert_eq!(offered(source, "conserves:\n  visits: $\n  |", &json!({})), "people");
    assert_eq!(
        offered(source, "conserves:\n  visits: |", &json!({})),
        "$ visits[] visits[].codes[] visits[].tags[]"
    );
    assert_eq!(
        offered(source, "schema:\n  a: {mask: hash, domain: |}", &json!({})),
        "person"
    );
    let contract = "pipeline.yaml";
    assert_eq!(
        offered(contract, "entities:\n  visits:\n    parent: |", &json!({})),
        "people visits"
    );
    assert_eq!(
        offered(contract, "entities:\n  people:\n    key: [|]", &json!({})),
        "born person_id"
    );
    assert_eq!(
        offered(
            contract,
            "entities:\n  people:\n    indexes:\n      - [born, |]",
            &json!({})
        ),
        "born person_id"
    );
}

#[test]
fn offers_the_keys_and_values_of_the_schema() {
    let schema = json!({"properties": {
        "name": {"type": "string"},
        "schema": {"additionalProperties": {"properties": {"mask": {"enum": ["hash", "year"]}, "type": {}}}},
    }});
    assert_eq!(offered("pipelines/new.yaml", "name: a\n|", &schema), "schema");
    assert_eq!(
        offered("pipelines/new.yaml", "schema:\n  a: {type: x, |", &schema),
        "mask"
    );
    assert_eq!(
        offered("pipelines/new.yaml", "schema:\n  a:\n    mask: y|", &schema),
        "hash year"
    );
}

fn shown(file: &str, line: usize, column: usize) -> String {
    let declared = yaml::declared_at(&SMALL.project, Path::new(file), line, column);
    declared
        .first()
        .map_or_else(String::new, |declared| yaml::described(declared, &[]))
}

#[test]
fn shows_what_is_declared() {
    assert!(shown("pipelines/clinic.yaml", 11, 8).starts_with("`visits[].date`: date (field of clinic)"));
    assert!(shown("pipelines/clinic.yaml", 7, 24).starts_with("`Address.Zip`: string"));
    assert!(shown("pipeline.yaml", 5, 7).starts_with("`people.person_id`: text, not null, part of the key"));
    assert_eq!(shown("pipelines/clinic.yaml", 1, 1), "");
}

#[test]
fn offers_what_the_readers_take() {
    let source = "pipelines/clinic.yaml";
    assert!(
        really(source, "name: a\n|").contains("on_unknown_field"),
        "{}",
        really(source, "name: a\n|")
    );
    assert!(!really(source, "name: a\n|").split(' ').any(|key| key == "name"));
    assert_eq!(
        really(source, "schema:\n  a: {type: string, phi: |}"),
        "contact date free_text geo identifier name none quasi"
    );
    let types = really(source, "schema:\n  visits:\n    list:\n      at: |");
    assert!(types.split(' ').any(|name| name == "timestamptz"), "{types}");
    let options = really(source, "schema:\n  visits:\n    list:\n      at:\n        |");
    assert!(options.contains("precision"), "{options}");
    assert!(really("pipeline.yaml", "entities:\n  visits:\n    |").contains("parent"));
    assert!(really("sql/clinic/tests/a.yaml", "tests:\n  - |").contains("records"));
    assert!(yaml::kind_of(&SMALL.project, Path::new("docker-compose.yaml")).is_none());
}

#[test]
fn a_file_of_shared_fields_is_one_of_fields() {
    let shared = "schemas/name.yaml";
    assert!(really(shared, "family: {type: string, |").contains("mask"));
    assert_eq!(really(shared, "family: {type: string, domain: |}"), "person");
    assert!(really(shared, "family: |").split(' ').any(|name| name == "timestamptz"));
}
