//! Tests of faults in the input, the database or the command line. Messages name file and record, and never a value.
//! Every message is compared in full.
use std::io::Write;

use crate::harness::{Database, Small};

/// The message of a run that fails on these files.
fn run(small: &Small, files: &[(&str, &[u8])]) -> String {
    let (_database, project) = small.on_server();
    for (path, bytes) in files {
        project.write(path, bytes);
    }
    project.run_clinic().code(1).message()
}

fn json(text: &str) -> String {
    run(&Small::new(), &[("in/2023-05-01.json", text.as_bytes())])
}

/// A record whose field `x` has this type and this value.
fn typed(kind: &str, value: &str) -> String {
    let small = Small::new().schema(&format!("id: {{type: string, required: true}}\nn: bigint\nx: {kind}"));
    run(
        &small,
        &[(
            "in/2023-05-01.json",
            format!("{{\"id\": \"a\", \"x\": {value}}}").as_bytes(),
        )],
    )
}

fn csv(text: &str) -> String {
    let small = Small::new().input("path: in/{date:%Y-%m-%d}.csv\nformat: csv");
    run(&small, &[("in/2023-05-01.csv", text.as_bytes())])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The message for wrong usage. No database is needed for it.
fn of(args: &[&str]) -> String {
    Small::new().project().run(args).code(2).stdout_is("").message()
}

#[test]
fn a_missing_file() {
    insta::assert_snapshot!(run(&Small::new(), &[]), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: the input of clinic 2023-05-01 is missing: in/2023-05-01.json
    hint: deliver it, or set `on_missing: skip` where a day without input is normal
    ");
}

#[test]
fn a_folder_without_a_match() {
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}/*.json"), &[("in/2023-05-01/readme.txt", b"")]), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: the input of clinic 2023-05-01 is missing: in/2023-05-01/*.json
    hint: deliver it, or set `on_missing: skip` where a day without input is normal
    ");
}

#[test]
fn an_empty_file() {
    insta::assert_snapshot!(json(""), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: the input of clinic holds no record: in/2023-05-01.json
    hint: if a day without records is normal, set `on_empty: replace`
    ");
}

#[test]
fn an_empty_array() {
    insta::assert_snapshot!(json("[]"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: the input of clinic holds no record: in/2023-05-01.json
    hint: if a day without records is normal, set `on_empty: replace`
    ");
}

#[test]
fn json_that_is_cut_short() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}, {\"id\": \"b\""), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json can't be split into records at byte 14
    caused by: the file ends inside the value that starts here: a bracket is not closed
    hint: look at the file around that byte (counted in its decompressed form)
    ");
}

#[test]
fn an_array_that_never_ends() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}, {\"id\": \"b\"}"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json can't be split into records at byte 25
    caused by: the file ends here, inside a document that is not closed
    hint: look at the file around that byte (counted in its decompressed form)
    ");
}

#[test]
fn a_comma_too_many() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}, ]"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 2 at byte 14 can't be decoded
    caused by: $: not valid JSON: a comma with no record beside it at byte 14
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_comma_that_is_missing() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"} {\"id\": \"b\"}]"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 2 at byte 13 can't be decoded
    caused by: $: not valid JSON: a comma is missing before this record at byte 13
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn text_after_the_end() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}] more"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json can't be split into records at byte 14
    caused by: text between records, where a JSON value should start
    hint: look at the file around that byte (counted in its decompressed form)
    ");
}

#[test]
fn a_malformed_record() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}, {\"id\": nul}]"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 2 at byte 14 can't be decoded
    caused by: $.id: not valid JSON: an unknown word at byte 21
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_record_that_is_no_object() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}, 7]"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 2 at byte 14 can't be decoded
    caused by: $: the record is a number, not an object at byte 14
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn no_json_at_all() {
    insta::assert_snapshot!(json("id,n\na,1\n"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json can't be split into records at byte 0
    caused by: text between records, where a JSON value should start
    hint: look at the file around that byte (counted in its decompressed form)
    ");
}

#[test]
fn bytes_that_are_no_utf8() {
    insta::assert_snapshot!(run(&Small::new(), &[("in/2023-05-01.json", b"[{\"id\": \"a\xff\"}]")]), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 1 can't be decoded
    caused by: $: not valid UTF-8 (another encoding needs `encoding` in `input`) at byte 10
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_string_for_an_int() {
    insta::assert_snapshot!(json("[{\"id\": \"a\", \"n\": \"1234\"}]"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 1 can't be decoded
    caused by: $.n: a string where bigint is declared at byte 18
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_fraction_for_an_int() {
    insta::assert_snapshot!(json("[{\"id\": \"a\", \"n\": 1.5}]"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 1 can't be decoded
    caused by: $.n: not a whole number at byte 18
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn an_int_out_of_range() {
    insta::assert_snapshot!(json("[{\"id\": \"a\", \"n\": 9223372036854775808}]"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 1 can't be decoded
    caused by: $.n: a number too large for its type at byte 18
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_number_for_a_string() {
    insta::assert_snapshot!(json("[{\"id\": 7}]"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 1 can't be decoded
    caused by: $.id: a number where string is declared at byte 8
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_required_field_that_is_missing() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}, {\"n\": 1}]"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 2 at byte 14 can't be decoded
    caused by: $.id: required, but missing at byte 14
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_required_field_that_is_null() {
    insta::assert_snapshot!(json("[{\"id\": null}]"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 1 can't be decoded
    caused by: $.id: required, but null at byte 8
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_date_that_is_none() {
    insta::assert_snapshot!(typed("date", "\"2023-02-30\""), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 0 can't be decoded
    caused by: $.x: not a date (yyyy-mm-dd) at byte 17
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_date_of_another_format() {
    insta::assert_snapshot!(typed("date", "\"01.05.2023\""), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 0 can't be decoded
    caused by: $.x: not a date (yyyy-mm-dd) at byte 17
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_timestamp_without_a_zone() {
    insta::assert_snapshot!(typed("timestamptz", "\"2023-05-01T00:00:00\""), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 0 can't be decoded
    caused by: $.x: a timestamp whose offset (Z or +hh:mm) is missing or wrong at byte 17
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_decimal_with_too_many_digits() {
    insta::assert_snapshot!(typed("\"decimal(4,2)\"", "123.45"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 0 can't be decoded
    caused by: $.x: more digits before the point than its decimal type has at byte 17
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_decimal_with_too_fine_a_fraction() {
    insta::assert_snapshot!(typed("\"decimal(4,2)\"", "1.234"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 0 can't be decoded
    caused by: $.x: more digits after the point than its decimal type has at byte 17
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_list_that_is_none() {
    insta::assert_snapshot!(run(&Small::new().schema("id: string\nn: bigint\nl: {list: int}"), &[("in/2023-05-01.json", br#"{"l": {"a": 1}}"#)]), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 0 can't be decoded
    caused by: $.l: an object where a list is declared at byte 6
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_wrong_value_deep_inside() {
    insta::assert_snapshot!(run(
        &Small::new().schema("id: string\nn: bigint\nvisits:\n  list:\n    codes: {list: int}"),
        &[("in/2023-05-01.json", br#"[{}, {"visits": [{"codes": [1]}, {"codes": [1, "x"]}]}]"#)],
    ), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 2 at byte 5 can't be decoded
    caused by: $.visits[].codes[]: a string where int is declared at byte 47
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn an_undeclared_field_that_is_refused() {
    insta::assert_snapshot!(run(&Small::new().rest("on_unknown_field: fail"), &[("in/2023-05-01.json", br#"[{"id": "a"}, {"id": "b", "m": 1}]"#)]), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 2 at byte 14 can't be decoded
    caused by: $: a field that is not declared at byte 30
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_field_given_twice() {
    insta::assert_snapshot!(json("[{\"id\": \"a\", \"n\": 1, \"n\": 2}]"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 1 can't be decoded
    caused by: $.n: the key stands twice in one object at byte 25
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn nesting_without_end() {
    insta::assert_snapshot!(json(&format!("{{\"id\": \"a\", \"x\": {}1{}}}", "[".repeat(5000), "]".repeat(5000))), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 0 can't be decoded
    caused by: $: nested deeper than 128 at byte 144
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn records_that_lead_nowhere() {
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}.json\nrecords: $.entry[*]"), &[("in/2023-05-01.json", br#"{"entries": [{"id": "a"}]}"#)]), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 0 holds no records
    caused by: $.entry: missing, where the records should be at byte 0
    hint: mend the file, or `records`; where some have no records by nature, set `on_no_records: skip`, and where they are records themselves, as a deletion in a FHIR bundle, `whole`
    ");
}

#[test]
fn records_that_lead_to_no_list() {
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}.json\nrecords: $.entry[*]"), &[("in/2023-05-01.json", br#"{"entry": {"id": "a"}}"#)]), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json can't be split into records at byte 10
    caused by: `records` wants an array at `$.entry`, and this is none
    hint: look at the file around that byte (counted in its decompressed form)
    ");
}

#[test]
fn a_malformed_line_of_ndjson() {
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}.ndjson\nformat: ndjson"), &[("in/2023-05-01.ndjson", b"{\"id\": \"a\"}\n{\"id\": \n")]), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.ndjson, record 2 at byte 12 can't be decoded
    caused by: $.id: not valid JSON: the record ends too early at byte 18
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_gzip_that_is_cut_short() {
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}.json.gz"), &[("in/2023-05-01.json.gz", &gzip(br#"[{"id": "a"}]"#)[..25])]), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json.gz is truncated: its gzip data can't be read at byte 25
    caused by: unexpected end of file, after 13 decompressed bytes
    hint: deliver the file again, whole
    ");
}

#[test]
fn a_gzip_that_is_none() {
    let said = Small::new().input("path: in/{date:%Y-%m-%d}.json.gz\ncompression: gzip");
    insta::assert_snapshot!(run(&said, &[("in/2023-05-01.json.gz", br#"[{"id": "a"}]"#)]), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json.gz is not compressed, and its source says `compression: gzip`
    hint: take `compression` out of the source's `input`: the first bytes of each file tell
    ");
    // Bytes that are no text are a damaged file, as the name says what it should be.
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}.json.gz"), &[("in/2023-05-01.json.gz", &[1; 50])]), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json.gz is damaged: its gzip data can't be read at byte 16
    caused by: invalid gzip header, after 0 decompressed bytes
    hint: deliver the file again, whole
    ");
}

#[test]
fn a_gzip_with_a_wrong_checksum() {
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}.json.gz"), &[("in/2023-05-01.json.gz", &{
        let mut bytes = gzip(br#"[{"id": "a"}]"#);
        let checksum = bytes.len() - 6;
        bytes[checksum] ^= 1;
        bytes
    })]), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json.gz is damaged: its gzip data can't be read at byte 33
    caused by: corrupt gzip stream does not have a matching checksum, after 13 decompressed bytes
    hint: deliver the file again, whole
    ");
}

#[test]
fn a_csv_without_a_required_column() {
    insta::assert_snapshot!(csv("n\n1\n"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.csv can't be split into records at byte 0
    caused by: the header lacks the required column(s) `id`
    hint: look at the file around that byte (counted in its decompressed form)
    ");
}

#[test]
fn a_csv_line_with_too_few_cells() {
    insta::assert_snapshot!(csv("id,n\na,1\nb\n"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.csv, record 2 at byte 9 can't be decoded
    caused by: $: a row of 1 cells where there are 2 columns at byte 9
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_csv_line_with_too_many_cells() {
    insta::assert_snapshot!(csv("id,n\na,1,2\n"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.csv, record 1 at byte 5 can't be decoded
    caused by: $: a row of 3 cells where there are 2 columns at byte 5
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_csv_cell_that_does_not_fit() {
    insta::assert_snapshot!(csv("id,n\na,1\nb,x\n"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.csv, record 2 at byte 9 can't be decoded
    caused by: $.n: not a whole number at byte 9
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_csv_quote_that_never_ends() {
    insta::assert_snapshot!(csv("id,n\n\"a,1\n"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.csv can't be split into records at byte 5
    caused by: the file ends inside the row that starts here: a quote is not closed
    hint: look at the file around that byte (counted in its decompressed form)
    ");
}

#[test]
fn a_parquet_file_that_is_none() {
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}.parquet\nformat: parquet"), &[("in/2023-05-01.parquet", b"PAR1 not really PAR1")]), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.parquet is no valid parquet file
    caused by: EOF: file size of 20 is less than footer + metadata 544828532
    ");
}

#[test]
fn a_nul_character_in_text() {
    insta::assert_snapshot!(json("[{\"id\": \"a\\u0000b\"}]"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: in/2023-05-01.json, record 1 at byte 1 can't be decoded
    caused by: $.id: a NUL character at byte 10
    hint: mend the file, or the schema of the source if the record is right
    ");
}

#[test]
fn a_key_that_comes_twice() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}, {\"id\": \"a\"}]"), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: too much is refused: 1 of 2 rows of items
    caused by: unique(item_id): an earlier row has the same key at in/2023-05-01.json, record 2; max_quarantined is 1%
    hint: `pipeline quarantine show --source clinic --date 2023-05-01` names each; mend the input, the schema or the SQL and run the batch again, or raise max_quarantined
    ");
}

#[test]
fn a_null_key() {
    insta::assert_snapshot!(run(&Small::new().schema("id: string\nn: bigint"), &[("in/2023-05-01.json", br#"[{"n": 1}]"#)]), @r"
    1 batch: clinic 2023-05-01
    clinic 2023-05-01: failed in [time]

    error: clinic 2023-05-01: too much is refused: 1 of 1 rows of items
    caused by: not_null(item_id): the column is null at in/2023-05-01.json, record 1; max_quarantined is 1%
    hint: `pipeline quarantine show --source clinic --date 2023-05-01` names each; mend the input, the schema or the SQL and run the batch again, or raise max_quarantined
    ");
}

#[test]
fn a_source_that_does_not_exist() {
    insta::assert_snapshot!(of(&["run", "--source", "clinik", "--date", "20230501"]), @r"
    error: no source has the name or alias `clinik`
    hint: did you mean `clinic`?
    ");
}

#[test]
fn a_date_that_does_not_exist() {
    insta::assert_snapshot!(of(&["run", "--source", "clinic", "--date", "20230532"]), @r"
    error: invalid value '20230532' for '--date <DATE>': a date is written 20230502 or 2023-05-02

    For more information, try '--help'.
    ");
}

#[test]
fn a_range_that_ends_before_it_starts() {
    insta::assert_snapshot!(of(&["run", "--source", "clinic", "--start", "20230502", "--end", "20230501"]), @r"
    error: the range ends (2023-05-01) before it starts (2023-05-02)
    hint: swap --start and --end
    ");
}

#[test]
fn no_date() {
    insta::assert_snapshot!(of(&["run", "--source", "clinic"]), @r"
    error: the following required arguments were not provided:
      --date <DATE>

    Usage: pipeline run --source <NAME> --date <DATE>

    For more information, try '--help'.
    ");
}

#[test]
fn no_source() {
    insta::assert_snapshot!(of(&["run", "--date", "20230501"]), @r"
    error: the following required arguments were not provided:
      --source <NAME>

    Usage: pipeline run --date <DATE> --source <NAME>

    For more information, try '--help'.
    ");
}

#[test]
fn an_unknown_option() {
    insta::assert_snapshot!(of(&["run", "--sorce", "clinic", "--date", "20230501"]), @r"
    error: unexpected argument '--sorce' found

      tip: a similar argument exists: '--source'

    Usage: pipeline run --source <NAME>

    For more information, try '--help'.
    ");
}

#[test]
fn an_unknown_command() {
    insta::assert_snapshot!(of(&["rum"]), @r"
    error: unrecognized subcommand 'rum'

      tip: a similar subcommand exists: 'run'

    Usage: pipeline [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn a_drop_that_nobody_confirms() {
    insta::assert_snapshot!(of(&["drop", "--source", "clinic", "--date", "20230501"]), @r"
    error: dropping clinic 2023-05-01 needs a yes and there is no terminal to ask at
    hint: add --yes
    ");
}

#[test]
fn pending_migrations() {
    insta::assert_snapshot!({
    let database = Database::fresh();
    Small::new().project().on(&database).json("[]").run_clinic().code(2).message()
}, @r"
    1 batch: clinic 2023-05-01
    error: the database lacks 11 migrations: pipeline V1__state, pipeline V2__quarantine, pipeline V3__masks, pipeline V4__names, pipeline V5__stale_views, pipeline V6__column_masks, pipeline V7__suppression, pipeline V8__progress, pipeline V9__read_as, pipeline V10__dates, migrations/V1__items.sql
    hint: run `pipeline migrate`, then `pipeline views`
    ");
}

#[test]
fn a_server_that_is_down() {
    insta::assert_snapshot!(Small::new().project().env("DATABASE_URL", "postgres://me:secret@127.0.0.1:9/x").json("[]").run_clinic().code(3).message(), @r"
    1 batch: clinic 2023-05-01
    error: can't reach the database at [server]/x
    caused by: error connecting to server: Connection refused (os error 111)
    hint: check that the server runs and listens there, and the host and port given
    ");
}

#[test]
fn a_table_that_differs_from_its_contract() {
    insta::assert_snapshot!({
    let (database, project) = Small::new().on_server();
    database.execute("alter table items alter column n type numeric, add column extra text not null");
    project.json("[]").run_clinic().code(2).message()
}, @r#"
    1 batch: clinic 2023-05-01
    error: the tables in [database] differ from pipeline.yaml in 2 places

    error: the column items.n is numeric, and should be bigint
     --> pipeline.yaml:6:7
      |
    6 |       n: {type: "int8"}
      |       ^

    error: the table items has the column extra, which pipeline.yaml has not
     --> pipeline.yaml:3:3
      |
    3 |   items:
      |   ^^^^^

    hint: run `pipeline migrate`; where no migration makes the change yet, `pipeline migration new` writes one
    "#);
}
