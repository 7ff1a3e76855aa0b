//! Prints what `pipeline init` has made, and what to do next.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::data;

/// Prints the folder of the new project and the next steps.
pub fn initialised(folder: &Path, files: &[PathBuf], as_json: bool) {
    if as_json {
        data(&json!({"project": folder, "files": files}).to_string());
        return;
    }
    let shown = folder.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    let quoted = if shown.chars().all(plain) {
        shown.clone()
    } else {
        format!("'{}'", shown.replace('\'', "'\\''"))
    };
    let enter = if shown == "." {
        String::new()
    } else {
        format!("  cd {quoted}\n")
    };
    data(&format!(
        "made a project in {shown}, with a small sample\n\n\
         next:\n{enter}  \
         pipeline run --source clinic --start 2023-05-01 --end 2023-05-02\n  \
         pipeline query \"select * from visits limit 5\"\n\n\
         to load files of your own:\n  \
         pipeline source add NAME --from FILES\n\n\
         README.md tells what comes after that"
    ));
}
