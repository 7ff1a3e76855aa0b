use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::UInt64Type;
use futures::TryStreamExt;
use proptest::prelude::*;

use super::super::testing::{day, patients, source};
use super::super::{Listing, Merge, ReadStats, list};
use super::*;
use crate::error::Result;
use crate::mask::Unmasked;
use crate::model::{OnEmptyFile, OnMalformed, Refusal, Source};

/// What a read gives: each record as text, by its number, and the rest.
#[derive(Debug, PartialEq)]
struct Seen {
    records: Vec<(u64, String)>,
    refused: Vec<Refusal>,
    empty: Vec<String>,
    unknown: Vec<(String, u64)>,
    counts: (u64, u64),
    warnings: Vec<String>,
    error: Option<String>,
}

fn texts(batches: &[RecordBatch], number: impl Fn(u64) -> u64) -> Vec<(u64, String)> {
    let mut records = Vec::new();
    for batch in batches {
        let ids = batch.columns().last().unwrap().as_primitive::<UInt64Type>();
        for row in 0..batch.num_rows() {
            let row_of = batch.slice(row, 1);
            let columns = &row_of.columns()[..row_of.num_columns() - 1];
            records.push((number(ids.value(row)), format!("{columns:?}")));
        }
    }
    records
}

fn seen(stats: &ReadStats, records: Vec<(u64, String)>, result: Result<()>) -> Seen {
    use std::sync::atomic::Ordering::Relaxed;
    let mut refused = stats.take_refused();
    // It is only shown where a read fails, and is not sent.
    for one in &mut refused {
        one.fault_offset = None;
    }
    Seen {
        records,
        refused,
        empty: stats.empty_files(),
        unknown: super::super::testing::unknown(stats),
        counts: (stats.read.load(Relaxed), stats.records.load(Relaxed)),
        warnings: stats.warnings(),
        error: result.err().map(|error| error.to_string()),
    }
}

async fn batches(listing: &Listing, source: &Source, stats: &Arc<ReadStats>) -> (Vec<RecordBatch>, Result<()>) {
    let mut batches = Vec::new();
    let read = listing.read(source, 2, Arc::clone(stats)).map_ok(Unmasked::into_inner);
    let result = read
        .try_for_each(|batch| {
            batches.push(batch);
            async { Ok(()) }
        })
        .await;
    (batches, result)
}

async fn undivided(listing: &Listing, source: &Source) -> Seen {
    let stats = Arc::default();
    let (batches, result) = batches(listing, source, &stats).await;
    seen(&stats, texts(&batches, |id| id), result)
}

async fn divided(listing: &Listing, source: &Source, parts: &[Part]) -> Seen {
    let stats: Arc<ReadStats> = Arc::default();
    let mut merge = Merge::new(listing, source, Arc::clone(&stats)).unwrap();
    let mut records = Vec::new();
    for part in parts {
        let of_part = Arc::default();
        let (batches, result) = batches(&listing.clone().of_part(*part), source, &of_part).await;
        records.extend(texts(&batches, |id| merge.id(id)));
        // What is sent is what arrives.
        let sent = serde_json::to_vec(&of_part.report()).unwrap();
        let added = merge.add(*part, serde_json::from_slice(&sent).unwrap());
        if let Err(error) = added.and(result) {
            return seen(&stats, records, Err(error));
        }
    }
    let end = merge.finish();
    seen(&stats, records, end)
}

async fn listed(root: &Path, source: &Source) -> Listing {
    list(root, source, day()).await.unwrap().unwrap()
}

fn write(root: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    std::fs::write(root.join(name), bytes).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A source of files of one format that refuses bad records.
fn of(format: Format) -> Source {
    let mut source = source("in*", format, patients());
    source.input.on_malformed = OnMalformed::Quarantine;
    source
}

/// 200 lines.
fn ids() -> Vec<String> {
    (0..200).map(|n| format!(r#"{{"id":"p{n}"}}"#)).collect()
}

/// Compares both ways of reading, for parts of each of these sizes.
async fn compare(root: &Path, source: &Source, sizes: impl IntoIterator<Item = u64>) {
    let whole = undivided(&listed(root, source).await, source).await;
    for size in sizes {
        let listing = listed(root, source).await;
        let parts = Part::divide(listing.files(), &source.input, size, usize::MAX);
        assert!(!parts.is_empty(), "a size of {size} divides nothing");
        assert_eq!(divided(&listing, source, &parts).await, whole, "size {size}");
    }
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..99u32).prop_map(|n| format!(r#"{{"id":"é{n}","age":{n}}}"#)),
        1 => Just(r#"{"id":"bad","age":"x"}"#.to_owned()),
        1 => Just(r#"{"id":"u","undeclared":1}"#.to_owned()),
        1 => Just("{".to_owned()),
        1 => Just(String::new()),
        1 => Just("  \t".to_owned()),
        1 => (1..300usize).prop_map(|n| format!(r#"{{"id":"{}"}}"#, "w".repeat(n))),
    ]
}

/// A file: with a byte order mark or none, with either kind of line ends, and with one at its end or none.
fn file() -> impl Strategy<Value = String> {
    let lines = proptest::collection::vec(line(), 0..12);
    (lines, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(lines, marked, windows, ended)| {
        let end = if windows { "\r\n" } else { "\n" };
        let mut text = if marked { "\u{feff}".to_owned() } else { String::new() };
        text.push_str(&lines.join(end));
        if ended {
            text.push_str(end);
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 150 }))]

    #[test]
    fn any_cut_gives_the_same_records_with_the_same_numbers(
        files in proptest::collection::vec(file(), 1..4),
        cuts in proptest::collection::btree_set((0..4usize, 0..600u64), 0..6),
    ) {
        let folder = tempfile::tempdir().unwrap();
        for (index, text) in files.iter().enumerate() {
            write(folder.path(), &format!("in{index}"), text);
        }
        let source = of(Format::Ndjson);
        let sizes: Vec<u64> = files.iter().map(|text| text.len() as u64).collect();
        let cuts = cuts.into_iter().filter(|(file, byte)| sizes.get(*file).is_some_and(|size| byte < size));
        let mut places = vec![Place { file: 0, byte: 0 }];
        places.extend(cuts.map(|(file, byte)| Place { file, byte }));
        places.push(Place { file: files.len(), byte: 0 });
        places.dedup();
        let parts: Vec<Part> = places.windows(2).map(|ends| Part { from: ends[0], to: ends[1] }).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let listing = listed(folder.path(), &source).await;
            let whole = undivided(&listing, &source).await;
            let listing = listed(folder.path(), &source).await;
            prop_assert_eq!(divided(&listing, &source, &parts).await, whole);
            Ok(())
        })?;
    }

    #[test]
    fn parts_lie_side_by_side_and_are_about_as_large(
        sizes in proptest::collection::vec(0..5000u64, 1..8),
        size in 1..4000u64,
        most in 0..40usize,
        format in prop_oneof![Just(Format::Ndjson), Just(Format::Csv), Just(Format::Parquet)],
    ) {
        let file = |(index, size): (usize, &u64)| InputFile {
            path: format!("f{index}"),
            size: *size,
            etag: None,
            changed: None,
        };
        let files: Vec<InputFile> = sizes.iter().enumerate().map(file).collect();
        let parts = Part::divide(&files, &of(format).input, size, most);
        prop_assert!(parts.len() <= most && parts.len() != 1);
        prop_assert!(parts.windows(2).all(|two| two[0].to == two[1].from));
        if let (Some(first), Some(last)) = (parts.first(), parts.last()) {
            prop_assert_eq!((first.from.file, first.from.byte), (0, 0));
            prop_assert_eq!((last.to.file, last.to.byte), (files.len(), 0));
        }
        for part in &parts {
            prop_assert!(part.from < part.to);
            let read: u64 = part
                .files()
                .map(|index| part.of_file(index, sizes[index]).map_or(sizes[index], |one| one.to - one.from))
                .sum();
            let share = sizes.iter().sum::<u64>() / parts.len() as u64;
            prop_assert!(format == Format::Csv || read <= share + 1, "{read} of {share}");
            prop_assert!(format != Format::Csv || (part.from.byte, part.to.byte) == (0, 0));
        }
    }
}

#[tokio::test]
async fn formats_that_can_not_be_cut_are_read_by_file() {
    let people: Vec<String> = (0..40).map(|n| format!(r#"{{"id":"p{n}","age":{n}}}"#)).collect();
    let csv = |from: usize| {
        let mut text = "id,age\n".to_owned();
        for n in from..from + 40 {
            writeln!(
                text,
                "\"p\n{n}\",{}",
                if n % 7 == 0 { "bad".to_owned() } else { n.to_string() }
            )
            .unwrap();
        }
        text
    };
    let folder = tempfile::tempdir().unwrap();
    for file in 0..3 {
        write(folder.path(), &format!("in{file}"), format!("[{}]", people.join(",")));
    }
    compare(folder.path(), &of(Format::Json), [7, 300, 700]).await;
    for file in 0..3 {
        write(folder.path(), &format!("in{file}"), csv(file * 40));
    }
    let mut source = of(Format::Csv);
    source.kinds[0].schema.truncate(2);
    compare(folder.path(), &source, [7, 200, 400]).await;
}

#[tokio::test]
async fn a_compressed_file_is_read_with_its_beginning() {
    let text = ids().join("\n") + "\n";
    let zipped = gzip(text.as_bytes());
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "in0", &zipped);
    write(folder.path(), "in1", &text[..900]);
    write(folder.path(), "in2", &zipped[..zipped.len() - 9]);
    write(
        folder.path(),
        "in3",
        "\u{feff}"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>(),
    );
    write(folder.path(), "in4", "\n \n\t\n\n\n\n\n\n\n\n\n\n\n\n\n");
    write(
        folder.path(),
        "in5",
        "PK\x03\x04 is no text that can be read, and is long enough to be cut",
    );
    let mut source = of(Format::Ndjson);
    compare(folder.path(), &source, [10, 64, 200, 500]).await;
    source.input.on_empty_file = OnEmptyFile::Fail;
    compare(folder.path(), &source, [10, 64, 200, 500]).await;
    source.input.on_malformed = OnMalformed::Fail;
    let whole = undivided(&listed(folder.path(), &source).await, &source).await;
    let listing = listed(folder.path(), &source).await;
    let parts = Part::divide(listing.files(), &source.input, 64, usize::MAX);
    assert_eq!(divided(&listing, &source, &parts).await.error, whole.error);
}

#[tokio::test]
async fn a_record_that_fails_the_batch_is_named_by_its_number_in_the_file() {
    let mut lines = ids();
    lines[150] = "{\"id\":1}".to_owned();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "in0", lines.join("\n"));
    let mut source = of(Format::Ndjson);
    source.input.on_malformed = OnMalformed::Fail;
    let listing = listed(folder.path(), &source).await;
    let whole = undivided(&listing, &source).await.error;
    assert!(whole.as_ref().unwrap().contains("record 151 at byte"), "{whole:?}");
    for size in [10, 50, 400, 1000] {
        let parts = Part::divide(listing.files(), &source.input, size, usize::MAX);
        assert_eq!(divided(&listing, &source, &parts).await.error, whole);
    }
}

#[tokio::test]
async fn an_input_without_records_fails_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "in0", "\n\n\n\n\n\n\n\n");
    write(folder.path(), "in1", "");
    compare(folder.path(), &of(Format::Ndjson), [1, 2, 3]).await;
}

#[tokio::test]
async fn a_file_that_changes_is_noticed_by_the_part_that_reads_it() {
    let text = ids().join("\n") + "\n";
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "in0", &text);
    let source = of(Format::Ndjson);
    let listing = listed(folder.path(), &source).await;
    let parts = Part::divide(listing.files(), &source.input, 1000, usize::MAX);
    write(folder.path(), "in0", text.replace('p', "qq"));
    for part in parts {
        let (_, result) = batches(&listing.clone().of_part(part), &source, &Arc::default()).await;
        assert!(result.unwrap_err().to_string().contains("changed while"));
    }
}

#[test]
fn parts_know_their_files() {
    let part = |from: (usize, u64), to: (usize, u64)| Part {
        from: Place {
            file: from.0,
            byte: from.1,
        },
        to: Place { file: to.0, byte: to.1 },
    };
    let stretches: BTreeMap<usize, Option<Stretch>> = part((1, 5), (3, 7))
        .files()
        .map(|index| (index, part((1, 5), (3, 7)).of_file(index, 10)))
        .collect();
    let stretch = |from, to| Some(Stretch { from, to });
    assert_eq!(stretches, [(1, stretch(5, 10)), (2, None), (3, stretch(0, 7))].into());
    assert_eq!(part((0, 0), (2, 0)).files(), 0..2);
    assert!(part((0, 0), (1, 3)).ends(0, 10) && !part((0, 0), (1, 3)).ends(1, 10));
}
