//! The account of a batch: what was read and produced, and where each of it went. A batch whose account does not add
//! up, or that refused more than its source allows, is not loaded.

use std::collections::BTreeMap;

use serde::Serialize;

use super::MOST_ENTRIES;
use crate::error::{Error, Result};
use crate::project::MaxQuarantined;

/// read = accepted + quarantined
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Records {
    pub read: u64,
    pub accepted: u64,
    pub quarantined: u64,
}

/// produced = loaded + quarantined
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    pub produced: u64,
    pub loaded: u64,
    pub quarantined: u64,
}

/// Of one batch. The three numbers of a line are counted at three places, none is computed from the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    pub records: Records,
    pub entities: BTreeMap<String, Rows>,
}

impl Account {
    /// Refused records and rows.
    pub fn quarantined(&self) -> u64 {
        self.records.quarantined + self.entities.values().map(|rows| rows.quarantined).sum::<u64>()
    }

    /// Whether the account adds up.
    pub fn balance(&self) -> Result<()> {
        let Records {
            read,
            accepted,
            quarantined,
        } = self.records;
        if read != accepted + quarantined {
            return Err(unbalanced(format!(
                "{read} records read, {accepted} accepted and {quarantined} quarantined"
            )));
        }
        for (entity, rows) in &self.entities {
            let Rows {
                produced,
                loaded,
                quarantined,
            } = *rows;
            if produced != loaded + quarantined {
                return Err(unbalanced(format!(
                    "{produced} rows of {entity} produced, {loaded} loaded and {quarantined} quarantined"
                )));
            }
        }
        Ok(())
    }

    /// Whether no more was refused than the source allows; the error says what was, without the way to look at it.
    pub fn within(&self, limit: MaxQuarantined) -> Result<()> {
        let Records { read, quarantined, .. } = self.records;
        let mut over = Vec::new();
        if !limit.allows(quarantined, read) {
            over.push(format!("{quarantined} of {read} records"));
        }
        for (entity, rows) in &self.entities {
            if !limit.allows(rows.quarantined, rows.produced) {
                over.push(format!("{} of {} rows of {entity}", rows.quarantined, rows.produced));
            }
        }
        if !over.is_empty() {
            let what = over.join(", ");
            return Err(Error::batch(format!(
                "{what} refused, and `max_quarantined` is {limit}"
            )));
        }
        if self.quarantined() > MOST_ENTRIES as u64 {
            return Err(Error::batch(format!(
                "{} records and rows were refused, and a batch keeps at most {MOST_ENTRIES}",
                self.quarantined()
            )));
        }
        Ok(())
    }
}

fn unbalanced(numbers: String) -> Error {
    Error::batch("the account of the batch does not add up; the old content stands")
        .cause(numbers)
        .hint("this is a defect of the program; run again with RUST_LOG=debug and report what it says")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(read: u64, quarantined: u64) -> Account {
        Account {
            records: Records {
                read,
                accepted: read - quarantined,
                quarantined,
            },
            entities: BTreeMap::new(),
        }
    }

    #[test]
    fn what_does_not_add_up_is_told_with_its_numbers() {
        let mut account = account(10, 2);
        account.balance().unwrap();
        let rows = Rows {
            produced: 5,
            loaded: 3,
            quarantined: 1,
        };
        account.entities.insert("visits".to_owned(), rows);
        let error = account.balance().unwrap_err();
        assert_eq!(
            error.cause.as_deref(),
            Some("5 rows of visits produced, 3 loaded and 1 quarantined")
        );
        account.records.accepted = 7;
        assert_eq!(
            account.balance().unwrap_err().cause.as_deref(),
            Some("10 records read, 7 accepted and 2 quarantined")
        );
    }

    #[test]
    fn a_limit_is_a_count_or_a_share_and_holds_per_entity() {
        let percent = |text: &str| text.parse::<MaxQuarantined>().unwrap();
        for (read, refused, limit, within) in [
            (100, 1, "1%", true),
            (99, 1, "1%", false),
            (1040, 40, "5%", true),
            (1000, 5, "0.5%", true),
            (1000, 6, "0.5%", false),
            (10, 3, "3", true),
            (10, 4, "3", false),
            (0, 0, "0", true),
            (1, 1, "100%", true),
        ] {
            assert_eq!(
                account(read, refused).within(percent(limit)).is_ok(),
                within,
                "{refused} of {read}, {limit}"
            );
        }
        let mut account = account(100, 0);
        let rows = Rows {
            produced: 10,
            loaded: 8,
            quarantined: 2,
        };
        account.entities.insert("visits".to_owned(), rows);
        let error = account.within(percent("1%")).unwrap_err();
        assert_eq!(
            error.message,
            "2 of 10 rows of visits refused, and `max_quarantined` is 1%"
        );
    }

    #[test]
    fn more_than_can_be_kept_is_never_loaded() {
        let most = MOST_ENTRIES as u64;
        account(10 * most, most).within("100%".parse().unwrap()).unwrap();
        assert!(account(10 * most, most + 1).within("100%".parse().unwrap()).is_err());
    }
}
