//! The YAML files of a folder.

use std::path::{Path, PathBuf};

use super::problems::Problems;

/// The YAML files among the `names` in `folder`, in their order, hidden ones left out. A file that ends in `.yml` is a problem; `what` says
/// what such a file would be, such as "a source's file".
pub(super) fn yaml_files(folder: &Path, names: &[String], what: &str, problems: &mut Problems) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let shown = names.iter().filter(|name| !name.starts_with('.'));
    for path in shown.map(|name| folder.join(name)) {
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
