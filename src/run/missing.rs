//! Counts the rows that are missing from each entity because their records were refused. A small share of all records
//! may be every record of a rare kind, so the share is judged per entity.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream;

use super::input::{BatchInput, Salvaged};
use crate::error::Result;
use crate::mask::Masked;
use crate::model::Batch;
use crate::transform::{Engine, Prepared, ScanInput};

/// For each entity, the rows that the refused records would have given, as far as the records can be read: the elements
/// that `conserves` counts in them, or else the rows that the transform makes of them. Entities that miss none are left
/// out.
pub(crate) async fn missing(
    engine: &Engine,
    plans: &[Prepared],
    input: &BatchInput,
    batch: &Batch,
    salvaged: Vec<Salvaged>,
) -> Result<BTreeMap<String, u64>> {
    let records: Vec<Masked> = salvaged.into_iter().map(|one| one.records).collect();
    let mut missing = BTreeMap::new();
    if records.is_empty() {
        return Ok(missing);
    }
    let tally = engine.tally(plans.iter().filter_map(|plan| plan.conserves.as_ref()), batch)?;
    let counted = tally
        .watch(again(&records))
        .all(|records| async move { records.is_ok() })
        .await;
    for plan in plans {
        let entity = &plan.outline.entity;
        let elements = tally.of(entity).filter(|_| counted).map(|elements| elements.count);
        let rows = match elements {
            Some(count) => Some(count),
            None => rows(engine, plan, input, batch, &records).await,
        };
        if let Some(rows) = rows.filter(|rows| *rows > 0) {
            missing.insert(entity.clone(), rows);
        }
    }
    Ok(missing)
}

/// The number of rows that a transform makes of some records. `None` where it fails on them: they are incomplete, so
/// that says nothing about the batch.
async fn rows(engine: &Engine, plan: &Prepared, input: &BatchInput, batch: &Batch, records: &[Masked]) -> Option<u64> {
    let held = records.to_vec();
    let scan = ScanInput::own(input.schemas(), move || again(&held));
    let mut made = engine.execute(plan, batch, scan).await.ok()?.rows;
    let mut count = 0;
    while let Some(rows) = made.next().await {
        count += rows.ok()?.num_rows() as u64;
    }
    Some(count)
}

fn again(records: &[Masked]) -> stream::BoxStream<'static, Result<Masked>> {
    stream::iter(records.to_vec()).map(Ok).boxed()
}
