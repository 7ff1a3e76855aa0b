//! Reads `latest` of an entity, and makes the view of it: of each key only the row of the newest batch.

use super::keys::{Keys, Shape, key, required};
use super::mapping::{Context, Mapping, entry_text};
use super::names::{self, MAX_IDENTIFIER};
use super::problems::Problems;
use super::yaml::{Entry, Value};
use crate::error::Location;
use crate::model::wording::{all_of, did_you_mean};
use crate::model::{Entity, PgType, View, ViewKind};

/// The value of `latest`.
pub(super) const SHAPE: Shape = Shape::Any(&[Shape::Text, Shape::Options(&KEYS)]);

static KEYS: Keys = Keys::of(&[
    required("view", Shape::Text, "The view's name."),
    key(
        "deleted",
        Shape::Text,
        "A column of type boolean that is true where the key is deleted.",
    ),
    key(
        "materialized",
        Shape::Flag(false),
        "Whether the view's rows are stored, and refreshed after each run.",
    ),
]);

/// A `latest` whose columns have not been looked up yet.
pub(super) struct LatestDraft {
    entity: String,
    view: String,
    location: Location,
    deleted: Option<(String, Location)>,
    kind: ViewKind,
}

/// Reads `latest: visits_latest` or `latest: {view: visits_latest, deleted: is_deleted, materialized: true}`.
pub(super) fn read(ctx: &mut Context<'_>, entity: &str, entry: &Entry) -> Option<LatestDraft> {
    let (view, deleted, materialized) = if matches!(entry.value.value, Value::Map(_)) {
        let options = Mapping::of_options(ctx, "`latest`", entry.key.span, &entry.value, &KEYS)?;
        let view = options.required(ctx, "view", &format!("view: {entity}_latest"))?;
        let deleted = options.text(ctx, "deleted");
        let deleted = deleted.map(|text| (text.value, ctx.location(text.span)));
        (
            entry_text(ctx, view)?,
            deleted,
            options.flag(ctx, "materialized", false),
        )
    } else {
        (entry_text(ctx, entry)?, None, false)
    };
    let span = view.span;
    if let Err(bad) = names::check_identifier("the name of a view", &view.value, MAX_IDENTIFIER) {
        ctx.problem(span, bad.message, bad.hint);
    }
    Some(LatestDraft {
        entity: entity.to_owned(),
        view: view.value,
        location: ctx.location(span),
        deleted,
        kind: if materialized {
            ViewKind::Materialized
        } else {
            ViewKind::View
        },
    })
}

/// Looks up the columns, notes which of them say that a row is deleted, and adds the views to those of the project's
/// files.
pub(super) fn add(drafts: Vec<LatestDraft>, entities: &mut [Entity], views: &mut Vec<View>, problems: &mut Problems) {
    for draft in drafts {
        // An entity that is not there has problems of its own.
        let Some(entity) = entities.iter().find(|entity| entity.name == draft.entity) else {
            continue;
        };
        let mut good = true;
        let mut problem = |location: &Location, message: String, hint: String| {
            problems.add(Some(location.clone()), message, Some(hint));
            good = false;
        };
        if entity.key.is_empty() {
            let message = format!("`{}` has no key, so no row of it is the latest of its key", entity.name);
            problem(
                &draft.location,
                message,
                "give it a `key`, or leave `latest` out".into(),
            );
        }
        if entities.iter().any(|other| other.name == draft.view) {
            let message = format!("`{}` is an entity, so no view can have that name", draft.view);
            problem(&draft.location, message, format!("name it `{}_latest`", entity.name));
        } else if let Some(other) = views.iter().find(|view| view.name == draft.view) {
            let message = format!("`{}` is made by {} already", draft.view, other.path.display());
            problem(&draft.location, message, "give one of the two another name".into());
        }
        if let Some((name, location)) = &draft.deleted {
            match entity.columns.iter().find(|column| column.name == *name) {
                Some(column) if column.pg_type == PgType::Bool => {}
                Some(column) => {
                    let message = format!(
                        "`deleted` names a column that is true or false; `{name}` is {}",
                        column.pg_type
                    );
                    problem(location, message, "name a column of type boolean".into());
                }
                None => {
                    let known: Vec<&str> = entity.columns.iter().map(|column| column.name.as_str()).collect();
                    let hint = did_you_mean(name, known.iter().copied())
                        .unwrap_or_else(|| format!("its columns are {}", all_of(&known)));
                    problem(location, format!("`{}` has no column `{name}`", entity.name), hint);
                }
            }
        }
        if good {
            let (name, flag) = (&draft.entity, draft.deleted.as_ref().map(|(name, _)| name.clone()));
            let gone = entities
                .iter()
                .find(|other| other.deletes_from.as_ref() == Some(&entity.name));
            views.push(view(&draft, entity, gone));
            if let Some(entity) = entities.iter_mut().find(|entity| entity.name == *name) {
                entity.deleted_flag = flag;
            }
        }
    }
    // As files are: functions first, then views, then materialized views. A file may read a view of `latest`.
    views.sort_by_key(|view| view.kind);
}

/// `gone`: the table of the keys that are deleted.
fn view(draft: &LatestDraft, entity: &Entity, gone: Option<&Entity>) -> View {
    let deleted = draft.deleted.as_ref().map(|(name, _)| name.as_str());
    let quoted = |name: &str| format!("\"{name}\"");
    let key: Vec<&str> = std::iter::once("source")
        .chain(entity.key.iter().map(String::as_str))
        .collect();
    let list = |names: &mut dyn Iterator<Item = &str>| names.map(quoted).collect::<Vec<_>>().join(", ");
    let by = list(&mut key.iter().copied());
    let columns = entity.columns.iter().map(|column| column.name.as_str());
    let shown = list(&mut std::iter::once("source").chain(columns.clone().filter(|name| Some(*name) != deleted)));
    let all = list(&mut std::iter::once("source").chain(columns));
    let mark = mark(entity);
    let (rows, marked) = match gone {
        Some(gone) => (
            format!("(\n{}\n) with_deleted", with_deleted(entity, gone, &mark)),
            Some(&mark),
        ),
        None => (quoted(&entity.name), None),
    };
    // Where one batch brings a row and deletes its key, the key is deleted.
    let then_by = marked.map_or_else(String::new, |mark| format!(", {mark} desc"));
    let more = marked.map_or_else(String::new, |mark| format!(", {mark}"));
    let newest = format!("select distinct on ({by}) {all}{more}\nfrom {rows}\norder by {by}, batch_date desc{then_by}");
    let hidden: Vec<String> = deleted.map(quoted).into_iter().chain(marked.cloned()).collect();
    let select = if hidden.is_empty() {
        newest
    } else {
        let conditions: Vec<String> = hidden.iter().map(|name| format!("{name} is not true")).collect();
        let conditions = conditions.join(" and ");
        format!("select {shown}\nfrom (\n{newest}\n) latest\nwhere {conditions}")
    };
    // Readers can use a materialized view while it is refreshed if it has a unique index.
    let sql = match draft.kind {
        ViewKind::Materialized => format!("-- unique: {}\n{select}\n", key.join(", ")),
        ViewKind::View | ViewKind::Function => format!("{select}\n"),
    };
    View {
        name: draft.view.clone(),
        kind: draft.kind,
        path: draft.location.file.clone(),
        sql,
    }
}

/// A name that no column of the entity has.
fn mark(entity: &Entity) -> String {
    let mut name = "key_deleted".to_owned();
    while entity.columns.iter().any(|column| column.name == name) {
        name.push('_');
    }
    name
}

/// The rows of the entity and the deleted keys, told apart by the column `mark`.
fn with_deleted(entity: &Entity, gone: &Entity, mark: &str) -> String {
    let columns = || entity.columns.iter().map(|column| &column.name);
    let rows: Vec<String> = columns().map(|name| format!("\"{name}\"")).collect();
    let keys = columns().map(|name| {
        if entity.key.contains(name) {
            format!("\"{name}\"")
        } else {
            "null".to_owned()
        }
    });
    let keys: Vec<String> = keys.collect();
    format!(
        "select source, batch_date, false as {mark}, {} from \"{}\"\nunion all\nselect source, batch_date, true, {} from \"{}\"",
        rows.join(", "),
        entity.name,
        keys.join(", "),
        gone.name
    )
}
