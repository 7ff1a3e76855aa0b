//! Empties columns of rows that are loaded without them, because too few persons share their values.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::nullif;
use arrow::datatypes::Schema;

use super::keys::{Keys, Texts};
use crate::error::{Error, Result};
use crate::model::Entity;

/// Rows that are loaded without the values of some columns.
#[derive(Debug, Clone)]
pub struct Suppress {
    pub keys: Keys,
    /// The columns that become null.
    pub columns: Vec<String>,
}

/// The same, with positions of columns.
pub(super) struct Emptied {
    keys: Keys,
    key: Vec<usize>,
    columns: Vec<usize>,
}

impl Emptied {
    pub fn new(entity: &Entity, suppress: Suppress) -> Self {
        let position = |name: &String| entity.columns.iter().position(|column| column.name == *name);
        Self {
            key: suppress.keys.columns.iter().filter_map(position).collect(),
            columns: suppress.columns.iter().filter_map(position).collect(),
            keys: suppress.keys,
        }
    }

    /// The rows without those values, and of how many rows that is.
    pub fn apply(&self, batch: RecordBatch) -> Result<(RecordBatch, u64)> {
        let failed = |_| Error::batch("the columns of rows that stand too alone can't be emptied");
        let texts = Texts::of(&batch, &self.key)?;
        let is_found = |row| texts.key(row).is_some_and(|key| self.keys.contain(key, None));
        let found: BooleanArray = (0..batch.num_rows()).map(|row| Some(is_found(row))).collect();
        let (schema, mut columns, _) = batch.into_parts();
        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        for at in &self.columns {
            columns[*at] = nullif(&columns[*at], &found).map_err(failed)?;
            fields[*at] = Arc::new(fields[*at].as_ref().clone().with_nullable(true));
        }
        let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
        let batch = RecordBatch::try_new(Arc::new(schema), columns).map_err(failed)?;
        Ok((batch, found.true_count() as u64))
    }
}
