//! Finds the batches that were loaded under other masks than the project declares now. What the project says of masks
//! is true of the next load only, until such a batch is loaded again.

use std::collections::{BTreeSet, HashSet};

use tokio_postgres::Client;

use super::column_masks::{column_masks, masked_fields};
use super::left_tables::{self, LeftTable};
use super::stale_dates::{Gone, StaleColumn, holds_shifted, shown};
use crate::error::Result;
use crate::lineage::{self, Outlines, ProjectLineage, ViewLineage};
use crate::mask::MaskKey;
use crate::model::{Batch, Column, ColumnMasks, Entity, MaskedField, Project};
use crate::warehouse::Warehouse;
use crate::warehouse::held::{Held, held};
use crate::warehouse::masks::{self, Live, LiveBatch};

/// A live batch that was loaded under other masks, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleBatch {
    pub batch: Batch,
    pub run_id: i64,
    pub because: Because,
    /// Whether dates are shifted in it. As long as there is such a batch, the batch's date is hidden from readers.
    pub shifted: bool,
    /// Whether readers, who may not see the batch's date, would see it in a column.
    pub shows_date: bool,
}

/// Why a batch counts as loaded under other masks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// These columns. There is at least one.
    Columns(Vec<StaleColumn>),
    /// An older version loaded it, and did not record the masks.
    Unrecorded,
    /// The project says nothing of the source any more.
    NoSource,
    /// It was dropped while a table that holds rows of it was not in the project.
    Dropped,
}

/// What is loaded that the project does not say.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The stale batches, sorted by date and then by source.
    pub stale: Vec<StaleBatch>,
    /// Tables that hold rows of batches and are no entity of the project any more.
    pub left: Vec<LeftTable>,
}

/// Finds what is loaded that the project does not say. This plans the transforms.
///
/// # Errors
/// Transforms that can't be planned, or a database that can't be read.
pub async fn stale_masks(warehouse: &Warehouse, project: &Project) -> Result<Loaded> {
    let connection = warehouse.acquire().await?;
    // Without batches nothing is stale, and nothing is to be planned.
    if masks::live(&connection).await?.batches.is_empty() && held(&connection).await?.is_empty() {
        return Ok(Loaded::default());
    }
    drop(connection);
    let lineage = lineage::of_project(&lineage::engine()?, project, Outlines::new()).await?;
    find(&*warehouse.acquire().await?, warehouse.is_embedded(), project, &lineage).await
}

/// As [`stale_masks`], for a project whose lineage is known.
pub(super) async fn find(
    client: &Client,
    embedded: bool,
    project: &Project,
    lineage: &ProjectLineage,
) -> Result<Loaded> {
    // First, so that a batch that is loaded meanwhile is none of which nothing is recorded.
    let held = held(client).await?;
    let live = masks::live(client).await?;
    if live.batches.is_empty() && held.is_empty() {
        return Ok(Loaded::default());
    }
    let dropped = left_tables::dropped(project, &live, &held);
    let key_id = match MaskKey::at_hand(embedded, &project.root) {
        Some(key) => Some(key.key_id()),
        // Whoever has no key masks nothing: the key of the newest run is the present one.
        None => masks::newest_key_id(client).await?,
    };
    let declared = Declared::of(project, lineage, key_id.as_deref());
    let holding: HashSet<&Held> = held.iter().collect();
    let batches = live.batches.iter().map(|one| {
        let older = left_tables::older(project, &live, one, &holding);
        let shifted = holds_shifted(&live, one) || !older.is_empty();
        (one, older, shifted)
    });
    let batches: Vec<_> = batches.collect();
    let shifted = !dropped.is_empty() || batches.iter().any(|(.., shifted)| *shifted);
    let reading = lineage::reading(lineage, project, shifted);
    let stale = |(one, older, shifted): (&LiveBatch, Vec<(&Entity, &Column)>, bool)| {
        let mut shown = shown(project, &reading, &live, one);
        shown.extend(
            older
                .iter()
                .map(|(entity, column)| declared.older(&one.batch, entity, column)),
        );
        let hides = reading.hides_batch_date;
        let shows_date =
            hides && (!shown.is_empty() || one.columns.is_empty() || declared.shifts_otherwise(&live, one));
        let because = match declared.compare(&live, one) {
            None if shown.is_empty() => return None,
            None => Because::Columns(shown),
            Some(Because::Columns(columns)) => Because::Columns(columns.into_iter().chain(shown).collect()),
            Some(because) => because,
        };
        Some(StaleBatch {
            because,
            batch: one.batch.clone(),
            run_id: one.run_id,
            shifted,
            shows_date,
        })
    };
    let mut stale: Vec<StaleBatch> = batches.into_iter().filter_map(stale).collect();
    stale.extend(dropped.into_iter().map(|batch| StaleBatch {
        batch,
        run_id: 0,
        because: Because::Dropped,
        shifted: true,
        shows_date: reading.hides_batch_date,
    }));
    let left = left_tables::of(project, &held);
    Ok(Loaded { stale, left })
}

/// The batches of these sources (all, if `None`) that can be loaded again, and those that can't: their source is gone, or they
/// were dropped.
///
/// # Errors
/// As [`stale_masks`], and a source that is not in the project.
pub async fn stale_batches(
    warehouse: &Warehouse,
    project: &Project,
    sources: Option<&[String]>,
) -> Result<(Vec<Batch>, Vec<StaleBatch>)> {
    let named: Option<BTreeSet<&str>> = sources
        .map(|names| {
            names
                .iter()
                .map(|name| Ok(project.source(name)?.name.as_str()))
                .collect::<Result<_>>()
        })
        .transpose()?;
    let stale = stale_masks(warehouse, project).await?.stale.into_iter();
    let wanted = stale.filter(|one| {
        named
            .as_ref()
            .is_none_or(|named| named.contains(one.batch.source.as_str()))
    });
    let (gone, there): (Vec<StaleBatch>, Vec<StaleBatch>) =
        wanted.partition(|one| matches!(one.because, Because::NoSource | Because::Dropped));
    Ok((there.into_iter().map(|one| one.batch).collect(), gone))
}

impl StaleBatch {
    /// Whether rows of this column were loaded under other masks.
    pub fn is_stale(&self, entity: &str, column: &str) -> bool {
        match &self.because {
            Because::Columns(columns) => columns.iter().any(|one| one.concerns(entity, column)),
            Because::Unrecorded | Because::NoSource | Because::Dropped => true,
        }
    }
}

/// Whether dates are shifted in a batch although the project may shift none any more: then that batch is a stale one.
pub fn any_shifted(stale: &[StaleBatch]) -> bool {
    stale.iter().any(|one| one.shifted)
}

/// The views and functions that show a column of a stale batch, or whose rows depend on one.
pub(super) fn views<'a>(lineage: &'a ProjectLineage, stale: &[&StaleBatch]) -> BTreeSet<&'a str> {
    let reads_stale = |view: &&ViewLineage| stale.iter().any(|batch| uses(view, batch));
    let views = lineage.views.iter().filter(reads_stale);
    views.map(|view| view.view.as_str()).collect()
}

/// In how many batches the rows of a column, or what a view's column is made of, were loaded under other masks.
pub(super) fn count(lineage: &ProjectLineage, stale: &[StaleBatch], table: &str, column: &str) -> usize {
    let view = lineage
        .views
        .iter()
        .find(|view| view.view == table && view.column == column);
    let concerns = |batch: &&StaleBatch| match view {
        Some(view) => uses(view, batch),
        None => batch.is_stale(table, column),
    };
    stale.iter().filter(concerns).count()
}

fn uses(view: &ViewLineage, batch: &StaleBatch) -> bool {
    let columns = view
        .origins
        .iter()
        .filter_map(|origin| Some((&origin.entity, origin.column.as_ref()?)));
    columns
        .into_iter()
        .any(|(entity, column)| batch.is_stale(entity, column))
}

/// What the project declares now.
struct Declared<'a> {
    project: &'a Project,
    sources: Vec<DeclaredSource>,
}

struct DeclaredSource {
    name: String,
    columns: Vec<ColumnMasks>,
    fields: Vec<MaskedField>,
}

impl<'a> Declared<'a> {
    fn of(project: &'a Project, lineage: &ProjectLineage, key_id: Option<&str>) -> Self {
        let sources = project.sources.iter().map(|source| DeclaredSource {
            name: source.name.clone(),
            columns: column_masks(project, source, lineage, key_id),
            fields: masked_fields(project, source, key_id),
        });
        Self {
            project,
            sources: sources.collect(),
        }
    }

    fn column(&self, batch: &Batch, entity: &str, column: &str) -> Option<&ColumnMasks> {
        let source = self.sources.iter().find(|source| source.name == batch.source)?;
        let mut columns = source.columns.iter();
        columns.find(|one| one.entity == entity && one.column == column)
    }

    /// A column of a table that was not in the project when its batch was loaded last.
    fn older(&self, batch: &Batch, entity: &Entity, column: &Column) -> StaleColumn {
        let now = self.column(batch, &entity.name, &column.name);
        StaleColumn {
            entity: entity.name.clone(),
            column: column.name.clone(),
            loaded: "rows of an earlier load, from before the table was taken out of pipeline.yaml".to_owned(),
            now: listed(&now.map(ColumnMasks::protected).unwrap_or_default()),
            gone: None,
        }
    }

    /// Whether the project shifts dates of a column that the batch holds otherwise: true ones beside shifted ones of the
    /// same person tell by how many days these are shifted.
    fn shifts_otherwise(&self, live: &Live, batch: &LiveBatch) -> bool {
        live.columns_of(batch).any(|loaded| {
            let now = self.column(&batch.batch, &loaded.entity, &loaded.column);
            now.is_some_and(|now| now.is_shifted() && now.protected() != loaded.protected())
        })
    }

    fn compare(&self, live: &Live, batch: &LiveBatch) -> Option<Because> {
        let Some(source) = self.sources.iter().find(|source| source.name == batch.batch.source) else {
            return Some(Because::NoSource);
        };
        if batch.columns.is_empty() {
            return Some(Because::Unrecorded);
        }
        let fields = live.columns_of(batch).flat_map(|one| &one.fields);
        let recorded: BTreeSet<&str> = fields.map(|field| field.path.as_str()).collect();
        let renamed = source.has_new_protected(&recorded);
        let compare = |one| match Gone::of(self.project, one) {
            Some(gone) => source.compare_gone(one, gone),
            None => source.compare(one, renamed),
        };
        let columns = live.columns_of(batch).filter_map(compare);
        let columns: Vec<StaleColumn> = columns.collect();
        (!columns.is_empty()).then_some(Because::Columns(columns))
    }
}

impl DeclaredSource {
    /// Whether a field is protected of which a batch's record knows nothing: one that was recorded and is gone may have
    /// got that name, and have become sensitive at the same time.
    fn has_new_protected(&self, recorded: &BTreeSet<&str>) -> bool {
        let mut protected = self.fields.iter().filter(|field| field.is_protected());
        protected.any(|field| !recorded.contains(field.path.as_str()))
    }

    fn declared(&self, field: &MaskedField) -> Option<&MaskedField> {
        self.fields.iter().find(|one| one.path == field.path)
    }

    /// As [`Self::compare`], for a column that the project has not any more. Its rows may be those of a renamed column or
    /// table, whose masks by lineage say nothing of them.
    fn compare_gone(&self, loaded: &ColumnMasks, gone: Gone) -> Option<StaleColumn> {
        let mut fields = loaded.fields.iter();
        if fields.all(|field| self.declared(field) == Some(field)) {
            return None;
        }
        Some(StaleColumn {
            entity: loaded.entity.clone(),
            column: loaded.column.clone(),
            loaded: listed(&loaded.fields.iter().collect::<Vec<_>>()),
            now: gone.told().to_owned(),
            gone: Some(gone),
        })
    }

    /// How a column's masks have changed. `None`: not at all. `renamed`: a field that is gone may have another name now.
    fn compare(&self, loaded: &ColumnMasks, renamed: bool) -> Option<StaleColumn> {
        let same = |one: &&ColumnMasks| one.entity == loaded.entity && one.column == loaded.column;
        let now = self.columns.iter().find(same);
        let protected = now.map(ColumnMasks::protected).unwrap_or_default();
        // A field that was of no concern may have become sensitive, and have left the column's SQL at the same time.
        let changed = loaded
            .fields
            .iter()
            .filter_map(|field| self.declared(field).filter(|now| *now != field));
        let changed: Vec<&MaskedField> = changed.collect();
        let missing = renamed && loaded.fields.iter().any(|field| self.declared(field).is_none());
        let now = match (loaded.protected() == protected, changed.is_empty()) {
            (true, true) if missing => "another name of a field, perhaps of a sensitive one".to_owned(),
            (true, true) => return None,
            (true, false) => listed(&changed),
            (false, _) => listed(&protected),
        };
        Some(StaleColumn {
            entity: loaded.entity.clone(),
            column: loaded.column.clone(),
            loaded: listed(&loaded.fields.iter().collect::<Vec<_>>()),
            now,
            gone: None,
        })
    }
}

fn listed(fields: &[&MaskedField]) -> String {
    if fields.is_empty() {
        return "no sensitive field".to_owned();
    }
    let texts: Vec<String> = fields.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// Warns of the stale batches that an invocation does not load.
pub(super) fn warn(stale: &[StaleBatch], batches: &[Batch]) {
    let others = stale.iter().map(|one| &one.batch);
    let others: Vec<&Batch> = others.filter(|batch| !batches.contains(batch)).collect();
    if !others.is_empty() {
        tracing::warn!(
            "loaded under other masks than the project declares: {}; `pipeline run --stale-masks` loads them again",
            named(&others)
        );
    }
}

/// The batches as a text: `a 2023-05-01, a 2023-05-02 and 7 more`.
fn named(batches: &[&Batch]) -> String {
    const TOLD: usize = 10;
    let names: Vec<String> = batches.iter().take(TOLD).map(ToString::to_string).collect();
    match batches.len().saturating_sub(TOLD) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
