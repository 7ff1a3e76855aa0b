//! The projects that open files belong to, as they were when they could last be read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::Project;
use crate::project;
use crate::workspace::Files;

/// A project, and whether a file of it has changed since it was read.
#[derive(Debug, Default)]
struct Known {
    project: Option<Arc<Project>>,
    fresh: bool,
}

#[derive(Debug, Default)]
pub(super) struct Projects {
    /// The folder that the command line names. Otherwise each file belongs to the nearest project above it.
    named: Option<PathBuf>,
    known: BTreeMap<PathBuf, Known>,
}

impl Projects {
    pub fn new(named: Option<PathBuf>) -> Self {
        Self {
            named,
            known: BTreeMap::new(),
        }
    }

    /// The folder of the project that a file belongs to.
    pub fn root_of(&self, path: &Path) -> Option<PathBuf> {
        match &self.named {
            Some(root) => path.starts_with(root).then(|| root.clone()),
            None => project::find_root(path.parent()?).ok(),
        }
    }

    /// Notes that a file of the project has changed.
    pub fn changed(&mut self, root: &Path) {
        self.known.entry(root.to_owned()).or_default().fresh = false;
    }

    /// The project in a folder. What can't be read just now is as it was before.
    pub fn get(&mut self, files: &Files) -> Option<Arc<Project>> {
        let known = self.known.entry(files.to_path_buf()).or_default();
        if !known.fresh {
            if let Ok(read) = project::read_partly(files) {
                let before = known.project.take();
                known.project = Some(Arc::new(kept(before.as_deref(), read, files)));
            }
            known.fresh = true;
        }
        known.project.clone()
    }
}

/// The project as it is read now, with what a file that is being typed has lost.
fn kept(before: Option<&Project>, mut now: Project, files: &Files) -> Project {
    let Some(before) = before else { return now };
    if now.entities.is_empty() {
        now.entities.clone_from(&before.entities);
    }
    for old in &before.sources {
        let same = |source: &&mut crate::model::Source| source.location.file == old.location.file;
        match now.sources.iter_mut().find(same) {
            Some(source) if source.kinds.iter().all(|kind| kind.schema.is_empty()) => {
                source.kinds.clone_from(&old.kinds);
            }
            None if files.holds(&old.location.file) => now.sources.push(old.clone()),
            _ => {}
        }
    }
    now
}
