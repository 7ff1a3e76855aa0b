//! Looks up the columns and entities that checks name, after all files of the project are read.

use std::collections::HashSet;

use super::checks::CheckDraft;
use super::problems::Problems;
use crate::error::Location;
use crate::model::wording::{all_of, did_you_mean};
use crate::model::{Check, Entity, PgType, Relationship, Rule};

/// Looks up the columns and entities that the checks name. Returns the checks without problems, each with its entity.
pub(super) fn resolve(drafts: Vec<CheckDraft>, entities: &[Entity], problems: &mut Problems) -> Vec<(String, Check)> {
    let mut names = HashSet::new();
    let mut checks = Vec::new();
    for draft in drafts {
        let CheckDraft {
            entity,
            named,
            mut check,
            columns,
            target,
        } = draft;
        let Some(owner) = entities.iter().find(|known| known.name == entity) else {
            unknown_entity(&entity, check.location, entities, problems);
            continue;
        };
        let mut whole = true;
        for (column, location) in columns {
            whole &= has_column(owner, &column, location, problems);
        }
        if let Some((name, location)) = target
            && let Rule::Relationships(Relationship { columns, .. }) = &mut check.rule
        {
            if let Some(target) = entities.iter().find(|known| known.name == name) {
                if columns.is_empty() {
                    columns.clone_from(&target.key);
                }
                if columns.is_empty() {
                    let message = format!("`{name}` has no key to join by");
                    problems.add(Some(location.clone()), message, Some("name the columns".into()));
                    whole = false;
                }
                for column in columns.iter() {
                    whole &= has_column(target, column, location.clone(), problems)
                        && has_column(owner, column, location.clone(), problems)
                        && comparable(owner, target, column, &location, problems);
                }
            } else {
                unknown_entity(&name, location, entities, problems);
                whole = false;
            }
        }
        if !named {
            check.name = check.rule.to_string();
        }
        if let Rule::Freshness { column, .. } = &check.rule
            && let Some(found) = owner.columns.iter().find(|known| known.name == *column)
            && !matches!(found.pg_type, PgType::Date | PgType::Timestamp | PgType::TimestampTz)
        {
            let message = format!("freshness needs a date, `{column}` is {}", found.pg_type);
            problems.add(Some(check.location.clone()), message, None);
            whole = false;
        }
        if !names.insert((entity.clone(), check.name.clone())) {
            let message = format!("`{entity}` has two checks called `{}`", check.name);
            let hint = Some("give one of them a `name`, or take it out".to_owned());
            problems.add(Some(check.location.clone()), message, hint);
            whole = false;
        }
        if whole {
            checks.push((entity, check));
        }
    }
    checks
}

fn unknown_entity(name: &str, location: Location, entities: &[Entity], problems: &mut Problems) {
    let known: Vec<&str> = entities.iter().map(|entity| entity.name.as_str()).collect();
    let hint =
        did_you_mean(name, known.iter().copied()).unwrap_or_else(|| format!("the entities are {}", all_of(&known)));
    problems.add_link(Some(location), format!("`{name}` is no entity"), Some(hint));
}

fn has_column(entity: &Entity, name: &str, location: Location, problems: &mut Problems) -> bool {
    let found = entity.columns.is_empty() || entity.columns.iter().any(|column| column.name == name);
    if !found {
        let known: Vec<&str> = entity.columns.iter().map(|column| column.name.as_str()).collect();
        let hint =
            did_you_mean(name, known.iter().copied()).unwrap_or_else(|| format!("its columns are {}", all_of(&known)));
        let message = format!("`{}` has no column `{name}`", entity.name);
        problems.add_link(Some(location), message, Some(hint));
    }
    found
}

/// Whether the columns of a relationship can be compared. They are compared as text, so equal values must have equal
/// texts.
fn comparable(owner: &Entity, target: &Entity, name: &str, location: &Location, problems: &mut Problems) -> bool {
    let of = |entity: &Entity| {
        entity
            .columns
            .iter()
            .find(|column| column.name == name)
            .map(|c| c.pg_type)
    };
    let (Some(one), Some(other)) = (of(owner), of(target)) else {
        return true;
    };
    let good = joinable(one) && joinable(other) && one.family() == other.family();
    if !good {
        let message = format!("`{}.{name}` is {one}, `{}.{name}` is {other}", owner.name, target.name);
        let hint = "a relationship joins text, whole numbers, dates or uuids, both sides of one type".to_owned();
        problems.add(Some(location.clone()), message, Some(hint));
    }
    good
}

fn joinable(pg_type: PgType) -> bool {
    matches!(
        pg_type.family(),
        PgType::Text | PgType::Int8 | PgType::Date | PgType::Uuid | PgType::Bool
    )
}
