//! Brings the comments on tables and columns up to date with the project and, where `pipeline roles` has run, the
//! rights of readers.

use tokio_postgres::Client;
use tokio_util::task::AbortOnDropHandle;

use super::stale_masks::{self, Loaded, StaleBatch, any_shifted};
use crate::error::{Error, Result};
use crate::lineage::{self, Outlines, ProjectLineage, Reading};
use crate::model::{Profile, Project, ViewKind};
use crate::transform::Engine;
use crate::warehouse::roles::{self, Access, File, Mentions, Table, View};
use crate::warehouse::{Warehouse, comments, statistics, views};

/// Writes grants and comments where they differ.
///
/// # Errors
/// Readers would see what the project hides. Where there are no readers, only an error of the database counts: if the
/// lineage can't be found out, the comments stay as they are.
pub async fn publish(warehouse: &Warehouse, project: &Project) -> Result<()> {
    Planned::alone(project)?.publish(warehouse, project).await.map(drop)
}

/// What a publication found out.
#[derive(Default)]
pub(super) struct Published {
    /// `None` where it can't be found out.
    pub lineage: Option<ProjectLineage>,
    /// Batches that were loaded under other masks.
    pub stale: Vec<StaleBatch>,
}

/// A project's lineage that another task is working out.
pub(super) struct Planned(AbortOnDropHandle<Result<ProjectLineage>>);

impl Planned {
    /// Starts the task. `outlines` are those of transforms that are planned already.
    pub(super) fn start(engine: Engine, project: &Project, outlines: Outlines) -> Self {
        let project = project.clone();
        Self(AbortOnDropHandle::new(tokio::spawn(async move {
            lineage::of_project(&engine, &project, outlines).await
        })))
    }

    fn alone(project: &Project) -> Result<Self> {
        Ok(Self::start(lineage::engine()?, project, Outlines::new()))
    }

    /// As [`publish`].
    pub(super) async fn publish(self, warehouse: &Warehouse, project: &Project) -> Result<Published> {
        let connection = warehouse.acquire().await?;
        let embedded = warehouse.is_embedded();
        let has_readers = !embedded && roles::is_used(&connection).await?;
        let Some(lineage) = self.lineage(project, has_readers).await? else {
            return Ok(Published::default());
        };
        let loaded = stale_masks::find(&connection, embedded, project, &lineage).await?;
        if has_readers {
            grant(&connection, project, &lineage, &loaded, false).await?;
        }
        comment(&connection, project, &lineage, &loaded.stale).await?;
        Ok(Published {
            lineage: Some(lineage),
            stale: loaded.stale,
        })
    }

    /// Waits for the lineage. `None`, with a warning, where it can't be found out and no reader's rights depend on it.
    async fn lineage(self, project: &Project, has_readers: bool) -> Result<Option<ProjectLineage>> {
        match self.0.await.unwrap_or_else(|_| Err(Error::internal())) {
            Ok(lineage) => Ok(Some(lineage)),
            Err(error) if has_readers && (lineage::hides_batch_date(project) || promises(project)) => Err(Error {
                message: format!("what readers may see can't be told: {}", error.message),
                ..error
            }),
            Err(error) => {
                tracing::warn!(%error, "comments and readers' rights are as they were; `pipeline check` says more");
                Ok(None)
            }
        }
    }
}

/// Whether the project promises what readers see of masks, so that rows under other masks are hidden from them.
fn promises(project: &Project) -> bool {
    project.profile != Profile::Custom
}

/// Whether readers are kept from rows: from those under other masks, or from those that show a date that they may not see.
fn keeps_rows(project: &Project, stale: &[StaleBatch]) -> bool {
    promises(project) || lineage::hides_batch_date(project) || any_shifted(stale)
}

/// What readers are kept from besides batches.
#[derive(Default)]
struct Kept {
    /// Materialized views that wait for a refresh.
    owed: Vec<String>,
    /// Tables that are no entity any more.
    left: Vec<String>,
}

async fn kept(client: &Client, project: &Project, loaded: &Loaded) -> Result<Kept> {
    if !keeps_rows(project, &loaded.stale) {
        return Ok(Kept::default());
    }
    Ok(Kept {
        owed: views::owed(client).await?,
        left: loaded.left.iter().map(|one| one.table.clone()).collect(),
    })
}

/// Grants what readers may see. `loaded` was found before: what a swap replaces meanwhile stays hidden until next time.
/// `has_renewed`: the statistics of the tables are of the rows of now.
async fn grant(
    client: &Client,
    project: &Project,
    lineage: &ProjectLineage,
    loaded: &Loaded,
    has_renewed: bool,
) -> Result<()> {
    let kept = kept(client, project, loaded).await?;
    let access = access(lineage, project, Some((&loaded.stale, kept))).1;
    // What was hidden is in the statistics of the table, which readers see once they see the table.
    if !has_renewed && statistics::shows_more(client, access.stale.as_deref().unwrap_or_default()).await? {
        statistics::renew(client).await?;
    }
    roles::apply(client, &access).await
}

/// Brings rights and comments to what holds after the swaps and refreshes of a run. `had_stale`: whether batches were
/// loaded under other masks before.
pub(super) async fn publish_again(
    warehouse: &Warehouse,
    project: &Project,
    lineage: &ProjectLineage,
    had_stale: bool,
) -> Result<()> {
    let grants = (had_stale || keeps_rows(project, &[])) && !warehouse.is_embedded();
    if !grants && !had_stale {
        return Ok(());
    }
    let connection = warehouse.acquire().await?;
    let loaded = stale_masks::find(&connection, warehouse.is_embedded(), project, lineage).await?;
    if had_stale {
        statistics::renew(&connection).await?;
    }
    if grants && roles::is_used(&connection).await? {
        grant(&connection, project, lineage, &loaded, had_stale).await?;
    }
    if had_stale {
        comment(&connection, project, lineage, &loaded.stale).await?;
    }
    Ok(())
}

async fn comment(client: &Client, project: &Project, lineage: &ProjectLineage, stale: &[StaleBatch]) -> Result<()> {
    let comments: Vec<comments::Comment> = lineage::comments(lineage, project, any_shifted(stale))
        .into_iter()
        .map(|one| {
            let column = one.column.as_deref();
            let batches = column.map_or(0, |column| stale_masks::count(lineage, stale, &one.table, column));
            let others = match batches {
                0 => String::new(),
                1 => "; 1 batch was loaded under other masks".to_owned(),
                many => format!("; {many} batches were loaded under other masks"),
            };
            comments::Comment {
                lineage: one.lineage.map(|text| text + &others),
                table: one.table,
                column: one.column,
                description: one.description,
                fallback: one.fallback,
            }
        })
        .collect();
    comments::apply(client, &comments).await.map(drop)
}

/// Writes the grants only. This runs before views change: readers lose a view that is about to show what is hidden.
///
/// # Errors
/// As [`publish`].
pub async fn restrict(warehouse: &Warehouse, project: &Project) -> Result<()> {
    let connection = warehouse.acquire().await?;
    if warehouse.is_embedded() || !roles::is_used(&connection).await? {
        return Ok(());
    }
    match Planned::alone(project)?.lineage(project, true).await? {
        Some(lineage) => {
            let loaded = stale_masks::find(&connection, false, project, &lineage).await?;
            grant(&connection, project, &lineage, &loaded, false).await
        }
        None => Ok(()),
    }
}

/// What readers of this database may see.
///
/// # Errors
/// Those of a database that can't be read.
pub async fn access_in(
    warehouse: &Warehouse,
    lineage: &ProjectLineage,
    project: &Project,
) -> Result<(Reading, Access)> {
    let connection = warehouse.acquire().await?;
    let loaded = stale_masks::find(&connection, warehouse.is_embedded(), project, lineage).await?;
    let kept = kept(&connection, project, &loaded).await?;
    Ok(access(lineage, project, Some((&loaded.stale, kept))))
}

/// What the project lets readers see where no database is asked.
pub fn access_anywhere(lineage: &ProjectLineage, project: &Project) -> Access {
    access(lineage, project, None).1
}

/// What readers may see, also as the warehouse takes it. `loaded`: the batches loaded under other masks, and
/// what they are kept from besides; `None` where no database was asked.
fn access(lineage: &ProjectLineage, project: &Project, loaded: Option<(&[StaleBatch], Kept)>) -> (Reading, Access) {
    let asked = loaded.is_some();
    let (stale, Kept { owed, left }) = loaded.unwrap_or_default();
    let reading = lineage::reading(lineage, project, any_shifted(stale));
    // A project that promises nothing of masks still hides dates.
    let hidden = stale.iter().filter(|one| promises(project) || one.shows_date);
    let hidden: Vec<&StaleBatch> = hidden.collect();
    let mut closed = stale_masks::views(lineage, &hidden);
    closed.extend(lineage::may_name(project, &left));
    let tables = reading.tables.iter().cloned().map(|table| Table {
        name: table.entity,
        columns: table.columns,
        hidden: table.hidden,
    });
    // Where no date is hidden, functions are open without a person's word.
    let functions = project
        .views
        .iter()
        .filter(|view| view.kind == ViewKind::Function && !reading.hides_batch_date);
    let named = project.exposed.iter().map(|one| &one.name);
    let exposed = named.chain(functions.map(|view| &view.name));
    let exposed = exposed.filter(|name| !closed.contains(name.as_str())).cloned();
    let open = reading.views.iter().filter(|name| !closed.contains(name.as_str()));
    let views = open.cloned().map(|name| View {
        stands_on: lineage::stands_on(project, &name).into_iter().collect(),
        exposed: project.exposed.iter().any(|one| one.name == name),
        name,
    });
    let mentions = lineage.mentions.iter().map(|(view, columns)| Mentions {
        view: view.clone(),
        columns: columns.iter().cloned().collect(),
    });
    let files = project.views.iter().map(|view| {
        let (kind, fingerprint) = views::identity(view);
        let name = view.name.clone();
        File {
            kind,
            name,
            fingerprint,
        }
    });
    let access = Access {
        hides: reading.hides_batch_date,
        stale: (asked || !promises(project)).then(|| hidden.iter().map(|one| one.batch.clone()).collect()),
        asked,
        owed,
        left,
        closed: closed.iter().map(|name| (*name).to_owned()).collect(),
        tables: tables.collect(),
        views: views.collect(),
        mentions: mentions.collect(),
        files: files.collect(),
        exposed: exposed.collect(),
    };
    (reading, access)
}
