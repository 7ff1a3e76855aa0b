//! How many records or rows of a batch may be refused before the batch fails.

/// How many records or rows of a batch may be refused before the batch fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// A number of records, and of rows of each entity.
    Count(u64),
    /// A percentage of the records read, and of the rows that a transform returned.
    Percent(f64),
}

impl Tolerance {
    pub fn allows(self, refused: u64, of: u64) -> bool {
        match self {
            Self::Count(most) => refused <= most,
            // The conversion is exact up to 2^53.
            #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
            Self::Percent(most) => refused as f64 * 100.0 <= most * of as f64,
        }
    }
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::Percent(1.0)
    }
}

impl std::fmt::Display for Tolerance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(most) => write!(f, "{most}"),
            Self::Percent(most) => write!(f, "{most}%"),
        }
    }
}
