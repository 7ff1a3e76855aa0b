//! The text of a value of any type, before it is hashed. An id hashes the same whether it arrived as `1234` or as
//! `"1234"`. Nothing is trimmed, folded or normalised here; that is the work of `normalize`.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int32Type, Int64Type};
use arrow::error::ArrowError;

use super::date;
use super::partial::Partial;

/// Calls `each` with the text of every value in order, or with `None` for a null.
///
/// Strings and json are used as they are. An int or bigint is written in decimal digits. A decimal is written with all
/// digits of its scale. A date is written as `YYYY-MM-DD`, a partial one as `YYYY` or `YYYY-MM`; a date outside of chrono's
/// years (±262,142) counts as null.
pub(in crate::mask) fn for_each<'a>(
    array: &'a ArrayRef,
    mut each: impl FnMut(Option<Spelled<'a, '_>>),
) -> Result<(), ArrowError> {
    match array.data_type() {
        DataType::Utf8 => {
            for value in array.as_string::<i32>() {
                each(value.map(Spelled::Kept));
            }
        }
        DataType::Int32 => {
            let array = array.as_primitive::<Int32Type>();
            spell(array, |i, text| write!(text, "{}", array.value(i)).is_ok(), each);
        }
        DataType::Int64 => {
            let array = array.as_primitive::<Int64Type>();
            spell(array, |i, text| write!(text, "{}", array.value(i)).is_ok(), each);
        }
        DataType::Decimal128(..) => {
            let array = array.as_primitive::<Decimal128Type>();
            spell(
                array,
                |i, text| write!(text, "{}", array.value_as_string(i)).is_ok(),
                each,
            );
        }
        DataType::Date32 => {
            let array = array.as_primitive::<Date32Type>();
            let iso = |i: usize, text: &mut String| {
                date(array.value(i)).is_some_and(|date| write!(text, "{}", date.format("%Y-%m-%d")).is_ok())
            };
            spell(array, iso, each);
        }
        DataType::Struct(_) => {
            let partial = Partial::of(array, "hash")?;
            if *partial.moments.data_type() != DataType::Date32 {
                return Err(super::unexpected("hash", array.data_type()));
            }
            spell(array, |i, text| partial.spell(i, text).is_some(), each);
        }
        other => return Err(super::unexpected("hash", other)),
    }
    Ok(())
}

/// A value's text. It is held by the array, or by a buffer that the next value overwrites.
pub(in crate::mask) enum Spelled<'a, 'b> {
    Kept(&'a str),
    Passing(&'b str),
}

fn spell<'a>(
    array: &dyn Array,
    write: impl Fn(usize, &mut String) -> bool,
    mut each: impl FnMut(Option<Spelled<'a, '_>>),
) {
    let mut text = String::new();
    for i in 0..array.len() {
        text.clear();
        let spelled = array.is_valid(i) && write(i, &mut text);
        each(spelled.then_some(Spelled::Passing(&text)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray};

    use super::*;

    fn spellings(array: impl Array + 'static) -> Vec<Option<String>> {
        let array: ArrayRef = Arc::new(array);
        let mut all = vec![];
        for_each(&array, |spelled| {
            all.push(spelled.map(|spelled| match spelled {
                Spelled::Kept(text) | Spelled::Passing(text) => text.to_owned(),
            }));
        })
        .unwrap();
        all
    }

    #[test]
    fn spells_every_type_as_text_would() {
        let expected = [Some("-7".to_owned()), None, Some("1234".to_owned())];
        assert_eq!(spellings(Int32Array::from(vec![Some(-7), None, Some(1234)])), expected);
        assert_eq!(spellings(Int64Array::from(vec![Some(-7), None, Some(1234)])), expected);
        assert_eq!(
            spellings(StringArray::from(vec![Some("-7"), None, Some("1234")])),
            expected
        );
        let decimals = Decimal128Array::from(vec![5, 1250])
            .with_precision_and_scale(6, 2)
            .unwrap();
        assert_eq!(spellings(decimals), [Some("0.05".to_owned()), Some("12.50".to_owned())]);
        let dates = Date32Array::from(vec![0, -1, 19_478, i32::MAX]);
        let expected = ["1970-01-01", "1969-12-31", "2023-05-01"].map(|text| Some(text.to_owned()));
        assert_eq!(spellings(dates), [expected.as_slice(), &[None]].concat());
        let doubles: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
        assert!(for_each(&doubles, |_| ()).is_err());
    }
}
