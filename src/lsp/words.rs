//! What is shown of a field, a column or a function, as Markdown. All of it is declared in the project; no value of the
//! data is known here.

use std::fmt::Write as _;

use crate::model::scalar_field::{effective_mask, element_privacy};
use crate::model::{Column, Entity, Field, FieldType, MaskKind, Privacy, Source};
use crate::transform::SqlFunction;

/// A field's type in a word or two: `string`, `list of struct`.
pub(super) fn type_of(field_type: &FieldType) -> String {
    match field_type {
        FieldType::List(item) => format!("list of {}", type_of(&item.field_type)),
        FieldType::Decimal(precision, scale) => format!("decimal({precision},{scale})"),
        other => {
            let kind = other.kind();
            kind.split_once(' ').map_or(kind, |(_, name)| name).to_owned()
        }
    }
}

/// What a source declares of a field at a path.
pub(super) fn field(source: Option<&Source>, field: &Field, path: &str) -> String {
    let mut lines = vec![format!("`{path}`: {}", type_of(&field.field_type))];
    if field.required {
        lines[0] += ", required";
    }
    if let Some(source) = source {
        let _ = write!(lines[0], " (field of {})", source.name);
    }
    let privacy = match &field.field_type {
        FieldType::List(item) => element_privacy(item, &field.privacy),
        _ => &field.privacy,
    };
    lines.extend(masked(&field.field_type, privacy));
    lines.extend(field.description.clone());
    if let FieldType::Struct(children) = &field.field_type {
        let names: Vec<String> = children.iter().map(|child| format!("`{}`", child.name)).collect();
        lines.push(format!("fields: {}", names.join(", ")));
    }
    lines.join("\n\n")
}

fn masked(field_type: &FieldType, privacy: &Privacy) -> Option<String> {
    let of_structs = matches!(field_type, FieldType::List(item) if matches!(item.field_type, FieldType::Struct(_)));
    if of_structs || matches!(field_type, FieldType::Struct(_)) {
        return None;
    }
    let class = privacy.phi.map_or("no class", |class| class.name());
    let mask = match effective_mask(privacy) {
        MaskKind::Keep => "no mask: SQL sees the value as it is".to_owned(),
        mask => format!("mask `{}`", mask.name()),
    };
    let domain = privacy
        .domain
        .as_ref()
        .map_or_else(String::new, |domain| format!(", domain `{domain}`"));
    let reason = privacy
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(" ({reason})"));
    Some(format!("class: {class}; {mask}{domain}{reason}"))
}

/// What the contract declares of a column.
pub(super) fn column(entity: &Entity, column: &Column) -> String {
    let null = if column.nullable { "" } else { ", not null" };
    let key = if entity.key.contains(&column.name) {
        ", part of the key"
    } else {
        ""
    };
    let mut text = format!("`{}.{}`: {}{null}{key}", entity.name, column.name, column.pg_type);
    if let Some(description) = &column.description {
        let _ = write!(text, "\n\n{description}");
    }
    text
}

/// How a function is called, and what it gives.
pub(super) fn function(function: &SqlFunction) -> String {
    let mut text = format!("```sql\n{}\n```", function.call);
    if !function.about.is_empty() {
        let _ = write!(text, "\n\n{}", function.about);
    }
    for (name, about) in &function.arguments {
        let _ = write!(text, "\n\n- `{name}`: {about}");
    }
    text
}
