//! Writes what was proposed: the source's YAML, the SQL of its transforms, the entities of `pipeline.yaml`. Each line
//! says what it rests on. No value of the sample is written.

use std::fmt::Write as _;

use super::classify::Suggested;
use super::declare::{Field, Kind};
use super::scalar::Scalar;
use super::tables::{Column, Level, Table, ValuePosition};
use crate::model::wording::{one_line, steers};

/// A text in YAML: plain where it can't be taken for anything else.
pub(super) fn yaml(text: &str) -> String {
    const WORDS: [&str; 11] = [
        "true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf",
    ];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_ ./-".contains(c))
        && !text.ends_with(' ')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { quoted(text) }
}

/// A text in double quotes, on one line, in which nothing steers a terminal or turns the direction of the text.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    for c in serde_json::Value::from(text).to_string().chars() {
        if c.is_control() || steers(c) || matches!(c, '\u{2028}' | '\u{2029}') {
            let _ = write!(quoted, "\\u{:04x}", u32::from(c));
        } else {
            quoted.push(c);
        }
    }
    quoted
}

/// The fields of `schema:`, indented.
pub(super) fn schema(fields: &[Field], indent: usize, text: &mut String) {
    for field in fields {
        let pad = " ".repeat(indent);
        if let Some(comment) = &field.comment {
            let _ = writeln!(text, "{pad}# {}", one_line(comment));
        }
        let name = yaml(&field.name);
        match &field.kind {
            Kind::Scalar(scalar) => {
                why(scalar, &pad, text);
                let _ = writeln!(text, "{pad}{name}: {}", declaration("type", scalar, field.required));
            }
            Kind::Scalars(scalar) => {
                why(scalar, &pad, text);
                let _ = writeln!(
                    text,
                    "{pad}{name}: {}",
                    declaration(list(field), scalar, field.required)
                );
            }
            Kind::Struct(inner) => {
                let _ = writeln!(text, "{pad}{name}:\n{pad}  struct:");
                schema(inner, indent + 4, text);
            }
            Kind::Objects(inner) => {
                let _ = writeln!(text, "{pad}{name}:\n{pad}  {}:", list(field));
                schema(inner, indent + 4, text);
            }
        }
    }
}

/// The key of a list's elements.
fn list(field: &Field) -> &'static str {
    if field.one_or_many { "one_or_many" } else { "list" }
}

/// A field on one line, as it stands among braces.
pub(super) fn flow(field: &Field) -> String {
    let within = |fields: &[Field]| fields.iter().map(flow).collect::<Vec<_>>().join(", ");
    let value = match &field.kind {
        Kind::Scalar(scalar) => declaration("type", scalar, field.required),
        Kind::Scalars(scalar) => declaration(list(field), scalar, field.required),
        Kind::Struct(inner) => format!("{{struct: {{{}}}}}", within(inner)),
        Kind::Objects(inner) => format!("{{{}: {{{}}}}}", list(field), within(inner)),
    };
    // Between braces, a type with a comma needs its quotes.
    format!("{}: {value}", yaml(&field.name))
}

fn why(scalar: &Scalar, pad: &str, text: &mut String) {
    if let Some(Suggested { class, mask, why, .. }) = &scalar.suggested {
        let _ = writeln!(text, "{pad}# {class}, {mask}: {why}");
    }
}

fn declaration(key: &str, scalar: &Scalar, required: bool) -> String {
    let field_type = if scalar.field_type.contains(',') {
        format!("\"{}\"", scalar.field_type)
    } else {
        scalar.field_type.clone()
    };
    let mut parts = vec![format!("{key}: {field_type}")];
    if required {
        parts.push("required: true".to_owned());
    }
    parts.extend(scalar.from.map(|from| format!("from: {from}")));
    match scalar.formats.as_slice() {
        [] => {}
        [one] => parts.push(format!("format: \"{one}\"")),
        many => parts.push(format!(
            "format: [{}]",
            many.iter()
                .map(|one| format!("\"{one}\""))
                .collect::<Vec<_>>()
                .join(", ")
        )),
    }
    if scalar.partial {
        parts.push("precision: partial".to_owned());
    }
    if scalar.empty_as_null {
        parts.push("normalize: empty_as_null".to_owned());
    }
    if let Some(suggested) = &scalar.suggested {
        parts.push(format!("phi: {}", suggested.class));
        parts.push(format!(
            "mask: {}",
            if suggested.mask == "null" {
                "\"null\""
            } else {
                suggested.mask
            }
        ));
        parts.extend(
            suggested
                .domain
                .as_ref()
                .map(|domain| format!("domain: {}", yaml(domain))),
        );
        parts.extend(suggested.reason.map(|reason| format!("reason: {}", yaml(reason))));
    }
    match parts.as_slice() {
        [only] if key == "type" => only["type: ".len()..].to_owned(),
        parts => format!("{{{}}}", parts.join(", ")),
    }
}

/// The entities, as they stand below `entities:`.
pub(super) fn entities(tables: &[Table], source: &str) -> String {
    let mut text = String::new();
    for table in tables {
        let _ = writeln!(text, "  {}:", table.name);
        let _ = writeln!(
            text,
            "    description: {}",
            yaml(&format!("Proposed from a sample of {source}"))
        );
        text.push_str("    columns:\n");
        for column in &table.columns {
            let pg_type = if column.pg_type.contains([',', '[']) {
                format!("\"{}\"", column.pg_type)
            } else {
                column.pg_type.clone()
            };
            let nullable = if column.not_null { ", nullable: false" } else { "" };
            let _ = writeln!(text, "      {}: {{type: {pg_type}{nullable}}}", yaml(&column.name));
        }
        if !table.key.is_empty() {
            let _ = writeln!(text, "    key: [{}]", table.key.join(", "));
        }
        if let Some(parent) = &table.parent {
            let _ = writeln!(text, "    parent: {parent}");
        }
        text.push('\n');
    }
    text
}

/// An identifier of the transforms' SQL: in quotes where it would be taken for something else.
fn ident(name: &str) -> String {
    const RESERVED: [&str; 66] = [
        "all",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "between",
        "both",
        "by",
        "case",
        "cast",
        "check",
        "column",
        "constraint",
        "create",
        "cross",
        "default",
        "delete",
        "desc",
        "distinct",
        "drop",
        "else",
        "end",
        "except",
        "exists",
        "extract",
        "false",
        "fetch",
        "for",
        "foreign",
        "from",
        "full",
        "grant",
        "group",
        "having",
        "in",
        "inner",
        "insert",
        "intersect",
        "interval",
        "into",
        "is",
        "join",
        "left",
        "like",
        "limit",
        "not",
        "null",
        "offset",
        "on",
        "or",
        "order",
        "outer",
        "primary",
        "right",
        "select",
        "set",
        "table",
        "then",
        "to",
        "true",
        "union",
        "user",
        "using",
        "when",
        "where",
    ];
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !RESERVED.contains(&name)
        && name != "with";
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// A name that needs no quotes: one that SQL takes for something else gets a word behind it.
pub(super) fn unquoted(name: &str) -> String {
    if ident(name) == name {
        name.to_owned()
    } else {
        format!("{name}_record")
    }
}

fn expression(position: &ValuePosition, element: &str) -> String {
    let mut names = position.path.iter();
    let mut text = match position.depth {
        0 => names.next().map_or_else(|| "null".to_owned(), |name| ident(name)),
        _ => element.to_owned(),
    };
    for name in names {
        let _ = write!(text, "['{}']", name.replace('\'', "''"));
    }
    text
}

/// The transform of a table: a chain of CTEs, one for each level of lists.
pub(super) fn sql(table: &Table, source: &str) -> String {
    let mut text = format!("-- Proposed by `pipeline source add` from a sample of {source}.\n");
    let depth = table.levels.len();
    let element = element(&table.columns);
    let names = cte_names(&table.levels, &table.of);
    let records = ident(&table.of);
    let carried = |below: usize| table.columns.iter().filter(move |column| column.position.depth < below);
    for (index, level) in table.levels.iter().enumerate() {
        text.push_str(if index == 0 { "with " } else { ", " });
        let _ = writeln!(text, "{} as (\n    select", names[index]);
        for column in carried(index + 1) {
            let name = ident(&column.name);
            let value = if column.position.depth == index {
                expression(&column.position, element)
            } else {
                name.clone()
            };
            let value = if value == name {
                name
            } else {
                format!("{value} as {name}")
            };
            let _ = writeln!(text, "        {value},");
        }
        let list = ValuePosition {
            depth: index,
            path: level.path.clone(),
        };
        let from = if index == 0 { &records } else { &names[index - 1] };
        let _ = writeln!(
            text,
            "        unnest({}) as {element}\n    from {from}\n)",
            expression(&list, element)
        );
    }
    text.push_str("select\n");
    let last = table.columns.len() - 1;
    for (index, column) in table.columns.iter().enumerate() {
        let name = ident(&column.name);
        let value = if column.position.depth == usize::MAX {
            "null".to_owned()
        } else if column.position.depth < depth {
            name.clone()
        } else {
            expression(&column.position, element)
        };
        let value = if value == name {
            name
        } else {
            format!("{value} as {name}")
        };
        let comma = if index == last { "" } else { "," };
        let _ = writeln!(text, "    {value}{comma} -- {}", column.note);
    }
    let _ = writeln!(text, "from {}", names.last().unwrap_or(&records));
    text
}

/// The name for an element: `item`, unless a column is called so.
fn element(columns: &[Column]) -> &'static str {
    if columns.iter().any(|column| column.name == "item") {
        "list_item"
    } else {
        "item"
    }
}

fn cte_names(levels: &[Level], records: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for level in levels {
        let name = level.path.last().map_or("list", String::as_str);
        let mut name = super::tables::snake(name, 40);
        if name == records || ident(&name) != name || names.contains(&name) {
            name = format!("{name}_{}", names.len() + 1);
        }
        names.push(name);
    }
    names
}

/// The path of a table's lists, as `conserves` has it. `None`: a name in it can't be written there.
pub(super) fn conserves(levels: &[Level]) -> Option<String> {
    let plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !levels.iter().flat_map(|level| &level.path).all(plain) {
        return None;
    }
    if levels.is_empty() {
        return Some("$".to_owned());
    }
    let lists: Vec<String> = levels
        .iter()
        .map(|level| format!("{}[]", level.path.join(".")))
        .collect();
    Some(lists.join("."))
}
