//! Input gives the same rows in every format. Truncated input is an error and is never read as a shorter file.
use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;

use crate::harness::{Database, Project, RUN_TWO_DAYS, Small};

const TWO: &str = r#"[{"id": "a", "n": 1}, {"id": "b", "n": -2}]"#;

/// Loads these files and returns the rows.
fn load(small: &Small, files: &[(&str, &[u8])]) -> Vec<String> {
    let (database, project) = with_files(small, files);
    project.run_clinic().code(0);
    items(&database)
}

fn with_files(small: &Small, files: &[(&str, &[u8])]) -> (Database, Project) {
    let (database, project) = small.on_server();
    for (path, bytes) in files {
        project.write(path, bytes);
    }
    (database, project)
}

fn items(database: &Database) -> Vec<String> {
    database.rows("select item_id, n from items order by item_id")
}

fn json(contents: &str) -> Vec<String> {
    load(&Small::new(), &[("in/2023-05-01.json", contents.as_bytes())])
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn json_as_an_array() {
    assert_eq!(json(TWO), ["a|1", "b|-2"]);
}

#[test]
fn json_pretty_printed() {
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(TWO).unwrap()).unwrap();
    assert_eq!(json(&pretty), ["a|1", "b|-2"]);
    assert_eq!(
        json(&format!("\r\n\t {} \r\n", pretty.replace('\n', "\r\n"))),
        ["a|1", "b|-2"]
    );
}

#[test]
fn json_as_one_document() {
    assert_eq!(json("{\n  \"id\": \"a\",\n  \"n\": 1\n}\n"), ["a|1"]);
}

#[test]
fn json_as_concatenated_documents() {
    assert_eq!(
        json("{\"id\": \"a\", \"n\": 1}{\"id\": \"b\",\n\"n\": -2}\n\n {\"id\": \"c\"}"),
        ["a|1", "b|-2", "c|"]
    );
}

#[test]
fn json_with_a_byte_order_mark() {
    assert_eq!(json(&format!("\u{feff}{TWO}")), ["a|1", "b|-2"]);
}

#[test]
fn json_with_brackets_quotes_and_escapes_in_strings() {
    let text = r#"[{"id": "a]}\"[{\\", "n": 1}, {"id": "\u00fc\ud83d\ude00", "n": 2}]"#;
    assert_eq!(json(text), [r#"a]}"[{\|1"#, "ü😀|2"]);
}

#[test]
fn json_records_inside_a_wrapper() {
    let small = |path: &str| Small::new().input(&format!("path: in/{{date:%Y-%m-%d}}.json\nrecords: {path}"));
    let bundle = br#"{"type": "bundle", "entry": [{"resource": {"id": "a", "n": 1}, "x": [1, {"resource": 0}]},
        {"resource": {"id": "b", "n": -2}}], "more": {"entry": []}}"#;
    assert_eq!(
        load(&small("$.entry[*].resource"), &[("in/2023-05-01.json", bundle)]),
        ["a|1", "b|-2"]
    );
    let deep = br#"{"a b": {"c": [[{"id": "a", "n": 1}], [{"id": "b", "n": -2}]]}}"#;
    assert_eq!(
        load(&small("$['a b'].c[*][*]"), &[("in/2023-05-01.json", deep)]),
        ["a|1", "b|-2"]
    );
    // If the path ends at an array, each element is a record.
    let array = br#"{"items": [{"id": "a", "n": 1}, {"id": "b", "n": -2}]}"#;
    assert_eq!(
        load(&small("$.items"), &[("in/2023-05-01.json", array)]),
        ["a|1", "b|-2"]
    );
}

#[test]
fn json_whose_wrapper_is_larger_than_any_buffer() {
    let padding = "x".repeat(3 << 20);
    let records: Vec<String> = (0..3)
        .map(|number| format!(r#"{{"resource": {{"id": "{number}", "n": {number}}}, "pad": "{padding}"}}"#))
        .collect();
    let text = format!(r#"{{"pad": "{padding}", "entry": [{}]}}"#, records.join(","));
    let small = Small::new().input("path: in/{date:%Y-%m-%d}.json\nrecords: $.entry[*].resource");
    assert_eq!(
        load(&small, &[("in/2023-05-01.json", text.as_bytes())]),
        ["0|0", "1|1", "2|2"]
    );
}

#[test]
fn a_large_array_arrives_whole_and_in_any_number_of_threads() {
    let records: Vec<String> = (0..60_000)
        .map(|number| format!(r#"{{"id": "{number}", "n": {number}, "pad": [{{"x": "]}},{{"}}]}}"#))
        .collect();
    let text = format!("[\n{}\n]", records.join(",\n"));
    let (database, project) = with_files(
        &Small::new().rest("on_unknown_field: ignore"),
        &[("in/2023-05-01.json", text.as_bytes())],
    );
    project.run_clinic().code(0);
    assert_eq!(
        database.rows("select count(*), sum(n), count(distinct item_id) from items"),
        ["60000|1799970000|60000"]
    );
}

#[test]
fn ndjson_with_blank_lines_and_without_a_last_newline() {
    let small = Small::new().input("path: in/{date:%Y%m%d}.ndjson\nformat: ndjson");
    let text = b"{\"id\": \"a\", \"n\": 1}\r\n\n{\"id\": \"b\", \"n\": -2}";
    assert_eq!(load(&small, &[("in/20230501.ndjson", text)]), ["a|1", "b|-2"]);
}

#[test]
fn csv_with_quotes_newlines_and_columns_in_another_order() {
    let small = Small::new()
        .input("path: in/{date:%Y%m%d}.csv\nformat: csv")
        .rest("on_unknown_field: ignore");
    let text = b"n,other,id\r\n1,x,\"a,\"\"b\"\"\nc\"\r\n,,d\n";
    assert_eq!(load(&small, &[("in/20230501.csv", text)]), ["a,\"b\"\nc|1", "d|"]);
}

#[test]
fn csv_rows_end_with_lf_cr_or_crlf_outside_quotes_only() {
    let small = Small::new().input("path: in/{date:%Y%m%d}.csv\nformat: csv");
    for text in [
        "id,n\ra,1\rb,2\r",
        "id,n\ra,1\rb,2",
        "id,n\r\na,1\nb,2\r",
        "id,n\n\ra,1\r\n\r\nb,2\n\n",
    ] {
        assert_eq!(
            load(&small, &[("in/20230501.csv", text.as_bytes())]),
            ["a|1", "b|2"],
            "{text:?}"
        );
    }
    let quoted = b"id,n\n\"a\rb\r\nc\nd\r\",1\r\"e\r\",2";
    assert_eq!(
        load(&small, &[("in/20230501.csv", quoted)]),
        ["a\rb\r\nc\nd\r|1", "e\r|2"]
    );
}

#[test]
fn a_csv_file_that_lacks_an_optional_column_has_null_there() {
    let small = Small::new().input("path: in/{date:%Y%m%d}*.csv\nformat: csv");
    let old = ("in/20230501a.csv", &b"id\na\nb\n"[..]);
    let new = ("in/20230501b.csv", &b"n,id\n1,c\n"[..]);
    let (database, project) = with_files(&small, &[old, new]);
    project
        .run_clinic()
        .code(0)
        .stderr_contains("a declared column is missing, so its field is null")
        .stderr_contains("path=$.n files=1");
    assert_eq!(items(&database), ["a|", "b|", "c|1"]);
    project.write("in/20230501a.csv", "SECRET\na\n");
    project
        .run_clinic()
        .code(1)
        .stderr_contains("the header names none of the declared columns")
        .output_lacks("SECRET");
}

#[test]
fn csv_with_its_own_delimiter_nulls_and_no_header() {
    let small = Small::new().input(
        "path: in/{date:%Y%m%d}.txt\nformat: csv\ncsv: {delimiter: \";\", header: false, nulls: [\"\", \"NA\"]}",
    );
    assert_eq!(load(&small, &[("in/20230501.txt", b"a;1\nb;NA\n")]), ["a|1", "b|"]);
}

#[test]
fn parquet() {
    let schema = Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64, true),
        Field::new("id", DataType::Utf8, false),
    ]));
    let batch = RecordBatch::try_new(
        Arc::clone(&schema),
        vec![
            Arc::new(Int64Array::from(vec![Some(1), None])),
            Arc::new(StringArray::from(vec!["a", "b"])),
        ],
    )
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let small = Small::new().input("path: in/{date:%Y%m%d}.parquet\nformat: parquet");
    assert_eq!(load(&small, &[("in/20230501.parquet", &bytes)]), ["a|1", "b|"]);
}

#[test]
fn compressed_by_ending_or_as_said() {
    let any = Small::new().input("path: in/{date:%Y%m%d}.*");
    for (name, bytes) in [
        ("in/20230501.json.gz", gzip(TWO.as_bytes())),
        ("in/20230501.json.zst", zstd::encode_all(TWO.as_bytes(), 3).unwrap()),
        ("in/20230501.json.bz2", bzip2(TWO.as_bytes())),
    ] {
        assert_eq!(load(&any, &[(name, &bytes)]), ["a|1", "b|-2"], "{name}");
    }
    let said = Small::new().input("path: in/{date:%Y%m%d}\ncompression: gzip");
    assert_eq!(load(&said, &[("in/20230501", &gzip(TWO.as_bytes()))]), ["a|1", "b|-2"]);
}

/// Only small inputs are kept in memory. An input that is much larger than its compressed file is not kept.
#[test]
fn compressed_to_a_hundredth() {
    let long = "x".repeat(2_000);
    let records: String = (0..6_000)
        .map(|number| format!(r#"{{"id": "{number}", "n": {number}, "long": "{long}"}}"#) + "\n")
        .collect();
    let bytes = gzip(records.as_bytes());
    assert!(bytes.len() < 64 << 10, "{}", bytes.len());
    let small = Small::new()
        .input("path: in/{date:%Y%m%d}.*\nformat: ndjson")
        .schema("id: {type: string, required: true}\nn: bigint\nlong: string")
        .rest("conserves: {items: \"$\"}")
        .sql("select id as item_id, n + length(long) as n from source");
    let loaded = load(&small, &[("in/20230501.json.gz", &bytes)]);
    assert_eq!((loaded.len(), loaded[0].as_str()), (6_000, "0|2000"));
}

#[test]
fn compressed_in_several_members() {
    let (head, tail) = TWO.split_at(20);
    let any = Small::new().input("path: in/{date:%Y%m%d}.*");
    for (name, compress) in [
        ("in/20230501.json.gz", gzip as fn(&[u8]) -> Vec<u8>),
        ("in/20230501.json.zst", |bytes| zstd::encode_all(bytes, 3).unwrap()),
        ("in/20230501.json.bz2", bzip2),
    ] {
        let bytes = [compress(head.as_bytes()), compress(tail.as_bytes())].concat();
        assert_eq!(load(&any, &[(name, &bytes)]), ["a|1", "b|-2"], "{name}");
    }
}

#[test]
fn compressed_and_cut_short_is_an_error_and_loads_nothing() {
    let records: Vec<String> = (0..5_000)
        .map(|number| format!(r#"{{"id": "{number}", "n": {number}}}"#))
        .collect();
    // With concatenated documents, a truncated read would look like a shorter file.
    let text = records.join("\n");
    let any = Small::new().input("path: in/{date:%Y%m%d}.*");
    for (name, bytes) in [
        ("in/20230501.json.gz", gzip(text.as_bytes())),
        ("in/20230501.json.zst", zstd::encode_all(text.as_bytes(), 3).unwrap()),
        ("in/20230501.json.bz2", bzip2(text.as_bytes())),
    ] {
        for cut in [bytes.len() - 1, bytes.len() - 8, bytes.len() / 2, 12] {
            let (database, project) = with_files(&any, &[(name, &bytes[..cut])]);
            project
                .run_clinic()
                .code(1)
                .stderr_contains("in/20230501.*#1 is truncated");
            assert_eq!(items(&database), [] as [&str; 0], "{name} cut at {cut}");
        }
    }
}

#[test]
fn several_files_by_glob_and_date() {
    let small = Small::new().input("path: in/{date:%Y}/**/{date:%Y-%m-%d}_?.json");
    let files: [(&str, &[u8]); 5] = [
        ("in/2023/2023-05-01_1.json", br#"{"id": "a", "n": 1}"#),
        ("in/2023/clinic/ward/2023-05-01_2.json", br#"[{"id": "b", "n": -2}]"#),
        ("in/2023/2023-05-02_1.json", br#"{"id": "other day"}"#),
        ("in/2023/2023-05-01_10.json", br#"{"id": "two characters"}"#),
        ("in/2024/2023-05-01_1.json", br#"{"id": "other year"}"#),
    ];
    assert_eq!(load(&small, &files), ["a|1", "b|-2"]);
}

#[test]
fn a_missing_input_fails_or_is_skipped_and_never_empties_a_batch() {
    let (database, project) = Small::new().on_server();
    let project = project.json(TWO);
    project.run_clinic().code(0);
    project.remove("in/2023-05-01.json");
    project.run_clinic().code(1).stderr_contains("in/2023-05-01.json");
    assert_eq!(items(&database), ["a|1", "b|-2"]);
    project.edit("pipelines/clinic.yaml", "schema:", "  on_missing: skip\nschema:");
    project.run_clinic().code(0);
    assert_eq!(items(&database), ["a|1", "b|-2"]);
}

#[test]
fn a_glob_that_matches_nothing_is_a_missing_input() {
    let small = Small::new().input("path: in/{date:%Y-%m-%d}/*.json");
    let (_database, project) = with_files(&small, &[("in/2023-05-01/readme.txt", b"")]);
    project.run_clinic().code(1).stderr_contains("in/2023-05-01/*.json");
    // A missing folder has the same result.
    project.remove("in");
    project.run_clinic().code(1).stderr_contains("in/2023-05-01/*.json");
}

#[test]
fn an_empty_input_fails_or_replaces() {
    for empty in ["", "[]", " \n", "[\n]\n"] {
        let (database, project) = Small::new().on_server();
        let project = project.json(TWO);
        project.run_clinic().code(0);
        let project = project.json(empty);
        project.run_clinic().code(1).stderr_contains("on_empty");
        assert_eq!(items(&database), ["a|1", "b|-2"], "{empty:?}");
        project.edit("pipelines/clinic.yaml", "schema:", "  on_empty: replace\nschema:");
        project.run_clinic().code(0);
        assert_eq!(items(&database), [] as [&str; 0], "{empty:?}");
    }
}

#[test]
fn an_undeclared_field_is_never_stored_and_is_warned_of() {
    let records = r#"[{"id": "a", "n": 1, "surplus": {"deep": [1, {"n": "x"}]}}]"#;
    let (database, project) = Small::new().on_server();
    let project = project.json(records);
    project.run_clinic().code(0).stderr_contains("undeclared");
    assert_eq!(items(&database), ["a|1"]);
    project.edit("pipelines/clinic.yaml", "schema:", "on_unknown_field: ignore\nschema:");
    project.run_clinic().code(0).output_lacks("undeclared");
    project.edit(
        "pipelines/clinic.yaml",
        "on_unknown_field: ignore",
        "on_unknown_field: fail",
    );
    project
        .run_clinic()
        .code(1)
        .stderr_contains("record 1")
        .output_lacks("surplus");
    assert_eq!(items(&database), ["a|1"]);
}

#[test]
fn environment_variables_work_in_paths() {
    let small = Small::new().input("path: ${env:INPUT_FOLDER}/{date:%Y-%m-%d}.json");
    let (database, project) = small.on_server();
    let project = project.file("elsewhere/2023-05-01.json", TWO);
    let absolute = project.path("elsewhere");
    let project = project.env("INPUT_FOLDER", absolute.to_str().unwrap());
    project.run_clinic().code(0);
    assert_eq!(items(&database), ["a|1", "b|-2"]);
}

/// Secrets may lie in files: the mask key of the embedded database, passwords, credentials of stores.
#[test]
fn the_secrets_of_files_do_not_get_into_paths() {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let small = Small::new().input("path: in/${env:COPIED}/{date:%Y-%m-%d}.json");
    let project = small
        .project()
        .file(".pipeline/mask.key", key)
        .file("elsewhere/pgpass", "db.example.org:5432:*:me:hunter2secret\n")
        .env("COPIED", key);
    let refused = "the content of the environment variable `COPIED` is a secret";
    project.run_clinic().code(2).stderr_contains(refused).output_lacks(key);
    let file = project.path("elsewhere/pgpass");
    let project = project
        .env("COPIED", "x-hunter2secret")
        .env("PGPASSFILE", file.to_str().unwrap());
    project
        .run_clinic()
        .code(2)
        .stderr_contains(refused)
        .output_lacks("hunter2secret");
    let project = project.env("COPIED", "db.example.org");
    project.run_clinic().code(1).output_lacks("is a secret");
}

/// The input is larger than the queue in front of a transform. On one day the SQL reads all of it. On the other day,
/// the optimizer finds that nothing has to be scanned.
#[test]
fn a_transform_that_reads_nothing_on_one_day() {
    let records: String = (0..12_000)
        .map(|number| format!(r#"{{"id": "{number}", "n": 1, "long": "{}"}}"#, "x".repeat(1_000)) + "\n")
        .collect();
    let small = Small::new()
        .input("path: in/{date:%Y-%m-%d}.json\nformat: ndjson")
        .schema("id: {type: string, required: true}\nn: bigint\nlong: string")
        .sql("select id as item_id, length(long) as n from source where $date < '2023-05-02'");
    let files = ["in/2023-05-01.json", "in/2023-05-02.json"].map(|name| (name, records.as_bytes()));
    let (database, project) = with_files(&small, &files);
    project.run(&RUN_TWO_DAYS).code(0);
    assert_eq!(
        database.rows("select batch_date, count(*) from items group by 1"),
        ["2023-05-01|12000"]
    );
}

/// Three rows with an id, a date and a list of objects, four objects in all.
pub fn nested_parquet() -> Vec<u8> {
    let object = arrow::datatypes::Fields::from(vec![
        Field::new("code", DataType::Utf8, true),
        Field::new("quantity", DataType::Int64, true),
    ]);
    let objects = StructArray::new(
        object.clone(),
        vec![
            Arc::new(StringArray::from(vec!["a", "b", "c", "d"])),
            Arc::new(Int64Array::from(vec![1, 2, 3, 4])),
        ],
        None,
    );
    let element = Arc::new(Field::new("item", DataType::Struct(object), true));
    let items = ListArray::new(
        Arc::clone(&element),
        OffsetBuffer::from_lengths([1, 0, 3]),
        Arc::new(objects),
        None,
    );
    let schema = Arc::new(Schema::new(vec![
        Field::new("patient_id", DataType::Utf8, true),
        Field::new("seen", DataType::Date32, true),
        Field::new("items", DataType::List(element), true),
    ]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["P1", "P2", "P3"])),
        Arc::new(Date32Array::from(vec![19_000, 19_001, 19_002])),
        Arc::new(items),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}
