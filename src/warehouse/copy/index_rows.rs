//! The size of a row in a B-tree index. PostgreSQL refuses a row of more than a third of a page, and the statement that
//! builds the index fails then.
//!
//! The size is that of the values as they are. PostgreSQL compresses long values, so it may take some rows that are
//! refused here. Whether it does depends on the text and on the server's settings, and the limit shall not.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use bytes::BytesMut;

use super::cells::Cells;
use crate::model::{Entity, Misfit, PgType};

/// The most bytes of a row in a B-tree index with pages of 8 kB (`BTMaxItemSize` in src/include/access/nbtree.h).
const MOST_BYTES: usize = 2704;
/// The header of an index row, without and with a bitmap of nulls (src/include/access/itup.h).
const HEADER: usize = 8;
const HEADER_WITH_NULLS: usize = 16;
/// The longest value with a length of one byte (src/include/varatt.h).
const SHORT: usize = 126;
/// No value of a type of fixed length, and no number, needs more than this.
const NO_TEXT: usize = 64;

/// The rows of one index.
#[derive(Debug)]
pub(super) struct IndexRows {
    columns: Vec<Part>,
    names: String,
    /// The length of the source's name where it is part of the index, as it is of a key. A date follows it.
    source: Option<usize>,
}

#[derive(Debug)]
struct Part {
    at: usize,
    width: Width,
}

#[derive(Debug, Clone, Copy)]
enum Width {
    /// Length and alignment.
    Fixed(usize, usize),
    Variable,
}

impl IndexRows {
    /// Those indexes of an entity, the key's included, that have a column of variable length.
    pub(super) fn of(entity: &Entity, source: &str) -> Vec<Self> {
        let key = (!entity.key.is_empty()).then_some((&entity.key, Some(source.len())));
        let indexes = entity.indexes.iter().map(|index| (&index.columns, None));
        let rows = key.into_iter().chain(indexes).map(|(columns, source)| Self {
            columns: columns.iter().filter_map(|name| Part::of(entity, name)).collect(),
            names: columns.join(", "),
            source,
        });
        rows.filter(|rows| rows.columns.iter().any(|part| matches!(part.width, Width::Variable)))
            .collect()
    }

    /// Whether all rows fit, as far as the longest value of each column tells.
    pub(super) fn surely_fits(&self, batch: &RecordBatch) -> bool {
        let values = self.columns.iter().map(|part| longest(batch.column(part.at)));
        let values = values.fold(0, |sum: usize, longest| sum.saturating_add(longest).saturating_add(8));
        let others = HEADER_WITH_NULLS + self.source.map_or(0, |length| length + 16);
        values.saturating_add(others) <= MOST_BYTES
    }

    /// Adds the rows that are too large.
    pub(super) fn too_large(&self, columns: &[(&str, Cells)], rows: usize, misfits: &mut Vec<Misfit>) {
        let mut scratch = BytesMut::new();
        for row in 0..rows {
            if self.size(columns, row, &mut scratch) > MOST_BYTES {
                misfits.push(Misfit {
                    row,
                    check: format!("index({})", self.names),
                    path: self.names.clone(),
                    reason: "longer than an index of PostgreSQL can hold (2,704 bytes)".into(),
                });
            }
        }
    }

    fn size(&self, columns: &[(&str, Cells)], row: usize, scratch: &mut BytesMut) -> usize {
        let (mut size, mut header) = (0_usize, HEADER);
        for part in &self.columns {
            let cells = &columns[part.at].1;
            if cells.is_null(row) {
                header = HEADER_WITH_NULLS;
                continue;
            }
            match part.width {
                Width::Fixed(length, alignment) => size = size.next_multiple_of(alignment) + length,
                Width::Variable => {
                    scratch.clear();
                    // A value that can't be encoded is refused for that.
                    if cells.put(scratch, row).is_ok() {
                        size = with_text(size, scratch.len().saturating_sub(4));
                    }
                }
            }
        }
        if let Some(length) = self.source {
            size = with_text(size, length).next_multiple_of(4) + 4;
        }
        (header + size).next_multiple_of(8)
    }
}

/// The size with a value of variable length after it.
fn with_text(size: usize, length: usize) -> usize {
    if length <= SHORT {
        size + 1 + length
    } else {
        size.next_multiple_of(4) + 4 + length
    }
}

impl Part {
    fn of(entity: &Entity, name: &str) -> Option<Self> {
        let at = entity.columns.iter().position(|column| column.name == name)?;
        let width = match entity.columns[at].pg_type {
            PgType::Bool => Width::Fixed(1, 1),
            PgType::Int2 => Width::Fixed(2, 2),
            PgType::Int4 | PgType::Float4 | PgType::Date => Width::Fixed(4, 4),
            PgType::Int8 | PgType::Float8 | PgType::Timestamp | PgType::TimestampTz => Width::Fixed(8, 8),
            PgType::Uuid => Width::Fixed(16, 1),
            PgType::Text | PgType::Varchar(_) | PgType::Numeric(_) | PgType::Jsonb | PgType::TextArray => {
                Width::Variable
            }
        };
        Some(Self { at, width })
    }
}

/// No value of the column is longer than this, in bytes.
fn longest(column: &ArrayRef) -> usize {
    match column.data_type() {
        DataType::Utf8 => {
            let offsets = column.as_string::<i32>().value_offsets();
            let longest = offsets.windows(2).map(|pair| pair[1] - pair[0]).max();
            longest.and_then(|longest| usize::try_from(longest).ok()).unwrap_or(0)
        }
        // The low 32 bits of a view are the length.
        DataType::Utf8View => {
            let views = column.as_string_view().views().iter();
            let longest = views.map(|view| view & u128::from(u32::MAX)).max();
            longest.and_then(|longest| usize::try_from(longest).ok()).unwrap_or(0)
        }
        DataType::LargeUtf8 | DataType::Dictionary(..) | DataType::List(_) | DataType::LargeList(_) => usize::MAX,
        _ => NO_TEXT,
    }
}
