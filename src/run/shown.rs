//! Which numbers of rows that break a check may be shown, in a run and in a preview alike.

use std::collections::BTreeMap;

use super::column_masks::column_masks;
use crate::lineage::{self, Outlines, ProjectLineage};
use crate::model::{ColumnMasks, Project, Shown, Source};

/// The numbers of rows of an entity that break checks, by check. Where a check reads a masked column, few rows are not
/// counted.
pub(crate) fn shown(
    project: &Project,
    source: &Source,
    masks: &[ColumnMasks],
    entity: &str,
    warnings: &BTreeMap<String, u64>,
) -> BTreeMap<String, Shown> {
    let entity = project.entity(entity).ok();
    let is_masked = |name: &str| {
        let Some(entity) = entity else { return true };
        let check = source.checks_of(entity).find(|check| check.name == name);
        let columns = check.and_then(|check| check.rule.columns());
        let mut of_entity = masks.iter().filter(|one| one.entity == entity.name && one.is_masked());
        of_entity.any(|one| {
            columns
                .as_ref()
                .is_none_or(|columns| columns.contains(&one.column.as_str()))
        })
    };
    let shown = |(name, rows): (&String, &u64)| (name.clone(), Shown::new(*rows, is_masked(name)));
    warnings.iter().map(shown).collect()
}

/// Under which masks a preview shows the columns of a source. Where the lineage can't be told, a column counts as masked
/// if any field is.
pub(crate) async fn previewed_masks(project: &Project, source: &Source, outlines: Outlines) -> Vec<ColumnMasks> {
    let alone = Project {
        sources: vec![source.clone()],
        views: Vec::new(),
        ..project.clone()
    };
    let lineage = async { lineage::of_project(&lineage::engine()?, &alone, outlines).await };
    let lineage = lineage.await.unwrap_or_else(|error| {
        tracing::debug!(%error, "the lineage can't be told");
        ProjectLineage::default()
    });
    column_masks(project, source, &lineage, None)
}
