//! Parses a scalar's text into its exact value. A text that would lose a digit, overflow or need a guess is refused
//! with a reason.

use chrono::{Datelike, NaiveDate, NaiveDateTime};

use super::Zone;
use super::refusal::Reason;
use super::time_format::{TimeFormat, nanoseconds};

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Days from 0001-01-01 (day 1) to 1970-01-01.
const EPOCH_DAYS: i32 = 719_163;

/// Declared formats, parsed once; a text is read by the first that fits it.
#[derive(Debug, Default)]
pub(crate) struct Formats {
    declared: Vec<TimeFormat>,
    /// The zone of times without an offset.
    zone: Option<Zone>,
}

/// Microseconds since 1970-01-01 00:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Micros {
    pub value: i64,
    /// The text was finer: what lies beyond microseconds was cut off.
    pub cut: bool,
}

impl Formats {
    /// Parses the formats. The error is the first format that chrono does not know.
    pub fn parse(formats: &[String]) -> Result<Self, String> {
        let parse = |format: &String| TimeFormat::parse(format).ok_or_else(|| format.clone());
        let declared = formats.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { declared, zone: None })
    }

    /// The same formats for texts in which a time without an offset is one of this zone.
    #[must_use]
    pub fn in_zone(self, zone: Option<Zone>) -> Self {
        Self { zone, ..self }
    }

    pub fn zone(&self) -> Option<Zone> {
        self.zone
    }

    pub fn is_empty(&self) -> bool {
        self.declared.is_empty()
    }
}

/// A whole number. `1.0` and `1e3` are refused.
pub(crate) fn int<T: std::str::FromStr>(text: &str) -> Result<T, &'static str> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("not a whole number");
    }
    text.parse().map_err(|_| "a number too large for its type")
}

/// The nearest 64-bit float. A text that would give infinity is refused.
pub(crate) fn double(text: &str) -> Result<f64, &'static str> {
    if !is_number(text) {
        return Err("not a number");
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err("a number too large for its type"),
    }
}

/// Whether the text is a JSON number. Leading zeros are allowed, because senders pad numbers in texts with them.
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        None => (text, "0"),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(fraction) && digits(exponent)
}

/// The parts of a number's text: `digits * 10^exponent`, where the digits neither begin nor end with a zero.
struct Parts {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Parts {
    /// Takes a number's text apart. Zero has no digits.
    fn of(text: &str) -> Result<Self, &'static str> {
        if !is_number(text) {
            return Err("not a number");
        }
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let negative = mantissa.starts_with('-');
        let mantissa = mantissa.trim_start_matches('-');
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = whole.bytes().chain(fraction.bytes());
        let mut digits: Vec<u8> = digits.skip_while(|byte| *byte == b'0').collect();
        let written = digits.len();
        digits.truncate(digits.iter().rposition(|byte| *byte != b'0').map_or(0, |last| last + 1));
        // An exponent that does not fit into 64 bits is too large for every type, whatever the digits are.
        let exponent = exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') {
            i64::MIN / 4
        } else {
            i64::MAX / 4
        });
        let exponent = exponent
            .saturating_sub(count(fraction.len()))
            .saturating_add(count(written - digits.len()));
        Ok(Self {
            negative: negative && !digits.is_empty(),
            digits,
            exponent,
        })
    }
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX / 4)
}

/// The exact decimal, as the integer `value * 10^scale`.
pub(crate) fn decimal(text: &str, precision: u8, scale: i8) -> Result<i128, &'static str> {
    const TOO_LARGE: &str = "more digits before the point than its decimal type has";
    const TOO_FINE: &str = "more digits after the point than its decimal type has";
    let Parts {
        negative,
        mut digits,
        exponent,
    } = Parts::of(text)?;
    if digits.is_empty() {
        return Ok(0);
    }
    let shift = exponent.saturating_add(i64::from(scale));
    if shift < 0 {
        return Err(TOO_FINE);
    }
    if count(digits.len()).saturating_add(shift) > i64::from(precision) {
        return Err(TOO_LARGE);
    }
    let zeros = usize::try_from(shift).map_err(|_| TOO_LARGE)?;
    digits.extend(std::iter::repeat_n(b'0', zeros));
    // A precision of at most 38 digits always fits.
    let value = digits
        .iter()
        .fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    Ok(if negative { -value } else { value })
}

/// The most digits of [`plain_number`]. Doubles have fewer; an exponent could ask for any number of them.
const MOST_DIGITS: i64 = 1_000;

/// The shortest exact decimal text of a number: no exponent, no zeros that change nothing. `5`, `5.0` and `50e-1` are all
/// `5`.
pub(crate) fn plain_number(text: &str) -> Result<String, &'static str> {
    let Parts {
        negative,
        digits,
        exponent,
    } = Parts::of(text)?;
    if digits.is_empty() {
        return Ok("0".to_owned());
    }
    // The place of the point, counted from the first digit.
    let point = count(digits.len()).saturating_add(exponent);
    if point > MOST_DIGITS || exponent < -MOST_DIGITS {
        return Err("a number of too many digits");
    }
    let mut plain = String::from(if negative { "-" } else { "" });
    let digit = |at: i64| {
        usize::try_from(at)
            .ok()
            .and_then(|at| digits.get(at))
            .map_or('0', |byte| char::from(*byte))
    };
    if point <= 0 {
        plain.push('0');
    }
    plain.extend((0..point).map(digit));
    if exponent < 0 {
        plain.push('.');
        plain.extend((point..count(digits.len())).map(digit));
    }
    Ok(plain)
}

/// Days since 1970-01-01.
pub(crate) fn date(text: &str, formats: &Formats) -> Result<i32, Reason> {
    let date = if formats.is_empty() {
        iso_date(text.as_bytes()).ok_or("not a date (yyyy-mm-dd)")?
    } else {
        let read = formats.declared.iter().find_map(|format| format.date(text));
        read.ok_or("not a date in a declared format")?
    };
    Ok(days(date))
}

/// Microseconds since 1970-01-01 00:00, without time zone.
pub(crate) fn timestamp(text: &str, formats: &Formats) -> Result<Micros, Reason> {
    if formats.is_empty() {
        let (seconds, nanos, rest) =
            iso_timestamp(text).ok_or("not a timestamp (yyyy-mm-ddThh:mm:ss, without offset)")?;
        if !rest.is_empty() {
            return Err("not a timestamp without offset".into());
        }
        return micros(seconds, nanos);
    }
    let read = formats.declared.iter().find_map(|format| format.timestamp(text));
    let value = read.ok_or("not a timestamp in a declared format")?.and_utc();
    micros(value.timestamp(), value.timestamp_subsec_nanos())
}

/// Microseconds since 1970-01-01 00:00 UTC.
pub(crate) fn timestamptz(text: &str, formats: &Formats) -> Result<Micros, Reason> {
    if formats.is_empty() {
        let (seconds, nanos, rest) = iso_timestamp(text).ok_or("not a timestamp (yyyy-mm-ddThh:mm:ss+hh:mm)")?;
        let offset = match formats.zone {
            Some(zone) if rest.is_empty() => zone.offset(seconds)?,
            _ => iso_offset(rest).ok_or("a timestamp whose offset (Z or +hh:mm) is missing or wrong")?,
        };
        return micros(seconds - offset, nanos);
    }
    let read = |format: &TimeFormat| match format.instant(text) {
        Some(instant) => Some((instant.naive_utc(), None)),
        None => Some((format.local(text)?, Some(formats.zone?))),
    };
    let (time, zone) = formats.declared.iter().find_map(read).ok_or(NO_INSTANT)?;
    utc(time, zone)
}

const NO_INSTANT: &str = "not a timestamp with an offset in a declared format";

/// A time of the zone, or of UTC where there is none.
fn utc(time: NaiveDateTime, zone: Option<Zone>) -> Result<Micros, Reason> {
    let time = time.and_utc();
    let offset = zone.map_or(Ok(0), |zone| zone.offset(time.timestamp()))?;
    micros(time.timestamp() - offset, time.timestamp_subsec_nanos())
}

/// Microseconds since 1970-01-01 00:00 of a text for SQL: with an offset in UTC, a date alone at its start.
pub(crate) fn utc_timestamp(text: &str, formats: &Formats) -> Result<Micros, Reason> {
    if formats.is_empty() {
        if let Some(date) = iso_date(text.as_bytes()) {
            return micros(i64::from(days(date)) * SECONDS_PER_DAY, 0);
        }
        let (_, _, rest) = iso_timestamp(text).ok_or("not a timestamp (yyyy-mm-ddThh:mm:ss)")?;
        return if rest.is_empty() {
            timestamp(text, formats)
        } else {
            timestamptz(text, formats)
        };
    }
    let read = formats.declared.iter().find_map(|format| format.utc_timestamp(text));
    let value = read.ok_or("not a timestamp in a given format")?.and_utc();
    micros(value.timestamp(), value.timestamp_subsec_nanos())
}

/// Nanoseconds are cut off, not rounded: PostgreSQL has none, and 23:59:59.9999999 is of its day.
fn micros(seconds: i64, nanos: u32) -> Result<Micros, Reason> {
    if i64::from(nanos) >= 1000 * MICROS_PER_SECOND {
        return Err("a leap second, which PostgreSQL can't hold".into());
    }
    let micros = seconds
        .checked_mul(MICROS_PER_SECOND)
        .and_then(|value| value.checked_add(i64::from(nanos / 1000)));
    Ok(Micros {
        value: micros.ok_or("a timestamp out of range")?,
        cut: !nanos.is_multiple_of(1000),
    })
}

fn days(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - EPOCH_DAYS
}

/// A date written as `yyyy-mm-dd`. No other form is read.
fn iso_date(text: &[u8]) -> Option<NaiveDate> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else {
        return None;
    };
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
    let year = digit(y1)? * 1000 + digit(y2)? * 100 + digit(y3)? * 10 + digit(y4)?;
    let month = digit(m1)? * 10 + digit(m2)?;
    let day = digit(d1)? * 10 + digit(d2)?;
    // Year 0 does not exist in PostgreSQL's calendar.
    NaiveDate::from_ymd_opt(i32::try_from(year).ok().filter(|year| *year > 0)?, month, day)
}

/// A timestamp: `yyyy-mm-dd`, `T` or a space, `hh:mm`, and optionally `:ss` with a fraction. Returns seconds,
/// nanoseconds and the rest of the text.
fn iso_timestamp(text: &str) -> Option<(i64, u32, &str)> {
    let date = iso_date(text.as_bytes().get(..10)?)?;
    let rest = text.get(10..)?.strip_prefix(['T', 't', ' '])?;
    let (hour, rest) = two_digits(rest, 23)?;
    let (minute, rest) = two_digits(rest.strip_prefix(':')?, 59)?;
    let mut seconds = i64::from(days(date)) * SECONDS_PER_DAY + hour * 3600 + minute * 60;
    let Some(rest) = rest.strip_prefix(':') else {
        return Some((seconds, 0, rest));
    };
    let (second, rest) = two_digits(rest, 59)?;
    seconds += second;
    let Some(fraction) = rest.strip_prefix('.') else {
        return Some((seconds, 0, rest));
    };
    let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 {
        return None;
    }
    let (digits, rest) = fraction.split_at(length);
    Some((seconds, nanoseconds(digits), rest))
}

/// The offset in seconds east of UTC.
fn iso_offset(text: &str) -> Option<i64> {
    if text == "Z" || text == "z" {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, rest) = two_digits(text.strip_prefix(['+', '-'])?, 23)?;
    let (minutes, rest) = two_digits(rest.strip_prefix(':').unwrap_or(rest), 59)?;
    rest.is_empty().then_some(sign * (hours * 3600 + minutes * 60))
}

fn two_digits(text: &str, most: i64) -> Option<(i64, &str)> {
    let [a, b, ..] = text.as_bytes() else { return None };
    let value =
        a.is_ascii_digit().then(|| i64::from(a - b'0'))? * 10 + b.is_ascii_digit().then(|| i64::from(b - b'0'))?;
    (value <= most).then(|| (value, &text[2..]))
}

mod partial;

pub(crate) use partial::{partial_date, partial_timestamp, partial_timestamptz};

#[cfg(test)]
mod tests;
