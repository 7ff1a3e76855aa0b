//! Prints what is known of one person, what was erased, and the suppression list. It never prints an id.

use serde_json::{Value, json};

use super::{data, lines, message, table, thousands};
use crate::model::ViewKind;
use crate::model::wording::counted;
use crate::run::person::{Erased, Named, Planned, Trace, Unsearched};
use crate::run::{Suppressed, Useless};

/// The most record numbers that a line names.
const NAMED: usize = 10;

/// What no command reaches.
const OUTSIDE: [&str; 5] = [
    "input files, also of dates that were never loaded, and copies of them",
    "backups, standbys and the archive of the write-ahead log; after a restore, erase again",
    "free space of tables and materialized views, until VACUUM FULL",
    "extracts, dumps, caches of BI tools, and tables that others have made",
    "the numbers of earlier runs in the run history, which count the person's rows",
];

/// Prints everything that holds rows of a person.
pub fn traced(trace: &Trace, as_json: bool) {
    if as_json {
        data(&value(trace).to_string());
        return;
    }
    if trace.batches.is_empty() {
        data("no table holds a row of this person");
    } else {
        let mut table = table(&["batch", "table", "rows"], &[2]);
        for one in &trace.batches {
            for (name, rows) in &one.rows {
                table.add_row([one.batch.to_string(), name.clone(), thousands(*rows)]);
            }
        }
        data(&lines(&table));
    }
    for one in &trace.named {
        data(&format!(
            "{}: {} of others in {} by {}",
            one.batch,
            counted(usize::try_from(one.rows).unwrap_or(usize::MAX), "row", "rows"),
            one.entity,
            one.columns.join(", ")
        ));
    }
    for view in &trace.views {
        let what = match view.kind {
            ViewKind::Materialized => "materialized view, which holds copies",
            ViewKind::View => "view",
            ViewKind::Function => "function",
        };
        data(&format!("{}: {what} over these tables", view.name));
    }
    for entry in &trace.entries {
        for (file, record) in &entry.places {
            data(&format!(
                "quarantine, {}, run {}: {file}, record {record}",
                entry.batch, entry.run_id
            ));
        }
    }
    for file in &trace.files {
        let numbers: Vec<String> = file.records.iter().take(NAMED).map(ToString::to_string).collect();
        let more = match file.records.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        data(&format!(
            "input, {}: {}, record {}{more}",
            file.batch,
            file.file,
            numbers.join(", ")
        ));
    }
    if trace.suppressed {
        data("loads leave this person out: they are on the suppression list");
    }
    gaps(trace);
}

/// Says what was not looked through, and why.
fn gaps(trace: &Trace) {
    for one in &trace.unsearched {
        message(&format!("warning: not searched: {}", unsearched(one)));
        if let Some(remedy) = &one.remedy {
            message(&format!("  hint: {remedy}"));
        }
    }
    for batch in &trace.unread {
        message(&format!(
            "warning: the input of {batch} is missing or can't be read, so its quarantine entries are not known to be \
             anybody's"
        ));
    }
}

fn unsearched(one: &Unsearched) -> String {
    let dates = match &one.dates[..] {
        [] => String::new(),
        [only] => format!(" {only}"),
        [first, .., last] => format!(" {first} to {last} ({})", counted(one.dates.len(), "batch", "batches")),
    };
    let table = one
        .entity
        .as_ref()
        .map_or_else(String::new, |table| format!(", {table}"));
    format!("{}{dates}{table}: {}", one.source, one.why)
}

/// Prints the SQL of an erasure, and what it leaves to the operator.
pub fn to_erase(planned: &Planned, as_json: bool) {
    if as_json {
        let mut value = value(&planned.trace);
        value["sql"] = json!(planned.script);
        value["outside"] = json!(OUTSIDE);
        data(&value.to_string());
        return;
    }
    data(&planned.script);
    gaps(&planned.trace);
    message("nothing was changed; --yes does all of this");
    outside(&planned.trace);
}

/// Prints what was erased; returns the exit code: 1 where something could not be searched.
pub fn erased(erased: &Erased, as_json: bool) -> u8 {
    if as_json {
        data(&receipt(erased).to_string());
    } else {
        let batches = erased.receipt["batches"].as_array().map_or(&[][..], Vec::as_slice);
        for batch in batches {
            let text = |name: &str| batch[name].as_str().unwrap_or_default().to_owned();
            let tables = batch["tables"].as_object().into_iter().flatten();
            let mut counts: Vec<String> = tables
                .map(|(table, rows)| format!("{} {table}", thousands(rows.as_u64().unwrap_or_default())))
                .collect();
            if let Some(entries) = batch["quarantine"].as_u64().filter(|entries| *entries > 0) {
                counts.push(format!("{} of the quarantine", thousands(entries)));
            }
            data(&format!(
                "{} {}: erased {}",
                text("source"),
                text("date"),
                counts.join(", ")
            ));
        }
        if batches.is_empty() {
            data("no table held a row of this person");
        }
        let names: Vec<&str> = erased.refresh.refreshed.iter().map(|view| view.name.as_str()).collect();
        if !names.is_empty() {
            data(&format!("refreshed {}", names.join(", ")));
        }
        data(&format!(
            "later loads leave this person out; the receipt is row {} of pipeline.erasures",
            erased.id
        ));
        gaps(&erased.trace);
        outside(&erased.trace);
    }
    u8::from(!erased.trace.unsearched.is_empty())
}

fn outside(trace: &Trace) {
    message("left to you:");
    for one in &trace.named {
        let rows = counted(usize::try_from(one.rows).unwrap_or(usize::MAX), "row", "rows");
        message(&format!(
            "  {rows} of {} ({}), which are about others and name the person in {}",
            one.entity,
            one.batch,
            one.columns.join(", ")
        ));
    }
    for file in &trace.files {
        message(&format!("  the input file {} ({})", file.file, file.batch));
    }
    for what in OUTSIDE {
        message(&format!("  {what}"));
    }
}

/// The receipt of an erasure: how much, where, and what is left. It does not tell whom.
pub fn receipt(erased: &Erased) -> Value {
    let mut receipt = erased.receipt.clone();
    receipt["refreshed"] = erased.refresh.refreshed.iter().map(|view| json!(view.name)).collect();
    receipt["files"] = files(&erased.trace);
    receipt["outside"] = json!(OUTSIDE);
    receipt["program_version"] = json!(env!("CARGO_PKG_VERSION"));
    receipt
}

fn files(trace: &Trace) -> Value {
    let file = |file: &crate::run::person::FileTrace| {
        json!({
            "source": file.batch.source,
            "date": file.batch.date.to_string(),
            "file": file.file,
            "records": file.records,
        })
    };
    trace.files.iter().map(file).collect()
}

fn value(trace: &Trace) -> Value {
    let batch = |one: &crate::run::person::BatchTrace| json!({"source": one.batch.source, "date": one.batch.date.to_string(), "tables": one.rows});
    let entry = |one: &crate::run::person::Entry| {
        let places = one.places.iter();
        json!({
            "run_id": one.run_id,
            "source": one.batch.source,
            "date": one.batch.date.to_string(),
            "records": places.map(|(file, record)| json!({"file": file, "record": record})).collect::<Vec<_>>(),
        })
    };
    let view = |one: &crate::run::person::ViewTrace| json!({"name": one.name, "materialized": one.kind == ViewKind::Materialized});
    json!({
        "domains": trace.domains,
        "batches": trace.batches.iter().map(batch).collect::<Vec<_>>(),
        "named": trace.named.iter().map(Named::as_json).collect::<Vec<_>>(),
        "views": trace.views.iter().map(view).collect::<Vec<_>>(),
        "quarantine": trace.entries.iter().map(entry).collect::<Vec<_>>(),
        "files": files(trace),
        "unread": trace.unread.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "unsearched": trace.unsearched.iter().map(Unsearched::as_json).collect::<Vec<_>>(),
        "suppressed": trace.suppressed,
    })
}

/// Prints how many persons the suppression list names.
pub fn suppressed(list: &[Suppressed], changed: &[Useless], as_json: bool) {
    if as_json {
        data(&suppression_value(list).to_string());
        read_otherwise(changed);
        return;
    }
    if list.is_empty() {
        data("the suppression list is empty");
        return;
    }
    let mut table = table(&["domain", "key", "entries", "newest (UTC)"], &[2]);
    for one in list {
        table.add_row([
            one.count.domain.clone(),
            one.count.key_id.clone(),
            thousands(one.count.entries.unsigned_abs()),
            one.count.newest.format("%Y-%m-%d %H:%M:%S").to_string(),
        ]);
    }
    data(&lines(&table));
    useless(list);
    read_otherwise(changed);
}

/// Warns of subjects that the suppression list may not know any more.
pub(super) fn read_otherwise(changed: &[Useless]) {
    for Useless { why, remedy } in changed {
        message(&format!("warning: the suppression list: {why}\n  hint: {remedy}"));
    }
}

/// Warns of entries that keep nobody out.
pub(super) fn useless(list: &[Suppressed]) {
    for (one, useless) in list.iter().filter_map(|one| Some((one, one.useless.as_ref()?))) {
        let count = usize::try_from(one.count.entries).unwrap_or(0);
        message(&format!(
            "warning: the suppression list has {} of the domain {} under the key {} that keep nobody out: {}\n  hint: {}",
            counted(count, "entry", "entries"),
            one.count.domain,
            one.count.key_id,
            useless.why,
            useless.remedy
        ));
    }
}

pub(super) fn suppression_value(list: &[Suppressed]) -> Value {
    let one = |one: &Suppressed| {
        json!({
            "domain": one.count.domain,
            "key_id": one.count.key_id,
            "entries": one.count.entries,
            "newest": one.count.newest,
            "useless": one.useless.as_ref().map(|useless| &useless.why),
        })
    };
    list.iter().map(one).collect()
}

/// Prints whether a person was taken off the list.
pub fn unsuppressed(was_on_it: bool, as_json: bool) {
    if as_json {
        data(&json!({"removed": was_on_it}).to_string());
    } else if was_on_it {
        data("taken off the suppression list; the next loads bring the person's records again");
    } else {
        data("this person is not on the suppression list");
    }
}

/// Prints how many entries of a key or a domain were taken off the list.
pub fn entries_removed(entries: u64, as_json: bool) {
    if as_json {
        data(&json!({"removed": entries}).to_string());
    } else {
        data(&format!(
            "{} entries taken off the suppression list",
            thousands(entries)
        ));
    }
}
