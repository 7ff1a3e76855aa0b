//! Counts what a batch says is deleted, and finds deletions that would find no row.

use std::collections::BTreeSet;

use super::column_masks::{column_masks, domains};
use super::outcome::{Deletions, EntityOutcome};
use crate::error::{Diagnostic, Result};
use crate::lineage::ProjectLineage;
use crate::model::{Batch, ColumnMasks, Project, Shown};
use crate::warehouse::{Connection, Staged, relations};

/// Notes for each table of deleted keys how many of them no batch of the source has a row for.
pub(super) async fn count(
    project: &Project,
    batch: &Batch,
    connection: &Connection,
    tables: &[Staged],
    outcomes: &mut [EntityOutcome],
) -> Result<()> {
    for outcome in outcomes {
        let table = project.entity(&outcome.entity)?;
        let staged_of = |name: &str| tables.iter().find(|staged| staged.entity() == name);
        let (Some(from), Some(staged)) = (&table.deletes_from, staged_of(&table.name)) else {
            continue;
        };
        let partners = relations::Partners {
            entity: from,
            staged: staged_of(from),
            beside: Some(batch),
        };
        let never_loaded = match staged.rows() {
            0 => 0,
            _ => relations::count_missing(connection, staged, &partners, &table.key).await?,
        };
        outcome.deletions = Some(Deletions {
            from: from.clone(),
            // Who sends a single key would learn whether one person is known.
            never_loaded: Shown::new(never_loaded, true),
        });
    }
    Ok(())
}

/// The deletions whose ids no mask makes what it makes of the ids of the rows, so that they delete nothing.
pub(super) fn masked_otherwise(project: &Project, lineage: &ProjectLineage) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    for source in &project.sources {
        let masks = column_masks(project, source, lineage, None);
        let of = |entity: &str, column: &str| {
            let mut all = masks.iter();
            all.find(|one| one.entity == entity && one.column == column)
                .and_then(ways)
        };
        for transform in &source.transforms {
            let Ok(table) = project.entity(&transform.entity) else {
                continue;
            };
            let Some(from) = &table.deletes_from else { continue };
            let apart = table.key.iter().find_map(|column| {
                let (deleted, rows) = (of(&table.name, column)?, of(from, column)?);
                deleted.is_disjoint(&rows).then_some((deleted, rows))
            });
            let Some((deleted, rows)) = apart else { continue };
            let said = |ways: BTreeSet<String>| ways.into_iter().collect::<Vec<_>>().join(", ");
            problems.push(Diagnostic {
                message: format!("the ids that are deleted from `{from}` are masked otherwise than those of its rows"),
                location: transform.given.clone(),
                hint: Some(format!(
                    "they would find no row: give both the same `mask` and `domain`; here it is {}, there {}",
                    said(deleted),
                    said(rows)
                )),
            });
        }
    }
    problems
}

/// How the fields of a column are masked, such as `hash in the domain patient`. `None` where that can't be compared.
fn ways(masks: &ColumnMasks) -> Option<BTreeSet<String>> {
    let mut ways = BTreeSet::new();
    for field in &masks.fields {
        let Some(domains_shown) = &field.domain else {
            ways.insert(field.mask.clone());
            continue;
        };
        for domain in domains(domains_shown)? {
            ways.insert(format!("{} in the domain {domain}", field.mask));
        }
    }
    (!ways.is_empty()).then_some(ways)
}
