//! Reads from a JSON Schema (draft 7) which keys and values may stand at a place. It knows the words that the project's own
//! schemas use, and not all of the standard.

use serde_json::Value;

/// A key or value that may stand at a place, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub text: String,
    pub about: String,
}

/// References within references are followed so far.
const DEEPEST: usize = 12;

/// The keys that may stand below a path. An element of a list is `[]` in it.
pub(super) fn keys(schema: &Value, path: &[String]) -> Vec<Choice> {
    let mut found: Vec<Choice> = Vec::new();
    for part in at(schema, path) {
        for (name, of) in part["properties"].as_object().into_iter().flatten() {
            let known = found.iter().any(|choice| choice.text == *name);
            if !known {
                found.push(Choice {
                    text: name.clone(),
                    about: of["description"].as_str().unwrap_or_default().to_owned(),
                });
            }
        }
    }
    found
}

/// The values that may stand at a path.
pub(super) fn values(schema: &Value, path: &[String]) -> Vec<Choice> {
    let mut found: Vec<Choice> = Vec::new();
    let mut push = |text: String| {
        let choice = Choice {
            text,
            about: String::new(),
        };
        if !found.contains(&choice) {
            found.push(choice);
        }
    };
    for part in at(schema, path) {
        let named = part["enum"].as_array().into_iter().flatten().chain(part.get("const"));
        named.for_each(|value| push(value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        if part["type"] == "boolean" {
            push("true".to_owned());
            push("false".to_owned());
        }
    }
    found
}

/// All schemas that hold at a path.
fn at<'s>(schema: &'s Value, path: &[String]) -> Vec<&'s Value> {
    let mut here = Vec::new();
    expand(schema, schema, 0, &mut here);
    for step in path {
        let mut below = Vec::new();
        for part in here {
            let next = if step == "[]" {
                part.get("items")
            } else {
                let declared = part["properties"].get(step);
                declared.or_else(|| part.get("additionalProperties").filter(|any| any.is_object()))
            };
            if let Some(next) = next {
                expand(schema, next, 0, &mut below);
            }
        }
        here = below;
    }
    here
}

/// A schema and those that it refers to.
fn expand<'s>(root: &'s Value, schema: &'s Value, depth: usize, found: &mut Vec<&'s Value>) {
    if depth > DEEPEST {
        return;
    }
    found.push(schema);
    let named = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#'));
    if let Some(target) = named.and_then(|name| root.pointer(name)) {
        expand(root, target, depth + 1, found);
    }
    for word in ["allOf", "anyOf", "oneOf"] {
        for part in schema[word].as_array().into_iter().flatten() {
            expand(root, part, depth + 1, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(choices: Vec<Choice>) -> String {
        choices
            .into_iter()
            .map(|choice| choice.text)
            .collect::<Vec<_>>()
            .join(",")
    }

    fn path(text: &str) -> Vec<String> {
        text.split('/')
            .filter(|step| !step.is_empty())
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn follows_names_references_and_lists() {
        let schema = json!({
            "properties": {
                "name": {"type": "string", "description": "Its name."},
                "schema": {"additionalProperties": {"$ref": "#/definitions/field"}},
                "checks": {"items": {"oneOf": [{"properties": {"range": {}}}, {"properties": {"unique": {"type": "boolean"}}}]}},
            },
            "additionalProperties": false,
            "definitions": {"field": {"anyOf": [
                {"enum": ["string", "date"]},
                {"properties": {"mask": {"allOf": [{"enum": ["hash", "null"]}]}, "list": {"$ref": "#/definitions/field"}}},
            ]}},
        });
        assert_eq!(texts(keys(&schema, &[])), "checks,name,schema");
        assert_eq!(keys(&schema, &[])[1].about, "Its name.");
        assert_eq!(texts(values(&schema, &path("schema/id"))), "string,date");
        assert_eq!(texts(keys(&schema, &path("schema/id"))), "list,mask");
        assert_eq!(texts(values(&schema, &path("schema/id/list/mask"))), "hash,null");
        assert_eq!(texts(keys(&schema, &path("checks/[]"))), "range,unique");
        assert_eq!(texts(values(&schema, &path("checks/[]/unique"))), "true,false");
        assert_eq!(texts(keys(&schema, &path("nothing/here"))), "");
    }
}
