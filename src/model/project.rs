//! A whole project, checked.

use std::path::PathBuf;

use super::{Entity, Profile, Source, SqlCheck, View};

/// A whole project, checked.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder that holds `pipeline.yaml`.
    pub root: PathBuf,
    /// Parents before their children.
    pub entities: Vec<Entity>,
    /// Sorted by name.
    pub sources: Vec<Source>,
    /// `sql/functions`, `sql/views`, `sql/materialized`, each sorted by file name.
    pub views: Vec<View>,
    /// `sql/checks`, sorted by file name.
    pub checks: Vec<SqlCheck>,
    /// `pipeline.yaml` as read, for the fingerprint of a run.
    pub text: String,
    /// What the reader role may see at most.
    pub profile: Profile,
}
