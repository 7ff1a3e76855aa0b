//! A number of rows that is shown to people.

use std::fmt;

use serde::{Serialize, Serializer};

/// How many rows break a check. Where the check reads a masked column, the exact number of few rows would answer
/// questions about single persons, one check at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Exactly(u64),
    /// Between 1 and 9.
    Few,
    /// A power of ten: so many, and less than ten times as many.
    AtLeast(u64),
    /// They are not counted further.
    MoreThan(u64),
}

impl Shown {
    /// From this number on, a number is shown even where columns are masked.
    const SHOWN: u64 = 10;

    pub fn new(rows: u64, masked: bool) -> Self {
        if masked && (1..Self::SHOWN).contains(&rows) {
            Self::Few
        } else {
            Self::Exactly(rows)
        }
    }

    /// The number that a SELECT gives, counted up to one beyond `most`. The SELECT may have computed it from a value, as in
    /// `generate_series(1, age)`: where columns are masked, only the order of magnitude is shown.
    pub fn of_select(rows: u64, most: u64, masked: bool) -> Self {
        if rows > most {
            Self::MoreThan(most)
        } else if masked && rows >= Self::SHOWN {
            Self::AtLeast(10_u64.pow(rows.ilog10()))
        } else {
            Self::new(rows, masked)
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(rows) => rows.fmt(f),
            Self::Few => f.write_str("<10"),
            Self::AtLeast(rows) => write!(f, "at least {rows}"),
            Self::MoreThan(rows) => write!(f, "more than {rows}"),
        }
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Exactly(rows) => serializer.serialize_u64(*rows),
            told => serializer.collect_str(told),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rows_of_masked_columns_are_not_counted() {
        let shown = |rows, masked| serde_json::to_string(&Shown::new(rows, masked)).unwrap();
        assert_eq!(
            [0, 1, 9, 10].map(|rows| shown(rows, true)),
            ["0", "\"<10\"", "\"<10\"", "10"]
        );
        assert_eq!(shown(1, false), "1");
    }

    #[test]
    fn a_number_that_a_select_computes_is_shown_by_its_magnitude() {
        let shown = |rows, masked| Shown::of_select(rows, 2000, masked).to_string();
        let told = [0, 9, 10, 57, 99, 100, 1999, 2001].map(|rows| shown(rows, true));
        assert_eq!(
            told,
            [
                "0",
                "<10",
                "at least 10",
                "at least 10",
                "at least 10",
                "at least 100",
                "at least 1000",
                "more than 2000"
            ]
        );
        assert_eq!([57, 2001].map(|rows| shown(rows, false)), ["57", "more than 2000"]);
    }
}
