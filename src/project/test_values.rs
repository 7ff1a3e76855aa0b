//! The values in test cases: records, which become JSON, and the cells of expected rows.
//!
//! A value in YAML becomes the same kind of value in JSON: a text a string, a number a number. So a case can also show
//! what becomes of a value of the wrong kind.

use super::mapping::{Context, Mapping};
use super::yaml::{Entry, Node, Span, Value};
use crate::model::wording::{all_of, did_you_mean};
use crate::model::{Condition, ExpectedCell, Field, FieldType, Kind, PgType, Source};

/// A record as JSON on one line. A text stands for the bytes of a record, for one that is no valid JSON. Reports
/// fields that the source does not declare.
///
/// `kind` is the kind of the record where that is known.
pub(super) fn record(
    ctx: &mut Context<'_>,
    source: &Source,
    kind: Option<&Kind>,
    node: &Node,
    list: Span,
) -> Option<String> {
    let mut json = String::new();
    match &node.value {
        Value::Text(text) => json = text.replace(['\n', '\r'], " "),
        Value::Map(_) => {
            let kind = kind.or_else(|| kind_of(ctx, source, node));
            // What becomes of a record of no kind is seen when the case runs.
            object(ctx, node, list, kind.map(|kind| &kind.schema[..]), kind, &mut json)?;
        }
        other => {
            let message = format!("a record must be a mapping, not {}", other.kind());
            let hint = "write its fields, or its bytes as a text".to_owned();
            ctx.problem(list, message, hint);
            return None;
        }
    }
    Some(json)
}

/// The kind of a record, by the values that its conditions name.
fn kind_of<'s>(ctx: &mut Context<'_>, source: &'s Source, node: &Node) -> Option<&'s Kind> {
    let mut holds = |condition: &Condition| {
        let found = condition.path.iter().try_fold(node, |node, name| match &node.value {
            Value::Map(entries) => entries
                .iter()
                .find(|entry| entry.key.text == *name)
                .map(|entry| &entry.value),
            _ => None,
        });
        let text = match found.map(|node| (&node.value, node.span)) {
            Some((Value::Text(text), _)) => Some(text.clone()),
            Some((Value::Bool(value), _)) => Some(value.to_string()),
            Some((Value::Number, span)) => Some(ctx.document.written(span)),
            _ => None,
        };
        text.is_some_and(|text| condition.values.contains(&text))
    };
    source.kinds.iter().find(|kind| kind.conditions.iter().all(&mut holds))
}

/// A mapping as a JSON object. `fields` are the fields that it may have; `None` is any. `kind` is that of a record,
/// whose conditions may name fields that it does not declare.
fn object(
    ctx: &mut Context<'_>,
    node: &Node,
    at: Span,
    fields: Option<&[Field]>,
    kind: Option<&Kind>,
    json: &mut String,
) -> Option<()> {
    let mapping = Mapping::of_names(ctx, "an object", at, node)?;
    json.push('{');
    for (nth, entry) in mapping.entries().iter().enumerate() {
        let name = &entry.key.text;
        let field = fields.map(|fields| fields.iter().find(|field| field.name == *name));
        let tells = |kind: &Kind| {
            kind.conditions
                .iter()
                .any(|condition| condition.path[..1] == [name.clone()])
        };
        if matches!(field, Some(None)) && !kind.is_some_and(tells) {
            let known: Vec<&str> = fields
                .unwrap_or_default()
                .iter()
                .map(|field| field.name.as_str())
                .collect();
            let hint =
                did_you_mean(name, known.iter().copied()).unwrap_or_else(|| format!("it declares {}", all_of(&known)));
            ctx.problem(
                entry.key.span,
                format!("the source declares no field `{name}` here"),
                hint,
            );
        }
        if nth > 0 {
            json.push(',');
        }
        json.push_str(&quoted(name));
        json.push(':');
        value(
            ctx,
            &entry.value,
            entry.place(),
            field.flatten().map(|field| &field.field_type),
            json,
        );
    }
    json.push('}');
    Some(())
}

/// Appends a value as JSON.
fn value(ctx: &mut Context<'_>, node: &Node, at: Span, kind: Option<&FieldType>, json: &mut String) {
    match (&node.value, kind) {
        (Value::Null, _) => json.push_str("null"),
        (Value::Bool(value), _) => json.push_str(if *value { "true" } else { "false" }),
        (Value::Text(text), _) => json.push_str(&quoted(text)),
        (Value::Number, _) => json.push_str(&number(ctx, node.span)),
        (Value::List(nodes), kind) => {
            let element = match kind {
                Some(FieldType::List(element)) => Some(&element.field_type),
                _ => None,
            };
            json.push('[');
            for (nth, node) in nodes.iter().enumerate() {
                if nth > 0 {
                    json.push(',');
                }
                value(ctx, node, at, element, json);
            }
            json.push(']');
        }
        (Value::Map(_), Some(FieldType::Struct(fields))) => drop(object(ctx, node, at, Some(fields), None, json)),
        (Value::Map(_), _) => drop(object(ctx, node, at, None, None, json)),
    }
}

/// The digits of a number, as they are written.
fn number(ctx: &mut Context<'_>, span: Span) -> String {
    let written = ctx.document.written(span);
    let is_number = serde_json::from_str::<serde_json::Value>(&written).is_ok_and(|value| value.is_number());
    if is_number {
        return written;
    }
    let hint = "write its digits, or put it in quotes if it is a text".to_owned();
    ctx.problem(span, "JSON has no such number", hint);
    "0".to_owned()
}

/// A text as a JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A cell of an expected row.
pub(super) fn cell(ctx: &mut Context<'_>, entry: &Entry, pg: PgType) -> Option<ExpectedCell> {
    let node = &entry.value;
    match (&node.value, pg) {
        (Value::Null, _) => Some(ExpectedCell::Null),
        (Value::List(_) | Value::Map(_) | Value::Number | Value::Bool(_), PgType::Jsonb) => {
            let mut json = String::new();
            value(ctx, node, entry.place(), None, &mut json);
            Some(ExpectedCell::Json(json))
        }
        (Value::Text(text), _) => Some(ExpectedCell::Text(text.clone())),
        (Value::Number, _) => Some(ExpectedCell::Text(ctx.document.written(node.span))),
        (Value::Bool(value), _) => Some(ExpectedCell::Text(value.to_string())),
        (Value::List(nodes), PgType::TextArray) => {
            let elements = nodes.iter().map(|node| match &node.value {
                Value::Null => Some(None),
                Value::Text(text) => Some(Some(text.clone())),
                Value::Number => Some(Some(ctx.document.written(node.span))),
                Value::Bool(value) => Some(Some(value.to_string())),
                Value::List(_) | Value::Map(_) => None,
            });
            let elements: Option<Vec<_>> = elements.collect();
            if elements.is_none() {
                ctx.problem(
                    entry.place(),
                    "an element must be a text",
                    "write texts: [a, b]".to_owned(),
                );
            }
            elements.map(ExpectedCell::List)
        }
        (other, _) => {
            let message = format!("`{}` must be one value, not {}", entry.key.text, other.kind());
            ctx.problem(entry.place(), message, "write a text, a number or null".to_owned());
            None
        }
    }
}
