//! Refuses the rows that belong to refused rows: a visit whose patient was refused, a diagnosis of that visit.
//!
//! A parent's refusal is known only when all of its rows were seen, which may be after its children were copied. Then
//! the children are staged again with a list of rows to deny, from another parse of the input. Two ways without that
//! parse were thought through. Children that wait for their parent's last row would be copied one table after the other
//! in every batch, also where nothing is refused. Copying the staging table without the denied rows does not tell which
//! records they came from, which the quarantine has to say. So a batch without refusals pays nothing, and one with
//! refusals pays a second parse.

use std::collections::HashSet;

use super::staging::{StagedEntity, Staging};
use crate::error::{Error, Result};
use crate::model::check::{LET_IT_REFUSE, failed};
use crate::model::{Parent, Rule, Severity};
use crate::quality::{Deny, Key, Keys, Suppress};
use crate::warehouse::relations;

impl Staging<'_> {
    /// Refuses the rows that belong to refused rows, parents first. Where nothing was refused, this costs one query for
    /// each `relationships` check.
    pub(super) async fn cascade_refusals(&self, mut staged: Vec<StagedEntity>) -> Result<Vec<StagedEntity>> {
        for at in 0..staged.len() {
            let deny = self.denied(&mut staged, at).await?;
            if deny.is_empty() {
                continue;
            }
            let again = self.stage_again(staged.remove(at), deny, None).await?;
            staged.insert(at, again);
            if !self.denied_by_checks(&mut staged, at).await?.is_empty() {
                let name = staged[at].staged.entity();
                return Err(Error::batch(format!(
                    "rows of {name} that belong to no row can't be told apart"
                )));
            }
        }
        Ok(staged)
    }

    /// Fills a staging table again, from another parse of the input.
    pub(super) async fn stage_again(
        &self,
        first: StagedEntity,
        deny: Vec<Deny>,
        suppress: Option<Suppress>,
    ) -> Result<StagedEntity> {
        let StagedEntity { index, staged, .. } = first;
        let mut connection = self.connection().await?;
        relations::unstage(&mut connection, staged).await?;
        self.counters[index].restart();
        let input = self.input.scan();
        self.entity(index, connection, input, deny, suppress).await
    }

    /// The rows that may not be loaded into the entity at this position.
    async fn denied(&self, staged: &mut [StagedEntity], at: usize) -> Result<Vec<Deny>> {
        let entity = self.context.project.entity(staged[at].staged.entity())?;
        let mut deny = Vec::new();
        if let Some(parent) = &entity.parent
            && let Some(above) = staged.iter().find(|one| one.staged.entity() == parent.entity)
        {
            let refused = above.report.refused.iter().find(|keys| keys.columns == parent.columns);
            let of_parent = |keys| below(parent, keys);
            deny.extend(refused.filter(|keys| !keys.is_empty()).cloned().map(of_parent));
            if refused.is_some_and(|keys| keys.nameless) {
                let connection = self.connection().await?;
                let (child, columns) = (&staged[at].staged, &parent.columns);
                let missing = relations::missing(&connection, entity, child, &above.staged, columns).await?;
                deny.extend(keys_of(columns, &missing).map(of_parent));
            }
        }
        deny.extend(self.denied_by_checks(staged, at).await?);
        Ok(deny)
    }

    /// The rows that `relationships` checks refuse.
    async fn denied_by_checks(&self, staged: &mut [StagedEntity], at: usize) -> Result<Vec<Deny>> {
        let entity = self.context.project.entity(staged[at].staged.entity())?;
        let mut deny = Vec::new();
        for check in self.input.source.checks_of(entity) {
            let Rule::Relationships {
                entity: target,
                columns,
            } = &check.rule
            else {
                continue;
            };
            let Some(other) = staged.iter().find(|one| one.staged.entity() == target) else {
                return Err(
                    Error::project(format!("the check {} of {} can't be made", check.name, entity.name))
                        .cause(format!("{} brings no rows to {target}", self.input.source.name)),
                );
            };
            let connection = self.connection().await?;
            let missing = relations::missing(&connection, entity, &staged[at].staged, &other.staged, columns).await?;
            if missing.is_empty() {
                continue;
            }
            let reason = unrelated(target, columns);
            match check.severity {
                Severity::Fail => {
                    return Err(failed(&check.name, &entity.name).cause(reason).hint(LET_IT_REFUSE));
                }
                Severity::Warn => {
                    let warned = staged[at].report.warnings.entry(check.name.clone()).or_default();
                    *warned = missing.len() as u64;
                }
                Severity::Quarantine => deny.extend(keys_of(columns, &missing).map(|keys| Deny {
                    keys,
                    check: check.name.as_str().into(),
                    reason: reason.into(),
                    keep_orphans: check.keep_orphans,
                })),
            }
        }
        Ok(deny)
    }
}

/// The rows below refused rows of the parent.
pub(crate) fn below(parent: &Parent, keys: Keys) -> Deny {
    Deny {
        keys,
        check: "parent".into(),
        reason: format!("its row of {} was refused", parent.entity).into(),
        keep_orphans: false,
    }
}

/// Why a `relationships` check refuses a row.
pub(crate) fn unrelated(target: &str, columns: &[String]) -> String {
    format!("{target} has no row with the same {}", columns.join(", "))
}

/// Makes a set of keys from the texts that PostgreSQL returned. `None`: there are none.
pub(super) fn keys_of(columns: &[String], texts: &[Vec<String>]) -> Option<Keys> {
    let keys = texts
        .iter()
        .map(|key| Key::new(key.iter().map(|part| Some(part.as_str()))));
    let keys: HashSet<Key> = keys.flatten().collect();
    (!keys.is_empty()).then(|| Keys {
        keys,
        ..Keys::new(columns.to_vec())
    })
}
