//! Growable columns, into which records are decoded value by value. [`Column::truncate`] removes what a record has
//! added that fails half-way. At the end, a column becomes an Arrow array without a copy. A column does not interpret
//! values.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    ListArray, NullBufferBuilder, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;

use crate::model::scalar::Micros;

/// How many rows to make room for at first.
const ROWS: usize = 1024;

#[derive(Debug)]
pub(crate) struct Column {
    values: Values,
    /// The rows whose value was cut to microseconds.
    pub cut: Vec<usize>,
    nulls: NullBufferBuilder,
    /// Nulls at the end that `values` and `nulls` do not hold yet. Most fields of a wide record are absent, and what is
    /// below an absent struct need not be visited for each record.
    owed: usize,
}

/// The values of a column. A null has one as well (0, or empty), so that values and null flags are equally many.
#[derive(Debug)]
pub(crate) enum Values {
    Utf8 { offsets: Vec<i32>, bytes: Vec<u8> },
    Bool(BooleanBufferBuilder),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float64(Vec<f64>),
    Decimal(Vec<i128>),
    Date(Vec<i32>),
    Micros(Vec<i64>),
    List { offsets: Vec<i32>, item: Box<Column> },
    Struct(Vec<Column>),
}

impl Column {
    /// Makes an empty column. `data_type` must be one that [`crate::model::arrow_schema`] gives to a field.
    pub fn new(data_type: &DataType) -> Self {
        let values = match data_type {
            DataType::Utf8 => Values::Utf8 {
                offsets: vec![0],
                bytes: Vec::new(),
            },
            DataType::Boolean => Values::Bool(BooleanBufferBuilder::new(ROWS)),
            DataType::Int32 => Values::Int32(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Decimal128(..) => Values::Decimal(Vec::new()),
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Timestamp(..) => Values::Micros(Vec::new()),
            DataType::List(item) => Values::List {
                offsets: vec![0],
                item: Box::new(Column::new(item.data_type())),
            },
            DataType::Struct(fields) => {
                Values::Struct(fields.iter().map(|field| Column::new(field.data_type())).collect())
            }
            other => unreachable!("no declared type is {other}"),
        };
        Self {
            values,
            cut: Vec::new(),
            nulls: NullBufferBuilder::new(ROWS),
            owed: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.nulls.len() + self.owed
    }

    /// The values of all rows, to add the next one.
    #[inline]
    pub fn values(&mut self) -> &mut Values {
        self.settle();
        &mut self.values
    }

    /// The values, possibly without the nulls at the end.
    pub fn peek(&self) -> &Values {
        &self.values
    }

    /// Marks the value that was just added as valid.
    pub fn valid(&mut self) {
        self.nulls.append_non_null();
    }

    /// Adds a time, and notes its row if it was cut.
    pub fn push_micros(&mut self, micros: Micros) {
        let row = self.len();
        if let Values::Micros(values) = self.values() {
            values.push(micros.value);
            if micros.cut {
                self.cut.push(row);
            }
            self.valid();
        }
    }

    pub fn push_date(&mut self, days: i32) {
        if let Values::Date(values) = self.values() {
            values.push(days);
            self.valid();
        }
    }

    #[inline]
    pub fn push_str(&mut self, text: &str) {
        if let Values::Utf8 { offsets, bytes } = self.values() {
            bytes.extend_from_slice(text.as_bytes());
            offsets.push(offset(bytes.len()));
            self.valid();
        }
    }

    pub fn push_null(&mut self) {
        self.owed += 1;
    }

    /// Writes the nulls that are owed.
    #[inline]
    fn settle(&mut self) {
        if self.owed > 0 {
            self.write_owed();
        }
    }

    #[cold]
    fn write_owed(&mut self) {
        let owed = std::mem::take(&mut self.owed);
        let rows = self.nulls.len() + owed;
        match &mut self.values {
            Values::Utf8 { offsets, bytes } => offsets.resize(rows + 1, offset(bytes.len())),
            Values::Bool(values) => values.append_n(owed, false),
            Values::Int32(values) | Values::Date(values) => values.resize(rows, 0),
            Values::Int64(values) | Values::Micros(values) => values.resize(rows, 0),
            Values::Float64(values) => values.resize(rows, 0.0),
            Values::Decimal(values) => values.resize(rows, 0),
            Values::List { offsets, item } => offsets.resize(rows + 1, offset(item.len())),
            Values::Struct(children) => children.iter_mut().for_each(|child| child.owed += owed),
        }
        self.nulls.append_n_nulls(owed);
    }

    /// Ends a list. Its elements have been pushed to the column of the items.
    pub fn end_list(&mut self) {
        if let Values::List { offsets, item } = self.values() {
            offsets.push(offset(item.len()));
            self.valid();
        }
    }

    /// Shortens the column to its first `rows` rows. Values of a row that is not complete are removed as well.
    pub fn truncate(&mut self, rows: usize) {
        let written = rows.min(self.nulls.len());
        self.owed = rows - written;
        let rows = written;
        match &mut self.values {
            Values::Utf8 { offsets, bytes } => {
                offsets.truncate(rows + 1);
                bytes.truncate(length(offsets[rows]));
            }
            Values::Bool(values) => values.truncate(rows),
            Values::Int32(values) | Values::Date(values) => values.truncate(rows),
            Values::Int64(values) | Values::Micros(values) => values.truncate(rows),
            Values::Float64(values) => values.truncate(rows),
            Values::Decimal(values) => values.truncate(rows),
            Values::List { offsets, item } => {
                offsets.truncate(rows + 1);
                item.truncate(length(offsets[rows]));
            }
            Values::Struct(children) => children.iter_mut().for_each(|child| child.truncate(rows)),
        }
        self.cut.retain(|row| *row < rows);
        if self.nulls.len() > rows {
            self.nulls.truncate(rows);
        }
    }

    /// Turns the column into an Arrow array. `data_type` must be the type for which the column was made.
    pub fn finish(mut self, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        self.settle();
        let rows = self.len();
        let nulls = self.nulls.finish();
        Ok(match (self.values, data_type) {
            (Values::Utf8 { offsets, bytes }, _) => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                Arc::new(StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls)?)
            }
            (Values::Bool(mut values), _) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            (Values::Int32(values), _) => Arc::new(Int32Array::try_new(values.into(), nulls)?),
            (Values::Int64(values), _) => Arc::new(Int64Array::try_new(values.into(), nulls)?),
            (Values::Float64(values), _) => Arc::new(Float64Array::try_new(values.into(), nulls)?),
            (Values::Decimal(values), _) => {
                Arc::new(Decimal128Array::try_new(values.into(), nulls)?.with_data_type(data_type.clone()))
            }
            (Values::Date(values), _) => Arc::new(Date32Array::try_new(values.into(), nulls)?),
            (Values::Micros(values), _) => {
                Arc::new(TimestampMicrosecondArray::try_new(values.into(), nulls)?.with_data_type(data_type.clone()))
            }
            (Values::List { offsets, item }, DataType::List(field)) => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                let items = item.finish(field.data_type())?;
                Arc::new(ListArray::try_new(Arc::clone(field), offsets, items, nulls)?)
            }
            (Values::Struct(children), DataType::Struct(fields)) => {
                let arrays = children
                    .into_iter()
                    .zip(fields)
                    .map(|(child, field): (Column, &Arc<Field>)| child.finish(field.data_type()))
                    .collect::<Result<_, _>>()?;
                Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, nulls, rows)?)
            }
            (_, other) => unreachable!("no column is made for {other}"),
        })
    }
}

fn offset(length: usize) -> i32 {
    i32::try_from(length).expect("a chunk is smaller than 2 GiB, since a record is at most 32 MiB")
}

fn length(offset: i32) -> usize {
    usize::try_from(offset).expect("offsets are never negative")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncate_takes_back_half_a_row_at_every_depth() {
        let item = DataType::Struct(
            vec![
                Field::new("a", DataType::Utf8, true),
                Field::new("b", DataType::Int32, true),
            ]
            .into(),
        );
        let list = DataType::List(Arc::new(Field::new("item", item, true)));
        let mut column = Column::new(&list);
        let push = |column: &mut Column, text: &str, whole: bool| {
            let Values::List { item, .. } = column.values() else {
                panic!()
            };
            let Values::Struct(children) = item.values() else {
                panic!()
            };
            children[0].push_str(text);
            if whole {
                children[1].push_null();
                item.valid();
            }
        };
        push(&mut column, "one", true);
        column.end_list();
        push(&mut column, "two", true);
        push(&mut column, "half", false);
        column.truncate(1);
        push(&mut column, "three", true);
        column.end_list();
        column.push_null();
        let array = column.finish(&list).unwrap();
        let lists = array.as_any().downcast_ref::<ListArray>().unwrap();
        assert_eq!(lists.value_offsets(), [0, 1, 2, 2]);
        let structs = lists.values().as_any().downcast_ref::<StructArray>().unwrap();
        let texts = structs.column(0).as_any().downcast_ref::<StringArray>().unwrap();
        assert_eq!(texts.iter().flatten().collect::<Vec<_>>(), ["one", "three"]);
        assert_eq!(structs.column(1).null_count(), 2);
    }
}
