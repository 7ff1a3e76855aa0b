//! Finds the field or column that is declared at a place in YAML.

use std::fmt::Write as _;
use std::path::Path;

use crate::error::Location;
use crate::lsp::words;
use crate::model::{Column, Entity, Field, FieldType, Project, Source};

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

/// The field or column whose name stands at a line and column of a file, both counted in characters from 1.
pub(in crate::lsp) fn declared_at<'a>(
    project: &'a Project,
    file: &Path,
    line: usize,
    column: usize,
) -> Option<Declared<'a>> {
    let holds = |location: &Location| {
        location.file == file
            && location.line == line
            && (location.column..=location.column + location.length).contains(&column)
    };
    for entity in &project.entities {
        if let Some(column) = entity.columns.iter().find(|column| holds(&column.location)) {
            return Some(Declared::Column { entity, column });
        }
    }
    project.sources.iter().find_map(|source| {
        let (field, path) = source.kinds.iter().find_map(|kind| find(&kind.schema, "", &holds))?;
        Some(Declared::Field { source, field, path })
    })
}

fn find<'a>(fields: &'a [Field], above: &str, holds: &impl Fn(&Location) -> bool) -> Option<(&'a Field, String)> {
    fields.iter().find_map(|field| {
        let path = if above.is_empty() {
            field.name.clone()
        } else {
            format!("{above}.{}", field.name)
        };
        if holds(&field.location) {
            return Some((field, path));
        }
        match &field.field_type {
            FieldType::Struct(children) => find(children, &path, holds),
            FieldType::List(item) => match &item.field_type {
                FieldType::Struct(children) => find(children, &format!("{path}[]"), holds),
                _ => None,
            },
            _ => None,
        }
    })
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
