//! A batch whose input is read in parts is the batch that is read as a whole: the same rows, refusals and account, however
//! small the parts are. The parts are read in this process; `cluster_divided` has executors for them.
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use crate::cluster::{ACCOUNT, QUARANTINE, as_sent, load_in_parts};
use crate::harness::{CONTENT, DATE, Database, Project, SOURCE_A, Small, batch};

/// Loads a batch as a whole, and in parts of each of these sizes, and compares the rows of a query, the quarantine and the
/// account. Returns the least number of parts.
fn compare(project: Project, source: &str, rows: &str, sizes: &[u64]) -> usize {
    let state = |database: &Database| [rows, QUARANTINE, ACCOUNT].map(|sql| database.rows(sql));
    let whole = Database::fresh();
    let mut project = project.on(&whole);
    project.run(&["migrate"]).code(0);
    let ended = project.run(&["run", "--source", source, "--date", DATE]).exit();
    let expected = state(&whole);
    let mut least = usize::MAX;
    for size in sizes {
        let divided = Database::fresh();
        // The same folder, so that the files have the same times.
        project = project.on(&divided);
        project.run(&["migrate"]).code(0);
        let (outcome, parts) = load_in_parts(&project, &divided, &divided, as_sent, 1, (source, Some(*size)));
        assert_eq!(outcome.error.is_none(), ended == Some(0), "{:?}", outcome.error);
        assert_eq!(state(&divided), expected, "{source} in parts of {size} bytes");
        assert_eq!(divided.staging_tables(), [] as [&str; 0]);
        least = least.min(parts);
    }
    least
}

/// Lines of which some are bad, some come twice, and some have a field that is not declared.
fn lines(from: usize, count: usize) -> String {
    let mut text = String::new();
    for n in from..from + count {
        match n % 17 {
            3 => text.push_str("{\"id\": \"bad\", \"n\": \"x\"}\n"),
            5 => text.push_str("{\"id\": \"cut off\n"),
            7 => text.push('\n'),
            9 => writeln!(text, "{{\"id\": \"i{}\", \"n\": {n}}}", n % 40).unwrap(),
            11 => writeln!(text, "{{\"id\": \"i{n}\", \"n\": {n}, \"undeclared\": 1}}").unwrap(),
            13 => text.push_str("{\"n\": 1}\n"),
            _ => writeln!(text, "{{\"id\": \"i{n}\", \"n\": {n}}}").unwrap(),
        }
    }
    text
}

const ITEMS: &str = "select item_id, n from items order by item_id, n";

fn small(input: &str) -> Small {
    Small::new().input(input).rest("max_quarantined: 100%").quarantine()
}

#[test]
fn lines_are_cut_anywhere() {
    let project = small("path: in/{date:%Y-%m-%d}*.ndjson\nformat: ndjson")
        .project()
        .file("in/2023-05-01-a.ndjson", lines(0, 300))
        .file("in/2023-05-01-b.ndjson", "")
        .file(
            "in/2023-05-01-c.ndjson",
            "\u{feff}".to_owned() + &lines(250, 150).replace('\n', "\r\n"),
        )
        .file("in/2023-05-01-d.ndjson", lines(600, 20).trim_end());
    let least = compare(project, "clinic", ITEMS, &[400, 1111, 5000]);
    assert!(least >= 2, "{least} parts");
}

#[test]
fn files_of_documents_are_read_whole() {
    let array = |from: usize| {
        let items: Vec<Value> = (from..from + 50)
            .map(|n| json!({"id": format!("i{n}"), "n": if n % 19 == 0 { json!("x") } else { json!(n) }}))
            .collect();
        Value::Array(items).to_string()
    };
    let project = small("path: in/{date:%Y-%m-%d}*.json\nformat: json")
        .project()
        .file("in/2023-05-01-a.json", array(0))
        .file("in/2023-05-01-b.json", array(40))
        .file("in/2023-05-01-c.json", &array(100)[..700])
        .file("in/2023-05-01-d.json", "[]");
    let least = compare(project, "clinic", ITEMS, &[400, 1000]);
    assert!(least >= 2, "{least} parts");
}

#[test]
fn csv_is_cut_between_files() {
    let file = |from: usize| {
        let row = |n: usize| {
            format!(
                "\"i\n{n}\",{}\n",
                if n.is_multiple_of(19) {
                    "x".to_owned()
                } else {
                    n.to_string()
                }
            )
        };
        let rows: String = (from..from + 50).map(row).collect();
        format!("id,n\n{rows}")
    };
    let project = small("path: in/{date:%Y-%m-%d}*.csv\nformat: csv")
        .project()
        .file("in/2023-05-01-a.csv", file(0))
        .file("in/2023-05-01-b.csv", file(40))
        .file("in/2023-05-01-c.csv", "id,n\n")
        .file("in/2023-05-01-d.csv", "id\ni900\n");
    let least = compare(project, "clinic", ITEMS, &[150, 400]);
    assert!(least >= 2, "{least} parts");
}

/// A Parquet file of row groups of 10 rows.
fn parquet(from: i64, rows: i64) -> Vec<u8> {
    let ids = (from..from + rows).map(|n| (n % 13 != 0).then(|| format!("i{n}")));
    let ids: ArrayRef = Arc::new(ids.collect::<StringArray>());
    let numbers: ArrayRef = Arc::new((from..from + rows).collect::<Int64Array>());
    let extra: ArrayRef = Arc::new((from..from + rows).collect::<Int64Array>());
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("id", ids, true),
        ("n", numbers, true),
        ("undeclared", extra, true),
    ]);
    let batch = batch.unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(10))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn parquet_is_cut_between_row_groups() {
    let mut damaged = parquet(500, 60);
    let at = damaged.len() / 3;
    damaged[at..at + 40].fill(0xff);
    let cut_off = parquet(700, 30);
    let project = small("path: in/{date:%Y-%m-%d}*.parquet\nformat: parquet")
        .project()
        .file("in/2023-05-01-a.parquet", parquet(0, 200))
        .file("in/2023-05-01-b.parquet", parquet(190, 60))
        .file("in/2023-05-01-c.parquet", parquet(0, 0))
        .file("in/2023-05-01-d.parquet", damaged)
        .file("in/2023-05-01-e.parquet", &cut_off[..cut_off.len() - 5]);
    let least = compare(project, "clinic", ITEMS, &[500, 3000]);
    assert!(least >= 2, "{least} parts");
}

#[test]
fn a_batch_that_must_fail_fails_with_the_same_message() {
    let project = || {
        small("path: in/{date:%Y-%m-%d}*.ndjson\nformat: ndjson")
            .project()
            .file("in/2023-05-01-a.ndjson", lines(20, 100))
            .file("in/2023-05-01-b.ndjson", lines(300, 100))
    };
    let too_many = project();
    too_many.edit("pipelines/clinic.yaml", "max_quarantined: 100%", "max_quarantined: 1%");
    compare(too_many, "clinic", ITEMS, &[500]);
    let strict = project();
    strict.edit(
        "pipelines/clinic.yaml",
        "on_malformed: quarantine",
        "on_malformed: fail",
    );
    compare(strict, "clinic", ITEMS, &[1000]);
    let empty = small("path: in/{date:%Y-%m-%d}*.ndjson\nformat: ndjson")
        .project()
        .file("in/2023-05-01-a.ndjson", "\n \n\n\n\n\n");
    compare(empty, "clinic", ITEMS, &[2]);
    let damaged = project().file("in/2023-05-01-c.ndjson", b"PK\x03\x04 is no text that anybody can read");
    compare(damaged, "clinic", ITEMS, &[30, 900]);
}

#[test]
fn a_transform_that_reads_twice_reads_the_parts_twice() {
    let project = small("path: in/{date:%Y-%m-%d}*.ndjson\nformat: ndjson")
        .sql("select a.id as item_id, a.n from source a where a.n >= (select avg(n) from source)")
        .project()
        .file("in/2023-05-01-a.ndjson", lines(0, 300));
    let least = compare(project, "clinic", ITEMS, &[600]);
    assert!(least >= 2, "{least} parts");
}

const KINDS: &str = "\
kinds:
  item:
    where: {type: item}
    schema: {id: {type: string, required: true}, n: bigint}
  other:
    where: {type: other}
    schema: {id: string}
on_unknown_kind: warn
";

#[test]
fn kinds_are_counted_as_in_one_read() {
    let mut text = String::new();
    for n in 0..200 {
        let kind = ["item", "other", "stranger", "item"][n % 4];
        let number = if n % 11 == 0 { json!("x") } else { json!(n) };
        writeln!(text, "{}", json!({"type": kind, "id": format!("i{n}"), "n": number})).unwrap();
    }
    let project = small("path: in/{date:%Y-%m-%d}*.ndjson\nformat: ndjson")
        .sql("select id as item_id, n from item")
        .project()
        .file("in/2023-05-01-a.ndjson", text);
    let yaml = project.read("pipelines/clinic.yaml");
    let (head, rest) = yaml.split_once("schema:\n").unwrap();
    let (_, rest) = rest.split_once("max_quarantined").unwrap();
    project.write("pipelines/clinic.yaml", format!("{head}max_quarantined{rest}{KINDS}"));
    let least = compare(project, "clinic", ITEMS, &[700]);
    assert!(least >= 2, "{least} parts");
}

#[test]
fn rows_below_refused_rows_are_refused_and_duplicates_meet_across_parts() {
    let project = Project::of_repository().in_clear();
    project.edit("pipelines/source_a.yaml", "name:", "max_quarantined: 50%\nname:");
    project.edit("pipelines/source_a.yaml", "format: json", "format: ndjson");
    let mut patients: Vec<Value> = serde_json::from_str(&batch(SOURCE_A, "old", 300)).unwrap();
    patients.insert(7, json!({"name": "nobody", "undeclared": 1}));
    let first = patients[20].clone();
    patients.push(first);
    let visit = patients[40]["visits"][0].clone();
    patients[250]["visits"].as_array_mut().unwrap().push(visit);
    patients[30]["visits"][0]["date"] = json!("2023-02-31");
    let lines: Vec<String> = patients.iter().map(Value::to_string).collect();
    project.input("source_a", "20230501", lines.join("\n"));
    let least = compare(project, "source_a", CONTENT, &[9000, 50_000]);
    assert!(least >= 2, "{least} parts");
}
