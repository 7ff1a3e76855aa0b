//! Tests of what masks guarantee across sources, and of what must never appear in their output.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Date32Type, Int32Type};
use base64::Engine as _;
use proptest::prelude::*;

use super::{batch, key, list_of, mask_one, masked_as, run, strings};
use crate::mask::{MaskKey, Masked, Masks, Unmasked};
use crate::model::arrow_schema;
use crate::model::testing::{field, list, phi, source};
use crate::model::{Field, FieldType, MaskKind, PhiClass, Privacy};

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
    let DataType::Struct(fields) = crate::model::arrow_type(&field_type) else {
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
        let DataType::List(item) = crate::model::arrow_type(&visits) else {
            unreachable!()
        };
        let DataType::Struct(fields) = item.data_type().clone() else {
            unreachable!()
        };
        let dates: ArrayRef = Arc::new(Date32Array::from_iter_values((10_000..).take(ids.len() * 2)));
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
        source.kinds[0].subject = Some("id".into());
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
        .apply(Unmasked::new(batch(&arrow_schema(&source.kinds[0]), vec![born]), 0))
        .unwrap()
        .into_inner();
    assert_eq!(masked.column(0).as_primitive::<Int32Type>().values(), &[1933, 1970]);
}

#[test]
fn an_age_counts_on_the_latest_date_of_the_record() {
    let visits = list(FieldType::Struct(vec![field(
        "day",
        FieldType::Date(vec![]),
        phi(PhiClass::Date, MaskKind::Year, None),
    )]));
    let born = field(
        "born",
        FieldType::Date(vec![]),
        phi(PhiClass::Date, MaskKind::Year, None),
    );
    let source = source("a", vec![born, field("visits", visits, Privacy::default())]);
    let masks = Masks::plan(&source, &key())
        .unwrap()
        .aggregate_ages(chrono::NaiveDate::from_ymd_opt(2001, 5, 1).unwrap());
    let schema = arrow_schema(&source.kinds[0]);
    let born: ArrayRef = Arc::new(Date32Array::from(vec![-20_000; 4]));
    // In 2011, in 1990, on 9999-12-31, and none.
    let days: ArrayRef = Arc::new(Date32Array::from(vec![15_000, 7_400, 2_932_896]));
    let DataType::List(item) = schema.field(1).data_type() else {
        unreachable!()
    };
    let DataType::Struct(fields) = item.data_type() else {
        unreachable!()
    };
    let visits = StructArray::new(fields.clone(), vec![days], None);
    let visits: ArrayRef = Arc::new(ListArray::new(
        Arc::clone(item),
        OffsetBuffer::from_lengths([1, 1, 1, 0]),
        Arc::new(visits),
        None,
    ));
    let masked = masks
        .apply(Unmasked::new(batch(&schema, vec![born, visits]), 0))
        .unwrap()
        .into_inner();
    let years = masked.column(0).as_primitive::<Int32Type>().values();
    assert_eq!(years, &[1921, 1915, 1915, 1915]);
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
    let batch = batch(&arrow_schema(&other.kinds[0]), vec![Arc::clone(&text), text]);
    let error = Masks::plan(&planned, &key())
        .unwrap()
        .apply(Unmasked::new(batch, 0))
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
    let batch = Unmasked::new(batch(&arrow_schema(&source.kinds[0]), vec![Arc::clone(&text), text]), 0);
    let before = format!("{batch:?}");
    let masked: Masked = masks.apply(batch).unwrap();
    let shown = format!("{before} {masked:?} {masks:?} {:?}", key());
    assert!(!shown.contains("canary") && !shown.contains("9, 9"), "{shown}");
}

/// All text that a masked batch contains.
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
        let DataType::List(item) = crate::model::arrow_type(&field_type) else { unreachable!() };
        let DataType::Struct(fields) = item.data_type().clone() else { unreachable!() };
        let column: ArrayRef = Arc::new(StringArray::from(values.clone()));
        let structs: ArrayRef = Arc::new(StructArray::new(fields, vec![column; masks.len()], None));
        let array = list_of(&field_type, structs, &[values.len()], None);
        let masked = run(&source("a", vec![field("list", field_type, Privacy::default())]), &key(), vec![array]);
        let shown = shown(&masked);
        for value in &values {
            // A short text can occur in a hash by chance. Finding it then says nothing about the value.
            let chance = value.trim().len() < 6 || value.trim().split(' ').all(|word| word.len() < 4);
            prop_assert!(chance || !shown.contains(value.trim()), "raw");
            prop_assert!(!shown.contains(&hex::encode(value.as_bytes())), "hex");
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

#[test]
fn many_different_and_many_equal_values_have_the_masks_of_each_alone() {
    let different = (0..1500).map(|id| format!("P-{id}"));
    let equal = (0..1500).map(|id| format!("G-{}", id % 7));
    let few_then_many = equal.clone().chain(different.clone());
    for values in [different.chain(equal).collect::<Vec<_>>(), few_then_many.collect()] {
        let array = Arc::new(StringArray::from(values.clone()));
        let masked = mask_one(&FieldType::String, MaskKind::Hash, array);
        let expected: Vec<String> = values.iter().map(|value| key().hash("a.x", value)).collect();
        assert_eq!(strings(&masked).into_iter().flatten().collect::<Vec<_>>(), expected);
    }
}
