//! How many persons must share each combination of quasi-identifiers before a batch goes live.

use super::scalar_field::{effective_mask, scalar_fields};
use super::{MaskKind, Source};

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
    /// Whether the key may be another one in each load, so that persons can be told apart within a batch only.
    pub per_batch: bool,
}

impl Gate {
    /// Whether a source of the entity has a field whose masks are others in each load. Without the lineage of the key, any
    /// such field counts: fewer persons are then found, never more.
    pub fn is_per_batch(over: &str, sources: &[Source]) -> bool {
        let fills = |source: &&Source| source.transforms.iter().any(|transform| transform.entity == over);
        let mut kinds = sources.iter().filter(fills).flat_map(|source| &source.kinds);
        kinds.any(|kind| {
            let mut fields = scalar_fields(kind).into_iter();
            fields.any(|field| effective_mask(field.privacy) == MaskKind::Surrogate)
        })
    }
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
