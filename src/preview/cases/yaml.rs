//! Writes values as YAML, so that the reader of test cases reads the same values again.

use std::fmt::Write as _;

use serde_json::Value;

use crate::model::Refusal;

/// A text as a scalar: plain where that is safe, otherwise in double quotes.
pub(super) fn scalar(text: &str) -> String {
    let first = |c: char| c.is_alphabetic();
    let inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ' | '(' | ')');
    // What YAML reads as something else than a text.
    let reserved = [
        "null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf",
    ];
    let plain = text.starts_with(first)
        && text.chars().all(inner)
        && !text.ends_with(' ')
        && !reserved.contains(&text.to_lowercase().as_str());
    if plain || is_date(text) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

/// A date such as 2023-05-02, which YAML reads as a text.
fn is_date(text: &str) -> bool {
    text.len() == 10 && chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

/// A cell of a row. `pg` is the name of its type.
pub(super) fn cell(text: Option<&str>, pg: &str) -> String {
    match (text, pg) {
        (None, _) => "null".to_owned(),
        (Some(text), "int2" | "int4" | "int8" | "float4" | "float8" | "numeric")
            if text.parse::<f64>().is_ok_and(f64::is_finite) =>
        {
            text.to_owned()
        }
        (Some("t"), "bool") => "true".to_owned(),
        (Some("f"), "bool") => "false".to_owned(),
        (Some(text), _) => scalar(text),
    }
}

/// A refusal as a mapping on one line.
pub(super) fn refusal(refusal: &Refusal) -> String {
    let mut text = format!("{{entity: {}", refusal.entity.as_deref().unwrap_or("record"));
    let _ = write!(text, ", check: {}", scalar(&refusal.check));
    if let Some(record) = refusal.record {
        let _ = write!(text, ", record: {record}");
    }
    if let Some(path) = &refusal.path {
        let _ = write!(text, ", path: {}", scalar(path));
    }
    let _ = write!(text, ", reason: {}}}", scalar(&refusal.reason));
    text
}

/// An object or a list as an element of a list, over several lines. `indent` is where its dash stands.
pub(super) fn element(value: &Value, indent: usize, text: &mut String) {
    let pad = " ".repeat(indent);
    let mut block = String::new();
    put(value, indent + 2, &mut block);
    let block = block.trim_start().trim_end();
    let _ = writeln!(text, "{pad}- {block}");
}

/// Appends a value: a scalar behind a space, or lines of its own, each with a break before it.
fn put(value: &Value, indent: usize, text: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let _ = write!(text, "\n{pad}{}:", scalar(name));
                put(value, indent + 2, text);
            }
        }
        Value::Array(elements) if !elements.is_empty() => {
            for value in elements {
                let mut inner = String::new();
                put(value, indent + 2, &mut inner);
                let _ = write!(text, "\n{pad}- {}", inner.trim_start());
            }
        }
        Value::String(string) => {
            let _ = write!(text, " {}", scalar(string));
        }
        // `{}`, `[]`, numbers, booleans and null are the same in JSON and YAML.
        other => {
            let _ = write!(text, " {other}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_yaml_reads_otherwise_are_quoted() {
        for plain in ["a", "Dr. Who", "2023-05-02", "É/a-b_c.d"] {
            assert_eq!(scalar(plain), plain);
        }
        for quoted in [
            "",
            "null",
            "Yes",
            "1",
            "-",
            "a: b",
            "a #b",
            "a ",
            " a",
            "a,b",
            "{",
            "2023-13-02",
            "a\nb",
            "\u{7}",
        ] {
            assert_eq!(scalar(quoted), Value::from(quoted).to_string());
        }
    }

    #[test]
    fn nested_values_keep_their_shape() {
        let value = serde_json::json!({"id": "a", "n": 1, "none": [], "visits": [{"codes": ["x", null], "day": "2023-05-02"}, {}]});
        let mut text = String::new();
        element(&value, 2, &mut text);
        assert_eq!(
            text,
            "  - id: a\n    \"n\": 1\n    none: []\n    visits:\n      - codes:\n          - x\n          - null\n        day: 2023-05-02\n      - {}\n"
        );
    }
}
