//! `age_cap`: ages of 90 and above become 90, the single category that 45 CFR 164.514(b)(2)(i)(C) allows for them. What is
//! no age becomes null: a negative number, which may be a date that counts days, and a number with a fraction, which
//! tells the day of birth to within weeks.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int32Type, Int64Type};
use arrow::error::ArrowError;

const OLDEST: i32 = 90;

pub(in crate::mask) fn apply(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Int32 => Ok(Arc::new(capped::<Int32Type>(array, |age| {
            (age >= 0).then(|| age.min(OLDEST))
        }))),
        DataType::Int64 => Ok(Arc::new(capped::<Int64Type>(array, |age| {
            (age >= 0).then(|| age.min(i64::from(OLDEST)))
        }))),
        DataType::Float64 => Ok(Arc::new(capped::<Float64Type>(array, |age| {
            (age >= 0.0 && age.fract() == 0.0).then(|| age.min(f64::from(OLDEST)))
        }))),
        DataType::Decimal128(precision, scale) => {
            let (precision, scale) = (*precision, *scale);
            // A negative scale can't be declared.
            let one = 10_i128.pow(u32::try_from(scale).unwrap_or_default());
            let oldest = i128::from(OLDEST) * one;
            let ages = capped::<Decimal128Type>(array, |age| (age >= 0 && age % one == 0).then(|| age.min(oldest)));
            Ok(Arc::new(ages.with_precision_and_scale(precision, scale)?))
        }
        other => Err(super::unexpected("age_cap", other)),
    }
}

fn capped<T: ArrowPrimitiveType>(array: &ArrayRef, cap: impl Fn(T::Native) -> Option<T::Native>) -> PrimitiveArray<T> {
    array.as_primitive::<T>().unary_opt(cap)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Float64Array, Int32Array, Int64Array};

    use super::*;

    #[test]
    fn what_is_no_age_becomes_null() {
        let whole: ArrayRef = Arc::new(Int32Array::from(vec![Some(-1), Some(0), Some(89), Some(112), None]));
        let capped = apply(&whole).unwrap();
        let expected = [None, Some(0), Some(89), Some(90), None];
        assert_eq!(capped.as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), expected);
        // Days since 1970: before it, the number itself would tell the date.
        let days: ArrayRef = Arc::new(Int64Array::from(vec![-14_000, 19_478]));
        let capped = apply(&days).unwrap();
        assert_eq!(
            capped.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
            [None, Some(90)]
        );
        let doubles: ArrayRef = Arc::new(Float64Array::from(vec![
            45.0,
            45.5,
            112.0,
            -0.5,
            f64::NAN,
            f64::INFINITY,
        ]));
        let capped = apply(&doubles).unwrap();
        let expected = [Some(45.0), None, Some(90.0), None, None, None];
        assert_eq!(
            capped.as_primitive::<Float64Type>().iter().collect::<Vec<_>>(),
            expected
        );
        let decimals = Decimal128Array::from(vec![4500, 4550, 11_200, -100]);
        let decimals: ArrayRef = Arc::new(decimals.with_precision_and_scale(5, 2).unwrap());
        let capped = apply(&decimals).unwrap();
        assert_eq!(capped.data_type(), &DataType::Decimal128(5, 2));
        let expected = [Some(4500), None, Some(9000), None];
        assert_eq!(
            capped.as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>(),
            expected
        );
    }
}
