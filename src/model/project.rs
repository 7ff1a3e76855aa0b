//! A whole project that has been checked.

use std::path::PathBuf;

use super::{Entity, Gate, Profile, Source, SqlCheck, View};

/// A whole project that has been checked.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder that holds `pipeline.yaml`.
    pub root: PathBuf,
    /// Parents come before their children.
    pub entities: Vec<Entity>,
    /// Sorted by name.
    pub sources: Vec<Source>,
    /// The files of `sql/functions`, `sql/views` and `sql/materialized`, each folder sorted by file name.
    pub views: Vec<View>,
    /// The files of `sql/checks`, sorted by file name.
    pub checks: Vec<SqlCheck>,
    /// The text of `pipeline.yaml`. It is part of a run's fingerprint.
    pub text: String,
    /// The privacy rules for what the reader role may see.
    pub profile: Profile,
    /// What the reader role may see although it shows, or may show, the batch's date.
    pub exposed: Vec<Exposed>,
    /// How many persons must share each combination of quasi-identifiers, if the project limits that.
    pub gate: Option<Gate>,
}

/// A view, function or entity that a person has decided to show to the reader role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    /// Its name; `schema.name` if the project's files do not make it.
    pub name: String,
    pub reason: String,
}
