//! Checks the references within and between entities: keys, indexes and parents. Returns the entities in an order in
//! which every parent comes before its children.

use std::collections::HashSet;

use super::mapping::{Context, Text};
use super::yaml::Span;
use crate::model::wording::{all_of, did_you_mean};
use crate::model::{Entity, Index, Parent, PgType, Scope};

/// A name in the file that has to be looked up.
pub(super) struct Named {
    pub name: String,
    /// The name as the user wrote it. The content of a variable is not shown.
    pub raw: String,
    pub span: Span,
}

impl std::convert::From<Text<'_>> for Named {
    fn from(text: Text<'_>) -> Self {
        Self {
            name: text.value,
            raw: text.raw.to_owned(),
            span: text.span,
        }
    }
}

pub(super) struct ParentDraft {
    pub entity: Named,
    /// `None` means the columns of the parent's key.
    pub columns: Option<Vec<Named>>,
    pub scope: Scope,
}

/// An entity whose references have not been looked up yet.
pub(super) struct Draft {
    pub entity: Entity,
    pub key: Vec<Named>,
    pub parent: Option<ParentDraft>,
    pub indexes: Vec<(Vec<Named>, Index)>,
    /// Columns whose type already has a problem. They are not reported a second time.
    pub untyped: HashSet<String>,
}

impl Draft {
    pub fn new(entity: Entity) -> Self {
        Self {
            entity,
            key: Vec::new(),
            parent: None,
            indexes: Vec::new(),
            untyped: HashSet::new(),
        }
    }
}

/// Checks all references and returns the entities, parents first and otherwise in the file's order.
pub(super) fn check(ctx: &mut Context<'_>, drafts: Vec<Draft>) -> Vec<Entity> {
    for draft in &drafts {
        check_key(ctx, draft);
        check_indexes(ctx, draft);
    }
    let parents: Vec<Option<Parent>> = drafts.iter().map(|draft| parent(ctx, draft, &drafts)).collect();
    report_cycles(ctx, &drafts, &parents);
    let entities = drafts.into_iter().zip(parents).map(|(draft, parent)| Entity {
        key: draft.key.into_iter().map(|column| column.name).collect(),
        indexes: draft.indexes.into_iter().map(|(_, index)| index).collect(),
        parent,
        ..draft.entity
    });
    parents_first(entities.collect())
}

fn check_key(ctx: &mut Context<'_>, draft: &Draft) {
    check_columns(ctx, &draft.entity, &draft.key, "`key`");
    for (position, named) in draft.key.iter().enumerate() {
        if draft.key[..position].iter().any(|other| other.name == named.name) {
            continue;
        }
        let column = draft.entity.columns.iter().find(|column| column.name == named.name);
        if let Some(column) = column.filter(|column| !compares(column.pg_type)) {
            let message = format!(
                "the key column `{}` is {}, by which rows can't be told apart",
                named.raw, column.pg_type
            );
            let hint = "put what tells rows apart into a column of its own, such as a text".to_owned();
            ctx.problem(named.span, message, hint);
        }
        if column.is_some_and(|column| column.nullable) {
            let message = format!("the key column `{}` may be null", named.raw);
            let hint = format!("declare it so: {}: {{type: ..., nullable: false}}", named.raw);
            ctx.problem(named.span, message, hint);
        }
    }
}

fn check_indexes(ctx: &mut Context<'_>, draft: &Draft) {
    for (columns, _) in &draft.indexes {
        check_columns(ctx, &draft.entity, columns, "the index");
    }
}

/// Checks that each name is a column of the entity and is given once.
fn check_columns(ctx: &mut Context<'_>, entity: &Entity, names: &[Named], what: &str) {
    for (position, named) in names.iter().enumerate() {
        if names[..position].iter().any(|other| other.name == named.name) {
            ctx.problem(
                named.span,
                format!("{what} names `{}` twice", named.raw),
                "keep one of them".to_owned(),
            );
        } else if !has_column(entity, &named.name) {
            missing_column(ctx, entity, named, &entity.name);
        }
    }
}

/// Whether the entity has the column. An entity without any columns already has a problem, so nothing more is reported.
fn has_column(entity: &Entity, name: &str) -> bool {
    entity.columns.is_empty() || entity.columns.iter().any(|column| column.name == name)
}

fn missing_column(ctx: &mut Context<'_>, entity: &Entity, named: &Named, owner: &str) {
    let known: Vec<&str> = entity.columns.iter().map(|column| column.name.as_str()).collect();
    let hint = did_you_mean(&named.raw, known.iter().copied())
        .unwrap_or_else(|| format!("its columns are {}", all_of(&known)));
    ctx.link_problem(named.span, format!("`{owner}` has no column `{}`", named.raw), hint);
}

fn parent(ctx: &mut Context<'_>, draft: &Draft, drafts: &[Draft]) -> Option<Parent> {
    let parent = draft.parent.as_ref()?;
    let Some(target) = drafts.iter().find(|other| other.entity.name == parent.entity.name) else {
        let known: Vec<&str> = drafts.iter().map(|draft| draft.entity.name.as_str()).collect();
        let hint = did_you_mean(&parent.entity.raw, known.iter().copied())
            .unwrap_or_else(|| format!("the entities are {}", all_of(&known)));
        ctx.link_problem(
            parent.entity.span,
            format!("the parent `{}` is no entity", parent.entity.raw),
            hint,
        );
        return None;
    };
    let columns = match &parent.columns {
        Some(columns) => given_columns(ctx, draft, target, columns),
        None => key_columns(ctx, draft, target, &parent.entity),
    };
    Some(Parent {
        entity: target.entity.name.clone(),
        columns,
        scope: parent.scope,
    })
}

fn given_columns(ctx: &mut Context<'_>, draft: &Draft, target: &Draft, columns: &[Named]) -> Vec<String> {
    for (position, named) in columns.iter().enumerate() {
        if columns[..position].iter().any(|other| other.name == named.name) {
            ctx.problem(
                named.span,
                format!("`columns` names `{}` twice", named.raw),
                "keep one of them".to_owned(),
            );
            continue;
        }
        for side in [&draft.entity, &target.entity] {
            if !has_column(side, &named.name) {
                missing_column(ctx, side, named, &side.name);
            }
        }
        check_types(ctx, draft, target, &named.name, named.span);
    }
    columns.iter().map(|named| named.name.clone()).collect()
}

fn key_columns(ctx: &mut Context<'_>, draft: &Draft, target: &Draft, at: &Named) -> Vec<String> {
    let parent = &target.entity.name;
    if target.key.is_empty() {
        let hint = format!("give `{parent}` a key, or name the columns: parent: {{entity: {parent}, columns: [...]}}");
        ctx.problem(at.span, format!("the parent `{parent}` has no key to join by"), hint);
    }
    // Problems of the key itself are reported elsewhere.
    let exists = |name: &str| target.entity.columns.iter().any(|column| column.name == name);
    for named in target.key.iter().filter(|named| exists(&named.name)) {
        if !has_column(&draft.entity, &named.name) {
            let message = format!(
                "`{}` has no column `{}`, which is in the key of its parent `{parent}`",
                draft.entity.name, named.raw
            );
            let hint =
                format!("add the column, or name those to join by: parent: {{entity: {parent}, columns: [...]}}");
            ctx.link_problem(at.span, message, hint);
        }
        check_types(ctx, draft, target, &named.name, at.span);
    }
    target.key.iter().map(|named| named.name.clone()).collect()
}

/// Whether equal values can be found before PostgreSQL sees them. Of a `jsonb` it holds many texts equal, and lists can't
/// be compared.
fn compares(pg_type: PgType) -> bool {
    !matches!(pg_type, PgType::Jsonb | PgType::TextArray)
}

/// Checks that a child's column can be compared with its parent's column.
fn check_types(ctx: &mut Context<'_>, draft: &Draft, target: &Draft, name: &str, span: Span) {
    let of = |draft: &Draft| {
        let column = draft.entity.columns.iter().find(|column| column.name == name)?;
        (!draft.untyped.contains(name)).then_some(column.pg_type)
    };
    let (Some(child), Some(parent)) = (of(draft), of(target)) else {
        return;
    };
    if child.family() != parent.family() {
        let (child_name, parent_name) = (&draft.entity.name, &target.entity.name);
        let message = format!("`{child_name}.{name}` is {child}, `{parent_name}.{name}` is {parent}");
        ctx.problem(span, message, "give both the same type".to_owned());
    } else if !compares(parent) {
        let message = format!("`{name}` is {parent}, by which rows can't be told apart");
        ctx.problem(span, message, "join by another column, such as a text".to_owned());
    }
}

/// Reports every cycle of parents once, at its first entity in the file.
fn report_cycles(ctx: &mut Context<'_>, drafts: &[Draft], parents: &[Option<Parent>]) {
    let next = |at: usize| {
        let parent = parents[at].as_ref()?;
        drafts.iter().position(|draft| draft.entity.name == parent.entity)
    };
    for start in 0..drafts.len() {
        let mut path = vec![start];
        while let Some(at) = path.last().and_then(|last| next(*last)) {
            if at == start {
                let names = path.iter().chain([&start]).map(|at| drafts[*at].entity.name.as_str());
                let cycle = names.collect::<Vec<_>>().join(" -> ");
                if path.iter().min() == Some(&start)
                    && let Some(parent) = &drafts[start].parent
                {
                    let hint = "take `parent` out of the one that comes first".to_owned();
                    ctx.problem(parent.entity.span, format!("the parents go in a circle: {cycle}"), hint);
                }
                break;
            }
            if path.contains(&at) {
                break;
            }
            path.push(at);
        }
    }
}

/// Sorts parents before children and otherwise keeps the file's order. Entities in a cycle come last.
fn parents_first(mut waiting: Vec<Entity>) -> Vec<Entity> {
    let mut ordered: Vec<Entity> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|entity| {
            let parent = entity.parent.as_ref().map(|parent| &parent.entity);
            parent.is_none_or(|parent| waiting.iter().all(|other| other.name != *parent))
        });
        let Some(ready) = ready else { break };
        ordered.push(waiting.remove(ready));
    }
    ordered.append(&mut waiting);
    ordered
}
