//! Dates and times of which only a part may be known, under the masks of whole ones. Each is a struct of its first moment
//! and its precision.
//!
//! The first moment of a year or month is always its first day. If it moved by itself, the day on which it arrives would
//! tell by how much, and so unmask every other date of the person. So it is cut to its precision again.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StringArray, StructArray};
use arrow::compute::{is_null, nullif};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Date32Type, Fields, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use chrono::{Datelike as _, NaiveDate};

use crate::model::Precision;

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// Partial dates or times, taken apart.
pub(super) struct Partial {
    /// Null where the struct is null.
    pub moments: ArrayRef,
    pub precisions: StringArray,
}

impl Partial {
    /// Takes a struct apart. `mask` is named in the error if it is another one.
    pub fn of(array: &ArrayRef, mask: &str) -> Result<Self, ArrowError> {
        let structs = array
            .as_struct_opt()
            .filter(|structs| crate::model::is_partial(structs.data_type()))
            .ok_or_else(|| super::unexpected(mask, array.data_type()))?;
        let absent = is_null(structs)?;
        let precisions = nullif(structs.column(1), &absent)?;
        Ok(Self {
            moments: nullif(structs.column(0), &absent)?,
            precisions: precisions.as_string::<i32>().clone(),
        })
    }

    fn precision(&self, row: usize) -> Option<Precision> {
        let is_known = self.precisions.is_valid(row);
        is_known.then(|| Precision::named(self.precisions.value(row))).flatten()
    }

    /// The structs again, with other moments, each cut to its precision. Where a moment is null, all is.
    pub fn with(&self, moments: &ArrayRef, fields: &Fields) -> Result<ArrayRef, ArrowError> {
        let moments: ArrayRef = match moments.data_type() {
            DataType::Date32 => Arc::new(self.cut(moments.as_primitive::<Date32Type>(), |days| {
                Some((super::date(days)?, days))
            })),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let times = moments.as_primitive::<TimestampMicrosecondType>();
                let cut = self.cut(times, |time| {
                    let days = i32::try_from(time.div_euclid(MICROSECONDS_PER_DAY)).ok()?;
                    Some((super::date(days)?, time))
                });
                Arc::new(cut.with_timezone_opt(zone.clone()))
            }
            other => return Err(super::unexpected("date_shift", other)),
        };
        let absent = is_null(&moments)?;
        let precisions = nullif(&self.precisions, &absent)?;
        let nulls = moments.nulls().cloned();
        Ok(Arc::new(StructArray::try_new(
            fields.clone(),
            vec![moments, precisions],
            nulls,
        )?))
    }

    /// `dated` gives the day of a moment, and the moment.
    fn cut<T: ArrowPrimitiveType>(
        &self,
        moments: &PrimitiveArray<T>,
        dated: impl Fn(T::Native) -> Option<(NaiveDate, T::Native)>,
    ) -> PrimitiveArray<T>
    where
        T::Native: FromDays,
    {
        let first = |(row, moment): (usize, Option<T::Native>)| {
            let (date, moment) = dated(moment?)?;
            let start = match self.precision(row)? {
                Precision::Year => NaiveDate::from_ymd_opt(date.year(), 1, 1)?,
                Precision::Month => NaiveDate::from_ymd_opt(date.year(), date.month(), 1)?,
                _ => return Some(moment),
            };
            let days = start.signed_duration_since(NaiveDate::default()).num_days();
            T::Native::from_days(i32::try_from(days).ok()?)
        };
        moments.iter().enumerate().map(first).collect()
    }

    /// The date of a row as ISO 8601 writes it at its precision. `None` for a null. Only of dates, not of times.
    pub fn spell(&self, row: usize, text: &mut String) -> Option<()> {
        let days = self.moments.as_primitive_opt::<Date32Type>()?;
        let date = days.is_valid(row).then(|| super::date(days.value(row))).flatten()?;
        let format = match self.precision(row)? {
            Precision::Year => "%Y",
            Precision::Month => "%Y-%m",
            _ => "%Y-%m-%d",
        };
        write!(text, "{}", date.format(format)).ok()
    }
}

/// The start of a day, given in days since 1970-01-01.
pub(super) trait FromDays: Sized {
    fn from_days(days: i32) -> Option<Self>;
}

impl FromDays for i32 {
    fn from_days(days: i32) -> Option<Self> {
        Some(days)
    }
}

impl FromDays for i64 {
    fn from_days(days: i32) -> Option<Self> {
        Self::from(days).checked_mul(MICROSECONDS_PER_DAY)
    }
}
