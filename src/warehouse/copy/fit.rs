//! Finds the rows that a table can't take before any row is encoded, so that each is refused by itself and the rest of
//! the batch loads. The encoder and the server would fail the whole batch.
//!
//! Whole columns are looked at first. Single cells are only looked at where a column may hold a value that does not
//! fit, so clean data costs little.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::BytesMut;

use super::cells::Cells;
use super::encoder::Encoder;
use super::index_rows::IndexRows;
use crate::model::{Entity, Misfit};

/// Finds the rows of one entity's batches that its table can't take. It is made once per stage.
#[derive(Debug)]
pub struct Fit {
    encoder: Encoder,
    indexes: Vec<IndexRows>,
}

impl Fit {
    /// For batches of this schema: the entity's columns in the contract's order first. `source` is part of every key.
    pub fn new(entity: &Entity, source: &str, schema: &Schema) -> Result<Self, String> {
        Ok(Self {
            encoder: Encoder::new(entity, schema)?,
            indexes: IndexRows::of(entity, source),
        })
    }

    /// The rows that do not fit, each with its reasons. The error tells of a batch of another shape.
    pub fn misfits(&self, batch: &RecordBatch) -> Result<Vec<Misfit>, String> {
        let columns = self.encoder.cells(batch)?;
        let mut misfits = Vec::new();
        let mut scratch = BytesMut::new();
        for (name, cells) in &columns {
            if !cells.all_fit() {
                unfit(name, cells, batch.num_rows(), &mut scratch, &mut misfits);
            }
        }
        for index in &self.indexes {
            if !index.surely_fits(batch) {
                index.too_large(&columns, batch.num_rows(), &mut misfits);
            }
        }
        Ok(misfits)
    }
}

fn unfit(name: &str, cells: &Cells, rows: usize, scratch: &mut BytesMut, misfits: &mut Vec<Misfit>) {
    for row in (0..rows).filter(|row| !cells.is_null(*row)) {
        scratch.clear();
        if let Err(reason) = cells.check(scratch, row) {
            misfits.push(Misfit {
                row,
                check: format!("type({name})"),
                path: name.to_owned(),
                reason,
            });
        }
    }
}
