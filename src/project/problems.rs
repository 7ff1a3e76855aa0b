//! Collects the problems of all files, so that the user sees them all at once.

use std::path::Path;

use crate::error::{Diagnostic, Location};

/// All problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    diagnostics: Vec<Diagnostic>,
}

/// More problems than anyone reads. Without a limit, a hostile file could create any number of them.
const MAX_PROBLEMS: usize = 1_000;

impl Problems {
    pub fn add(&mut self, location: Option<Location>, message: impl Into<String>, hint: Option<String>) {
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
        let location = Location {
            file: file.to_owned(),
            line: 1,
            column: 1,
            length: 1,
            text: String::new(),
        };
        self.add(Some(location), message, Some(hint.into()));
    }

    /// Sorts the problems by file, line and column. A problem that a YAML alias repeats is listed once.
    pub fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.diagnostics
            .sort_by(|a, b| (&a.location, &a.message).cmp(&(&b.location, &b.message)));
        self.diagnostics.dedup();
        self.diagnostics
    }
}
