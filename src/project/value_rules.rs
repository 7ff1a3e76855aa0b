//! Reads the rules for the values of a scalar field: how a text is normalised, and what a value must match. It decides
//! which type may have which rule. `ingest` applies the rules to every value, before any mask.

use regex::Regex;

use super::keys::{Group, Keys, Shape, key, names};
use super::mapping::{Context, Mapping, Text, entry_text, node_scalar, node_text};
use super::yaml::{Entry, Node, Span, Value};
use crate::model::wording::{did_you_mean, one_of};
use crate::model::{Bounds, Field, FieldType, From, Literal, Normalize, Nulls, normalized};

/// The keys of a field that are read here.
pub(super) const KEYS: [&str; 6] = ["normalize", "nulls", "matches", "length", "accepted_values", "range"];

/// The value of `normalize`.
pub(super) const NORMALIZE: Shape = Shape::Any(&[STEP, Shape::List(1, &STEP)]);
/// The value of `length`.
pub(super) const LENGTH: Shape = Shape::Any(&[Shape::Whole(0), Shape::Options(&LENGTH_KEYS)]);
/// The value of `range`.
pub(super) const RANGE: Shape = Shape::Options(&RANGE_KEYS);

const STEP: Shape = Shape::Any(&[Shape::OneOf(|| names(&STEPS)), Shape::Options(&STRIP_KEYS)]);
static STRIP_KEYS: Keys = Keys::of(&[
    key(
        "strip_prefix",
        Shape::Text,
        "Removes this text at the start once, if it is there.",
    ),
    key(
        "strip_suffix",
        Shape::Text,
        "Removes this text at the end once, if it is there.",
    ),
])
.group(Group::One(&["strip_prefix", "strip_suffix"]));
static LENGTH_KEYS: Keys = Keys::of(&[
    key("min", Shape::Whole(0), "The least number of characters."),
    key("max", Shape::Whole(0), "The greatest number of characters."),
])
.group(Group::Some(&["min", "max"]));
static RANGE_KEYS: Keys = Keys::of(&[
    key("min", Shape::Scalar, "The least value that is accepted."),
    key("max", Shape::Scalar, "The greatest value that is accepted."),
])
.group(Group::Some(&["min", "max"]));
/// Steps that are written as a single word.
const STEPS: [(&str, Normalize); 7] = [
    ("trim", Normalize::Trim),
    ("collapse_spaces", Normalize::CollapseSpaces),
    ("nfc", Normalize::Nfc),
    ("nfkc", Normalize::Nfkc),
    ("upper", Normalize::Upper),
    ("lower", Normalize::Lower),
    ("empty_as_null", Normalize::EmptyAsNull),
];

/// Reads the rules of a scalar field. Its type and `from` must be known already.
pub(super) fn read(ctx: &mut Context<'_>, options: &Mapping<'_>, field: &mut Field) {
    let mut rules = std::mem::take(&mut field.rules);
    for entry in KEYS.iter().filter_map(|key| options.get(key)) {
        if !may_have(ctx, entry, field) {
            continue;
        }
        match entry.key.text.as_str() {
            "normalize" => rules.normalize = read_steps(ctx, entry),
            "nulls" => rules.nulls = read_nulls(ctx, entry, field, &rules.normalize),
            "matches" => rules.matches = read_pattern(ctx, entry),
            "length" => rules.length = read_length(ctx, entry),
            "accepted_values" => rules.accepted_values = read_values(ctx, entry, &field.field_type, &rules.normalize),
            _ => rules.range = read_range(ctx, entry, &field.field_type),
        }
    }
    field.rules = rules;
}

fn may_have(ctx: &mut Context<'_>, entry: &Entry, field: &Field) -> bool {
    use FieldType as F;
    let key = entry.key.text.as_str();
    let (fits, hint) = match key {
        "matches" | "length" => {
            let hint = match field.field_type.whole() {
                F::Int | F::Bigint | F::Double | F::Decimal(..) | F::Date(_) | F::Timestamp(_) | F::TimestampTz(_) => {
                    "it is for strings; numbers, dates and times have `range` and `accepted_values`"
                }
                _ => "it is for strings",
            };
            (matches!(field.field_type, F::String), hint)
        }
        "normalize" => (
            match field.field_type.whole() {
                F::String | F::Date(_) | F::Timestamp(_) | F::TimestampTz(_) | F::Reference(_) => true,
                _ => matches!(field.from, Some(From::String | From::Either)),
            },
            "it is for what comes as text: strings, dates, times, references, and numbers with `from: string`",
        ),
        "range" => {
            let hint = match field.field_type {
                F::String => "it is for numbers, dates and times; strings have `matches`, `length`, `accepted_values`",
                _ => "it is for numbers, dates and times",
            };
            let ordered = matches!(
                field.field_type.whole(),
                F::Int | F::Bigint | F::Double | F::Decimal(..) | F::Date(_) | F::Timestamp(_) | F::TimestampTz(_)
            );
            (ordered, hint)
        }
        "accepted_values" if matches!(field.field_type, F::Reference(_)) => {
            (false, "name the types that it may refer to: `to: [Patient, Group]`")
        }
        _ => (
            !matches!(field.field_type, F::Json | F::Struct(_) | F::List(_)),
            "it is for scalar types",
        ),
    };
    if !fits {
        let message = format!("`{key}` is nothing for {}", field.field_type.kind());
        ctx.problem(entry.key.span, message, hint.to_owned());
    }
    fits
}

/// Reads `normalize: trim` or `normalize: [trim, {strip_prefix: "Patient/"}]`.
fn read_steps(ctx: &mut Context<'_>, entry: &Entry) -> Vec<Normalize> {
    let Value::List(nodes) = &entry.value.value else {
        return read_step(ctx, entry.place(), &entry.value).into_iter().collect();
    };
    if nodes.is_empty() {
        ctx.problem(entry.key.span, "`normalize` names no step", "leave it out".to_owned());
    }
    let at = |node: &Node| match node.value {
        Value::Map(_) | Value::List(_) => entry.key.span,
        _ if node.span.length == 0 => entry.key.span,
        _ => node.span,
    };
    nodes.iter().filter_map(|node| read_step(ctx, at(node), node)).collect()
}

fn read_step(ctx: &mut Context<'_>, at: Span, node: &Node) -> Option<Normalize> {
    if let Value::Map(_) = node.value {
        let options = Mapping::of_options(ctx, "a step of `normalize`", at, node, &STRIP_KEYS)?;
        let [entry] = options.entries() else {
            let hint = "make a list of steps: [{strip_prefix: a}, {strip_suffix: b}]".to_owned();
            ctx.problem(at, "a step of `normalize` has one key", hint);
            return None;
        };
        let text = entry_text(ctx, entry)?;
        if text.value.is_empty() {
            let message = format!("`{}` of nothing", entry.key.text);
            ctx.problem(entry.key.span, message, "name the text to strip".to_owned());
            return None;
        }
        return match entry.key.text.as_str() {
            "strip_prefix" => Some(Normalize::StripPrefix(text.value)),
            "strip_suffix" => Some(Normalize::StripSuffix(text.value)),
            // A misspelt key. It is already reported.
            _ => None,
        };
    }
    let text = node_text(ctx, "a step of `normalize`", at, node)?;
    let step = STEPS.iter().find(|(name, _)| *name == text.value);
    if step.is_none() {
        let steps = names(&STEPS);
        let hint = if STRIP_KEYS.has(&text.value) {
            format!("say what to strip: {{{}: \"Patient/\"}}", text.raw)
        } else {
            let known = [steps, STRIP_KEYS.names()].concat();
            did_you_mean(text.raw, known.iter().copied()).unwrap_or_else(|| format!("it may be {}", one_of(&known)))
        };
        ctx.problem(text.span, format!("`normalize` has no step `{}`", text.raw), hint);
    }
    step.map(|(_, step)| step.clone())
}

fn read_pattern(ctx: &mut Context<'_>, entry: &Entry) -> Option<Regex> {
    let text = entry_text(ctx, entry)?;
    // Compile the pattern alone first. `a)|(b` would otherwise pass, because it is valid only inside of the parentheses
    // that are put around it.
    let compiled = Regex::new(&text.value).and_then(|_| Regex::new(&format!(r"\A(?:{})\z", text.value)));
    match compiled {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let hint = "the syntax is that of Rust's crate regex: no look-around, no back-references; in YAML, single \
                        quotes keep backslashes: '\\d{3}'";
            ctx.problem(
                text.span,
                format!("`matches` is no regular expression: {}", reason(&error)),
                hint.to_owned(),
            );
            None
        }
    }
}

/// The last line of the regex error. The lines before it show the pattern, which may contain the value of a variable.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    }
}

/// Reads `length: 10` or `length: {min: 1, max: 10}`.
fn read_length(ctx: &mut Context<'_>, entry: &Entry) -> Option<Bounds<u64>> {
    let number = |ctx: &mut Context<'_>, entry: &Entry| {
        let written = node_scalar(ctx, entry.key.span, &entry.value)?;
        let number = written.replace('_', "").parse::<u64>().ok();
        if number.is_none() {
            let message = format!("`{}` must be a whole number, 0 or above", entry.key.text);
            let hint = "write `length: 5` or `length: {min: 1, max: 5}`".to_owned();
            ctx.problem(entry.place(), message, hint);
        }
        number
    };
    if let Value::Map(_) = entry.value.value {
        return bounds(ctx, entry, &LENGTH_KEYS, number);
    }
    let exactly = number(ctx, entry);
    exactly.map(|length| Bounds {
        min: exactly,
        max: Some(length),
    })
}

fn read_range(ctx: &mut Context<'_>, entry: &Entry, field_type: &FieldType) -> Option<Bounds<Literal>> {
    bounds(ctx, entry, &RANGE_KEYS, |ctx, entry| {
        literal(ctx, entry.key.span, &entry.value, field_type)
    })
}

fn bounds<T: PartialOrd>(
    ctx: &mut Context<'_>,
    entry: &Entry,
    keys: &'static Keys,
    mut read: impl FnMut(&mut Context<'_>, &Entry) -> Option<T>,
) -> Option<Bounds<T>> {
    let what = format!("`{}`", entry.key.text);
    let options = Mapping::of_options(ctx, &what, entry.key.span, &entry.value, keys)?;
    let (min, max) = (options.get("min"), options.get("max"));
    if min.is_none() && max.is_none() {
        let hint = "give `min`, `max` or both; both belong to it".to_owned();
        ctx.problem(entry.key.span, format!("{what} without bounds"), hint);
        return None;
    }
    let bounds = Bounds {
        min: min.and_then(|entry| read(ctx, entry)),
        max: max.and_then(|entry| read(ctx, entry)),
    };
    if let (Some(min), Some(max)) = (&bounds.min, &bounds.max)
        && min > max
    {
        let message = format!("`min` of {what} is above its `max`");
        ctx.problem(
            entry.key.span,
            message,
            "no value lies between them: swap them".to_owned(),
        );
    }
    Some(bounds)
}

/// `nulls: [9999-12-31, unknown]`: values of the type, and for what comes as text any text.
fn read_nulls(ctx: &mut Context<'_>, entry: &Entry, field: &Field, normalize: &[Normalize]) -> Nulls {
    let mut nulls = Nulls::default();
    let Value::List(nodes) = &entry.value.value else {
        let message = format!("`nulls` must be a list, not {}", entry.value.value.kind());
        ctx.problem(entry.place(), message, "write it in brackets: [9999-12-31]".to_owned());
        return nulls;
    };
    if nodes.is_empty() {
        ctx.problem(entry.key.span, "`nulls` names no value", "leave it out".to_owned());
    }
    let is_text = match field.field_type.whole() {
        FieldType::String
        | FieldType::Date(_)
        | FieldType::Timestamp(_)
        | FieldType::TimestampTz(_)
        | FieldType::Reference(_) => true,
        _ => matches!(field.from, Some(From::String | From::Either)),
    };
    for node in nodes {
        if !is_text {
            nulls
                .values
                .extend(literal(ctx, entry.key.span, node, &field.field_type));
            continue;
        }
        let Some(text) = node_scalar(ctx, entry.key.span, node) else {
            continue;
        };
        let value = crate::model::literal(&text, &field.field_type);
        if !matches!(value, None | Some(Literal::Text(_))) {
            nulls.values.extend(value);
        } else if normalized(normalize, &text).as_deref() != Some(&*text) {
            let span = if node.span.length == 0 {
                entry.key.span
            } else {
                node.span
            };
            let hint = "write it as `normalize` leaves it".to_owned();
            ctx.problem(
                span,
                "a value of `nulls` is never met: `normalize` makes another text of it",
                hint,
            );
        }
        nulls.texts.push(text);
    }
    nulls
}

fn read_values(ctx: &mut Context<'_>, entry: &Entry, field_type: &FieldType, normalize: &[Normalize]) -> Vec<Literal> {
    let Value::List(nodes) = &entry.value.value else {
        let message = format!("`accepted_values` must be a list, not {}", entry.value.value.kind());
        ctx.problem(entry.place(), message, "write it in brackets: [a, b]".to_owned());
        return Vec::new();
    };
    if nodes.is_empty() {
        let hint = "list at least one".to_owned();
        ctx.problem(entry.key.span, "`accepted_values` accepts nothing", hint);
    }
    let mut values = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(value) = literal(ctx, entry.key.span, node, field_type) else {
            continue;
        };
        if let (Literal::Text(text), Value::Text(raw)) = (&value, &node.value)
            && normalized(normalize, text).as_deref() != Some(text)
        {
            let written = Text {
                raw,
                value: text.clone(),
                span: node.span,
            };
            let message = format!("`{text}` is never met: `normalize` makes another text of it");
            ctx.problem_of(&written, &message, "write it as `normalize` leaves it");
        }
        values.push(value);
    }
    values
}

/// A value of the type as the project writes it. Dates are in ISO 8601, even if the field has another format.
fn literal(ctx: &mut Context<'_>, at: Span, node: &Node, field_type: &FieldType) -> Option<Literal> {
    let value = node_scalar(ctx, at, node)?;
    let found = crate::model::literal(&value, field_type);
    if found.is_none() {
        let hint = match field_type.whole() {
            FieldType::Bool => "write true or false",
            FieldType::Int | FieldType::Bigint => "write a whole number that the type holds",
            FieldType::Decimal(..) => "write a number with no more digits than the type has",
            FieldType::Date(_) => "write it as 2023-05-01",
            FieldType::Timestamp(_) => "write it as 2023-05-01T12:00:00, or as 2023-05-01 for its start",
            FieldType::TimestampTz(_) => "write it as 2023-05-01T12:00:00Z, or as 2023-05-01 for its start in UTC",
            _ => "write a number",
        };
        let raw = match &node.value {
            Value::Text(raw) => raw,
            _ => &value,
        };
        let span = if node.span.length == 0 { at } else { node.span };
        let message = format!("`{raw}` is no value of {}", field_type.kind());
        ctx.problem(span, message, hint.to_owned());
    }
    found
}
