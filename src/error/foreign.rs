//! The one place that says what may be repeated of an error of another crate. Its text may quote what it was about: a value
//! of the data, a key, a name of a file, an answer of a server. So [`super::Error::cause`] takes only what stands here. A
//! type that is not here does not compile as a cause.
//!
//! Some errors are put into more words elsewhere, where more is known of them: PostgreSQL's (`src/warehouse/sql/error.rs`),
//! DataFusion's (`src/transform/wording.rs`), those of object stores (`src/ingest/store_error.rs`).

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use parquet::errors::ParquetError;

/// The words for a cause, which hold no value and no secret.
pub trait Words {
    fn words(&self) -> String;
}

/// Texts of this program.
macro_rules! own {
    ($($text:ty),*) => { $(impl Words for $text {
        fn words(&self) -> String {
            (**self).to_owned()
        }
    })* };
}
own!(String, &String, &str, Cow<'_, str>, Arc<str>);

/// Errors whose texts are fixed, or hold numbers only.
macro_rules! fixed {
    ($($error:ty),*) => { $(impl Words for $error {
        fn words(&self) -> String {
            self.to_string()
        }
    })* };
}
fixed!(
    io::ErrorKind,
    std::num::ParseIntError,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
    chrono::ParseError,
    url::ParseError
);

/// Errors whose texts quote what they were given, and what they are about instead.
macro_rules! silent {
    ($($error:ty: $words:literal),*) => { $(impl Words for $error {
        fn words(&self) -> String {
            $words.to_owned()
        }
    })* };
}
silent!(
    base64::DecodeError: "it is no base64",
    hex::FromHexError: "it is not hexadecimal",
    uuid::Error: "it is no UUID",
    glob::PatternError: "it is no pattern",
    regex::Error: "it is no regular expression",
    csv::Error: "it is not as CSV must be",
    rustls::server::VerifierBuilderError: "the certificates can't be used",
    refinery_core::Error: "the migrations can't be read",
    object_store::Error: "the storage answers with an error",
    deadpool_postgres::BuildError: "the pool can't be built"
);

impl Words for super::Error {
    fn words(&self) -> String {
        self.to_string()
    }
}

/// Texts of the decompressors, none of which quotes anything (their sources: flate2 `zio.rs`, zstd `error_private.c`, bzip2
/// `mem.rs` and `bufread.rs`).
const FIXED: [&str; 30] = [
    "corrupt deflate stream",
    "incomplete deflate stream",
    "invalid gzip header",
    "corrupt gzip stream does not have a matching checksum",
    "deflate decompression error",
    "incomplete frame",
    "Error (generic)",
    "Unknown frame descriptor",
    "Version not supported",
    "Unsupported frame parameter",
    "Frame requires too much memory for decoding",
    "Data corruption detected",
    "Restored data doesn't match checksum",
    "Header of Literals' block doesn't respect format specification",
    "Unsupported parameter",
    "Parameter is out of bound",
    "Allocation error : not enough memory",
    "tableLog requires too much memory : unsupported",
    "Unsupported max Symbol Value : too large",
    "Specified maxSymbolValue is too small",
    "Dictionary is corrupted",
    "Dictionary mismatch",
    "Destination buffer is too small",
    "Src size is incorrect",
    "Unspecified error code",
    "bzip2: sequence of operations invalid",
    "bzip2: invalid data",
    "bzip2: bz2 header missing",
    "bzip2: invalid parameters",
    "decompression not finished but EOF reached",
];

/// What the system says, and what is fixed. Anything else may be put into an I/O error, so only its kind is said.
impl Words for io::Error {
    fn words(&self) -> String {
        let text = self.to_string();
        if self.get_ref().is_none() || FIXED.contains(&text.as_str()) {
            return text;
        }
        self.kind().to_string()
    }
}

impl Words for &io::Error {
    fn words(&self) -> String {
        (*self).words()
    }
}

impl Words for rustls::Error {
    fn words(&self) -> String {
        match self {
            Self::InvalidCertificate(_) => "the certificate is not valid",
            Self::InconsistentKeys(_) => "the key is not that of the certificate",
            _ => "TLS can't use it",
        }
        .to_owned()
    }
}

impl Words for rustls::pki_types::pem::Error {
    fn words(&self) -> String {
        match self {
            Self::Io(error) => error.words(),
            _ => "it is not as PEM must be".to_owned(),
        }
    }
}

/// Where it is wrong, and in which way.
impl Words for serde_json::Error {
    fn words(&self) -> String {
        let what = match self.classify() {
            serde_json::error::Category::Io => "it can't be read",
            serde_json::error::Category::Syntax => "it is no JSON",
            serde_json::error::Category::Data => "it is other JSON than it must be",
            serde_json::error::Category::Eof => "it ends too early",
        };
        format!("{what} (line {}, column {})", self.line(), self.column())
    }
}

/// A panic's message may hold data.
impl Words for tokio::task::JoinError {
    fn words(&self) -> String {
        if self.is_cancelled() {
            "it was stopped"
        } else {
            "it ended by a defect of the program"
        }
        .to_owned()
    }
}

impl Words for ArrowError {
    fn words(&self) -> String {
        match self {
            Self::NotYetImplemented(_) => "Arrow can't do this",
            Self::CastError(_) => "a value can't be converted",
            Self::MemoryError(_) => "there is not enough memory",
            Self::ParseError(_) => "a value can't be parsed",
            Self::SchemaError(_) => "the columns are not those that are expected",
            Self::ComputeError(_) | Self::ArithmeticOverflow(_) => "a value can't be computed",
            Self::DivideByZero => "division by zero",
            Self::CsvError(_) => "it is not as CSV must be",
            Self::JsonError(_) => "it is not as JSON must be",
            Self::IoError(_, error) => return error.words(),
            Self::OffsetOverflowError(_) | Self::DictionaryKeyOverflowError | Self::RunEndIndexOverflowError => {
                "a batch of rows is too large"
            }
            _ => "Arrow fails on it",
        }
        .to_owned()
    }
}

impl Words for ParquetError {
    fn words(&self) -> String {
        match self {
            Self::EOF(_) => "it ends too early",
            Self::NYI(_) => "it uses a part of the format that can't be read",
            Self::ArrowError(_) => "its columns can't be made",
            _ => "its bytes are damaged",
        }
        .to_owned()
    }
}

/// While rows are read. `src/transform/wording.rs` says more of errors of planning.
impl Words for DataFusionError {
    fn words(&self) -> String {
        match self.find_root() {
            Self::ArrowError(error, _) => return error.words(),
            Self::IoError(error) => return error.words(),
            Self::ResourcesExhausted(_) => "there is not enough memory",
            Self::NotImplemented(_) => "DataFusion can't do this",
            _ => "DataFusion fails on it",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests;
