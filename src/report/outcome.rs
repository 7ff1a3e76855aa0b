//! Prints the result of a run: its batches as a table or JSON, and the errors of the batches that failed.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::{colored, data, diagnostics, lines, message, shown, table, thousands};
use crate::error::{Diagnostic, Error};
use crate::model::{Batch, Shown};
use crate::run::{BatchOutcome, Deletions, EntityOutcome, Outcome, Status};

/// The most batches that are listed one by one before a run.
const NAMED: usize = 10;

/// Prints which batches a run will load, before it starts.
pub fn resolved(batches: &[Batch]) {
    let mut text = match batches.len() {
        0 => "no batch to load".to_owned(),
        1 => "1 batch: ".to_owned(),
        n => format!("{n} batches: "),
    };
    let names: Vec<String> = batches.iter().take(NAMED).map(ToString::to_string).collect();
    text.push_str(&names.join(", "));
    if let [.., last] = batches
        && batches.len() > NAMED
    {
        let _ = write!(text, ", ... {last}");
    }
    message(&text);
}

/// Prints the result of a run and returns the exit code.
pub fn outcome(outcome: &Outcome, timings: bool, as_json: bool) -> u8 {
    for batch in &outcome.batches {
        if let Some(error) = &batch.error {
            message(&format!(
                "\n{}",
                diagnostics::render(&in_batch(batch, error), colored())
            ));
        }
    }
    for batch in &outcome.batches {
        warnings(batch);
    }
    for error in &outcome.refresh_errors {
        message(&format!("\n{}", diagnostics::render(error, colored())));
    }
    super::name_stale(&outcome.stale);
    data(&if as_json {
        as_value(outcome).to_string()
    } else {
        as_table(outcome)
    });
    if timings && !as_json {
        for batch in outcome.batches.iter().filter(|batch| !batch.times.is_empty()) {
            data(&format!("\n{}", times_table(batch)));
        }
    }
    outcome.exit_code()
}

/// The seconds that each stage took, for the batch and for each entity.
fn times_table(batch: &BatchOutcome) -> String {
    let name = batch.batch.to_string();
    let mut header = vec![name.as_str(), "seconds"];
    header.extend(batch.entities.iter().map(|e| e.entity.as_str()));
    let mut table = table(&header, &(1..header.len()).collect::<Vec<_>>());
    let seconds = |time: Duration| format!("{:.2}", time.as_secs_f64());
    for (stage, time) in &batch.times {
        let mut row = vec![stage.replace('_', " "), seconds(*time)];
        row.extend(batch.entities.iter().map(|entity| {
            let of_entity = entity.times.iter().find(|(own, _)| own == stage);
            of_entity.map_or_else(String::new, |(_, time)| seconds(*time))
        }));
        table.add_row(row);
    }
    lines(&table)
}

/// Prints the warnings of checks.
fn warnings(batch: &BatchOutcome) {
    for warning in &batch.warnings {
        message(&format!("warning: {}: {warning}", batch.batch));
    }
    for entity in &batch.entities {
        for (check, rows) in &entity.warnings {
            let rows = super::shown(*rows);
            message(&format!(
                "warning: {}: {rows} rows of {} break {check}",
                batch.batch, entity.entity
            ));
        }
    }
}

/// Puts the batch's name in front of an error.
fn in_batch(batch: &BatchOutcome, error: &Error) -> Error {
    Error {
        message: format!("{}: {}", batch.batch, error.message),
        ..error.clone()
    }
}

/// The result of one batch in one line.
pub(super) fn summary_line(outcome: &BatchOutcome) -> String {
    let seconds = outcome.elapsed.as_secs_f64();
    let mut line = format!("{}: {}", outcome.batch, outcome.status);
    if outcome.status == Status::Committed {
        let rows: Vec<String> = outcome
            .entities
            .iter()
            .map(|e| format!("{} {}", thousands(e.rows), e.entity))
            .collect();
        let _ = write!(
            line,
            " {} from {} records",
            rows.join(", "),
            thousands(outcome.records.read())
        );
        if outcome.quarantined() > 0 {
            let _ = write!(line, ", {} quarantined", thousands(outcome.quarantined()));
        }
        if outcome.records.suppressed > 0 {
            let _ = write!(line, ", {} left out", thousands(outcome.records.suppressed));
        }
        if outcome.records.unknown > 0 {
            let _ = write!(line, ", {} of no declared kind", thousands(outcome.records.unknown));
        }
    }
    let _ = write!(line, " in {seconds:.2} s");
    line
}

fn as_table(outcome: &Outcome) -> String {
    let mut header = vec!["batch", "status", "records"];
    header.extend(outcome.entities.iter().map(String::as_str));
    let quarantined: u64 = outcome.batches.iter().map(BatchOutcome::quarantined).sum();
    // A run without refused rows does not mention the quarantine.
    if quarantined > 0 {
        header.push("quarantined");
    }
    header.push("seconds");
    let numbers: Vec<usize> = (2..header.len()).collect();
    let mut table = table(&header, &numbers);
    for batch in &outcome.batches {
        let mut row = vec![batch.batch.to_string(), batch.status.to_string()];
        let loaded = batch.status == Status::Committed;
        row.push(if loaded {
            thousands(batch.records.read())
        } else {
            "-".into()
        });
        row.extend(
            outcome
                .entities
                .iter()
                .map(|e| batch.rows(e).map_or_else(|| "-".into(), thousands)),
        );
        if quarantined > 0 {
            row.push(if loaded {
                thousands(batch.quarantined())
            } else {
                "-".into()
            });
        }
        row.push(format!("{:.2}", batch.elapsed.as_secs_f64()));
        table.add_row(row);
    }
    if outcome.batches.len() > 1 {
        let mut row = vec!["total".to_owned(), String::new()];
        row.push(thousands(
            outcome
                .batches
                .iter()
                .filter(|b| b.status == Status::Committed)
                .map(|b| b.records.read())
                .sum(),
        ));
        let total = |entity: &String| outcome.batches.iter().filter_map(|b| b.rows(entity)).sum();
        row.extend(outcome.entities.iter().map(|e| thousands(total(e))));
        if quarantined > 0 {
            row.push(thousands(quarantined));
        }
        row.push(format!("{:.2}", outcome.elapsed.as_secs_f64()));
        table.add_row(row);
    }
    let mut text = lines(&table);
    if !outcome.refreshed.is_empty() {
        let _ = write!(text, "\nrefreshed {}", outcome.refreshed.join(", "));
    }
    text.push_str(&deleted(outcome));
    for batch in outcome.batches.iter().filter(|batch| batch.records.suppressed > 0) {
        let suppressed = thousands(batch.records.suppressed);
        let _ = write!(
            text,
            "\n{}: {suppressed} records of persons on the suppression list were left out",
            batch.batch
        );
    }
    if quarantined > 0 {
        text.push_str("\nwhat was quarantined, and why: pipeline quarantine list");
    }
    text
}

fn as_value(outcome: &Outcome) -> Value {
    json!({
        "batches": outcome.batches.iter().map(batch_value).collect::<Vec<_>>(),
        "refreshed": outcome.refreshed,
        "refresh_error": outcome.refresh_errors.first().map(error_value),
        "refresh_errors": outcome.refresh_errors.iter().map(error_value).collect::<Vec<_>>(),
        "stale": outcome.stale,
        "seconds": outcome.elapsed.as_secs_f64(),
        "exit_code": outcome.exit_code(),
    })
}

fn batch_value(batch: &BatchOutcome) -> Value {
    let entities = batch.entities.iter().map(|e| (e.entity.clone(), entity_value(e)));
    let mut value = json!({
        "source": batch.batch.source,
        "date": batch.batch.date.to_string(),
        "run_id": batch.run_id,
        "status": batch.status.to_string(),
        "records": batch.records.read(),
        "records_quarantined": batch.records.refused,
        "records_suppressed": batch.records.suppressed,
        "warnings": batch.warnings,
        "entities": entities.collect::<serde_json::Map<_, _>>(),
        "files": batch.files.iter().map(|f| json!({"path": f.path, "size": f.size})).collect::<Vec<_>>(),
        "timings_ms": millis(&batch.times),
        "seconds": batch.elapsed.as_secs_f64(),
        "error": batch.error.as_ref().map(error_value),
    });
    if let Some(export) = &batch.export {
        value["export"] = export.value();
    }
    if !batch.kinds.kinds.is_empty() {
        value["kinds"] = batch.kinds.value();
        value["unknown_kinds"] = json!(batch.kinds.unknown_value());
    }
    value
}

fn entity_value(entity: &EntityOutcome) -> Value {
    let mut value = json!({
        "rows": entity.rows,
        "bytes": entity.bytes,
        "produced": entity.produced,
        "quarantined": entity.refused(),
        "missing": entity.missing,
        "suppressed": entity.suppressed,
        "warnings": entity.warnings,
        "timings_ms": millis(&entity.times),
        "elements": entity.elements,
    });
    if let Some(deletions) = &entity.deletions {
        value["deletes_from"] = json!(deletions.from);
        value["never_loaded"] = json!(deletions.never_loaded);
    }
    value
}

/// What each batch deletes, a line for each entity.
fn deleted(outcome: &Outcome) -> String {
    let mut text = String::new();
    for batch in &outcome.batches {
        for entity in batch.entities.iter().filter(|entity| entity.rows > 0) {
            let Some(Deletions { from, never_loaded }) = &entity.deletions else {
                continue;
            };
            let keys = thousands(entity.rows);
            let _ = write!(text, "\n{}: {keys} keys of {from} are deleted", batch.batch);
            if *never_loaded != Shown::Exactly(0) {
                let _ = write!(text, ", of which {} were never loaded", shown(*never_loaded));
            }
        }
    }
    text
}

fn millis(times: &[(&'static str, Duration)]) -> Value {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let entries = times
        .iter()
        .map(|(stage, time)| ((*stage).to_owned(), millis(*time).into()));
    Value::Object(entries.collect())
}

/// An error as JSON.
pub(super) fn error_value(error: &Error) -> Value {
    json!({
        "message": error.message,
        "code": error.code.name(),
        "cause": error.why(),
        "hint": error.hint,
        "diagnostics": error.diagnostics.iter().map(diagnostic_value).collect::<Vec<_>>(),
    })
}

/// A problem of the project as JSON.
pub(super) fn diagnostic_value(diagnostic: &Diagnostic) -> Value {
    let location = diagnostic.location.as_ref();
    json!({
        "message": diagnostic.message,
        "file": location.map(|l| l.file.display().to_string()),
        "line": location.map(|l| l.line),
        "column": location.map(|l| l.column),
        "hint": diagnostic.hint,
    })
}
