//! Reads the `input` of a source: where its data is and in which format.

use super::keys::{Keys, Shape, key, names, required};
use super::mapping::{Context, Mapping, Text, entry_text, entry_texts, node_text};
use super::yaml::{Entry, Node, Span, Value};
use super::{path, record_path, secrets, storage};
use crate::error::Location;
use crate::model::{
    Compression, CsvOptions, Encoding, Format, Input, InputPath, OnEmpty, OnEmptyFile, OnMalformed, OnMissing,
    OnNoRecords, RecordPath,
};

/// The value of `input`.
pub(super) const SHAPE: Shape = Shape::Variables(&Shape::Options(&INPUT_KEYS));

static INPUT_KEYS: Keys = Keys::of(&[
    required(
        "path",
        Shape::Any(&[Shape::Text, Shape::List(1, &PATH)]),
        "A local path, or a URL that starts with s3://, gs://, az:// or https://. It holds the batch's date, \
         as {date} or {date:%Y%m%d}, and may have wildcards. A list may say of which kind the records of a path \
         are.",
    ),
    key("format", Shape::Choice(|| names(&FORMATS)), "The format of the files."),
    key(
        "compression",
        Shape::Choice(|| names(&COMPRESSIONS)),
        "How the files are compressed; `auto` tells it by the first bytes of each file.",
    ),
    key(
        "encoding",
        Shape::AnyCase(|| names(&Encoding::ALL)),
        "The encoding of the text. Not for parquet.",
    ),
    key(
        "records",
        Shape::Text,
        "Where the records are inside a JSON document, such as $.entry[*].resource.",
    ),
    key(
        "on_missing",
        Shape::Choice(|| names(&MISSING)),
        "What happens if there is no file.",
    ),
    key(
        "on_empty",
        Shape::Choice(|| names(&EMPTY)),
        "What happens if there are files, but no record in any of them.",
    ),
    key(
        "on_empty_file",
        Shape::Choice(|| names(&EMPTY_FILES)),
        "What happens if a file holds no record while other files of the batch do.",
    ),
    key(
        "on_malformed",
        Shape::Choice(|| names(&MALFORMED)),
        "What happens to a record that can't be read or breaks the schema.",
    ),
    key(
        "on_no_records",
        Shape::Choice(|| names(&NO_RECORDS)),
        "What happens to a document, line or entry that has no records where `records` says.",
    ),
    key(
        "csv",
        Shape::Options(&CSV_KEYS),
        "How the cells of a CSV file are written.",
    ),
    key(
        "storage",
        storage::SHAPE,
        "Settings of the object store, such as `endpoint` or `region`. Secrets come from the environment.",
    ),
]);
static PATH: Shape = Shape::Any(&[Shape::Text, Shape::Options(&PATH_KEYS)]);
static PATH_KEYS: Keys = Keys::of(&[
    required("path", Shape::Text, "A path or a URL."),
    key("kind", Shape::Text, "The kind of its records."),
]);
static CSV_KEYS: Keys = Keys::of(&[
    key(
        "delimiter",
        Shape::Text,
        "The sign between two cells, one ASCII character; a comma is the default.",
    ),
    key(
        "quote",
        Shape::Text,
        "The sign around a cell, one ASCII character; \" is the default.",
    ),
    key(
        "header",
        Shape::Flag(true),
        "Whether the first row holds the names of the fields. Without, the cells follow the order of the schema.",
    ),
    key(
        "nulls",
        Shape::Texts(0),
        "The cells that mean null. The empty cell is the default.",
    ),
]);

const FORMATS: [(&str, Format); 5] = [
    ("json", Format::Json),
    ("ndjson", Format::Ndjson),
    ("csv", Format::Csv),
    ("parquet", Format::Parquet),
    ("fhir-bulk", Format::FhirBulk),
];
const MALFORMED: [(&str, OnMalformed); 2] = [("quarantine", OnMalformed::Quarantine), ("fail", OnMalformed::Fail)];
const MISSING: [(&str, OnMissing); 2] = [("fail", OnMissing::Fail), ("skip", OnMissing::Skip)];
const EMPTY: [(&str, OnEmpty); 2] = [("fail", OnEmpty::Fail), ("replace", OnEmpty::Replace)];
const EMPTY_FILES: [(&str, OnEmptyFile); 3] = [
    ("warn", OnEmptyFile::Warn),
    ("fail", OnEmptyFile::Fail),
    ("ignore", OnEmptyFile::Ignore),
];
const NO_RECORDS: [(&str, OnNoRecords); 3] = [
    ("refuse", OnNoRecords::Refuse),
    ("skip", OnNoRecords::Skip),
    ("whole", OnNoRecords::Whole),
];
const COMPRESSIONS: [(&str, Option<Compression>); 6] = [
    ("auto", None),
    ("none", Some(Compression::None)),
    ("gzip", Some(Compression::Gzip)),
    ("zstd", Some(Compression::Zstd)),
    ("bzip2", Some(Compression::Bzip2)),
    ("zip", Some(Compression::Zip)),
];

/// Reads `input:`. If there are problems, the result may contain placeholders.
pub(super) fn read(ctx: &mut Context<'_>, entry: &Entry) -> Input {
    let Some(options) = Mapping::of_options(ctx, "`input`", entry.key.span, &entry.value, &INPUT_KEYS) else {
        return stand_in(ctx.location(entry.key.span));
    };
    let format = options.choice(ctx, "format", &FORMATS);
    let compression = options.choice(ctx, "compression", &COMPRESSIONS);
    check_compression(ctx, &options, format, compression);
    let storage = options
        .get("storage")
        .map(|entry| storage::read(ctx, entry))
        .unwrap_or_default();
    let path = options.required(ctx, "path", "path: data/{date:%Y%m%d}/visits.json");
    let place = path.map_or(entry.key.span, Entry::place);
    let mut paths = path.map_or_else(Vec::new, |entry| read_paths(ctx, entry, &storage));
    if let Some(entry) = options.get("storage") {
        // The settings are for the stores; paths beside them may be local.
        let schemes = paths
            .iter()
            .map(|one| path::scheme(&one.path).map(|(scheme, _)| scheme));
        let scheme = schemes.max().flatten();
        if !paths.is_empty() {
            storage::check(ctx, entry, scheme);
        }
    }
    for one in paths
        .iter()
        .filter(|one| format == Format::FhirBulk && one.kind.is_some())
    {
        let hint = "take it out: `type` in the manifest tells the kind, by `where: {resourceType: ...}`";
        ctx.problem_at(&one.location, "a manifest is of no kind", hint);
    }
    if paths.is_empty() {
        paths.push(InputPath {
            path: String::new(),
            kind: None,
            location: ctx.location(place),
        });
    }
    let on_malformed = options.choice(ctx, "on_malformed", &MALFORMED);
    Input {
        paths,
        format,
        compression,
        encoding: read_encoding(ctx, &options, format),
        records: read_records(ctx, &options, format),
        on_missing: options.choice(ctx, "on_missing", &MISSING),
        on_empty: options.choice(ctx, "on_empty", &EMPTY),
        on_empty_file: options.choice(ctx, "on_empty_file", &EMPTY_FILES),
        on_malformed,
        on_no_records: options.choice(ctx, "on_no_records", &NO_RECORDS),
        csv: read_csv(ctx, &options, format),
        storage,
    }
}

/// A placeholder for an input with problems, so that the rest of the source can still be checked.
pub(super) fn stand_in(location: Location) -> Input {
    Input {
        paths: vec![InputPath {
            path: String::new(),
            kind: None,
            location,
        }],
        format: Format::Json,
        compression: None,
        encoding: Encoding::Utf8,
        records: RecordPath::default(),
        on_missing: OnMissing::Fail,
        on_empty: OnEmpty::Fail,
        on_empty_file: OnEmptyFile::Warn,
        on_malformed: OnMalformed::Quarantine,
        on_no_records: OnNoRecords::Refuse,
        csv: CsvOptions::default(),
        storage: Vec::new(),
    }
}

/// Reads `path: in/a.json`, or `path: [in/a.json, {path: in/b.json, kind: b}]`.
fn read_paths(ctx: &mut Context<'_>, entry: &Entry, storage: &[(String, String)]) -> Vec<InputPath> {
    let Value::List(nodes) = &entry.value.value else {
        let text = entry_text(ctx, entry);
        return text
            .map(|text| read_path(ctx, text, None, storage))
            .into_iter()
            .collect();
    };
    if nodes.is_empty() {
        ctx.problem(
            entry.key.span,
            "`path` names no path",
            "name one: [in/a.json]".to_owned(),
        );
    }
    let read = nodes
        .iter()
        .filter_map(|node| read_element(ctx, node, entry.key.span, storage));
    read.collect()
}

fn read_element(ctx: &mut Context<'_>, node: &Node, list: Span, storage: &[(String, String)]) -> Option<InputPath> {
    let Value::Map(entries) = &node.value else {
        let text = node_text(ctx, "each element of `path`", list, node)?;
        return Some(read_path(ctx, text, None, storage));
    };
    let at = entries.first().map_or(list, |entry| entry.key.span);
    let options = Mapping::of_options(ctx, "an element of `path`", at, node, &PATH_KEYS)?;
    let path = options.required(ctx, "path", "path: in/Patient.ndjson")?;
    let path = entry_text(ctx, path)?;
    let kind = options.text(ctx, "kind").map(|text| text.value);
    Some(read_path(ctx, path, kind, storage))
}

fn read_path(ctx: &mut Context<'_>, text: Text<'_>, kind: Option<String>, storage: &[(String, String)]) -> InputPath {
    check_path(ctx, &text, storage);
    InputPath {
        location: ctx.location(text.span),
        path: text.value,
        kind,
    }
}

fn check_path(ctx: &mut Context<'_>, text: &Text<'_>, storage: &[(String, String)]) {
    // A secret in the file's own text is already reported for the whole file. Here, report only a secret that comes out
    // of a variable.
    if secrets::url_holds_secret(&text.value) {
        if !secrets::url_holds_secret(text.raw) {
            ctx.problem(
                text.span,
                "the path's variables make a URL with a secret",
                secrets::HINT.to_owned(),
            );
        }
        return;
    }
    let plain_http = storage
        .iter()
        .any(|(name, value)| name == "allow_http" && value == "true");
    if let Err(bad) = path::check(&text.value, plain_http) {
        ctx.problem_of(text, &bad.message, &bad.hint);
    }
}

fn check_compression(ctx: &mut Context<'_>, options: &Mapping<'_>, format: Format, given: Option<Compression>) {
    if format == Format::Parquet
        && given.is_some_and(|given| given != Compression::None)
        && let Some(entry) = options.get("compression")
    {
        let hint = "take `compression` out: the file itself says how its pages are compressed".to_owned();
        ctx.problem(entry.place(), "a parquet file is not compressed as a whole", hint);
    }
}

/// Reads `encoding`, in capitals as well, since `UTF-16` and `Windows-1252` are the usual spellings.
fn read_encoding(ctx: &mut Context<'_>, options: &Mapping<'_>, format: Format) -> Encoding {
    let Some(text) = options.text(ctx, "encoding") else {
        return Encoding::Utf8;
    };
    if format == Format::Parquet {
        let hint = "take `encoding` out: texts in a parquet file are always UTF-8".to_owned();
        ctx.problem(text.span, "`encoding` is nothing for parquet", hint);
        return Encoding::Utf8;
    }
    if format == Format::FhirBulk && !text.value.eq_ignore_ascii_case(Encoding::Utf8.name()) {
        let hint = "take `encoding` out: JSON of FHIR is always UTF-8".to_owned();
        ctx.problem(text.span, "`encoding` is nothing for fhir-bulk", hint);
        return Encoding::Utf8;
    }
    let given = text.value.to_ascii_lowercase();
    let known = Encoding::ALL.iter().find(|(name, _)| *name == given);
    // `choice` words the problem of an unknown name.
    known.map_or_else(|| options.choice(ctx, "encoding", &Encoding::ALL), |(_, known)| *known)
}

fn read_records(ctx: &mut Context<'_>, options: &Mapping<'_>, format: Format) -> RecordPath {
    let Some(entry) = options.get("records") else {
        return RecordPath::default();
    };
    if matches!(format, Format::Csv | Format::Parquet | Format::FhirBulk) {
        let hint = "it is for json and ndjson: take it out".to_owned();
        ctx.problem(
            entry.key.span,
            format!("`records` is nothing for {}", name_of(format)),
            hint,
        );
        return RecordPath::default();
    }
    let Some(text) = entry_text(ctx, entry) else {
        return RecordPath::default();
    };
    record_path::parse(&text.value).unwrap_or_else(|bad| {
        ctx.problem_of(&text, &bad.message, &bad.hint);
        RecordPath::default()
    })
}

/// Reads `csv:`, the options of a CSV input.
fn read_csv(ctx: &mut Context<'_>, options: &Mapping<'_>, format: Format) -> CsvOptions {
    let mut csv = CsvOptions::default();
    let Some(entry) = options.get("csv") else { return csv };
    if format != Format::Csv {
        let hint = "write `format: csv`, or take `csv` out".to_owned();
        ctx.problem(
            entry.key.span,
            format!("`csv` is nothing for {}", name_of(format)),
            hint,
        );
    }
    let Some(given) = Mapping::of_options(ctx, "`csv`", entry.key.span, &entry.value, &CSV_KEYS) else {
        return csv;
    };
    csv.header = given.flag(ctx, "header", csv.header);
    csv.delimiter = sign(ctx, &given, "delimiter", csv.delimiter);
    csv.quote = sign(ctx, &given, "quote", csv.quote);
    if csv.delimiter == csv.quote
        && let Some(entry) = given.get("quote").or(given.get("delimiter"))
    {
        ctx.problem(
            entry.place(),
            "`delimiter` and `quote` are the same",
            "choose two signs".to_owned(),
        );
    }
    if let Some(nulls) = given.get("nulls") {
        csv.nulls = entry_texts(ctx, nulls).into_iter().map(|text| text.value).collect();
    }
    csv
}

/// A single ASCII character that is not a line break.
fn sign(ctx: &mut Context<'_>, options: &Mapping<'_>, key: &str, default: u8) -> u8 {
    let Some(text) = options.text(ctx, key) else {
        return default;
    };
    match text.value.as_bytes() {
        [sign] if sign.is_ascii() && !matches!(sign, b'\n' | b'\r' | 0) => *sign,
        _ => {
            let hint = format!(
                "write it in quotes: {key}: \"{}\"; a tab is \"\\t\"",
                char::from(default)
            );
            ctx.problem(text.span, format!("`{key}` must be one ASCII character"), hint);
            default
        }
    }
}

fn name_of(format: Format) -> &'static str {
    FORMATS
        .iter()
        .find(|(_, known)| *known == format)
        .map_or("", |(name, _)| name)
}
