//! Prints the results of test cases: as text, JSON or JUnit XML. Their values come from the cases, so they are shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{data, message};
use crate::model::wording::counted;
use crate::preview::{CaseResult, Difference};

/// Prints the cases that fail, and how many there are. Returns the exit code.
pub fn cases(results: &[CaseResult], as_json: bool) -> u8 {
    let failed = results.iter().filter(|one| !one.passes()).count();
    if as_json {
        data(&as_value(results).to_string());
    } else {
        for one in results.iter().filter(|one| !one.passes()) {
            data(&format!("{}\n", failure_text(one)));
        }
        let passed = results.len() - failed;
        data(&format!(
            "{}: {passed} passed, {failed} failed",
            counted(results.len(), "case", "cases")
        ));
    }
    if failed > 0 {
        message("hint: mend the SQL, or write what comes out into the cases: --update");
    }
    u8::from(failed > 0)
}

/// Prints which files were rewritten. Cases whose batch fails remain, so they are printed. Returns the exit code.
pub fn updated(results: &[CaseResult], changed: &[String], as_json: bool) -> u8 {
    let left = |one: &&CaseResult| !one.passes() && (one.actual.error.is_some() || one.case.fails.is_some());
    let left: Vec<&CaseResult> = results.iter().filter(left).collect();
    for one in &left {
        message(&failure_text(one));
    }
    super::done("updated", changed, "every case is as it should be", as_json);
    u8::from(!left.is_empty())
}

fn failure_text(one: &CaseResult) -> String {
    let case = &one.case;
    let mut text = format!("FAIL {}:{}: {}", case.file().display(), case.location.line, case.name);
    for difference in &one.differences {
        let _ = write!(text, "\n{}", difference_text(difference));
    }
    text
}

fn difference_text(difference: &Difference) -> String {
    let mut text = format!("  line {}: {}", difference.line, difference.message);
    let width = difference
        .cells
        .iter()
        .map(|(column, ..)| column.chars().count())
        .max()
        .unwrap_or(0);
    for (column, expected, actual) in &difference.cells {
        let value = match (expected, actual) {
            (Some(expected), Some(actual)) => format!("{expected} is expected, and {actual} came"),
            (Some(only), None) | (None, Some(only)) => only.clone(),
            (None, None) => String::new(),
        };
        let _ = write!(text, "\n    {column:width$}  {value}");
    }
    text
}

fn as_value(results: &[CaseResult]) -> Value {
    let cell = |(column, expected, actual): &(String, Option<String>, Option<String>)| json!({"column": column, "expected": expected, "actual": actual});
    let difference = |one: &Difference| {
        json!({
            "line": one.line,
            "message": one.message,
            "cells": one.cells.iter().map(cell).collect::<Vec<_>>(),
        })
    };
    let case = |one: &CaseResult| {
        json!({
            "file": one.case.file(),
            "line": one.case.location.line,
            "source": one.case.source,
            "name": one.case.name,
            "passes": one.passes(),
            "seconds": one.took.as_secs_f64(),
            "differences": one.differences.iter().map(difference).collect::<Vec<_>>(),
        })
    };
    let failed = results.iter().filter(|one| !one.passes()).count();
    json!({
        "cases": results.iter().map(case).collect::<Vec<_>>(),
        "passed": results.len() - failed,
        "failed": failed,
    })
}

/// The results as JUnit XML: a suite per source, a case per test case.
pub fn junit(results: &[CaseResult]) -> String {
    let mut suites: BTreeMap<&str, Vec<&CaseResult>> = BTreeMap::new();
    for one in results {
        suites.entry(&one.case.source).or_default().push(one);
    }
    let failures = |of: &[&CaseResult]| of.iter().filter(|one| !one.passes()).count();
    let all: Vec<&CaseResult> = results.iter().collect();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{}\" failures=\"{}\">\n",
        all.len(),
        failures(&all)
    );
    for (source, of) in suites {
        let seconds: f64 = of.iter().map(|one| one.took.as_secs_f64()).sum();
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" time=\"{seconds:.3}\">",
            escaped(source),
            of.len(),
            failures(&of)
        );
        for one in of {
            let _ = write!(
                xml,
                "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
                escaped(&one.case.file().display().to_string()),
                escaped(&one.case.name),
                one.took.as_secs_f64()
            );
            if one.passes() {
                xml.push_str("/>\n");
                continue;
            }
            let first = one.differences.first().map_or("", |first| &first.message);
            let _ = writeln!(
                xml,
                ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                escaped(first),
                escaped(&failure_text(one))
            );
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// A text within XML. Characters that XML can't hold become spaces.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut xml, c| {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\n' | '\t' => xml.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => xml.push(' '),
            c => xml.push(c),
        }
        xml
    })
}
