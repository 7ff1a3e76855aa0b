//! Completions in YAML: the keys and values that the file's JSON Schema has at a place, and the names that only the project
//! knows, such as those of entities and columns.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::cursor::{Cursor, cursor_at};
use super::names::{is_shared, shares_kinds};
use super::schema;
use crate::lsp::protocol::{Item, ItemKind};
use crate::model::scalar_field::scalar_fields;
use crate::model::{Field, FieldType, Kind, Project, Source};
use crate::project::YamlKind;

/// What could stand at a byte of a YAML file, and the byte from which on it takes the place of what is typed.
pub(in crate::lsp) fn completions(
    project: &Project,
    path: &Path,
    text: &str,
    offset: usize,
    known: &Value,
) -> (Vec<Item>, usize) {
    let cursor = cursor_at(text, offset);
    let mut items = Vec::new();
    if cursor.is_value || cursor.path.last().is_some_and(|last| last == "[]") {
        let of_schema = schema::values(known, &cursor.path);
        items.extend(
            of_schema
                .into_iter()
                .map(|choice| Item::new(choice.text, ItemKind::Value)),
        );
        let names = values(project, path, &cursor);
        items.extend(names.into_iter().map(|name| Item::new(name, ItemKind::Value)));
    }
    if !cursor.is_value {
        let of_schema = schema::keys(known, &cursor.path);
        let own = keys(project, path, &cursor).into_iter().map(|text| schema::Choice {
            text,
            about: String::new(),
        });
        let new = of_schema
            .into_iter()
            .chain(own)
            .filter(|choice| !cursor.beside.contains(&choice.text));
        items.extend(new.map(|choice| Item {
            insert: format!("{}: ", choice.text),
            markdown: choice.about,
            ..Item::new(choice.text, ItemKind::Property)
        }));
    }
    (items, cursor.start)
}

/// The kind of the file at a path, which is relative to the project.
pub(in crate::lsp) fn kind_of(project: &Project, path: &Path) -> Option<YamlKind> {
    let folder = path.parent()?;
    if path == Path::new("pipeline.yaml") {
        Some(YamlKind::Project)
    } else if folder == Path::new("pipelines") {
        Some(YamlKind::Source)
    } else if folder.ends_with("tests") {
        Some(YamlKind::Tests)
    } else if shares_kinds(project, path) {
        Some(YamlKind::Kinds)
    } else if is_shared(project, path) || folder == Path::new("schemas") {
        // A file that is new is used by no schema yet.
        Some(YamlKind::Fields)
    } else {
        None
    }
}

fn source_at<'a>(project: &'a Project, path: &Path) -> Option<&'a Source> {
    project.sources.iter().find(|source| source.location.file == path)
}

/// Names that may be keys: entities, where a source says something of each.
fn keys(project: &Project, path: &Path, cursor: &Cursor) -> Vec<String> {
    let of_entities = ["conserves", "checks"].iter().any(|key| cursor.path == [*key]);
    if source_at(project, path).is_some() && of_entities {
        project.entities.iter().map(|entity| entity.name.clone()).collect()
    } else {
        Vec::new()
    }
}

/// Names that may be values.
fn values(project: &Project, path: &Path, cursor: &Cursor) -> Vec<String> {
    let steps: Vec<&str> = cursor.path.iter().map(String::as_str).collect();
    let columns = |entity: &str| {
        let entity = project.entities.iter().find(|known| known.name == entity);
        let columns = entity.into_iter().flat_map(|entity| &entity.columns);
        columns.map(|column| column.name.clone()).collect()
    };
    match (source_at(project, path), &steps[..]) {
        (Some(source), ["subject"] | ["kinds", _, "subject"]) => kinds(source, &steps)
            .flat_map(scalar_fields)
            .map(|field| field.path)
            .filter(|path| !path.contains("[]"))
            .collect(),
        (Some(source), ["conserves", _] | ["kinds", _, "conserves", _]) => {
            let mut paths = vec!["$".to_owned()];
            for kind in kinds(source, &steps) {
                lists(&kind.schema, "", &mut paths);
            }
            paths
        }
        (Some(_), ["schema", .., "domain"] | ["kinds", _, "schema", .., "domain"]) | (None, [.., "domain"])
            if kind_of(project, path) != Some(YamlKind::Tests) =>
        {
            let kinds = project.sources.iter().flat_map(|source| &source.kinds);
            let domains = kinds.flat_map(scalar_fields);
            let domains: BTreeSet<String> = domains.filter_map(|field| field.privacy.domain.clone()).collect();
            domains.into_iter().collect()
        }
        (None, ["entities", _, "parent"]) => project.entities.iter().map(|entity| entity.name.clone()).collect(),
        (None, ["entities", entity, "key" | "indexes", .., "[]"])
        | (Some(_), ["checks", entity, .., "[]" | "column"]) => columns(entity),
        _ => Vec::new(),
    }
}

/// The kinds of which a place speaks: the one whose name is on the way to it, or that of a source without kinds.
fn kinds<'a>(source: &'a Source, steps: &'a [&str]) -> impl Iterator<Item = &'a Kind> {
    let named = match steps {
        ["kinds", name, ..] => Some(*name),
        _ => None,
    };
    source
        .kinds
        .iter()
        .filter(move |kind| named.is_none_or(|name| kind.name == name))
}

/// The paths of the lists in a schema, as `conserves` takes them.
fn lists(fields: &[Field], above: &str, paths: &mut Vec<String>) {
    for field in fields {
        let path = if above.is_empty() {
            field.name.clone()
        } else {
            format!("{above}.{}", field.name)
        };
        match &field.field_type {
            FieldType::Struct(children) => lists(children, &path, paths),
            FieldType::List(item) => {
                let path = format!("{path}[]");
                paths.push(path.clone());
                if let FieldType::Struct(children) = &item.field_type {
                    lists(children, &path, paths);
                }
            }
            _ => {}
        }
    }
}
