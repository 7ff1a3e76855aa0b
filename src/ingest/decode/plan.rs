//! Prepares the declared schema for decoding: each field gets its path, formats are parsed, and names are indexed. The
//! plan does not change, and all decoding tasks share it.

use std::collections::HashMap;
use std::sync::Arc;

use super::rules::Rules;
use crate::error::{Error, Result};
use crate::model::scalar::Formats;
use crate::model::wording::path_step;
use crate::model::{Field, FieldType, From, Kind, References};

/// An object with more fields than this gets a hash map of their names. For fewer fields, comparing one by one is
/// faster.
const FEW_FIELDS: usize = 8;

/// The declared schema of a kind, prepared for decoding.
#[derive(Debug)]
pub(crate) struct Plan {
    pub root: Group,
    /// The paths of all objects. [`Group::id`] is the index.
    pub objects: Vec<Arc<str>>,
}

/// The declared fields of an object.
#[derive(Debug)]
pub(crate) struct Group {
    pub id: usize,
    pub path: Arc<str>,
    pub fields: Vec<Node>,
    by_name: Option<HashMap<String, usize>>,
    /// Names that are known and not stored: what tells the kind of a record need not be declared.
    aside: Vec<String>,
}

/// A declared field.
#[derive(Debug)]
pub(crate) struct Node {
    pub name: String,
    pub path: Arc<str>,
    pub required: bool,
    /// For a list: a value that is no list is its one element.
    pub one_or_many: bool,
    pub shape: Shape,
}

#[derive(Debug)]
pub(crate) enum Shape {
    Scalar(Scalar),
    Json,
    Struct(Group),
    List(Box<Node>),
}

#[derive(Debug)]
pub(crate) struct Scalar {
    pub kind: ScalarKind,
    pub from: Option<From>,
    pub rules: Option<Box<Rules>>,
}

#[derive(Debug)]
pub(crate) enum ScalarKind {
    String,
    Bool,
    Int,
    Bigint,
    Double,
    Decimal(u8, i8),
    Date(Formats),
    Timestamp(Formats),
    TimestampTz(Formats),
    /// A date or time of which only a part may be known.
    Partial(Box<ScalarKind>),
    Reference(References),
}

impl ScalarKind {
    /// The same kind of date or time, read as ISO 8601 writes it. Others are partial dates.
    pub fn in_iso(&self) -> Self {
        match self {
            Self::Timestamp(_) => Self::Timestamp(Formats::default()),
            Self::TimestampTz(_) => Self::TimestampTz(Formats::default()),
            _ => Self::Date(Formats::default()),
        }
    }
}

impl Plan {
    /// Prepares a kind's schema. A date format that is not valid is an error of the project.
    pub fn new(kind: &Kind) -> Result<Self> {
        let mut objects = Vec::new();
        let mut root = Group::new(&kind.schema, "$".into(), &mut objects)?;
        for condition in &kind.conditions {
            root.lay_aside(&condition.path);
        }
        Ok(Self { root, objects })
    }
}

impl Group {
    fn new(fields: &[Field], path: Arc<str>, objects: &mut Vec<Arc<str>>) -> Result<Self> {
        let id = objects.len();
        objects.push(Arc::clone(&path));
        let node = |field| Node::new(field, child_path(&path, field), objects);
        let fields: Vec<Node> = fields.iter().map(node).collect::<Result<_>>()?;
        let by_name = (fields.len() > FEW_FIELDS).then(|| {
            fields
                .iter()
                .enumerate()
                .map(|(index, field)| (field.name.clone(), index))
                .collect()
        });
        Ok(Self {
            id,
            path,
            fields,
            by_name,
            aside: Vec::new(),
        })
    }

    /// Notes a path that is known although it need not be declared.
    fn lay_aside(&mut self, path: &[String]) {
        let [name, inside @ ..] = path else { return };
        match self.find(name, 0) {
            None if inside.is_empty() => self.aside.push(name.clone()),
            None => {}
            Some(index) => {
                if let Shape::Struct(group) = &mut self.fields[index].shape {
                    group.lay_aside(inside);
                }
            }
        }
    }

    /// Whether a field that is not declared is known nevertheless.
    pub fn is_aside(&self, name: &str) -> bool {
        self.aside.iter().any(|aside| aside == name)
    }

    /// The index of the field with this name. `expected` is tried first, since most records have their fields in the
    /// same order.
    pub fn find(&self, name: &str, expected: usize) -> Option<usize> {
        if self.fields.get(expected).is_some_and(|field| field.name == name) {
            return Some(expected);
        }
        match &self.by_name {
            Some(index) => index.get(name).copied(),
            None => self.fields.iter().position(|field| field.name == name),
        }
    }
}

impl Node {
    fn new(field: &Field, path: Arc<str>, objects: &mut Vec<Arc<str>>) -> Result<Self> {
        let formats = |formats: &[String]| {
            Formats::parse(formats).map_err(|format| {
                Error::project(format!("`{format}` is no date format (field {path})"))
                    .hint("formats are chrono's, such as %d.%m.%Y")
            })
        };
        let kind = match field.field_type.whole() {
            FieldType::String => ScalarKind::String,
            FieldType::Bool => ScalarKind::Bool,
            FieldType::Int => ScalarKind::Int,
            FieldType::Bigint => ScalarKind::Bigint,
            FieldType::Double => ScalarKind::Double,
            FieldType::Decimal(precision, scale) => ScalarKind::Decimal(*precision, *scale),
            FieldType::Date(list) => ScalarKind::Date(formats(list)?),
            FieldType::Timestamp(list) => ScalarKind::Timestamp(formats(list)?),
            FieldType::TimestampTz(list) => ScalarKind::TimestampTz(formats(list)?.in_zone(field.rules.zone)),
            FieldType::Reference(references) => ScalarKind::Reference(references.clone()),
            FieldType::Partial(_) | FieldType::Json => return Ok(Self::of(field, path, Shape::Json)),
            FieldType::Struct(fields) => {
                let group = Group::new(fields, Arc::clone(&path), objects)?;
                return Ok(Self::of(field, path, Shape::Struct(group)));
            }
            FieldType::List(item) => {
                let item = Node::new(item, format!("{path}[]").into(), objects)?;
                return Ok(Self::of(field, path, Shape::List(Box::new(item))));
            }
        };
        let kind = match field.field_type {
            FieldType::Partial(_) => ScalarKind::Partial(Box::new(kind)),
            _ => kind,
        };
        let scalar = Scalar {
            kind,
            from: field.from,
            rules: Rules::new(&field.rules, field.required),
        };
        Ok(Self::of(field, path, Shape::Scalar(scalar)))
    }

    fn of(field: &Field, path: Arc<str>, shape: Shape) -> Self {
        Self {
            name: field.name.clone(),
            path,
            required: field.required,
            one_or_many: field.one_or_many,
            shape,
        }
    }

    /// The declared type, for messages.
    pub fn declared(&self) -> &'static str {
        match &self.shape {
            Shape::Json => "json",
            Shape::Struct(_) => "a struct",
            Shape::List(_) => "a list",
            Shape::Scalar(scalar) => match &scalar.kind {
                ScalarKind::String => "string",
                ScalarKind::Bool => "bool",
                ScalarKind::Int => "int",
                ScalarKind::Bigint => "bigint",
                ScalarKind::Double => "double",
                ScalarKind::Decimal(..) => "decimal",
                ScalarKind::Date(_) => "date",
                ScalarKind::Timestamp(_) => "timestamp",
                ScalarKind::TimestampTz(_) => "timestamptz",
                ScalarKind::Reference(_) => "reference",
                ScalarKind::Partial(whole) => match **whole {
                    ScalarKind::Date(_) => "partial date",
                    ScalarKind::Timestamp(_) => "partial timestamp",
                    _ => "partial timestamptz",
                },
            },
        }
    }
}

fn child_path(parent: &str, field: &Field) -> Arc<str> {
    path_step(parent, &field.name).into()
}
