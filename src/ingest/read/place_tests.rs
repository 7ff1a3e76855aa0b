//! Checks the record numbers and byte offsets of refusals, in all text formats and in truncated files. Offsets count in
//! the decompressed file.

use super::super::testing::{field, patients, read_with, required, source};
use super::tests::{bzip2, gzip, people, write, zstd};
use super::*;
use crate::model::OnMalformed;
use crate::model::{FieldType, RecordPath, RecordStep};

/// In a truncated compressed file, the records before the cut are read, and the rest is one refusal.
#[tokio::test]
async fn a_truncated_file_is_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let records = people(2000);
    let lines = records.join("\n");
    let array = format!("[{}]", records.join(","));
    for (name, format, text) in [
        ("a.ndjson", Format::Ndjson, &lines),
        ("a.json", Format::Json, &array),
        ("b.json", Format::Json, &lines),
    ] {
        for (ending, encode) in [("gz", gzip as fn(&[u8]) -> Vec<u8>), ("zst", zstd), ("bz2", bzip2)] {
            let whole_file = encode(text.as_bytes());
            for (length, least) in [(whole_file.len() - 1, 1999), (whole_file.len() / 2, 800), (12, 0)] {
                let name = format!("{name}.{ending}");
                write(folder.path(), &name, &whole_file[..length]);
                let mut source = source(&name, format, patients());
                source.input.on_malformed = OnMalformed::Quarantine;
                for parallelism in [1, 2] {
                    let stats = Arc::new(ReadStats::default());
                    let error = read_with(folder.path(), &source, parallelism, &stats)
                        .await
                        .unwrap_err();
                    assert!(error.message.contains("is truncated"), "{name} {length}: {error}");
                    let accepted = stats.records.load(Ordering::Relaxed);
                    assert_eq!(stats.read.load(Ordering::Relaxed), accepted + 1, "{name} {length}");
                    if ending == "gz" {
                        // The other formats decompress whole blocks only, so nothing is known about a cut block.
                        assert!(accepted >= least, "{name} {length}: {accepted}");
                    }
                    let entries = stats.take_refused();
                    let [entry] = &entries[..] else { panic!("{entries:?}") };
                    assert_eq!((&*entry.check, entry.record), ("unreadable", Some(accepted + 1)));
                    let from = usize::try_from(entry.byte_offset.unwrap()).unwrap();
                    let end = usize::try_from(entry.fault_offset.unwrap()).unwrap();
                    assert!(from <= end && end <= text.len(), "{name} {length}: {entry:?}");
                    let reason = format!(
                        "an unreadable stretch to the end of the file, of which {} bytes could be decompressed: the \
                         file's ",
                        end - from
                    );
                    assert!(entry.reason.starts_with(&reason), "{entry:?}");
                    // The rest starts at the first record that is not read, apart from commas and newlines before it.
                    let before: usize = records
                        .iter()
                        .take(usize::try_from(accepted).unwrap())
                        .map(String::len)
                        .sum();
                    let separators = usize::try_from(accepted).unwrap() + 1;
                    assert!(
                        (before..=before + separators).contains(&from),
                        "{name} {length}: {entry:?}"
                    );
                }
            }
        }
    }
}

/// Damage at a known byte, in every text format, compressed or not, with and without a byte order mark.
#[tokio::test]
async fn offsets_count_in_the_decompressed_file() {
    let folder = tempfile::tempdir().unwrap();
    let array = "[{\"id\":\"é\"} ,\n {\"id\":7},{\"id\":\"c\"}]";
    let lines = "{\"id\":\"é\"}\r\n\n  {\"id\":7}\n{\"id\":\"c\"}";
    let documents = "{\"id\":\"é\"} {\"id\":7}{\"id\":\"c\"}";
    let nested = "{\"id\":{\"id\":7},\"e\":[{\"id\":\"a\"},{\"id\":7},{\"id\":\"c\"}]}";
    let rows = "id,age\r\n\"é\n,\",1\r\n\"b\"\"\",x\r\nc,3\r\n";
    for (name, format, text, bad) in [
        ("a.json", Format::Json, array, "{\"id\":7}"),
        ("a.ndjson", Format::Ndjson, lines, "{\"id\":7}"),
        ("b.json", Format::Json, documents, "{\"id\":7}"),
        ("c.json", Format::Json, nested, "{\"id\":7},{"),
        ("a.csv", Format::Csv, rows, "\"b\"\"\",x"),
    ] {
        for bom in ["", "\u{feff}"] {
            let text = format!("{bom}{text}");
            let offset = text.find(bad).unwrap() as u64;
            write(folder.path(), name, &text);
            write(folder.path(), &format!("{name}.gz"), gzip(text.as_bytes()));
            for name in [name.to_owned(), format!("{name}.gz")] {
                let schema = vec![required(field("id", FieldType::String)), field("age", FieldType::Int)];
                let mut source = source(&name, format, schema);
                source.input.on_malformed = OnMalformed::Quarantine;
                if name.starts_with('c') {
                    source.input.records = RecordPath(vec![RecordStep::Key("e".into()), RecordStep::Each]);
                }
                let stats = Arc::new(ReadStats::default());
                let batches = read_with(folder.path(), &source, 2, &stats).await.unwrap();
                assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2, "{name}");
                let entries = stats.take_refused();
                let [entry] = &entries[..] else { panic!("{entries:?}") };
                assert_eq!(
                    (entry.record, entry.byte_offset),
                    (Some(2), Some(offset)),
                    "{name} {bom:?}"
                );
            }
        }
    }
}
