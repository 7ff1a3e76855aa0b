//! Prints what `pipeline source add` has written, and what comes next.

use serde_json::json;

use super::{data, message};
use crate::infer::{Added, Samples};

pub fn source_added(added: &Added, as_json: bool) {
    if as_json {
        let Added {
            written,
            changed,
            records,
            files,
            cut,
            fields,
            masked,
            notes,
            date,
            name,
            entities,
            ..
        } = added;
        let date = date.map(|date| date.to_string());
        data(
            &json!({"source": name, "written": written, "changed": changed, "records": records, "files": files,
                "cut": cut, "fields": fields, "masked": masked, "notes": notes, "date": date, "entities": entities})
            .to_string(),
        );
        return;
    }
    let mut lines: Vec<String> = added.written.iter().map(|path| format!("written  {path}")).collect();
    lines.extend(added.changed.iter().map(|path| format!("changed  {path}")));
    data(&lines.join("\n"));
    message(&format!(
        "{} {} declared, {} of them masked.",
        looked_at(added.records, added.files, added.cut),
        counted(added.fields as u64, "field"),
        added.masked
    ));
    for note in &added.notes {
        message(&format!("note: {note}"));
    }
    samples(&added.samples);
    let date = added.date.map_or_else(|| "DATE".to_owned(), |date| date.to_string());
    let batch = format!("--source {} --date {date}", added.name);
    let query = added.entities.first().map_or_else(String::new, |entity| {
        format!(
            "\n  pipeline query \"select * from {entity} where source = '{}' limit 5\"",
            added.name
        )
    });
    message(&format!(
        "\nNext: read pipelines/{}.yaml, above all the masks. Then\n  \
         pipeline check\n  \
         pipeline preview {batch}\n  \
         pipeline test create {batch} --record 1\n  \
         pipeline test\n  \
         pipeline run {batch}{query}",
        added.name
    ));
}

pub(super) fn counted(count: u64, one: &str) -> String {
    crate::model::wording::counted(usize::try_from(count).unwrap_or(usize::MAX), one, &format!("{one}s"))
}

/// How much of a sample was read.
pub(super) fn looked_at(records: u64, files: usize, cut: bool) -> String {
    let were = if records == 1 { "was" } else { "were" };
    let part = if cut { ", a part of the sample" } else { "" };
    let (records, files) = (counted(records, "record"), counted(files as u64, "file"));
    format!("{records} in {files} {were} looked at{part}.")
}

/// Prints values of the sample, which the user has asked for.
fn samples(samples: &Samples) {
    if samples.0.is_empty() {
        return;
    }
    data("\nvalues of the sample, printed here and written nowhere:");
    for (path, values) in &samples.0 {
        let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
        data(&format!("  {path}: {}", values.join(", ")));
    }
}
