//! One column of one record batch. Its array is downcast once; then its cells are encoded one by one.

use super::{json, time};
use std::borrow::Cow;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Date64Array, Decimal128Array, Decimal256Array,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int64Array, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt64Type,
};
use arrow::error::ArrowError;
use bytes::{BufMut, BytesMut};

use super::codec::Codec;
use super::numeric::Numeric;
use super::texts::{Texts, put_bytes};
use crate::model::uuid_text::parse_uuid;

type Outcome = Result<(), Cow<'static, str>>;

/// The binary form of `jsonb` starts with the version of its format.
const JSONB_VERSION: &[u8] = &[1];
/// pg_type.oid of `text`.
const TEXT_OID: i32 = 25;
const NOT_FINITE: &str = "NaN or Infinity in place of a number";

/// The cells, and which of them are null.
pub(super) struct Cells {
    nulls: Option<NullBuffer>,
    values: Values,
}

enum Values {
    Null,
    Bool(BooleanArray),
    Int2(Whole),
    Int4(Whole),
    Int8(Whole),
    Float4(Float32Array),
    Float8(Float64Array),
    WholeNumeric(Whole, Numeric),
    Numeric(Decimal128Array, Numeric),
    WideNumeric(Decimal256Array, Numeric),
    Date(Date32Array),
    DateMillis(Date64Array),
    Timestamp(Int64Array, TimeUnit),
    Text(Texts, Option<u32>),
    Json(Texts),
    UuidText(Texts),
    Uuid(FixedSizeBinaryArray),
    TextArray(Lists),
}

/// Integers of any width. Widening a whole column with an arrow kernel is faster than matching on the type per cell.
enum Whole {
    Signed(Int64Array),
    Unsigned(UInt64Array),
}

struct Lists {
    offsets: Offsets,
    items: Texts,
}

enum Offsets {
    Small(OffsetBuffer<i32>),
    Large(OffsetBuffer<i64>),
}

impl Cells {
    pub(super) fn bind(codec: Codec, array: &ArrayRef) -> Result<Self, ArrowError> {
        let values = match codec {
            Codec::Null => Values::Null,
            Codec::Bool => Values::Bool(array.as_boolean().clone()),
            Codec::Int2 => Values::Int2(Whole::bind(array)?),
            Codec::Int4 => Values::Int4(Whole::bind(array)?),
            Codec::Int8 => Values::Int8(Whole::bind(array)?),
            Codec::Float4 => Values::Float4(cast(array, &DataType::Float32)?.as_primitive::<Float32Type>().clone()),
            Codec::Float8 => Values::Float8(cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone()),
            Codec::Numeric(shape) => numeric(array, shape)?,
            Codec::Date => match array.as_primitive_opt::<Date64Type>() {
                Some(millis) => Values::DateMillis(millis.clone()),
                None => Values::Date(array.as_primitive::<Date32Type>().clone()),
            },
            Codec::Timestamp => timestamp(array)?,
            Codec::Text(limit) => Values::Text(Texts::bind(array)?, limit),
            Codec::Json => Values::Json(Texts::bind(array)?),
            Codec::Uuid => match array.as_fixed_size_binary_opt() {
                Some(array) => Values::Uuid(array.clone()),
                None => Values::UuidText(Texts::bind(array)?),
            },
            Codec::TextArray => Values::TextArray(Lists::bind(array)?),
        };
        Ok(Self {
            nulls: array.logical_nulls(),
            values,
        })
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Whether every row fits, as far as a look at the whole column tells. What null rows hold may make it false.
    pub(super) fn all_fit(&self) -> bool {
        match &self.values {
            Values::Null | Values::Bool(_) | Values::Uuid(_) | Values::Int8(Whole::Signed(_)) => true,
            Values::Int2(whole) => whole.all(|value| i16::try_from(value).is_ok()),
            Values::Int4(whole) => whole.all(|value| i32::try_from(value).is_ok()),
            Values::Int8(whole) => whole.all(|value| i64::try_from(value).is_ok()),
            Values::Float4(array) => array.values().iter().all(|value| value.is_finite()),
            Values::Float8(array) => array.values().iter().all(|value| value.is_finite()),
            Values::WholeNumeric(whole, shape) => whole.all(|value| shape.holds(value)),
            Values::Numeric(array, shape) => array.values().iter().all(|value| shape.holds(*value)),
            Values::WideNumeric(_, shape) => shape.holds_all(),
            Values::Date(array) => array.values().iter().all(|days| time::date((*days).into()).is_ok()),
            Values::DateMillis(array) => {
                let mut values = array.values().iter();
                values.all(|millis| time::date_of_millis(*millis).is_ok())
            }
            Values::Timestamp(array, unit) => {
                let mut values = array.values().iter();
                values.all(|value| time::timestamp(*value, *unit).is_ok())
            }
            Values::Text(texts, limit) => texts.all_fit(*limit),
            Values::TextArray(lists) => lists.items.all_fit(None),
            Values::Json(_) | Values::UuidText(_) => false,
        }
    }

    /// Says why a row that is not null can't be loaded. It may write to `scratch`.
    pub(super) fn check(&self, scratch: &mut BytesMut, row: usize) -> Outcome {
        match &self.values {
            // PostgreSQL takes these. They come from a division by zero or a number out of range.
            Values::Float4(array) if !array.value(row).is_finite() => Err(NOT_FINITE.into()),
            Values::Float8(array) if !array.value(row).is_finite() => Err(NOT_FINITE.into()),
            Values::Json(texts) => json::check(texts.get(row)),
            Values::UuidText(texts) => uuid(texts.get(row)).map(drop),
            _ => self.put(scratch, row),
        }
    }

    /// Appends the value of a row that [`Self::check`] has found to fit. A JSON text is not parsed a second time.
    pub(super) fn put_fitting(&self, out: &mut BytesMut, row: usize) -> Outcome {
        match &self.values {
            Values::Json(texts) => put_json(out, texts.get(row)),
            _ => self.put(out, row),
        }
    }

    /// Appends the value of a row whose cell is not null.
    pub(super) fn put(&self, out: &mut BytesMut, row: usize) -> Outcome {
        match &self.values {
            Values::Null => out.put_i32(-1),
            Values::Bool(array) => out.put_slice(&[0, 0, 0, 1, u8::from(array.value(row))]),
            Values::Int2(whole) => put_2(out, whole.narrow(row, "int2")?),
            Values::Int4(whole) => put_4(out, whole.narrow::<i32>(row, "int4")?.to_be_bytes()),
            Values::Int8(whole) => put_8(out, whole.narrow::<i64>(row, "int8")?.to_be_bytes()),
            Values::Float4(array) => put_4(out, array.value(row).to_be_bytes()),
            Values::Float8(array) => put_8(out, array.value(row).to_be_bytes()),
            Values::WholeNumeric(whole, shape) => shape.put(out, whole.get(row))?,
            Values::Numeric(array, shape) => shape.put(out, array.value(row))?,
            Values::WideNumeric(array, shape) => shape.put_i256(out, array.value(row))?,
            Values::Date(array) => put_4(out, time::date(array.value(row).into())?.to_be_bytes()),
            Values::DateMillis(array) => put_4(out, time::date_of_millis(array.value(row))?.to_be_bytes()),
            Values::Timestamp(array, unit) => put_8(out, time::timestamp(array.value(row), *unit)?.to_be_bytes()),
            Values::Text(texts, limit) => texts.put(out, row, *limit)?,
            Values::Json(texts) => {
                json::check(texts.get(row))?;
                put_json(out, texts.get(row))?;
            }
            Values::UuidText(texts) => put_bytes(out, &[], &uuid(texts.get(row))?)?,
            Values::Uuid(array) => put_bytes(out, &[], array.value(row))?,
            Values::TextArray(lists) => lists.put(out, row)?,
        }
        Ok(())
    }
}

impl Whole {
    fn bind(array: &ArrayRef) -> Result<Self, ArrowError> {
        if let Some(array) = array.as_primitive_opt::<UInt64Type>() {
            return Ok(Self::Unsigned(array.clone()));
        }
        Ok(Self::Signed(
            cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone(),
        ))
    }

    fn get(&self, row: usize) -> i128 {
        match self {
            Self::Signed(array) => array.value(row).into(),
            Self::Unsigned(array) => array.value(row).into(),
        }
    }

    fn all(&self, holds: impl Fn(i128) -> bool) -> bool {
        match self {
            Self::Signed(array) => array.values().iter().all(|value| holds((*value).into())),
            Self::Unsigned(array) => array.values().iter().all(|value| holds((*value).into())),
        }
    }

    fn narrow<T: TryFrom<i128>>(&self, row: usize, name: &str) -> Result<T, Cow<'static, str>> {
        T::try_from(self.get(row)).map_err(|_| format!("a number out of the range of {name}").into())
    }
}

impl Lists {
    fn bind(array: &ArrayRef) -> Result<Self, ArrowError> {
        if let Some(list) = array.as_list_opt::<i64>() {
            let offsets = Offsets::Large(list.offsets().clone());
            return Ok(Self {
                offsets,
                items: Texts::bind(list.values())?,
            });
        }
        let list = array.as_list::<i32>();
        Ok(Self {
            offsets: Offsets::Small(list.offsets().clone()),
            items: Texts::bind(list.values())?,
        })
    }

    /// Encodes an array as `array_recv` reads it: number of dimensions, null flag, element type, then per dimension
    /// its length and lower bound.
    fn put(&self, out: &mut BytesMut, row: usize) -> Outcome {
        let range = self.range(row);
        let nulls = self.items.nulls();
        let is_null = |item: usize| nulls.is_some_and(|nulls| nulls.is_null(item));
        let start = out.len();
        out.put_i32(0);
        out.put_i32(i32::from(!range.is_empty()));
        out.put_i32(i32::from(range.clone().any(is_null)));
        out.put_i32(TEXT_OID);
        if !range.is_empty() {
            out.put_i32(i32::try_from(range.len()).map_err(|_| "a list that is too long")?);
            out.put_i32(1);
        }
        for item in range {
            if is_null(item) {
                out.put_i32(-1);
            } else {
                self.items.put(out, item, None)?;
            }
        }
        let length = i32::try_from(out.len() - start - 4).map_err(|_| "a list larger than 2 GB")?;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        // arrow guarantees that offsets are not negative.
        match &self.offsets {
            Offsets::Small(offsets) => offset(offsets[row].into())..offset(offsets[row + 1].into()),
            Offsets::Large(offsets) => offset(offsets[row])..offset(offsets[row + 1]),
        }
    }
}

fn offset(offset: i64) -> usize {
    usize::try_from(offset).unwrap_or(0)
}

fn numeric(array: &ArrayRef, shape: Numeric) -> Result<Values, ArrowError> {
    Ok(match array.data_type() {
        DataType::Decimal128(..) => Values::Numeric(array.as_primitive::<Decimal128Type>().clone(), shape),
        DataType::Decimal256(..) => Values::WideNumeric(array.as_primitive::<Decimal256Type>().clone(), shape),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            let wide = cast(array, &DataType::Decimal128(*precision, *scale))?;
            Values::Numeric(wide.as_primitive::<Decimal128Type>().clone(), shape)
        }
        _ => Values::WholeNumeric(Whole::bind(array)?, shape),
    })
}

fn timestamp(array: &ArrayRef) -> Result<Values, ArrowError> {
    let DataType::Timestamp(unit, _) = array.data_type() else {
        return Err(ArrowError::SchemaError(format!(
            "{} is no timestamp",
            array.data_type()
        )));
    };
    let counts = match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().reinterpret_cast(),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().reinterpret_cast(),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast(),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().reinterpret_cast(),
    };
    Ok(Values::Timestamp(counts, *unit))
}

fn put_json(out: &mut BytesMut, text: &str) -> Outcome {
    put_bytes(out, JSONB_VERSION, text.as_bytes())
}

fn uuid(text: &str) -> Result<[u8; 16], Cow<'static, str>> {
    parse_uuid(text).ok_or(Cow::Borrowed("a text that is no UUID"))
}

/// Writes length and value at once. Two writes take about 50 % longer.
fn put_2(out: &mut BytesMut, value: i16) {
    let [a, b] = value.to_be_bytes();
    out.extend_from_slice(&[0, 0, 0, 2, a, b]);
}

fn put_4(out: &mut BytesMut, [a, b, c, d]: [u8; 4]) {
    out.extend_from_slice(&[0, 0, 0, 4, a, b, c, d]);
}

fn put_8(out: &mut BytesMut, value: [u8; 8]) {
    let mut field = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    field[4..].copy_from_slice(&value);
    out.extend_from_slice(&field);
}
