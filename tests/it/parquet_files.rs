//! Parquet files as other programs write them: types that change from file to file, damage, old timestamps.
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, Date64Array, Decimal128Array, DictionaryArray, FixedSizeListArray,
    Float32Array, Float64Array, Int32Array, Int64Array, LargeListArray, LargeStringArray, ListArray, ListViewArray,
    NullArray, RecordBatch, StringArray, StringViewArray, StructArray, TimestampMillisecondArray, TimestampSecondArray,
    UInt32Array, UInt64Array, new_null_array,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int8Type};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int96, Int96Type};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::harness::{Database, Project, Small, hashed};

fn plainly() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .build()
}

fn file(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(plainly())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

const PARQUET: &str = "path: in/{date:%Y-%m-%d}*.parquet\nformat: parquet";

/// Loads one file with `id` (a row's number from 1) and `x`. Bad rows are refused.
fn loaded(kind: &str, field: &str, sql: &str, array: ArrayRef) -> (Database, Project) {
    let ids: Int64Array = (1..=i64::try_from(array.len()).unwrap()).collect();
    let (database, project) = small(kind, field, sql);
    project.write(
        "in/2023-05-01.parquet",
        file(vec![("id", Arc::new(ids) as ArrayRef), ("x", array)]),
    );
    project.run_clinic().code(0);
    (database, project)
}

fn small(kind: &str, field: &str, sql: &str) -> (Database, Project) {
    Small::new()
        .input(PARQUET)
        .columns(&[("id", "int8"), ("x", kind)])
        .schema(&format!("id: {{type: bigint, required: true}}\nx: {field}"))
        .sql(sql)
        .rest("max_quarantined: 100%")
        .quarantine()
        .on_server()
}

const SQL: &str = "select id, x from source";

fn list(items: ArrayRef, lengths: &[usize]) -> ArrayRef {
    let field = Arc::new(Field::new("item", items.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    Arc::new(ListArray::try_new(field, offsets, items, None).unwrap())
}

fn texts(texts: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

fn decimals(values: &[Option<i128>], precision: u8, scale: i8) -> ArrayRef {
    let array = Decimal128Array::from(values.to_vec());
    Arc::new(array.with_precision_and_scale(precision, scale).unwrap())
}

/// A column whose values are all taken, and what the table then holds.
type Taken = (&'static str, &'static str, ArrayRef, [&'static str; 2]);

fn taken(cases: Vec<Taken>) {
    for (kind, field, array, rows) in cases {
        let shown = format!("{} as {field}", array.data_type());
        let (database, _) = loaded(kind, field, SQL, array);
        assert_eq!(database.rows("select x::text from items order by id"), rows, "{shown}");
    }
}

#[test]
fn whole_numbers_of_other_types_are_taken_where_nothing_is_lost() {
    taken(vec![
        ("int4", "int", Arc::new(NullArray::new(2)), ["", ""]),
        (
            "int4",
            "int",
            Arc::new(Int64Array::from(vec![Some(-5), None])),
            ["-5", ""],
        ),
        ("int4", "int", Arc::new(UInt32Array::from(vec![5, 6])), ["5", "6"]),
        ("int8", "bigint", Arc::new(UInt64Array::from(vec![5, 6])), ["5", "6"]),
        (
            "int4",
            "int",
            Arc::new(Float64Array::from(vec![Some(5.0), None])),
            ["5", ""],
        ),
        (
            "int8",
            "bigint",
            Arc::new(Float64Array::from(vec![-0.0, 9_007_199_254_740_994.0])),
            ["0", "9007199254740994"],
        ),
        (
            "int4",
            "int",
            Arc::new(Float32Array::from(vec![16_777_216.0, -1.0])),
            ["16777216", "-1"],
        ),
        ("int4", "int", decimals(&[Some(700), Some(-100)], 10, 2), ["7", "-1"]),
    ]);
}

#[test]
fn fractions_of_other_types_are_taken_where_nothing_is_lost() {
    taken(vec![
        (
            "float8",
            "double",
            Arc::new(Int64Array::from(vec![1 << 49, -1])),
            ["562949953421312", "-1"],
        ),
        (
            "numeric",
            "\"decimal(9,3)\"",
            Arc::new(Int32Array::from(vec![7, -7])),
            ["7.000", "-7.000"],
        ),
        (
            "numeric",
            "\"decimal(4,2)\"",
            Arc::new(Float64Array::from(vec![0.1, -12.25])),
            ["0.10", "-12.25"],
        ),
        (
            "numeric",
            "\"decimal(4,2)\"",
            Arc::new(Float32Array::from(vec![0.1, 1.5])),
            ["0.10", "1.50"],
        ),
        (
            "numeric",
            "\"decimal(3,1)\"",
            decimals(&[Some(15_000), None], 20, 4),
            ["1.5", ""],
        ),
        (
            "numeric",
            "\"decimal(5,3)\"",
            decimals(&[Some(12), Some(-5)], 38, 1),
            ["1.200", "-0.500"],
        ),
        (
            "float8",
            "double",
            decimals(&[Some(725), Some(10)], 10, 2),
            ["7.25", "0.1"],
        ),
    ]);
}

#[test]
fn dates_of_other_types_are_taken_where_nothing_is_lost() {
    let day = 86_400_000;
    taken(vec![
        (
            "date",
            "date",
            Arc::new(Date64Array::from(vec![Some(19_478 * day), None])),
            ["2023-05-01", ""],
        ),
        (
            "date",
            "date",
            Arc::new(TimestampMillisecondArray::from(vec![19_478 * day, -day])),
            ["2023-05-01", "1969-12-31"],
        ),
        (
            "date",
            "date",
            texts(&["2023-05-01", "0099-01-01"]),
            ["2023-05-01", "0099-01-01"],
        ),
        (
            "timestamp",
            "timestamp",
            texts(&["2023-05-01T01:02:03", "2023-05-01 00:00"]),
            ["2023-05-01 01:02:03", "2023-05-01 00:00:00"],
        ),
        (
            "timestamptz",
            "{type: timestamptz, zone: Europe/Berlin}",
            Arc::new(TimestampMillisecondArray::from(vec![19_478 * day + 36_000_000, -day])),
            ["2023-05-01 08:00:00+00", "1969-12-30 23:00:00+00"],
        ),
    ]);
}

#[test]
fn texts_of_every_kind_are_texts() {
    let dictionary: DictionaryArray<Int8Type> = vec![Some("x"), None].into_iter().collect();
    taken(vec![
        ("text", "string", Arc::new(NullArray::new(2)), ["", ""]),
        (
            "text",
            "string",
            Arc::new(LargeStringArray::from(vec![Some("é"), None])),
            ["é", ""],
        ),
        (
            "text",
            "string",
            Arc::new(StringViewArray::from(vec!["a text longer than twelve", "b"])),
            ["a text longer than twelve", "b"],
        ),
        ("text", "string", Arc::new(dictionary), ["x", ""]),
        (
            "text",
            "string",
            Arc::new(BinaryArray::from_vec(vec!["é".as_bytes(), b"b"])),
            ["é", "b"],
        ),
        (
            "text",
            "string",
            Arc::new(BinaryViewArray::from_iter_values([&b"a"[..], b"b"])),
            ["a", "b"],
        ),
        ("jsonb", "json", texts(&["{\"a\": 1}", "[]"]), ["{\"a\": 1}", "[]"]),
    ]);
}

#[test]
fn numbers_are_texts_where_the_schema_says_so() {
    taken(vec![
        (
            "text",
            "{type: string, from: number}",
            Arc::new(Int64Array::from(vec![5, 6])),
            ["5", "6"],
        ),
        (
            "text",
            "{type: string, from: number}",
            Arc::new(Float64Array::from(vec![5.0, 0.1])),
            ["5", "0.1"],
        ),
        (
            "text",
            "{type: string, from: [string, number]}",
            decimals(&[Some(500), Some(525)], 9, 2),
            ["5", "5.25"],
        ),
        (
            "text",
            "{type: string, from: [string, number]}",
            texts(&["5", "5.0"]),
            ["5", "5.0"],
        ),
        (
            "int4",
            "{type: int, from: [string, number]}",
            texts(&["5", "-6"]),
            ["5", "-6"],
        ),
        (
            "int4",
            "{type: int, from: [string, number]}",
            Arc::new(Int64Array::from(vec![5, -6])),
            ["5", "-6"],
        ),
    ]);
}

#[test]
fn lists_of_every_kind_are_lists() {
    let field = Arc::new(Field::new("item", DataType::Utf8, true));
    let two = |items: ArrayRef| list(items, &[2, 0]);
    let fixed = FixedSizeListArray::try_new(Arc::clone(&field), 2, texts(&["a", "b", "c", "d"]), None).unwrap();
    let large = LargeListArray::try_new(
        Arc::clone(&field),
        OffsetBuffer::from_lengths([2, 0]),
        texts(&["a", "b"]),
        None,
    );
    let (offsets, sizes) = (ScalarBuffer::from(vec![0, 2]), ScalarBuffer::from(vec![2, 0]));
    let view = ListViewArray::try_new(field, offsets, sizes, texts(&["a", "b"]), None).unwrap();
    for (array, rows) in [
        (two(texts(&["a", "b"])), ["{a,b}", "{}"]),
        (two(Arc::new(NullArray::new(2))), ["{NULL,NULL}", "{}"]),
        (two(Arc::new(LargeStringArray::from(vec!["a", "b"]))), ["{a,b}", "{}"]),
        (
            two(cast(
                &texts(&["a", "b"]),
                &DataType::Dictionary(DataType::Int8.into(), DataType::Utf8.into()),
            )
            .unwrap()),
            ["{a,b}", "{}"],
        ),
        (Arc::new(large.unwrap()), ["{a,b}", "{}"]),
        (Arc::new(fixed), ["{a,b}", "{c,d}"]),
        (Arc::new(view), ["{a,b}", "{}"]),
        (Arc::new(NullArray::new(2)), ["", ""]),
    ] {
        let shown = array.data_type().to_string();
        let (database, _) = loaded("text[]", "{list: string}", SQL, array);
        assert_eq!(database.rows("select x::text from items order by id"), rows, "{shown}");
    }
}

/// Loads three rows of which the second is refused.
fn refuses_the_second(kind: &str, field: &str, array: ArrayRef, reason: &str) {
    let shown = format!("{} as {field}", array.data_type());
    let (database, _) = loaded(kind, field, SQL, array);
    assert_eq!(
        database.rows("select check_name, file, record, path, reason from pipeline.quarantine"),
        [format!("malformed|in/2023-05-01*.parquet#1|2|$.x|{reason}")],
        "{shown}"
    );
    assert_eq!(database.rows("select id from items order by id"), ["1", "3"], "{shown}");
}

fn exact(found: &str, declared: &str) -> String {
    format!("{found} that {declared} can't hold exactly")
}

fn floats(second: f64) -> ArrayRef {
    Arc::new(Float64Array::from(vec![Some(1.0), Some(second), None]))
}

fn ints(second: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![Some(1), Some(second), None]))
}

/// A column whose second value refuses its row, and why.
type Refused = (&'static str, &'static str, ArrayRef, String);

fn refused(cases: Vec<Refused>) {
    for (kind, field, array, reason) in cases {
        refuses_the_second(kind, field, array, &reason);
    }
}

#[test]
fn a_number_that_would_lose_something_refuses_its_row() {
    refused(vec![
        ("int4", "int", ints(1 << 31), exact("an int64", "int")),
        (
            "int8",
            "bigint",
            Arc::new(UInt64Array::from(vec![1, 1 << 63, 2])),
            exact("a uint64", "bigint"),
        ),
        ("float8", "double", ints((1 << 53) + 1), exact("an int64", "double")),
        ("float8", "double", ints(i64::MAX), exact("an int64", "double")),
        ("numeric", "\"decimal(3,1)\"", ints(100), exact("an int64", "decimal")),
        ("int4", "int", floats(1.5), exact("a float64", "int")),
        ("int4", "int", floats(f64::NAN), exact("a float64", "int")),
        (
            "int8",
            "bigint",
            floats(9_223_372_036_854_775_808.0),
            exact("a float64", "bigint"),
        ),
        (
            "numeric",
            "\"decimal(3,1)\"",
            floats(0.25),
            exact("a float64", "decimal"),
        ),
        (
            "numeric",
            "\"decimal(3,1)\"",
            floats(f64::INFINITY),
            exact("a float64", "decimal"),
        ),
        ("float8", "double", floats(f64::NAN), "not a finite number".to_owned()),
        (
            "numeric",
            "\"decimal(3,1)\"",
            decimals(&[Some(10), Some(125), Some(20)], 9, 2),
            exact("a decimal(9,2)", "decimal"),
        ),
        (
            "numeric",
            "\"decimal(3,1)\"",
            decimals(&[Some(10), Some(10_000), Some(20)], 9, 2),
            exact("a decimal(9,2)", "decimal"),
        ),
        (
            "int4",
            "int",
            decimals(&[Some(100), Some(150), None], 9, 2),
            exact("a decimal(9,2)", "int"),
        ),
        (
            "float8",
            "double",
            decimals(&[Some(1), Some(12_345_678_901_234_567_890), None], 38, 2),
            exact("a decimal(38,2)", "double"),
        ),
    ]);
}

#[test]
fn a_text_or_time_that_is_none_refuses_its_row() {
    refused(vec![
        (
            "date",
            "date",
            Arc::new(Date64Array::from(vec![0, 1, 86_400_000])),
            exact("a date64", "date"),
        ),
        (
            "timestamp",
            "timestamp",
            Arc::new(TimestampSecondArray::from(vec![0, i64::MAX / 1000, 1])),
            "a timestamp out of range".to_owned(),
        ),
        (
            "timestamptz",
            "{type: timestamptz, zone: Europe/Berlin}",
            // 2023-10-29 02:30 on the clock.
            Arc::new(TimestampSecondArray::from(vec![0, 1_698_546_600, 1])),
            "a local time that the clock of its zone shows twice, without its offset".to_owned(),
        ),
        (
            "text",
            "string",
            Arc::new(BinaryArray::from_vec(vec![b"a", b"\xff\xfe", b"b"])),
            "not valid UTF-8".to_owned(),
        ),
        (
            "text",
            "string",
            texts(&["a", "SECRET\0", "b"]),
            "a NUL character".to_owned(),
        ),
        (
            "jsonb",
            "json",
            texts(&["1", "{SECRET", "2"]),
            "not valid JSON: a key in quotes is missing".to_owned(),
        ),
        (
            "int4",
            "{type: int, from: string}",
            texts(&["1", "SECRET", "2"]),
            "not a whole number".to_owned(),
        ),
    ]);
}

#[test]
fn a_column_of_another_type_refuses_the_rows_that_hold_something() {
    let named = Field::new("SECRET", DataType::Utf8, true);
    let structs = StructArray::from(vec![(Arc::new(named), texts(&["SECRET", "x"]))]);
    for (kind, field, array, reason) in [
        ("int4", "int", texts(&["5", "6"]), "a text where int is declared"),
        (
            "text",
            "string",
            Arc::new(Int64Array::from(vec![5, 6])) as ArrayRef,
            "an int64 where string is declared",
        ),
        (
            "text",
            "{type: string, from: number}",
            texts(&["5", "6"]),
            "a text where string is declared",
        ),
        (
            "int4",
            "{type: int, from: string}",
            Arc::new(Int32Array::from(vec![5, 6])),
            "an int32 where int is declared",
        ),
        (
            "int4",
            "int",
            Arc::new(structs.clone()),
            "a struct where int is declared",
        ),
        (
            "text",
            "string",
            list(Arc::new(structs), &[1, 1]),
            "a list where string is declared",
        ),
        (
            "text[]",
            "{list: string}",
            texts(&["5", "6"]),
            "a text where a list is declared",
        ),
        (
            "timestamptz",
            "timestamptz",
            Arc::new(TimestampSecondArray::from(vec![5, 6])),
            "a timestamp without time zone where timestamptz is declared",
        ),
    ] {
        let shown = format!("{} as {field}", array.data_type());
        let (database, project) = loaded(kind, field, SQL, array);
        assert_eq!(
            database.rows("select record, path, reason from pipeline.quarantine order by record"),
            [format!("1|$.x|{reason}"), format!("2|$.x|{reason}")],
            "{shown}"
        );
        project.run(&["quarantine", "show", "--names"]).output_lacks("SECRET");
        project.run_clinic().output_lacks("SECRET");
    }
    // Nulls fit every type.
    let (database, _) = loaded("int4", "int", SQL, new_null_array(&DataType::Utf8, 2));
    assert_eq!(database.count("items"), 2);
}

#[test]
fn faults_deep_inside_refuse_their_rows_only() {
    let codes = Arc::new(BinaryArray::from_vec(vec![b"a", b"b", b"\xff", b"c", b"d"])) as ArrayRef;
    let numbers = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0, 4.5, 5.0])) as ArrayRef;
    let items = StructArray::from(vec![
        (Arc::new(Field::new("code", DataType::Binary, true)), codes),
        (Arc::new(Field::new("number", DataType::Float64, true)), numbers),
    ]);
    let array = list(Arc::new(items), &[1, 0, 2, 0, 1, 1]);
    let sql = "with e as (select id, unnest(x) as x from source) select id, x['code'] || x['number'] as x from e";
    let (database, _) = loaded("text", "{list: {code: string, number: int}}", sql, array);
    assert_eq!(database.rows("select id, x from items order by id"), ["1|a1", "6|d5"]);
    assert_eq!(
        database.rows("select record, path, reason from pipeline.quarantine order by record"),
        [
            "3|$.x[].code|not valid UTF-8",
            "5|$.x[].number|a float64 that int can't hold exactly"
        ]
    );
}

/// A file with one column that Arrow does not write.
fn written<T: parquet::data_type::DataType>(message: &str, values: &[T::T]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(message).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(plainly())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

fn alone(kind: &str, field: &str, bytes: &[u8]) -> Database {
    let (database, project) = Small::new()
        .input(PARQUET)
        .columns(&[("x", kind)])
        .schema(&format!("x: {field}"))
        .sql("select x from source")
        .rest("max_quarantined: 100%")
        .quarantine()
        .on_server();
    project.write("in/2023-05-01.parquet", bytes);
    project.run_clinic().code(0);
    database
}

#[test]
fn a_text_that_is_no_utf_8_refuses_its_row() {
    let texts = [&b"good"[..], b"\xc3\x28", "é".as_bytes()].map(|bytes| ByteArray::from(bytes.to_vec()));
    for annotation in ["(UTF8)", "(STRING)", "(JSON)", ""] {
        let message = format!("message m {{ required binary x {annotation}; }}");
        let database = alone("text", "string", &written::<ByteArrayType>(&message, &texts));
        assert_eq!(
            database.rows("select x from items order by x"),
            ["good", "é"],
            "{annotation}"
        );
        assert_eq!(
            database.rows("select record, path, reason from pipeline.quarantine"),
            ["2|$.x|not valid UTF-8"],
            "{annotation}"
        );
    }
}

#[test]
fn old_and_far_timestamps_of_96_bits_do_not_wrap() {
    // 2000-01-01 is the Julian day 2451545.
    let at = |days: i32, nanos: u64| {
        let mut value = Int96::new();
        value.set_data(
            u32::try_from(nanos & 0xffff_ffff).unwrap(),
            u32::try_from(nanos >> 32).unwrap(),
            u32::try_from(2_451_545 + days).unwrap(),
        );
        value
    };
    let values = [
        at(0, 1_000),
        at(-182_621, 0),
        at(-146_097, 86_399_999_999_000),
        at(146_097, 0),
        at(2_921_939, 123_456_000),
    ];
    let bytes = written::<Int96Type>("message m { required int96 x; }", &values);
    let database = alone("timestamp", "timestamp", &bytes);
    assert_eq!(
        database.rows("select x::text from items order by x"),
        [
            "1500-01-01 00:00:00",
            "1600-01-01 23:59:59.999999",
            "2000-01-01 00:00:00.000001",
            "2400-01-01 00:00:00",
            "9999-12-31 00:00:00.123456"
        ]
    );
    // Beyond microseconds in 64 bits, which wrap to a date as good as any.
    let bytes = written::<Int96Type>(
        "message m { required int96 x; }",
        &[at(1, 0), at(213_503_982, 0), at(2, 0)],
    );
    for (kind, reason) in [
        ("timestamp", "a timestamp out of range"),
        ("date", "a timestamp without time zone that date can't hold exactly"),
    ] {
        let database = alone(kind, kind, &bytes);
        assert_eq!(
            database.rows("select x::date from items order by x"),
            ["2000-01-02", "2000-01-03"]
        );
        assert_eq!(
            database.rows("select record, reason from pipeline.quarantine"),
            [format!("2|{reason}")]
        );
    }
}

/// Adds a checksum to the only page of a file with one column.
fn with_checksum(bytes: &[u8], change: u32) -> Vec<u8> {
    let metadata = ParquetMetaDataReader::new()
        .parse_and_finish(&bytes::Bytes::from(bytes.to_vec()))
        .unwrap();
    let column = metadata.row_group(0).column(0);
    let end = 4 + usize::try_from(column.compressed_size()).unwrap();
    // The header of the page in Thrift's compact protocol: the fields 1 (type), 2 and 3 (sizes), each as a variable-length
    // number, and 5 (a struct). Field 4 is the checksum.
    let mut at = 4;
    let mut size = 0;
    for _ in 0..3 {
        assert_eq!(bytes[at], 0x15);
        at += 1;
        (size, at) = number(bytes, at);
    }
    assert_eq!(bytes[at], 0x2c);
    let page = &bytes[end - size / 2..end];
    let mut crc = flate2::Crc::new();
    crc.update(page);
    let signed = i64::from((crc.sum() ^ change).cast_signed());
    let mut rest = u32::try_from(((signed << 1) ^ (signed >> 63)) & 0xffff_ffff).unwrap();
    let mut checksum = vec![0x15];
    while rest >= 0x80 {
        checksum.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    checksum.push(u8::try_from(rest).unwrap());
    let mut out = [&bytes[..at], &checksum, &[0x1c], &bytes[at + 1..end]].concat();
    let longer = column.compressed_size() + i64::try_from(checksum.len()).unwrap();
    let column = column
        .clone()
        .into_builder()
        .set_total_compressed_size(longer)
        .build()
        .unwrap();
    let group = metadata
        .row_group(0)
        .clone()
        .into_builder()
        .set_column_metadata(vec![column])
        .build()
        .unwrap();
    let metadata = ParquetMetaData::new(metadata.file_metadata().clone(), vec![group]);
    ParquetMetaDataWriter::new(&mut out, &metadata).finish().unwrap();
    out
}

fn number(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut value, mut shift) = (0, 0);
    loop {
        value |= usize::from(bytes[at] & 0x7f) << shift;
        at += 1;
        if bytes[at - 1] < 0x80 {
            return (value, at);
        }
        shift += 7;
    }
}

#[test]
fn a_page_with_a_wrong_checksum_can_t_be_read() {
    let plain = file(vec![("id", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef)]);
    let small = || {
        Small::new()
            .input(PARQUET)
            .columns(&[("id", "int8")])
            .schema("id: bigint")
            .sql("select id from source")
            .rest("max_quarantined: 80%")
            .quarantine()
            .on_server()
    };
    let (database, project) = small();
    project.write("in/2023-05-01.parquet", with_checksum(&plain, 0));
    project.run_clinic().code(0);
    assert_eq!(database.count("items"), 3);

    project.write("in/2023-05-01.parquet", with_checksum(&plain, 1));
    project
        .run_clinic()
        .code(1)
        .stderr_contains("is no valid parquet file")
        .stderr_contains("the checksum of a page is wrong");

    let (database, project) = small();
    project.write("in/2023-05-01a.parquet", with_checksum(&plain, 0));
    project.write("in/2023-05-01b.parquet", with_checksum(&plain, 1));
    project.run_clinic().code(0);
    assert_eq!(database.count("items"), 3);
    assert_eq!(
        database.rows("select check_name, file, record, reason from pipeline.quarantine order by record"),
        [1, 2, 3].map(|record| format!(
            "unreadable|in/2023-05-01*.parquet#2|{record}|it can't be read: the checksum of a page is wrong"
        ))
    );
    assert_eq!(
        database.rows("select account #> '{records}' from pipeline.runs"),
        [r#"{"read": 6, "accepted": 3, "quarantined": 3}"#]
    );
}

#[test]
fn a_column_that_a_file_lacks_is_null_unless_it_is_required() {
    let (database, project) = small("text", "string", SQL);
    let ids = || ("id", Arc::new(Int64Array::from(vec![1])) as ArrayRef);
    project.write("in/2023-05-01a.parquet", file(vec![ids()]));
    project.write("in/2023-05-01b.parquet", file(vec![ids(), ("x", texts(&["y"]))]));
    project
        .run_clinic()
        .code(0)
        .stderr_contains("$.x")
        .stderr_contains("a declared column is missing");
    assert_eq!(database.rows("select x from items order by x"), ["y", ""]);

    project.write("in/2023-05-01a.parquet", file(vec![("x", texts(&["y"]))]));
    project
        .run_clinic()
        .code(1)
        .stderr_contains("in/2023-05-01*.parquet#1 does not fit the schema of the source")
        .stderr_contains("$.id: the column is missing, and the field is required");
    project.write("in/2023-05-01a.parquet", file(vec![("SECRET", texts(&["y"]))]));
    project
        .run_clinic()
        .code(1)
        .stderr_contains("it has none of the declared columns")
        .output_lacks("SECRET");
}

#[test]
fn a_struct_without_one_of_its_fields_has_null_there() {
    let inner = StructArray::from(vec![(Arc::new(Field::new("a", DataType::Utf8, true)), texts(&["y"]))]);
    let sql = "select id, coalesce(x['b'], 'null') || x['a'] as x from source";
    let (database, _) = loaded("text", "{struct: {a: string, b: string}}", sql, Arc::new(inner));
    assert_eq!(database.rows("select x from items"), ["nully"]);
}

#[test]
fn an_id_that_is_a_number_here_and_a_string_there_has_one_mask() {
    let field = "id: {type: string, from: [string, number], phi: identifier, mask: hash, domain: patient}";
    let load = |format: &str, bytes: &[u8]| {
        let (database, project) = Small::new()
            .input(&format!("path: in/{{date:%Y-%m-%d}}\nformat: {format}"))
            .columns(&[("id", "text")])
            .schema(field)
            .sql("select id from source")
            .on_server();
        project.write("in/2023-05-01", bytes);
        project.run_clinic().code(0);
        database.rows("select distinct id from items order by id")
    };
    let five = [hashed("5")];
    let json = br#"{"id": 5} {"id": 5.0} {"id": 50e-1} {"id": "5"} {"id": 0.5E1}"#;
    assert_eq!(load("json", json), five);
    assert_eq!(load("csv", b"id\n5\n\"5\"\n"), five);
    assert_eq!(
        load("parquet", &file(vec![("id", Arc::new(Int64Array::from(vec![5])))])),
        five
    );
    assert_eq!(
        load("parquet", &file(vec![("id", Arc::new(Float64Array::from(vec![5.0])))])),
        five
    );
    assert_eq!(load("parquet", &file(vec![("id", decimals(&[Some(500)], 9, 2))])), five);
    assert_eq!(load("parquet", &file(vec![("id", texts(&["5"]))])), five);
    // A text is never respelt: the zeros of an id belong to it.
    let mut kept = ["005", "5.0"].map(hashed);
    kept.sort();
    assert_eq!(load("json", br#"{"id": "005"} {"id": "5.0"}"#), kept);
}
