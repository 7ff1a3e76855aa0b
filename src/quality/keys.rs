//! Keys of rows as text, so that the keys of parents and children can be compared whatever Arrow types their
//! transforms return. They hold values, so they stay in memory and are never shown.

use std::collections::HashSet;
use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{and, cast};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimeUnit};

use crate::error::{Error, Result};
use crate::model::uuid_text::uuid_text;

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

/// The values of a column as texts that are the same exactly where PostgreSQL holds the values equal. For the types whose
/// text in PostgreSQL has several forms or another one than Arrow's, `warehouse::relations` asks it for these.
fn text(column: &ArrayRef) -> Result<StringArray> {
    let failed = |_| {
        Error::batch(format!(
            "rows can't be told apart by a column of type {}",
            column.data_type()
        ))
    };
    let as_type = |data_type: &DataType| cast(column, data_type).map_err(failed);
    Ok(match column.data_type() {
        // 0.0 and -0.0 are equal; adding a zero makes them the same.
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let values = as_type(&DataType::Float64)?;
            let values = values.as_primitive::<Float64Type>().iter();
            hex(values.map(|value| value.map(|value| (value + 0.0).to_bits())))
        }
        DataType::Timestamp(unit, _) => {
            let (counts, (times, parts)) = (as_type(&DataType::Int64)?, micros_in(*unit));
            let counts = counts.as_primitive::<Int64Type>().iter();
            let micros = |count: i64| count.wrapping_mul(times).div_euclid(parts).wrapping_sub(EPOCH_MICROS);
            hex(counts.map(|count| count.map(|count| micros(count).cast_unsigned())))
        }
        DataType::Date32 | DataType::Date64 => {
            let days = cast(&as_type(&DataType::Date32)?, &DataType::Int32).map_err(failed)?;
            let days = days.as_primitive::<Int32Type>().iter();
            hex(days.map(|day| day.map(|day| day.wrapping_sub(EPOCH_DAYS).cast_unsigned())))
        }
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            let digits = as_type(&DataType::Utf8)?;
            let digits: &StringArray = digits.as_string();
            digits.iter().map(|digits| digits.map(without_zeros)).collect()
        }
        DataType::FixedSizeBinary(16) => {
            let uuids = column.as_fixed_size_binary().iter();
            uuids
                .map(|uuid| uuid.and_then(|uuid| uuid.try_into().ok()).map(uuid_text))
                .collect()
        }
        _ => as_type(&DataType::Utf8)?.as_string::<i32>().clone(),
    })
}

/// PostgreSQL counts from 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 10_957 * 86_400_000_000;

/// The factor and the divisor that make microseconds of a unit.
fn micros_in(unit: TimeUnit) -> (i64, i64) {
    match unit {
        TimeUnit::Second => (1_000_000, 1),
        TimeUnit::Millisecond => (1_000, 1),
        TimeUnit::Microsecond => (1, 1),
        TimeUnit::Nanosecond => (1, 1_000),
    }
}

fn hex<T: fmt::LowerHex>(values: impl Iterator<Item = Option<T>>) -> StringArray {
    let width = 2 * size_of::<T>();
    values
        .map(|value| value.map(|value| format!("{value:0width$x}")))
        .collect()
}

/// `1.50` and `1.5` are equal, and so are `1.0` and the whole number `1`.
fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

/// For each row, whether all columns are equal; `None` where they can't be compared.
pub fn same(left: &RecordBatch, right: &RecordBatch) -> Option<BooleanArray> {
    let mut columns = left.columns().iter().zip(right.columns());
    let (left, right) = columns.next()?;
    let mut same = not_distinct(left, right).ok()?;
    for (left, right) in columns {
        same = and(&same, &not_distinct(left, right).ok()?).ok()?;
    }
    Some(same)
}
