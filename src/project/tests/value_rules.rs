//! Tests of problems in the rules of a field's values.

use insta::assert_snapshot;

use super::Files;
use crate::model::{Bounds, Field, FieldType, Literal, Normalize};

fn with_fields(fields: &str) -> Files {
    let start = super::SOURCE.find("schema:").expect("a schema");
    Files::good().with(
        "pipelines/clinic.yaml",
        format!("{}schema:\n{fields}", &super::SOURCE[..start]),
    )
}

fn read(fields: &str) -> Vec<Field> {
    with_fields(fields)
        .load()
        .expect("a good project")
        .sources
        .remove(0)
        .kinds
        .remove(0)
        .schema
}

#[test]
fn every_rule_is_read() {
    let fields = read(
        "  id: {type: string, normalize: [trim, {strip_prefix: Patient/}, upper], matches: 'P-\\d+', length: {max: 12}}
  zip: {type: string, length: 5, normalize: empty_as_null}
  sex: {type: string, accepted_values: [m, f, true, 1]}
  weight: {type: \"decimal(5,1)\", range: {min: 0.5, max: 500}}
  born: {type: date, format: \"%d.%m.%Y\", range: {min: 1900-01-01}, normalize: trim}
  codes: {list: string, matches: '[A-Z]\\d\\d', normalize: [{strip_suffix: '.'}]}
  dose: {type: int, from: string, normalize: trim, accepted_values: [1, -2]}
",
    );
    let rules = |index: usize| &fields[index].rules;
    assert_eq!(
        rules(0).normalize,
        [
            Normalize::Trim,
            Normalize::StripPrefix("Patient/".into()),
            Normalize::Upper
        ]
    );
    let pattern = rules(0).matches.as_ref().expect("a pattern");
    assert!(pattern.is_match("P-12") && !pattern.is_match("P-12 ") && !pattern.is_match("xP-1"));
    assert_eq!(
        rules(0).length,
        Some(Bounds {
            min: None,
            max: Some(12)
        })
    );
    assert_eq!(
        rules(1).length,
        Some(Bounds {
            min: Some(5),
            max: Some(5)
        })
    );
    assert_eq!(rules(1).normalize, [Normalize::EmptyAsNull]);
    assert_eq!(
        rules(2).accepted_values,
        ["m", "f", "true", "1"].map(|text| Literal::Text(text.into()))
    );
    let (min, max) = (Some(Literal::Number(5)), Some(Literal::Number(5000)));
    assert_eq!(rules(3).range, Some(Bounds { min, max }));
    let min = Some(Literal::Number(-25567));
    assert_eq!(rules(4).range, Some(Bounds { min, max: None }));
    let FieldType::List(element) = &fields[5].field_type else {
        panic!("{:?}", fields[5])
    };
    assert!(element.rules.matches.is_some() && rules(5).matches.is_none());
    assert_eq!(element.rules.normalize, [Normalize::StripSuffix(".".into())]);
    assert_eq!(rules(6).accepted_values, [Literal::Number(1), Literal::Number(-2)]);
}

#[test]
fn rules_that_are_nothing_for_the_type() {
    let fields = "  a: {type: int, matches: x, length: 3, normalize: trim}\n  b: {type: string, range: {min: a}}\n  \
                  c: {struct: {x: int}, accepted_values: [1]}\n  d: {type: json, matches: x}\n  \
                  e: {list: {x: int}, range: {min: 1}}\n  f: {list: bool, range: {min: 1}}\n";
    assert_snapshot!(with_fields(fields).problems(), @r#"
    pipelines/clinic.yaml:6:18+7: `matches` is nothing for an int
        it is for strings; numbers, dates and times have `range` and `accepted_values`
    pipelines/clinic.yaml:6:30+6: `length` is nothing for an int
        it is for strings; numbers, dates and times have `range` and `accepted_values`
    pipelines/clinic.yaml:6:41+9: `normalize` is nothing for an int
        it is for what comes as text: strings, dates, times, references, and numbers with `from: string`
    pipelines/clinic.yaml:7:21+5: `range` is nothing for a string
        it is for numbers, dates and times; strings have `matches`, `length`, `accepted_values`
    pipelines/clinic.yaml:8:25+15: `accepted_values` is nothing for a struct
        it is for scalar types
    pipelines/clinic.yaml:9:19+7: `matches` is nothing for json
        it is for strings
    pipelines/clinic.yaml:10:23+5: `range` is nothing for a struct
        it is for numbers, dates and times
    pipelines/clinic.yaml:11:19+5: `range` is nothing for a bool
        it is for numbers, dates and times
    "#);
}

#[test]
fn rules_that_can_not_be_met() {
    let fields = "  a: {type: string, matches: 'a(', length: {min: 5, max: 3}}\n  b: {type: string, matches: 'a)|(b', length: -1}\n  \
                  c: {type: int, range: {min: 10, max: 1}, accepted_values: [x, 1.5]}\n  \
                  d: {type: date, range: {min: soon, max: 01.05.2023}}\n  e: {type: date, range: {}}\n  \
                  f: {type: string, normalize: [upper], accepted_values: [M, f]}\n  g: {type: string, accepted_values: []}\n  \
                  h: {type: string, accepted_values: m}\n  i: {type: int, range: 5}\n  j: {type: string, matches: '(?=a)b'}\n";
    assert_snapshot!(with_fields(fields).problems(), @r#"
    pipelines/clinic.yaml:6:30+4: `matches` is no regular expression: unclosed group
        the syntax is that of Rust's crate regex: no look-around, no back-references; in YAML, single quotes keep backslashes: '\d{3}'
    pipelines/clinic.yaml:6:36+6: `min` of `length` is above its `max`
        no value lies between them: swap them
    pipelines/clinic.yaml:7:30+7: `matches` is no regular expression: unopened group
        the syntax is that of Rust's crate regex: no look-around, no back-references; in YAML, single quotes keep backslashes: '\d{3}'
    pipelines/clinic.yaml:7:47+2: `length` must be a whole number, 0 or above
        write `length: 5` or `length: {min: 1, max: 5}`
    pipelines/clinic.yaml:8:18+5: `min` of `range` is above its `max`
        no value lies between them: swap them
    pipelines/clinic.yaml:8:62+1: `x` is no value of an int
        write a whole number that the type holds
    pipelines/clinic.yaml:8:65+3: `1.5` is no value of an int
        write a whole number that the type holds
    pipelines/clinic.yaml:9:32+4: `soon` is no value of a date
        write it as 2023-05-01
    pipelines/clinic.yaml:9:43+10: `01.05.2023` is no value of a date
        write it as 2023-05-01
    pipelines/clinic.yaml:10:19+5: `range` without bounds
        give `min`, `max` or both; both belong to it
    pipelines/clinic.yaml:11:62+1: `f` is never met: `normalize` makes another text of it
        write it as `normalize` leaves it
    pipelines/clinic.yaml:12:21+15: `accepted_values` accepts nothing
        list at least one
    pipelines/clinic.yaml:13:38+1: `accepted_values` must be a list, not text
        write it in brackets: [a, b]
    pipelines/clinic.yaml:14:18+5: `range` must be a mapping, not a number
        write one `key: value` in a line
    pipelines/clinic.yaml:15:30+8: `matches` is no regular expression: look-around, including look-ahead and look-behind, is not supported
        the syntax is that of Rust's crate regex: no look-around, no back-references; in YAML, single quotes keep backslashes: '\d{3}'
    "#);
}

#[test]
fn steps_that_are_none() {
    let fields = "  a: {type: string, normalize: [trm, strip_prefix, 5]}\n  b: {type: string, normalize: []}\n  \
                  c: {type: string, normalize: [{strip_prefix: a, strip_suffix: b}, {strip: x}, {strip_prefix: ''}, {}]}\n  \
                  d: {type: string, normalize: }\n  e: {type: string, normalize: uppercase}\n";
    assert_snapshot!(with_fields(fields).problems(), @r#"
    pipelines/clinic.yaml:6:33+3: `normalize` has no step `trm`
        did you mean `trim`?
    pipelines/clinic.yaml:6:38+12: `normalize` has no step `strip_prefix`
        say what to strip: {strip_prefix: "Patient/"}
    pipelines/clinic.yaml:6:52+1: a step of `normalize` must be text, not a number
        put it in quotes
    pipelines/clinic.yaml:7:21+9: `normalize` names no step
        leave it out
    pipelines/clinic.yaml:8:21+9: a step of `normalize` has one key
        make a list of steps: [{strip_prefix: a}, {strip_suffix: b}]
    pipelines/clinic.yaml:8:70+5: unknown key `strip`
        did you mean `strip_prefix`?
    pipelines/clinic.yaml:8:82+12: `strip_prefix` of nothing
        name the text to strip
    pipelines/clinic.yaml:9:21+9: a step of `normalize` must be text, not empty
        write one text
    pipelines/clinic.yaml:10:32+9: `normalize` has no step `uppercase`
        did you mean `upper`?
    "#);
}

#[test]
fn what_comes_out_of_a_variable_is_not_shown() {
    let fields = "  a: {type: string, matches: '${env:BAD}'}\n  b: {type: int, accepted_values: ['${env:BAD}']}\n";
    let problems = with_fields(fields).problems();
    assert!(!problems.contains("SECRET"), "{problems}");
}

#[test]
fn nulls_are_values_of_the_type_and_texts_where_it_comes_as_text() {
    let fields = read(
        "  id: {type: string, nulls: [unknown, \"\", 0]}
  born: {type: date, format: \"%d.%m.%Y\", nulls: [9999-12-31, 00.00.0000]}
  dose: {type: int, nulls: [-999]}
  weight: {type: \"decimal(5,1)\", from: string, nulls: [-1, n/a]}
",
    );
    let texts = |index: usize| &fields[index].rules.nulls.texts;
    let values = |index: usize| &fields[index].rules.nulls.values;
    assert_eq!(
        (texts(0).as_slice(), values(0).len()),
        (&["unknown", "", "0"].map(String::from)[..], 0)
    );
    assert_eq!(texts(1), &["9999-12-31", "00.00.0000"]);
    assert_eq!(values(1), &[Literal::Number(2_932_896)]);
    assert_eq!(
        (texts(2).len(), values(2).as_slice()),
        (0, &[Literal::Number(-999)][..])
    );
    assert_eq!(texts(3), &["-1", "n/a"]);
    assert_eq!(values(3), &[Literal::Number(-10)]);
    let problems = with_fields(
        "  a: {type: int, nulls: [n/a]}
  b: {type: string, normalize: upper, nulls: [unknown]}
  c: {type: int, nulls: -999}
  d: {type: int, nulls: []}
  e: {type: json, nulls: [x]}
",
    );
    let text = problems.problems();
    for message in [
        "`n/a` is no value of an int",
        "a value of `nulls` is never met: `normalize` makes another text of it",
        "`nulls` must be a list",
        "`nulls` names no value",
        "`nulls` is nothing for json",
    ] {
        assert!(text.contains(message), "{message}: {text}");
    }
}
