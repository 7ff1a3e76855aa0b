//! Encodes one entity's rows for COPY: each batch is bound to its columns once, then written row by row.

use std::borrow::Cow;
use std::fmt;

use arrow::array::{Array, AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Schema, UInt64Type};
use bytes::{BufMut, BytesMut};

use super::cells::Cells;
use super::codec::Codec;
use crate::error::Words as _;
use crate::model::Entity;
use crate::warehouse::schema::type_name;

/// The start of a binary COPY: the signature, no flags, no extension.
pub const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// The end of a binary COPY: a row of -1 columns.
pub const TRAILER: &[u8] = &[0xff, 0xff];

/// A row that can't be encoded in the contract's types. The error holds no cell value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError {
    /// The row's index in the batch, from 0.
    pub row: usize,
    pub column: String,
    /// Continues "column x holds ...".
    pub reason: Cow<'static, str>,
    /// The number of the record that the row came from, where the transform kept it.
    pub record: Option<u64>,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {} holds {}", self.column, self.reason)
    }
}

impl std::error::Error for EncodeError {}

/// Encodes the batches of one entity's stage. One encoder is made per stage.
#[derive(Debug)]
pub struct Encoder {
    columns: Vec<Column>,
    /// Whether all rows have passed [`super::Fit`].
    fitting: bool,
}

#[derive(Debug)]
struct Column {
    name: String,
    nullable: bool,
    arrow: DataType,
    codec: Codec,
}

/// A batch that is being written.
pub struct Rows<'a> {
    encoder: &'a Encoder,
    cells: Vec<Cells>,
    records: Option<UInt64Array>,
    count: usize,
    next: usize,
    /// An estimate of the rows' size in bytes, to reserve memory once instead of often.
    room: usize,
}

impl Encoder {
    /// Makes an encoder for batches that have the entity's columns in the contract's order. A last column of type
    /// UInt64 may hold the record number. The error names the column that is missing or can't be encoded.
    pub fn new(entity: &Entity, schema: &Schema) -> Result<Self, String> {
        let columns = entity.columns.iter().enumerate().map(|(at, column)| {
            let field = schema.fields().get(at).filter(|field| field.name() == &column.name);
            let field = field.ok_or_else(|| format!("column {} is missing at position {}", column.name, at + 1))?;
            let codec = Codec::choose(field.data_type(), column.pg_type).ok_or_else(|| {
                format!(
                    "column {} is {}, the contract says {}",
                    column.name,
                    field.data_type(),
                    type_name(column.pg_type)
                )
            })?;
            let arrow = field.data_type().clone();
            Ok(Column {
                name: column.name.clone(),
                nullable: column.nullable,
                arrow,
                codec,
            })
        });
        let columns = columns.collect::<Result<Vec<_>, String>>()?;
        Ok(Self {
            columns,
            fitting: false,
        })
    }

    /// For rows that [`super::Fit`] has let pass. The server would refuse the whole COPY for one that it would not.
    #[must_use]
    pub fn of_fitting_rows(self) -> Self {
        Self { fitting: true, ..self }
    }

    /// A batch's columns with their names. Fails where they are not those that the encoder was made for.
    pub(super) fn cells(&self, batch: &RecordBatch) -> Result<Vec<(&str, Cells)>, String> {
        if batch.num_columns() < self.columns.len() {
            return Err(format!(
                "a batch of {} columns instead of {}",
                batch.num_columns(),
                self.columns.len()
            ));
        }
        let columns = self.columns.iter().zip(batch.columns()).map(|(column, array)| {
            if array.data_type() != &column.arrow {
                return Err(format!(
                    "column {} turned from {} into {}",
                    column.name,
                    column.arrow,
                    array.data_type()
                ));
            }
            let bound = Cells::bind(column.codec, array)
                .map_err(|error| format!("column {}: {}", column.name, error.words()))?;
            Ok((column.name.as_str(), bound))
        });
        columns.collect()
    }

    /// Prepares a batch for writing. Fails where the batch's columns are not those that the encoder was made for.
    pub fn bind(&self, batch: &RecordBatch) -> Result<Rows<'_>, String> {
        let cells = self.cells(batch)?.into_iter().map(|(_, cells)| cells).collect();
        // A rough estimate: four bytes of length per cell, and the values.
        let columns = batch.columns().iter().take(self.columns.len());
        let room = columns.map(|array| 4 * array.len() + array.get_buffer_memory_size());
        let room = 2 * batch.num_rows() + room.sum::<usize>();
        let records = batch.columns().get(self.columns.len());
        let records = records
            .and_then(|array| array.as_primitive_opt::<UInt64Type>())
            .cloned();
        Ok(Rows {
            encoder: self,
            cells,
            records,
            count: batch.num_rows(),
            next: 0,
            room,
        })
    }

    fn column_count(&self) -> i16 {
        // A PostgreSQL table has at most 1600 columns; the contract was checked against one.
        i16::try_from(self.columns.len()).unwrap_or(i16::MAX)
    }
}

impl Rows<'_> {
    /// Appends rows until `out` holds `enough` bytes or the batch ends. Returns whether rows are left. On an error,
    /// `out` ends with the last row that could be encoded.
    pub fn write(&mut self, out: &mut BytesMut, enough: usize) -> Result<bool, EncodeError> {
        out.reserve(self.room.min(enough));
        let count = self.encoder.column_count().to_be_bytes();
        while self.next < self.count {
            if out.len() >= enough {
                return Ok(true);
            }
            let start = out.len();
            out.extend_from_slice(&count);
            for (column, cells) in self.encoder.columns.iter().zip(&self.cells) {
                if let Err(reason) = put(column, cells, out, self.next, self.encoder.fitting) {
                    out.truncate(start);
                    return Err(self.error(column, reason));
                }
            }
            self.next += 1;
        }
        Ok(false)
    }

    /// Rows written so far.
    pub fn written(&self) -> usize {
        self.next
    }

    fn error(&self, column: &Column, reason: Cow<'static, str>) -> EncodeError {
        let row = self.next;
        let records = self.records.as_ref().filter(|records| records.is_valid(row));
        EncodeError {
            row,
            column: column.name.clone(),
            reason,
            record: records.map(|records| records.value(row)),
        }
    }
}

fn put(column: &Column, cells: &Cells, out: &mut BytesMut, row: usize, fitting: bool) -> Result<(), Cow<'static, str>> {
    if !cells.is_null(row) {
        return if fitting {
            cells.put_fitting(out, row)
        } else {
            cells.put(out, row)
        };
    }
    if !column.nullable {
        return Err("null, which the contract forbids".into());
    }
    out.put_i32(-1);
    Ok(())
}
