//! Partial dates and times under masks.

use arrow::array::{Date32Array, StructArray, TimestampMicrosecondArray};
use arrow::datatypes::{Date32Type, Int32Type, TimestampMicrosecondType};
use chrono::{Datelike as _, NaiveDate};

use super::*;
use crate::model::arrow_type;

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

fn partial(whole: FieldType) -> FieldType {
    FieldType::Partial(Box::new(whole))
}

fn days(text: &str) -> i32 {
    let date: NaiveDate = text.parse().unwrap();
    i32::try_from((date - NaiveDate::default()).num_days()).unwrap()
}

/// The structs are null where `valid` is false, whatever stands behind them.
fn structs(field_type: &FieldType, moments: ArrayRef, precisions: &[&str], valid: &[bool]) -> ArrayRef {
    let DataType::Struct(fields) = arrow_type(field_type) else {
        unreachable!()
    };
    let precisions: ArrayRef = Arc::new(StringArray::from(precisions.to_vec()));
    let nulls = NullBuffer::from(valid.to_vec());
    Arc::new(StructArray::new(fields, vec![moments, precisions], Some(nulls)))
}

fn dates(values: &[(&str, &str)], valid: &[bool]) -> ArrayRef {
    let moments = Date32Array::from_iter_values(values.iter().map(|(date, _)| days(date)));
    let precisions: Vec<&str> = values.iter().map(|(_, precision)| *precision).collect();
    structs(&partial(FieldType::Date(vec![])), Arc::new(moments), &precisions, valid)
}

#[test]
fn a_shifted_year_or_month_starts_on_its_first_day() {
    // The rows belong to two subjects in turn. Each subject's first row is known to the day, and tells the shift.
    let known = days("2000-06-15");
    let values = [
        ("2000-06-15", "day"),
        ("2000-06-15", "day"),
        ("2000-06-01", "month"),
        ("2000-06-01", "month"),
        ("2000-01-01", "year"),
        ("2000-01-01", "year"),
        ("2000-06-01", "month"),
    ];
    let array = dates(&values, &[true, true, true, true, true, true, false]);
    let masked = mask_one(&partial(FieldType::Date(vec![])), MaskKind::DateShift, array);
    let masked = masked.as_struct();
    let moments = masked.column(0).as_primitive::<Date32Type>();
    assert!(masked.is_null(6) && moments.is_null(6) && masked.column(1).is_null(6));
    for (row, (first, precision)) in values.iter().enumerate().take(6) {
        let shift = moments.value(row % 2) - known;
        assert!((1..=183).contains(&shift.abs()));
        let moved = NaiveDate::default() + chrono::Duration::days((days(first) + shift).into());
        let expected = match *precision {
            "year" => moved.with_day(1).unwrap().with_month(1).unwrap(),
            "month" => moved.with_day(1).unwrap(),
            _ => moved,
        };
        assert_eq!(moments.value(row), days(&expected.to_string()), "{row}");
        assert_eq!(strings(masked.column(1))[row], Some(*precision));
    }
}

#[test]
fn times_move_by_whole_days_and_leave_no_year_0() {
    let whole = FieldType::TimestampTz(vec![]);
    let at = |text: &str, micros: i64| i64::from(days(text)) * MICROSECONDS_PER_DAY + micros;
    let moments = vec![
        at("2000-06-15", 1_234_567),
        at("2000-06-01", 0),
        at("0001-01-01", 0),
        at("2000-01-01", 0),
    ];
    let moments: ArrayRef = Arc::new(TimestampMicrosecondArray::from(moments).with_timezone("UTC"));
    let precisions = ["second", "month", "year", "no precision"];
    let array = structs(&partial(whole.clone()), moments, &precisions, &[true; 4]);
    // Every row has the same subject, whose shift may be forward; then the year 1 stays.
    let masked = mask_one(&partial(whole), MaskKind::DateShift, array);
    let masked = masked.as_struct();
    let moments = masked.column(0).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(moments.value(0).rem_euclid(MICROSECONDS_PER_DAY), 1_234_567);
    let month = chrono::DateTime::from_timestamp_micros(moments.value(1)).unwrap();
    assert_eq!((month.day(), month.timestamp() % 86_400), (1, 0));
    assert!(masked.is_null(2) || moments.value(2) == at("0001-01-01", 0));
    // What has no precision could not be cut.
    assert!(masked.is_null(3) && moments.is_null(3));
}

#[test]
fn year_hash_and_null_take_partial_dates() {
    let field_type = partial(FieldType::Date(vec![]));
    let values = [
        ("1970-01-01", "year"),
        ("1970-03-01", "month"),
        ("1970-03-05", "day"),
        ("1970-03-05", "day"),
    ];
    let array = || dates(&values, &[true, true, true, false]);
    let years = mask_one(&field_type, MaskKind::Year, array());
    let years: Vec<_> = years.as_primitive::<Int32Type>().iter().collect();
    assert_eq!(years, [Some(1970), Some(1970), Some(1970), None]);
    let hashes = mask_one(&field_type, MaskKind::Hash, array());
    let texts: ArrayRef = Arc::new(StringArray::from(vec![
        Some("1970"),
        Some("1970-03"),
        Some("1970-03-05"),
        None,
    ]));
    let of_texts = mask_one(&FieldType::String, MaskKind::Hash, texts);
    assert_eq!(strings(&hashes), strings(&of_texts));
    let gone = mask_one(&field_type, MaskKind::Null, array());
    assert_eq!((gone.data_type(), gone.null_count()), (&arrow_type(&field_type), 4));
    let kept = mask_one(&field_type, MaskKind::Keep, array());
    assert_eq!(&kept, &array());
}

#[test]
fn the_subject_may_be_deep_in_the_record() {
    let inner = FieldType::Struct(vec![
        field("x", FieldType::String, Privacy::default()),
        field("reference", FieldType::String, Privacy::default()),
    ]);
    let mut source = source(
        "a",
        vec![
            field("subject", inner.clone(), Privacy::default()),
            field("day", FieldType::Date(vec![]), masked_as(MaskKind::DateShift)),
        ],
    );
    source.kinds[0].subject = Some("subject.reference".into());
    let DataType::Struct(fields) = arrow_type(&inner) else {
        unreachable!()
    };
    let x: ArrayRef = Arc::new(StringArray::from(vec!["A", "B", "C", "D"]));
    let references: ArrayRef = Arc::new(StringArray::from(vec![Some("P1"), Some("P1"), Some("P1"), None]));
    let nulls = NullBuffer::from(vec![true, true, false, true]);
    let subjects: ArrayRef = Arc::new(StructArray::new(fields, vec![x, references], Some(nulls)));
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![100, 130, 100, 100]));
    let masked = run(&source, &key(), vec![subjects, dates]);
    let dates = masked.column(1).as_primitive::<Date32Type>();
    assert_eq!(dates.value(1) - dates.value(0), 30);
    assert_ne!(dates.value(0), 100);
    // Behind a null struct there is no subject, whatever memory holds.
    assert!(dates.is_null(2) && dates.is_null(3));
}
