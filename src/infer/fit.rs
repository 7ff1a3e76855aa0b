//! Whether the values at a place fit a declared scalar, and what would have to be declared so that they do.

use super::declare::{either, met, number};
use super::shape::Shape;
use crate::model::{Field, FieldType, From};

pub(super) enum Fit {
    Fits,
    /// These options must be set, and why.
    Wider(Vec<(&'static str, String)>, String),
    /// A person has to decide.
    Differs(String),
}

/// Compares the values with the declaration. `flat`: all cells are texts.
pub(super) fn fit(field: &Field, shape: &Shape, flat: bool) -> Fit {
    if matches!(field.field_type, FieldType::Json) || shape.kinds() == 0 {
        return Fit::Fits;
    }
    let kind = field.field_type.kind();
    if shape.objects.count + shape.lists.count > 0 {
        return Fit::Differs(format!("declared as {kind}, and it is {}", met(shape)));
    }
    let found = match &field.field_type {
        FieldType::String => string(field, shape),
        FieldType::Bool if shape.bools == 0 || shape.kinds() > 1 => match field.from {
            _ if flat && shape.texts.all_bools() => Fit::Fits,
            Some(From::String) if shape.kinds() == 1 && shape.texts.all_bools() => Fit::Fits,
            _ => Fit::Differs(format!("declared as a bool, and it is {}", met(shape))),
        },
        FieldType::Int | FieldType::Bigint | FieldType::Double | FieldType::Decimal(..) => numeric(field, shape, flat),
        FieldType::Date(formats) => time(shape, formats, "date"),
        FieldType::Timestamp(formats) => time(shape, formats, "timestamp"),
        FieldType::TimestampTz(formats) => time(shape, formats, "timestamptz"),
        _ => Fit::Fits,
    };
    let rules = &field.rules;
    match found {
        // What the sample holds is not what is read then.
        Fit::Wider(_, why) if !rules.nulls.is_empty() || !rules.normalize.is_empty() => {
            Fit::Differs(format!("{why}, before `nulls` and `normalize`"))
        }
        found => found,
    }
}

fn string(field: &Field, shape: &Shape) -> Fit {
    let either = |why: String| Fit::Wider(vec![("from", "[string, number]".to_owned())], why);
    match field.from {
        _ if shape.bools > 0 => Fit::Differs(format!("declared as a string, and it is {}", met(shape))),
        None if shape.numbers.count > 0 && shape.declared.is_none() => {
            either(format!("a string or a number: {}", met(shape)))
        }
        Some(From::Number) if shape.texts.count > 0 => either(format!("a string or a number: {}", met(shape))),
        _ => Fit::Fits,
    }
}

fn numeric(field: &Field, shape: &Shape, flat: bool) -> Fit {
    let kind = field.field_type.kind();
    let (numbers, texts) = (shape.numbers.count, shape.texts.full());
    let sent = field.from == Some(From::String) || field.from == Some(From::Either) || flat;
    if shape.bools > 0 || numbers + texts == 0 || texts > 0 && shape.texts.numbers().is_none() {
        let met = if flat {
            "no number in some rows".to_owned()
        } else {
            format!("{}, not all of them numbers", met(shape))
        };
        return Fit::Differs(format!("declared as {kind}, and it is {met}"));
    }
    let mut options = Vec::new();
    let needed = match (numbers, texts) {
        (_, 0) => shape.declared.clone().unwrap_or_else(|| number(shape)),
        _ => either(shape).field_type,
    };
    let (int_digits, scale) = (
        shape
            .numbers
            .int_digits
            .max(if texts > 0 { shape.texts.int_digits } else { 0 }),
        shape.numbers.scale.max(if texts > 0 { shape.texts.scale } else { 0 }),
    );
    let wider = wider(&field.field_type, &needed, int_digits, scale);
    let mut why = Vec::new();
    if let Some(wider) = wider {
        why.push(format!("{} becomes {wider}", written(&field.field_type)));
        let quoted = if wider.contains(',') {
            format!("\"{wider}\"")
        } else {
            wider
        };
        options.push(("type", quoted));
    }
    if texts > 0 && !sent || numbers > 0 && field.from == Some(From::String) && shape.declared.is_none() {
        why.push(format!("a string or a number: {}", met(shape)));
        options.push(("from", "[string, number]".to_owned()));
    }
    if options.is_empty() {
        Fit::Fits
    } else {
        Fit::Wider(options, why.join("; "))
    }
}

/// The type that takes these numbers and those of the declared type. `None`: the declared type takes them.
fn wider(declared: &FieldType, needed: &str, int_digits: usize, scale: usize) -> Option<String> {
    let (known_digits, known_scale) = match declared {
        FieldType::Int => (10, 0),
        FieldType::Bigint => (19, 0),
        FieldType::Decimal(precision, scale) => {
            let scale = usize::try_from(*scale).unwrap_or(0);
            (usize::from(*precision) - scale, scale)
        }
        _ => return None,
    };
    let is_int = matches!(declared, FieldType::Int | FieldType::Bigint);
    match needed {
        "int" | "bigint" if is_int => {
            return (needed == "bigint" && matches!(declared, FieldType::Int)).then(|| "bigint".to_owned());
        }
        "double" => return Some("double".to_owned()),
        _ if !is_int && int_digits <= known_digits && scale <= known_scale => return None,
        _ => {}
    }
    let (digits, scale) = (known_digits.max(int_digits), known_scale.max(scale));
    Some(if digits + scale > 38 {
        "double".to_owned()
    } else {
        format!("decimal({},{scale})", digits + scale)
    })
}

fn written(field_type: &FieldType) -> String {
    match field_type {
        FieldType::Int => "int".to_owned(),
        FieldType::Bigint => "bigint".to_owned(),
        FieldType::Decimal(precision, scale) => format!("decimal({precision},{scale})"),
        other => other.kind().to_owned(),
    }
}

fn time(shape: &Shape, formats: &[String], field_type: &str) -> Fit {
    // Of Parquet, only texts are looked at.
    if shape.declared.is_some() && shape.texts.count == 0 {
        return Fit::Fits;
    }
    if shape.bools + shape.numbers.count > 0 {
        return Fit::Differs(format!("declared as a {field_type}, and it is {}", met(shape)));
    }
    let texts = &shape.texts;
    if texts.fit(formats, field_type) != Some(false) {
        return Fit::Fits;
    }
    let styles = texts.styles();
    if styles.is_empty() && texts.partial().is_some() {
        return Fit::Differs(
            "some lack the day or the month: `precision: partial` takes them, and SQL sees a struct then".to_owned(),
        );
    }
    if styles.is_empty() || styles.iter().any(|style| style.field_type != field_type) {
        return Fit::Differs(format!("not every value is a {field_type} in a format that is known"));
    }
    let iso = match field_type {
        "date" => "%Y-%m-%d",
        "timestamp" => "%Y-%m-%dT%H:%M:%S%.f",
        _ => "%Y-%m-%dT%H:%M:%S%.f%#z",
    };
    let mut all: Vec<&str> = formats.iter().map(String::as_str).collect();
    if all.is_empty() {
        all.push(iso);
    }
    let new: Vec<&str> = styles
        .iter()
        .map(|style| style.listed())
        .filter(|one| !all.contains(one))
        .collect();
    all.extend(&new);
    let listed = all
        .iter()
        .map(|one| format!("\"{one}\""))
        .collect::<Vec<_>>()
        .join(", ");
    Fit::Wider(
        vec![("format", format!("[{listed}]"))],
        format!("written in another format, too: {}", new.join(", ")),
    )
}
