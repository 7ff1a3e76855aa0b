//! The change that adds the columns of the contract which a transform does not give.

use super::Sql;
use super::complete::is_given;

/// A change of the file: texts that are put in at bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lsp) struct Insertions {
    pub title: String,
    /// The bytes of the select list that lacks something, from its SELECT on.
    pub list: (usize, usize),
    pub texts: Vec<(usize, String)>,
}

/// One change per missing column, and one for all of them where more than one is missing. Each is put at the end of the
/// select list as `null as x -- no field found`. A transform of several selects gets none, since each would need its own.
pub(in crate::lsp) fn add_missing_columns(sql: &Sql<'_>, text: &str) -> Vec<Insertions> {
    let (Some(entity), [select]) = (sql.entity, &sql.query.selects[..]) else {
        return Vec::new();
    };
    let given = sql.output();
    let missing: Vec<&str> = entity
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .filter(|name| !is_given(&given, name))
        .collect();
    let Some(last) = select.list.end.checked_sub(1).filter(|last| *last >= select.list.start) else {
        return Vec::new();
    };
    let last = &sql.tokens[last];
    // A comment that begins on the last expression's line belongs to it.
    let rest = &text[last.end..];
    let line = rest.find('\n').unwrap_or(rest.len());
    let commented = sql
        .comments
        .iter()
        .find(|comment| comment.start >= last.end && comment.start < last.end + line);
    let at = commented.map_or(last.end, |comment| comment.end);
    let comma = if last.sign() == Some(',') { "" } else { "," };
    let first = select
        .items
        .first()
        .and_then(|item| sql.tokens.get(item.expression.start));
    let indent = first.map_or_else(|| "    ".to_owned(), |token| indent_of(text, token.start));
    let followed = !text[at..].starts_with(['\n', '\r']) && !text[at..].trim().is_empty();
    let lines = |names: &[&str]| {
        let separated = names.iter().enumerate().map(|(number, name)| {
            let comma = if number + 1 < names.len() { "," } else { "" };
            format!("\n{indent}null as {name}{comma} -- no field found")
        });
        let mut lines: String = separated.collect();
        // What followed on the same line must not become part of the comment.
        if followed {
            lines.push('\n');
        }
        lines
    };
    let change = |title: String, names: &[&str]| Insertions {
        title,
        list: (select.start, last.end),
        texts: vec![(last.end, comma.to_owned()), (at, lines(names))],
    };
    let mut changes: Vec<Insertions> = missing
        .iter()
        .map(|name| change(format!("Add the missing column `{name}` as null"), &[*name]))
        .collect();
    if missing.len() > 1 {
        changes.insert(
            0,
            change(format!("Add all {} missing columns as null", missing.len()), &missing),
        );
    }
    changes
}

/// The white space before the first expression, if it begins its line; four spaces otherwise.
fn indent_of(text: &str, start: usize) -> String {
    let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let before = &text[line..start];
    if before.trim().is_empty() && !before.is_empty() {
        before.to_owned()
    } else {
        "    ".to_owned()
    }
}
