//! Drops objects when views change: only those that this program made, and never with CASCADE. Where an object will
//! be made again, what users have set on it is saved first.

use super::dependants;
use super::keep::Kept;
use super::outcome::{Action, Applied, is_of, refused};
use super::registry::{self, Entry};
use super::work::Work;
use crate::error::{Diagnostic, Result};
use crate::model::ViewKind;
use crate::warehouse::sql::{db_error, position};

impl Work<'_> {
    /// Drops a view whose file moved from `sql/views` to `sql/materialized`, or back, so that its name is free.
    pub(super) async fn drop_moved(&mut self) -> Result<()> {
        let moved: Vec<Entry> = self
            .entries
            .iter()
            .filter(|entry| entry.kind != ViewKind::Function && entry.oid.is_some())
            .filter(|entry| {
                self.definitions.iter().any(|definition| {
                    let view = definition.view;
                    view.name == entry.name && view.kind != entry.kind && view.kind != ViewKind::Function
                })
            })
            .cloned()
            .collect();
        for entry in moved {
            self.drop_with_ours(&entry).await?;
        }
        Ok(())
    }

    /// Drops an object and the objects that depend on it, provided this program made all of them. Those that still
    /// have a file are made again.
    pub(super) async fn drop_with_ours(&mut self, entry: &Entry) -> Result<()> {
        let Some(oid) = entry.oid else { return Ok(()) };
        let mut doomed = Vec::new();
        let mut strangers = Vec::new();
        for dependant in dependants::of(self.client, entry.kind, oid).await? {
            let ours = dependant.ours.as_ref().and_then(|(kind, name)| {
                self.entries
                    .iter()
                    .find(|e| e.kind == *kind && e.name == *name && e.oid == Some(dependant.oid))
            });
            match ours {
                Some(ours) => doomed.push(ours.clone()),
                None => strangers.push(dependant.description),
            }
        }
        if !strangers.is_empty() {
            return Err(refused(vec![self.stands_on(entry, &strangers)]));
        }
        doomed.push(entry.clone());
        for entry in doomed {
            self.drop_one(&entry).await?;
        }
        Ok(())
    }

    async fn drop_one(&mut self, entry: &Entry) -> Result<()> {
        let Some(oid) = entry.oid else { return Ok(()) };
        let kept = Kept::read(self.client, entry.kind, &entry.name, oid).await?;
        let sql = drop_statement(entry);
        let failed = |error: tokio_postgres::Error| db_error(format!("{} can't be dropped", entry.object), &error);
        self.client.batch_execute(&sql).await.map_err(failed)?;
        self.kept.insert((entry.kind, entry.name.clone()), kept);
        let known = self
            .entries
            .iter_mut()
            .filter(|known| known.kind == entry.kind && known.name == entry.name);
        known.for_each(|known| known.oid = None);
        let index = self.definitions.iter().position(|definition| is_of(entry, definition));
        match index {
            Some(index) if !self.pending.contains(&index) => self.pending.push_back(index),
            Some(_) => {}
            None => self.forget(entry).await?,
        }
        Ok(())
    }

    /// Drops objects whose files no longer exist. The order is found by trying.
    pub(super) async fn drop_removed(&mut self) -> Result<()> {
        let has_no_file = |entry: &&Entry| !self.definitions.iter().any(|definition| is_of(entry, definition));
        let known_gone = |entry: &&Entry| {
            !self
                .dropped
                .iter()
                .any(|d| d.kind == entry.kind && d.name == entry.name)
        };
        let mut left: Vec<Entry> = self
            .entries
            .iter()
            .filter(has_no_file)
            .filter(known_gone)
            .cloned()
            .collect();
        while !left.is_empty() {
            let count = left.len();
            let mut blocked = Vec::new();
            for entry in std::mem::take(&mut left) {
                let Some(oid) = entry.oid else {
                    self.forget(&entry).await?;
                    continue;
                };
                let standing = dependants::of(self.client, entry.kind, oid).await?;
                if standing.is_empty() {
                    self.drop_one(&entry).await?;
                } else {
                    let names: Vec<String> = standing.into_iter().map(|dependant| dependant.description).collect();
                    blocked.push(self.stands_on(&entry, &names));
                    left.push(entry);
                }
            }
            if left.len() == count {
                return Err(refused(blocked));
            }
        }
        Ok(())
    }

    async fn forget(&mut self, entry: &Entry) -> Result<()> {
        registry::remove(self.client, entry.kind, &entry.name).await?;
        self.dropped.push(Applied {
            kind: entry.kind,
            name: entry.name.clone(),
            action: Action::Dropped,
        });
        Ok(())
    }

    fn stands_on(&self, entry: &Entry, names: &[String]) -> Diagnostic {
        let definition = self.definitions.iter().find(|definition| is_of(entry, definition));
        Diagnostic {
            message: format!(
                "{} would have to be dropped, and on it stands {}",
                entry.object,
                names.join(", ")
            ),
            location: definition.map(|d| position::location(&d.view.path, &d.view.sql, 1)),
            hint: Some("drop that first, or keep the columns as they are and add new ones at the end".to_owned()),
        }
    }
}

fn drop_statement(entry: &Entry) -> String {
    let what = match entry.kind {
        ViewKind::Function => "FUNCTION",
        ViewKind::View => "VIEW",
        ViewKind::Materialized => "MATERIALIZED VIEW",
    };
    format!("DROP {what} {}", entry.object)
}
