//! What a user asks `pipeline source add` for.

use std::path::PathBuf;

/// What to propose.
pub struct Request {
    pub name: String,
    /// Files, folders, patterns or URLs. Local ones are relative to `from`.
    pub paths: Vec<String>,
    /// The working directory.
    pub from: PathBuf,
    /// How many records to look at.
    pub sample: u64,
    /// Keep a few values of each field, to be shown to the user.
    pub show_samples: bool,
    pub entities: Entities,
    /// The field whose values tell kinds of records apart. The user lets them be written.
    pub kind_by: Option<String>,
    /// For an update: the kind of which all records of the sample are.
    pub kind: Option<String>,
}

/// Which entities the source fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entities {
    /// Those of `pipeline.yaml`.
    Existing,
    /// New ones, which are added to `pipeline.yaml` with a migration.
    New,
}
