//! Reads the `schema` of a source: the declared fields of its records.

use super::field_keys::{FIELD_KEYS, FROMS};
use super::formats;
use super::mapping::{Context, Mapping, Text, entry_text, list_texts, node_text};
use super::reference;
use super::types::parse_field_type;
use super::value_rules;
use super::yaml::{Entry, Node, Span, Value};
use crate::model::wording::{did_you_mean, one_of};
use crate::model::{Field, FieldType, From, MaskKind, PhiClass, Privacy, RECORD_COLUMN, ValueRules, Zone};

/// Reads the fields of a record. `flat` is set if the format has no lists and structs; it says why.
pub(super) fn read(ctx: &mut Context<'_>, entry: &Entry, flat: Option<&str>) -> Vec<Field> {
    let fields = read_fields(ctx, "`schema`", entry.key.span, &entry.value);
    for field in &fields {
        if field.name == RECORD_COLUMN {
            let message = format!("`{RECORD_COLUMN}` can't be a field: the engine adds a column of that name");
            ctx.problem_at(&field.location, message, "leave it out, it can't be loaded");
        }
        if let Some(format) = flat
            && matches!(field.field_type, FieldType::List(_) | FieldType::Struct(_))
        {
            let message = format!("`{}` can't be a list or struct: {format} has flat records", field.name);
            ctx.problem_at(
                &field.location,
                message,
                "declare it as `json` where the cell holds JSON, else as `string`",
            );
        }
    }
    fields
}

fn read_fields(ctx: &mut Context<'_>, what: &str, at: Span, node: &Node) -> Vec<Field> {
    let Some(names) = Mapping::of_names(ctx, what, at, node) else {
        return Vec::new();
    };
    let fields: Vec<Field> = names.entries().iter().map(|entry| read_field(ctx, entry)).collect();
    if fields.is_empty() {
        ctx.problem(
            at,
            format!("{what} declares no field"),
            "add one: patient_id: string".to_owned(),
        );
    }
    fields
}

fn read_field(ctx: &mut Context<'_>, entry: &Entry) -> Field {
    let mut field = Field {
        name: entry.key.text.clone(),
        field_type: FieldType::Json,
        description: None,
        required: false,
        from: None,
        one_or_many: false,
        privacy: Privacy::default(),
        rules: ValueRules::default(),
        location: ctx.location(entry.key.span),
    };
    let what = format!("the field `{}`", entry.key.text);
    if let Value::Map(_) = entry.value.value {
        if let Some(options) = Mapping::of_options(ctx, &what, entry.key.span, &entry.value, &FIELD_KEYS) {
            read_attributes(ctx, &options, &what, entry, &mut field);
        }
    } else if let Some(text) = node_text(
        ctx,
        &format!("the type of `{}`", entry.key.text),
        entry.place(),
        &entry.value,
    ) {
        field.field_type = scalar(ctx, &text).unwrap_or(FieldType::Json);
    }
    field
}

fn read_attributes(ctx: &mut Context<'_>, options: &Mapping<'_>, what: &str, entry: &Entry, field: &mut Field) {
    field.required = options.flag(ctx, "required", false);
    field.description = options.text(ctx, "description").map(|text| text.value);
    let kinds: Vec<&Entry> = ["type", "list", "one_or_many", "struct"]
        .iter()
        .filter_map(|kind| options.get(kind))
        .collect();
    let read = match kinds[..] {
        [] => {
            ctx.problem(
                entry.key.span,
                format!("{what} has no `type`"),
                "add `type: string`".to_owned(),
            );
            None
        }
        [kind] => match kind.key.text.as_str() {
            "type" => entry_text(ctx, kind).and_then(|text| scalar(ctx, &text)),
            "list" | "one_or_many" => {
                field.one_or_many = kind.key.text == "one_or_many";
                Some(FieldType::List(Box::new(read_list(ctx, kind))))
            }
            _ => Some(FieldType::Struct(read_fields(
                ctx,
                "`struct`",
                kind.key.span,
                &kind.value,
            ))),
        },
        [first, second, ..] => {
            let message = format!("{what} has both `{}` and `{}`", first.key.text, second.key.text);
            ctx.problem(second.key.span, message, "keep one of them".to_owned());
            None
        }
    };
    // Without a type, the options that depend on it can't be checked.
    let Some(read) = read else { return };
    field.field_type = read;
    // For a list of scalars, the privacy settings apply to its elements. Where they may be declared is checked with the
    // masks.
    field.privacy = read_privacy(ctx, options);
    // For a list of scalars, all of these apply to its elements.
    let scalar = match &mut field.field_type {
        FieldType::List(element) => element.as_mut(),
        _ => field,
    };
    read_precision(ctx, options, scalar);
    read_from(ctx, options, scalar);
    reference::read(ctx, options, scalar);
    read_zone(ctx, options, scalar);
    read_format(ctx, options, scalar);
    value_rules::read(ctx, options, scalar);
}

/// Reads the class, the mask and the options that belong to them, as written.
fn read_privacy(ctx: &mut Context<'_>, options: &Mapping<'_>) -> Privacy {
    let read = Privacy {
        phi: named(ctx, options, "phi", &PhiClass::ALL.map(|class| (class.name(), class))),
        mask: named(ctx, options, "mask", &MaskKind::ALL.map(|mask| (mask.name(), mask))),
        domain: options.text(ctx, "domain").map(|text| text.value),
        reason: options.text(ctx, "reason").map(|text| text.value),
    };
    // If the mask can't be read, nothing more can be checked about it.
    if read.mask.is_none() && options.get("mask").is_some() {
        Privacy::default()
    } else {
        read
    }
}

/// The choice that a key names, if the key is given. A bare `null` is accepted as the name of the mask `null`, although
/// YAML reads it as an absent value.
fn named<T: Copy>(ctx: &mut Context<'_>, options: &Mapping<'_>, key: &str, choices: &[(&'static str, T)]) -> Option<T> {
    let entry = options.get(key)?;
    let is_written = matches!(entry.value.value, Value::Null) && entry.value.span.length == "null".len();
    let choice = |value: &str| {
        choices
            .iter()
            .find(|(name, _)| *name == value)
            .map(|(_, choice)| *choice)
    };
    if is_written && let Some(null) = choice("null") {
        return Some(null);
    }
    let text = entry_text(ctx, entry)?;
    let found = choice(&text.value);
    if found.is_none() {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let hint = did_you_mean(text.raw, names.iter().copied()).unwrap_or_else(|| format!("write {}", one_of(&names)));
        ctx.problem(text.span, format!("`{key}` can't be `{}`", text.raw), hint);
    }
    found
}

fn read_list(ctx: &mut Context<'_>, entry: &Entry) -> Field {
    let field_type = if let Value::Map(_) = entry.value.value {
        let what = format!("`{}`", entry.key.text);
        FieldType::Struct(read_fields(ctx, &what, entry.key.span, &entry.value))
    } else {
        entry_text(ctx, entry)
            .and_then(|text| scalar(ctx, &text))
            .unwrap_or(FieldType::Json)
    };
    let location = ctx.location(entry.place());
    Field {
        name: "item".to_owned(),
        field_type,
        description: None,
        required: false,
        from: None,
        one_or_many: false,
        privacy: Privacy::default(),
        rules: ValueRules::default(),
        location,
    }
}

fn scalar(ctx: &mut Context<'_>, text: &Text<'_>) -> Option<FieldType> {
    match parse_field_type(&text.value) {
        Ok(field_type) => Some(field_type),
        Err(bad) => {
            ctx.problem_of(text, &bad.message, &bad.hint);
            None
        }
    }
}

/// Reads `precision: partial`, which makes a partial date of a date.
fn read_precision(ctx: &mut Context<'_>, options: &Mapping<'_>, field: &mut Field) {
    let Some(entry) = options.get("precision") else { return };
    let Some(text) = entry_text(ctx, entry) else { return };
    if text.value != "partial" {
        let hint = "write `precision: partial`, or leave it out where every value is whole".to_owned();
        ctx.problem(text.span, format!("`precision` can't be `{}`", text.raw), hint);
    } else if is_moment(&field.field_type) {
        let whole = std::mem::replace(&mut field.field_type, FieldType::Json);
        field.field_type = FieldType::Partial(Box::new(whole));
    } else {
        let message = format!("`precision` is nothing for {}", field.field_type.kind());
        let hint = "it is for date, timestamp and timestamptz".to_owned();
        ctx.problem(entry.key.span, message, hint);
    }
}

fn is_moment(field_type: &FieldType) -> bool {
    matches!(
        field_type,
        FieldType::Date(_) | FieldType::Timestamp(_) | FieldType::TimestampTz(_)
    )
}

fn read_from(ctx: &mut Context<'_>, options: &Mapping<'_>, field: &mut Field) {
    let Some(entry) = options.get("from") else { return };
    let texts = match &entry.value.value {
        Value::List(_) => list_texts(ctx, "`from`", entry.key.span, &entry.value),
        _ => entry_text(ctx, entry).into_iter().collect(),
    };
    let written = "write `from: string`, `from: number` or `from: [string, number]`";
    for text in &texts {
        if !FROMS.contains(&text.value.as_str()) {
            ctx.problem(text.span, format!("`from` can't be `{}`", text.raw), written.to_owned());
            return;
        }
    }
    let names: Vec<&str> = texts.iter().map(|text| text.value.as_str()).collect();
    let (from, shown) = match names[..] {
        ["string"] => (From::String, "string"),
        ["number"] => (From::Number, "number"),
        ["string", "number"] | ["number", "string"] => (From::Either, "[string, number]"),
        _ => {
            if let Value::List(_) = &entry.value.value {
                let message = "`from` names each of `string` and `number` at most once".to_owned();
                ctx.problem(entry.key.span, message, written.to_owned());
            }
            return;
        }
    };
    let fits = match field.field_type {
        FieldType::Bool => from == From::String,
        FieldType::Int | FieldType::Bigint | FieldType::Double | FieldType::Decimal(..) => from != From::Number,
        FieldType::String => from != From::String,
        _ => false,
    };
    if fits {
        field.from = Some(from);
        return;
    }
    let span = match &texts[..] {
        [text] => text.span,
        _ => entry.key.span,
    };
    let kind = field.field_type.kind();
    let hint = match field.field_type.whole() {
        FieldType::String => "a string comes from a string anyway: take `from` out",
        FieldType::Bool => "a bool comes from true and false, or with `from: string` from strings",
        FieldType::Int | FieldType::Bigint | FieldType::Double | FieldType::Decimal(..) => {
            "a number comes from a number anyway: take `from` out"
        }
        FieldType::Date(_) | FieldType::Timestamp(_) | FieldType::TimestampTz(_) => {
            "dates come from strings anyway: name their `format` if it is not ISO 8601"
        }
        _ => "it is for bool, int, bigint, double and decimal (`string`) and for string (`number`)",
    };
    ctx.problem(span, format!("`from: {shown}` is nothing for {kind}"), hint.to_owned());
}

/// Reads `zone: Europe/Berlin`, the zone of times that are written without an offset.
fn read_zone(ctx: &mut Context<'_>, options: &Mapping<'_>, field: &mut Field) {
    let Some(entry) = options.get("zone") else { return };
    let FieldType::TimestampTz(_) = field.field_type.whole() else {
        let message = format!("`zone` is nothing for {}", field.field_type.kind());
        let hint = "it is for timestamptz: SQL gets the times in UTC".to_owned();
        ctx.problem(entry.key.span, message, hint);
        return;
    };
    let Some(text) = entry_text(ctx, entry) else { return };
    field.rules.zone = Zone::parse(&text.value);
    if field.rules.zone.is_none() {
        let hint = "write UTC, an offset such as +01:00, or a name of the IANA database such as Europe/Berlin";
        ctx.problem_of(&text, &format!("`{}` is no time zone", text.value), hint);
    }
}

fn read_format(ctx: &mut Context<'_>, options: &Mapping<'_>, field: &mut Field) {
    let Some(entry) = options.get("format") else { return };
    let texts = match &entry.value.value {
        Value::List(_) => list_texts(ctx, "`format`", entry.key.span, &entry.value),
        _ => entry_text(ctx, entry).into_iter().collect(),
    };
    if matches!(&entry.value.value, Value::List(list) if list.is_empty()) {
        ctx.problem(
            entry.key.span,
            "`format` names no format",
            "leave it out for ISO 8601".to_owned(),
        );
    }
    if !is_moment(field.field_type.whole()) {
        let message = format!("`format` is nothing for {}", field.field_type.kind());
        ctx.problem(
            entry.key.span,
            message,
            "it is for date, timestamp and timestamptz".to_owned(),
        );
        return;
    }
    for text in &texts {
        if let Err(bad) = formats::check(&text.value, &field.field_type, field.rules.zone.is_some()) {
            ctx.problem_of(text, &bad.message, bad.hint);
        }
    }
    let whole = match &mut field.field_type {
        FieldType::Partial(whole) => whole.as_mut(),
        other => other,
    };
    if let FieldType::Date(formats) | FieldType::Timestamp(formats) | FieldType::TimestampTz(formats) = whole {
        *formats = texts.into_iter().map(|text| text.value).collect();
    }
}
