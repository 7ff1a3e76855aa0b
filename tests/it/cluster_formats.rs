//! Generated patients in each format give on a cluster of two executors what they give on one machine: the same rows, the
//! same quarantine and the same account, whether the batch is divided or not. `PIPELINE_TEST_PATIENTS` says how many.
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, ListArray, RecordBatch, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Fields};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use crate::cluster_processes::{Cluster, state};
use crate::harness::{DATE, Database, Project, Small};

/// The files of a batch.
const FILES: usize = 4;
/// The visits of a patient, the diagnoses of a visit and the treatments of a diagnosis.
const EACH: usize = 2;

fn patients() -> usize {
    std::env::var("PIPELINE_TEST_PATIENTS").map_or(2000, |count| count.parse().unwrap())
}

/// The id of a patient. Few have none, and few have that of another.
fn id(n: usize) -> Option<String> {
    match n % 500 {
        7 => None,
        9 => Some(format!("P-{}", n - 1)),
        _ => Some(format!("P-{n}")),
    }
}

/// The day of a visit. Few are on none.
fn day(n: usize, visit: usize) -> &'static str {
    if (n + visit).is_multiple_of(700) {
        "2023-02-31"
    } else {
        DATE
    }
}

fn patient(n: usize) -> Value {
    let visit = |visit: usize| {
        let diagnosis = |diagnosis: usize| {
            let treatment = |treatment: usize| json!({"drug": drug(n, treatment), "dose": format!("{treatment} mg")});
            let treatments: Vec<Value> = (0..EACH).map(treatment).collect();
            json!({"code": format!("C{diagnosis}"), "description": format!("about {diagnosis}"), "treatments": treatments})
        };
        let all: Vec<Value> = (0..EACH).map(diagnosis).collect();
        let notes = json!({"text": format!("notes of {n}"), "author": author(n)});
        json!({"visit_id": format!("V-{n}-{visit}"), "date": day(n, visit), "diagnoses": all, "provider_notes": notes})
    };
    let visits: Vec<Value> = (0..EACH).map(visit).collect();
    json!({"patient_id": id(n), "name": name(n), "visits": visits})
}

fn name(n: usize) -> String {
    format!("Zoë \"{}\"", n % 1000)
}

fn author(n: usize) -> String {
    format!("Dr. {}", n % 50)
}

fn drug(n: usize, treatment: usize) -> String {
    format!("drug {}", (n + treatment) % 90)
}

/// The numbers of the patients of each file.
fn files() -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
    let all = patients();
    (0..FILES).map(move |file| (file, all * file / FILES..all * (file + 1) / FILES))
}

/// The repository's project, with its source a in another format. Returns it with the size of the input.
fn clinic(format: &str, write: impl Fn(std::ops::Range<usize>) -> Vec<u8>) -> (Project, usize) {
    let project = Project::of_repository();
    let yaml = "pipelines/source_a.yaml";
    project.edit(yaml, "visit_events.json", &format!("part*.{format}"));
    project.edit(yaml, "format: json", &format!("format: {format}"));
    project.edit(yaml, "name:", "max_quarantined: 5%\nname:");
    let mut size = 0;
    for (file, of_file) in files() {
        let bytes = write(of_file);
        size += bytes.len();
        project.write(&format!("examples/data/source_a/20230501/part{file}.{format}"), bytes);
    }
    (project, size)
}

/// Loads the batch here, on a cluster, and on a cluster in parts. `least` is how many parts there must be.
fn compare((project, size): (Project, usize), source: &str, least: usize) {
    let here = Database::fresh();
    let mut project = project.on(&here);
    let batch = ["run", "--source", source, "--date", DATE];
    load(&project, &batch);
    let expected = state(&here);
    assert!(here.count("pipeline.quarantine") > 3);
    let part_size = (size / 6).to_string();
    for part_size in ["none", &part_size] {
        let elsewhere = Database::fresh();
        // The same folder, so that the files have the same times.
        project = project.on(&elsewhere);
        let cluster = Cluster::start(&project, 2);
        let on = ["--cluster", &cluster.url, "--part-size", part_size, "-v"];
        let said = load(&project, &[&batch[..], &on].concat());
        assert_eq!(state(&elsewhere), expected, "in parts of {part_size}");
        assert_eq!(elsewhere.staging_tables(), [] as [&str; 0]);
        let parts = said
            .split_once("the input is read in parts")
            .map(|(_, rest)| number_in(rest));
        match part_size {
            "none" => assert_eq!(parts, None),
            _ => assert!(parts >= Some(least), "{parts:?} parts\n{said}"),
        }
    }
}

/// The first number of a text, without the codes of colours.
fn number_in(text: &str) -> usize {
    let line = text.lines().next().unwrap();
    let (_, number) = line.split_once("parts=").unwrap_or_else(|| panic!("{line}"));
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// Makes the tables and runs. Returns what the run has said.
fn load(project: &Project, args: &[&str]) -> String {
    project.run(&["migrate"]).code(0);
    let (mut running, begun) = (project.spawn(args), Instant::now());
    // Much longer than it takes, so that a run that hangs ends.
    let most = Duration::from_mins(2) + Duration::from_millis(10) * u32::try_from(patients()).unwrap();
    while !running.is_over() && begun.elapsed() < most {
        std::thread::sleep(Duration::from_millis(20));
    }
    running.wait().code(0).stderr
}

#[test]
fn json_loads_as_on_one_machine() {
    let write = |of_file: std::ops::Range<usize>| {
        let people: Vec<String> = of_file.map(|n| patient(n).to_string()).collect();
        format!("[{}]", people.join(",\n")).into_bytes()
    };
    compare(clinic("json", write), "a", FILES);
}

#[test]
fn ndjson_loads_as_on_one_machine() {
    let write = |of_file: std::ops::Range<usize>| {
        let people: Vec<String> = of_file.map(|n| patient(n).to_string()).collect();
        people.join("\n").into_bytes()
    };
    compare(clinic("ndjson", write), "a", FILES + 1);
}

#[test]
fn parquet_loads_as_on_one_machine() {
    compare(clinic("parquet", parquet), "a", FILES + 1);
}

#[test]
fn csv_loads_as_on_one_machine() {
    let project = Small::new()
        .input("path: in/{date:%Y-%m-%d}*.csv\nformat: csv")
        .schema("id: {type: string, required: true, phi: identifier, mask: hash, domain: patient}\nn: bigint")
        .rest("max_quarantined: 5%")
        .quarantine()
        .project();
    let mut size = 0;
    for (file, of_file) in files() {
        let mut text = "id,n\n".to_owned();
        for n in of_file {
            let number = if n % 700 == 0 { "none".to_owned() } else { n.to_string() };
            writeln!(text, "\"{}\",{number}", id(n).unwrap_or_default()).unwrap();
        }
        size += text.len();
        project.write(&format!("in/{DATE}-{file}.csv"), text);
    }
    compare((project, size), "clinic", FILES);
}

/// A Parquet file of several row groups.
fn parquet(of_file: std::ops::Range<usize>) -> Vec<u8> {
    let people: Vec<usize> = of_file.collect();
    let visits = || people.iter().flat_map(|n| (0..EACH).map(|visit| (*n, visit)));
    let diagnoses = || visits().flat_map(|(n, _)| (0..EACH).map(move |diagnosis| (n, diagnosis)));
    let treatments = || diagnoses().flat_map(|(n, _)| (0..EACH).map(move |treatment| (n, treatment)));
    let treatment = structs(vec![
        (
            "drug",
            texts(treatments().map(|(n, treatment)| Some(drug(n, treatment)))),
        ),
        (
            "dose",
            texts(treatments().map(|(_, treatment)| Some(format!("{treatment} mg")))),
        ),
    ]);
    let of_each = structs(vec![
        (
            "code",
            texts(diagnoses().map(|(_, diagnosis)| Some(format!("C{diagnosis}")))),
        ),
        (
            "description",
            texts(diagnoses().map(|(_, diagnosis)| Some(format!("about {diagnosis}")))),
        ),
        ("treatments", lists(treatment)),
    ]);
    let notes = structs(vec![
        ("text", texts(visits().map(|(n, _)| Some(format!("notes of {n}"))))),
        ("author", texts(visits().map(|(n, _)| Some(author(n))))),
    ]);
    let visit = structs(vec![
        (
            "visit_id",
            texts(visits().map(|(n, visit)| Some(format!("V-{n}-{visit}")))),
        ),
        ("date", texts(visits().map(|(n, visit)| Some(day(n, visit).to_owned())))),
        ("diagnoses", lists(of_each)),
        ("provider_notes", notes),
    ]);
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("patient_id", texts(people.iter().map(|n| id(*n))), true),
        ("name", texts(people.iter().map(|n| Some(name(*n)))), true),
        ("visits", lists(visit), true),
    ]);
    let batch = batch.unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(people.len() / 8 + 1));
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn texts(texts: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(texts.collect::<StringArray>())
}

fn structs(columns: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), true);
    let fields: Fields = columns.iter().map(field).collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    Arc::new(StructArray::new(fields, columns, None))
}

/// Lists of [`EACH`] items.
fn lists(items: ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new("item", items.data_type().clone(), true));
    let offsets = OffsetBuffer::from_repeated_length(EACH, items.len() / EACH);
    Arc::new(ListArray::new(field, offsets, items, None))
}
