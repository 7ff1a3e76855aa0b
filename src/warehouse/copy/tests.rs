//! Checks the encoder's output byte by byte. `roundtrip.rs` tests the round trip through a real server.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array,
    LargeStringArray, ListArray, NullArray, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow::datatypes::{DataType, Field};
use bytes::BytesMut;

use super::testing::entity;
use super::{EncodeError, Encoder, Fit};
use crate::model::{Entity, Index, PgType};

fn encode_all(columns: &[(&str, PgType, bool)], arrays: Vec<(&str, ArrayRef)>) -> Result<Vec<u8>, EncodeError> {
    let batch = RecordBatch::try_from_iter_with_nullable(arrays.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    let encoder = Encoder::new(&entity(columns), &batch.schema()).unwrap();
    let mut out = BytesMut::new();
    assert!(!encoder.bind(&batch).unwrap().write(&mut out, usize::MAX)?);
    Ok(out.to_vec())
}

fn refusal(pg_type: PgType, nullable: bool, array: ArrayRef) -> String {
    encode_all(&[("c", pg_type, nullable)], vec![("c", array)])
        .unwrap_err()
        .to_string()
}

#[test]
fn a_row() {
    let bytes = encode_all(
        &[("id", PgType::Text, false), ("n", PgType::Int4, true)],
        vec![
            ("id", Arc::new(StringArray::from(vec!["x"]))),
            ("n", Arc::new(Int32Array::from(vec![None]))),
        ],
    );
    assert_eq!(bytes.unwrap(), [0, 2, 0, 0, 0, 1, b'x', 0xff, 0xff, 0xff, 0xff]);
}

#[test]
fn all_string_arrays_are_one() {
    let plain: ArrayRef = Arc::new(StringArray::from(vec![
        Some("a"),
        None,
        Some("a text longer than twelve bytes"),
    ]));
    let columns = [("c", PgType::Text, true)];
    let expected = encode_all(&columns, vec![("c", plain.clone())]).unwrap();
    let dictionary = DataType::Dictionary(Box::new(DataType::UInt8), Box::new(DataType::LargeUtf8));
    for arrow in [DataType::LargeUtf8, DataType::Utf8View, dictionary] {
        let array = arrow::compute::cast(&plain, &arrow).unwrap();
        assert_eq!(encode_all(&columns, vec![("c", array)]).unwrap(), expected, "{arrow}");
    }
    let sliced = StringArray::from(vec![
        Some("\0"),
        Some("a"),
        None,
        Some("a text longer than twelve bytes"),
    ])
    .slice(1, 3);
    assert_eq!(encode_all(&columns, vec![("c", Arc::new(sliced))]).unwrap(), expected);
}

#[test]
fn refusals_name_column_and_reason_only() {
    let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let nul = "column c holds a NUL character, which PostgreSQL can't store";
    assert_eq!(refusal(PgType::Text, true, text("a\0b")), nul);
    assert_eq!(
        refusal(PgType::Text, true, Arc::new(StringViewArray::from(vec!["a\0b"]))),
        nul
    );
    assert_eq!(
        refusal(PgType::Text, true, Arc::new(LargeStringArray::from(vec!["a\0b"]))),
        nul
    );
    assert_eq!(
        refusal(PgType::Varchar(Some(2)), true, text("é☃x")),
        "column c holds a text longer than varchar(2)"
    );
    assert!(encode_all(&[("c", PgType::Varchar(Some(2)), true)], vec![("c", text("é☃"))]).is_ok());
    // PostgreSQL would cut these blanks without an error.
    assert_eq!(
        refusal(PgType::Varchar(Some(2)), true, text("ab  ")),
        "column c holds a text longer than varchar(2)"
    );
    assert_eq!(
        refusal(PgType::Uuid, true, text("{00000000-0000-0000-0000-000000000000")),
        "column c holds a text that is no UUID"
    );
    assert_eq!(
        refusal(PgType::Jsonb, true, text("{")),
        "column c holds a text that is no JSON (its line 1, byte 1)"
    );
    let null = "column c holds null, which the contract forbids";
    assert_eq!(
        refusal(PgType::Int4, false, Arc::new(Int32Array::from(vec![None]))),
        null
    );
    assert_eq!(refusal(PgType::Date, false, Arc::new(NullArray::new(1))), null);
    let big = Arc::new(Int64Array::from(vec![i64::from(i32::MAX) + 1]));
    assert_eq!(
        refusal(PgType::Int4, true, big),
        "column c holds a number out of the range of int4"
    );
    let list = ListArray::new(
        Arc::new(Field::new("item", DataType::Utf8, true)),
        arrow::buffer::OffsetBuffer::from_lengths([1]),
        text("\0"),
        None,
    );
    assert_eq!(refusal(PgType::TextArray, true, Arc::new(list)), nul);
}

#[test]
fn an_error_tells_row_and_record_and_keeps_what_was_good() {
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c\0"]));
    let records: ArrayRef = Arc::new(UInt64Array::from(vec![Some(1), None, Some(17)]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("_record", records)]).unwrap();
    let encoder = Encoder::new(&entity(&[("id", PgType::Text, false)]), &batch.schema()).unwrap();
    let mut rows = encoder.bind(&batch).unwrap();
    let mut out = BytesMut::new();
    assert_eq!(rows.write(&mut out, 1), Ok(true));
    let one = out.len();
    let error = rows.write(&mut out, usize::MAX).unwrap_err();
    assert_eq!((error.row, error.column.as_str(), error.record), (2, "id", Some(17)));
    assert_eq!((rows.written(), out.len()), (2, 2 * one));
}

#[test]
fn a_batch_of_another_shape_is_refused() {
    let batch = RecordBatch::try_from_iter([("id", Arc::new(NullArray::new(1)) as ArrayRef)]).unwrap();
    let wanted = entity(&[("id", PgType::Text, true), ("n", PgType::Int4, true)]);
    let error = Encoder::new(&wanted, &batch.schema()).unwrap_err();
    assert_eq!(error, "column n is missing at position 2");
    let encoder = Encoder::new(&entity(&[("id", PgType::Text, true)]), &batch.schema()).unwrap();
    let other = RecordBatch::try_from_iter([("id", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]).unwrap();
    assert!(encoder.bind(&other).is_err());
}

#[test]
fn every_type_finds_the_rows_that_do_not_fit() {
    let day = 24 * 60 * 60 * 1_000_000;
    let cases: Vec<(PgType, ArrayRef)> = vec![
        (
            PgType::Text,
            Arc::new(StringArray::from(vec![Some("a"), None, Some("a\0b")])),
        ),
        (
            PgType::Text,
            Arc::new(StringViewArray::from(vec![Some("a"), None, Some("a\0b")])),
        ),
        (
            PgType::Varchar(Some(2)),
            Arc::new(StringArray::from(vec![Some("äö"), None, Some("äöü")])),
        ),
        (
            PgType::Varchar(Some(2)),
            Arc::new(StringViewArray::from(vec![Some("äö"), None, Some("äöü")])),
        ),
        (
            PgType::Uuid,
            Arc::new(StringArray::from(vec![
                Some("6F9619FF8B86D011B42D00C04FC964FF"),
                None,
                Some("6f"),
            ])),
        ),
        (
            PgType::Jsonb,
            Arc::new(StringArray::from(vec![Some("{}"), None, Some("{")])),
        ),
        (
            PgType::Int8,
            Arc::new(UInt64Array::from(vec![Some(1), None, Some(u64::MAX)])),
        ),
        (
            PgType::Float4,
            Arc::new(Float32Array::from(vec![Some(1.0), None, Some(f32::NAN)])),
        ),
        (
            PgType::Float8,
            Arc::new(Float64Array::from(vec![Some(1.0), None, Some(f64::INFINITY)])),
        ),
        (
            PgType::Numeric(Some((2, 0))),
            Arc::new(Int64Array::from(vec![Some(99), None, Some(100)])),
        ),
        (
            PgType::Numeric(Some((3, 1))),
            Arc::new(
                Decimal128Array::from(vec![Some(120), None, Some(123)])
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
        ),
        (
            PgType::Date,
            Arc::new(Date32Array::from(vec![Some(0), None, Some(i32::MAX)])),
        ),
        (
            PgType::Timestamp,
            Arc::new(TimestampMicrosecondArray::from(vec![
                Some(0),
                None,
                Some(-3_000_000 * day),
            ])),
        ),
    ];
    for (pg_type, array) in cases {
        assert!(array.is_null(1));
        let batch = RecordBatch::try_from_iter_with_nullable([("c", array, true)]).unwrap();
        let fit = Fit::new(&entity(&[("c", pg_type, true)]), "clinic", &batch.schema()).unwrap();
        let found = fit.misfits(&batch).unwrap();
        assert_eq!(found.len(), 1, "{pg_type:?}");
        assert_eq!((found[0].row, found[0].check.as_str()), (2, "type(c)"), "{pg_type:?}");
        assert_eq!(fit.misfits(&batch.slice(0, 2)), Ok(vec![]), "{pg_type:?}");
    }
}

#[test]
fn an_index_row_is_as_large_as_postgres_says() {
    let batch = |texts: &[usize]| {
        let texts = StringArray::from_iter_values(texts.iter().map(|length| "x".repeat(*length)));
        RecordBatch::try_from_iter_with_nullable([("c", Arc::new(texts) as ArrayRef, true)]).unwrap()
    };
    let mut indexed = entity(&[("c", PgType::Text, true)]);
    indexed.indexes.push(Index {
        columns: vec!["c".to_owned()],
    });
    let found = |entity: &Entity, texts: &[usize]| {
        let batch = batch(texts);
        let fit = Fit::new(entity, "clinic", &batch.schema()).unwrap();
        let found = fit.misfits(&batch).unwrap();
        found.into_iter().map(|misfit| misfit.row).collect::<Vec<_>>()
    };
    // Eight bytes of header and four of length.
    assert_eq!(found(&indexed, &[10, 2692, 2693]), [2]);
    let unindexed = entity(&[("c", PgType::Text, true)]);
    assert_eq!(found(&unindexed, &[5000]), Vec::<usize>::new());
}

/// What was parsed to see whether it fits is not parsed again.
#[test]
fn rows_that_fit_are_encoded_without_a_second_parse() {
    let entity = entity(&[("c", PgType::Jsonb, true)]);
    let batch = |text: &str| {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![text]));
        RecordBatch::try_from_iter_with_nullable([("c", texts, true)]).unwrap()
    };
    let (good, broken) = (batch("{\"a\": [1]}"), batch("{"));
    let checking = || Encoder::new(&entity, &good.schema()).unwrap();
    let encoded = |encoder: Encoder, batch: &RecordBatch| {
        let mut out = BytesMut::new();
        let written = encoder.bind(batch).unwrap().write(&mut out, usize::MAX);
        written.map(|_| out)
    };
    let fitting = || checking().of_fitting_rows();
    assert_eq!(encoded(fitting(), &good).unwrap(), encoded(checking(), &good).unwrap());
    assert!(encoded(checking(), &broken).is_err());
    assert!(encoded(fitting(), &broken).is_ok(), "parsed again");
    let fit = Fit::new(&entity, "source", &good.schema()).unwrap();
    assert_eq!(fit.misfits(&broken).unwrap().len(), 1);
}
