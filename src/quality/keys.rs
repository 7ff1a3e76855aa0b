//! Keys of rows as text, so that a parent's and its children's compare whatever Arrow types their transforms return.
//! They hold values: they stay in memory and are never shown.

use std::collections::HashSet;
use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use crate::error::{Error, Result};

/// The values of some columns of one row, none of them null.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(Box<[u8]>);

impl Key {
    /// From the columns' texts; `None` where one is null, for then it equals no other.
    pub fn new<'a>(parts: impl IntoIterator<Item = Option<&'a str>>) -> Option<Self> {
        let mut bytes = Vec::new();
        for part in parts {
            let part = part?;
            // Lengths keep two neighbours from looking like one other.
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Some(Self(bytes.into()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Keys of rows of one entity, in columns of it.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    pub columns: Vec<String>,
    /// Rows with these.
    pub keys: HashSet<Key>,
    /// Rows with these that came from this record: another record's row with the same key was loaded.
    pub of_records: HashSet<(u64, Key)>,
    /// Whether rows with a null in these columns were refused, too: what belongs to them is what belongs to no row.
    pub nameless: bool,
}

impl Keys {
    pub fn new(columns: Vec<String>) -> Self {
        Self {
            columns,
            ..Self::default()
        }
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.of_records.is_empty()
    }

    pub(super) fn contain(&self, key: Key, record: Option<u64>) -> bool {
        self.keys.contains(&key) || record.is_some_and(|record| self.of_records.contains(&(record, key)))
    }
}

/// The columns of a batch as texts, one key per row.
pub(super) struct Texts(Vec<StringArray>);

impl Texts {
    pub fn of(batch: &RecordBatch, columns: &[usize]) -> Result<Self> {
        let texts = columns.iter().map(|at| text(batch.column(*at)));
        Ok(Self(texts.collect::<Result<_>>()?))
    }

    pub fn key(&self, row: usize) -> Option<Key> {
        Key::new(
            self.0
                .iter()
                .map(|column| column.is_valid(row).then(|| column.value(row))),
        )
    }
}

fn text(column: &ArrayRef) -> Result<StringArray> {
    let failed = |_| {
        Error::batch(format!(
            "rows can't be told apart by a column of type {}",
            column.data_type()
        ))
    };
    let text = cast(column, &DataType::Utf8).map_err(failed)?;
    Ok(text.as_string::<i32>().clone())
}
