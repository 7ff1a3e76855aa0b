use insta::assert_snapshot;

use super::Files;
use crate::project::{Field, FieldType, From};

fn with_fields(fields: &str) -> Files {
    let start = super::SOURCE.find("schema:").expect("a schema");
    Files::good().with("pipelines/clinic.yaml", format!("{}schema:\n{fields}", &super::SOURCE[..start]))
}

fn read(fields: &str) -> Vec<Field> {
    with_fields(fields).load().expect("a good project").sources.remove(0).schema
}

#[test]
fn every_form_is_read() {
    let fields = read("  weight: {type: \"decimal(5,2)\", from: string, required: true, description: kg}
  born: {type: date, format: \"%d.%m.%Y\"}
  seen: {type: timestamptz}
  id: {type: string, from: number}
  codes: {list: string}
  counts: {list: int, from: string}
  visits:
    list:
      type: string
      list: {list: decimal(4,1)}
      notes: {struct: {text: string, struct: bool}}
  extra: json
");
    let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["weight", "born", "seen", "id", "codes", "counts", "visits", "extra"]);
    assert!(matches!(fields[0], Field { field_type: FieldType::Decimal(5, 2), required: true, from: Some(From::String), .. }));
    assert!(matches!(&fields[1].field_type, FieldType::Date(formats) if formats == &["%d.%m.%Y"]));
    assert!(matches!(fields[3].from, Some(From::Number)));
    let FieldType::List(element) = &fields[5].field_type else { panic!("{:?}", fields[5]) };
    assert!(matches!(**element, Field { field_type: FieldType::Int, from: Some(From::String), .. }));
    let FieldType::List(element) = &fields[6].field_type else { panic!("{:?}", fields[6]) };
    let FieldType::Struct(inner) = &element.field_type else { panic!("{element:?}") };
    let names: Vec<_> = inner.iter().map(|field| field.name.as_str()).collect();
    assert_eq!((names, element.name.as_str()), (vec!["type", "list", "notes"], "item"));
}

#[test]
fn types() {
    let fields = "  a: strng\n  b: text\n  c: {type: decimal(39,2)}\n  d: {list: decimal}\n  e: {type: 5}\n  f:\n  g: [string]\n  h: object\n";
    assert_snapshot!(with_fields(fields).problems(), @"");
}

#[test]
fn attributes() {
    let fields = "  a: {required: true}\n  b: {type: string, list: int}\n  c: {type: string, requird: true, phi: name, mask: hash}\n  \
                  d: {type: string, required: \"yes\"}\n  a: string\n  e: {list: {}}\n  f: {struct: string}\n  g: {struct: {x: int, x: int}}\n";
    assert_snapshot!(with_fields(fields).problems(), @"");
}

#[test]
fn from_on_the_wrong_type() {
    let fields = "  a: {type: string, from: string}\n  b: {type: int, from: number}\n  c: {type: date, from: string}\n  \
                  d: {type: json, from: string}\n  e: {struct: {x: int}, from: string}\n  f: {type: int, from: text}\n  g: {list: string, from: string}\n";
    assert_snapshot!(with_fields(fields).problems(), @"");
}

#[test]
fn formats() {
    let fields = "  a: {type: date, format: \"%Q\"}\n  b: {type: date, format: [\"%Y-%m\", \"%d.%m.%Y\"]}\n  c: {type: string, format: \"%Y\"}\n  \
                  d: {type: timestamp, format: \"%d.%m.%Y\"}\n  e: {type: date, format: []}\n  f: {type: timestamptz, format: 1}\n";
    assert_snapshot!(with_fields(fields).problems(), @"");
}

#[test]
fn the_record_column_is_the_engines() {
    assert_snapshot!(with_fields("  _record: string\n  a: {struct: {_record: string}}\n").problems(), @"");
    assert_snapshot!(with_fields("  {}\n").problems(), @"");
}
