//! Files are read in the encoding that their source declares, and decompressed as their content says. What can't be
//! read is named, with a remedy.
use crate::formats::gzip;
use crate::harness::{Database, Project, Small};

const TWO: &str = r#"[{"id": "a", "n": 1}, {"id": "b", "n": -2}]"#;

fn items(database: &Database) -> Vec<String> {
    database.rows("select item_id, n from items order by item_id")
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn csv(encoding: &str) -> (Database, Project) {
    Small::new()
        .input(&format!("path: in/{{date:%Y%m%d}}*\nformat: csv\n{encoding}"))
        .rest("max_quarantined: 90%")
        .quarantine()
        .on_server()
}

#[test]
fn csv_in_windows_1252() {
    let (database, project) = csv("encoding: windows-1252");
    project.write(
        "in/20230501.csv.GZ",
        gzip(b"n,id\r\n1,M\xFCller \x80\r\n2,bad \x81\r\n3,\"\x93\xDF\x94\"\r\n"),
    );
    project.run_clinic().code(0);
    assert_eq!(items(&database), ["Müller €|1", "“ß”|3"]);
    assert_eq!(
        database.rows("select record, byte_offset, reason from pipeline.quarantine"),
        // `n,id` and the line end have 6 bytes, and `1,Müller €` has 13 as UTF-8.
        ["2|21|not valid windows-1252: a byte that stands for no character"]
    );
}

#[test]
fn utf_16_is_recognised_and_read_where_it_is_declared() {
    for mark in ["\u{feff}", ""] {
        let (database, project) = csv("on_missing: fail");
        project.write("in/20230501.csv", utf_16(&format!("{mark}id,n\nä,1\n")));
        let outcome = project.run_clinic().code(1);
        outcome
            .stderr_contains("in/20230501*#1 is UTF-16 text")
            .stderr_contains("set `encoding: utf-16` in the source's `input`");
        project.edit("pipelines/clinic.yaml", "on_missing: fail", "encoding: UTF-16");
        project.run_clinic().code(0);
        assert_eq!(items(&database), ["ä|1"]);
    }
}

#[test]
fn the_content_and_not_the_name_says_how_a_file_is_compressed() {
    let small = Small::new().input("path: in/{date:%Y%m%d}*");
    let zstd = zstd::encode_all(TWO.as_bytes(), 3).unwrap();
    for (name, bytes) in [
        ("in/20230501", gzip(TWO.as_bytes())),
        ("in/20230501.JSON.GZ", gzip(TWO.as_bytes())),
        ("in/20230501.json", zstd),
        ("in/20230501.gz", TWO.as_bytes().to_vec()),
    ] {
        let (database, project) = small.on_server();
        project.write(name, bytes);
        project.run_clinic().code(0);
        assert_eq!(items(&database), ["a|1", "b|-2"], "{name}");
    }
}

#[test]
fn a_kind_that_can_t_be_read_is_refused_by_place_and_the_others_are_loaded() {
    let (database, project) = Small::new()
        .input("path: in/{date:%Y%m%d}/*")
        .rest("max_quarantined: 50%")
        .quarantine()
        .on_server();
    project.write("in/20230501/73911937.json", b"\xFD7zXZ\0\0\x04\xE6\xD6\xB4\x46");
    project.write("in/20230501/b.json", TWO);
    project.run_clinic().code(0).output_lacks("73911937");
    assert_eq!(items(&database), ["a|1", "b|-2"]);
    let refused = database.rows("select check_name, file, reason from pipeline.quarantine");
    assert_eq!(refused.len(), 1);
    assert!(
        refused[0].starts_with("unreadable|in/20230501/*#1|the file is an xz file"),
        "{refused:?}"
    );
    assert!(refused[0].contains("gzip, zstd, bzip2 or zip"), "{refused:?}");
}

#[test]
fn an_encoding_is_checked_with_the_project() {
    let (_database, project) = csv("encoding: windows-1253");
    project
        .run_clinic()
        .code(2)
        .stderr_contains("`encoding` can't be `windows-1253`");
    let parquet = Small::new().input("path: in/{date:%Y%m%d}.x\nformat: parquet\nencoding: latin1");
    let (_database, project) = parquet.on_server();
    project
        .run_clinic()
        .code(2)
        .stderr_contains("`encoding` is nothing for parquet");
}

/// The codes of FHIR tokens may hold the sign that ends their system.
#[test]
fn a_code_is_split_at_the_first_bar() {
    let (database, project) = Small::new()
        .sql("select code_system(id) || ' ' || code_value(id) as item_id, n from source")
        .on_server();
    let project = project.json(r#"{"id": "http://snomed.info/sct|73211009 |Diabetes mellitus|", "n": 1}"#);
    project.run_clinic().code(0);
    assert_eq!(
        items(&database),
        ["http://snomed.info/sct 73211009 |Diabetes mellitus||1"]
    );
}
