//! Paths to lists of objects inside a JSON document.

/// Where records start inside a document. An empty path is the document itself. If the path ends at an array, each of
/// its elements is a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordPath(pub Vec<RecordStep>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordStep {
    Key(String),
    /// `[*]`: each element of an array.
    Each,
}
