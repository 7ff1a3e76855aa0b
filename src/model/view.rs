//! The SQL files of views and functions.

use std::path::PathBuf;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ViewKind {
    Function,
    View,
    Materialized,
}

/// A SQL file from which `pipeline views` makes a database object with the file's name.
#[derive(Debug, Clone)]
pub struct View {
    pub name: String,
    pub kind: ViewKind,
    /// Relative to the project's root.
    pub path: PathBuf,
    pub sql: String,
}
