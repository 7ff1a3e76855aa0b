//! Compares what came out of a case with what it expects.

use super::actual::Actual;
use super::matching::pairs;
use super::yaml;
use crate::error::Location;
use crate::model::{ExpectedCell, ExpectedRefusal, ExpectedRow, ExpectedRows, Refusal, TestCase};
use crate::preview::cells::element;
use crate::warehouse::query::QueryResult;

/// One difference between a case and what came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The line of the file that it is about.
    pub line: usize,
    pub message: String,
    /// The cells, as YAML: column, expected value, actual value. The expected value is missing for a row that is not
    /// expected, the actual one for a row that did not come.
    pub cells: Vec<(String, Option<String>, Option<String>)>,
}

/// With more pairs of rows than this, differences are only counted.
const MOST_COMPARED: usize = 2500;

/// All differences, rows before refusals.
pub(super) fn differences(case: &TestCase, actual: &Actual) -> Vec<Difference> {
    if let Some(error) = &actual.error {
        let message = match &case.fails {
            Some(part) if error.to_string().contains(part.as_str()) => return Vec::new(),
            Some(part) => format!("the batch fails, but not with `{part}`: {error}"),
            None => format!("the batch fails: {error}"),
        };
        return vec![at(&case.location, message)];
    }
    if case.fails.is_some() {
        return vec![at(&case.location, "the batch does not fail".to_owned())];
    }
    let mut differences = Vec::new();
    for expected in &case.rows {
        match actual.tables.iter().find(|(entity, _)| *entity == expected.entity) {
            Some((_, table)) => differences.extend(rows(expected, table)),
            None => differences.push(at(&expected.location, format!("{} has no rows", expected.entity))),
        }
    }
    differences.extend(refusals(case, &actual.refusals));
    differences
}

fn at(location: &Location, message: String) -> Difference {
    Difference {
        line: location.line,
        message,
        cells: Vec::new(),
    }
}

/// Compares the rows of one entity, in any order. Each expected row is one row of the table.
fn rows(expected: &ExpectedRows, table: &QueryResult) -> Vec<Difference> {
    let fits = |row: usize, of: usize| {
        let differing = differing(&expected.rows[row], table, of);
        differing.is_empty()
    };
    let (mut wanted, mut left) = pairs(expected.rows.len(), table.rows.len(), fits);
    let mut differences = Vec::new();
    if wanted.len() * left.len() > MOST_COMPARED {
        let (missing, surplus) = (wanted.len(), left.len());
        let message = format!(
            "{}: {missing} rows did not come, and {surplus} are not expected",
            expected.entity
        );
        return vec![at(&expected.location, message)];
    }
    // What is left is paired by the fewest differences, so that a wrong cell shows as such and not as two rows.
    loop {
        let candidates = wanted.iter().flat_map(|row| left.iter().map(move |of| (*row, *of)));
        let counted = candidates.map(|(row, of)| (differing(&expected.rows[row], table, of).len(), row, of));
        let Some((count, row, of)) = counted.min() else {
            break;
        };
        let cells = &expected.rows[row].cells;
        if count * 2 > cells.len() && cells.len() > 1 {
            break;
        }
        wanted.retain(|one| *one != row);
        left.retain(|one| *one != of);
        differences.push(Difference {
            cells: differing(&expected.rows[row], table, of),
            ..at(
                &expected.rows[row].location,
                format!("{}: a row differs", expected.entity),
            )
        });
    }
    for row in wanted {
        let cells = expected.rows[row].cells.iter();
        let cells = cells.map(|(column, cell)| (column.clone(), Some(shown(cell, pg(table, column))), None));
        differences.push(Difference {
            cells: cells.collect(),
            ..at(
                &expected.rows[row].location,
                format!("{}: a row did not come", expected.entity),
            )
        });
    }
    for of in left {
        let cells = table.columns.iter().zip(&table.rows[of]);
        let cells =
            cells.map(|(column, text)| (column.clone(), None, Some(actual_shown(table, column, text.as_deref()))));
        differences.push(Difference {
            cells: cells.collect(),
            ..at(
                &expected.location,
                format!("{}: a row is not expected", expected.entity),
            )
        });
    }
    differences.sort_by_key(|difference| difference.line);
    differences
}

/// The cells in which a row of the table is not as expected.
fn differing(expected: &ExpectedRow, table: &QueryResult, row: usize) -> Vec<(String, Option<String>, Option<String>)> {
    let mut cells = Vec::new();
    for (column, cell) in &expected.cells {
        let Some(at) = table.columns.iter().position(|name| name == column) else {
            continue;
        };
        let text = table.rows[row][at].as_deref();
        if !equal(cell, text, &table.types[at]) {
            let actual = actual_shown(table, column, text);
            cells.push((column.clone(), Some(shown(cell, &table.types[at])), Some(actual)));
        }
    }
    cells
}

/// Whether a cell has the expected value. Numbers, times and JSON may be written in other ways.
fn equal(expected: &ExpectedCell, actual: Option<&str>, pg: &str) -> bool {
    let Some(actual) = actual else {
        return *expected == ExpectedCell::Null;
    };
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    match (expected, pg) {
        (ExpectedCell::Null, _) => false,
        (ExpectedCell::List(elements), _) => array(elements) == actual,
        (ExpectedCell::Json(text), _) => json(text).is_some() && json(text) == json(actual),
        (ExpectedCell::Text(text), "jsonb") => json(text).map_or(text == actual, |value| Some(value) == json(actual)),
        (ExpectedCell::Text(text), "int2" | "int4" | "int8" | "numeric") => number(text) == number(actual),
        (ExpectedCell::Text(text), "float4" | "float8") => {
            text == actual || text.parse::<f64>().is_ok_and(|value| actual.parse() == Ok(value))
        }
        (ExpectedCell::Text(text), "bool") => matches!((text.as_str(), actual), ("true", "t") | ("false", "f")),
        (ExpectedCell::Text(text), "timestamp" | "timestamptz") => time(text) == time(actual),
        (ExpectedCell::Text(text), _) => text == actual,
    }
}

/// A number without zeros that do not count.
fn number(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let digits = if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    };
    let digits = digits.trim_start_matches('0');
    let digits = if digits.is_empty() || digits.starts_with('.') {
        format!("0{digits}")
    } else {
        digits.to_owned()
    };
    if digits == "0" {
        digits
    } else {
        format!("{sign}{digits}")
    }
}

/// A time as PostgreSQL shows it: with a space before the hours, and `+00` for UTC.
fn time(text: &str) -> String {
    let text = text.replacen('T', " ", 1);
    match text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00")) {
        Some(utc) => format!("{utc}+00"),
        None => text,
    }
}

fn array(elements: &[Option<String>]) -> String {
    let elements = elements
        .iter()
        .map(|text| text.as_deref().map_or_else(|| "NULL".to_owned(), element));
    format!("{{{}}}", elements.collect::<Vec<_>>().join(","))
}

/// The name of a column's type.
fn pg<'a>(table: &'a QueryResult, column: &str) -> &'a str {
    let at = table.columns.iter().position(|name| name == column);
    at.and_then(|at| table.types.get(at)).map_or("", String::as_str)
}

fn shown(cell: &ExpectedCell, pg: &str) -> String {
    match cell {
        ExpectedCell::Null => "null".to_owned(),
        ExpectedCell::Text(text) if pg == "bool" => text.clone(),
        ExpectedCell::Text(text) => yaml::cell(Some(text), pg),
        ExpectedCell::List(elements) => array(elements),
        ExpectedCell::Json(json) => json.clone(),
    }
}

fn actual_shown(table: &QueryResult, column: &str, text: Option<&str>) -> String {
    yaml::cell(text, pg(table, column))
}

/// Compares the refusals, in any order.
fn refusals(case: &TestCase, actual: &[Refusal]) -> Vec<Difference> {
    let fits = |row: usize, of: usize| refused_so(&case.refused[row], &actual[of]);
    let (wanted, left) = pairs(case.refused.len(), actual.len(), fits);
    let mut differences: Vec<Difference> = Vec::new();
    for row in wanted {
        let expected = &case.refused[row];
        differences.push(at(&expected.location, "a refusal did not come".to_owned()));
    }
    for of in left {
        let refusal = yaml::refusal(&actual[of]);
        differences.push(at(&case.location, format!("a refusal is not expected: {refusal}")));
    }
    differences
}

fn refused_so(expected: &ExpectedRefusal, actual: &Refusal) -> bool {
    let text = |expected: &Option<String>, actual: Option<&str>| {
        expected.as_deref().is_none_or(|expected| Some(expected) == actual)
    };
    text(&expected.entity, Some(actual.entity.as_deref().unwrap_or("record")))
        && text(&expected.check, Some(&actual.check))
        && text(&expected.path, actual.path.as_deref())
        && text(&expected.reason, Some(&actual.reason))
        && expected.record.is_none_or(|record| Some(record) == actual.record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> ExpectedCell {
        ExpectedCell::Text(text.to_owned())
    }

    #[test]
    fn values_are_equal_however_they_are_written() {
        for (expected, actual, pg) in [
            ("1.50", "1.5", "numeric"),
            ("-0", "0.00", "numeric"),
            ("007", "7", "int4"),
            (".5", "0.5", "numeric"),
            ("1e3", "1000", "float8"),
            ("true", "t", "bool"),
            ("2023-05-02T10:00:00Z", "2023-05-02 10:00:00+00", "timestamptz"),
            ("{\"a\": 1}", "{\"a\":1}", "jsonb"),
            ("a", "a", "text"),
        ] {
            assert!(equal(&text(expected), Some(actual), pg), "{expected} {actual}");
        }
        for (expected, actual, pg) in [
            ("1.5", "1.05", "numeric"),
            ("10", "1", "int4"),
            ("-1", "1", "int4"),
            ("t", "t", "bool"),
            ("1.0", "1", "text"),
            ("a", "b", "jsonb"),
        ] {
            assert!(!equal(&text(expected), Some(actual), pg), "{expected} {actual}");
        }
        assert!(equal(&ExpectedCell::Null, None, "text") && !equal(&text("null"), None, "text"));
        let list = ExpectedCell::List(vec![Some("a b".to_owned()), None]);
        assert!(equal(&list, Some("{\"a b\",NULL}"), "_text"));
        assert!(equal(&ExpectedCell::Json("[1]".to_owned()), Some("[ 1 ]"), "jsonb"));
    }
}
