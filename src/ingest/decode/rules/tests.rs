use proptest::prelude::*;
use regex::Regex;
use unicode_normalization::UnicodeNormalization as _;

use super::super::super::testing::{field, from, list_of, required};
use super::super::tests::decode;
use super::*;
use crate::model::{Bounds, Field, From};
use crate::model::{FieldType, Normalize, Nulls, literal};

fn ruled(name: &str, field_type: FieldType, rules: ValueRules) -> Field {
    Field {
        rules,
        ..field(name, field_type)
    }
}

fn pattern(text: &str) -> Regex {
    Regex::new(&format!(r"\A(?:{text})\z")).unwrap()
}

fn between<T>(min: T, max: T) -> Bounds<T> {
    let (min, max) = (Some(min), Some(max));
    Bounds { min, max }
}

fn within(field_type: &FieldType, min: &str, max: &str) -> ValueRules {
    ValueRules {
        range: Some(between(
            literal(min, field_type).unwrap(),
            literal(max, field_type).unwrap(),
        )),
        ..ValueRules::default()
    }
}

fn one_of(field_type: &FieldType, values: &[&str]) -> ValueRules {
    ValueRules {
        accepted_values: values.iter().map(|text| literal(text, field_type).unwrap()).collect(),
        ..ValueRules::default()
    }
}

/// The check that refuses `{"v": value}`. It also checks that the records before and after it stay.
fn refused_by(field: &Field, value: &str) -> Option<&'static str> {
    let record = format!("{{\"v\": {value}}}");
    let (batch, faults, _) = decode(vec![field.clone()], &[r#"{"v":null}"#, &record, "{}"]);
    let fault = faults.into_iter().nth(1).unwrap();
    assert_eq!(batch.num_rows(), 2 + usize::from(fault.is_none()), "{value}");
    let fault = fault?;
    let path = if matches!(field.field_type, FieldType::List(_)) {
        "$.v[]"
    } else {
        "$.v"
    };
    assert_eq!((&*fault.path, record.as_bytes()[fault.at] == b' '), (path, false));
    Some(fault.check)
}

#[test]
fn ranges_of_every_ordered_type_hold_both_bounds() {
    use FieldType as F;
    for (field_type, min, max, good, bad) in [
        (F::Int, "-1", "1_000", ["-1", "1000"], ["-2", "1001"]),
        (
            F::Bigint,
            "0",
            "9007199254740993",
            ["0", "9007199254740993"],
            ["-1", "9007199254740994"],
        ),
        (F::Double, "0.5", "1e3", ["0.5", "1000"], ["0.4999", "1000.1"]),
        (F::Decimal(6, 2), "0.01", "99.9", ["0.01", "99.90"], ["0", "99.91"]),
        (
            F::Date(vec![]),
            "1900-01-01",
            "2023-05-01",
            ["\"1900-01-01\"", "\"2023-05-01\""],
            ["\"1899-12-31\"", "\"2023-05-02\""],
        ),
        (
            F::Timestamp(vec![]),
            "1900-01-01",
            "2023-05-01T12:00:00",
            ["\"1900-01-01T00:00:00\"", "\"2023-05-01T12:00:00\""],
            ["\"1899-12-31T23:59:59.999999\"", "\"2023-05-01T12:00:00.000001\""],
        ),
        (
            F::TimestampTz(vec![]),
            "1900-01-01",
            "2023-05-01T12:00:00Z",
            ["\"1900-01-01T01:00:00+01:00\"", "\"2023-05-01T14:00:00+02:00\""],
            ["\"1900-01-01T00:59:59+01:00\"", "\"2023-05-01T12:00:00-00:01\""],
        ),
    ] {
        let field = ruled("v", field_type.clone(), within(&field_type, min, max));
        for value in good {
            assert_eq!(refused_by(&field, value), None, "{value} of {field_type:?}");
        }
        for value in bad {
            assert_eq!(refused_by(&field, value), Some("range"), "{value} of {field_type:?}");
        }
    }
    let date = FieldType::Date(vec!["%d.%m.%Y".into()]);
    let field = ruled("v", date.clone(), within(&date, "1900-01-01", "1900-01-02"));
    assert_eq!(refused_by(&field, "\"02.01.1900\""), None);
    assert_eq!(refused_by(&field, "\"03.01.1900\""), Some("range"));
}

#[test]
fn accepted_values_of_every_scalar_type() {
    use FieldType as F;
    for (field_type, accepted, good, bad) in [
        (F::String, vec!["m", "f"], "\"f\"", "\"F\""),
        (F::Bool, vec!["true"], "true", "false"),
        (F::Int, vec!["1", "2"], "2", "3"),
        (F::Bigint, vec!["1"], "1", "0"),
        (F::Double, vec!["0.1", "1"], "1.0", "1.1"),
        (F::Decimal(5, 2), vec!["1.5"], "1.50", "1.51"),
        (F::Date(vec![]), vec!["2023-05-01"], "\"2023-05-01\"", "\"2023-05-02\""),
    ] {
        let field = ruled("v", field_type.clone(), one_of(&field_type, &accepted));
        assert_eq!(refused_by(&field, good), None, "{field_type:?}");
        assert_eq!(refused_by(&field, bad), Some("accepted_values"), "{field_type:?}");
    }
}

#[test]
fn a_length_counts_characters_and_a_pattern_is_the_whole_value() {
    let field = ruled(
        "v",
        FieldType::String,
        ValueRules {
            length: Some(between(2, 3)),
            ..ValueRules::default()
        },
    );
    for (value, check) in [
        ("\"é\\u00fc\"", None),
        ("\"abc\"", None),
        ("\"a\"", Some("length")),
        ("\"abcd\"", Some("length")),
    ] {
        assert_eq!(refused_by(&field, value), check, "{value}");
    }
    let field = ruled(
        "v",
        FieldType::String,
        ValueRules {
            matches: Some(pattern("a|bc")),
            ..ValueRules::default()
        },
    );
    for (value, check) in [
        ("\"a\"", None),
        ("\"bc\"", None),
        ("\"ac\"", Some("matches")),
        ("\"abc\"", Some("matches")),
        ("\"a\\n\"", Some("matches")),
        ("\"\"", Some("matches")),
    ] {
        assert_eq!(refused_by(&field, value), check, "{value}");
    }
}

#[test]
fn elements_of_a_list_and_values_in_other_clothes() {
    let item = ruled("item", FieldType::String, one_of(&FieldType::String, &["a", "b"]));
    let field = field("v", list_of(item));
    assert_eq!(refused_by(&field, r#"["a", null, "b"]"#), None);
    assert_eq!(refused_by(&field, r#"["a", "c"]"#), Some("accepted_values"));

    let mut number = from(
        ruled("v", FieldType::Int, within(&FieldType::Int, "0", "9")),
        From::String,
    );
    assert_eq!(refused_by(&number, "\"9\""), None);
    assert_eq!(refused_by(&number, "\" 9\""), Some("malformed"));
    number.rules.normalize = vec![Normalize::Trim];
    assert_eq!(refused_by(&number, "\" 9\""), None);
    assert_eq!(refused_by(&number, "\"10\""), Some("range"));

    let mut id = from(field_of_digits(), From::Number);
    assert_eq!(refused_by(&id, "123"), None);
    assert_eq!(refused_by(&id, "12"), Some("matches"));
    id.rules.normalize = vec![Normalize::StripPrefix("1".into())];
    assert_eq!(refused_by(&id, "1123"), None);
}

fn field_of_digits() -> Field {
    ruled(
        "v",
        FieldType::String,
        ValueRules {
            matches: Some(pattern("[0-9]{3}")),
            ..ValueRules::default()
        },
    )
}

#[test]
fn what_becomes_null_is_not_checked_and_may_not_be_required() {
    let mut field = field_of_digits();
    field.rules.normalize = vec![
        Normalize::Trim,
        Normalize::EmptyAsNull,
        Normalize::StripPrefix("x".into()),
    ];
    assert_eq!(refused_by(&field, "\" \""), None);
    assert_eq!(refused_by(&field, "\" x \""), Some("matches"));
    let (_, faults, _) = decode(vec![required(field)], &[r#"{"v": "  "}"#]);
    let fault = faults[0].as_ref().unwrap();
    assert_eq!((fault.check, &*fault.reason), ("malformed", "required, but null"));
}

#[test]
fn steps_in_the_order_given() {
    use Normalize as N;
    let strip = |text: &str| N::StripPrefix(text.into());
    for (steps, text, expected) in [
        (vec![N::Trim], "\u{a0} a b\t", "a b"),
        (vec![N::Upper], "straße é", "STRASSE É"),
        (vec![N::Lower], "ΟΔΟΣ İ", "οδος i\u{307}"),
        (vec![strip("Patient/")], "Patient/Patient/1", "Patient/1"),
        (vec![strip("patient/"), N::Upper], "Patient/x", "PATIENT/X"),
        (vec![N::Upper, strip("PATIENT/")], "Patient/x", "X"),
        (vec![strip("a"), N::Trim], " a", "a"),
        (vec![N::Trim, strip("a")], " a", ""),
        (vec![N::StripSuffix("/_history/1".into())], "p/_history/1", "p"),
    ] {
        assert_eq!(normalized(&steps, text).as_deref(), Some(expected), "{steps:?}");
    }
    // The text is not copied where the result is a part of it.
    let steps = [N::Trim, N::Upper, strip("A"), N::EmptyAsNull];
    assert!(matches!(normalized(&steps, " AB1É "), Some(Cow::Borrowed("B1É"))));
    assert_eq!(normalized(&steps, " a "), None);
}

#[test]
fn literals_are_of_their_type() {
    use FieldType as F;
    for (field_type, text) in [
        (F::Int, "2147483648"),
        (F::Int, "1.0"),
        (F::Bigint, "x"),
        (F::Double, "NaN"),
        (F::Decimal(3, 1), "1.23"),
        (F::Bool, "yes"),
        (F::Date(vec!["%d.%m.%Y".into()]), "01.05.2023"),
        (F::Timestamp(vec![]), "2023-05-01T00:00:00Z"),
        (F::TimestampTz(vec![]), "2023-05-01T00:00:00"),
        (F::Json, "{}"),
    ] {
        assert_eq!(literal(text, &field_type), None, "{text} of {field_type:?}");
    }
}

fn step() -> impl Strategy<Value = Normalize> {
    prop_oneof![
        Just(Normalize::Trim),
        Just(Normalize::Upper),
        Just(Normalize::Lower),
        Just(Normalize::EmptyAsNull),
        Just(Normalize::CollapseSpaces),
        Just(Normalize::Nfc),
        Just(Normalize::Nfkc),
        "[ aAé]{1,2}".prop_map(Normalize::StripPrefix),
        "[ aAé]{1,2}".prop_map(Normalize::StripSuffix),
    ]
}

/// The steps written plainly, with a new text for each.
fn plainly(steps: &[Normalize], text: &str) -> Option<String> {
    steps.iter().try_fold(text.to_owned(), |text, step| {
        Some(match step {
            Normalize::Trim => text.trim().to_owned(),
            Normalize::Upper => text.to_uppercase(),
            Normalize::Lower => text.to_lowercase(),
            Normalize::StripPrefix(prefix) => text.strip_prefix(prefix.as_str()).unwrap_or(&text).to_owned(),
            Normalize::StripSuffix(suffix) => text.strip_suffix(suffix.as_str()).unwrap_or(&text).to_owned(),
            Normalize::CollapseSpaces => {
                let seen = text.replace(['\u{200b}', '\u{2060}', '\u{feff}'], "");
                seen.split_whitespace().collect::<Vec<_>>().join(" ")
            }
            Normalize::Nfc => text.nfc().collect(),
            Normalize::Nfkc => text.nfkc().collect(),
            Normalize::EmptyAsNull => (!text.is_empty()).then_some(text)?,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Random steps and checks over random texts have the same result as a plain model: the same text, or the same
    /// refusal.
    #[test]
    fn as_the_model_has_it(
        steps in prop::collection::vec(step(), 0..4),
        texts in prop::collection::vec("[ aAbBéßΣ1\u{a0}\u{301}\u{200b}]{0,5}", 1..6),
        length in prop::option::of((0..3_u64, 2..6_u64)),
        matches in prop::option::of(prop_oneof![Just("[aA]*"), Just("a|b.*"), Just(r"\w+"), Just(" .*|É")]),
        accepted in prop::collection::vec("[aAé1]{0,2}", 0..4),
        must in any::<bool>(),
    ) {
        let rules = ValueRules {
            nulls: Nulls::default(),
            normalize: steps.clone(),
            matches: matches.map(pattern),
            length: length.map(|(min, max)| between(min, max)),
            accepted_values: accepted.iter().map(|text| Literal::Text(text.clone())).collect(),
            range: None,
            zone: None,
        };
        let mut leaf = ruled("v", FieldType::String, rules);
        leaf.required = must;
        let records: Vec<String> = texts.iter().map(|text| serde_json::json!({"v": text}).to_string()).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        let (batch, faults, _) = decode(vec![leaf], &records);
        let mut kept = Vec::new();
        for (text, fault) in texts.iter().zip(faults) {
            let value = plainly(&steps, text);
            let expected = match &value {
                None => must.then_some("malformed"),
                Some(value) => {
                    let count = value.chars().count() as u64;
                    let whole = |pattern: &str| Regex::new(pattern).unwrap().find_iter(value).any(|found| found.as_str() == value)
                        || pattern.split('|').any(|part| Regex::new(&format!("^{part}$")).unwrap().is_match(value));
                    if length.is_some_and(|(min, max)| count < min || count > max) {
                        Some("length")
                    } else if matches.is_some_and(|pattern| !whole(pattern)) {
                        Some("matches")
                    } else if !accepted.is_empty() && !accepted.contains(value) {
                        Some("accepted_values")
                    } else {
                        None
                    }
                }
            };
            prop_assert_eq!(fault.map(|fault| fault.check), expected, "{:?}", text);
            if expected.is_none() {
                kept.push(value);
            }
        }
        let column = batch.column(0).as_string::<i32>();
        let found: Vec<Option<String>> = column.iter().map(|text| text.map(str::to_owned)).collect();
        prop_assert_eq!(found, kept);
    }

    /// Random numbers and bounds have the same result as comparing the numbers themselves.
    #[test]
    fn ranges_as_the_model_has_it(values in prop::collection::vec(-20..20_i32, 1..6), a in -15..15_i32, b in -15..15_i32) {
        let (min, max) = (a.min(b), a.max(b));
        for field_type in [FieldType::Int, FieldType::Bigint, FieldType::Double, FieldType::Decimal(6, 3)] {
            let leaf = ruled("v", field_type.clone(), within(&field_type, &min.to_string(), &max.to_string()));
            let records: Vec<String> = values.iter().map(|value| format!("{{\"v\": {value}}}")).collect();
            let records: Vec<&str> = records.iter().map(String::as_str).collect();
            let (_, faults, _) = decode(vec![leaf], &records);
            let refused: Vec<bool> = faults.iter().map(Option::is_some).collect();
            let expected: Vec<bool> = values.iter().map(|value| *value < min || *value > max).collect();
            prop_assert_eq!(refused, expected);
        }
    }
}

fn nulls(field_type: &FieldType, texts: &[&str], values: &[&str]) -> ValueRules {
    ValueRules {
        nulls: Nulls {
            texts: texts.iter().map(|&text| text.to_owned()).collect(),
            values: values.iter().map(|text| literal(text, field_type).unwrap()).collect(),
        },
        ..ValueRules::default()
    }
}

#[test]
fn what_stands_for_null_is_null_in_every_type() {
    let german = FieldType::Date(vec!["%d.%m.%Y".to_owned()]);
    let decimal = FieldType::Decimal(5, 1);
    for (field_type, texts, values, sent) in [
        (
            FieldType::String,
            vec!["unknown", ""],
            vec![],
            vec![r#""unknown""#, r#""""#],
        ),
        (FieldType::Int, vec![], vec!["-999"], vec!["-999"]),
        (FieldType::Bigint, vec![], vec!["-999"], vec!["-999"]),
        (
            FieldType::Double,
            vec![],
            vec!["-999"],
            vec!["-999", "-999.0", "-9.99e2"],
        ),
        (decimal, vec![], vec!["-999"], vec!["-999", "-999.0"]),
        (FieldType::Bool, vec![], vec!["false"], vec!["false"]),
        (
            german,
            vec!["00.00.0000"],
            vec!["9999-12-31"],
            vec![r#""00.00.0000""#, r#""31.12.9999""#],
        ),
        (
            FieldType::Timestamp(vec![]),
            vec![],
            vec!["0001-01-01"],
            vec![r#""0001-01-01T00:00:00""#],
        ),
        (
            FieldType::TimestampTz(vec![]),
            vec![],
            vec!["9999-12-31"],
            vec![r#""9999-12-31T01:00:00+01:00""#],
        ),
    ] {
        for value in sent {
            let rules = nulls(&field_type, &texts, &values);
            let field = ruled("v", field_type.clone(), rules);
            let record = format!("{{\"v\": {value}}}");
            let (batch, faults, _) = decode(vec![field.clone()], &[&record, "{}"]);
            assert!(faults.iter().all(Option::is_none), "{value}");
            assert_eq!(batch.column(0).null_count(), 2, "{value}");
            let (_, faults, _) = decode(vec![required(field)], &[&record]);
            assert_eq!(faults[0].as_ref().map(|fault| fault.check), Some(MALFORMED), "{value}");
        }
    }
    // A value that stands for null is not checked, but the other elements of its list are.
    let field_type = FieldType::Int;
    let rules = ValueRules {
        nulls: nulls(&field_type, &[], &["-999"]).nulls,
        ..within(&field_type, "0", "9")
    };
    let field = field("v", list_of(ruled("", field_type, rules)));
    assert_eq!(refused_by(&field, "[1, -999, 2]"), None);
    assert_eq!(refused_by(&field, "[1, -998, 2]"), Some("range"));
}
