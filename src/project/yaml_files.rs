//! The YAML files of a folder.

use std::fs::ReadDir;
use std::path::{Path, PathBuf};

use super::problems::Problems;

/// The YAML files directly in `folder`, sorted, hidden ones left out. A file that ends in `.yml` is a problem; `what` says
/// what such a file would be, such as "a source's file".
pub(super) fn yaml_files(folder: &Path, entries: ReadDir, what: &str, problems: &mut Problems) -> Vec<PathBuf> {
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    let mut files = Vec::new();
    for path in names.iter().map(|name| folder.join(name)) {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml") => files.push(path),
            Some("yml") => {
                let better = format!("rename it to {}", path.with_extension("yaml").display());
                problems.of_file(&path, format!("{what} ends in .yaml, so this one is not read"), better);
            }
            _ => {}
        }
    }
    files
}
