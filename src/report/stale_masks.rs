//! Prints which batches were loaded under other masks than the project declares now, and the privacy report, which is
//! true of those only once they are loaded again.

use serde_json::{Value, json};

use super::{colored, data, diagnostics, message};
use crate::error::Error;
use crate::lineage::PrivacyReport;
use crate::run::{Because, LeftTable, StaleBatch, StaleColumn};

const HINT: &str =
    "`pipeline run --stale-masks` loads these batches again; until then their rows are as they were loaded";

/// Prints the privacy report. `stale`: `None` where no database was asked.
pub fn privacy(report: &PrivacyReport, stale: Option<&[StaleBatch]>, as_json: bool) {
    if as_json {
        let mut value = report.to_json();
        value["stale_masks"] = as_value(stale);
        data(&value.to_string());
        return;
    }
    data(&report.to_text());
    if stale.is_some_and(|stale| !stale.is_empty()) {
        data("");
    }
    batches(stale.unwrap_or_default());
}

/// Prints a line for each column of each batch, and what to do about it.
pub(super) fn batches(stale: &[StaleBatch]) {
    for batch in stale {
        for line in lines(batch) {
            data(&line);
        }
    }
    if !stale.is_empty() {
        message(&format!("hint: {HINT}"));
    }
}

/// Says that the masks of the loaded batches are not known.
pub fn unknown_masks(error: &Error) {
    message(&diagnostics::render(error, colored()));
    message("whether batches were loaded under other masks is not known");
}

/// Names batches that can't be loaded again.
pub fn lost(batches: &[StaleBatch]) {
    for StaleBatch { batch, because, .. } in batches {
        message(&format!(
            "{batch} can't be loaded again: {}\n  hint: `pipeline drop --source {} --date {}` removes its rows",
            reason(because),
            batch.source,
            batch.date
        ));
    }
}

/// Names the tables that hold rows of batches and are no entity of the project.
pub fn left_tables(left: &[LeftTable]) {
    const TOLD: usize = 3;
    for LeftTable { table, batches } in left {
        let names: Vec<String> = batches.iter().take(TOLD).map(ToString::to_string).collect();
        let more = match batches.len().saturating_sub(TOLD) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        message(&format!(
            "warning: the table {table} is not in pipeline.yaml and holds rows of {}{more}: loads leave them as they are, \
             and no person is searched in it\n  hint: a migration with `drop table` removes it; `pipeline drop` removes one \
             batch from it",
            names.join(", ")
        ));
    }
}

fn lines(stale: &StaleBatch) -> Vec<String> {
    let batch = &stale.batch;
    match &stale.because {
        Because::Columns(columns) => columns
            .iter()
            .map(
                |StaleColumn {
                     entity,
                     column,
                     loaded,
                     now,
                     ..
                 }| {
                    format!("loaded under other masks: {batch}: {entity}.{column} with {loaded}; now {now}")
                },
            )
            .collect(),
        because => vec![format!("loaded under other masks: {batch}: {}", reason(because))],
    }
}

fn reason(because: &Because) -> &'static str {
    match because {
        Because::Columns(_) => "the masks of columns have changed",
        Because::Unrecorded => "its masks are not recorded, since an older version loaded it",
        Because::NoSource => "its source is no longer in the project",
        Because::Dropped => "it was dropped while a table that holds rows of it was not in pipeline.yaml",
    }
}

/// `null` where no database was asked.
pub(super) fn as_value(stale: Option<&[StaleBatch]>) -> Value {
    stale.map_or(Value::Null, |stale| stale.iter().map(batch_value).collect())
}

fn batch_value(stale: &StaleBatch) -> Value {
    json!({
        "source": stale.batch.source,
        "date": stale.batch.date.to_string(),
        "run_id": stale.run_id,
        "reason": reason(&stale.because),
        "columns": columns(stale),
    })
}

/// The columns of a batch; none where all of them are meant.
pub(super) fn columns(stale: &StaleBatch) -> Value {
    let Because::Columns(columns) = &stale.because else {
        return Value::Array(Vec::new());
    };
    let one = |one: &StaleColumn| json!({"column": format!("{}.{}", one.entity, one.column), "loaded": one.loaded, "now": one.now});
    columns.iter().map(one).collect()
}
