use arrow::array::{Array, AsArray};
use arrow::datatypes::{Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};

use super::super::testing::{field, from, list_of, patients, required, source};
use super::*;
use crate::model::arrow_schema;
use crate::model::{Field, FieldType, Format, From};

fn decoding(schema: Vec<Field>) -> Decoding {
    let source = source("x.json", Format::Json, schema);
    Decoding {
        kind: 0,
        plan: Plan::new(&source.kinds[0]).unwrap(),
        schema: arrow_schema(&source.kinds[0]),
        on_unknown_field: OnUnknownField::Warn,
        names: None,
        csv: CsvOptions::default(),
    }
}

pub(super) fn decode(schema: Vec<Field>, records: &[&str]) -> (RecordBatch, Vec<Option<Fault>>, Vec<u64>) {
    let decoding = decoding(schema);
    let mut decoder = Decoder::new(&decoding);
    let push = |(index, record): (usize, &&str)| decoder.push(record.as_bytes(), None, index as u64).err();
    let faults = records.iter().enumerate().map(push).collect();
    let (batch, unknown) = decoder.finish().unwrap();
    (batch, faults, unknown.iter().map(|met| met.count).collect())
}

fn good(schema: Vec<Field>, records: &[&str]) -> RecordBatch {
    let (batch, faults, _) = decode(schema, records);
    assert!(faults.iter().all(Option::is_none), "{faults:?}");
    batch
}

/// The path and the reason of a record's fault. It also checks that the good records before and after it stay.
fn fault(schema: Vec<Field>, record: &str) -> (String, String) {
    let (batch, mut faults, _) = decode(schema, &["{}", record, "{}"]);
    let fault = faults[1].take().unwrap_or_else(|| panic!("{record} has no fault"));
    let whole = faults.iter().filter(|fault| fault.is_none()).count() - 1;
    assert_eq!(batch.num_rows(), whole, "{record}");
    assert!(fault.at <= record.len());
    (fault.path.to_string(), fault.reason.into_owned())
}

fn one(field_type: FieldType) -> Vec<Field> {
    vec![field("v", field_type)]
}

fn reason(field_type: FieldType, value: &str) -> String {
    let (path, reason) = fault(one(field_type), &format!("{{\"v\":{value}}}"));
    assert_eq!(path, "$.v", "{value}");
    reason
}

#[test]
fn every_type_decodes_to_its_column() {
    use FieldType as F;
    let schema = vec![
        field("s", F::String),
        field("b", F::Bool),
        field("i", F::Int),
        field("l", F::Bigint),
        field("d", F::Double),
        field("m", F::Decimal(5, 2)),
        field("day", F::Date(vec![])),
        field("t", F::Timestamp(vec![])),
        field("z", F::TimestampTz(vec![])),
        field("j", F::Json),
    ];
    let batch = good(
        schema,
        &[
            r#"{"s":"é\n","b":true,"i":-5,"l":9007199254740993,"d":0.1,"m":1e2,"day":"1970-01-02",
            "t":"1970-01-01T00:00:01","z":"1970-01-01T01:00:00+01:00","j": { "x" : [1.50, "\u00e9"] } }"#,
            "{}",
            r#"{"j":null,"s":null,"z":null}"#,
        ],
    );
    assert_eq!(batch.column(0).as_string::<i32>().value(0), "é\n");
    assert!(batch.column(1).as_boolean().value(0));
    assert_eq!(batch.column(2).as_primitive::<Int32Type>().value(0), -5);
    assert_eq!(
        batch.column(3).as_primitive::<Int64Type>().value(0),
        9_007_199_254_740_993
    );
    assert_eq!(
        batch.column(4).as_primitive::<Float64Type>().value(0).to_bits(),
        0.1_f64.to_bits()
    );
    assert_eq!(batch.column(5).as_primitive::<Decimal128Type>().value(0), 10_000);
    assert_eq!(batch.column(6).as_primitive::<Date32Type>().value(0), 1);
    assert_eq!(
        batch.column(7).as_primitive::<TimestampMicrosecondType>().value(0),
        1_000_000
    );
    assert_eq!(batch.column(8).as_primitive::<TimestampMicrosecondType>().value(0), 0);
    assert_eq!(
        batch.column(9).as_string::<i32>().value(0),
        r#"{ "x" : [1.50, "\u00e9"] }"#
    );
    for column in &batch.columns()[..10] {
        assert_eq!(column.null_count(), 2);
    }
}

#[test]
fn nothing_is_coerced() {
    use FieldType as F;
    assert_eq!(reason(F::Int, r#""1234""#), "a string where int is declared");
    assert_eq!(reason(F::Int, "1.0"), "not a whole number");
    assert_eq!(reason(F::Int, "1e3"), "not a whole number");
    assert_eq!(reason(F::Int, "2147483648"), "a number too large for its type");
    assert_eq!(reason(F::Int, "true"), "a boolean where int is declared");
    assert_eq!(
        reason(F::Bigint, "9223372036854775808"),
        "a number too large for its type"
    );
    assert_eq!(reason(F::String, "1234"), "a number where string is declared");
    assert_eq!(reason(F::String, "{}"), "an object where string is declared");
    assert_eq!(reason(F::Bool, "1"), "a number where bool is declared");
    assert_eq!(reason(F::Bool, r#""true""#), "a string where bool is declared");
    assert_eq!(reason(F::Double, "1e999"), "a number too large for its type");
    assert_eq!(reason(F::Double, "NaN"), "not a JSON number");
    assert_eq!(
        reason(F::Decimal(5, 2), "1.005"),
        "more digits after the point than its decimal type has"
    );
    assert_eq!(
        reason(F::Decimal(5, 2), r#""1.00""#),
        "a string where decimal is declared"
    );
    assert_eq!(reason(F::Date(vec![]), r#""2023-02-30""#), "not a date (yyyy-mm-dd)");
    assert_eq!(reason(F::Date(vec![]), "20230230"), "a number where date is declared");
    assert_eq!(
        reason(list_of(field("item", F::String)), "{}"),
        "an object where a list is declared"
    );
    assert_eq!(
        reason(F::Struct(vec![field("a", F::Int)]), "[]"),
        "a list where a struct is declared"
    );
    assert_eq!(
        reason(F::Struct(vec![field("a", F::Int)]), "\"x\""),
        "a string where a struct is declared"
    );
}

#[test]
fn from_names_the_json_type_that_a_value_comes_in() {
    use FieldType as F;
    let schema = || {
        vec![
            from(field("i", F::Int), From::String),
            from(field("b", F::Bool), From::String),
            from(field("m", F::Decimal(5, 2)), From::String),
            from(field("s", F::String), From::Number),
        ]
    };
    let batch = good(schema(), &[r#"{"i":"12","b":"false","m":"1.5","s":1.50e1}"#]);
    assert_eq!(batch.column(0).as_primitive::<Int32Type>().value(0), 12);
    assert!(!batch.column(1).as_boolean().value(0));
    assert_eq!(batch.column(2).as_primitive::<Decimal128Type>().value(0), 150);
    assert_eq!(batch.column(3).as_string::<i32>().value(0), "1.50e1");
    assert_eq!(
        fault(schema(), r#"{"i":12}"#).1,
        "a number where int from a string is declared"
    );
    assert_eq!(fault(schema(), r#"{"i":" 12"}"#).1, "not a whole number");
    assert_eq!(
        fault(schema(), r#"{"s":"12"}"#).1,
        "a string where string from a number is declared"
    );
    assert_eq!(fault(schema(), r#"{"b":"yes"}"#).1, "neither true nor false");
}

#[test]
fn a_number_here_and_a_string_there() {
    use FieldType as F;
    let schema = || {
        vec![
            from(field("s", F::String), From::Either),
            from(field("i", F::Int), From::Either),
            from(field("m", F::Decimal(5, 2)), From::Either),
        ]
    };
    let batch = good(
        schema(),
        &[
            r#"{"s":5,"i":7,"m":1.5}"#,
            r#"{"s":50.0e-1,"i":"7","m":"1.50"}"#,
            r#"{"s":"5","i":null}"#,
            r#"{"s":"5.0"}"#,
        ],
    );
    let texts = batch.column(0).as_string::<i32>();
    assert_eq!(texts.iter().flatten().collect::<Vec<_>>(), ["5", "5", "5", "5.0"]);
    assert_eq!(batch.column(1).as_primitive::<Int32Type>().values()[..2], [7, 7]);
    assert_eq!(
        batch.column(2).as_primitive::<Decimal128Type>().values()[..2],
        [150, 150]
    );
    assert_eq!(fault(schema(), r#"{"s":1e1001}"#).1, "a number of too many digits");
    assert_eq!(fault(schema(), r#"{"i":"x"}"#).1, "not a whole number");
    assert_eq!(
        fault(schema(), r#"{"s":true}"#).1,
        "a boolean where string from a string or a number is declared"
    );
}

#[test]
fn lists_and_structs_keep_null_and_empty_apart() {
    let batch = good(
        patients(),
        &[
            r#"{"id":"1","visits":null}"#,
            r#"{"id":"2","visits":[]}"#,
            r#"{"visits":[{"visit_id":"a","codes":["x",null]},null,{"codes":[],"visit_id":"b"}],"id":"3"}"#,
            r#"{"id":"4"}"#,
        ],
    );
    let visits = batch.column(2).as_list::<i32>();
    assert_eq!(visits.value_offsets(), [0, 0, 0, 3, 3]);
    assert_eq!(
        (0..4).map(|row| visits.is_null(row)).collect::<Vec<_>>(),
        [true, false, false, true]
    );
    let items = visits.values().as_struct();
    assert!(items.is_null(1));
    assert_eq!(
        items.column(0).as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("a"), None, Some("b")]
    );
    assert_eq!(items.column(2).as_list::<i32>().value_offsets(), [0, 2, 2, 2]);
}

#[test]
fn faults_tell_the_declared_path() {
    for (record, path, reason) in [
        (r#"{"id":null}"#, "$.id", "required, but null"),
        (r#"{"age":1}"#, "$.id", "required, but missing"),
        (
            r#"{"id":"1","visits":[{"date":"2023-01-01"}]}"#,
            "$.visits[].visit_id",
            "required, but missing",
        ),
        (
            r#"{"id":"1","visits":[{"visit_id":"a"},{"visit_id":"b","date":"x"}]}"#,
            "$.visits[].date",
            "not a date (yyyy-mm-dd)",
        ),
        (
            r#"{"id":"1","visits":[{"visit_id":"a","codes":["x",7]}]}"#,
            "$.visits[].codes[]",
            "a number where string is declared",
        ),
        (
            r#"{"id":"1","visits":[[]]}"#,
            "$.visits[]",
            "a list where a struct is declared",
        ),
        (r#"{"id":"1","id":"2"}"#, "$.id", "the key stands twice in one object"),
        (
            r#"{"id":"1","\u0069d":null}"#,
            "$.id",
            "the key stands twice in one object",
        ),
        (
            r#"{"id":"1","visits":[{"visit_id":"a","visit_id":"a"}]}"#,
            "$.visits[].visit_id",
            "the key stands twice in one object",
        ),
        (
            r#"{"id":"1","zz":1,"zz":2}"#,
            "$",
            "an undeclared key stands twice in one object",
        ),
        (
            r#"{"id":"1","zz":{"y":{"k":1,"k":2}}}"#,
            "$",
            "an undeclared key stands twice in one object",
        ),
        (r#"{"id":"1","zz":"\ud800"}"#, "$", "half of a surrogate pair"),
        (r#"{"id":"1","z\u0000":1}"#, "$", "a NUL character"),
        (r#"{"id":"a\u0000"}"#, "$.id", "a NUL character"),
        (
            r#"{"id":"1",}"#,
            "$",
            "not valid JSON: a comma before a closing bracket",
        ),
        (r#"{"id":"1"} x"#, "$", "not valid JSON: text follows the record"),
        (r#"["id"]"#, "$", "the record is a list, not an object"),
        (r#""id""#, "$", "the record is a string, not an object"),
        ("null", "$", "the record is null, not an object"),
        ("NaN", "$", "not a JSON number"),
    ] {
        let (at, why) = fault(patients(), record);
        assert_eq!((at.as_str(), why.as_str()), (path, reason), "{record}");
    }
    let odd = vec![required(field("odd key", FieldType::Int))];
    assert_eq!(fault(odd, "{}").0, "$['odd key']");
}

#[test]
fn nesting_is_bounded_everywhere() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let schema = || vec![field("j", FieldType::Json)];
    good(schema(), &[&format!("{{\"j\":{}}}", deep(127))]);
    assert_eq!(
        fault(schema(), &format!("{{\"j\":{}}}", deep(128))).1,
        "nested deeper than 128"
    );
    assert_eq!(
        fault(schema(), &format!("{{\"x\":{}}}", deep(10_000))).1,
        "nested deeper than 128"
    );
}

#[test]
fn invalid_utf8_is_a_fault_at_its_byte() {
    let decoding = decoding(one(FieldType::String));
    let mut decoder = Decoder::new(&decoding);
    let fault = decoder.push(b"{\"v\":\"a\xff\"}", None, 1).unwrap_err();
    assert_eq!((fault.at, &*fault.reason), (7, "not valid UTF-8"));
}

#[test]
fn json_is_kept_as_written_and_checked() {
    assert_eq!(
        reason(FieldType::Json, r#"{"k":1,"k":2}"#),
        "an undeclared key stands twice in one object"
    );
    assert_eq!(reason(FieldType::Json, r#"["\u0000"]"#), "a NUL character");
    assert_eq!(reason(FieldType::Json, r#"["\udc00"]"#), "half of a surrogate pair");
    assert_eq!(reason(FieldType::Json, "[01]"), "not a JSON number: it starts with 0");
}

#[test]
fn undeclared_fields_are_counted_where_they_are_and_never_kept() {
    let (batch, _, unknown) = decode(
        patients(),
        &[
            r#"{"id":"1","secret":{"a":[1]},"more":1,"visits":[{"visit_id":"a","x":1},{"visit_id":"b","x":2}]}"#,
            r#"{"secret":1,"age":"not counted: the record is refused","id":"2"}"#,
        ],
    );
    assert_eq!((batch.num_rows(), unknown), (1, vec![2, 2]));
}

#[test]
fn undeclared_fields_can_be_refused() {
    let mut decoding = decoding(patients());
    decoding.on_unknown_field = OnUnknownField::Fail;
    let mut decoder = Decoder::new(&decoding);
    let fault = decoder
        .push(br#"{"id":"1","visits":[{"hidden":1}]}"#, None, 1)
        .unwrap_err();
    assert_eq!(
        (&*fault.path, &*fault.reason),
        ("$.visits[]", "a field that is not declared")
    );
}

#[test]
fn no_fault_quotes_a_value_or_an_undeclared_name() {
    for record in [
        r#"{"CANARY":1,"CANARY":2}"#,
        r#"{"id":"CANARY"} CANARY"#,
        r#"{"id":["CANARY"]}"#,
        r#"{"id":"1","age":"CANARY"}"#,
        r#"{"id":"1","visits":[{"visit_id":"1","date":"CANARY"}]}"#,
        r#"{"id":"1","CANARY":"CANARY}"#,
        "CANARY",
    ] {
        let (path, reason) = fault(patients(), record);
        assert!(
            !path.contains("CANARY") && !reason.contains("CANARY"),
            "{path} {reason}"
        );
    }
}

#[test]
fn rows_of_csv() {
    let schema = vec![
        required(field("id", FieldType::String)),
        field("age", FieldType::Int),
        field("born", FieldType::Date(vec!["%d.%m.%Y".into()])),
        field("extra", FieldType::Json),
    ];
    let decoding = decoding(schema);
    let header = CsvHeader::unnamed(vec![Some(1), None, Some(0), Some(2), Some(3)]);
    let mut decoder = Decoder::new(&decoding);
    let mut push = |row: &str| {
        decoder
            .push(row.as_bytes(), Some(&header), 1)
            .map_err(|fault| fault.reason.into_owned())
    };
    push(r#"7,x,"a ""b""",01.02.1970,"{""k"":[1]}""#).unwrap();
    push(",,c,,").unwrap();
    assert_eq!(push("7,x,,,").unwrap_err(), "required, but null");
    assert_eq!(push("7.0,x,a,,").unwrap_err(), "not a whole number");
    assert_eq!(
        push("7,x,a,1970-02-01,").unwrap_err(),
        "not a date in a declared format"
    );
    assert_eq!(
        push("7,x,a,,{").unwrap_err(),
        "not valid JSON: the record ends too early"
    );
    assert_eq!(push("7,x,a").unwrap_err(), "a row of 3 cells where there are 5 columns");
    assert_eq!(
        push("7,x,a,,,").unwrap_err(),
        "a row of 6 cells where there are 5 columns"
    );
    assert_eq!(push("7,x,a\0,,").unwrap_err(), "a NUL character");
    let (batch, unknown) = decoder.finish().unwrap();
    assert_eq!((batch.num_rows(), unknown[0].count), (2, 2));
    assert_eq!(batch.column(0).as_string::<i32>().value(0), "a \"b\"");
    assert_eq!(batch.column(1).null_count(), 1);
    assert_eq!(batch.column(3).as_string::<i32>().value(0), r#"{"k":[1]}"#);
}
