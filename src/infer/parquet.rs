//! Folds rows of Parquet into a shape. The file declares its types, so only texts are looked at.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;

use super::observe::Budget;
use super::shape::Shape;
use crate::error::{Error, Result};
use crate::ingest::Stored;

/// Rows that are read at a time.
const ROWS: usize = 256;

pub(super) fn observe(name: &str, stored: Stored, root: &mut Shape, budget: &mut Budget) -> Result<()> {
    match stored {
        Stored::File(file) => rows(name, file, root, budget),
        Stored::Bytes(bytes) => rows(name, bytes, root, budget),
    }
}

fn rows(name: &str, file: impl ChunkReader + 'static, root: &mut Shape, budget: &mut Budget) -> Result<()> {
    // The library's words may quote names of columns only, but its cause is not needed either.
    let failed =
        || Error::project(format!("{name} can't be read as Parquet")).hint("the file may be damaged or cut short");
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|_| failed())?;
    let rows = builder.with_batch_size(ROWS).build().map_err(|_| failed())?;
    for batch in rows {
        let batch: RecordBatch = batch.map_err(|_| failed())?;
        let count = batch
            .num_rows()
            .min(usize::try_from(budget.records).unwrap_or(usize::MAX));
        budget.spent |= count < batch.num_rows();
        let batch = batch.slice(0, count);
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            if let Some(shape) = root.member(field.name(), root.objects.count + 1) {
                column_of(column.as_ref(), shape, budget.keep);
            }
        }
        present(root, count);
        budget.records -= count as u64;
        if budget.spent {
            break;
        }
    }
    Ok(())
}

/// Counts an object for each row; a column stands in each.
fn present(shape: &mut Shape, rows: usize) {
    shape.objects.count += rows as u64;
    let count = shape.objects.count;
    for (_, member) in &mut shape.objects.fields {
        member.present = count;
    }
}

fn column_of(column: &dyn Array, shape: &mut Shape, keep: usize) {
    shape.nulls += column.logical_null_count() as u64;
    let values = column.len() - column.logical_null_count();
    match column.data_type() {
        DataType::Struct(fields) => {
            let column = column.as_struct();
            let object = shape.objects.count + 1;
            for (field, inner) in fields.iter().zip(column.columns()) {
                if let Some(below) = shape.member(field.name(), object) {
                    column_of(inner.as_ref(), below, keep);
                }
            }
            present(shape, values);
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => {
            shape.lists.count += values as u64;
            let items = match column.data_type() {
                DataType::List(_) => column.as_list::<i32>().values().clone(),
                DataType::LargeList(_) => column.as_list::<i64>().values().clone(),
                _ => column.as_fixed_size_list().values().clone(),
            };
            shape.lists.items += items.len() as u64;
            column_of(items.as_ref(), shape.lists.item.get_or_insert_default(), keep);
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _) => {
            if let Ok(texts) = cast(column, &DataType::Utf8) {
                for text in texts.as_string::<i32>().iter().flatten() {
                    shape.shown.keep(keep, &text);
                    shape.text(text);
                }
            }
            shape.declared = Some("string".to_owned());
        }
        DataType::Boolean => {
            shape.bools += values as u64;
            shape.declared = Some("bool".to_owned());
        }
        number_or_time => {
            if let Some(declared) = declared(number_or_time) {
                // Hashes of the values tell whether they repeat, as for other formats.
                if let Ok(texts) = cast(column, &DataType::Utf8) {
                    for text in texts.as_string::<i32>().iter().flatten() {
                        shape.shown.keep(keep, &text);
                        shape.distinct.add(text);
                    }
                }
                shape.numbers.count += values as u64;
                shape.declared = Some(declared);
            } else {
                shape.numbers.count += values as u64;
                shape.declared = Some("json".to_owned());
            }
        }
    }
}

/// The type of the schema for a column of Parquet. `None`: the reader knows none.
fn declared(found: &DataType) -> Option<String> {
    use DataType as D;
    Some(match found {
        D::Int8 | D::Int16 | D::Int32 | D::UInt8 | D::UInt16 => "int".to_owned(),
        D::Int64 | D::UInt32 => "bigint".to_owned(),
        D::Float16 | D::Float32 | D::Float64 => "double".to_owned(),
        D::Decimal32(p, s) | D::Decimal64(p, s) | D::Decimal128(p, s) => format!("decimal({p},{s})"),
        D::Date32 => "date".to_owned(),
        D::Timestamp(_, None) => "timestamp".to_owned(),
        D::Timestamp(_, Some(_)) => "timestamptz".to_owned(),
        _ => return None,
    })
}
