//! `pipeline test --update`: writes what came out into the files as what is expected. Everything else in the files
//! stays as it is.

use std::fmt::Write as _;
use std::path::Path;

use super::actual::Actual;
use super::bench::CaseResult;
use super::yaml;
use crate::error::{Error, Result};
use crate::model::{Lines, TestCase};
use crate::warehouse::query::QueryResult;
use crate::workspace;

/// Rewrites the expectations of the cases that fail. Returns the names of the files that it changed. A case whose batch
/// fails is left alone.
///
/// # Errors
/// A file that can't be read or written, and one whose expectations do not stand on lines of their own.
pub fn update(root: &Path, results: &[CaseResult]) -> Result<Vec<String>> {
    let mut changed: Vec<String> = Vec::new();
    let failed = |one: &&CaseResult| !one.passes() && one.actual.error.is_none() && one.case.fails.is_none();
    let mut files: Vec<&Path> = results
        .iter()
        .filter(failed)
        .map(|one| one.case.file().as_path())
        .collect();
    files.dedup();
    for file in files {
        let of_file = results.iter().filter(failed).filter(|one| one.case.file() == file);
        let cases: Vec<(&TestCase, &Actual)> = of_file.map(|one| (&one.case, &one.actual)).collect();
        let path = root.join(file);
        let unreadable = |error| Error::project(format!("{} can't be read", file.display())).cause(error);
        let text = std::fs::read_to_string(&path).map_err(unreadable)?;
        let unwritable = |error| Error::project(format!("{} can't be written", file.display())).cause(error);
        workspace::replace(&path, &rewritten(&text, &cases)?).map_err(unwritable)?;
        changed.push(file.display().to_string());
    }
    Ok(changed)
}

/// The text of a file with new expectations for some of its cases.
pub(super) fn rewritten(text: &str, cases: &[(&TestCase, &Actual)]) -> Result<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // From the last to the first, so that the lines before keep their numbers.
    let mut cases = cases.to_vec();
    cases.sort_by_key(|(case, _)| std::cmp::Reverse(case.location.line));
    for (case, actual) in cases {
        let (rows, refused) = (rows(case, actual), refused(case, actual));
        let mut blocks = vec![(case.place.rows, rows), (case.place.refused, refused)];
        // Those that stand in the file, from the last; then new ones at the case's end.
        let new: Vec<String> = blocks
            .iter()
            .filter(|(at, _)| at.is_none())
            .flat_map(|(_, new)| new.clone())
            .collect();
        let end = case.place.end - 1;
        lines.splice(end..end, new);
        blocks.sort_by_key(|(at, _)| std::cmp::Reverse(at.map_or(0, |at| at.first)));
        for (at, block) in blocks {
            let Some(Lines { first, end }) = at else {
                continue;
            };
            stands_alone(&lines[first - 1], case)?;
            lines.splice(first - 1..end - 1, block);
        }
    }
    let mut text = lines.join("\n");
    text.push('\n');
    Ok(text)
}

/// Fails where a key does not begin its line, as in a case that is written in braces.
fn stands_alone(line: &str, case: &TestCase) -> Result<()> {
    let rest = line.get(case.place.indent..).unwrap_or_default();
    let before = line.get(..case.place.indent).unwrap_or("x");
    if before.trim().is_empty() && (rest.starts_with("rows") || rest.starts_with("refused")) {
        return Ok(());
    }
    let file = case.file().display();
    Err(Error::project(format!(
        "{file}: the expectations of `{}` can't be rewritten",
        case.name
    ))
    .hint("let `rows:` and `refused:` begin lines of their own, after `name:`"))
}

/// The lines of `rows`. They have the entities and columns that the case has, or all of them.
fn rows(case: &TestCase, actual: &Actual) -> Vec<String> {
    let pad = " ".repeat(case.place.indent);
    let mut entities = Vec::new();
    for (entity, table) in &actual.tables {
        let expected = case.rows.iter().find(|one| one.entity == *entity);
        let named = expected.is_some() || (case.place.rows.is_none() && !table.rows.is_empty());
        if !named {
            continue;
        }
        if table.rows.is_empty() {
            entities.push(format!("{pad}  {entity}: []"));
            continue;
        }
        let used = |column: &str| {
            let mut rows = expected.iter().flat_map(|one| &one.rows);
            rows.any(|row| row.cells.iter().any(|(name, _)| name == column))
        };
        let any = table.columns.iter().any(|column| used(column));
        let columns: Vec<usize> = (0..table.columns.len())
            .filter(|at| !any || used(&table.columns[*at]))
            .collect();
        entities.push(format!("{pad}  {entity}:"));
        entities.extend(
            table
                .rows
                .iter()
                .map(|row| format!("{pad}    - {}", mapping(table, row, &columns))),
        );
    }
    if entities.is_empty() {
        return vec![format!("{pad}rows: {{}}")];
    }
    entities.insert(0, format!("{pad}rows:"));
    entities
}

fn mapping(table: &QueryResult, row: &[Option<String>], columns: &[usize]) -> String {
    let mut text = String::new();
    for at in columns {
        let separator = if text.is_empty() { "" } else { ", " };
        let (name, pg) = (&table.columns[*at], &table.types[*at]);
        let cell = match (row[*at].as_deref(), pg.as_str()) {
            (Some(array), "_text") => serde_json::Value::from(elements(array)).to_string(),
            (cell, pg) => yaml::cell(cell, pg),
        };
        let _ = write!(text, "{separator}{name}: {cell}");
    }
    format!("{{{text}}}")
}

/// The elements of an array in PostgreSQL's form.
fn elements(array: &str) -> Vec<Option<String>> {
    let inner = array
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(array);
    let (mut elements, mut chars) = (Vec::new(), inner.chars().peekable());
    while chars.peek().is_some() {
        let mut text = String::new();
        let quoted = chars.next_if_eq(&'"').is_some();
        while let Some(c) = chars.next() {
            match c {
                '\\' if quoted => text.extend(chars.next()),
                '"' if quoted => break,
                ',' if !quoted => break,
                c => text.push(c),
            }
        }
        if quoted {
            chars.next_if_eq(&',');
        }
        elements.push((quoted || text != "NULL").then_some(text));
    }
    elements
}

/// The lines of `refused`. None where nothing is refused.
fn refused(case: &TestCase, actual: &Actual) -> Vec<String> {
    if actual.refusals.is_empty() {
        return Vec::new();
    }
    let pad = " ".repeat(case.place.indent);
    let mut lines = vec![format!("{pad}refused:")];
    lines.extend(
        actual
            .refusals
            .iter()
            .map(|one| format!("{pad}  - {}", yaml::refusal(one))),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_read_as_they_are_written() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            elements("{a,\"b,c\",NULL,\"NULL\",\"\\\"\"}"),
            [text("a"), text("b,c"), None, text("NULL"), text("\"")]
        );
        assert_eq!(elements("{}"), []);
    }
}
