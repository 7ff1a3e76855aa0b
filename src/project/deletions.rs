//! Reads what says that rows are gone: `deletions` of an entity, which is a table of keys beside it, and `deletes` of a
//! kind, whose SQL fills that table. The table is an entity like others, so that the deletions of a batch are loaded,
//! masked, swapped and dropped with it.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::keys::{NameOf, Shape};
use super::mapping::{Context, Mapping, entry_text};
use super::names::{self, MAX_ENTITY};
use super::problems::Problems;
use super::yaml::Entry;
use crate::error::Location;
use crate::model::wording::{all_of, did_you_mean};
use crate::model::{Entity, Transform};

/// The value of `deletes`.
pub(super) const SHAPE: Shape = Shape::Named(NameOf::Entity, 1, &Shape::Text);

/// `deletions` of an entity, whose key has not been looked up yet.
pub(super) struct TableDraft {
    entity: String,
    name: String,
    location: Location,
}

/// One SELECT of `deletes`.
pub(super) struct SelectDraft {
    entity: String,
    sql: String,
    location: Location,
}

/// Reads `deletions: conditions_deleted` of an entity.
pub(super) fn read_table(ctx: &mut Context<'_>, entity: &str, entry: &Entry) -> Option<TableDraft> {
    let name = entry_text(ctx, entry)?;
    if let Err(bad) = names::check_identifier("the name of an entity", &name.value, MAX_ENTITY) {
        ctx.problem_of(&name, &bad.message, &bad.hint);
    }
    Some(TableDraft {
        entity: entity.to_owned(),
        location: ctx.location(name.span),
        name: name.value,
    })
}

/// Adds the table of each draft behind its entity.
pub(super) fn add_tables(ctx: &mut Context<'_>, drafts: Vec<TableDraft>, entities: &mut Vec<Entity>) {
    for draft in drafts {
        let Some(at) = entities.iter().position(|entity| entity.name == draft.entity) else {
            continue;
        };
        let owner = &entities[at];
        if owner.key.is_empty() {
            let message = format!("`{}` has no key by which its rows could be deleted", owner.name);
            ctx.problem_at(&draft.location, message, "give it a `key`, or leave `deletions` out");
        }
        if entities.iter().any(|entity| entity.name == draft.name) {
            let message = format!("`{}` is an entity already", draft.name);
            let hint = format!("name it `{}_deleted`", draft.entity);
            ctx.problem_at(&draft.location, message, &hint);
            continue;
        }
        let in_key = |name: &String| owner.columns.iter().find(|column| column.name == *name);
        let table = Entity {
            description: Some(format!("The keys of {} that a batch says are deleted.", owner.name)),
            columns: owner.key.iter().filter_map(in_key).cloned().collect(),
            key: owner.key.clone(),
            deletes_from: Some(owner.name.clone()),
            ..Entity::named(draft.name, draft.location)
        };
        entities.insert(at + 1, table);
    }
}

/// Reads `deletes: {conditions: "select id as condition_id from removal"}`.
pub(super) fn read_selects(ctx: &mut Context<'_>, entry: &Entry) -> Vec<SelectDraft> {
    let Some(named) = Mapping::of_names(ctx, "`deletes`", entry.key.span, &entry.value) else {
        return Vec::new();
    };
    if named.entries().is_empty() {
        let hint = "name one: {patients: select id as patient_id from removal}".to_owned();
        ctx.problem(entry.key.span, "`deletes` names no entity", hint);
    }
    let one = |entry: &&Entry| {
        let sql = entry_text(ctx, entry)?;
        let sql_text = sql.value.trim_end().trim_end_matches(';');
        if sql_text.trim().is_empty() {
            let hint = "write a SELECT of the key: select id as patient_id from removal".to_owned();
            ctx.problem(sql.span, format!("`{}` holds no SQL", entry.key.text), hint);
            return None;
        }
        Some(SelectDraft {
            entity: entry.key.text.clone(),
            location: ctx.location(sql.span),
            sql: sql_text.to_owned(),
        })
    };
    named.entries().iter().filter_map(one).collect()
}

/// Makes the transforms that fill the tables of deleted keys. A key that several records or kinds delete is one row.
pub(super) fn transforms(
    drafts: Vec<SelectDraft>,
    entities: &[Entity],
    known: &[Transform],
    problems: &mut Problems,
) -> Vec<Transform> {
    let mut of_tables: Vec<(&Entity, Vec<SelectDraft>)> = Vec::new();
    for draft in drafts {
        let of_entity = |table: &&Entity| table.deletes_from.as_ref() == Some(&draft.entity);
        let Some(table) = entities.iter().find(of_entity) else {
            no_table(&draft, entities, problems);
            continue;
        };
        if let Some(other) = known.iter().find(|one| one.entity == table.name) {
            let message = format!("two places say what is deleted from `{}`", draft.entity);
            let hint = format!("{} says it already: keep one of them", other.path.display());
            problems.add(Some(draft.location), message, Some(hint));
            continue;
        }
        match of_tables.iter_mut().find(|(other, _)| other.name == table.name) {
            Some((_, drafts)) => drafts.push(draft),
            None => of_tables.push((table, vec![draft])),
        }
    }
    of_tables
        .into_iter()
        .map(|(table, drafts)| transform(table, &drafts))
        .collect()
}

fn no_table(draft: &SelectDraft, entities: &[Entity], problems: &mut Problems) {
    let location = Some(draft.location.clone());
    if entities.iter().any(|entity| entity.name == draft.entity) {
        let message = format!("`{}` has no table for deletions", draft.entity);
        let hint = format!("add `deletions: {0}_deleted` to `{0}` in pipeline.yaml", draft.entity);
        problems.add_link(location, message, Some(hint));
        return;
    }
    let names: Vec<&str> = entities.iter().map(|entity| entity.name.as_str()).collect();
    let hint = did_you_mean(&draft.entity, names.iter().copied())
        .unwrap_or_else(|| format!("the entities are {}", all_of(&names)));
    problems.add_link(
        location,
        format!("`deletes` names no entity `{}`", draft.entity),
        Some(hint),
    );
}

/// The SELECTs as one, each in the line of the text in which the YAML has it, so that the places of errors are right.
fn transform(table: &Entity, drafts: &[SelectDraft]) -> Transform {
    let columns: Vec<String> = table.key.iter().map(|name| format!("\"{name}\"")).collect();
    let columns = columns.join(", ");
    let given = drafts.first().map(|draft| draft.location.clone());
    let mut sql = String::new();
    for (index, draft) in drafts.iter().enumerate() {
        if index > 0 {
            sql.push_str(" union ");
        }
        let _ = write!(sql, "select distinct {columns} from (");
        let (line, column) = begin(&draft.location);
        let lines = sql.matches('\n').count() + 1;
        sql.push_str(&"\n".repeat(line.saturating_sub(lines)));
        sql.push_str(&" ".repeat(column.saturating_sub(1)));
        sql.push_str(&draft.sql);
        // The SELECT may end with a comment.
        sql.push_str("\n) gone");
    }
    Transform {
        entity: table.name.clone(),
        path: given
            .as_ref()
            .map_or_else(PathBuf::new, |location| location.file.clone()),
        sql,
        given,
    }
}

/// The line and the column in which the text of a value begins: behind a quote, or below `|` and `>`.
fn begin(location: &Location) -> (usize, usize) {
    match location.text.chars().nth(location.column.saturating_sub(1)) {
        Some('|' | '>') => (location.line + 1, 1),
        Some('"' | '\'') => (location.line, location.column + 1),
        _ => (location.line, location.column),
    }
}
