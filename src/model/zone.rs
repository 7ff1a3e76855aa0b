//! The time zone of local times that are written without their offset.

use chrono::offset::LocalResult;
use chrono::{DateTime, FixedOffset, Offset as _, TimeZone as _};
use chrono_tz::Tz;

/// A fixed offset from UTC, or a zone of the IANA database with its changes of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    Offset(FixedOffset),
    Named(Tz),
}

impl Zone {
    /// Reads `UTC`, `+01:00` or a name such as `Europe/Berlin`. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with(['+', '-']) {
            let [_, b'0'..=b'9', b'0'..=b'9', b':', b'0'..=b'9', b'0'..=b'9'] = text.as_bytes() else {
                return None;
            };
            return text.parse().ok().map(Self::Offset);
        }
        text.parse().ok().map(Self::Named)
    }

    /// The offset east of UTC, in seconds, of a local time, in seconds since 1970-01-01 00:00. The error says why the
    /// local time is not one instant: the clock skips it, or shows it twice.
    pub(crate) fn offset(self, local: i64) -> Result<i64, &'static str> {
        let zone = match self {
            Self::Offset(fixed) => return Ok(fixed.local_minus_utc().into()),
            Self::Named(zone) => zone,
        };
        let local = DateTime::from_timestamp(local, 0).ok_or("a timestamp out of range")?;
        match zone.offset_from_local_datetime(&local.naive_utc()) {
            LocalResult::Single(offset) => Ok(offset.fix().local_minus_utc().into()),
            LocalResult::Ambiguous(..) => {
                Err("a local time that the clock of its zone shows twice, without its offset")
            }
            LocalResult::None => Err("a local time that the clock of its zone skips"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(zone: &str, local: &str) -> Result<i64, &'static str> {
        let local: chrono::NaiveDateTime = local.parse().unwrap();
        Zone::parse(zone).unwrap().offset(local.and_utc().timestamp())
    }

    #[test]
    fn a_zone_is_an_offset_or_a_name() {
        for text in [
            "",
            "Z",
            "CEST",
            "Berlin",
            "europe/berlin",
            "+1",
            "+0100",
            "+01:00:00",
            "+25:00",
            "UTC+1",
        ] {
            assert_eq!(Zone::parse(text), None, "{text}");
        }
        assert_eq!(offset("-03:30", "2023-07-01T00:00:00"), Ok(-12_600));
        assert_eq!(offset("UTC", "2023-07-01T00:00:00"), Ok(0));
        assert_eq!(offset("America/New_York", "1970-01-01T00:00:00"), Ok(-18_000));
    }

    #[test]
    fn the_clock_changes_twice_a_year() {
        for (local, expected) in [
            ("2023-03-26T01:59:59", Ok(3600)),
            ("2023-03-26T03:00:00", Ok(7200)),
            ("2023-10-29T01:59:59", Ok(7200)),
            ("2023-10-29T03:00:00", Ok(3600)),
            ("2099-07-01T12:00:00", Ok(7200)),
        ] {
            assert_eq!(offset("Europe/Berlin", local), expected, "{local}");
        }
        for local in ["2023-03-26T02:00:00", "2023-03-26T02:59:59"] {
            assert!(offset("Europe/Berlin", local).unwrap_err().contains("skips"), "{local}");
        }
        for local in ["2023-10-29T02:00:00", "2023-10-29T02:59:59"] {
            assert!(offset("Europe/Berlin", local).unwrap_err().contains("twice"), "{local}");
        }
    }
}
