//! `max_quarantined`: how much of a batch may be refused.

use std::fmt;
use std::str::FromStr;

use super::mapping::{Context, Mapping, entry_text};
use super::yaml::Value;

/// Parts of a percent that a share counts in.
const PARTS: u64 = 10_000;

/// How many records, and how many rows of each entity, a batch may refuse and still be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxQuarantined {
    Count(u64),
    /// Ten-thousandths of a percent of the records read, or of the rows produced.
    Share(u64),
}

impl Default for MaxQuarantined {
    /// 1 %
    fn default() -> Self {
        Self::Share(PARTS)
    }
}

impl MaxQuarantined {
    /// Whether so many of so many may be refused.
    pub fn allows(self, refused: u64, of: u64) -> bool {
        match self {
            Self::Count(most) => refused <= most,
            Self::Share(parts) => u128::from(refused) * 100 * u128::from(PARTS) <= u128::from(parts) * u128::from(of),
        }
    }
}

impl fmt::Display for MaxQuarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(most) => write!(f, "{most}"),
            Self::Share(parts) if parts % PARTS == 0 => write!(f, "{}%", parts / PARTS),
            Self::Share(parts) => {
                let fraction = format!("{:04}", parts % PARTS);
                write!(f, "{}.{}%", parts / PARTS, fraction.trim_end_matches('0'))
            }
        }
    }
}

impl FromStr for MaxQuarantined {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty();
        let Some(share) = text.strip_suffix('%') else {
            return if digits(text) {
                text.parse().map(Self::Count).map_err(drop)
            } else {
                Err(())
            };
        };
        let (whole, fraction) = share.trim_end().split_once('.').unwrap_or((share.trim_end(), "0"));
        if !digits(whole) || !digits(fraction) || fraction.len() > 4 {
            return Err(());
        }
        let whole: u64 = whole.parse().map_err(drop)?;
        let parts: u64 = format!("{fraction:0<4}").parse().map_err(drop)?;
        Some(whole)
            .filter(|whole| *whole <= 100)
            .map(|whole| whole * PARTS + parts)
            .filter(|parts| *parts <= 100 * PARTS)
            .map(Self::Share)
            .ok_or(())
    }
}

/// Reads the key of a source.
pub(super) fn read(ctx: &mut Context<'_>, options: &Mapping<'_>) -> MaxQuarantined {
    let Some(entry) = options.get("max_quarantined") else {
        return MaxQuarantined::default();
    };
    let place = entry.place();
    let text = if matches!(entry.value.value, Value::Number) {
        let location = ctx.location(place);
        let skipped = location.column.saturating_sub(1);
        location.text.chars().skip(skipped).take(location.length).collect()
    } else {
        match entry_text(ctx, entry) {
            Some(text) => text.value,
            None => return MaxQuarantined::default(),
        }
    };
    text.parse().unwrap_or_else(|()| {
        let hint = "write a number of records (`max_quarantined: 10`) or a share of them (`max_quarantined: 1%`)";
        ctx.problem(
            place,
            "`max_quarantined` is neither a number nor a share",
            hint.to_owned(),
        );
        MaxQuarantined::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_shares() {
        for text in ["0", "10", "1%", "0.5%", "100%", "0.0001%", "2.25%"] {
            assert_eq!(text.parse::<MaxQuarantined>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "%",
            "-1",
            "1.5",
            "101%",
            "100.1%",
            "1.00001%",
            "a",
            "1 of 2",
            "1.%",
            "1_000",
            "99999999999999999999",
        ] {
            assert_eq!(text.parse::<MaxQuarantined>(), Err(()), "{text}");
        }
        assert_eq!(MaxQuarantined::default().to_string(), "1%");
    }
}
