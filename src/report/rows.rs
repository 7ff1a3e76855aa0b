//! Prints the rows of a query and of the run history as a table, JSON or CSV.

use indicatif::BinaryBytes;
use serde_json::{Map, Value, json};

use super::{data, lines, message, stale_masks, table, thousands};
use crate::model::wording::steers;
use crate::run::StaleBatch;
use crate::warehouse::query::QueryResult;
use crate::warehouse::runs::RunRow;
use crate::warehouse::views::Stale;

/// The format in which rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    Table,
    Json,
    Csv,
}

/// Prints the rows of a query.
pub fn query(result: &QueryResult, rows: Rows) {
    match rows {
        Rows::Table => data(&query_table(result)),
        Rows::Json => data(&query_json(result)),
        Rows::Csv => data(&query_csv(result)),
    }
}

pub(super) fn query_table(result: &QueryResult) -> String {
    let header: Vec<String> = result.columns.iter().map(|name| shown(name)).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let numbers: Vec<usize> = (0..header.len())
        .filter(|i| Form::of(result, *i) == Form::Number)
        .collect();
    let mut table = table(&header, &numbers);
    for row in &result.rows {
        table.add_row(row.iter().map(|cell| shown(cell.as_deref().unwrap_or(""))));
    }
    let more = if result.truncated { " or more" } else { "" };
    let count = match result.rows.len() {
        1 => format!("(1 row{more})"),
        n => format!("({} rows{more})", thousands(n as u64)),
    };
    format!("{}\n{count}", lines(&table))
}

/// A cell on one line, without characters that a terminal would act on.
fn shown(cell: &str) -> String {
    cell.chars()
        .map(|c| if c.is_control() || steers(c) { ' ' } else { c })
        .collect()
}

/// How the text of a column is written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Number,
    Bool,
    Json,
    Text,
}

impl Form {
    /// Chosen by PostgreSQL's type name. Text if the type is not known.
    fn of(result: &QueryResult, column: usize) -> Self {
        match result.types.get(column).map(String::as_str) {
            Some("int2" | "int4" | "int8" | "float4" | "float8" | "numeric") => Self::Number,
            Some("bool") => Self::Bool,
            Some("json" | "jsonb") => Self::Json,
            _ => Self::Text,
        }
    }

    fn value(self, text: &str) -> Value {
        let text_value = || Value::from(text);
        match self {
            // Keeps PostgreSQL's digits unchanged. JSON has no NaN or Infinity, so they are written as text.
            Self::Number | Self::Json => serde_json::from_str(text).unwrap_or_else(|_| text_value()),
            Self::Bool => Value::from(text == "t"),
            Self::Text => text_value(),
        }
    }
}

fn query_json(result: &QueryResult) -> String {
    rows_value(result).to_string()
}

/// The rows as a JSON array of objects.
pub(super) fn rows_value(result: &QueryResult) -> Value {
    let forms: Vec<Form> = (0..result.columns.len()).map(|i| Form::of(result, i)).collect();
    let object = |row: &Vec<Option<String>>| {
        let cells = row
            .iter()
            .zip(&forms)
            .map(|(cell, form)| cell.as_deref().map_or(Value::Null, |t| form.value(t)));
        Value::Object(result.columns.iter().cloned().zip(cells).collect::<Map<_, _>>())
    };
    Value::Array(result.rows.iter().map(object).collect())
}

/// The rows as CSV (RFC 4180) with a header. A null is an empty field; an empty text is quoted.
pub(super) fn query_csv(result: &QueryResult) -> String {
    let field = |text: &str| {
        if text.is_empty() || text.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let mut text = result.columns.iter().map(|c| field(c)).collect::<Vec<_>>().join(",");
    for row in &result.rows {
        text.push('\n');
        let cells: Vec<String> = row
            .iter()
            .map(|cell| cell.as_deref().map_or_else(String::new, field))
            .collect();
        text.push_str(&cells.join(","));
    }
    text
}

/// Prints the run history, how far executors are with runs that go on, and the materialized views that do not show all of
/// it yet. In JSON each run has the names of
/// those that do not show it, and the columns whose rows it loaded under other masks; of all columns, where these are
/// not known.
pub fn status(runs: &[RunRow], stale: &[Stale], masks: &[StaleBatch], as_json: bool) {
    if as_json {
        let with_stale = |run: &RunRow| {
            let mut value = json!(run);
            let names = stale.iter().filter(|view| view.runs.contains(&run.run_id));
            value["stale_views"] = names.map(|view| view.name.as_str()).collect();
            let batch = masks.iter().find(|batch| batch.run_id == run.run_id);
            value["stale_masks"] = batch.map_or(Value::Null, stale_masks::columns);
            value
        };
        data(&Value::Array(runs.iter().map(with_stale).collect()).to_string());
        return;
    }
    let header = [
        "run",
        "batch",
        "action",
        "status",
        "started (UTC)",
        "seconds",
        "records",
        "rows",
        "deleted",
        "error",
    ];
    // Where no run deletes anything, nothing is said of it.
    let deletes = runs.iter().any(|run| deleted(run) > 0);
    let without = |index: usize| deletes || header[index] != "deleted";
    let shown: Vec<&str> = (0..header.len()).filter(|i| without(*i)).map(|i| header[i]).collect();
    let mut table = table(&shown, &[0, 5, 6, 7]);
    for run in runs {
        let or_dash = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), thousands);
        let mut row = vec![
            run.run_id.to_string(),
            format!("{} {}", run.source, run.batch_date),
            run.action.clone(),
            run.status.clone(),
            run.started_at.format("%Y-%m-%d %H:%M:%S").to_string(),
            seconds(run).map_or_else(|| "-".to_owned(), |s| format!("{s:.2}")),
            or_dash(records(run)),
            or_dash(rows(run)),
        ];
        if deletes {
            row.push(thousands(deleted(run)));
        }
        row.push(run.error.clone().unwrap_or_default());
        table.add_row(row);
    }
    data(&lines(&table));
    for run in runs {
        if let Some(read) = so_far(run, "bytes") {
            let of = input_bytes(run);
            let (read, of) = (BinaryBytes(read.min(of)), BinaryBytes(of));
            data(&format!("run {} goes on: {read} of {of} read", run.run_id));
        }
    }
    for view in stale {
        let runs: Vec<String> = view.runs.iter().map(ToString::to_string).collect();
        let of = if runs.is_empty() {
            String::new()
        } else {
            format!(" (without run {})", runs.join(", "))
        };
        data(&format!("stale materialized view {}{of}", view.name));
    }
    stale_masks::batches(masks);
    if !stale.is_empty() {
        message("the next run refreshes what it can, and so does `pipeline views --refresh`");
    }
}

fn seconds(run: &RunRow) -> Option<f64> {
    Some((run.finished_at? - run.started_at).as_seconds_f64())
}

/// The number of records that the run has read, or that executors have read of it so far.
fn records(run: &RunRow) -> Option<u64> {
    let read = run.records.and_then(|n| u64::try_from(n).ok());
    read.or_else(|| so_far(run, "records"))
}

/// The number of rows of all entities together, without the keys that are deleted; of a run that goes on, those so far.
fn rows(run: &RunRow) -> Option<u64> {
    if let Some(progress) = &run.progress {
        let entities = progress.get("entities")?.as_object()?;
        return Some(
            entities
                .values()
                .filter_map(|entity| entity.get("rows")?.as_u64())
                .sum(),
        );
    }
    run.counts.as_ref()?.as_object()?;
    Some(counted(run, false))
}

/// A number of what executors have noted of a run that goes on.
fn so_far(run: &RunRow, what: &str) -> Option<u64> {
    run.progress.as_ref()?.get(what)?.as_u64()
}

/// The size of the input, as listed.
fn input_bytes(run: &RunRow) -> u64 {
    let files = run.files.as_ref().and_then(Value::as_array).into_iter().flatten();
    files.filter_map(|file| file.get("size")?.as_u64()).sum()
}

/// The number of keys that the run's batch deletes.
fn deleted(run: &RunRow) -> u64 {
    counted(run, true)
}

/// The rows of the tables of deleted keys, or of the others.
fn counted(run: &RunRow, of_keys: bool) -> u64 {
    let from = |entity: &str| {
        let account = run.account.as_ref()?.get("entities")?.get(entity)?;
        account.get("deletes_from")
    };
    let counts = run.counts.as_ref().and_then(Value::as_object).into_iter().flatten();
    counts
        .filter(|(entity, _)| from(entity).is_some() == of_keys)
        .filter_map(|(_, count)| count.get("rows")?.as_u64())
        .sum()
}
