//! Tests of every kind of mask on every type that it takes: flat, sliced, and nested in lists and structs.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};

use super::{key, list_of, mask_one, masked_as, run, strings};
use crate::model::mask_matrix::output_type;
use crate::model::testing::{field, list, source};
use crate::model::{FieldType, MaskKind, Privacy, Source};
use crate::model::{RECORD_COLUMN, arrow_schema};

/// Six rows of every scalar type, with a null among them. Tests take slices of them.
fn scalars() -> Vec<(FieldType, ArrayRef)> {
    let texts = |texts: [&'static str; 5]| {
        let mut texts = texts.map(Some).to_vec();
        texts.insert(2, None);
        Arc::new(StringArray::from(texts)) as ArrayRef
    };
    let times = vec![
        Some(1),
        Some(-1),
        None,
        Some(86_400_000_000),
        Some(1_600_000_000_000_000),
        Some(7),
    ];
    let ages = [Some(89), Some(90), None, Some(104), Some(-1), Some(0)];
    let bools = vec![Some(true), Some(false), None, Some(true), None, Some(true)];
    let doubles = vec![Some(0.5), Some(1.5), None, Some(2.5), Some(3.5), Some(4.5)];
    let days = vec![Some(0), Some(-1), None, Some(19_478), Some(5), Some(6)];
    let decimals = Decimal128Array::from(vec![Some(1), Some(2), None, Some(3), Some(4), Some(5)]);
    let zoned = TimestampMicrosecondArray::from(times.clone()).with_timezone("UTC");
    vec![
        (FieldType::String, texts(["02139", "x", "03601", "", "é"])),
        (FieldType::Json, texts(["{}", "1", "[1]", "null", "2"])),
        (FieldType::Bool, Arc::new(BooleanArray::from(bools))),
        (FieldType::Int, Arc::new(Int32Array::from(ages.to_vec()))),
        (
            FieldType::Bigint,
            Arc::new(ages.map(|age| age.map(i64::from)).into_iter().collect::<Int64Array>()),
        ),
        (FieldType::Double, Arc::new(Float64Array::from(doubles))),
        (
            FieldType::Decimal(6, 2),
            Arc::new(decimals.with_precision_and_scale(6, 2).unwrap()),
        ),
        (FieldType::Date(vec![]), Arc::new(Date32Array::from(days))),
        (
            FieldType::Timestamp(vec![]),
            Arc::new(TimestampMicrosecondArray::from(times)),
        ),
        (FieldType::TimestampTz(vec![]), Arc::new(zoned)),
    ]
}

#[test]
fn every_pair_of_the_matrix_masks_and_keeps_its_nulls() {
    for (field_type, array) in scalars() {
        for mask in MaskKind::ALL {
            let Ok(expected) = output_type(&field_type, mask) else {
                continue;
            };
            let case = format!("{field_type:?} {}", mask.name());
            let masked = mask_one(&field_type, mask, Arc::clone(&array));
            assert_eq!(masked.data_type(), &expected, "{case}");
            assert!(masked.is_null(2), "{case}");
            match mask {
                MaskKind::Keep => assert_eq!(&masked, &array),
                MaskKind::Null => assert_eq!(masked.null_count(), 6),
                MaskKind::Zip3 => assert_eq!(strings(&masked), [Some("021"), None, None, Some("000"), None, None]),
                MaskKind::AgeCap => {
                    let ages = cast(&masked, &DataType::Int32).unwrap();
                    let ages: Vec<_> = ages.as_primitive::<Int32Type>().iter().collect();
                    let expected = match field_type {
                        FieldType::Double | FieldType::Decimal(..) => [None; 6],
                        _ => [Some(89), Some(90), None, Some(90), None, Some(0)],
                    };
                    assert_eq!(ages, expected);
                }
                _ => {
                    assert_eq!(masked.null_count(), array.null_count(), "{case}");
                    let [before, after] = [&array, &masked].map(|a| cast(a, &DataType::Utf8).unwrap());
                    for (before, after) in strings(&before).into_iter().zip(strings(&after)) {
                        assert!(before.is_none() || before != after, "{case}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_slice_is_masked_like_its_rows() {
    for (field_type, array) in scalars() {
        for mask in MaskKind::ALL
            .into_iter()
            // Each of the two runs is a load of its own, with surrogates of its own.
            .filter(|mask| *mask != MaskKind::Surrogate && output_type(&field_type, *mask).is_ok())
        {
            // Rows 2 to 5. The subjects P0 and P1 still alternate and start with P0.
            let whole = mask_one(&field_type, mask, Arc::clone(&array));
            assert_eq!(
                &mask_one(&field_type, mask, array.slice(2, 3)),
                &whole.slice(2, 3),
                "{}",
                mask.name()
            );
        }
    }
}

/// Nests `array` as the only field of a struct, in a list, in a struct, in a list, beside a field that is kept. The
/// result has five rows. The second is a null list that has elements; the fourth is empty.
fn nest(array: &ArrayRef, inner: &FieldType, privacy: &Privacy) -> (FieldType, ArrayRef) {
    let deep = |array: &ArrayRef, kept: ArrayRef, nulls: Option<NullBuffer>, schema: &FieldType| -> ArrayRef {
        let DataType::Struct(fields) = crate::model::arrow_type(schema) else {
            unreachable!()
        };
        Arc::new(StructArray::new(fields, vec![Arc::clone(array), kept], nulls))
    };
    let kept: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..array.len()).map(|i| format!("kept {i}")),
    ));
    let low = FieldType::Struct(vec![
        field("x", inner.clone(), privacy.clone()),
        field("kept", FieldType::String, Privacy::default()),
    ]);
    let structs = deep(array, kept, None, &low);
    let lists_type = list(low);
    let lists = list_of(&lists_type, structs, &[2, 1, 3, 0], Some(vec![true, true, true, false]));
    let kept: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d"]));
    let high = FieldType::Struct(vec![
        field("l", lists_type, Privacy::default()),
        field("kept", FieldType::String, Privacy::default()),
    ]);
    let structs = deep(&lists, kept, None, &high);
    let top = list(high);
    let array = list_of(
        &top,
        structs,
        &[1, 1, 2, 0, 0],
        Some(vec![true, false, true, true, true]),
    );
    (top, array)
}

fn leaf_of(nested: &ArrayRef) -> ArrayRef {
    let top = nested.as_list::<i32>().values().as_struct();
    let low = top.column(0).as_list::<i32>().values().as_struct();
    assert_eq!(low.column(1).null_count(), 0);
    Arc::clone(low.column(0))
}

#[test]
fn every_pair_masks_in_structs_in_lists_in_structs_in_lists() {
    for (inner, array) in scalars() {
        for mask in MaskKind::ALL
            .into_iter()
            // Surrogates of two runs differ.
            .filter(|mask| *mask != MaskKind::Surrogate && output_type(&inner, *mask).is_ok())
        {
            let case = format!("{inner:?} {}", mask.name());
            let (field_type, nested) = nest(&array, &inner, &masked_as(mask));
            let fields = vec![
                field("id", FieldType::String, Privacy::default()),
                field("n", field_type, Privacy::default()),
            ];
            let mut source = source("a", fields);
            source.kinds[0].subject = Some("id".into());
            let ids: ArrayRef = Arc::new(StringArray::from(vec!["P0", "P1", "P0", "P1", "P1"]));
            let masked = run(&source, &key(), vec![ids, Arc::clone(&nested)]);
            if mask == MaskKind::Keep {
                assert!(Arc::ptr_eq(masked.column(1), &nested));
                continue;
            }
            // Elements 0 and 1 belong to row 0, element 2 to the null list, and elements 3 to 5 to the first list of
            // row 2.
            let flat = match mask {
                MaskKind::DateShift => {
                    let mut source = source_of_one(&inner, mask);
                    source.kinds[0].subject = Some("id".into());
                    let ids: ArrayRef = Arc::new(StringArray::from(vec!["P0"; 6]));
                    Arc::clone(run(&source, &key(), vec![ids, Arc::clone(&array)]).column(1))
                }
                MaskKind::Hash | MaskKind::Pseudonym => {
                    // The default domain is the field's path.
                    let keyed = if mask == MaskKind::Hash {
                        crate::mask::key::Use::Hash
                    } else {
                        crate::mask::key::Use::Pseudonym
                    };
                    let keyed = key().keyed(keyed, "a.n[].l[].x");
                    let apply = if mask == MaskKind::Hash {
                        crate::mask::kinds::hash::apply
                    } else {
                        crate::mask::kinds::pseudonym::apply
                    };
                    apply(&keyed, &array).unwrap()
                }
                mask => mask_one(&inner, mask, Arc::clone(&array)),
            };
            let leaf = leaf_of(masked.column(1));
            assert_eq!(leaf.data_type(), &output_type(&inner, mask).unwrap(), "{case}");
            assert_eq!(&leaf.slice(0, 2), &flat.slice(0, 2), "{case}");
            assert!(leaf.is_null(2), "{case}");
            assert_eq!(&leaf.slice(3, 3), &flat.slice(3, 3), "{case}");

            // Rows 2 to 4 alone. The buffers must hold elements 3 to 5 and nothing of the other rows.
            let ids: ArrayRef = Arc::new(StringArray::from(vec!["P0", "P1", "P1"]));
            let sliced = run(&source, &key(), vec![ids, nested.slice(2, 3)]);
            assert_eq!(sliced.column(1), &masked.column(1).slice(2, 3), "{case}");
            assert_eq!(leaf_of(sliced.column(1)).len(), 3, "{case}");
        }
    }
}

fn source_of_one(field_type: &FieldType, mask: MaskKind) -> Source {
    source(
        "a",
        vec![
            field("id", FieldType::String, Privacy::default()),
            field("x", field_type.clone(), masked_as(mask)),
        ],
    )
}

#[test]
fn an_unmasked_source_costs_nothing() {
    let (field_type, array) = nest(
        &(Arc::new(Int32Array::from(vec![1; 6])) as ArrayRef),
        &FieldType::Int,
        &Privacy::default(),
    );
    let source = source("a", vec![field("n", field_type, Privacy::default())]);
    let masked = run(&source, &key(), vec![Arc::clone(&array)]);
    assert!(Arc::ptr_eq(masked.column(0), &array));
    assert_eq!(masked.schema(), arrow_schema(&source.kinds[0]));
    assert_eq!(masked.schema().field(1).name(), RECORD_COLUMN);
}
