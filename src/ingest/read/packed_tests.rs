//! Reads files whose content, and not their name, says how they are compressed and encoded.

use super::super::testing::field;
use super::super::testing::{patients, read_with, required, source};
use super::super::zip::tests::{Packed, zip};
use super::tests::{bzip2, error, gzip, people, write, zstd};
use super::*;
use crate::model::{Compression, Encoding, FieldType, OnMalformed, Refusal};

fn zipped(bytes: &[u8]) -> Vec<u8> {
    zip(&[("a.json", bytes)], Packed::Streamed)
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

type Pack = fn(&[u8]) -> Vec<u8>;

const PACKS: [Pack; 5] = [plain, gzip, bzip2, zstd, zipped];

/// Reads with `on_malformed: quarantine`. Returns the number of accepted records, and the refusals.
async fn tolerant(root: &std::path::Path, source: &Source) -> (usize, Vec<Refusal>, Option<crate::error::Error>) {
    let mut source = source.clone();
    source.input.on_malformed = OnMalformed::Quarantine;
    let stats = Arc::new(ReadStats::default());
    let error = read_with(root, &source, 2, &stats).await.err();
    let accepted = usize::try_from(stats.records.load(Ordering::Relaxed)).unwrap();
    (accepted, stats.take_refused(), error)
}

#[tokio::test]
async fn the_content_says_how_a_file_is_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let text = people(300).concat();
    for pack in PACKS {
        for name in ["a", "a.json", "a.json.gz", "a.JSON.GZ", "a.Zst", "a.zip", "a.bz2"] {
            write(folder.path(), name, pack(text.as_bytes()));
            let (accepted, refused, failed) = tolerant(folder.path(), &source(name, Format::Json, patients())).await;
            assert_eq!((accepted, refused.len()), (300, 0), "{name} {refused:?} {failed:?}");
        }
    }
}

#[tokio::test]
async fn what_is_declared_still_counts() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.json", gzip(people(2).concat().as_bytes()));
    let mut source = source("a.json", Format::Json, patients());
    source.input.compression = Some(Compression::Gzip);
    assert_eq!(tolerant(folder.path(), &source).await.0, 2);
    source.input.compression = Some(Compression::Zstd);
    let found = error(folder.path(), &source).await;
    assert_eq!(
        found.message,
        "a.json is gzip data, and its source says `compression: zstd`"
    );
    assert!(found.hint.unwrap().contains("take `compression` out"));
}

/// A file of another kind is one refusal, and the files beside it are read.
#[tokio::test]
async fn a_file_of_another_kind_is_refused_by_place_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let utf16: Vec<u8> = "[{\"id\":\"a\"}]".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, part) in [
        (b"\xFD7zXZ\0\0\x04\xE6\xD6\xB4\x46".to_vec(), "the file is an xz file"),
        (utf16.clone(), "the file is UTF-16 text: set `encoding: utf-16`"),
        (gzip(&utf16), "the file is UTF-16 text: set `encoding: utf-16`"),
        (gzip(&gzip(b"[]")), "the file is compressed twice: gzip holds gzip"),
        (
            b"PAR1\x15\x04\x15".to_vec(),
            "the file is a Parquet file: set `format: parquet`",
        ),
        (
            zip(&[("a", &[b' '; 100]), ("b", &[b' '; 100])], Packed::Deflated),
            "the file is a zip archive of several files",
        ),
    ] {
        write(folder.path(), "in/a.json", people(3).concat());
        write(folder.path(), "in/b.json", &bytes);
        write(folder.path(), "in/c.json", people(4).concat());
        let source = source("in/*.json", Format::Json, patients());
        let (accepted, refused, failed) = tolerant(folder.path(), &source).await;
        assert!(failed.is_none(), "{part}: {failed:?}");
        let [one] = &refused[..] else {
            panic!("{part}: {refused:?}")
        };
        assert_eq!((&*one.check, one.file.as_deref()), ("unreadable", Some("in/*.json#2")));
        assert!(one.reason.contains(part), "{part}: {}", one.reason);
        assert_eq!(accepted, 7, "{part}");
        // Alone, it fails the batch.
        write(folder.path(), "b.json", &bytes);
        let found = error(
            folder.path(),
            &super::super::testing::source("b.json", Format::Json, patients()),
        )
        .await;
        assert!(found.message.starts_with("b.json is "), "{found}");
        assert!(found.hint.is_some(), "{found}");
    }
}

/// The same for Parquet, whose end is read first.
#[tokio::test]
async fn a_file_that_is_no_parquet_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (bytes, part) in [
        (gzip(b"PAR1"), "a.parquet is gzip data and no Parquet file"),
        (
            b"7z\xBC\xAF\x27\x1C\0\x04\0\0\0\0".to_vec(),
            "a.parquet is a 7z archive",
        ),
    ] {
        write(folder.path(), "a.parquet", &bytes);
        let found = error(folder.path(), &source("a.parquet", Format::Parquet, patients())).await;
        assert!(found.message.starts_with(part), "{found}");
        assert!(found.hint.is_some(), "{found}");
    }
}

fn windows_1252(text: &str) -> Vec<u8> {
    text.chars()
        .map(|char| match char {
            '€' => 0x80,
            '\u{81}' => 0x81,
            char => u8::try_from(u32::from(char)).unwrap(),
        })
        .collect()
}

fn utf_16(text: &str) -> Vec<u8> {
    let marked = format!("\u{feff}{text}");
    marked.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// Texts in all formats come out, in whatever way they are compressed. A byte that is no character refuses its record
/// alone, and byte offsets count in the text as UTF-8.
#[tokio::test]
async fn texts_in_other_encodings_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let schema = || vec![required(field("id", FieldType::String))];
    for (name, format, text) in [
        ("a.csv", Format::Csv, "id\nMüller €\nba\u{81}d\nßß\n"),
        (
            "a.json",
            Format::Json,
            "[{\"id\":\"Müller €\"},{\"id\":\"ba\u{81}d\"},{\"id\":\"ßß\"}]",
        ),
        (
            "a.ndjson",
            Format::Ndjson,
            "{\"id\":\"Müller €\"}\n{\"id\":\"ba\u{81}d\"}\n{\"id\":\"ßß\"}",
        ),
    ] {
        let start = text.find("ba\u{81}d").unwrap() - if format == Format::Csv { 0 } else { 7 };
        let mut halved = utf_16(text);
        let at = halved.windows(2).position(|pair| pair == [0, 0x81]).unwrap();
        halved[at..at + 2].copy_from_slice(&[0xD8, 0]);
        for (encoding, bytes, said) in [
            (Encoding::Windows1252, windows_1252(text), "not valid windows-1252"),
            (Encoding::Utf16, halved, "not valid utf-16"),
        ] {
            for pack in PACKS {
                write(folder.path(), name, pack(&bytes));
                let mut source = source(name, format, schema());
                source.input.encoding = encoding;
                source.input.on_malformed = OnMalformed::Quarantine;
                let stats = Arc::new(ReadStats::default());
                let batches = read_with(folder.path(), &source, 2, &stats).await.unwrap();
                let values: Vec<String> = batches
                    .iter()
                    .flat_map(|batch| {
                        let column = arrow::array::AsArray::as_string::<i32>(batch.column(0));
                        column.iter().flatten().map(str::to_owned).collect::<Vec<_>>()
                    })
                    .collect();
                assert_eq!(values, ["Müller €", "ßß"], "{name} {encoding:?}");
                let refused = stats.take_refused();
                let [one] = &refused[..] else { panic!("{refused:?}") };
                assert_eq!(
                    (one.record, one.byte_offset),
                    (Some(2), Some(start as u64)),
                    "{name} {encoding:?}"
                );
                assert!(one.reason.starts_with(said), "{}", one.reason);
            }
        }
    }
}

/// An invalid byte beside the records is found, too, and so is one in a CSV header.
#[tokio::test]
async fn bytes_beside_the_records_are_read_in_the_encoding() {
    let folder = tempfile::tempdir().unwrap();
    let schema = || vec![required(field("id", FieldType::String))];
    let beside = windows_1252("{\"note\":\"\u{81}\",\"e\":[{\"id\":\"a\"}]}");
    write(folder.path(), "a.json", beside);
    let mut json = source("a.json", Format::Json, schema());
    json.input.encoding = Encoding::Windows1252;
    json.input.records = crate::model::RecordPath(vec![
        crate::model::RecordStep::Key("e".into()),
        crate::model::RecordStep::Each,
    ]);
    let found = error(folder.path(), &json).await;
    assert!(found.why().unwrap().starts_with("not valid windows-1252"), "{found}");
    write(folder.path(), "a.csv", windows_1252("id,\u{81}\n1,2\n"));
    let mut csv = source("a.csv", Format::Csv, schema());
    csv.input.encoding = Encoding::Windows1252;
    let found = error(folder.path(), &csv).await;
    assert!(
        found.why().unwrap().starts_with("the header is not valid windows-1252"),
        "{found}"
    );
}

/// Without `encoding`, a file that is not UTF-8 says where to look.
#[tokio::test]
async fn a_file_that_is_not_utf_8_points_to_the_key() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.csv", windows_1252("id\nMüller\nb\n"));
    let source = source("a.csv", Format::Csv, vec![required(field("id", FieldType::String))]);
    let (accepted, refused, _) = tolerant(folder.path(), &source).await;
    assert_eq!((accepted, refused.len()), (1, 1));
    assert!(refused[0].reason.contains("needs `encoding`"), "{}", refused[0].reason);
}

/// A zip archive that is cut anywhere is accounted for.
#[tokio::test]
async fn a_truncated_archive_is_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let whole = zipped(people(500).concat().as_bytes());
    for length in [whole.len() - 1, whole.len() - 30, whole.len() / 2, 20] {
        write(folder.path(), "a.json", &whole[..length]);
        let (accepted, refused, failed) = tolerant(folder.path(), &source("a.json", Format::Json, patients())).await;
        assert!(failed.unwrap().message.starts_with("a.json is truncated: its zip data"));
        let [one] = &refused[..] else { panic!("{refused:?}") };
        assert_eq!((&*one.check, one.record), ("unreadable", Some(accepted as u64 + 1)));
    }
}
