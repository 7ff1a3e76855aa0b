//! Helpers of the JSON scanner: find the end of a string, compare a key, show a record path.

use std::borrow::Cow;

use memchr::memchr2;

use crate::model::RecordStep;
use crate::model::refusal::Reason;

/// Finds the end of a string. Returns the position after its closing quote, and `None`. Where the buffer ends first,
/// returns its length, and whether the buffer ends after a backslash that starts an escape.
pub(super) fn string_end(buffer: &[u8], mut at: usize, escaped: bool) -> (usize, Option<bool>) {
    if escaped {
        at += 1;
    }
    loop {
        match memchr2(b'"', b'\\', buffer.get(at..).unwrap_or_default()) {
            None => return (buffer.len(), Some(false)),
            Some(skip) if buffer[at + skip] == b'"' => return (at + skip + 1, None),
            Some(skip) if at + skip + 1 == buffer.len() => return (buffer.len(), Some(true)),
            Some(skip) => at += skip + 2,
        }
    }
}

/// Whether a key, as written with its escapes, is `wanted`.
pub(super) fn key_is(raw: &[u8], wanted: &str) -> bool {
    if !raw.contains(&b'\\') {
        return raw == wanted.as_bytes();
    }
    let mut quoted = Vec::with_capacity(raw.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(raw);
    quoted.push(b'"');
    serde_json::from_slice::<Cow<'_, str>>(&quoted).is_ok_and(|key| key == wanted)
}

/// Shows a part of a record path as it is written in YAML, such as `$.entry[*]`.
pub(super) fn shown(steps: &[RecordStep]) -> Reason {
    let mut path = "$".to_owned();
    for step in steps {
        match step {
            RecordStep::Key(key) => {
                path.push('.');
                path.push_str(key);
            }
            RecordStep::Each => path.push_str("[*]"),
        }
    }
    path.into()
}
