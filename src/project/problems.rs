//! Collects the problems of all files, so that the user sees them all at once.

use std::path::Path;

use crate::error::{Diagnostic, Location};

/// All problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    diagnostics: Vec<Diagnostic>,
    /// Whether something could not be read. The project then holds placeholders.
    incomplete: bool,
}

/// More problems than anyone reads. Without a limit, a hostile file could create any number of them.
const MAX_PROBLEMS: usize = 1_000;

impl Problems {
    /// Adds a problem of something that could not be read.
    pub fn add(&mut self, location: Option<Location>, message: impl Into<String>, hint: Option<String>) {
        self.incomplete = true;
        self.add_link(location, message, hint);
    }

    /// Adds a problem of what was read whole all the same, such as a name that leads nowhere. Further checks make sense
    /// then.
    pub fn add_link(&mut self, location: Option<Location>, message: impl Into<String>, hint: Option<String>) {
        if self.diagnostics.len() < MAX_PROBLEMS {
            self.diagnostics.push(Diagnostic {
                message: message.into(),
                location,
                hint,
            });
        }
    }

    /// Adds a problem of a file or folder as a whole.
    pub fn of_file(&mut self, file: &Path, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Some(Location::of_file(file)), message, Some(hint.into()));
    }

    /// Whether something could not be read.
    pub fn incomplete(&self) -> bool {
        self.incomplete
    }

    /// Sorts the problems by file, line and column. A problem that a YAML alias repeats is listed once.
    pub fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.diagnostics
            .sort_by(|a, b| (&a.location, &a.message).cmp(&(&b.location, &b.message)));
        self.diagnostics.dedup();
        self.diagnostics
    }
}
