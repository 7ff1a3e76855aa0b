//! Finds the field or column that is declared at a place in YAML.

use std::fmt::Write as _;
use std::path::Path;

use crate::error::Location;
use crate::lsp::words;
use crate::model::{Column, Entity, Field, FieldType, Kind, Project, Source};

/// What is declared at a place.
#[derive(Debug, Clone)]
pub(in crate::lsp) enum Declared<'a> {
    Field {
        source: &'a Source,
        field: &'a Field,
        /// As SQL reads it: `visits[].date`.
        path: String,
    },
    Column {
        entity: &'a Entity,
        column: &'a Column,
    },
}

impl Declared<'_> {
    pub fn location(&self) -> &Location {
        match self {
            Self::Field { field, .. } => &field.location,
            Self::Column { column, .. } => &column.location,
        }
    }
}

/// The fields or the column whose name stands at a line and column of a file, both counted in characters from 1. A field
/// of a shared file is one of each schema that uses the file.
pub(in crate::lsp) fn declared_at<'a>(
    project: &'a Project,
    file: &Path,
    line: usize,
    column: usize,
) -> Vec<Declared<'a>> {
    let holds = |location: &Location| {
        location.file == file
            && location.line == line
            && (location.column..=location.column + location.length).contains(&column)
    };
    for entity in &project.entities {
        if let Some(column) = entity.columns.iter().find(|column| holds(&column.location)) {
            return vec![Declared::Column { entity, column }];
        }
    }
    let mut declared = Vec::new();
    for source in &project.sources {
        for kind in &source.kinds {
            find(&kind.schema, "", &mut |field, path| {
                if holds(&field.location) {
                    declared.push(Declared::Field { source, field, path });
                }
            });
        }
    }
    declared
}

/// Shows all fields with their paths.
fn find<'a>(fields: &'a [Field], above: &str, see: &mut impl FnMut(&'a Field, String)) {
    for field in fields {
        let path = if above.is_empty() {
            field.name.clone()
        } else {
            format!("{above}.{}", field.name)
        };
        match &field.field_type {
            FieldType::Struct(children) => find(children, &path, see),
            FieldType::List(item) => {
                if let FieldType::Struct(children) = &item.field_type {
                    find(children, &format!("{path}[]"), see);
                }
            }
            _ => {}
        }
        see(field, path);
    }
}

/// All fields that are declared at a place, with their sources and kinds.
pub(in crate::lsp) fn fields_at<'a>(project: &'a Project, location: &Location) -> Vec<(&'a Source, &'a Kind, String)> {
    let mut found = Vec::new();
    for source in &project.sources {
        for kind in &source.kinds {
            find(&kind.schema, "", &mut |field, path| {
                if field.location == *location {
                    found.push((source, kind, path));
                }
            });
        }
    }
    found
}

/// Whether schemas use the fields of this file.
pub(in crate::lsp) fn is_shared(project: &Project, path: &Path) -> bool {
    project.sources.iter().any(|source| {
        let mut known = false;
        for kind in source.kinds.iter().filter(|_| source.location.file != path) {
            find(&kind.schema, "", &mut |field, _| known |= field.location.file == path);
        }
        known
    })
}

/// Whether sources use the kinds of this file.
pub(in crate::lsp) fn shares_kinds(project: &Project, path: &Path) -> bool {
    let others = project.sources.iter().filter(|source| source.location.file != path);
    others
        .flat_map(|source| &source.kinds)
        .any(|kind| kind.location.file == path)
}

/// What is shown of it. `filled` lists what the transforms fill a column from.
pub(in crate::lsp) fn described(declared: &Declared<'_>, filled: &[String]) -> String {
    match declared {
        Declared::Field { source, field, path } => words::field(Some(source), field, path),
        Declared::Column { entity, column } => {
            let mut text = words::column(entity, column);
            for from in filled {
                let _ = write!(text, "\n\n- {from}");
            }
            text
        }
    }
}
