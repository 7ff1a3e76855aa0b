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
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(rows) => rows.fmt(f),
            Self::Few => f.write_str("<10"),
        }
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Exactly(rows) => serializer.serialize_u64(*rows),
            Self::Few => serializer.collect_str(self),
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
}
