//! Keys of rows as text, so that the keys of parents and children can be compared whatever Arrow types their
//! transforms return. They hold values, so they stay in memory and are never shown.

use std::collections::HashSet;
use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use crate::error::{Error, Result};

/// The values of some columns of one row. None of them is null.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(Box<[u8]>);

impl Key {
    /// Makes a key from the columns' texts. `None` where one is null, since a null equals no other value.
    pub fn new<'a>(parts: impl IntoIterator<Item = Option<&'a str>>) -> Option<Self> {
        let mut bytes = Vec::new();
        for part in parts {
            let part = part?;
            // Each part is preceded by its length: otherwise ("a", "bc") and ("ab", "c") would be the same key.
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

/// Keys of rows of one entity, for some of its columns.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    pub columns: Vec<String>,
    /// Rows with these keys are refused, whatever record they come from.
    pub keys: HashSet<Key>,
    /// Rows with these keys are refused if they come from this record. Another record's row with the same key was
    /// loaded.
    pub of_records: HashSet<(u64, Key)>,
    /// Whether a row with a null in these columns was refused. Its dependants can't be found by its key. They are found
    /// as rows without a parent row instead.
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

/// The columns of a batch as texts. They give one key per row.
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

/// The keys of a batch's rows over some of its columns, without those of rows that have a null there.
pub fn row_keys(batch: &RecordBatch, columns: &[usize]) -> Result<Vec<Key>> {
    let texts = Texts::of(batch, columns)?;
    Ok((0..batch.num_rows()).filter_map(|row| texts.key(row)).collect())
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
