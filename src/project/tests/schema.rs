//! Tests of problems in the `schema` of a source.

use insta::assert_snapshot;

use super::Files;
use crate::model::{Field, FieldType, From};

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
fn every_form_is_read() {
    let fields = read(
        "  weight: {type: \"decimal(5,2)\", from: string, required: true, description: kg}
  born: {type: date, format: \"%d.%m.%Y\"}
  seen: {type: timestamptz}
  id: {type: string, from: number}
  codes: {list: string}
  counts: {list: int, from: string}
  visits:
    list:
      type: string
      list: {list: \"decimal(4,1)\"}
      notes: {struct: {text: string, struct: bool}}
  extra: json
",
    );
    let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(
        names,
        ["weight", "born", "seen", "id", "codes", "counts", "visits", "extra"]
    );
    assert!(matches!(
        fields[0],
        Field {
            field_type: FieldType::Decimal(5, 2),
            required: true,
            from: Some(From::String),
            ..
        }
    ));
    assert!(matches!(&fields[1].field_type, FieldType::Date(formats) if formats == &["%d.%m.%Y"]));
    assert!(matches!(fields[3].from, Some(From::Number)));
    let FieldType::List(element) = &fields[5].field_type else {
        panic!("{:?}", fields[5])
    };
    assert!(matches!(
        **element,
        Field {
            field_type: FieldType::Int,
            from: Some(From::String),
            ..
        }
    ));
    let FieldType::List(element) = &fields[6].field_type else {
        panic!("{:?}", fields[6])
    };
    let FieldType::Struct(inner) = &element.field_type else {
        panic!("{element:?}")
    };
    let names: Vec<_> = inner.iter().map(|field| field.name.as_str()).collect();
    assert_eq!((names, element.name.as_str()), (vec!["type", "list", "notes"], "item"));
}

#[test]
fn types() {
    let fields = "  a: strng\n  b: text\n  c: {type: \"decimal(39,2)\"}\n  d: {list: decimal}\n  e: {type: 5}\n  f:\n  g: [string]\n  h: object\n";
    assert_snapshot!(with_fields(fields).problems(), @r#"
    pipelines/clinic.yaml:6:6+5: `strng` is no type of a field
        did you mean `string`?
    pipelines/clinic.yaml:7:6+4: `text` is no type of a field
        write `string`
    pipelines/clinic.yaml:8:13+15: `decimal(39,2)` is no type
        write decimal(p,s) with a precision from 1 to 38 and a scale from 0 to the precision
    pipelines/clinic.yaml:9:13+7: `decimal` is no type
        write decimal(p,s) with a precision from 1 to 38 and a scale from 0 to the precision
    pipelines/clinic.yaml:10:13+1: `type` must be text, not a number
        put it in quotes
    pipelines/clinic.yaml:11:3+1: the type of `f` must be text, not empty
        write one text
    pipelines/clinic.yaml:12:3+1: the type of `g` must be text, not a list
        write one text
    pipelines/clinic.yaml:13:6+6: `object` is no type of a field
        write `struct: {...}` in place of `type`
    "#);
}

#[test]
fn a_type_cut_at_its_comma() {
    let fields = "  a: {type: decimal(5,2), from: string}\n  b: {struct: {x: decimal(3,1), y: int}}\n";
    assert_snapshot!(with_fields(fields).problems(), @r#"
    pipelines/clinic.yaml:6:13+9: `decimal(5,2)` is cut at its comma
        put it in quotes: "decimal(5,2)"
    pipelines/clinic.yaml:7:19+9: `decimal(3,1)` is cut at its comma
        put it in quotes: "decimal(3,1)"
    "#);
}

#[test]
fn attributes() {
    let fields = "  a: {required: true}\n  b: {type: string, list: int}\n  c: {type: string, requird: true, phi: names, mask: hsh}\n  \
                  d: {type: string, required: \"yes\"}\n  a: string\n  e: {list: {}}\n  f: {struct: string}\n  g: {struct: {x: int, x: int}}\n";
    assert_snapshot!(with_fields(fields).problems(), @r#"
    pipelines/clinic.yaml:6:3+1: the field `a` has no `type`
        add `type: string`
    pipelines/clinic.yaml:7:21+4: the field `b` has both `type` and `list`
        keep one of them
    pipelines/clinic.yaml:8:21+7: unknown key `requird`
        did you mean `required`?
    pipelines/clinic.yaml:8:41+5: `phi` can't be `names`
        did you mean `name`?
    pipelines/clinic.yaml:8:54+3: `mask` can't be `hsh`
        did you mean `hash`?
    pipelines/clinic.yaml:9:31+5: `required` must be true or false, not text
        write `required: true` or `required: false`
    pipelines/clinic.yaml:10:3+1: the key `a` is given twice
        it stands in line 6 already: keep one of them
    pipelines/clinic.yaml:11:7+4: `list` declares no field
        add one: patient_id: string
    pipelines/clinic.yaml:12:7+6: `struct` must be a mapping, not text
        write one `key: value` in a line
    pipelines/clinic.yaml:13:24+1: the key `x` is given twice
        it stands in line 13 already: keep one of them
    "#);
}

#[test]
fn from_on_the_wrong_type() {
    let fields = "  a: {type: string, from: string}\n  b: {type: int, from: number}\n  c: {type: date, from: string}\n  \
                  d: {type: json, from: string}\n  e: {struct: {x: int}, from: string}\n  f: {type: int, from: text}\n  g: {list: string, from: string}\n";
    assert_snapshot!(with_fields(fields).problems(), @r#"
    pipelines/clinic.yaml:6:27+6: `from: string` is nothing for a string
        a string comes from a string anyway: take `from` out
    pipelines/clinic.yaml:7:24+6: `from: number` is nothing for an int
        a number comes from a number anyway: take `from` out
    pipelines/clinic.yaml:8:25+6: `from: string` is nothing for a date
        dates come from strings anyway: name their `format` if it is not ISO 8601
    pipelines/clinic.yaml:9:25+6: `from: string` is nothing for json
        it is for bool, int, bigint, double and decimal (`string`) and for string (`number`)
    pipelines/clinic.yaml:10:31+6: `from: string` is nothing for a struct
        it is for bool, int, bigint, double and decimal (`string`) and for string (`number`)
    pipelines/clinic.yaml:11:24+4: `from` can't be `text`
        write `from: string`, `from: number` or `from: [string, number]`
    pipelines/clinic.yaml:12:27+6: `from: string` is nothing for a string
        a string comes from a string anyway: take `from` out
    "#);
}

#[test]
fn from_either() {
    let fields = read("  a: {type: string, from: [string, number]}\n  b: {list: int, from: [number, string]}\n");
    assert!(matches!(fields[0].from, Some(From::Either)));
    assert!(matches!(&fields[1].field_type, FieldType::List(element) if element.from == Some(From::Either)));
    let fields = "  a: {type: date, from: [string, number]}\n  b: {type: bool, from: [string, number]}\n  \
                  c: {type: string, from: [string, text]}\n  d: {type: string, from: [number, number]}\n  \
                  e: {type: string, from: []}\n  f: {type: int, from: [number]}\n";
    assert_snapshot!(with_fields(fields).problems(), @r#"
    pipelines/clinic.yaml:6:19+4: `from: [string, number]` is nothing for a date
        dates come from strings anyway: name their `format` if it is not ISO 8601
    pipelines/clinic.yaml:7:19+4: `from: [string, number]` is nothing for a bool
        a bool comes from true and false, or with `from: string` from strings
    pipelines/clinic.yaml:8:36+4: `from` can't be `text`
        write `from: string`, `from: number` or `from: [string, number]`
    pipelines/clinic.yaml:9:21+4: `from` names each of `string` and `number` at most once
        write `from: string`, `from: number` or `from: [string, number]`
    pipelines/clinic.yaml:10:21+4: `from` names each of `string` and `number` at most once
        write `from: string`, `from: number` or `from: [string, number]`
    pipelines/clinic.yaml:11:25+6: `from: number` is nothing for an int
        a number comes from a number anyway: take `from` out
    "#);
}

#[test]
fn formats() {
    let fields = "  a: {type: date, format: \"%Q\"}\n  b: {type: date, format: [\"%Y-%m\", \"%d.%m.%Y\"]}\n  c: {type: string, format: \"%Y\"}\n  \
                  d: {type: timestamp, format: \"%d.%m.%Y\"}\n  e: {type: date, format: []}\n  f: {type: timestamptz, format: 1}\n";
    assert_snapshot!(with_fields(fields).problems(), @r#"
    pipelines/clinic.yaml:6:27+4: `%Q` is no date format
        a date needs year, month and day: "%d.%m.%Y"
    pipelines/clinic.yaml:7:28+7: the format `%Y-%m` does not give a whole date
        a date needs year, month and day: "%d.%m.%Y"
    pipelines/clinic.yaml:8:21+6: `format` is nothing for a string
        it is for date, timestamp and timestamptz
    pipelines/clinic.yaml:9:32+10: the format `%d.%m.%Y` does not give a date and a time of day
        a timestamp needs date, hour and minute: "%Y-%m-%d %H:%M:%S"
    pipelines/clinic.yaml:10:19+6: `format` names no format
        leave it out for ISO 8601
    pipelines/clinic.yaml:11:34+1: `format` must be text, not a number
        put it in quotes
    "#);
}

#[test]
fn the_record_column_is_the_engines() {
    assert_snapshot!(with_fields("  _record: string\n  a: {struct: {_record: string}}\n").problems(), @r#"
    pipelines/clinic.yaml:6:3+7: `_record` can't be a field: the engine adds a column of that name
        leave it out, it can't be loaded
    "#);
    assert_snapshot!(with_fields("  {}\n").problems(), @r#"
    pipelines/clinic.yaml:5:1+6: `schema` declares no field
        add one: patient_id: string
    "#);
}

#[test]
fn partial_dates_and_one_or_many_are_read() {
    let fields = read(
        "  born: {type: date, precision: partial, format: [\"%d.%m.%Y\", \"%m.%Y\", \"%Y\"], range: {min: 1900-01-01}}
  seen: {type: timestamptz, precision: partial}
  days: {list: date, precision: partial}
  codes: {one_or_many: {code: string, tags: {one_or_many: string, length: 3}}}
",
    );
    let whole = |field_type: &FieldType| match field_type {
        FieldType::Partial(whole) => whole.as_ref().clone(),
        other => panic!("{other:?}"),
    };
    let FieldType::Date(formats) = whole(&fields[0].field_type) else {
        panic!("a date")
    };
    assert_eq!(formats, ["%d.%m.%Y", "%m.%Y", "%Y"]);
    assert!(fields[0].rules.range.is_some());
    assert!(matches!(whole(&fields[1].field_type), FieldType::TimestampTz(_)));
    let FieldType::List(day) = &fields[2].field_type else {
        panic!("a list")
    };
    assert!(matches!(whole(&day.field_type), FieldType::Date(_)));
    let FieldType::List(code) = &fields[3].field_type else {
        panic!("a list")
    };
    let FieldType::Struct(inside) = &code.field_type else {
        panic!("structs")
    };
    let flags = [&fields[2], &fields[3], code.as_ref(), &inside[1]].map(|field| field.one_or_many);
    assert_eq!(flags, [false, true, false, true]);
}

#[test]
fn wrong_precisions_say_why() {
    let files = with_fields(
        "  a: {type: string, precision: partial}
  b: {type: date, precision: month}
  c: {type: date, precision: partial, format: \"%d.%m.\"}
  d: {type: date, precision: partial, from: string}
  e: {type: date, precision: partial, length: 4}
  f: {type: timestamp, precision: partial, format: \"%Y-%m-%d %H:%M %z\"}
  g: {one_or_many: string, list: string}
",
    );
    assert_snapshot!(files.problems(), @r#"
    pipelines/clinic.yaml:6:21+9: `precision` is nothing for a string
        it is for date, timestamp and timestamptz
    pipelines/clinic.yaml:7:30+5: `precision` can't be `month`
        write `precision: partial`, or leave it out where every value is whole
    pipelines/clinic.yaml:8:47+8: the format `%d.%m.` does not give a date
        a partial date needs a year: "%d.%m.%Y", "%m.%Y" or "%Y"
    pipelines/clinic.yaml:9:45+6: `from: string` is nothing for a partial date
        dates come from strings anyway: name their `format` if it is not ISO 8601
    pipelines/clinic.yaml:10:39+6: `length` is nothing for a partial date
        it is for strings; numbers, dates and times have `range` and `accepted_values`
    pipelines/clinic.yaml:11:52+19: the format `%Y-%m-%d %H:%M %z` has an offset, which a timestamp can't keep
        declare the field as timestamptz: SQL gets it in UTC
    pipelines/clinic.yaml:12:7+11: the field `g` has both `list` and `one_or_many`
        keep one of them
    "#);
}
