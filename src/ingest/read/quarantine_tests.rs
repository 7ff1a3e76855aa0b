//! Reads files with damaged records among good ones. The good ones load, and each damaged one is refused with its
//! record number and byte offset.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use futures::TryStreamExt;
use proptest::prelude::*;

use super::super::list;
use super::super::testing::{field, patients, read_with, source};
use super::tests::{people, whole, write};
use super::*;
use crate::model::RECORD_COLUMN;
use crate::model::{FieldType, OnMalformed, OnUnknownField};

const GOOD: usize = 1000;
const BAD: usize = 40;

/// A damaged record after which the next record can be found. It has no newline.
fn damaged(index: usize) -> Vec<u8> {
    let deep = |open: &str, close: &str| {
        format!(
            "{{\"id\":\"x\",\"deep\":{}1{}}}",
            open.repeat(10_000),
            close.repeat(10_000)
        )
    };
    let text = match index % 20 {
        0 => r#"{"id":"CANARY\q"}"#.to_owned(),
        1 => r#"{"id":"CANARY\ud800"}"#.to_owned(),
        2 => return b"{\"id\":\"CANARY\xff\xfe\"}".to_vec(),
        3 => "{\"id\":\"CANARY\0\"}".to_owned(),
        4 => r#"{"id":"CANARY","age":1e999}"#.to_owned(),
        5 => deep("[", "]"),
        6 => deep("{\"a\":", "}"),
        7 => r#"{"id":"CANARY","age":"CANARY"}"#.to_owned(),
        8 => r#"{"id":"CANARY","visits":{"visit_id":"v"}}"#.to_owned(),
        9 => r#"{"id":"CANARY","visits":[{"visit_id":"v","date":"CANARY"}]}"#.to_owned(),
        10 => r#"{"id":"CANARY","visits":[{"visit_id":"v","codes":["a",5]}]}"#.to_owned(),
        11 => r#"{"id":"CANARY","id":"CANARY"}"#.to_owned(),
        12 => r#"{"id":"x","CANARY":1,"CANARY":2}"#.to_owned(),
        13 => r#"{"id":"CANARY",}"#.to_owned(),
        14 => r#"{"id":"CANARY","age":NaN}"#.to_owned(),
        15 => r#"{"age":5}"#.to_owned(),
        16 => r#"{"id":"CANARY","visits":[{"date":"2023-05-01"}]}"#.to_owned(),
        17 => r#"[{"id":"CANARY"}]"#.to_owned(),
        18 => r#""CANARY""#.to_owned(),
        _ => "17".to_owned(),
    };
    text.into_bytes()
}

/// The bytes of a file, and the record number and byte offset of each bad record.
fn mixed(as_array: bool) -> (Vec<u8>, Vec<(u64, u64)>) {
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    let good = people(GOOD);
    let mut good = good.iter();
    if as_array {
        bytes.push(b'[');
    }
    for index in 0..GOOD + BAD {
        if index > 0 {
            bytes.extend_from_slice(if as_array { b", " } else { b"\n" });
        }
        if index % 26 == 13 {
            places.push((index as u64 + 1, bytes.len() as u64));
            bytes.extend(damaged(places.len() - 1));
        } else {
            bytes.extend_from_slice(good.next().unwrap().as_bytes());
        }
    }
    if as_array {
        bytes.push(b']');
    }
    assert_eq!((places.len(), good.next()), (BAD, None));
    (bytes, places)
}

#[tokio::test]
async fn a_thousand_good_and_forty_damaged() {
    let folder = tempfile::tempdir().unwrap();
    for (name, format, as_array) in [
        ("in/a.ndjson", Format::Ndjson, false),
        ("in/a.json", Format::Json, true),
    ] {
        let (bytes, places) = mixed(as_array);
        write(folder.path(), name, bytes);
        // Another file comes first, so that the index of this one is not 0.
        write(folder.path(), &format!("in/0.{}", &name[5..]), people(1).concat());
        for parallelism in [1, 2] {
            let mut source = source(&format!("in/*.{}", &name[5..]), format, patients());
            source.input.on_malformed = OnMalformed::Quarantine;
            let stats = Arc::new(ReadStats::default());
            let batches = read_with(folder.path(), &source, parallelism, &stats).await.unwrap();
            let all = whole(&batches);
            assert_eq!(all.num_rows(), GOOD + 1, "{name}");
            assert_eq!(stats.records.load(Ordering::Relaxed), GOOD as u64 + 1);
            assert_eq!(stats.read.load(Ordering::Relaxed), (GOOD + BAD) as u64 + 1);
            let entries = stats.take_refused();
            let found: Vec<_> = entries
                .iter()
                .map(|entry| (entry.record.unwrap(), entry.byte_offset.unwrap()))
                .collect();
            assert!(
                entries
                    .iter()
                    .all(|entry| entry.file == Some(format!("in/*.{}#2", &name[5..])))
            );
            let wanted = places.clone();
            assert_eq!(found, wanted, "{name} on {parallelism}");
            assert!(!format!("{entries:?}").contains("CANARY"));
            assert_eq!(entries[15].path.as_deref(), Some("$.id"));
            assert_eq!(entries[15].reason, "required, but missing");
            // The good records have their own numbers, and none has the number of a bad one.
            let numbers = all.column_by_name(RECORD_COLUMN).unwrap().as_primitive::<UInt64Type>();
            let numbers: BTreeSet<u64> = numbers.values().iter().copied().collect();
            assert!(
                numbers.len() == GOOD + 1
                    && wanted
                        .iter()
                        .all(|(record, _)| !numbers.contains(&(1 << crate::model::RECORD_BITS | record)))
            );
        }
    }
}

#[tokio::test]
async fn damage_without_an_end_fails_with_its_bytes_and_what_came_before() {
    let folder = tempfile::tempdir().unwrap();
    let good = people(9);
    for (tail, part) in [
        (r#",{"id":"CANARY","visits":[1},{"id":"2"}]"#, "a bracket closes"),
        (r#",{"id":"CANARY},{"id":"2"}]"#, "a quote is not closed"),
        (r#",{"id":"CANARY""#, "a bracket is not closed"),
        ("", "a document that is not closed"),
    ] {
        let text = format!("[{}{tail}", good.join(","));
        write(folder.path(), "a.json", &text);
        for parallelism in [1, 2] {
            let mut source = source("a.json", Format::Json, patients());
            source.input.on_malformed = OnMalformed::Quarantine;
            let stats = Arc::new(ReadStats::default());
            let listing = list(folder.path(), &source, super::super::testing::day())
                .await
                .unwrap()
                .unwrap();
            let mut stream = listing.read(&source, parallelism, Arc::clone(&stats));
            let mut rows = 0;
            let error = loop {
                match stream.try_next().await {
                    Ok(batch) => rows += batch.expect("an error at the end").num_rows(),
                    Err(error) => break error,
                }
            };
            assert_eq!(rows, 9, "{tail}");
            assert!(error.to_string().contains("can't be split"), "{error}");
            let entries = stats.take_refused();
            let [entry] = &entries[..] else { panic!("{entries:?}") };
            assert_eq!((&*entry.check, entry.record), ("unreadable", Some(10)));
            let from = usize::try_from(entry.byte_offset.unwrap()).unwrap();
            assert!(
                entry
                    .reason
                    .starts_with(&format!("an unreadable stretch of {} bytes", text.len() - from)),
                "{entry:?}"
            );
            assert!(entry.reason.contains(part), "{entry:?}");
            assert_eq!(&text[from..], tail.strip_prefix(',').unwrap_or(tail));
            assert!(!format!("{entries:?} {error:?}").contains("CANARY"));
        }
    }
}

#[tokio::test]
async fn undeclared_fields_fail_the_batch_where_the_source_says_so() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.json", r#"[{"id":"1"},{"id":"2","CANARY":1}]"#);
    let mut source = source("a.json", Format::Json, patients());
    source.input.on_malformed = OnMalformed::Quarantine;
    source.kinds[0].on_unknown_field = OnUnknownField::Fail;
    let error = super::tests::error(folder.path(), &source).await;
    assert!(error.message.contains("record 2"), "{error}");
    assert!(!format!("{error:?}").contains("CANARY"));
}

#[tokio::test]
async fn an_undeclared_column_fails_the_batch_where_the_source_says_so() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.csv", "id,more\n1,CANARY\n2,CANARY\n");
    let mut source = source("a.csv", Format::Csv, vec![field("id", FieldType::String)]);
    source.input.on_malformed = OnMalformed::Quarantine;
    source.kinds[0].on_unknown_field = OnUnknownField::Fail;
    let error = super::tests::error(folder.path(), &source).await;
    assert!(error.message.contains("record 1"), "{error}");
    assert!(!format!("{error:?}").contains("CANARY"));
}

#[tokio::test]
async fn an_input_of_damaged_records_alone_is_not_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.json", r#"[{"id":1},{"id":2}]"#);
    let mut source = source("a.json", Format::Json, patients());
    source.input.on_malformed = OnMalformed::Quarantine;
    let stats = Arc::new(ReadStats::default());
    let batches = read_with(folder.path(), &source, 1, &stats).await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
    assert_eq!(stats.take_refused().len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Random bytes of random records are overwritten. Every record is loaded or refused. In ndjson, the untouched ones
    /// load.
    #[test]
    fn random_damage_touches_no_neighbour(hits in prop::collection::vec((0..60_usize, 0..200_usize, any::<u8>()), 1..12)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut records: Vec<Vec<u8>> = people(60).into_iter().map(String::into_bytes).collect();
        let mut touched = BTreeSet::new();
        for (record, at, byte) in hits {
            let length = records[record].len();
            // A newline would make two lines of one record. That is not damage within a record.
            records[record][at % length] = if byte == b'\n' { b'x' } else { byte };
            touched.insert(record as u64 + 1);
        }
        write(folder.path(), "a.ndjson", records.join(&b'\n'));
        write(folder.path(), "a.json", [&b"["[..], &records.join(&b','), b"]"].concat());
        for (name, format) in [("a.ndjson", Format::Ndjson), ("a.json", Format::Json)] {
            let mut source = source(name, format, patients());
            source.input.on_malformed = OnMalformed::Quarantine;
            let stats = Arc::new(ReadStats::default());
            let read = runtime.block_on(read_with(folder.path(), &source, 2, &stats));
            let entries = stats.take_refused();
            let Ok(batches) = read else {
                // This happens only in an array, where a quote or a bracket is gone.
                prop_assert_eq!(format, Format::Json);
                prop_assert_eq!(entries.iter().filter(|entry| entry.check == "unreadable").count(), 1);
                continue;
            };
            let all = whole(&batches);
            let numbers = all.column_by_name(RECORD_COLUMN).unwrap().as_primitive::<UInt64Type>();
            let loaded: BTreeSet<u64> = numbers.values().iter().copied().collect();
            let refused: BTreeSet<u64> = entries.iter().filter_map(|entry| entry.record).collect();
            prop_assert_eq!(loaded.len() as u64, stats.records.load(Ordering::Relaxed));
            prop_assert_eq!(refused.len(), entries.len());
            prop_assert!(loaded.is_disjoint(&refused));
            let every: BTreeSet<u64> = loaded.union(&refused).copied().collect();
            prop_assert_eq!(&every, &(1..=every.len() as u64).collect::<BTreeSet<_>>());
            if format == Format::Ndjson {
                prop_assert_eq!(every.len(), 60);
                prop_assert!(refused.is_subset(&touched), "{:?} of {:?}", refused, touched);
            }
        }
    }
}
