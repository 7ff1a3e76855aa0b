//! Evaluates an expression over a batch, and finds the rows for which it fails.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ListArray, new_null_array};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;

use super::fault::{Fault, is_of_data};

/// The values of an expression, and the rows for which it failed. They hold null, or where the column has no nulls its
/// type's zero.
pub(super) struct Evaluated {
    pub values: ArrayRef,
    pub failed: Vec<(usize, Fault)>,
}

/// Evaluates over the whole batch first. Only where that fails, halves of the batch are tried, until the rows are known.
pub(super) fn evaluate(expression: &Arc<dyn PhysicalExpr>, batch: &RecordBatch, field: &Field) -> Result<Evaluated> {
    let error = match whole(expression, batch) {
        Ok(values) => {
            let failed = Vec::new();
            return Ok(Evaluated { values, failed });
        }
        Err(error) => error,
    };
    let mut search = Search {
        expression,
        batch,
        field,
        pieces: Vec::new(),
        failed: Vec::new(),
    };
    search.within(0, batch.num_rows(), error)?;
    let pieces: Vec<&dyn Array> = search.pieces.iter().map(AsRef::as_ref).collect();
    Ok(Evaluated {
        values: concat(&pieces)?,
        failed: search.failed,
    })
}

fn whole(expression: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<ArrayRef> {
    expression.evaluate(batch)?.into_array(batch.num_rows())
}

struct Search<'a> {
    expression: &'a Arc<dyn PhysicalExpr>,
    batch: &'a RecordBatch,
    field: &'a Field,
    pieces: Vec<ArrayRef>,
    failed: Vec<(usize, Fault)>,
}

impl Search<'_> {
    /// Searches `rows` rows from `start` on, which together gave `error`.
    fn within(&mut self, start: usize, rows: usize, error: DataFusionError) -> Result<()> {
        if !is_of_data(&error) || rows == 0 {
            return Err(error);
        }
        if rows == 1 {
            let row = self.batch.slice(start, 1);
            self.failed.push((start, Fault::of(self.expression, &row, &error)));
            self.pieces.push(nothing(self.field)?);
            return Ok(());
        }
        let half = rows / 2;
        for (start, rows) in [(start, half), (start + half, rows - half)] {
            match whole(self.expression, &self.batch.slice(start, rows)) {
                Ok(values) => self.pieces.push(values),
                Err(error) => self.within(start, rows, error)?,
            }
        }
        Ok(())
    }
}

/// One value in place of what failed. A list has one null element, since unnesting an empty list would drop the row.
fn nothing(field: &Field) -> Result<ArrayRef> {
    Ok(match field.data_type() {
        DataType::List(element) => {
            let value = if element.is_nullable() {
                new_null_array(element.data_type(), 1)
            } else {
                ScalarValue::new_default(element.data_type())?.to_array()?
            };
            Arc::new(ListArray::try_new(
                Arc::clone(element),
                OffsetBuffer::from_lengths([1]),
                value,
                None,
            )?)
        }
        other if field.is_nullable() => new_null_array(other, 1),
        other => ScalarValue::new_default(other)?.to_array()?,
    })
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{AsArray, StringArray};
    use datafusion::arrow::datatypes::{Int32Type, Schema};
    use datafusion::physical_expr::expressions::{cast, col};
    use proptest::prelude::*;

    use super::*;

    fn texts(fails: &[bool]) -> RecordBatch {
        let text = |(at, fails): (usize, &bool)| if *fails { "x".to_owned() } else { at.to_string() };
        let texts: StringArray = fails.iter().enumerate().map(text).map(Some).collect();
        let schema = Schema::new(vec![Field::new("t", DataType::Utf8, true)]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(texts)]).unwrap()
    }

    proptest! {
        #[test]
        fn finds_each_row_that_fails_and_keeps_the_others(fails in prop::collection::vec(any::<bool>(), 0..70)) {
            let batch = texts(&fails);
            let text = col("t", batch.schema_ref()).unwrap();
            let number = cast(text, batch.schema_ref(), DataType::Int32).unwrap();
            let nullable = Field::new("n", DataType::Int32, true);
            let Evaluated { values, failed } = evaluate(&number, &batch, &nullable).unwrap();
            let expected: Vec<usize> = (0..fails.len()).filter(|row| fails[*row]).collect();
            prop_assert_eq!(failed.iter().map(|(row, _)| *row).collect::<Vec<_>>(), expected);
            for (row, fails) in fails.iter().enumerate() {
                prop_assert_eq!(values.is_null(row), *fails);
                if !fails {
                    prop_assert_eq!(values.as_primitive::<Int32Type>().value(row), i32::try_from(row).unwrap());
                }
            }
        }
    }

    #[test]
    fn a_column_without_nulls_gets_none() {
        let batch = texts(&[false, true]);
        let text = col("t", batch.schema_ref()).unwrap();
        let number = cast(text, batch.schema_ref(), DataType::Int32).unwrap();
        let field = Field::new("n", DataType::Int32, false);
        let values = evaluate(&number, &batch, &field).unwrap().values;
        assert_eq!(
            (values.null_count(), values.as_primitive::<Int32Type>().value(1)),
            (0, 0)
        );
    }
}
