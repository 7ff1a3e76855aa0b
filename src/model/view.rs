//! The SQL files of views and functions.

use std::path::PathBuf;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ViewKind {
    Function,
    View,
    Materialized,
}

/// A SQL file that `pipeline views` makes into a database object named after the file.
#[derive(Debug, Clone)]
pub struct View {
    pub name: String,
    pub kind: ViewKind,
    /// Relative to the project's root.
    pub path: PathBuf,
    pub sql: String,
}
