//! Lists everything that holds rows of one person.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::entries::{domains, entries, naming, sources, unfit};
use super::groups;
use super::records::{self, Entry, FileTrace};
use super::subject::Person;
use super::unsearched::{Unsearched, by_other_sql, foreign, left};
use crate::error::{Error, Result};
use crate::lineage::{self, Outlines, ProjectLineage};
use crate::model::{Batch, Project, ViewKind};
use crate::run::left_tables;
use crate::warehouse::masks;
use crate::warehouse::person::{Found, Search};
use crate::warehouse::{Connection, erase, suppression};

/// Everything that was found of a person.
#[derive(Debug, Default)]
pub struct Trace {
    /// The domains that were searched.
    pub domains: Vec<String>,
    pub batches: Vec<BatchTrace>,
    /// Rows of others that name the person.
    pub named: Vec<Named>,
    pub views: Vec<ViewTrace>,
    pub files: Vec<FileTrace>,
    pub entries: Vec<Entry>,
    /// Batches whose input was not looked through, since it is missing or can't be read.
    pub unread: Vec<Batch>,
    pub unsearched: Vec<Unsearched>,
    /// Whether later loads leave the person out already.
    pub suppressed: bool,
    /// How the person is found again.
    pub(super) searches: Vec<Search>,
}

/// The person's rows in one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchTrace {
    pub batch: Batch,
    /// By table.
    pub rows: BTreeMap<String, u64>,
}

/// Rows of others in one batch that name the person in another field than the subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub batch: Batch,
    pub entity: String,
    /// The columns that hold the id.
    pub columns: Vec<String>,
    pub rows: u64,
}

impl Named {
    /// For receipts and for JSON output.
    pub fn as_json(&self) -> Value {
        json!({
            "source": self.batch.source,
            "date": self.batch.date.to_string(),
            "table": self.entity,
            "columns": self.columns,
            "rows": self.rows,
        })
    }
}

/// A view or function that reads a table with rows of the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewTrace {
    pub name: String,
    pub kind: ViewKind,
}

/// Searches the tables, and with `files` the input and the quarantine as well.
///
/// # Errors
/// An id that fits no source, a database that can't be read, or transforms that can't be planned.
pub async fn trace(person: &Person<'_>, files: bool) -> Result<Trace> {
    let project = person.project;
    let domains = domains(person)?;
    let mut known_as = Vec::new();
    for domain in &domains {
        known_as.extend(entries(person, domain).await?);
    }
    if known_as.is_empty() {
        return Err(unfit());
    }
    let sources = sources(project, &domains);
    let lineage = lineage::of_project(&lineage::engine()?, project, Outlines::new()).await?;
    let connection = person.warehouse.acquire().await?;
    let live = masks::live(&connection).await?;
    let mut trace = Trace {
        unsearched: foreign(project, &live),
        ..Trace::default()
    };
    trace
        .unsearched
        .extend(left(&left_tables::find(&connection, project).await?));
    let naming = naming(project, &domains);
    for source in &project.sources {
        let mut searched = sources.iter().chain(&naming);
        if searched.any(|sought| sought.source.name == source.name) {
            trace.unsearched.extend(by_other_sql(source, &live));
        }
    }
    for sought in &sources {
        let (searches, unsearched) = groups::of_source(person, &lineage, &live, sought).await?;
        trace.searches.extend(searches);
        trace.unsearched.extend(unsearched);
    }
    trace.batches = count(project, &connection, &trace.searches).await?;
    for sought in &naming {
        let (searches, unsearched) = groups::naming(person, &lineage, &live, sought).await?;
        trace.unsearched.extend(unsearched);
        for search in searches {
            trace
                .named
                .extend(named(project, &connection, &search, &trace.searches).await?);
        }
    }
    trace.views = views(&lineage, &trace);
    trace.suppressed = is_suppressed(&connection, &known_as).await?;
    if files {
        trace.read_files(person, &connection, &domains).await?;
    }
    trace.domains = domains;
    Ok(trace)
}

/// The person's rows by batch.
pub(super) async fn count(project: &Project, connection: &Connection, searches: &[Search]) -> Result<Vec<BatchTrace>> {
    let mut batches: BTreeMap<Batch, BTreeMap<String, u64>> = BTreeMap::new();
    for search in searches {
        for Found { batch, entity, rows } in search.count(connection, &project.entities).await? {
            batches.entry(batch).or_default().insert(entity, rows);
        }
    }
    let batches = batches.into_iter().map(|(batch, rows)| BatchTrace { batch, rows });
    Ok(batches.collect())
}

/// The rows that a search finds, without the person's own.
async fn named(project: &Project, connection: &Connection, search: &Search, own: &[Search]) -> Result<Vec<Named>> {
    let found = search.count_beside(connection, &project.entities, own).await?;
    let named = found.into_iter().map(|Found { batch, entity, rows }| Named {
        columns: search.columns(&entity),
        batch,
        entity,
        rows,
    });
    Ok(named.collect())
}

fn views(lineage: &ProjectLineage, trace: &Trace) -> Vec<ViewTrace> {
    let own = trace.batches.iter().flat_map(|batch| batch.rows.keys());
    let tables: BTreeSet<&String> = own.chain(trace.named.iter().map(|named| &named.entity)).collect();
    let mut views: Vec<ViewTrace> = Vec::new();
    for view in &lineage.views {
        let reads = view.origins.iter().any(|origin| tables.contains(&origin.entity));
        if reads && !views.iter().any(|known| known.name == view.view) {
            views.push(ViewTrace {
                name: view.view.clone(),
                kind: view.kind,
            });
        }
    }
    views
}

async fn is_suppressed(connection: &Connection, named: &[suppression::Entry]) -> Result<bool> {
    let domains: Vec<String> = named.iter().map(|entry| entry.domain.clone()).collect();
    let listed = suppression::of_domains(connection, &domains).await?;
    Ok(named.iter().any(|entry| listed.contains(entry)))
}

impl Trace {
    /// Reads the input of the batches that hold rows of the person or have entries in the quarantine.
    async fn read_files(&mut self, person: &Person<'_>, connection: &Connection, domains: &[String]) -> Result<()> {
        let sources = sources(person.project, domains);
        let names: Vec<String> = sources.iter().map(|sought| sought.source.name.clone()).collect();
        let mut noted: BTreeMap<Batch, Vec<(i64, String, u64)>> = BTreeMap::new();
        for (run_id, batch, file, record) in erase::entries(connection, &names).await? {
            noted.entry(batch).or_default().push((run_id, file, record));
        }
        for batch in &self.batches {
            noted.entry(batch.batch.clone()).or_default();
        }
        for (batch, entries) in noted {
            let sought = sources.iter().find(|sought| sought.source.name == batch.source);
            let sought = sought.ok_or_else(Error::internal)?;
            // A file that can't be read keeps nobody from finding what is in the tables.
            let Ok(Some(read)) = records::read(person, sought, &batch).await else {
                self.unread.push(batch);
                continue;
            };
            self.entries
                .extend(records::entries(connection, &read, &batch, &entries, &person.key).await?);
            self.files.extend(read.files);
        }
        Ok(())
    }
}
