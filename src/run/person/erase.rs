//! Erases one person: from all tables, the quarantine and the materialized views, and keeps later loads from bringing
//! them back.
//!
//! The suppression list is written first. From then on every run that begins leaves the person out. Runs that began
//! before are waited for, by the locks of their batches. Only then the rows are deleted, so no run brings any back.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::entries::{entries, one_domain, sources};
use super::subject::Person;
use super::trace::{BatchTrace, Named, Trace, count, trace};
use super::unsearched::Unsearched;
use crate::error::{Error, Result};
use crate::mask::MaskKey;
use crate::model::{Batch, Project};
use crate::run::suppression::read_as;
use crate::warehouse::erase::{self, Delete, HeldBatches, Receipt};
use crate::warehouse::person::Search;
use crate::warehouse::statistics;
use crate::warehouse::suppression;
use crate::warehouse::views::{self, Refresh};
use crate::warehouse::{self, BatchLocks};

/// What an erasure would do.
#[derive(Debug)]
pub struct Planned {
    pub trace: Trace,
    /// The SQL, for psql.
    pub script: String,
}

/// What was erased.
#[derive(Debug)]
pub struct Erased {
    /// The receipt's number in `pipeline.erasures`.
    pub id: i64,
    pub receipt: Value,
    pub trace: Trace,
    pub refresh: Refresh,
}

/// Plans the erasure of a person and changes nothing.
///
/// # Errors
/// As [`trace`], and several domains of which none was chosen.
pub async fn plan(person: &Person<'_>) -> Result<Planned> {
    let domain = one_domain(person)?;
    let trace = trace(person, true).await?;
    let entries = entries(person, &domain).await?;
    let deletes = deletes(person.project, &trace);
    let rows: Vec<u64> = deletes.iter().map(|delete| expected(&trace, delete)).collect();
    let receipt = receipt(&domain, &person.key, &deletes, &rows, &trace);
    let read_as = read_as(person.project, &domain);
    let script = erase::script(&deletes, &receipt, &entries, &read_as);
    Ok(Planned { trace, script })
}

/// Erases a person. With `wait`, batches that are being loaded are waited for.
///
/// # Errors
/// As [`plan`], and a batch that another run holds. Where the error comes after the suppression list was written, its
/// hint says so.
pub async fn erase(person: &Person<'_>, wait: bool) -> Result<Erased> {
    let Person { project, warehouse, .. } = person;
    let domain = one_domain(person)?;
    let locks = BatchLocks::new((*warehouse).clone());
    warehouse::recover(&locks).await?;
    let before = trace(person, true).await?;
    let entries = entries(person, &domain).await?;
    let names = sources(project, std::slice::from_ref(&domain));
    let names: Vec<String> = names.iter().map(|sought| sought.source.name.clone()).collect();
    let mut held = HeldBatches::new(locks);
    let mut wanted = held.running(&names).await?;
    wanted.extend(before.batches.iter().map(|one| one.batch.clone()));
    held.add(&wanted, wait).await?;
    suppression::add(&*warehouse.acquire().await?, &entries, &read_as(project, &domain)).await?;
    let done = delete(person, &domain, &names, &mut held, before).await;
    held.release().await;
    let (id, receipt, trace) = done.map_err(|error| listed(error, &domain))?;
    let refresh = views::refresh(warehouse, project, &CancellationToken::new()).await?;
    statistics::renew(&*warehouse.acquire().await?).await?;
    Ok(Erased {
        id,
        receipt,
        trace,
        refresh,
    })
}

fn listed(error: Error, domain: &str) -> Error {
    let more = format!(
        "the person is on the suppression list of {domain} by now, so loads leave them out; run the command again to erase \
         the rows"
    );
    match error.hint.clone() {
        Some(hint) => error.hint(format!("{hint}; {more}")),
        None => error.hint(more),
    }
}

/// Deletes the rows, once no run that began before the list was written can bring any back.
async fn delete(
    person: &Person<'_>,
    domain: &str,
    names: &[String],
    held: &mut HeldBatches,
    before: Trace,
) -> Result<(i64, Value, Trace)> {
    let Person {
        project,
        warehouse,
        key,
        ..
    } = person;
    let mut changed = false;
    let mut now = loop {
        // Whoever began before the list was written is waited for; who begins now has read it.
        let running = held.running(names).await?;
        let waited = held.add(&running, true).await?;
        changed |= waited > 0;
        // What was waited for may have refused records of the person.
        let now = trace(person, changed).await?;
        let found: Vec<Batch> = now.batches.iter().map(|one| one.batch.clone()).collect();
        if waited + held.add(&found, true).await? == 0 {
            break now;
        }
    };
    if !changed {
        (now.files, now.entries, now.unread) = (before.files, before.entries, before.unread);
    }
    let mut connection = warehouse.acquire().await?;
    let deletes = deletes(project, &now);
    let mut noted = None;
    let (id, _) = erase::erase(&mut connection, &deletes, |rows| {
        let receipt = receipt(domain, key, &deletes, rows, &now);
        noted = Some(receipt.clone());
        receipt
    })
    .await?;
    let left = count(project, &connection, &now.searches).await?;
    if let Some(BatchTrace { batch, .. }) = left.first() {
        return Err(Error::batch(format!("{batch} still holds rows of the person"))
            .cause("a parent or a check by which they were found has no row any more")
            .hint("run the command again"));
    }
    let receipt = noted.ok_or_else(Error::internal)?;
    let told = json!({
        "erasure": id,
        "domains": receipt.domains,
        "key_id": receipt.key_id,
        "batches": receipt.batches,
        "named": receipt.named,
        "unsearched": receipt.unsearched,
    });
    Ok((id, told, now))
}

/// The statements, rows below before those above, so that these still tell whose those are.
fn deletes(project: &Project, trace: &Trace) -> Vec<Delete> {
    let mut deletes = Vec::new();
    for search in &trace.searches {
        let of_search = |one: &&BatchTrace| one.batch.source == search.source && search.dates.contains(&one.batch.date);
        // A row may be below one of another batch, so all batches give up theirs before any gives up those above.
        for entity in order(project, search) {
            for BatchTrace { batch, .. } in trace.batches.iter().filter(of_search) {
                let sql = search.delete(&project.entities, entity, batch.date);
                deletes.extend(sql.map(|sql| Delete {
                    batch: batch.clone(),
                    entity: Some(entity.to_owned()),
                    sql,
                }));
            }
        }
    }
    deletes.extend(trace.entries.iter().filter_map(|entry| {
        Some(Delete {
            batch: entry.batch.clone(),
            entity: None,
            sql: erase::delete_entries(entry.run_id, &entry.places)?,
        })
    }));
    deletes
}

/// The entities, each after those whose rows are found by it.
fn order<'a>(project: &'a Project, search: &Search) -> Vec<&'a str> {
    let mut left: Vec<&str> = project
        .entities
        .iter()
        .rev()
        .map(|entity| entity.name.as_str())
        .collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let is_above = |name: &str| {
            let mut links = search
                .links
                .iter()
                .filter(|link| link.above == name && link.entity != name);
            links.any(|link| left.contains(&link.entity.as_str()))
        };
        // In a circle nothing is free of rows below; then the contract's order decides.
        let at = left.iter().position(|name| !is_above(name)).unwrap_or(0);
        order.push(left.remove(at));
    }
    order
}

/// How many rows a statement should delete, by the trace.
fn expected(trace: &Trace, delete: &Delete) -> u64 {
    let Some(entity) = &delete.entity else {
        let entries = trace.entries.iter().filter(|entry| entry.batch == delete.batch);
        return entries.map(|entry| entry.places.len() as u64).sum();
    };
    let batch = trace.batches.iter().find(|one| one.batch == delete.batch);
    batch.and_then(|one| one.rows.get(entity)).copied().unwrap_or_default()
}

fn receipt(domain: &str, key: &MaskKey, deletes: &[Delete], rows: &[u64], trace: &Trace) -> Receipt {
    let mut batches: BTreeMap<&Batch, (BTreeMap<&str, u64>, u64)> = BTreeMap::new();
    for (delete, rows) in deletes.iter().zip(rows) {
        let (tables, entries) = batches.entry(&delete.batch).or_default();
        match &delete.entity {
            Some(_) if *rows == 0 => {}
            Some(entity) => *tables.entry(entity).or_default() += rows,
            None => *entries += rows,
        }
    }
    let batches = batches.into_iter().map(|(batch, (tables, entries))| {
        json!({
            "source": batch.source,
            "date": batch.date.to_string(),
            "tables": tables,
            "quarantine": entries,
        })
    });
    Receipt {
        domains: vec![domain.to_owned()],
        key_id: key.key_id(),
        batches: batches.collect(),
        named: trace.named.iter().map(Named::as_json).collect(),
        unsearched: trace.unsearched.iter().map(Unsearched::as_json).collect(),
    }
}
