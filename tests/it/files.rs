//! Files of a batch that hold nothing, or can't be read, beside others.
use crate::harness::{Database, Project, Small};

fn small(format: &str, ending: &str, more: &str, rest: &str) -> (Database, Project) {
    let input = format!("path: in/{{date:%Y-%m-%d}}/*.{ending}\nformat: {format}\n{more}");
    Small::new().input(&input).rest(rest).quarantine().on_server()
}

const EMPTY: [&str; 5] = ["", " \n\t", "\u{feff}", "[]", "\u{feff}[ ] "];

#[test]
fn files_that_hold_nothing_are_named() {
    let (database, project) = small("json", "json", "", "");
    project.write("in/2023-05-01/0.json", r#"[{"id": "a"}]"#);
    for (number, text) in (1..).zip(EMPTY) {
        project.write(&format!("in/2023-05-01/{number}.json"), text);
    }
    let names = (2..7).map(|place| format!("in/2023-05-01/*.json#{place}"));
    let names: Vec<String> = names.collect();
    let warning = format!("5 files hold no record: {}", names.join(", "));
    let outcome = project.run(&["run", "--source", "clinic", "--date", "2023-05-01", "--output", "json"]);
    let outcome = outcome.code(0).stderr_contains(&warning);
    assert_eq!(outcome.json()["batches"][0]["warnings"][0], *warning);
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let quoted = quoted.join(", ");
    assert_eq!(
        database.rows("select account -> 'empty_files' from pipeline.runs"),
        [format!(r#"{{"count": 5, "names": [{quoted}]}}"#)]
    );
    project.edit("pipelines/clinic.yaml", "schema:", "  on_empty_file: ignore\nschema:");
    project.run_clinic().code(0).output_lacks("no record");
    project.edit("pipelines/clinic.yaml", "on_empty_file: ignore", "on_empty_file: fail");
    project
        .run_clinic()
        .code(1)
        .stderr_contains("in/2023-05-01/*.json#2 and 4 more files hold no record");
}

#[test]
fn a_batch_that_holds_nothing_is_for_on_empty_to_judge() {
    let (_database, project) = small("json", "json", "on_empty: replace\non_empty_file: fail", "");
    for (number, text) in (1..).zip(EMPTY) {
        project.write(&format!("in/2023-05-01/{number}.json"), text);
    }
    project.run_clinic().code(0).output_lacks("no record");
}

#[test]
fn one_truncated_file_among_many_is_a_refusal() {
    let whole = gzip(&(0..50).fold(String::new(), |text, n| text + &format!("{{\"id\": \"T-{n}\"}}\n")));
    let damages: [(&str, &[u8]); 3] = [
        ("truncated", &whole[..whole.len() / 2]),
        ("empty", &[]),
        // Neither gzip nor text: plain text would be read, whatever the name says.
        ("damaged", b"\x01no gzip at all"),
    ];
    for (what, bytes) in damages {
        let (database, project) = small("ndjson", "ndjson.gz", "", "max_quarantined: 10%");
        for number in 10..30 {
            let bytes = gzip(&format!("{{\"id\": \"P-{number}\"}}\n"));
            project.write(&format!("in/2023-05-01/{number}.ndjson.gz"), bytes);
        }
        project.write("in/2023-05-01/20.ndjson.gz", bytes);
        project.run_clinic().code(0);
        let others = database.rows("select count(*) from items where item_id like 'P-%'");
        assert_eq!(others, ["19"], "{what}");
        let noted = database.rows("select check_name, file, path, reason from pipeline.quarantine");
        let [noted] = &noted[..] else { panic!("{noted:?}") };
        assert!(
            noted.starts_with("unreadable|in/2023-05-01/*.ndjson.gz#11|$|"),
            "{noted}"
        );
        assert!(noted.contains(what), "{noted}");
        // Of the files, too many of them can't be read.
        project.edit("pipelines/clinic.yaml", "max_quarantined: 10%", "max_quarantined: 4%");
        project
            .run_clinic()
            .code(1)
            .stderr_contains("1 of 20 files can't be read");
        project.edit("pipelines/clinic.yaml", "max_quarantined: 4%", "max_quarantined: 10%");
        project.edit(
            "pipelines/clinic.yaml",
            "on_malformed: quarantine",
            "on_malformed: fail",
        );
        project.run_clinic().code(1).stderr_contains("*.ndjson.gz#11 is ");
    }
}

/// Nothing of an archive of several files is loaded: which of them is meant is unknown.
#[test]
fn an_archive_of_several_files_is_refused_before_any_is_read() {
    let (database, project) = small("ndjson", "ndjson*", "", "max_quarantined: 50%");
    project.write("in/2023-05-01/1.ndjson", "{\"id\": \"P-1\"}\n");
    let first = "{\"id\": \"Z-1\"}\n{\"id\": \"Z-3\"}\n";
    let archive = zip(&[("a.ndjson", first), ("b.ndjson", "{\"id\": \"Z-2\"}\n")]);
    project.write("in/2023-05-01/2.ndjson.zip", archive);
    project.run_clinic().code(0);
    assert_eq!(database.rows("select item_id from items"), ["P-1"]);
    assert_eq!(
        database.rows("select check_name, file, reason from pipeline.quarantine"),
        [
            "unreadable|in/2023-05-01/*.ndjson*#2|the file is a zip archive of several files: deliver one file per archive, \
          or files that are not in an archive"
        ]
    );
    let archive = zip(&[("a.ndjson", first)]);
    project.write("in/2023-05-01/2.ndjson.zip", archive);
    project.run_clinic().code(0);
    assert_eq!(
        database.rows("select item_id from items order by 1"),
        ["P-1", "Z-1", "Z-3"]
    );
}

/// A zip archive of these files, which are stored as they are.
fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let mut crc = flate2::Crc::new();
        crc.update(text.as_bytes());
        let size = u32::try_from(text.len()).unwrap().to_le_bytes();
        let mut header = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header.extend(crc.sum().to_le_bytes());
        header.extend(size);
        header.extend(size);
        header.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        header.extend([0, 0]);
        let at = u32::try_from(archive.len()).unwrap().to_le_bytes();
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&header);
        directory.extend([0; 10]);
        directory.extend(at);
        directory.extend(name.as_bytes());
        archive.extend(b"PK\x03\x04");
        archive.extend(header);
        archive.extend(name.as_bytes());
        archive.extend(text.as_bytes());
    }
    let (start, count) = (archive.len(), u16::try_from(files.len()).unwrap().to_le_bytes());
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend(count);
    archive.extend(count);
    archive.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    archive.extend(u32::try_from(start).unwrap().to_le_bytes());
    archive.extend([0, 0]);
    archive
}

#[test]
fn one_file_that_can_not_be_split_among_many_is_a_refusal() {
    let (database, project) = small("json", "json", "", "max_quarantined: 10%");
    for number in 10..30 {
        project.write(
            &format!("in/2023-05-01/{number}.json"),
            format!(r#"[{{"id": "P-{number}"}}]"#),
        );
    }
    project.write("in/2023-05-01/20.json", r#"[{"id": "P-20"}, {"id": "CANARY"#);
    project.run_clinic().code(0).output_lacks("CANARY");
    assert_eq!(database.rows("select count(*) from items"), ["20"]);
    assert_eq!(
        database.rows("select check_name, file, record, byte_offset from pipeline.quarantine"),
        ["unreadable|in/2023-05-01/*.json#11|2|17"]
    );
    assert_eq!(
        database.rows("select account -> 'records' from pipeline.runs"),
        [r#"{"read": 21, "accepted": 20, "quarantined": 1}"#]
    );
}

#[test]
fn where_no_file_can_be_read_the_old_content_stands() {
    let (database, project) = small("json", "json", "", "max_quarantined: 100%");
    project.write("in/2023-05-01/1.json", r#"[{"id": "old"}]"#);
    project.run_clinic().code(0);
    for name in ["1", "2"] {
        project.write(&format!("in/2023-05-01/{name}.json"), r#"[{"id": "CANARY"#);
    }
    project
        .run_clinic()
        .code(1)
        .stderr_contains("2 of 2 files can't be read")
        .output_lacks("CANARY");
    assert_eq!(database.rows("select item_id from items"), ["old"]);
}

fn gzip(text: &str) -> Vec<u8> {
    use std::io::Write;

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}
