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
use crate::model::{Check, Entity, Parent, Relationship, Scope, Severity};
use crate::quality::{Deny, Key, Keys, Suppress, ValidationReport};
use crate::warehouse::relations::{self, Gone, Partners};

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
            && let Some(refused) = above.report.refused.iter().find(|keys| keys.columns == parent.columns)
        {
            let (mut of_refused, looks_beyond) = (refused.clone(), parent.scope == Scope::Source);
            if refused.nameless || (looks_beyond && !refused.keys.is_empty()) {
                let partners = self.partners(staged, &parent.entity, parent.scope);
                let missing = self.missing(entity, &staged[at], &partners, &parent.columns).await?;
                if looks_beyond {
                    // The row of another batch stands in for the refused one.
                    of_refused.keys.retain(|key| missing.keys.contains(key));
                }
                if refused.nameless && !missing.is_empty() {
                    deny.push(below(parent, missing));
                }
            }
            if !of_refused.is_empty() {
                deny.push(below(parent, of_refused));
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
            let Some(Relationship {
                entity: target,
                columns,
                scope,
            }) = check.rule.relationship()
            else {
                continue;
            };
            let other = staged.iter().find(|one| one.staged.entity() == target);
            if other.is_none() && *scope == Scope::Batch {
                return Err(no_partners(check, entity, self.input.source.name.as_str(), target));
            }
            let partners = self.partners(staged, target, *scope);
            let missing = self.missing(entity, &staged[at], &partners, columns).await?;
            deny.extend(judged(check, &mut staged[at].report, &entity.name, missing)?);
        }
        Ok(deny)
    }

    /// Where the rows of an entity may be.
    fn partners<'s>(&'s self, staged: &'s [StagedEntity], entity: &'s str, scope: Scope) -> Partners<'s> {
        let staged_of = |name: &str| {
            staged
                .iter()
                .find(|one| one.staged.entity() == name)
                .map(|one| &one.staged)
        };
        let beside = (scope == Scope::Source).then_some(self.batch);
        let mut tables = self.context.project.entities.iter();
        let of = tables.clone().find(|of| beside.is_some() && of.name == entity);
        let table = tables.find(|table| table.deletes_from.as_deref() == Some(entity));
        Partners {
            entity,
            staged: staged_of(entity),
            beside,
            gone: of.map(|of| Gone {
                of,
                rows: staged_of(entity),
                table,
                staged: table.and_then(|table| staged_of(&table.name)),
            }),
        }
    }

    /// The keys of a staged entity's rows that have no partner.
    async fn missing(
        &self,
        entity: &Entity,
        of: &StagedEntity,
        partners: &Partners<'_>,
        columns: &[String],
    ) -> Result<Keys> {
        let connection = self.connection().await?;
        let missing = relations::missing(&connection, entity, &of.staged, partners, columns).await?;
        Ok(keys_of(columns, &missing).unwrap_or_else(|| Keys::new(columns.to_vec())))
    }
}

/// What a `relationships` check says of rows without a partner: the rows to refuse, or a count in the report.
///
/// # Errors
/// There are such rows, and the check's severity is `fail`.
pub(crate) fn judged(
    check: &Check,
    report: &mut ValidationReport,
    entity: &str,
    missing: Keys,
) -> Result<Option<Deny>> {
    let Some(other) = check.rule.relationship().filter(|_| !missing.is_empty()) else {
        return Ok(None);
    };
    let whose = match other.scope {
        Scope::Batch => "",
        Scope::Source => ", in no batch of the source, or it is deleted",
    };
    let columns = other.columns.join(", ");
    let reason = format!("{} has no row with the same {columns}{whose}", other.entity);
    match check.severity {
        Severity::Fail => Err(failed(&check.name, entity).cause(reason).hint(LET_IT_REFUSE)),
        Severity::Warn => {
            let warned = report.warnings.entry(check.name.clone()).or_default();
            *warned = missing.keys.len() as u64;
            Ok(None)
        }
        Severity::Quarantine => Ok(Some(Deny {
            keys: missing,
            check: check.name.as_str().into(),
            reason: reason.into(),
            keep_orphans: check.keep_orphans,
        })),
    }
}

/// The error of a check between entities of which the source serves only one.
pub(crate) fn no_partners(check: &Check, entity: &Entity, source: &str, target: &str) -> Error {
    Error::project(format!("the check {} of {} can't be made", check.name, entity.name))
        .cause(format!("{source} brings no rows to {target}"))
        .hint("leave it out for this source, or look at all its batches: `scope: source`")
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
