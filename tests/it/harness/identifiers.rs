//! Identifiers that must not appear anywhere in the output, and functions to search for them.
use std::fmt::Write as _;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::bytes::Regex;

use super::Database;

/// Examples of Safe Harbor's eighteen kinds of identifiers, (A) to (R). The data of other tests contains none of them.
pub const IDENTIFIERS: [&str; 18] = [
    "Quillon Zaverdyne",
    "14 Brackwater Lane, Oxtonby",
    "1931-02-28T04:17",
    "+1-909-555-83417",
    "+1-909-555-72618",
    "q.zaverdyne@example.invalid",
    "907-65-83417",
    "MRN/5583/1907-X",
    "HPB?77410&93552",
    "ACC 66190=33074",
    "LIC-KQ-90417-ZZ",
    "VIN 5XQ8ZV11R2K904417",
    "DEV:0x9f3c71e2b8",
    "https://zaverdyne.example/?p=90417",
    "2001:db8:90f1::7741",
    "BIO<iris:7741903355>",
    "IMG_zaverdyne_face_7741.jpg",
    "CODE~Zv-90417/7741",
];

/// The identifier in a form that is valid in a file name.
pub fn in_a_file_name(identifier: &str) -> String {
    identifier.replace('/', "_")
}

/// The value in every encoding in which it could be hidden, at any position in a longer text.
fn spellings(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let url: String = url::form_urlencoded::byte_serialize(bytes).collect();
    let debug = value.escape_unicode().to_string();
    let mut all = vec![
        value.to_owned(),
        in_a_file_name(value),
        hex,
        url.replace('+', "%20"),
        url,
        debug,
    ];
    // The base64 of a value depends on its position in the text, in three ways. The characters at both ends contain
    // bits of the neighbouring bytes, so they are cut off.
    for (before, first) in [(0, 0), (1, 2), (2, 3)] {
        let text = [&vec![0; before], bytes].concat();
        let last = text.len() * 8 / 6;
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            all.push(engine.encode(&text)[first..last].to_owned());
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Fails if the text contains any identifier, in any encoding, in upper or lower case.
#[track_caller]
pub fn lacks(bytes: &[u8], place: &str) {
    static ANY: OnceLock<Regex> = OnceLock::new();
    let any = ANY.get_or_init(|| {
        let all: Vec<String> = IDENTIFIERS.iter().flat_map(|value| spellings(value)).collect();
        let all: Vec<String> = all.iter().map(|spelling| regex::escape(spelling)).collect();
        Regex::new(&format!("(?i-u)(?:{})", all.join("|"))).unwrap()
    });
    if let Some(found) = any.find(bytes) {
        let (from, to) = (found.start().saturating_sub(200), (found.end() + 100).min(bytes.len()));
        let found = String::from_utf8_lossy(found.as_bytes());
        panic!("{place} holds {found:?}: {}", String::from_utf8_lossy(&bytes[from..to]));
    }
}

/// All rows of all tables and views of the program's and the project's schemas.
pub fn everything(database: &Database) -> String {
    let tables = database.rows(
        "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname in ('public', 'pipeline', 'pipeline_partitions') and c.relkind in ('r', 'm', 'v') order by 1",
    );
    let rows = tables
        .iter()
        .flat_map(|table| database.rows(&format!("select t::text from {table} t")));
    rows.collect::<Vec<_>>().join("\n")
}

/// Makes the server write as much as possible to its log.
pub fn talkative(database: &Database) {
    database.execute(&format!(
        "alter database {0} set log_min_messages = debug1; alter database {0} set log_error_verbosity = verbose;
         alter database {0} set log_statement = 'all'; alter database {0} set log_parameter_max_length_on_error = -1",
        database.name
    ));
}

#[test]
fn what_hides_is_found() {
    for hidden in [
        "ab QUILLON zaverdyne".to_owned(),
        STANDARD_NO_PAD.encode("xQuillon Zaverdyne..."),
        STANDARD_NO_PAD.encode("xyQuillon Zaverdyne"),
        URL_SAFE_NO_PAD.encode("xyzCODE~Zv-90417/7741"),
        "4D524E2F353538332F313930372D58".to_owned(),
        "HPB%3f77410%2693552".to_owned(),
        "events MRN_5583_1907-X.json".to_owned(),
    ] {
        assert!(
            std::panic::catch_unwind(|| lacks(hidden.as_bytes(), "a test")).is_err(),
            "{hidden}"
        );
    }
    lacks(b"Somebody else, VIN 5XQ8", "a test");
}
