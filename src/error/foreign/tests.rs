//! Each error of another crate is made to hold a canary, which its words must not show.

use std::io::Read as _;

use super::*;
use crate::error::Error;

const CANARY: &str = "hunter2canary";

/// The words, which must not hold the canary. `raw` is the error's own text: where it holds none, the test shows nothing.
fn silent(raw: &dyn std::fmt::Display, error: impl Words) -> String {
    let raw = raw.to_string();
    assert!(raw.contains(CANARY), "it does not quote: {raw}");
    let built = Error::batch("x").cause(error);
    let shown = format!("{built} {built:?}");
    assert!(!shown.contains(CANARY), "{shown}");
    built.why().unwrap()
}

fn io() -> io::Error {
    io::Error::other(CANARY)
}

#[test]
fn io_says_its_kind_and_what_the_system_says() {
    assert_eq!(silent(&io(), io()), "other error");
    let missing = std::fs::File::open("/nowhere/at all").unwrap_err();
    assert!(missing.words().starts_with("No such file"), "{}", missing.words());
    assert_eq!(io::Error::from(io::ErrorKind::TimedOut).words(), "timed out");
}

#[test]
fn decompressors_keep_their_fixed_words() {
    let said = |mut reader: Box<dyn io::Read>| reader.read_to_end(&mut Vec::new()).unwrap_err().words();
    let damaged: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\xffhunter2canary";
    assert_eq!(
        said(Box::new(flate2::read::GzDecoder::new(damaged))),
        "corrupt deflate stream"
    );
    let damaged: &[u8] = b"hunter2canary";
    assert_eq!(
        said(Box::new(zstd::Decoder::new(damaged).unwrap())),
        "Unknown frame descriptor"
    );
    assert_eq!(
        said(Box::new(bzip2::read::BzDecoder::new(damaged))),
        "bzip2: bz2 header missing"
    );
}

#[test]
fn arrow_parquet_and_datafusion() {
    let text = || CANARY.to_owned();
    let arrow = [
        ArrowError::NotYetImplemented(text()),
        ArrowError::ExternalError(CANARY.into()),
        ArrowError::CastError(text()),
        ArrowError::MemoryError(text()),
        ArrowError::ParseError(text()),
        ArrowError::SchemaError(text()),
        ArrowError::ComputeError(text()),
        ArrowError::ArithmeticOverflow(text()),
        ArrowError::CsvError(text()),
        ArrowError::JsonError(text()),
        ArrowError::IoError(text(), io()),
        ArrowError::IpcError(text()),
        ArrowError::InvalidArgumentError(text()),
        ArrowError::ParquetError(text()),
        ArrowError::CDataInterface(text()),
    ];
    for error in arrow {
        let raw = error.to_string();
        silent(&raw, error);
    }
    let parquet = || {
        [
            ParquetError::General(text()),
            ParquetError::NYI(text()),
            ParquetError::EOF(text()),
            ParquetError::ArrowError(text()),
            ParquetError::External(CANARY.into()),
        ]
    };
    for error in parquet() {
        let raw = error.to_string();
        silent(&raw, error);
    }
    let datafusion = [
        DataFusionError::ArrowError(Box::new(ArrowError::CastError(text())), None),
        DataFusionError::ObjectStore(Box::new(store("S3"))),
        DataFusionError::IoError(io()),
        DataFusionError::NotImplemented(text()),
        DataFusionError::Internal(text()),
        DataFusionError::Plan(text()),
        DataFusionError::Configuration(text()),
        DataFusionError::Execution(text()),
        DataFusionError::ResourcesExhausted(text()),
        DataFusionError::External(CANARY.into()),
        DataFusionError::Context(text(), Box::new(DataFusionError::Execution(text()))),
    ];
    for error in datafusion {
        let raw = error.to_string();
        silent(&raw, error);
    }
}

fn store(store: &'static str) -> object_store::Error {
    object_store::Error::Generic {
        store,
        source: CANARY.into(),
    }
}

#[test]
fn object_stores() {
    for backend in ["S3", "GCS", "MicrosoftAzure", "HTTP", "LocalFileSystem"] {
        silent(&store(backend), store(backend));
    }
    let (path, source) = (|| CANARY.to_owned(), || CANARY.into());
    let errors = [
        object_store::Error::NotFound {
            path: path(),
            source: source(),
        },
        object_store::Error::AlreadyExists {
            path: path(),
            source: source(),
        },
        object_store::Error::Precondition {
            path: path(),
            source: source(),
        },
        object_store::Error::NotModified {
            path: path(),
            source: source(),
        },
        object_store::Error::PermissionDenied {
            path: path(),
            source: source(),
        },
        object_store::Error::Unauthenticated {
            path: path(),
            source: source(),
        },
        object_store::Error::UnknownConfigurationKey {
            store: "S3",
            key: path(),
        },
    ];
    for error in errors {
        let raw = error.to_string();
        silent(&raw, error);
    }
}

#[test]
fn texts_that_are_parsed() {
    let json = || serde_json::from_str::<u8>(&format!("\"{CANARY}\"")).unwrap_err();
    assert_eq!(
        silent(&json(), json()),
        "it is other JSON than it must be (line 1, column 15)"
    );
    let pattern = format!("({CANARY}");
    let regex = || regex::Regex::new(&pattern).unwrap_err();
    silent(&regex(), regex());
    let csv = || {
        let text = format!("a\n{CANARY}\n");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let mut rows = reader.deserialize::<(u8,)>();
        rows.next().unwrap().unwrap_err()
    };
    // It quotes the character, or the field.
    assert!(!csv().words().contains(CANARY));
    // These quote one character or none.
    assert_eq!(hex::decode("zz").unwrap_err().words(), "it is not hexadecimal");
    assert_eq!(uuid::Uuid::parse_str(CANARY).unwrap_err().words(), "it is no UUID");
    let base64 = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, "é").unwrap_err();
    assert_eq!(base64.words(), "it is no base64");
    assert!(
        !glob::Pattern::new("hunter2canary[")
            .unwrap_err()
            .words()
            .contains(CANARY)
    );
    let rustls = || rustls::Error::General(CANARY.to_owned());
    silent(&rustls(), rustls());
    let number = CANARY.parse::<u8>().unwrap_err();
    let url = url::Url::parse(CANARY).unwrap_err();
    let date = chrono::NaiveDate::parse_from_str(CANARY, "%Y").unwrap_err();
    let bytes = [CANARY.as_bytes(), &[0xff]].concat();
    let utf8 = String::from_utf8(bytes).unwrap_err();
    for words in [number.words(), url.words(), date.words(), utf8.words()] {
        assert!(!words.contains(CANARY), "{words}");
    }
}

#[tokio::test]
async fn a_panic_is_not_repeated() {
    let panicked = || tokio::spawn(async { std::panic::panic_any(CANARY.to_owned()) });
    let (one, other) = (panicked().await.unwrap_err(), panicked().await.unwrap_err());
    assert_eq!(silent(&one, other), "it ended by a defect of the program");
}
