//! Prints what `pipeline preview` has found: rows, refusals or plans.

use serde_json::{Value, json};

use super::quarantine::refusals_table;
use super::rows::{query_csv, query_table, rows_value};
use super::{Rows, colored, data, diagnostics, lines, message, table, thousands};
use crate::model::wording::counted;
use crate::preview::{Preview, Table};

/// What to print of a preview.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    Rows,
    Refusals,
    Plan,
}

/// Prints a preview and returns the exit code.
pub fn preview(preview: &Preview, show: Show, rows: Rows) -> u8 {
    match (rows, show) {
        (Rows::Json, _) => data(&as_value(preview, show).to_string()),
        (Rows::Csv, _) => data(
            &preview
                .tables
                .first()
                .map_or_else(String::new, |one| query_csv(&one.rows)),
        ),
        (Rows::Table, Show::Refusals) if preview.refusals.is_empty() => data("nothing is refused"),
        (Rows::Table, Show::Refusals) => data(&refusals_table(&preview.refusals)),
        (Rows::Table, _) => {
            let table = |one: &Table| match show {
                Show::Plan => plan_table(one),
                _ => query_table(&one.rows),
            };
            let texts: Vec<String> = match &preview.tables[..] {
                [only] => vec![table(only)],
                all => all
                    .iter()
                    .map(|one| format!("{}\n{}", one.entity, table(one)))
                    .collect(),
            };
            data(&texts.join("\n\n"));
        }
    }
    tell(preview, show);
    for problem in &preview.problems {
        message(&diagnostics::render(problem, colored()));
    }
    u8::from(!preview.problems.is_empty())
}

/// Says which part of the batch was looked at.
fn tell(preview: &Preview, show: Show) {
    let records = usize::try_from(preview.records).unwrap_or(usize::MAX);
    let part = match (preview.complete, records) {
        (true, 1) => "the only record".to_owned(),
        (true, _) => format!("all {} records", thousands(preview.records)),
        (false, _) => format!("the first {} records", thousands(preview.records)),
    };
    let refused = match (preview.refused, show) {
        (0, _) => String::new(),
        (refused, Show::Refusals) => format!("; {} would be refused", thousands(refused as u64)),
        (refused, _) => format!(
            "; {} would be refused: --refused shows why",
            counted(refused, "record or row", "records or rows")
        ),
    };
    message(&format!("from {part} of {}{refused}", preview.batch));
    for one in &preview.tables {
        for (check, rows) in &one.warnings {
            message(&format!(
                "warning: {check} of {}: {} rows",
                one.entity,
                super::shown(*rows)
            ));
        }
    }
    if preview.random_key {
        message("warning: the project has no mask key, so masked values differ from those of a run");
    }
}

fn plan_table(one: &Table) -> String {
    let mut table = table(&["rows", "ms", "operator"], &[0, 1]);
    for operator in &one.plan {
        table.add_row([
            operator
                .rows
                .map_or_else(|| "-".to_owned(), |rows| thousands(rows as u64)),
            operator
                .time
                .map_or_else(|| "-".to_owned(), |time| format!("{:.3}", time.as_secs_f64() * 1000.0)),
            format!("{}{}", "  ".repeat(operator.depth), operator.what),
        ]);
    }
    lines(&table)
}

fn as_value(preview: &Preview, show: Show) -> Value {
    let entity = |one: &Table| {
        let mut value = json!({"entity": one.entity});
        if show == Show::Plan {
            let operators = one.plan.iter().map(|operator| {
                json!({
                    "depth": operator.depth,
                    "operator": operator.what,
                    "rows": operator.rows,
                    "ms": operator.time.map(|time| time.as_secs_f64() * 1000.0),
                })
            });
            value["plan"] = operators.collect();
        } else {
            value["rows"] = rows_value(&one.rows);
            value["more"] = one.rows.truncated.into();
        }
        value["warnings"] = one
            .warnings
            .iter()
            .map(|(check, rows)| json!({"check": check, "rows": rows}))
            .collect();
        value
    };
    let mut value = json!({
        "source": preview.batch.source,
        "date": preview.batch.date.to_string(),
        "records": preview.records,
        "complete": preview.complete,
        "refused": preview.refused,
        "problems": preview.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    if show == Show::Refusals {
        value["refusals"] = json!(preview.refusals);
    } else {
        value["entities"] = preview.tables.iter().map(entity).collect();
    }
    value
}
