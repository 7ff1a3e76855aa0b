//! What is wrong with the input, the database or the command line is said whole, with file and record and never with a
//! value. Every message is asserted to the letter.
use std::io::Write;

use crate::harness::{Database, Small};

/// What a failing run of these files says.
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

/// One record whose field `x` of this type has this value.
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

/// What wrong usage says; no database is needed for that.
fn of(args: &[&str]) -> String {
    Small::new().project().run(args).code(2).stdout_is("").message()
}

#[test]
fn a_missing_file() {
    insta::assert_snapshot!(run(&Small::new(), &[]), @"");
}

#[test]
fn a_folder_without_a_match() {
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}/*.json"), &[("in/2023-05-01/readme.txt", b"")]), @"");
}

#[test]
fn an_empty_file() {
    insta::assert_snapshot!(json(""), @"");
}

#[test]
fn an_empty_array() {
    insta::assert_snapshot!(json("[]"), @"");
}

#[test]
fn json_that_is_cut_short() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}, {\"id\": \"b\""), @"");
}

#[test]
fn an_array_that_never_ends() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}, {\"id\": \"b\"}"), @"");
}

#[test]
fn a_comma_too_many() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}, ]"), @"");
}

#[test]
fn a_comma_that_is_missing() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"} {\"id\": \"b\"}]"), @"");
}

#[test]
fn text_after_the_end() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}] more"), @"");
}

#[test]
fn a_malformed_record() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}, {\"id\": nul}]"), @"");
}

#[test]
fn a_record_that_is_no_object() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}, 7]"), @"");
}

#[test]
fn no_json_at_all() {
    insta::assert_snapshot!(json("id,n\na,1\n"), @"");
}

#[test]
fn bytes_that_are_no_utf8() {
    insta::assert_snapshot!(run(&Small::new(), &[("in/2023-05-01.json", b"[{\"id\": \"a\xff\"}]")]), @"");
}

#[test]
fn a_string_for_an_int() {
    insta::assert_snapshot!(json("[{\"id\": \"a\", \"n\": \"1234\"}]"), @"");
}

#[test]
fn a_fraction_for_an_int() {
    insta::assert_snapshot!(json("[{\"id\": \"a\", \"n\": 1.5}]"), @"");
}

#[test]
fn an_int_out_of_range() {
    insta::assert_snapshot!(json("[{\"id\": \"a\", \"n\": 9223372036854775808}]"), @"");
}

#[test]
fn a_number_for_a_string() {
    insta::assert_snapshot!(json("[{\"id\": 7}]"), @"");
}

#[test]
fn a_required_field_that_is_missing() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}, {\"n\": 1}]"), @"");
}

#[test]
fn a_required_field_that_is_null() {
    insta::assert_snapshot!(json("[{\"id\": null}]"), @"");
}

#[test]
fn a_date_that_is_none() {
    insta::assert_snapshot!(typed("date", "\"2023-02-30\""), @"");
}

#[test]
fn a_date_of_another_format() {
    insta::assert_snapshot!(typed("date", "\"01.05.2023\""), @"");
}

#[test]
fn a_timestamp_without_a_zone() {
    insta::assert_snapshot!(typed("timestamptz", "\"2023-05-01T00:00:00\""), @"");
}

#[test]
fn a_decimal_with_too_many_digits() {
    insta::assert_snapshot!(typed("\"decimal(4,2)\"", "123.45"), @"");
}

#[test]
fn a_decimal_with_too_fine_a_fraction() {
    insta::assert_snapshot!(typed("\"decimal(4,2)\"", "1.234"), @"");
}

#[test]
fn a_list_that_is_none() {
    insta::assert_snapshot!(run(&Small::new().schema("id: string\nn: bigint\nl: {list: int}"), &[("in/2023-05-01.json", br#"{"l": {"a": 1}}"#)]), @"");
}

#[test]
fn a_wrong_value_deep_inside() {
    insta::assert_snapshot!(run(
        &Small::new().schema("id: string\nn: bigint\nvisits:\n  list:\n    codes: {list: int}"),
        &[("in/2023-05-01.json", br#"[{}, {"visits": [{"codes": [1]}, {"codes": [1, "x"]}]}]"#)],
    ), @"");
}

#[test]
fn an_undeclared_field_that_is_refused() {
    insta::assert_snapshot!(run(&Small::new().rest("on_unknown_field: fail"), &[("in/2023-05-01.json", br#"[{"id": "a"}, {"id": "b", "m": 1}]"#)]), @"");
}

#[test]
fn a_field_given_twice() {
    insta::assert_snapshot!(json("[{\"id\": \"a\", \"n\": 1, \"n\": 2}]"), @"");
}

#[test]
fn nesting_without_end() {
    insta::assert_snapshot!(json(&format!("{{\"id\": \"a\", \"x\": {}1{}}}", "[".repeat(5000), "]".repeat(5000))), @"");
}

#[test]
fn records_that_lead_nowhere() {
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}.json\nrecords: $.entry[*]"), &[("in/2023-05-01.json", br#"{"entries": [{"id": "a"}]}"#)]), @"");
}

#[test]
fn records_that_lead_to_no_list() {
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}.json\nrecords: $.entry[*]"), &[("in/2023-05-01.json", br#"{"entry": {"id": "a"}}"#)]), @"");
}

#[test]
fn a_malformed_line_of_ndjson() {
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}.ndjson\nformat: ndjson"), &[("in/2023-05-01.ndjson", b"{\"id\": \"a\"}\n{\"id\": \n")]), @"");
}

#[test]
fn a_gzip_that_is_cut_short() {
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}.json.gz"), &[("in/2023-05-01.json.gz", &gzip(br#"[{"id": "a"}]"#)[..25])]), @"");
}

#[test]
fn a_gzip_that_is_none() {
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}.json.gz"), &[("in/2023-05-01.json.gz", br#"[{"id": "a"}]"#)]), @"");
}

#[test]
fn a_gzip_with_a_wrong_checksum() {
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}.json.gz"), &[("in/2023-05-01.json.gz", &{
        let mut bytes = gzip(br#"[{"id": "a"}]"#);
        let checksum = bytes.len() - 6;
        bytes[checksum] ^= 1;
        bytes
    })]), @"");
}

#[test]
fn a_csv_without_a_declared_column() {
    insta::assert_snapshot!(csv("id\na\n"), @"");
}

#[test]
fn a_csv_line_with_too_few_cells() {
    insta::assert_snapshot!(csv("id,n\na,1\nb\n"), @"");
}

#[test]
fn a_csv_line_with_too_many_cells() {
    insta::assert_snapshot!(csv("id,n\na,1,2\n"), @"");
}

#[test]
fn a_csv_cell_that_does_not_fit() {
    insta::assert_snapshot!(csv("id,n\na,1\nb,x\n"), @"");
}

#[test]
fn a_csv_quote_that_never_ends() {
    insta::assert_snapshot!(csv("id,n\n\"a,1\n"), @"");
}

#[test]
fn a_parquet_file_that_is_none() {
    insta::assert_snapshot!(run(&Small::new().input("path: in/{date:%Y-%m-%d}.parquet\nformat: parquet"), &[("in/2023-05-01.parquet", b"PAR1 not really PAR1")]), @"");
}

#[test]
fn a_nul_character_in_text() {
    insta::assert_snapshot!(json("[{\"id\": \"a\\u0000b\"}]"), @"");
}

#[test]
fn a_key_that_comes_twice() {
    insta::assert_snapshot!(json("[{\"id\": \"a\"}, {\"id\": \"a\"}]"), @"");
}

#[test]
fn a_null_key() {
    insta::assert_snapshot!(run(&Small::new().schema("id: string\nn: bigint"), &[("in/2023-05-01.json", br#"[{"n": 1}]"#)]), @"");
}

#[test]
fn a_source_that_does_not_exist() {
    insta::assert_snapshot!(of(&["run", "--source", "clinik", "--date", "20230501"]), @"");
}

#[test]
fn a_date_that_does_not_exist() {
    insta::assert_snapshot!(of(&["run", "--source", "clinic", "--date", "20230532"]), @"");
}

#[test]
fn a_range_that_ends_before_it_starts() {
    insta::assert_snapshot!(of(&["run", "--source", "clinic", "--start", "20230502", "--end", "20230501"]), @"");
}

#[test]
fn no_date() {
    insta::assert_snapshot!(of(&["run", "--source", "clinic"]), @"");
}

#[test]
fn no_source() {
    insta::assert_snapshot!(of(&["run", "--date", "20230501"]), @"");
}

#[test]
fn an_unknown_option() {
    insta::assert_snapshot!(of(&["run", "--sorce", "clinic", "--date", "20230501"]), @"");
}

#[test]
fn an_unknown_command() {
    insta::assert_snapshot!(of(&["rum"]), @"");
}

#[test]
fn a_drop_that_nobody_confirms() {
    insta::assert_snapshot!(of(&["drop", "--source", "clinic", "--date", "20230501"]), @"");
}

#[test]
fn pending_migrations() {
    insta::assert_snapshot!({
    let database = Database::fresh();
    Small::new().project().on(&database).json("[]").run_clinic().code(2).message()
}, @"");
}

#[test]
fn a_server_that_is_down() {
    insta::assert_snapshot!(Small::new().project().env("DATABASE_URL", "postgres://me:secret@127.0.0.1:9/x").json("[]").run_clinic().code(3).message(), @"");
}

#[test]
fn a_table_that_differs_from_its_contract() {
    insta::assert_snapshot!({
    let (database, project) = Small::new().on_server();
    database.execute("alter table items alter column n type numeric, add column extra text not null");
    project.json("[]").run_clinic().code(2).message()
}, @"");
}
