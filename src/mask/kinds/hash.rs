//! `hash`: 32 lower-case hex digits, the first 128 bits of an HMAC. Hex digits compare and sort alike in every database
//! and spreadsheet. With fewer than 128 bits, two people could get the same hash (see [`Token`]).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::error::ArrowError;

use super::spelling::{self, Spelled};
use crate::mask::key::{Keyed, Token};

const DIGITS: usize = 32;

pub(in crate::mask) fn apply(keyed: &Keyed, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    hex_tokens(keyed, array, "hash")
}

/// 32 hex digits for every value.
pub(super) fn hex_tokens(keyed: &Keyed, array: &ArrayRef, mask: &str) -> Result<ArrayRef, ArrowError> {
    tokens(keyed, array, mask, DIGITS, hex_into)
}

fn hex_into(bytes: &[u8], text: &mut String) {
    let mut digits = [0; DIGITS];
    let digits = &mut digits[..2 * bytes.len()];
    hex::encode_to_slice(bytes, digits).expect("a token has as many bytes as the digits have room for");
    text.extend(digits.iter().map(|digit| char::from(*digit)));
}

/// After so many values of an array it shows whether they repeat.
const ENOUGH_TO_TELL: usize = 512;

/// Makes a string of at most `width` bytes for every value. `render` appends it from the value's token. Values repeat
/// within a batch, so the HMAC is computed once per distinct value. Where hardly any does, as in a column of keys, they are
/// no longer kept.
pub(super) fn tokens(
    keyed: &Keyed,
    array: &ArrayRef,
    mask: &str,
    width: usize,
    render: impl Fn(&[u8], &mut String),
) -> Result<ArrayRef, ArrowError> {
    super::fits(mask, array.len(), width)?;
    let mut known: HashMap<Cow<'_, str>, Token> = HashMap::new();
    let mut builder = StringBuilder::with_capacity(array.len(), (array.len() - array.null_count()) * width);
    let mut text = String::with_capacity(width);
    let (mut met, mut repeat) = (0, true);
    spelling::for_each(array, |spelled| {
        let Some(spelled) = spelled else {
            return builder.append_null();
        };
        let (Spelled::Kept(value) | Spelled::Passing(value)) = spelled;
        let found = if repeat { known.get(value).copied() } else { None };
        let token = found.unwrap_or_else(|| {
            let token = keyed.token(value.as_bytes());
            if repeat {
                let value = match spelled {
                    Spelled::Kept(value) => Cow::Borrowed(value),
                    Spelled::Passing(value) => Cow::Owned(value.to_owned()),
                };
                known.insert(value, token);
            }
            token
        });
        met += 1;
        if met == ENOUGH_TO_TELL {
            repeat = known.len() < ENOUGH_TO_TELL / 8 * 7;
        }
        text.clear();
        render(&token, &mut text);
        builder.append_value(&text);
    })?;
    Ok(Arc::new(builder.finish()))
}
