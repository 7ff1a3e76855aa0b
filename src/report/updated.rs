//! Prints what a newer sample changes of a source's schema.

use serde_json::json;

use super::added::{counted, looked_at};
use super::{data, message};
use crate::infer::{Change, Updated};

pub fn source_updated(updated: &Updated, as_json: bool) {
    let Updated {
        name,
        file,
        changes,
        diff,
        written,
        records,
        others,
        files,
        cut,
        unmapped,
        sql,
    } = updated;
    if as_json {
        let changes: Vec<_> = changes
            .iter()
            .map(|change| {
                let Change {
                    kind,
                    path,
                    file,
                    line,
                    what,
                } = change;
                json!({"kind": kind.name(), "path": path, "file": file, "line": line, "what": what})
            })
            .collect();
        data(
            &json!({"source": name, "file": file, "changes": changes, "diff": diff, "written": written,
                "records": records, "others": others, "files": files, "cut": cut, "unmapped": unmapped})
            .to_string(),
        );
        return;
    }
    for Change {
        kind,
        path,
        file,
        line,
        what,
    } in changes
    {
        data(&format!("{:<9} {file}:{line}  {path}: {what}", kind.name()));
    }
    if !diff.is_empty() {
        data(&format!("\n{}", diff.trim_end()));
    }
    message(&looked_at(*records, *files, *cut));
    if *others > 0 {
        message(&format!("note: {} of no declared kind", counted(*others, "record")));
    }
    if changes.is_empty() {
        message(&format!("{file} fits the sample: nothing is to be changed"));
        return;
    }
    if !unmapped.is_empty() {
        let place = sql.as_ref().map_or_else(String::new, |folder| format!(" of {folder}"));
        message(&format!("note: no SQL{place} reads {}", unmapped.join(", ")));
    }
    let count = counted(changes.len() as u64, "difference");
    message(&match (diff.is_empty(), written) {
        (true, _) => format!("{count}. None of them changes the file."),
        (false, true) => format!("{count}. written  {file}"),
        (false, false) => format!("{count}. Nothing is written yet; `--yes` writes it."),
    });
}
