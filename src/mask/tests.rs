//! The masks as a source declares them, on whole batches: every kind at every depth, and what may never come out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    ListArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int32Type, SchemaRef};
use base64::Engine as _;
use proptest::prelude::*;

use super::samples::{field, list, phi, source};
use super::{MaskKey, Masked, Masks, Unmasked, output_type};
use crate::ingest::{RECORD_COLUMN, arrow_schema};
use crate::project::{Field, FieldType, MaskKind, PhiClass, Privacy, Source};

fn key() -> MaskKey {
    MaskKey::from_bytes([9; 32])
}

fn masked_as(mask: MaskKind) -> Privacy {
    Privacy {
        mask: Some(mask),
        ..Privacy::default()
    }
}

fn batch(schema: &SchemaRef, mut columns: Vec<ArrayRef>) -> RecordBatch {
    let rows = columns[0].len();
    columns.push(Arc::new(UInt64Array::from_iter_values(1..=rows as u64)));
    RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
}

/// The columns of a source after its masks.
fn run(source: &Source, key: &MaskKey, columns: Vec<ArrayRef>) -> RecordBatch {
    let masks = Masks::plan(source, key).unwrap();
    let masked = masks
        .apply(Unmasked::new(batch(&arrow_schema(source), columns)))
        .unwrap()
        .into_inner();
    assert_eq!(masked.schema(), masks.output_schema());
    masked
}

/// One column of one type under one mask.
fn mask_one(field_type: &FieldType, mask: MaskKind, array: ArrayRef) -> ArrayRef {
    let mut source = source(
        "a",
        vec![
            field("id", FieldType::String, Privacy::default()),
            field("x", field_type.clone(), masked_as(mask)),
        ],
    );
    source.subject = Some("id".into());
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..array.len()).map(|i| format!("P{}", i % 2)),
    ));
    Arc::clone(run(&source, &key(), vec![ids, array]).column(1))
}

fn strings(array: &ArrayRef) -> Vec<Option<&str>> {
    array.as_string::<i32>().iter().collect()
}

/// Six rows of every scalar type, a null among them, made to be sliced.
fn scalars() -> Vec<(FieldType, ArrayRef)> {
    let times = vec![
        Some(1),
        Some(-1),
        None,
        Some(86_400_000_000),
        Some(1_600_000_000_000_000),
        Some(7),
    ];
    vec![
        (
            FieldType::String,
            Arc::new(StringArray::from(vec![
                Some("02139"),
                Some("x"),
                None,
                Some("03601"),
                Some(""),
                Some("é"),
            ])) as ArrayRef,
        ),
        (
            FieldType::Json,
            Arc::new(StringArray::from(vec![
                Some("{}"),
                Some("1"),
                None,
                Some("[1]"),
                Some("null"),
                Some("2"),
            ])),
        ),
        (
            FieldType::Bool,
            Arc::new(BooleanArray::from(vec![
                Some(true),
                Some(false),
                None,
                Some(true),
                None,
                Some(true),
            ])),
        ),
        (
            FieldType::Int,
            Arc::new(Int32Array::from(vec![
                Some(89),
                Some(90),
                None,
                Some(104),
                Some(-1),
                Some(0),
            ])),
        ),
        (
            FieldType::Bigint,
            Arc::new(Int64Array::from(vec![
                Some(89),
                Some(90),
                None,
                Some(104),
                Some(-1),
                Some(0),
            ])),
        ),
        (
            FieldType::Double,
            Arc::new(Float64Array::from(vec![
                Some(0.5),
                Some(1.5),
                None,
                Some(2.5),
                Some(3.5),
                Some(4.5),
            ])),
        ),
        (
            FieldType::Decimal(6, 2),
            Arc::new(
                Decimal128Array::from(vec![Some(1), Some(2), None, Some(3), Some(4), Some(5)])
                    .with_precision_and_scale(6, 2)
                    .unwrap(),
            ),
        ),
        (
            FieldType::Date(vec![]),
            Arc::new(Date32Array::from(vec![
                Some(0),
                Some(-1),
                None,
                Some(19_478),
                Some(5),
                Some(6),
            ])),
        ),
        (
            FieldType::Timestamp(vec![]),
            Arc::new(TimestampMicrosecondArray::from(times.clone())),
        ),
        (
            FieldType::TimestampTz(vec![]),
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        ),
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
                    assert_eq!(ages, [Some(89), Some(90), None, Some(90), Some(-1), Some(0)]);
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
            .filter(|mask| output_type(&field_type, *mask).is_ok())
        {
            // Rows 2 to 5, so that P0 and P1 still take turns from P0.
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

/// `array` as the only field of a struct, in a list, in a struct, in a list, beside a field that is kept: five rows,
/// the second a null list over elements, the fourth empty.
fn nest(array: &ArrayRef, inner: &FieldType, privacy: &Privacy) -> (FieldType, ArrayRef) {
    let deep = |array: &ArrayRef, kept: ArrayRef, nulls: Option<NullBuffer>, schema: &FieldType| -> ArrayRef {
        let DataType::Struct(fields) = crate::ingest::arrow_type(schema) else {
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

fn list_of(field_type: &FieldType, values: ArrayRef, lengths: &[usize], valid: Option<Vec<bool>>) -> ArrayRef {
    let DataType::List(item) = crate::ingest::arrow_type(field_type) else {
        unreachable!()
    };
    Arc::new(ListArray::new(
        item,
        OffsetBuffer::from_lengths(lengths.iter().copied()),
        values,
        valid.map(NullBuffer::from),
    ))
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
            .filter(|mask| output_type(&inner, *mask).is_ok())
        {
            let case = format!("{inner:?} {}", mask.name());
            let (field_type, nested) = nest(&array, &inner, &masked_as(mask));
            let fields = vec![
                field("id", FieldType::String, Privacy::default()),
                field("n", field_type, Privacy::default()),
            ];
            let mut source = source("a", fields);
            source.subject = Some("id".into());
            let ids: ArrayRef = Arc::new(StringArray::from(vec!["P0", "P1", "P0", "P1", "P1"]));
            let masked = run(&source, &key(), vec![ids, Arc::clone(&nested)]);
            if mask == MaskKind::Keep {
                assert!(Arc::ptr_eq(masked.column(1), &nested));
                continue;
            }
            // Elements 0 and 1 are of row 0, element 2 of the null list, elements 3 to 5 of row 2's first.
            let flat = match mask {
                MaskKind::DateShift => {
                    let mut source = source_of_one(&inner, mask);
                    source.subject = Some("id".into());
                    let ids: ArrayRef = Arc::new(StringArray::from(vec!["P0"; 6]));
                    Arc::clone(run(&source, &key(), vec![ids, Arc::clone(&array)]).column(1))
                }
                MaskKind::Hash | MaskKind::Pseudonym => {
                    // The default domain is the field's path.
                    let keyed = if mask == MaskKind::Hash {
                        super::key::Use::Hash
                    } else {
                        super::key::Use::Pseudonym
                    };
                    let keyed = key().keyed(keyed, "a.n[].l[].x");
                    let apply = if mask == MaskKind::Hash {
                        super::kinds::hash::apply
                    } else {
                        super::kinds::pseudonym::apply
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

            // Rows 2 to 4 alone: elements 3 to 5, and nothing of the others in the buffers.
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
fn lists_of_lists_of_scalars_take_the_lists_mask() {
    let field_type = list(list(FieldType::String));
    let inner = list_of(
        &list(FieldType::String),
        Arc::new(StringArray::from(vec!["a", "b", "a"])),
        &[1, 2],
        None,
    );
    let array = list_of(&field_type, inner, &[0, 2], None);
    let source = source("a", vec![field("codes", field_type, masked_as(MaskKind::Hash))]);
    let masked = run(&source, &key(), vec![array]);
    let codes = Arc::clone(masked.column(0).as_list::<i32>().values().as_list::<i32>().values());
    let expected = ["a", "b", "a"].map(|code| key().hash("a.codes[][]", code));
    assert_eq!(strings(&codes), expected.each_ref().map(|code| Some(code.as_str())));
}

#[test]
fn children_of_a_null_struct_come_out_null() {
    let children = vec![
        field("name", FieldType::String, masked_as(MaskKind::Pseudonym)),
        field("codes", list(FieldType::String), masked_as(MaskKind::Hash)),
    ];
    let field_type = FieldType::Struct(children);
    let DataType::Struct(fields) = crate::ingest::arrow_type(&field_type) else {
        unreachable!()
    };
    let names: ArrayRef = Arc::new(StringArray::from(vec!["real", "garbage"]));
    let codes = list_of(
        &list(FieldType::String),
        Arc::new(StringArray::from(vec!["real", "garbage"])),
        &[1, 1],
        None,
    );
    let array: ArrayRef = Arc::new(StructArray::new(
        fields,
        vec![names, codes],
        Some(NullBuffer::from(vec![true, false])),
    ));
    let masked = run(
        &source("a", vec![field("s", field_type, Privacy::default())]),
        &key(),
        vec![array],
    );
    let masked = masked.column(0).as_struct();
    assert!(masked.is_null(1) && masked.column(0).is_null(1) && masked.column(1).is_null(1));
    assert!(masked.column(0).is_valid(0));
    let elements = masked.column(1).as_list::<i32>().values();
    assert!(elements.is_valid(0) && elements.is_null(1));
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
    assert_eq!(masked.schema(), arrow_schema(&source));
    assert_eq!(masked.schema().field(1).name(), RECORD_COLUMN);
}

#[test]
fn a_shared_domain_joins_sources_and_types() {
    let hash = |name: &str, field_type: FieldType, domain: &str, key: &MaskKey, array: ArrayRef| {
        let privacy = phi(
            PhiClass::Identifier,
            MaskKind::Hash,
            (!domain.is_empty()).then_some(domain),
        );
        let masked = run(&source(name, vec![field("id", field_type, privacy)]), key, vec![array]);
        masked.column(0).as_string::<i32>().value(0).to_owned()
    };
    let text = || -> ArrayRef { Arc::new(StringArray::from(vec!["1234"])) };
    let base = hash("a", FieldType::String, "patient", &key(), text());
    assert_eq!(base, hash("b", FieldType::String, "patient", &key(), text()));
    assert_eq!(
        base,
        hash(
            "b",
            FieldType::Int,
            "patient",
            &key(),
            Arc::new(Int32Array::from(vec![1234]))
        )
    );
    assert_eq!(
        base,
        hash(
            "b",
            FieldType::Bigint,
            "patient",
            &key(),
            Arc::new(Int64Array::from(vec![1234]))
        )
    );
    assert_eq!(base, key().hash("patient", "1234"));
    assert_ne!(base, hash("a", FieldType::String, "visit", &key(), text()));
    assert_ne!(
        base,
        hash("a", FieldType::String, "patient", &MaskKey::from_bytes([8; 32]), text())
    );
    assert_ne!(
        hash("a", FieldType::String, "", &key(), text()),
        hash("b", FieldType::String, "", &key(), text())
    );
}

#[test]
fn dates_of_a_subject_move_together_in_all_its_sources() {
    let shifted = |name: &str, ids: &[Option<&str>]| -> Vec<Option<i32>> {
        let visits = list(FieldType::Struct(vec![field(
            "date",
            FieldType::Date(vec![]),
            masked_as(MaskKind::DateShift),
        )]));
        let DataType::List(item) = crate::ingest::arrow_type(&visits) else {
            unreachable!()
        };
        let DataType::Struct(fields) = item.data_type().clone() else {
            unreachable!()
        };
        let dates: ArrayRef = Arc::new(Date32Array::from_iter_values(
            (0..ids.len() as i32 * 2).map(|i| 10_000 + i),
        ));
        let structs: ArrayRef = Arc::new(StructArray::new(fields, vec![dates], None));
        let array = list_of(&visits, structs, &vec![2; ids.len()], None);
        let id = phi(PhiClass::Identifier, MaskKind::Hash, Some("patient"));
        let mut source = source(
            name,
            vec![
                field("visits", visits, Privacy::default()),
                field("id", FieldType::String, id),
            ],
        );
        source.subject = Some("id".into());
        let ids: ArrayRef = Arc::new(StringArray::from(ids.to_vec()));
        let masked = run(&source, &key(), vec![array, ids]);
        let dates = Arc::clone(masked.column(0).as_list::<i32>().values().as_struct().column(0));
        let moved = dates.as_primitive::<Date32Type>().iter().enumerate();
        moved
            .map(|(i, date)| date.map(|date| date - 10_000 - i32::try_from(i).unwrap()))
            .collect()
    };
    let a = shifted("a", &[Some("P1"), None, Some("P2"), Some("P1")]);
    assert_eq!((a[0], a[6]), (a[1], a[7]));
    assert_eq!(a[0], a[6]);
    assert_eq!((a[2], a[3]), (None, None));
    assert_ne!(a[0], a[4]);
    assert!(a.iter().flatten().all(|days| (1..=183).contains(&days.abs())));
    assert_eq!(shifted("b", &[Some("P2")])[0], a[4]);
}

#[test]
fn years_of_the_oldest_become_one_if_asked() {
    let source = source(
        "a",
        vec![field(
            "born",
            FieldType::Date(vec![]),
            phi(PhiClass::Date, MaskKind::Year, None),
        )],
    );
    let masks = Masks::plan(&source, &key())
        .unwrap()
        .aggregate_ages(chrono::NaiveDate::from_ymd_opt(2023, 5, 1).unwrap());
    let born: ArrayRef = Arc::new(Date32Array::from(vec![-14_000, 0]));
    let masked = masks
        .apply(Unmasked::new(batch(&arrow_schema(&source), vec![born])))
        .unwrap()
        .into_inner();
    assert_eq!(masked.column(0).as_primitive::<Int32Type>().values(), &[1933, 1970]);
}

#[test]
fn what_was_not_planned_is_refused() {
    let unmaskable = source(
        "a",
        vec![field(
            "id",
            FieldType::String,
            Privacy {
                phi: Some(PhiClass::Name),
                ..Privacy::default()
            },
        )],
    );
    let error = Masks::plan(&unmaskable, &key()).unwrap_err();
    assert_eq!(
        (error.message.as_str(), error.diagnostics.len()),
        ("the masks of a can't be applied", 1)
    );

    let planned = source("a", vec![field("id", FieldType::String, masked_as(MaskKind::Hash))]);
    let other = source(
        "a",
        vec![
            field("id", FieldType::String, Privacy::default()),
            field("name", FieldType::String, Privacy::default()),
        ],
    );
    let text: ArrayRef = Arc::new(StringArray::from(vec!["canary"]));
    let batch = batch(&arrow_schema(&other), vec![Arc::clone(&text), text]);
    let error = Masks::plan(&planned, &key())
        .unwrap()
        .apply(Unmasked::new(batch))
        .unwrap_err();
    assert!(!format!("{error:?}").contains("canary"));
}

#[test]
fn debug_shows_no_value_and_no_key() {
    let source = source(
        "a",
        vec![
            field("id", FieldType::String, masked_as(MaskKind::Hash)),
            field("x", FieldType::String, Privacy::default()),
        ],
    );
    let masks = Masks::plan(&source, &key()).unwrap();
    let text: ArrayRef = Arc::new(StringArray::from(vec!["canary"]));
    let batch = Unmasked::new(batch(&arrow_schema(&source), vec![Arc::clone(&text), text]));
    let mut shown = format!("{batch:?}");
    let masked: Masked = masks.apply(batch).unwrap();
    shown.push_str(&format!("{masked:?} {masks:?} {:?}", key()));
    assert!(!shown.contains("canary") && !shown.contains("9, 9"), "{shown}");
}

/// All text that a masked batch shows.
fn shown(batch: &RecordBatch) -> String {
    arrow::util::pretty::pretty_format_batches(std::slice::from_ref(batch))
        .unwrap()
        .to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_of_a_value_comes_out(values in proptest::collection::vec("[A-Za-z0-9ß-öŁ一-十 .@-]{4,24}", 1..8)) {
        let masks = [MaskKind::Null, MaskKind::Redact, MaskKind::Hash, MaskKind::Pseudonym];
        let children: Vec<Field> =
            masks.iter().map(|mask| field(mask.name(), FieldType::String, masked_as(*mask))).collect();
        let field_type = list(FieldType::Struct(children));
        let DataType::List(item) = crate::ingest::arrow_type(&field_type) else { unreachable!() };
        let DataType::Struct(fields) = item.data_type().clone() else { unreachable!() };
        let column: ArrayRef = Arc::new(StringArray::from(values.clone()));
        let structs: ArrayRef = Arc::new(StructArray::new(fields, vec![column; masks.len()], None));
        let array = list_of(&field_type, structs, &[values.len()], None);
        let masked = run(&source("a", vec![field("list", field_type, Privacy::default())]), &key(), vec![array]);
        let shown = shown(&masked);
        for value in &values {
            // Four characters alone can turn up in a hash by chance; they then say nothing about the value.
            let chance = value.trim().len() < 6 || value.trim().split(' ').all(|word| word.len() < 4);
            prop_assert!(chance || !shown.contains(value.trim()), "raw");
            prop_assert!(!shown.contains(&super::kinds::hash::hex(value.as_bytes())), "hex");
            let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(value);
            prop_assert!(!shown.contains(base64.as_str()), "base64");
        }
    }

    #[test]
    fn equal_values_and_only_those_are_masked_alike(values in proptest::collection::vec(".{0,6}", 1..40)) {
        for mask in [MaskKind::Hash, MaskKind::Pseudonym] {
            let array: ArrayRef = Arc::new(StringArray::from(values.clone()));
            let masked = mask_one(&FieldType::String, mask, array);
            let pairs: HashMap<&str, &str> =
                values.iter().map(String::as_str).zip(strings(&masked).into_iter().flatten()).collect();
            for (value, masked) in values.iter().zip(strings(&masked)) {
                prop_assert_eq!(pairs[value.as_str()], masked.unwrap());
            }
            prop_assert_eq!(pairs.values().collect::<HashSet<_>>().len(), pairs.len());
        }
    }
}
