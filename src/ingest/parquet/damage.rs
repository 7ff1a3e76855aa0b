//! Says what is wrong with a damaged file, in words that hold no name of an undeclared column.

use ::parquet::errors::ParquetError;

use super::super::stored::Carried;
use crate::error::Error;
use crate::model::refusal::Reason;

/// What is wrong with a damaged file. The reader's own words could hold the name of an undeclared column.
pub(super) fn why(error: &ParquetError) -> Reason {
    let text = error.to_string();
    let why = match error {
        // It holds sizes only.
        ParquetError::EOF(_) => return text.into(),
        ParquetError::NYI(_) => "it uses a part of the format that can't be read",
        _ if text.contains("CRC") => "the checksum of a page is wrong",
        _ if text.contains("encrypt") => "it is encrypted",
        _ => "its bytes are damaged",
    };
    why.into()
}

pub(super) fn damaged(path: &str, error: ParquetError) -> Error {
    let error = match error {
        ParquetError::External(inner) => match inner.downcast::<Carried>() {
            Ok(carried) => return carried.0,
            Err(inner) => ParquetError::External(inner),
        },
        error => error,
    };
    Error::batch(format!("{path} is no valid parquet file")).cause(why(&error))
}
