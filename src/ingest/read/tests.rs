use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicUsize;

use arrow::array::AsArray;
use arrow::compute::concat_batches;
use arrow::datatypes::UInt64Type;
use futures::TryStreamExt;

use super::super::list;
use super::super::testing::{day, field, patients, read, read_with, required, source, unknown};
use super::*;
use crate::error::Error;
use crate::error::Kind;
use crate::model::RECORD_COLUMN;
use crate::model::{FieldType, OnMissing, RecordPath, RecordStep};
use crate::model::{OnEmpty, OnMalformed, arrow_schema};

pub(super) fn write(root: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

pub(super) fn people(count: usize) -> Vec<String> {
    let person = |index| {
        format!(
            r#"{{"id":"p{index}","age":{index},"visits":[{{"visit_id":"v{index}","date":"2023-05-01","codes":["é{index}",null]}}]}}"#
        )
    };
    (0..count).map(person).collect()
}

pub(super) fn whole(batches: &[RecordBatch]) -> RecordBatch {
    concat_batches(&batches[0].schema(), batches).unwrap()
}

pub(super) async fn error(root: &Path, source: &Source) -> Error {
    match read(root, source, 2).await {
        Ok(batches) => panic!(
            "{} rows and no error",
            batches.iter().map(RecordBatch::num_rows).sum::<usize>()
        ),
        Err(error) => error,
    }
}

#[tokio::test]
async fn every_form_of_json_gives_the_same_on_one_core_and_on_two() {
    let folder = tempfile::tempdir().unwrap();
    let people = people(200);
    let array = format!("[{}]", people.join(",\n"));
    let lines = people.join("\r\n");
    let halves = [people[..99].join("\n") + "\n", people[99..].join("\n")];
    let two = |encode: fn(&[u8]) -> Vec<u8>| [encode(halves[0].as_bytes()), encode(halves[1].as_bytes())].concat();
    write(folder.path(), "array.json", &array);
    write(folder.path(), "in_a_row.json", people.join(""));
    write(folder.path(), "array.json.gz", gzip(array.as_bytes()));
    write(folder.path(), "lines.ndjson", &lines);
    write(folder.path(), "lines.ndjson.gz", two(gzip));
    write(folder.path(), "lines.ndjson.zst", two(zstd));
    write(folder.path(), "lines.ndjson.bz2", two(bzip2));
    let mut seen = Vec::new();
    for (name, format) in [
        ("array.json", Format::Json),
        ("in_a_row.json", Format::Json),
        ("array.json.gz", Format::Json),
        ("lines.ndjson", Format::Ndjson),
        ("lines.ndjson", Format::Json),
        ("lines.ndjson.gz", Format::Ndjson),
        ("lines.ndjson.zst", Format::Ndjson),
        ("lines.ndjson.bz2", Format::Ndjson),
    ] {
        for parallelism in [1, 2] {
            let stats = Arc::new(ReadStats::default());
            let source = source(name, format, patients());
            let batches = read_with(folder.path(), &source, parallelism, &stats).await.unwrap();
            assert!(batches.len() > 10, "chunks are small in tests");
            assert_eq!(stats.records.load(Ordering::Relaxed), 200);
            let size = std::fs::metadata(folder.path().join(name)).unwrap().len();
            assert_eq!(stats.bytes.load(Ordering::Relaxed), size, "{name}");
            seen.push(whole(&batches));
        }
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    let numbers = seen[0]
        .column_by_name(RECORD_COLUMN)
        .unwrap()
        .as_primitive::<UInt64Type>();
    assert_eq!(numbers.values().to_vec(), (1..=200).collect::<Vec<u64>>());
}

#[tokio::test]
async fn files_come_in_order_and_number_their_own_records() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.json", "a.json", "c/d.json", "_d.json", "e.json.tmp", ".f.json"] {
        write(
            folder.path(),
            &format!("in/20230502/{name}"),
            r#"[{"id":"1"},{"id":"2"}]"#,
        );
    }
    write(folder.path(), "in/20230503/a.json", r#"[{"id":"1"}]"#);
    let source = source("in/{date:%Y%m%d}/**/*.json", Format::Json, patients());
    let listing = list(folder.path(), &source, day()).await.unwrap().unwrap();
    let paths: Vec<_> = listing.files().iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, [1, 2, 3].map(|place| format!("in/20230502/**/*.json#{place}")));
    let names: Vec<_> = listing.names().map(|(_, name)| name).collect();
    for (name, end) in names.iter().zip(["a.json", "b.json", "c/d.json"]) {
        assert!(name.ends_with(&format!("in/20230502/{end}")), "{name}");
    }
    assert!(
        listing
            .files()
            .iter()
            .all(|file| file.size == 23 && file.etag.is_some())
    );
    let batches = read(folder.path(), &source, 2).await.unwrap();
    let whole = whole(&batches);
    let numbers = whole
        .column_by_name(RECORD_COLUMN)
        .unwrap()
        .as_primitive::<UInt64Type>();
    let places: Vec<_> = numbers
        .values()
        .iter()
        .map(|number| listing.locate(*number).to_string())
        .collect();
    assert_eq!(places[0], "in/20230502/**/*.json#1, record 1");
    assert_eq!(places[5], "in/20230502/**/*.json#3, record 2");
    assert_eq!(listing.locate(9 << 40 | 3).to_string(), "record 3");
    assert_eq!(batches[0].schema(), arrow_schema(&source.kinds[0]));
}

#[tokio::test]
async fn a_missing_input_is_an_error_or_none() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("in/2023-05-02")).unwrap();
    for path in [
        "in/{date}",
        "in/{date}/*.json",
        "in/{date}/x.json",
        "none/x.json",
        "none/**/*.json",
        "in/{date}/**",
    ] {
        let mut source = source(path, Format::Json, patients());
        let error = list(folder.path(), &source, day()).await.unwrap_err();
        let shown = path.replace("{date}", "2023-05-02");
        assert_eq!(
            error.to_string(),
            format!("the input of test 2023-05-02 is missing: {shown}")
        );
        assert_eq!(error.kind, Kind::Batch);
        source.input.on_missing = OnMissing::Skip;
        assert!(list(folder.path(), &source, day()).await.unwrap().is_none());
    }
    for url in ["https://example.org/*.json", "https://example.org/a.json?token=CANARY"] {
        let source = source(url, Format::Json, patients());
        let error = list(folder.path(), &source, day()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Project);
        assert!(error.message.contains("nothing can be listed"), "{error}");
        assert!(!format!("{error:?}").contains("CANARY"));
    }
}

#[tokio::test]
async fn an_empty_input_is_an_error_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("a.json", "[]"), ("b.json", ""), ("c.json", " \n")] {
        write(folder.path(), name, text);
        let mut source = source(name, Format::Json, patients());
        let failed = error(folder.path(), &source).await;
        assert_eq!(failed.to_string(), format!("the input of test holds no record: {name}"));
        assert!(failed.hint.is_some());
        source.input.on_empty = OnEmpty::Replace;
        assert!(read(folder.path(), &source, 1).await.unwrap().is_empty());
    }
    // One of several files may be empty.
    write(folder.path(), "d.json", people(1).concat());
    assert_eq!(
        read(folder.path(), &source("*.json", Format::Json, patients()), 1)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_compressed_file_cut_or_lengthened_anywhere_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let text = people(3).join("\n");
    for (ending, encode) in [("gz", gzip as fn(&[u8]) -> Vec<u8>), ("zst", zstd), ("bz2", bzip2)] {
        let name = format!("a.ndjson.{ending}");
        let mut source = source(&name, Format::Ndjson, patients());
        let bytes = encode(text.as_bytes());
        for length in 0..bytes.len() {
            write(folder.path(), &name, &bytes[..length]);
            let error = error(folder.path(), &source).await;
            assert!(error.message.starts_with(&name), "{length}: {error}");
            assert_eq!(error.kind, Kind::Batch);
        }
        // With `fail`, a record spoilt by the garbage would be the first error.
        source.input.on_malformed = OnMalformed::Quarantine;
        for garbage in [
            &b"x"[..],
            b"\0",
            b"garbage that goes on",
            &bytes[..1],
            &bytes[..bytes.len() - 1],
        ] {
            write(folder.path(), &name, [&bytes, garbage].concat());
            let error = error(folder.path(), &source).await;
            assert!(
                error.message.contains("can't be read at byte"),
                "{ending} {garbage:?}: {error}"
            );
        }
        source.input.on_malformed = OnMalformed::Fail;
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x20;
            write(folder.path(), &name, &damaged);
            // A flipped bit in a header (time, name) may do no harm. Then all records must be there.
            if let Ok(batches) = read(folder.path(), &source, 1).await {
                assert_eq!(whole(&batches).num_rows(), 3, "{ending} {at}");
            }
        }
    }
}

#[tokio::test]
async fn the_message_of_a_truncated_gzip() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = gzip(people(50).join("\n").as_bytes());
    write(folder.path(), "a.ndjson.gz", &bytes[..bytes.len() - 10]);
    let error = error(folder.path(), &source("a.ndjson.gz", Format::Ndjson, patients())).await;
    let length = bytes.len() - 10;
    assert_eq!(
        error.message,
        format!("a.ndjson.gz is truncated: its gzip data can't be read at byte {length}")
    );
    assert_eq!(error.hint.as_deref(), Some("deliver the file again, whole"));
}

#[tokio::test]
async fn a_file_that_changes_after_it_was_listed_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let source = source("a.json", Format::Json, patients());
    for after in [
        people(6).concat(),
        people(2).concat(),
        people(4).concat().replace("2023-05-01", "2023-05-03"),
    ] {
        write(folder.path(), "a.json", people(4).concat());
        let listing = list(folder.path(), &source, day()).await.unwrap().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        write(folder.path(), "a.json", after);
        let result: Result<Vec<_>> = listing.read(&source, 1, Arc::default()).try_collect().await;
        assert_eq!(result.unwrap_err().to_string(), "a.json changed while it was read");
    }
}

#[tokio::test]
async fn a_bad_record_fails_the_batch_with_its_place_and_no_value() {
    let folder = tempfile::tempdir().unwrap();
    let mut people = people(20);
    people[16] = people[16].replace("2023-05-01", "CANARY");
    let offset = people[..16].iter().map(|person| person.len() + 1).sum::<usize>();
    write(folder.path(), "in/a.ndjson", people.join("\n"));
    for parallelism in [1, 2] {
        let error = read(
            folder.path(),
            &source("in/a.ndjson", Format::Ndjson, patients()),
            parallelism,
        )
        .await
        .unwrap_err();
        assert_eq!(error.kind, Kind::Batch);
        assert_eq!(
            error.message,
            format!("in/a.ndjson, record 17 at byte {offset} can't be decoded")
        );
        let at = offset + people[16].find("\"CANARY").unwrap();
        let cause = format!("$.visits[].date: not a date (yyyy-mm-dd) at byte {at}");
        assert_eq!(error.why().as_deref(), Some(cause.as_str()));
        assert!(!format!("{error:?}").contains("CANARY"));
    }
}

#[tokio::test]
async fn a_stream_ends_after_its_error() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "a.json",
        format!("{}{{\"id\":1}}{}", people(5).concat(), people(5).concat()),
    );
    let source = source("a.json", Format::Json, patients());
    let listing = list(folder.path(), &source, day()).await.unwrap().unwrap();
    let results: Vec<_> = listing.read(&source, 2, Arc::default()).collect().await;
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
    assert!(results.last().unwrap().is_err());
}

#[tokio::test]
async fn a_dropped_stream_stops_reading() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.json", people(3000).concat());
    let source = source("a.json", Format::Json, patients());
    let stats = Arc::new(ReadStats::default());
    let listing = list(folder.path(), &source, day()).await.unwrap().unwrap();
    let mut stream = listing.read(&source, 1, Arc::clone(&stats));
    stream.next().await.unwrap().unwrap();
    drop(stream);
    // The reading thread holds the listing. Once it has stopped, only this test does.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while Arc::strong_count(&listing.handles) > 1 {
        assert!(std::time::Instant::now() < deadline, "the reading thread goes on");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn records_inside_a_wrapper() {
    let folder = tempfile::tempdir().unwrap();
    let entries: Vec<_> = people(30)
        .iter()
        .map(|person| format!("{{\"url\":\"x\",\"resource\":{person}}}"))
        .collect();
    let bundle = format!("{{\"type\":\"Bundle\",\"entry\":[{}],\"total\":30}}", entries.join(","));
    write(folder.path(), "a.json", &bundle);
    write(folder.path(), "a.ndjson", format!("{bundle}\n{bundle}\n"));
    let key = |key: &str| RecordStep::Key(key.to_owned());
    for (name, format, count) in [("a.json", Format::Json, 30), ("a.ndjson", Format::Ndjson, 60)] {
        let mut source = source(name, format, patients());
        source.input.records = RecordPath(vec![key("entry"), RecordStep::Each, key("resource")]);
        assert_eq!(whole(&read(folder.path(), &source, 2).await.unwrap()).num_rows(), count);
    }
}

#[tokio::test]
async fn csv_reads_by_header_or_by_order() {
    let folder = tempfile::tempdir().unwrap();
    let schema = || vec![required(field("id", FieldType::String)), field("age", FieldType::Int)];
    let mut rows: Vec<_> = (0..100).map(|index| format!("{index},x,\"p\n{index}\"")).collect();
    rows.insert(0, "age,other,id".to_owned());
    write(folder.path(), "a.csv", rows.join("\r\n"));
    let stats = Arc::new(ReadStats::default());
    let batches = read_with(folder.path(), &source("a.csv", Format::Csv, schema()), 2, &stats)
        .await
        .unwrap();
    let all = whole(&batches);
    assert_eq!(all.column(0).as_string::<i32>().value(99), "p\n99");
    assert_eq!(unknown(&stats), [("$".to_owned(), 100)]);
    write(folder.path(), "b.csv", "a;1\nb;\n");
    let mut plain = source("b.csv", Format::Csv, schema());
    plain.input.csv.header = false;
    plain.input.csv.delimiter = b';';
    assert_eq!(whole(&read(folder.path(), &plain, 1).await.unwrap()).num_rows(), 2);
    write(folder.path(), "c.csv", "age\n1\n");
    let error = error(folder.path(), &source("c.csv", Format::Csv, schema())).await;
    assert_eq!(
        error.to_string(),
        "c.csv can't be split into records at byte 0: the header lacks the required column(s) `id`"
    );
    write(folder.path(), "d.csv", "id\n1\n2\n");
    let all = whole(
        &read(folder.path(), &source("d.csv", Format::Csv, schema()), 1)
            .await
            .unwrap(),
    );
    assert_eq!((all.num_rows(), all.column(1).null_count()), (2, 2));
}

#[tokio::test]
async fn undeclared_fields_and_cut_times_are_warned_of_once_per_batch() {
    static WARNINGS: AtomicUsize = AtomicUsize::new(0);
    struct Count;
    impl tracing::Subscriber for Count {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            *metadata.level() == tracing::Level::WARN
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, _: &tracing::Event<'_>) {
            WARNINGS.fetch_add(1, Ordering::Relaxed);
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }
    let _guard = tracing::subscriber::set_default(Count);
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "a.json",
        r#"{"id":"1","x":1,"at":"2023-05-01T10:00:00.1234567","visits":[{"visit_id":"v","y":1}]}"#.repeat(10),
    );
    let mut fields = patients();
    fields.push(field("at", FieldType::Timestamp(vec![])));
    let source = source("a.json", Format::Json, fields);
    let listing = list(folder.path(), &source, day()).await.unwrap().unwrap();
    for _ in 0..3 {
        let stats = Arc::new(ReadStats::default());
        let _: Vec<_> = listing
            .read(&source, 2, Arc::clone(&stats))
            .try_collect()
            .await
            .unwrap();
        assert_eq!(unknown(&stats), [("$".to_owned(), 10), ("$.visits[]".to_owned(), 10)]);
    }
    assert_eq!(WARNINGS.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn small_files_are_decoded_into_full_batches() {
    let folder = tempfile::tempdir().unwrap();
    for number in 100..130 {
        write(
            folder.path(),
            &format!("in/{number}.json"),
            format!(r#"{{"id":"{number}"}}"#),
        );
    }
    // A refusal names its file, although several files are decoded together.
    write(folder.path(), "in/115.json", r#"{"id":115}"#);
    let mut source = source("in/*.json", Format::Json, patients());
    source.input.on_malformed = OnMalformed::Quarantine;
    let stats = Arc::new(ReadStats::default());
    let batches = super::super::testing::read_with(folder.path(), &source, 2, &stats)
        .await
        .unwrap();
    assert_eq!(batches.len(), 10, "three records each, as of one file");
    let ids = whole(&batches);
    let ids = ids.column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>();
    let expected: Vec<_> = (100..130).filter(|id| *id != 115).map(|id| id.to_string()).collect();
    assert_eq!(ids, expected);
    let refused = stats.take_refused();
    let place = (refused[0].file.as_deref(), refused[0].record, refused[0].byte_offset);
    assert_eq!(place, (Some("in/*.json#16"), Some(1), Some(0)));
}

#[tokio::test]
async fn records_before_a_file_that_fails_are_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "in/1.json", r#"{"id":"1"}"#);
    write(folder.path(), "in/2.json", r#"{"id":"2"}"#);
    write(folder.path(), "in/3.json", r#"{"id":"3""#);
    let source = source("in/*.json", Format::Json, patients());
    let listing = list(folder.path(), &source, day()).await.unwrap().unwrap();
    let items: Vec<_> = listing.read(&source, 2, Arc::default()).collect().await;
    assert_eq!(items.len(), 2);
    let mut items = items.into_iter();
    assert_eq!(items.next().unwrap().unwrap().into_inner().num_rows(), 2);
    let error = items.next().unwrap().err().unwrap();
    assert!(error.message.starts_with("in/*.json#3 "), "{error}");
}
