//! Reads `records:` of an input: the JSON path at which records start, such as `$`, `$.entry[*].resource` or `$['odd
//! key'][*]`. Only names and `[*]` (or `[]`) are allowed, because documents are read as a stream: it must be clear at
//! once whether a value is a record.

use crate::model::{RecordPath, RecordStep};

const HINT: &str = "write it like $.entry[*].resource: names and `[*]` only";

/// Why a record path can't be read, and how to correct it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadRecordPath {
    pub message: String,
    /// The message without the path.
    pub reason: &'static str,
    pub hint: String,
}

fn bad<T>(text: &str, reason: &'static str) -> Result<T, BadRecordPath> {
    Err(BadRecordPath {
        message: format!("`{text}` is no path of records: {reason}"),
        reason,
        hint: HINT.to_owned(),
    })
}

pub(super) fn parse(text: &str) -> Result<RecordPath, BadRecordPath> {
    let Some(mut rest) = text.strip_prefix('$') else {
        return bad(text, "it does not start with `$`");
    };
    let mut steps = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (step, after) = match first {
            '.' if rest.starts_with("..") => return bad(text, "`..` is not known"),
            '.' => name_step(text, &rest[1..])?,
            '[' => bracket_step(text, &rest[1..])?,
            _ => return bad(text, "a name needs a `.` before it"),
        };
        steps.push(step);
        rest = after;
    }
    Ok(RecordPath(steps))
}

fn name_step<'a>(text: &str, rest: &'a str) -> Result<(RecordStep, &'a str), BadRecordPath> {
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    if name.is_empty() {
        return bad(text, "a name is missing after `.`");
    }
    if name == "*" {
        return bad(text, "`*` needs brackets: `[*]`");
    }
    if name.contains(|c: char| c.is_whitespace() || "'\"]()@?,:*".contains(c)) {
        return bad(text, "a name with other signs than letters needs brackets: ['odd key']");
    }
    Ok((RecordStep::Key(name.to_owned()), after))
}

fn bracket_step<'a>(text: &str, rest: &'a str) -> Result<(RecordStep, &'a str), BadRecordPath> {
    if let Some(after) = rest.strip_prefix("*]").or_else(|| rest.strip_prefix(']')) {
        return Ok((RecordStep::Each, after));
    }
    match rest.chars().next() {
        Some(quote @ ('\'' | '"')) => quoted_step(text, &rest[1..], quote),
        Some(c) if c.is_ascii_digit() || c == '-' => bad(text, "a position in a list is not known: use `[*]`"),
        _ => bad(text, "in brackets stands `*` or a name in quotes"),
    }
}

/// Reads a quoted name. A backslash before a quote or a backslash makes it part of the name.
fn quoted_step<'a>(text: &str, rest: &'a str, quote: char) -> Result<(RecordStep, &'a str), BadRecordPath> {
    let mut name = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            match chars.next() {
                Some((_, escaped)) if escaped == quote || escaped == '\\' => name.push(escaped),
                _ => return bad(text, "a backslash stands before a quote or a backslash only"),
            }
        } else if c == quote {
            return match rest[at + 1..].strip_prefix(']') {
                Some(after) => Ok((RecordStep::Key(name), after)),
                None => bad(text, "a `]` is missing after the quote"),
            };
        } else {
            name.push(c);
        }
    }
    bad(text, "a quote is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> RecordStep {
        RecordStep::Key(name.to_owned())
    }

    #[test]
    fn good_paths() {
        let cases = [
            ("$", vec![]),
            ("$.a", vec![key("a")]),
            ("$[*]", vec![RecordStep::Each]),
            (
                "$.a[].b[]",
                vec![key("a"), RecordStep::Each, key("b"), RecordStep::Each],
            ),
            (
                "$.entry[*].resource",
                vec![key("entry"), RecordStep::Each, key("resource")],
            ),
            ("$['odd key'][*]", vec![key("odd key"), RecordStep::Each]),
            (r#"$["a.b"]['it\'s \\']"#, vec![key("a.b"), key(r"it's \")]),
            ("$.größe-1", vec![key("größe-1")]),
            ("$['']", vec![key("")]),
        ];
        for (text, steps) in cases {
            assert_eq!(parse(text), Ok(RecordPath(steps)), "{text}");
        }
    }

    #[test]
    fn bad_paths_say_why() {
        let cases = [
            ("entry[*]", "it does not start with `$`"),
            ("", "it does not start with `$`"),
            ("$entry", "a name needs a `.` before it"),
            ("$.", "a name is missing after `.`"),
            ("$.a.", "a name is missing after `.`"),
            ("$..a", "`..` is not known"),
            ("$.*", "`*` needs brackets: `[*]`"),
            ("$[0]", "a position in a list is not known: use `[*]`"),
            ("$[?(@.a)]", "in brackets stands `*` or a name in quotes"),
            ("$[*", "in brackets stands `*` or a name in quotes"),
            ("$['a", "a quote is not closed"),
            ("$['a'", "a `]` is missing after the quote"),
            (
                "$.a b",
                "a name with other signs than letters needs brackets: ['odd key']",
            ),
            (r"$['a\n']", "a backslash stands before a quote or a backslash only"),
        ];
        for (text, reason) in cases {
            let error = parse(text).expect_err(text);
            assert_eq!(error.message, format!("`{text}` is no path of records: {reason}"));
        }
    }
}
