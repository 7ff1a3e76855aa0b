//! Tells which loaded batches hold something of a date that readers would see by the YAML and SQL of today: columns that
//! were computed from the batch's date, and shifted dates, which the batch's date gives away.

use super::stale_masks::StaleColumn;
use crate::lineage::Reading;
use crate::model::{ColumnMasks, TellsDate};
use crate::warehouse::masks::{Live, LiveBatch};

/// Whether a batch holds shifted dates. One that an older version loaded may.
pub(super) fn holds_shifted(live: &Live, batch: &LiveBatch) -> bool {
    batch.columns.is_empty() || live.columns_of(batch).any(ColumnMasks::is_shifted)
}

/// The columns that readers see, and that told the batch's date when the batch was loaded. None where readers may see that
/// date.
pub(super) fn shown(reading: &Reading, live: &Live, batch: &LiveBatch) -> Vec<StaleColumn> {
    if !reading.hides_batch_date {
        return Vec::new();
    }
    live.columns_of(batch)
        .filter(|one| is_seen(reading, one))
        .filter_map(|one| {
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
                now: "nothing of that date".to_owned(),
            })
        })
        .collect()
}

fn is_seen(reading: &Reading, one: &ColumnMasks) -> bool {
    let table = reading.tables.iter().find(|table| table.entity == one.entity);
    table.is_some_and(|table| table.columns.contains(&one.column))
}
