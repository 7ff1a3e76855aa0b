//! Everything that prints. Results go to stdout and messages to stderr. Colour is used only on a terminal, and never if
//! `NO_COLOR` is set. Nothing is decided here.

mod added;
mod cases;
pub mod diagnostics;
mod doctor;
mod init;
mod logs;
mod outcome;
mod person;
mod preview;
mod progress;
mod progress_lines;
mod quarantine;
mod risk;
mod roles;
mod rows;
mod stale_masks;
mod updated;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::json;

pub use added::source_added;
pub use cases::{cases, junit, updated};
pub use doctor::doctor;
pub use init::initialised;
pub use logs::{LogFormat, quiet_panics, start_logs};
pub use outcome::{outcome, resolved};
pub use person::{entries_removed, erased, receipt, suppressed, to_erase, traced, unsuppressed};
pub use preview::{Show, preview};
pub use progress::progress;
pub use quarantine::{quarantine_list, quarantine_nameless, quarantine_show};
pub use risk::risk;
pub use roles::roles;
pub use rows::{Rows, query, status};
pub use stale_masks::{left_tables, lost, privacy, unknown_masks};
pub use updated::source_updated;

use crate::error::Error;
use crate::model::wording::{counted, printable};
use crate::model::{Batch, Shown, ViewKind};
use crate::run::{Checked, Drop, StaleBatch, Suppressed, Useless};
use crate::warehouse::views::{Action, Applied, Refresh};

/// Prints an error to stderr and returns its exit code.
pub fn failure(error: &Error) -> u8 {
    message(&diagnostics::render(error, colored()));
    error.kind.exit_code()
}

/// Prints a line of information to stderr.
pub fn message(text: &str) {
    // A closed stderr must not make the program fail.
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}

/// Prints data to stdout. A closed pipe is not an error.
pub fn data(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Prints what a command did: one line each on stdout, or one JSON array of strings under `key`.
pub fn done(key: &str, lines: &[String], nothing: &str, as_json: bool) {
    if as_json {
        data(&json!({ key: lines }).to_string());
    } else if lines.is_empty() {
        data(nothing);
    } else {
        data(&lines.join("\n"));
    }
}

/// Prints what became of each view, and which were refreshed or are to be.
pub fn views(applied: &[Applied], refresh: &Refresh, as_json: bool) {
    let refreshed: Vec<&str> = refresh.refreshed.iter().map(|view| view.name.as_str()).collect();
    let stale: Vec<&str> = refresh.stale.iter().map(|view| view.name.as_str()).collect();
    if as_json {
        let views = applied
            .iter()
            .map(|a| json!({"kind": kind(a.kind), "name": a.name, "action": action(a.action)}));
        let views = views.collect::<Vec<_>>();
        data(&json!({"views": views, "refreshed": refreshed, "stale": stale}).to_string());
        return;
    }
    let changed: Vec<&Applied> = applied.iter().filter(|a| a.action != Action::Unchanged).collect();
    for a in &changed {
        data(&format!("{} {} {}", action(a.action), kind(a.kind), a.name));
    }
    for name in &refreshed {
        data(&format!("refreshed materialized view {name}"));
    }
    for name in &stale {
        data(&format!("stale materialized view {name}"));
    }
    let named = |a: &&Applied| refreshed.contains(&a.name.as_str()) || stale.contains(&a.name.as_str());
    let unchanged = applied.iter().filter(|a| a.action == Action::Unchanged);
    match unchanged
        .filter(|a| !(a.kind == ViewKind::Materialized && named(a)))
        .count()
    {
        0 => {}
        n => data(&format!("{n} up to date")),
    }
}

/// Prints why views could not be refreshed, and names those that are stale; returns the exit code.
pub fn not_refreshed(refresh: &Refresh) -> u8 {
    for error in &refresh.errors {
        message(&diagnostics::render(error, colored()));
    }
    let stale: Vec<String> = refresh.stale.iter().map(|view| view.name.clone()).collect();
    name_stale(&stale);
    let codes = refresh.errors.iter().map(|error| error.kind.exit_code());
    codes.max().unwrap_or(0)
}

/// Says which materialized views are stale, and what to do about it.
fn name_stale(names: &[String]) {
    if !names.is_empty() {
        let names = names.join(", ");
        message(&format!(
            "stale: {names}\n  hint: the next run refreshes what it can, and so does `pipeline views --refresh`"
        ));
    }
}

fn kind(kind: ViewKind) -> &'static str {
    match kind {
        ViewKind::Function => "function",
        ViewKind::View => "view",
        ViewKind::Materialized => "materialized view",
    }
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Created => "created",
        Action::Replaced => "replaced",
        Action::Recreated => "recreated",
        Action::Dropped => "dropped",
        Action::Refreshed => "refreshed",
        Action::Unchanged => "unchanged",
    }
}

/// Prints what `check` has read, which batches were loaded under other masks (`None` where no database was asked), and
/// which entries of the suppression list keep nobody out.
pub fn checked(
    checked: &Checked,
    stale: Option<&[StaleBatch]>,
    useless: &[Suppressed],
    changed: &[Useless],
    as_json: bool,
) {
    person::read_otherwise(changed);
    let counts = [
        ("entity", "entities", checked.entities),
        ("source", "sources", checked.sources),
        ("transform", "transforms", checked.transforms),
        ("migration", "migrations", checked.migrations),
        ("view", "views", checked.views),
    ];
    if as_json {
        let counts: BTreeMap<_, _> = counts.into_iter().map(|(_, nouns, count)| (nouns, count)).collect();
        let mut value = json!(counts);
        value["stale_masks"] = stale_masks::as_value(stale);
        value["useless_suppression"] = person::suppression_value(useless);
        value["warnings"] = checked.warnings.iter().map(outcome::diagnostic_value).collect();
        value["unsuppressed"] = json!(checked.unsuppressed);
        data(&value.to_string());
    } else {
        let counts = counts.map(|(noun, nouns, count)| counted(count, noun, nouns));
        for warning in &checked.warnings {
            message(&diagnostics::warning(warning, colored()));
        }
        data(&format!("no problem found: {}", counts.join(", ")));
        stale_masks::batches(stale.unwrap_or_default());
        person::useless(useless);
    }
    unsuppressed_columns(&checked.unsuppressed);
}

/// Warns of columns that show what `severity: suppress` takes out of others.
pub fn unsuppressed_columns(warnings: &[String]) {
    for warning in warnings {
        message(&format!(
            "warning: {warning}\n  hint: leave it out, or make it coarser in the SQL"
        ));
    }
}

/// Clears the screen, where there is one.
pub fn clear() {
    if io::stdout().is_terminal() {
        let _ = write!(io::stdout(), "\x1b[2J\x1b[3J\x1b[H");
        let _ = io::stdout().flush();
    }
}

/// Says that `check --watch` waits.
pub fn waiting() {
    message("waiting until a file is saved; Ctrl-C ends it");
}

/// Prints how many rows of each entity were removed with a batch, and what is wrong without it.
pub fn dropped(batch: &Batch, done: &Drop, as_json: bool) {
    let rows = &done.dropped.rows;
    for warning in &done.warnings {
        message(&format!("warning: {batch}: {warning}"));
    }
    if as_json {
        let entities: serde_json::Map<_, _> = rows.iter().map(|(e, n)| (e.clone(), json!(n))).collect();
        data(&json!({"source": batch.source, "date": batch.date.to_string(), "dropped": entities, "warnings": done.warnings}).to_string());
    } else if rows.is_empty() {
        data(&format!("{batch}: there was nothing to drop"));
    } else {
        let rows: Vec<String> = rows.iter().map(|(e, n)| format!("{} {e}", thousands(*n))).collect();
        data(&format!("{batch}: dropped {}", rows.join(", ")));
    }
}

/// Prints the URL of the embedded database while it is open.
pub fn serving(url: &str, as_json: bool) {
    data(&if as_json {
        json!({"url": url}).to_string()
    } else {
        url.to_owned()
    });
    message("one client at a time; Ctrl-C ends it");
}

/// Whether messages on stderr are coloured.
fn colored() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// A table without borders. It is not cut to the terminal's width, because its output is often piped.
fn table(header: &[&str], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    for &column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The table's lines without trailing spaces. Names in it, which may be those of a sender, steer no terminal.
fn lines(table: &Table) -> String {
    let rendered = printable(&table.to_string());
    let lines: Vec<&str> = rendered
        .lines()
        .map(|l| l.strip_prefix(' ').unwrap_or(l).trim_end())
        .collect();
    lines.join("\n")
}

/// Writes a number of rows with commas, or `<10`.
fn shown(rows: Shown) -> String {
    match rows {
        Shown::Exactly(rows) => thousands(rows),
        told => told.to_string(),
    }
}

/// Writes a number with commas: `1234567` as `1,234,567`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_parted() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(super::thousands(number), text);
        }
    }
}
