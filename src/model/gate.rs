//! How many persons must share each combination of quasi-identifiers before a batch goes live.

/// A limit on how alone a person may stand in an entity's rows: k-anonymity over named columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// The least number of persons with the same values. At least 2.
    pub k: u64,
    /// Columns of the entity that together may tell who somebody is.
    pub quasi: Vec<String>,
    /// The entity. Its key tells persons apart.
    pub over: String,
    pub severity: OnRare,
}

/// What becomes of a batch with a combination that too few persons share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRare {
    /// It is not loaded.
    Fail,
    /// It is loaded, with a warning.
    Warn,
    /// It is loaded, and the quasi-identifiers of the rows with such a combination are null.
    Suppress,
}
