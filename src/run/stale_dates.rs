//! Tells which loaded batches hold something of a date that readers would see by the YAML and SQL of today: columns that
//! were computed from the batch's date, and shifted dates, which the batch's date gives away.

use crate::lineage::Reading;
use crate::model::{ColumnMasks, Project, TellsDate};
use crate::warehouse::masks::{Live, LiveBatch};

/// A column, the masks under which its rows were loaded, and those that the project declares for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleColumn {
    pub entity: String,
    pub column: String,
    pub loaded: String,
    pub now: String,
    /// What the project has not any more. The rows may be those of another column or table now, which was renamed.
    pub gone: Option<Gone>,
}

/// What a project has not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    Column,
    Table,
}

impl StaleColumn {
    /// Whether rows of this column may be meant.
    pub(super) fn concerns(&self, entity: &str, column: &str) -> bool {
        match self.gone {
            None => self.entity == entity && self.column == column,
            Some(Gone::Column) => self.entity == entity,
            Some(Gone::Table) => true,
        }
    }
}

impl Gone {
    /// What of a column the project has not any more. `None`: it has the column.
    pub(super) fn of(project: &Project, one: &ColumnMasks) -> Option<Self> {
        match project.entity(&one.entity) {
            Err(_) => Some(Self::Table),
            Ok(entity) => {
                let mut columns = entity.columns.iter();
                (!columns.any(|column| column.name == one.column)).then_some(Self::Column)
            }
        }
    }

    /// As a message says it of a column.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Column => "the project has no such column, which may have been renamed",
            Self::Table => "the project has no such table, which may have been renamed",
        }
    }
}

/// Whether a batch holds shifted dates. One that an older version loaded may.
pub(super) fn holds_shifted(live: &Live, batch: &LiveBatch) -> bool {
    batch.columns.is_empty() || live.columns_of(batch).any(ColumnMasks::is_shifted)
}

/// The columns that readers see, and that told the batch's date when the batch was loaded. None where readers may see that
/// date.
pub(super) fn shown(project: &Project, reading: &Reading, live: &Live, batch: &LiveBatch) -> Vec<StaleColumn> {
    if !reading.hides_batch_date {
        return Vec::new();
    }
    live.columns_of(batch)
        .filter_map(|one| {
            let gone = Gone::of(project, one);
            if gone.is_none() && !is_seen(reading, one) {
                return None;
            }
            let loaded = match one.batch_date {
                Some(TellsDate::No) => return None,
                // A person lets readers see what such a column tells.
                Some(TellsDate::Perhaps) if reading.exposed.iter().any(|exposed| exposed.name == one.entity) => {
                    return None;
                }
                Some(TellsDate::Perhaps) => "rows or values by the batch's date",
                Some(TellsDate::Value) => "a value computed from the batch's date",
                None => "a value of which is not recorded whether it shows the batch's date",
            };
            Some(StaleColumn {
                entity: one.entity.clone(),
                column: one.column.clone(),
                loaded: loaded.to_owned(),
                now: gone.map_or("nothing of that date", Gone::told).to_owned(),
                gone,
            })
        })
        .collect()
}

fn is_seen(reading: &Reading, one: &ColumnMasks) -> bool {
    let table = reading.tables.iter().find(|table| table.entity == one.entity);
    table.is_some_and(|table| table.columns.contains(&one.column))
}
