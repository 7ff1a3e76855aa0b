//! One interface to Arrow's string arrays, and the checks for PostgreSQL's texts: no NUL, at most the declared
//! length.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringViewArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use bytes::{BufMut, BytesMut};
use memchr::memchr;

type Outcome = Result<(), Cow<'static, str>>;

/// The largest field in bytes: the largest allocation of the server (src/include/utils/memutils.h) less its header.
const MAX_FIELD: usize = 0x3fff_ffff - 8;

/// The strings of one column of one batch.
pub(super) enum Texts {
    /// `has_nul` tells whether the whole buffer holds a NUL. Mostly it does not, and then single cells need no check.
    Plain {
        array: StringArray,
        has_nul: bool,
    },
    View(StringViewArray),
}

impl Texts {
    pub(super) fn accepts(arrow: &DataType) -> bool {
        match arrow {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
            DataType::Dictionary(_, values) => Self::accepts(values),
            _ => false,
        }
    }

    pub(super) fn bind(array: &ArrayRef) -> Result<Self, ArrowError> {
        if let Some(array) = array.as_string_opt::<i32>() {
            let offsets = array.value_offsets();
            let used = offsets.first().zip(offsets.last()).and_then(|(first, last)| {
                array
                    .value_data()
                    .get(usize::try_from(*first).ok()?..usize::try_from(*last).ok()?)
            });
            let has_nul = used.is_none_or(|bytes| memchr(0, bytes).is_some());
            return Ok(Self::Plain {
                array: array.clone(),
                has_nul,
            });
        }
        Ok(Self::View(cast(array, &DataType::Utf8View)?.as_string_view().clone()))
    }

    pub(super) fn nulls(&self) -> Option<&NullBuffer> {
        match self {
            Self::Plain { array, .. } => array.nulls(),
            Self::View(array) => array.nulls(),
        }
    }

    pub(super) fn get(&self, row: usize) -> &str {
        match self {
            Self::Plain { array, .. } => array.value(row),
            Self::View(array) => array.value(row),
        }
    }

    /// Whether every text is without NUL and no longer than `limit`, in bytes.
    pub(super) fn all_fit(&self, limit: Option<u32>) -> bool {
        let most = limit.map_or(MAX_FIELD, |limit| MAX_FIELD.min(limit as usize));
        match self {
            Self::Plain { has_nul: true, .. } => false,
            Self::Plain { array, .. } => {
                let mut lengths = array.value_offsets().windows(2).map(|pair| pair[1] - pair[0]);
                lengths.all(|length| usize::try_from(length).is_ok_and(|length| length <= most))
            }
            Self::View(array) => (0..array.len()).all(|row| {
                let text = array.value(row);
                text.len() <= most && memchr(0, text.as_bytes()).is_none()
            }),
        }
    }

    /// Appends a text field. `limit` is the maximum length in characters.
    pub(super) fn put(&self, out: &mut BytesMut, row: usize, limit: Option<u32>) -> Outcome {
        let text = self.get(row);
        let may_have_nul = !matches!(self, Self::Plain { has_nul: false, .. });
        if may_have_nul && memchr(0, text.as_bytes()).is_some() {
            return Err("a NUL character, which PostgreSQL can't store".into());
        }
        if let Some(limit) = limit
            && text.len() > limit as usize
            && text.chars().count() > limit as usize
        {
            return Err(format!("a text longer than varchar({limit})").into());
        }
        put_bytes(out, &[], text.as_bytes())
    }
}

/// Appends a field that consists of `head` followed by `body`.
pub(super) fn put_bytes(out: &mut BytesMut, head: &[u8], body: &[u8]) -> Outcome {
    let length = head.len() + body.len();
    match i32::try_from(length) {
        Ok(prefix) if length <= MAX_FIELD => out.put_i32(prefix),
        _ => return Err("a value larger than PostgreSQL's limit of 1 GB".into()),
    }
    out.extend_from_slice(head);
    out.extend_from_slice(body);
    Ok(())
}
