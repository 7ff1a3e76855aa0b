use proptest::prelude::*;
use proptest::sample::select;

use super::super::failure::no_text;
use super::*;
use crate::model::{CsvOptions, Encoding, FieldType, OnNoRecords, RecordPath, RecordStep};

/// Bytes that come in pieces of these sizes, the last size first. The rest comes as one piece.
struct Parts<'a> {
    bytes: &'a [u8],
    sizes: Vec<usize>,
}

impl Pieces for Parts<'_> {
    fn append(&mut self, buffer: &mut Vec<u8>) -> Result<usize> {
        let size = self.sizes.pop().unwrap_or(self.bytes.len()).min(self.bytes.len());
        let (piece, rest) = self.bytes.split_at(size);
        buffer.extend_from_slice(piece);
        self.bytes = rest;
        // An empty piece would mean the end, so the next size is used.
        if size == 0 && !rest.is_empty() {
            self.append(buffer)
        } else {
            Ok(size)
        }
    }
}

type Records = Vec<(u64, String)>;

fn split_pieces(mut scanner: Box<dyn Scanner>, bytes: &[u8], sizes: Vec<usize>) -> Result<Records, SplitFault> {
    let mut records = Vec::new();
    let mut parts = Parts { bytes, sizes };
    let result = split(7, &mut parts, scanner.as_mut(), &mut |chunk| {
        assert_eq!((chunk.file, chunk.first), (7, records.len() as u64 + 1));
        for span in &chunk.records {
            let text = String::from_utf8_lossy(&chunk.bytes[span.range.clone()]).into_owned();
            assert!(bytes[usize::try_from(span.offset).unwrap()..].starts_with(&chunk.bytes[span.range.clone()]));
            records.push((span.offset, text));
        }
        ControlFlow::Continue(())
    });
    match result {
        Ok(count) => {
            assert_eq!(count, records.len() as u64);
            Ok(records)
        }
        Err(Stopped::Split(unreadable)) => {
            // Every byte belongs to a record before the rest, or to the rest, which reaches to the end of the file.
            assert_eq!(unreadable.from + unreadable.bytes, bytes.len() as u64, "{unreadable:?}");
            assert_eq!(unreadable.record, records.len() as u64 + 1);
            assert!(
                records
                    .last()
                    .is_none_or(|(offset, text)| offset + text.len() as u64 <= unreadable.from)
            );
            Err(unreadable.fault)
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn path(steps: &[&str]) -> RecordPath {
    let step = |step: &&str| {
        if *step == "*" {
            RecordStep::Each
        } else {
            RecordStep::Key((*step).to_owned())
        }
    };
    RecordPath(steps.iter().map(step).collect())
}

fn json(steps: &[&str]) -> Box<dyn Scanner> {
    Box::new(JsonScanner::new(&path(steps), OnNoRecords::Refuse, Encoding::Utf8))
}

fn texts(steps: &[&str], text: &str) -> Vec<String> {
    let whole = split_pieces(json(steps), text.as_bytes(), Vec::new()).unwrap();
    // The records are the same where the text comes byte by byte, or in two pieces with any border.
    assert_eq!(
        split_pieces(json(steps), text.as_bytes(), vec![1; text.len()]).unwrap(),
        whole
    );
    for border in 1..text.len() {
        assert_eq!(
            split_pieces(json(steps), text.as_bytes(), vec![border]).unwrap(),
            whole,
            "border {border}"
        );
    }
    whole.into_iter().map(|(_, text)| text).collect()
}

fn fault(steps: &[&str], text: &str) -> (u64, String) {
    let whole = split_pieces(json(steps), text.as_bytes(), Vec::new()).unwrap_err();
    assert_eq!(
        split_pieces(json(steps), text.as_bytes(), vec![1; text.len()]).unwrap_err(),
        whole
    );
    (whole.offset, whole.reason.into_owned())
}

#[test]
fn an_array_a_document_and_documents_in_a_row() {
    assert_eq!(
        texts(&[], r#"[{"a":1}, {"b":[2,{}]} ,{}]"#),
        [r#"{"a":1}"#, r#"{"b":[2,{}]}"#, "{}"]
    );
    assert_eq!(texts(&[], "{\n  \"a\": 1\n}\n"), ["{\n  \"a\": 1\n}"]);
    assert_eq!(
        texts(&[], "{\"a\":1}{\"a\":2}\n\n {\"a\":3}"),
        [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#]
    );
    assert_eq!(texts(&[], "[{}] [{}]"), ["{}", "{}"]);
    assert!(texts(&[], "[]").is_empty());
    assert!(texts(&[], "").is_empty());
    assert!(texts(&[], " \n\t ").is_empty());
}

#[test]
fn brackets_and_quotes_in_strings_do_not_count() {
    assert_eq!(
        texts(&[], r#"[{"a":"}]\"{\\"},{"]":"["}]"#),
        [r#"{"a":"}]\"{\\"}"#, r#"{"]":"["}"#]
    );
}

#[test]
fn records_that_are_no_objects_are_records() {
    let text = r#"[1, "a\",]", null, [1,[2]], tru, -1.5e3, NaN]"#;
    assert_eq!(
        texts(&[], text),
        ["1", r#""a\",]""#, "null", "[1,[2]]", "tru", "-1.5e3", "NaN"]
    );
    assert_eq!(texts(&[], "1 2"), ["1", "2"]);
    assert_eq!(texts(&[], "\"x\"null"), ["\"x\"", "null"]);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let text = "\u{feff}[{\"a\":1}]";
    let records = split_pieces(json(&[]), text.as_bytes(), vec![1; 20]).unwrap();
    assert_eq!(records, [(4, "{\"a\":1}".to_owned())]);
    assert!(
        split_pieces(json(&[]), "\u{feff}".as_bytes(), Vec::new())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_path_leads_to_the_records() {
    let text = r#"{"type":"Bundle","link":[{"entry":[{"resource":0}]}],"entry":[{"resource":{"id":1},"x":"]"},
        {"other":{}},{"resource":null},{"res\u006furce":{"id":2}}],"total":2}"#;
    assert_eq!(
        texts(&["entry", "*", "resource"], text),
        [r#"{"id":1}"#, "", "null", r#"{"id":2}"#]
    );
    assert_eq!(texts(&["entry"], text).len(), 4);
    assert_eq!(texts(&["entry", "*"], text).len(), 4);
    assert_eq!(
        texts(
            &["a", "b"],
            r#"{"a":{"b":[{"x":1},2]}} {"a":{"b":{"y":1}}} {"a":null} {}"#
        ),
        [r#"{"x":1}"#, "2", r#"{"y":1}"#, "null", ""]
    );
    assert_eq!(
        texts(&["*", "v"], r#"[{"v":[1,2]},{"v":[]},{"v":[3]},{}]"#),
        ["1", "2", "3", ""]
    );
    assert_eq!(texts(&["*"], r#"[{"v":1},[2],null]"#), [r#"{"v":1}"#, "[2]", "null"]);
    assert_eq!(texts(&["odd \" key"], r#"{"odd \" key":[1]}"#), ["1"]);
}

#[test]
fn what_leaves_the_path_is_named() {
    let (at, reason) = fault(&["entry", "*"], r#"[{"entry":[]}]"#);
    assert_eq!(
        (at, reason.as_str()),
        (0, "`records` wants an object at `$`, and this is none")
    );
    let (at, reason) = fault(&["entry", "*"], r#"{"entry":{}}"#);
    assert_eq!(
        (at, reason.as_str()),
        (9, "`records` wants an array at `$.entry`, and this is none")
    );
    let (_, reason) = fault(&["entry"], r#"{"entry":[1],"entry":[2]}"#);
    assert_eq!(reason, "`$.entry` stands twice in one object");
    assert!(fault(&["entry"], r#"{"entry":nothing}"#).1.contains("no JSON value"));
    assert!(fault(&["entry"], r#"{"other":nothing}"#).1.contains("an unknown word"));
}

#[test]
fn what_can_not_be_split_is_an_error_with_its_offset() {
    for (text, at, part) in [
        (r#"[{"a":1},{"b":"#, 9, "a bracket is not closed"),
        (r#"[{"a":1},{"b":"x}]"#, 9, "a quote is not closed"),
        (r#"[{"a":1},"x"#, 9, "a quote is not closed"),
        (r#"[{"a":1}"#, 8, "not closed"),
        (r#"[{"a":1},"#, 9, "not closed"),
        (r#"[{"a":[1}]"#, 8, "a bracket closes that is not the one open"),
        (r#"{"a":1}]"#, 7, "a bracket closes that is not open"),
        (r#"[{"a":1}}"#, 8, "a bracket closes that is not the one open"),
        (r#"{"a":1} end"#, 8, "text between records"),
        (r#"{"a":1},{"a":2}"#, 7, "text between records"),
        ("<html>", 0, "text between records"),
    ] {
        let (offset, reason) = fault(&[], text);
        assert_eq!(offset, at, "{text}: {reason}");
        assert!(reason.contains(part), "{text}: {reason}");
    }
    // In a skipped value the offset is right, although its first bytes are gone from the buffer.
    let long = format!(r#"{{"skip":["{}"#, "x".repeat(500));
    assert_eq!(fault(&["entry"], &long).0, 8);
}

/// Text and fault of each record, which are the same however the text comes in pieces.
fn marked(steps: &[&str], text: &str) -> Vec<(String, Option<String>)> {
    let run = |sizes| {
        let mut records = Vec::new();
        let mut parts = Parts {
            bytes: text.as_bytes(),
            sizes,
        };
        let ended = split(0, &mut parts, json(steps).as_mut(), &mut |chunk| {
            records.extend(chunk.records.iter().map(|span| {
                let text = String::from_utf8_lossy(&chunk.bytes[span.range.clone()]).into_owned();
                (text, span.fault.as_ref().map(|flaw| flaw.reason.to_string()))
            }));
            ControlFlow::Continue(())
        });
        assert!(ended.is_ok(), "{text}: {ended:?}");
        records
    };
    let whole = run(Vec::new());
    assert_eq!(run(vec![1; text.len()]), whole);
    whole
}

#[test]
fn damage_between_the_elements_of_an_array_is_one_bad_record() {
    for (text, expected) in [
        (
            r#"[{"a":1} {"b":2},{}]"#,
            [("{\"a\":1}", false), ("{\"b\":2}", true), ("{}", false)],
        ),
        (r#"[{"a":1} x,{}]"#, [("{\"a\":1}", false), ("x", true), ("{}", false)]),
        (r#"[{"a":1},,{}]"#, [("{\"a\":1}", false), ("", true), ("{}", false)]),
        (r#"[{"a":1},{},]"#, [("{\"a\":1}", false), ("{}", false), ("", true)]),
        (r#"[,{"a":1},{}]"#, [("", true), ("{\"a\":1}", false), ("{}", false)]),
        (r#"[{"a":1},@,{}]"#, [("{\"a\":1}", false), ("@", false), ("{}", false)]),
    ] {
        let found = marked(&[], text);
        let found: Vec<_> = found
            .iter()
            .map(|(text, fault)| (text.as_str(), fault.is_some()))
            .collect();
        assert_eq!(found, expected, "{text}");
    }
    let found = marked(&["*", "r"], r#"[{"r":1},5,{"r":2}]"#);
    assert_eq!(
        found[1].1.as_deref(),
        Some("`records` wants an object at `$[*]`, and this is none")
    );
    assert_eq!(found.len(), 3);
}

#[test]
fn what_has_no_records_is_one_bad_record_where_it_starts() {
    let found = |steps: &[&str], text: &str| {
        let run = |sizes| {
            let mut records = Vec::new();
            let mut parts = Parts {
                bytes: text.as_bytes(),
                sizes,
            };
            let ended = split(0, &mut parts, json(steps).as_mut(), &mut |chunk| {
                records.extend(chunk.records.iter().map(|span| {
                    let flaw = span.fault.as_ref();
                    (
                        span.offset,
                        flaw.and_then(|flaw| flaw.path.clone()).map(Reason::into_owned),
                    )
                }));
                ControlFlow::Continue(())
            });
            assert!(ended.is_ok(), "{text}: {ended:?}");
            records
        };
        let whole = run(Vec::new());
        for size in [1, 2, 3, 7, 64, 65] {
            assert_eq!(run(vec![size; text.len()]), whole);
        }
        whole
    };
    let at = |offset: u64, path: &str| (offset, Some(path.to_owned()));
    let entry = ["entry", "*", "resource"];
    for text in [
        "{}",
        r#"{"Entry":[{"resource":{}}]}"#,
        "{\"t\":\"O\",\"issue\":[{\"entry\":[]}]}",
    ] {
        assert_eq!(found(&entry, text), [at(0, "$.entry")], "{text}");
    }
    assert_eq!(found(&entry, r#"{"entry":null}"#), [at(9, "$.entry")]);
    assert_eq!(found(&entry, "null"), [at(0, "$")]);
    assert_eq!(found(&entry, "\u{feff} {}"), [at(4, "$.entry")]);
    // An empty array is no fault. It holds no records.
    assert_eq!(found(&entry, r#"{"entry":[]}"#), []);
    assert_eq!(found(&["entry"], r#"{"entry":[]}"#), []);
    let long = "x".repeat(200);
    let text =
        format!(r#"{{"entry":[{{"a":"{long}","resource":{{}}}},{{"a":"{long}"}},{{"resource":null}},null]}} {{}}"#);
    let place = |part: &str| text.find(part).unwrap() as u64;
    assert_eq!(
        found(&entry, &text),
        [
            (place(r"{}},"), None),
            at(place(r#",{"a":"#) + 1, "$.entry[*].resource"),
            at(place("null}"), "$.entry[*].resource"),
            at(place("null]"), "$.entry[*]"),
            at(text.len() as u64 - 2, "$.entry"),
        ]
    );
    // With `on_no_records: skip`, these documents and entries are skipped.
    let scanner = JsonScanner::new(&path(&entry), OnNoRecords::Skip, Encoding::Utf8);
    let records = split_pieces(Box::new(scanner), text.as_bytes(), vec![5; text.len()]).unwrap();
    assert_eq!(records.len(), 1);
    let bad = r#"{"entry":nul}"#.as_bytes();
    let scanner = JsonScanner::new(&path(&entry), OnNoRecords::Skip, Encoding::Utf8);
    assert!(split_pieces(Box::new(scanner), bad, Vec::new()).is_err());
}

#[test]
fn an_object_without_the_last_key_may_be_the_record_itself() {
    let (long, entry) = ("x".repeat(200), ["entry", "*", "resource"]);
    let texts =
        |found: Result<Records, SplitFault>| found.unwrap().into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    let entries = [
        format!(r#"{{"resource":{{"id":1}},"a":"{long}"}}"#),
        format!(r#"{{"a":"{long}","request":{{"method":"DELETE"}}}}"#),
        format!(r#"{{"a":["{long}"],"resource":[{{"id":2}},3]}}"#),
        "{}".to_owned(),
        r#"{"resource":null}"#.to_owned(),
    ];
    let text = format!(r#"{{"entry":[{}]}} {{"a":[]}}"#, entries.join(" , "));
    let whole = || JsonScanner::new(&path(&entry), OnNoRecords::Whole, Encoding::Utf8);
    for size in [1, 2, 3, 7, 64, 65, 10_000] {
        let records = texts(split_pieces(Box::new(whole()), text.as_bytes(), vec![size; text.len()]));
        // The last two are refused: a null, and a document that lacks another key than the last.
        assert_eq!(
            records,
            [r#"{"id":1}"#, &entries[1], r#"{"id":2}"#, "3", "{}", "null", ""],
            "{size}"
        );
    }
    let lines = format!("{}\n{}\n", entries[1], entries[0]);
    let scanner = NdjsonScanner::new(&path(&entry[2..]), OnNoRecords::Whole, Encoding::Utf8);
    let records = texts(split_pieces(Box::new(scanner), lines.as_bytes(), vec![5; lines.len()]));
    assert_eq!(records, [&entries[1][..], r#"{"id":1}"#]);
}

#[test]
fn damage_beside_the_records_is_damage() {
    let records = r#""entry":[{"resource":{"id":1}}]"#;
    for (beside, part) in [
        (r#""t":"x\q""#, "an unknown escape"),
        (r#""t":"a"#, "not closed"),
        (r#""t":01"#, "not a JSON number"),
        (r#""t":1.e5"#, "not a JSON number"),
        (r#""t":truely"#, "comma or the end"),
        (r#""t":[1,]"#, "a value is missing"),
        (r#""t":{"a":1,}"#, "a key in quotes is missing"),
        (r#""t":{"a" 1}"#, "a colon is missing"),
        (r#""t":[1 2]"#, "a comma is missing"),
        ("\"t\":\"a\u{1}\"", "a control character"),
        (r#""t\q":1"#, "an unknown escape"),
    ] {
        for text in [format!("{{{beside},{records}}}"), format!("{{{records},{beside}}}")] {
            let (_, reason) = fault(&["entry", "*", "resource"], &text);
            // Without its closing quote, the string goes on over the comma and the next key.
            let swallowed = beside.ends_with(":\"a") && !reason.contains(part);
            assert!(reason.contains(part) || swallowed, "{text}: {reason}");
        }
    }
    let bytes = [&b"{\"t\":\"a\xff\","[..], records.as_bytes(), b"}"].concat();
    let fault = split_pieces(json(&["entry"]), &bytes, vec![1; 99]).unwrap_err();
    assert_eq!((fault.offset, &*fault.reason), (7, &*no_text(Encoding::Utf8)));
}

#[test]
fn a_cut_anywhere_is_never_a_short_read() {
    let array = r#"[{"a":"x"},{"b":[1,2]},{"c":null}]"#;
    for length in 1..array.len() {
        assert!(
            split_pieces(json(&[]), &array.as_bytes()[..length], vec![1; 5]).is_err(),
            "{length}"
        );
    }
    let bundle = r#"{"t":"B","entry":[{"r":{"a":1}},{"r":{"a":2}}],"n":2}"#;
    for length in 1..bundle.len() {
        assert!(
            split_pieces(json(&["entry", "*", "r"]), &bundle.as_bytes()[..length], vec![]).is_err(),
            "{length}"
        );
    }
}

#[test]
fn deep_nesting_is_the_decoders_to_refuse() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let text = format!("[{deep},{{}}]");
    assert_eq!(
        split_pieces(json(&[]), text.as_bytes(), vec![100; 30]).unwrap().len(),
        2
    );
}

#[test]
fn lines() {
    let scan = |steps: &[&str], text: &str| {
        let scanner = || Box::new(NdjsonScanner::new(&path(steps), OnNoRecords::Refuse, Encoding::Utf8));
        let whole = split_pieces(scanner(), text.as_bytes(), Vec::new());
        assert_eq!(split_pieces(scanner(), text.as_bytes(), vec![1; text.len()]), whole);
        whole
    };
    let records = scan(&[], "\u{feff}{\"a\":1}\r\n\n  \r\n {\"a\":2} \n[3]").unwrap();
    assert_eq!(
        records,
        [
            (3, "{\"a\":1}".to_owned()),
            (18, "{\"a\":2}".to_owned()),
            (27, "[3]".to_owned())
        ]
    );
    assert!(scan(&[], "\n\n").unwrap().is_empty());
    let records = scan(&["e", "*"], "{\"e\":[1,2]}\n{\"e\":[]}\n{\"e\":[3]}").unwrap();
    assert_eq!(
        records,
        [(6, "1".to_owned()), (8, "2".to_owned()), (27, "3".to_owned())]
    );
    // A line that leaves the path, or is damaged, adds one bad record.
    let records = scan(&["e", "*"], "{\"e\":[1]}\n {\"e\":[2}\n{\"e\":[3]}").unwrap();
    let offsets: Vec<u64> = records.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, [6, 17, 18, 26]);
    // A line without records does so as well.
    let records = scan(
        &["e"],
        "{\"e\":{}}\n {\"E\":{}}\nnull\n{\"e\":null}\n{\"e\":[]}\n{\"e\":{}}",
    )
    .unwrap();
    let offsets: Vec<u64> = records.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, [5, 10, 19, 29, 49]);
}

fn csv(text: &str) -> Result<Records, SplitFault> {
    let schema = ["id", "note"].map(|name| super::super::testing::field(name, FieldType::String));
    let kinds = [crate::model::testing::kind("source", schema.to_vec())];
    let scanner = || Box::new(CsvScanner::new(&CsvOptions::default(), &kinds, None, Encoding::Utf8));
    let whole = split_pieces(scanner(), text.as_bytes(), Vec::new());
    assert_eq!(split_pieces(scanner(), text.as_bytes(), vec![1; text.len()]), whole);
    whole
}

#[test]
fn rows() {
    let records = csv("\u{feff}id,\"note\",x\r\n1,\"a\nb\"\"\n\",\r\n\n2,c\"d,\n3,\"\",e").unwrap();
    assert_eq!(
        records,
        [
            (16, "1,\"a\nb\"\"\n\",".to_owned()),
            (30, "2,c\"d,".to_owned()),
            (37, "3,\"\",e".to_owned())
        ]
    );
    // Outside quotes, LF, CR and CRLF end a row, wherever they stand; within quotes they are content.
    let rows = |text: &str| -> Vec<String> { csv(text).unwrap().into_iter().map(|(_, row)| row).collect() };
    for end in ["\n", "\r", "\r\n", "\n\r"] {
        let text = format!("id,note{end}1,a{end}{end}2,\"b\rc\r\nd\ne\"{end}3,c{end}");
        assert_eq!(rows(&text), ["1,a", "2,\"b\rc\r\nd\ne\"", "3,c"], "{end:?}");
        assert_eq!(rows(text.strip_suffix(end).unwrap()), rows(&text), "{end:?}");
    }
    assert!(csv("id,note").unwrap().is_empty());
    assert!(csv("").unwrap().is_empty());
    assert_eq!(csv("id,note\n1,\"a\n2,b\n").unwrap_err().offset, 8);
    assert_eq!(
        csv("ID;note\n1\n").unwrap_err().reason,
        "the header names none of the declared columns"
    );
    assert_eq!(
        csv("id,note,id\n").unwrap_err().reason,
        "the header names the column `id` twice"
    );
}

#[test]
fn cells() {
    let options = CsvOptions::default();
    let cells = |row| Cells::new(row, &options).collect::<Result<Vec<_>, _>>();
    assert_eq!(cells(r#"a,"b,""c""",,"""","#).unwrap(), ["a", "b,\"c\"", "", "\"", ""]);
    assert_eq!(cells("").unwrap(), [""]);
    assert_eq!(cells("a\"b,é").unwrap(), ["a\"b", "é"]);
    assert!(cells("\"a\"b,c").unwrap_err().contains("follows the quote"));
}

#[test]
fn whoever_wants_no_more_stops_the_splitting() {
    let text = "{}".repeat(1000);
    let mut parts = Parts {
        bytes: text.as_bytes(),
        sizes: vec![10; 200],
    };
    let stopped = split(0, &mut parts, json(&[]).as_mut(), &mut |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(Stopped::Unwanted)));
    assert!(parts.bytes.len() > 1800);
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let text = prop::collection::vec(
        select(vec!["{", "}", "[", "]", "\"", "\\", ",", "é", "a", " ", "entry"]),
        0..6,
    );
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        text.prop_map(|parts| parts.concat().into()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = select(vec!["entry", "r", "a\"b", "x", "]"]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn parsed(records: &Records) -> Vec<serde_json::Value> {
    records
        .iter()
        .map(|(_, text)| serde_json::from_str(text).unwrap())
        .collect()
}

proptest! {
    #[test]
    fn an_array_splits_into_its_elements(
        values in prop::collection::vec(value(), 0..8), pretty in any::<bool>(), sizes in prop::collection::vec(0..30_usize, 0..40),
    ) {
        let text = if pretty { serde_json::to_string_pretty(&values) } else { serde_json::to_string(&values) }.unwrap();
        let records = split_pieces(json(&[]), text.as_bytes(), sizes).unwrap();
        prop_assert_eq!(parsed(&records), values);
    }

    #[test]
    fn a_wrapper_splits_into_its_records(
        values in prop::collection::vec(value(), 0..6), beside in value(), sizes in prop::collection::vec(0..30_usize, 0..40),
    ) {
        let entries: Vec<_> = values.iter().map(|value| serde_json::json!({"a": beside, "r": value, "x": beside})).collect();
        let text = serde_json::json!({"b": beside, "entry": entries, "z": beside}).to_string();
        let records = split_pieces(json(&["entry", "*", "r"]), text.as_bytes(), sizes).unwrap();
        let expected: Vec<_> = values.into_iter().flat_map(|value| match value {
            serde_json::Value::Array(items) => items,
            other => vec![other],
        }).collect();
        prop_assert_eq!(parsed(&records), expected);
    }

    /// For any text, the pieces in which it comes make no difference, and nothing panics.
    #[test]
    fn pieces_do_not_matter(text in "[\\[\\]{}:,\"\\\\a1n \r\n]{0,40}", sizes in prop::collection::vec(0..5_usize, 0..40)) {
        let schema = ["a"].map(|name| super::super::testing::field(name, FieldType::String));
    let kinds = [crate::model::testing::kind("source", schema.to_vec())];
        let scanners = || -> Vec<Box<dyn Scanner>> { vec![
            json(&[]), json(&["*", "a"]), json(&["a"]), Box::new(NdjsonScanner::new(&path(&[]), OnNoRecords::Refuse, Encoding::Utf8)),
            Box::new(NdjsonScanner::new(&path(&["a"]), OnNoRecords::Refuse, Encoding::Utf8)), Box::new(CsvScanner::new(&CsvOptions::default(), &kinds, None, Encoding::Utf8)),
        ] };
        for (one, other) in scanners().into_iter().zip(scanners()) {
            prop_assert_eq!(split_pieces(one, text.as_bytes(), Vec::new()), split_pieces(other, text.as_bytes(), sizes.clone()));
        }
    }
}

/// A record that is too large is refused with its size, and the records around it keep their offsets.
#[test]
fn a_record_that_is_too_large_is_one_bad_record_with_its_size() {
    let schema = ["a"].map(|name| super::super::testing::field(name, FieldType::String));
    let kinds = [crate::model::testing::kind("source", schema.to_vec())];
    let csv = || Box::new(CsvScanner::new(&CsvOptions::default(), &kinds, None, Encoding::Utf8));
    let large = "x".repeat(3 * MAX_RECORD / 2);
    let cases: Vec<(Box<dyn Scanner>, String, String, String)> = vec![
        (
            json(&[]),
            "[{\"a\":1},".into(),
            format!("{{\"a\":[\"{large}\\\"]\"]}}"),
            ",{\"a\":2}]".into(),
        ),
        (
            json(&[]),
            "[{\"a\":1}, ".into(),
            format!("\"{large}\""),
            ", {\"a\":2}]".into(),
        ),
        (
            json(&["r"]),
            "{\"b\":[],\"r\":[{\"a\":1},".into(),
            format!("{{\"a\":\"{large}\"}}"),
            ",{\"a\":2}],\"c\":1}".into(),
        ),
        (
            Box::new(NdjsonScanner::new(&path(&[]), OnNoRecords::Refuse, Encoding::Utf8)),
            "{\"a\":1}\n".into(),
            format!("{{\"a\":\"{large}\"}}"),
            "\n{\"a\":2}\n".into(),
        ),
        (
            Box::new(NdjsonScanner::new(&path(&["r"]), OnNoRecords::Refuse, Encoding::Utf8)),
            "{\"r\":{\"a\":1}}\n".into(),
            format!("{{\"r\":{{\"a\":\"{large}\"}}}}"),
            "\n{\"r\":{\"a\":2}}\n".into(),
        ),
        (csv(), "a\n1\n".into(), format!("\"{large}\n\"\"\""), "\n2\n".into()),
        (
            whole(),
            "{\"e\":[{\"r\":{\"a\":1}},".into(),
            format!("{{\"b\":\"{large}\",\"c\":[1]}}"),
            ",{\"r\":{\"a\":2}}]}".into(),
        ),
    ];
    for (mut scanner, before, record, after) in cases {
        let text = format!("{before}{record}{after}");
        let sizes = vec![PIECE / 3; 20];
        let mut parts = Parts {
            bytes: text.as_bytes(),
            sizes,
        };
        let mut spans = Vec::new();
        let count = split(0, &mut parts, scanner.as_mut(), &mut |chunk| {
            assert!(
                chunk.bytes.len() <= MAX_RECORD,
                "the bytes of a record too large are held"
            );
            for span in &chunk.records {
                spans.push((
                    span.offset,
                    span.fault.clone(),
                    chunk.bytes[span.range.clone()].to_vec(),
                ));
            }
            ControlFlow::Continue(())
        });
        assert_eq!(count.unwrap(), 3, "{before}");
        let fault = spans[1].1.as_ref().unwrap();
        let size = format!("a record of {} bytes, and at most 1 MiB can be read", record.len());
        assert_eq!(fault.reason, size, "{before}");
        assert_eq!(spans[1].0, before.len() as u64);
        for index in [0, 2] {
            let (offset, fault, bytes) = &spans[index];
            assert_eq!(*fault, None, "{before}");
            assert!(
                text.as_bytes()[usize::try_from(*offset).unwrap()..].starts_with(bytes),
                "{before}"
            );
        }
    }
}

fn whole() -> Box<dyn Scanner> {
    let path = path(&["e", "*", "r"]);
    Box::new(JsonScanner::new(&path, OnNoRecords::Whole, Encoding::Utf8))
}

/// Of an entry that might be a record itself, so much comes before the last key of the path that it could be none.
#[test]
fn a_record_behind_much_of_its_entry_is_found() {
    let large = "x".repeat(3 * MAX_RECORD / 2);
    let record = format!("{{\"a\":\"{}\"}}", "y".repeat(MAX_RECORD - 100));
    for beside in [
        format!("\"b\":\"{large}\""),
        format!("\"b\":[[],{{\"r\":\"{large}\"}}]"),
    ] {
        let text = format!("{{\"e\":[{{{beside},\"r\":{record}}},{{\"d\":1}},{{\"r\":{{\"a\":2}},{beside}}}]}}");
        let wanted = [&record[..], "{\"d\":1}", "{\"a\":2}"];
        for size in [PIECE, PIECE / 3, 100_003] {
            let mut parts = Parts {
                bytes: text.as_bytes(),
                sizes: vec![size; 60],
            };
            let mut found = Vec::new();
            let count = split(0, &mut parts, whole().as_mut(), &mut |chunk| {
                assert!(chunk.bytes.len() <= MAX_RECORD + PIECE, "what is not needed is held");
                for span in &chunk.records {
                    assert_eq!(span.fault, None);
                    let bytes = &chunk.bytes[span.range.clone()];
                    assert!(text.as_bytes()[usize::try_from(span.offset).unwrap()..].starts_with(bytes));
                    found.push(String::from_utf8(bytes.to_vec()).unwrap());
                }
                ControlFlow::Continue(())
            });
            assert_eq!(count.unwrap(), 3);
            assert!(found == wanted, "pieces of {size} bytes");
        }
    }
    let text = format!("{{\"e\":[{{\"r\":1}}, {{\"c\":1,\"b\":\"{large}");
    let fault = split_pieces(whole(), text.as_bytes(), vec![PIECE / 3; 20]).unwrap_err();
    assert_eq!(fault.offset, 15);
}

#[test]
fn a_record_that_is_too_large_and_not_closed_is_an_unreadable_stretch() {
    let text = format!("[{{\"a\":1}},{{\"a\":\"{}", "x".repeat(3 * MAX_RECORD / 2));
    let fault = split_pieces(json(&[]), text.as_bytes(), vec![PIECE / 3; 20]).unwrap_err();
    assert_eq!(fault.offset, 9);
}

#[test]
fn brackets_beside_the_records_are_bounded() {
    let text = format!("{{\"b\":{}", "[".repeat(MAX_RECORD + 10));
    let fault = split_pieces(json(&["r"]), text.as_bytes(), vec![PIECE / 3; 20]).unwrap_err();
    assert_eq!((fault.offset, &*fault.reason), (5 + 128, "nested deeper than 128"));
}
