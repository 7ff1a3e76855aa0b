//! Prints the quarantine: what runs did not load.

use super::{data, lines, message, table, thousands};
use crate::model::Refusal;
use crate::model::wording::one_line;
use crate::warehouse::quarantine::{Counted, Found};

const EMPTY: &str = "nothing is quarantined";

/// Prints the number of entries by batch, entity and check.
pub fn quarantine_list(counted: &[Counted], as_json: bool) {
    if as_json {
        data(&serde_json::json!(counted).to_string());
        return;
    }
    if counted.is_empty() {
        data(EMPTY);
        return;
    }
    let mut table = table(
        &["batch", "run", "status", "entity", "check", "entries", "reason"],
        &[1, 5],
    );
    for one in counted {
        table.add_row([
            format!("{} {}", one.source, one.batch_date),
            one.run_id.to_string(),
            one.status.clone(),
            one.entity.clone().unwrap_or_else(|| "record".to_owned()),
            one.check.clone(),
            thousands(one.entries.unsigned_abs()),
            one.reason.clone(),
        ]);
    }
    data(&lines(&table));
}

/// Tells the user for how many entries the file's name is not known.
pub fn quarantine_nameless(entries: usize) {
    if entries > 0 {
        let entries = thousands(entries as u64);
        message(&format!(
            "warning: {entries} entries are of files that are gone or were written again since; they are shown by their place"
        ));
    }
}

/// Prints the entries.
pub fn quarantine_show(found: &[Found], as_json: bool) {
    if as_json {
        data(&serde_json::json!(found).to_string());
        return;
    }
    if found.is_empty() {
        data(EMPTY);
        return;
    }
    let header = [
        "batch", "run", "entity", "check", "file", "record", "byte", "path", "reason",
    ];
    let mut table = table(&header, &[1, 5, 6]);
    for one in found {
        let batch = [format!("{} {}", one.source, one.batch_date), one.run_id.to_string()];
        table.add_row(batch.into_iter().chain(refusal_cells(&one.refusal)));
    }
    data(&lines(&table));
}

/// Refusals of one batch as a table.
pub(super) fn refusals_table(refusals: &[Refusal]) -> String {
    let mut table = table(
        &["entity", "check", "file", "record", "byte", "path", "reason"],
        &[3, 4],
    );
    for refusal in refusals {
        table.add_row(refusal_cells(refusal));
    }
    lines(&table)
}

fn refusal_cells(refusal: &Refusal) -> [String; 7] {
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let text = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), one_line);
    [
        refusal.entity.clone().unwrap_or_else(|| "record".to_owned()),
        refusal.check.clone(),
        text(&refusal.file),
        number(refusal.record),
        number(refusal.byte_offset),
        text(&refusal.path),
        refusal.reason.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_s_name_steers_no_terminal() {
        let refusal = Refusal {
            entity: None,
            check: "unreadable".to_owned(),
            file: Some("in/a\u{1b}[31m\n\u{202e}b.json".to_owned()),
            record: None,
            byte_offset: None,
            path: None,
            reason: "broken".into(),
            fault_offset: None,
        };
        let shown = refusals_table(&[refusal]);
        assert!(shown.contains(r"in/a\u{1b}[31m\n\u{202e}b.json"), "{shown}");
    }
}
