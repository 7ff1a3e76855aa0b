//! Reads `conserves:` of a source. It names the list elements for which an entity must have exactly one row each. The
//! paths are looked up in the schema here. The conditions are SQL and are planned with the transforms. Rows are counted
//! elsewhere.

use std::fmt::Write as _;

use super::keys::{Keys, NameOf, Shape, key, required};
use super::mapping::{Context, Mapping, Text, entry_text};
use super::problems::Problems;
use super::record_path;
use super::yaml::{Entry, Value};
use crate::model::wording::{all_of, did_you_mean};
use crate::model::{Conserved, ElementFilter, Field, FieldType, RecordPath, RecordStep, Source, Transform};

/// The value of `conserves`.
pub(super) const SHAPE: Shape = Shape::Named(NameOf::Entity, 0, &Shape::Any(&[Shape::Text, Shape::Options(&KEYS)]));

static KEYS: Keys = Keys::of(&[
    required(
        "path",
        Shape::Text,
        "The list whose elements are counted, such as visits[].diagnoses[]; `$` stands for the records.",
    ),
    key(
        "where",
        Shape::Text,
        "A predicate in DataFusion's SQL over the fields of an element. Only elements for which it is true count.",
    ),
]);
const HINT: &str = "write it like visits[].diagnoses[]; `$` stands for the records themselves";

/// Why a path can't be used, and how to correct it.
type Bad = (String, String);

/// Reads, for example,
/// `conserves: {patients: $, visits: "visits[]", diagnoses: {path: "visits[].diagnoses[]", where: code is not null}}`.
///
/// `kind` is the index of the kind that has this schema.
pub(super) fn read(ctx: &mut Context<'_>, entry: &Entry, schema: &[Field], kind: usize) -> Vec<Conserved> {
    let Some(entities) = Mapping::of_names(ctx, "`conserves`", entry.key.span, &entry.value) else {
        return Vec::new();
    };
    let entities = entities.entries().iter();
    entities.filter_map(|entry| one(ctx, entry, schema, kind)).collect()
}

fn one(ctx: &mut Context<'_>, entry: &Entry, schema: &[Field], kind: usize) -> Option<Conserved> {
    let (path, filter) = if let Value::Map(_) = entry.value.value {
        let what = format!("`{}`", entry.key.text);
        let options = Mapping::of_options(ctx, &what, entry.key.span, &entry.value, &KEYS)?;
        let filter = options.text(ctx, "where").map(|text| ElementFilter {
            location: ctx.location(text.span),
            sql: text.value,
        });
        let path = options.required(ctx, "path", "path: visits[].diagnoses[]")?;
        (entry_text(ctx, path)?, filter)
    } else {
        (entry_text(ctx, entry)?, None)
    };
    let steps = match parse(&path) {
        Ok(steps) => steps,
        Err((message, hint)) => {
            ctx.problem_of(&path, &message, &hint);
            return None;
        }
    };
    if let Err((message, hint)) = look_up(&steps, schema) {
        ctx.link_problem(path.span, message, hint);
        return None;
    }
    Some(Conserved {
        entity: entry.key.text.clone(),
        kind,
        shown: shown(&steps),
        path: RecordPath(steps),
        filter,
        location: ctx.location(entry.key.span),
    })
}

/// Parses a record path. The leading `$.` is optional.
fn parse(text: &Text<'_>) -> Result<Vec<RecordStep>, Bad> {
    let written = &text.value;
    let whole = match written.chars().next() {
        Some('$') => written.clone(),
        Some('[') => format!("${written}"),
        _ => format!("$.{written}"),
    };
    let bad = |error: record_path::BadRecordPath| {
        let message = format!("`{written}` is no path to a list: {}", error.reason);
        (message, HINT.to_owned())
    };
    record_path::parse(&whole).map(|path| path.0).map_err(bad)
}

/// Checks that the path leads to the elements of a declared list.
fn look_up(steps: &[RecordStep], schema: &[Field]) -> Result<(), Bad> {
    if schema.is_empty() {
        // The problems of the schema are already reported.
        return Ok(());
    }
    let mut here: Option<&FieldType> = None;
    for (at, step) in steps.iter().enumerate() {
        let so_far = shown(&steps[..at]);
        here = Some(match (step, here) {
            (RecordStep::Key(name), None) => field(name, schema, "the schema")?,
            (RecordStep::Key(name), Some(FieldType::Struct(fields))) => field(name, fields, &format!("`{so_far}`"))?,
            (RecordStep::Key(_), Some(FieldType::List(_))) => return Err(no_element(&so_far)),
            (RecordStep::Each, Some(FieldType::List(element))) => &element.field_type,
            (RecordStep::Key(_), Some(_)) => {
                return Err((format!("`{so_far}` is no struct, so it has no fields"), HINT.to_owned()));
            }
            (RecordStep::Each, _) => return Err((format!("`{so_far}` is no list"), HINT.to_owned())),
        });
    }
    match (steps.last(), here) {
        (Some(RecordStep::Key(_)), Some(FieldType::List(_))) => Err(no_element(&shown(steps))),
        (Some(RecordStep::Key(_)), _) => Err((format!("`{}` is no list", shown(steps)), HINT.to_owned())),
        _ => Ok(()),
    }
}

fn no_element(list: &str) -> Bad {
    (
        format!("`{list}` is a list, not the elements of one"),
        format!("write `{list}[]`"),
    )
}

fn field<'a>(name: &str, fields: &'a [Field], of: &str) -> Result<&'a FieldType, Bad> {
    let found = fields.iter().find(|field| field.name == name);
    found.map(|field| &field.field_type).ok_or_else(|| {
        let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let hint =
            did_you_mean(name, known.iter().copied()).unwrap_or_else(|| format!("its fields are {}", all_of(&known)));
        (format!("{of} has no field `{name}`"), hint)
    })
}

/// The path as the user would write it: `visits[].diagnoses[]`, `['odd key'][]`, or `$` for an empty path.
fn shown(steps: &[RecordStep]) -> String {
    if steps.is_empty() {
        return "$".to_owned();
    }
    let mut text = String::new();
    for step in steps {
        match step {
            RecordStep::Each => text.push_str("[]"),
            RecordStep::Key(name) if name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.is_empty() => {
                let dot = if text.is_empty() { "" } else { "." };
                let _ = write!(text, "{dot}{name}");
            }
            RecordStep::Key(name) => {
                let _ = write!(text, "['{}']", name.replace('\\', r"\\").replace('\'', r"\'"));
            }
        }
    }
    text
}

/// Checks that the source has a transform for each entity that `conserves` and `max_quarantined` name.
pub(super) fn check_entities(source: &Source, transforms: &[Transform], entities: &[String], problems: &mut Problems) {
    // If there is no SQL file or no entity at all, that problem is already reported.
    if transforms.is_empty() || entities.is_empty() {
        return;
    }
    let conserved = source.conserves.iter().map(|one| (&one.entity, &one.location));
    let limited = source.max_quarantined_of.iter().map(|one| (&one.entity, &one.location));
    for (entity, location) in conserved.chain(limited) {
        if transforms.iter().any(|transform| transform.entity == *entity) {
            continue;
        }
        let (message, hint) = if entities.contains(entity) {
            let message = format!("`{}` brings no rows to `{entity}`", source.name);
            (message, "take it out, or write the transform".to_owned())
        } else {
            let known: Vec<&str> = entities.iter().map(String::as_str).collect();
            let hint = did_you_mean(entity, known.iter().copied())
                .unwrap_or_else(|| format!("the entities are {}", all_of(&known)));
            (format!("`{entity}` is no entity"), hint)
        };
        problems.add_link(Some(location.clone()), message, Some(hint));
    }
}
