//! Checks which JSON texts `jsonb` accepts. PostgreSQL refuses more than the grammar does: the escape `\u0000`, lone
//! surrogates, numbers beyond `numeric`, very deep nesting. Checking here finds the bad row before the server would
//! abort the whole COPY. No text is changed.

use std::borrow::Cow;

use memchr::memchr2;
use serde::de::IgnoredAny;

/// PostgreSQL's parser recurses; with the default `max_stack_depth` of 2 MB it gives up at some thousand levels.
const MAX_DEPTH: usize = 1_000;
/// `numeric` has at most this many digits before and after the point.
const MAX_WHOLE: i64 = 131_072;
const MAX_DECIMALS: i64 = 16_383;
/// jsonb keeps lengths in 28 bits.
const MAX_LENGTH: usize = 0x0fff_ffff;

/// Says why PostgreSQL would refuse `text`.
pub(super) fn check(text: &str) -> Result<(), Cow<'static, str>> {
    if text.len() > MAX_LENGTH {
        return Err("a JSON text longer than PostgreSQL's limit of 256 MB".into());
    }
    // The message says where the error is and quotes nothing of the text.
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| {
        format!(
            "a text that is no JSON (its line {}, byte {})",
            error.line(),
            error.column()
        )
    })?;
    scan(text.as_bytes())
}

/// Walks a text that is known to follow the grammar.
fn scan(text: &[u8]) -> Result<(), Cow<'static, str>> {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = string(text, at + 1)?,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!("a JSON text nested deeper than {MAX_DEPTH} levels").into());
                }
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b'0'..=b'9' => at = number(text, at)?,
            _ => at += 1,
        }
    }
    Ok(())
}

/// Reads a string, from after the opening quote to after the closing one.
fn string(text: &[u8], mut at: usize) -> Result<usize, Cow<'static, str>> {
    let mut high_surrogate = None;
    while let Some(found) = memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        let here = at + found;
        // A high surrogate is valid only directly before a low one.
        if high_surrogate.take_if(|end| *end != here).is_some() {
            return Err(lone());
        }
        if text[here] == b'"' {
            return if high_surrogate.is_some() {
                Err(lone())
            } else {
                Ok(here + 1)
            };
        }
        if text.get(here + 1) != Some(&b'u') {
            if high_surrogate.is_some() {
                return Err(lone());
            }
            at = here + 2;
            continue;
        }
        let digits = text
            .get(here + 2..here + 6)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let unit = digits
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            .unwrap_or(0);
        at = here + 6;
        high_surrogate = match (unit, high_surrogate) {
            (0, _) => return Err("a JSON text with the escape \\u0000, which PostgreSQL can't store".into()),
            (0xd800..=0xdbff, None) => Some(at),
            (0xdc00..=0xdfff, Some(_)) => None,
            (0xd800..=0xdfff, _) | (_, Some(_)) => return Err(lone()),
            _ => None,
        };
    }
    Ok(text.len())
}

fn lone() -> Cow<'static, str> {
    "a JSON text with half of a surrogate pair, which PostgreSQL can't store".into()
}

/// Reads a number, from its first digit to after its end.
fn number(text: &[u8], start: usize) -> Result<usize, Cow<'static, str>> {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let length = |count: usize| i64::try_from(count).unwrap_or(i64::MAX / 4);
    let mut at = start + digits(start);
    let whole = length(at - start);
    let mut decimals = 0;
    if text.get(at) == Some(&b'.') {
        let count = digits(at + 1);
        decimals = length(count);
        at += 1 + count;
    }
    let mut exponent = 0;
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = matches!(text.get(at + 1), Some(b'+' | b'-'));
        let from = at + 1 + usize::from(sign);
        let end = from + digits(from);
        let power = std::str::from_utf8(&text[from..end])
            .ok()
            .and_then(|power| power.parse::<i32>().ok());
        let power = i64::from(power.unwrap_or(i32::MAX));
        exponent = if text.get(at + 1) == Some(&b'-') { -power } else { power };
        at = end;
    }
    if whole + exponent > MAX_WHOLE || decimals - exponent > MAX_DECIMALS {
        return Err("a JSON text with a number outside of PostgreSQL's range".into());
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgres_takes() {
        for text in [
            "null",
            "  {\"a\": [1, 2.5e3, -0, true, \"\\u00e9\\n\\\\u0000\"]} ",
            r#""\ud83d\ude00""#,
            r#""\\ud83d""#,
            "1e131071",
            "1e-16383",
            "[]",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        assert!(check(&("[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH))).is_ok());
    }

    #[test]
    fn what_postgres_refuses() {
        for text in [
            "",
            "{",
            "{'a':1}",
            "[1,]",
            "NaN",
            "1 2",
            "\"a\0b\"",
            r#""\u0000""#,
            r#"{"\u0000":1}"#,
            r#""\ud83d""#,
            r#""\ud83dx\ude00""#,
            r#""\ud83d\n\ude00""#,
            r#""\ud83d\u0041""#,
            r#""\ud83d\ud83d""#,
            r#""\ude00""#,
            r#"["\ud83d", "\ude00"]"#,
            "1e131072",
            "[1e99999999999]",
            "1e-16384",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        assert!(check(&"[".repeat(20_000)).is_err());
        assert!(check(&("[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1))).is_err());
    }

    #[test]
    fn a_reason_holds_no_value() {
        let reason = check("{\"ssn\": 123-45-6789}").unwrap_err();
        assert_eq!(reason, "a text that is no JSON (its line 1, byte 12)");
    }
}
