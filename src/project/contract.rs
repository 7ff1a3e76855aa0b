//! Reads `pipeline.yaml`: the contracts of the entities. References between entities are checked in `relations`.

use super::checks::{self, CheckDraft};
use super::deletions::{self, TableDraft};
use super::exposed::{self, ExposedDraft};
use super::gate;
use super::keys::{Keys, NameOf, Shape, key, names, required};
use super::latest::{self, LatestDraft};
use super::mapping::{Context, Mapping, Text, entry_text, entry_texts, list_texts, node_text};
use super::names::{self, BadName};
use super::relations::{self, Draft, Named, ParentDraft};
use super::types::{PG_TYPE, parse_pg_type};
use super::yaml::{Entry, Node, Span, Value};
use crate::model::{Column, Entity, Gate, Index, PgType, Profile, Scope};

/// What an editor knows of `pipeline.yaml`.
pub(super) static SHAPE: Shape = Shape::Options(&PROJECT_KEYS);

static PROJECT_KEYS: Keys = Keys::of(&[
    key("name", Shape::Text, "The project's name, for people."),
    key("description", Shape::Text, "What the project is for."),
    key(
        "privacy",
        gate::SHAPE,
        "What the project promises of the data that readers see: a privacy profile, or a mapping that also \
         limits how alone a person may stand.",
    ),
    key(
        "expose",
        exposed::SHAPE,
        "What the reader role may see although it may show the batch's date.",
    ),
    required(
        "entities",
        Shape::Named(NameOf::Entity, 1, &Shape::Options(&ENTITY_KEYS)),
        "The tables that all sources share, by name.",
    ),
])
.later(&["defaults"]);
static ENTITY_KEYS: Keys = Keys::of(&[
    key(
        "description",
        Shape::Text,
        "What one row stands for. It becomes the table's comment.",
    ),
    required(
        "columns",
        Shape::Named(NameOf::Column, 1, &COLUMN),
        "The columns, in the order of the table.",
    ),
    key(
        "key",
        Shape::Texts(1),
        "The columns that identify a row within a batch. They must be `nullable: false`.",
    ),
    key(
        "parent",
        Shape::Any(&[Shape::Text, Shape::Options(&PARENT_KEYS)]),
        "The entity that a row belongs to, joined by that entity's key or by the columns that are named.",
    ),
    key(
        "indexes",
        Shape::List(0, &INDEX),
        "Further indexes, each a list of columns.",
    ),
    key(
        "latest",
        latest::SHAPE,
        "A view that shows of each key only the row of the newest batch.",
    ),
    key(
        "deletions",
        Shape::Text,
        "The name of a table with the keys that are deleted, which `deletes` of the sources fills.",
    ),
    key("checks", checks::SHAPE, "Rules for the rows of every source."),
]);
static COLUMN: Shape = Shape::Any(&[PG_TYPE, Shape::Options(&COLUMN_KEYS)]);
static COLUMN_KEYS: Keys = Keys::of(&[
    required("type", PG_TYPE, "A type of PostgreSQL."),
    key("nullable", Shape::Flag(true), "Whether the column may be null."),
    key(
        "description",
        Shape::Text,
        "What the column holds. It becomes the column's comment.",
    ),
])
.later(&["checks", "phi", "mask", "domain"]);
static PARENT_KEYS: Keys = Keys::of(&[
    required("entity", Shape::Text, "The parent entity."),
    key(
        "columns",
        Shape::Texts(1),
        "The columns to join by. They have the same names in both entities.",
    ),
    key(
        "scope",
        Shape::Choice(|| names(&checks::SCOPES)),
        "Whether a row in another batch of the source stands in for a refused one.",
    ),
]);
static INDEX: Shape = Shape::Any(&[Shape::Texts(1), Shape::Options(&INDEX_KEYS)]);
static INDEX_KEYS: Keys = Keys::of(&[required(
    "columns",
    Shape::Texts(1),
    "The columns of the index, in order.",
)]);

/// What `pipeline.yaml` declares.
#[derive(Default)]
pub(super) struct Contract {
    /// Parents come before their children.
    pub entities: Vec<Entity>,
    /// The names of all declared entities, even of those with problems.
    pub names: Vec<String>,
    /// The privacy rules for what the reader role may see.
    pub profile: Profile,
    pub exposed: Vec<ExposedDraft>,
    pub gate: Option<Gate>,
    pub checks: Vec<CheckDraft>,
    pub latest: Vec<LatestDraft>,
    /// The file's text.
    pub text: String,
}

/// Reads the file's tree. If there are problems, the result may contain placeholders.
pub(super) fn read(ctx: &mut Context<'_>, root: &Node) -> Contract {
    let example = "entities: {patients: {columns: {patient_id: text}}}";
    if matches!(root.value, Value::Null) {
        ctx.problem(
            Span::START,
            "pipeline.yaml declares nothing",
            format!("declare the entities: {example}"),
        );
        return Contract::default();
    }
    let Some(project) = Mapping::of_options(ctx, "pipeline.yaml", Span::START, root, &PROJECT_KEYS) else {
        return Contract::default();
    };
    project.text(ctx, "name");
    project.text(ctx, "description");
    let (privacy, profile) = gate::profile(ctx, &project);
    let exposed = project
        .get("expose")
        .map_or_else(Vec::new, |entry| exposed::read(ctx, entry));
    let Some(entry) = project.required(ctx, "entities", example) else {
        return Contract::default();
    };
    let Some(entities) = Mapping::of_names(ctx, "`entities`", entry.key.span, &entry.value) else {
        return Contract::default();
    };
    let mut found = Found::default();
    let drafts = entities.entries().iter().map(|entry| entity(ctx, entry, &mut found));
    let drafts: Vec<Draft> = drafts.collect();
    if drafts.is_empty() {
        ctx.problem(
            entry.key.span,
            "`entities` declares no entity",
            format!("declare one: {example}"),
        );
    }
    let mut names: Vec<String> = drafts.iter().map(|draft| draft.entity.name.clone()).collect();
    let mut entities = relations::check(ctx, drafts);
    deletions::add_tables(ctx, found.tables, &mut entities);
    let tables = entities.iter().filter(|entity| entity.deletes_from.is_some());
    names.extend(tables.map(|table| table.name.clone()));
    Contract {
        gate: gate::read(ctx, &privacy, &entities),
        entities,
        names,
        profile,
        exposed,
        checks: found.checks,
        latest: found.latest,
        text: ctx.document.text.clone(),
    }
}

/// What is looked up after all entities are read.
#[derive(Default)]
struct Found {
    checks: Vec<CheckDraft>,
    latest: Vec<LatestDraft>,
    tables: Vec<TableDraft>,
}

fn entity(ctx: &mut Context<'_>, entry: &Entry, found: &mut Found) -> Draft {
    let name = entry.key.text.clone();
    bad_name(
        ctx,
        entry.key.span,
        names::check_identifier("the name of an entity", &name, names::MAX_ENTITY),
    );
    let mut draft = Draft::new(Entity::named(name.clone(), ctx.location(entry.key.span)));
    let what = format!("the entity `{name}`");
    let Some(options) = Mapping::of_options(ctx, &what, entry.key.span, &entry.value, &ENTITY_KEYS) else {
        return draft;
    };
    draft.entity.description = options.text(ctx, "description").map(|text| text.value);
    if let Some(columns) = options.required(ctx, "columns", "columns: {patient_id: text}") {
        read_columns(ctx, columns, &mut draft);
    }
    if let Some(key) = options.get("key") {
        draft.key = named(entry_texts(ctx, key));
        if matches!(&key.value.value, Value::List(list) if list.is_empty()) {
            ctx.problem(
                key.key.span,
                "`key` names no column",
                "name the columns, or leave `key` out".to_owned(),
            );
        }
    }
    draft.parent = options.get("parent").and_then(|entry| read_parent(ctx, entry));
    if let Some(indexes) = options.get("indexes") {
        read_indexes(ctx, indexes, &mut draft);
    }
    if let Some(entry) = options.get("checks") {
        found.checks.extend(checks::read(ctx, &name, entry));
    }
    if let Some(entry) = options.get("latest") {
        found.latest.extend(latest::read(ctx, &name, entry));
    }
    if let Some(entry) = options.get("deletions") {
        found.tables.extend(deletions::read_table(ctx, &name, entry));
    }
    draft
}

fn read_columns(ctx: &mut Context<'_>, entry: &Entry, draft: &mut Draft) {
    let Some(columns) = Mapping::of_names(ctx, "`columns`", entry.key.span, &entry.value) else {
        return;
    };
    for entry in columns.entries() {
        bad_name(ctx, entry.key.span, names::check_column(&entry.key.text));
        let (column, typed) = column(ctx, entry);
        if !typed {
            draft.untyped.insert(column.name.clone());
        }
        draft.entity.columns.push(column);
    }
    if draft.entity.columns.is_empty() {
        ctx.problem(
            entry.key.span,
            "`columns` declares no column",
            "add one: patient_id: text".to_owned(),
        );
    }
}

/// The column, and whether its type is known. If it is not, the column has a placeholder type.
fn column(ctx: &mut Context<'_>, entry: &Entry) -> (Column, bool) {
    let mut column = Column {
        name: entry.key.text.clone(),
        pg_type: PgType::Text,
        nullable: true,
        description: None,
        location: ctx.location(entry.key.span),
    };
    let pg_type = if let Value::Map(_) = entry.value.value {
        let what = format!("the column `{}`", entry.key.text);
        let Some(options) = Mapping::of_options(ctx, &what, entry.key.span, &entry.value, &COLUMN_KEYS) else {
            return (column, false);
        };
        column.nullable = options.flag(ctx, "nullable", true);
        column.description = options.text(ctx, "description").map(|text| text.value);
        options
            .required(ctx, "type", "type: text")
            .and_then(|entry| entry_text(ctx, entry))
    } else {
        let what = format!("the type of `{}`", entry.key.text);
        node_text(ctx, &what, entry.place(), &entry.value)
    };
    let Some(pg_type) = pg_type else { return (column, false) };
    match parse_pg_type(&pg_type.value) {
        Ok(known) => {
            column.pg_type = known;
            (column, true)
        }
        Err(bad) => {
            ctx.problem_of(&pg_type, &bad.message, &bad.hint);
            (column, false)
        }
    }
}

/// Reads `parent: patients` or `parent: {entity: patients, columns: [patient_id]}`.
fn read_parent(ctx: &mut Context<'_>, entry: &Entry) -> Option<ParentDraft> {
    if !matches!(entry.value.value, Value::Map(_)) {
        let entity = entry_text(ctx, entry)?;
        return Some(ParentDraft {
            entity: entity.into(),
            columns: None,
            scope: Scope::default(),
        });
    }
    let options = Mapping::of_options(ctx, "`parent`", entry.key.span, &entry.value, &PARENT_KEYS)?;
    let entity = options.required(ctx, "entity", "entity: patients")?;
    let entity = entry_text(ctx, entity)?;
    let columns = options.get("columns").map(|columns| {
        let texts = named(entry_texts(ctx, columns));
        if matches!(&columns.value.value, Value::List(list) if list.is_empty()) {
            let hint = "name them, or leave `columns` out for the parent's key".to_owned();
            ctx.problem(columns.key.span, "`columns` names no column", hint);
        }
        texts
    });
    Some(ParentDraft {
        entity: entity.into(),
        columns,
        scope: options.choice(ctx, "scope", &checks::SCOPES),
    })
}

/// Reads `indexes: [[a], [a, b], {columns: [c]}]`.
fn read_indexes(ctx: &mut Context<'_>, entry: &Entry, draft: &mut Draft) {
    let Value::List(list) = &entry.value.value else {
        let message = format!("`indexes` must be a list, not {}", entry.value.value.kind());
        ctx.problem(
            entry.place(),
            message,
            "write a list of column lists: [[name]]".to_owned(),
        );
        return;
    };
    for node in list {
        let (columns, at, given) = match &node.value {
            Value::List(_) => (list_texts(ctx, "an index", node.span, node), node.span, node),
            Value::Map(_) => {
                let Some(options) = Mapping::of_options(ctx, "the index", node.span, node, &INDEX_KEYS) else {
                    continue;
                };
                let Some(columns) = options.required(ctx, "columns", "columns: [name]") else {
                    continue;
                };
                (entry_texts(ctx, columns), columns.key.span, &columns.value)
            }
            value => {
                let message = format!("an index must be a list of columns, not {}", value.kind());
                let hint = match value {
                    Value::Text(name) => format!("write it in brackets of its own: [[{name}]]"),
                    _ => "write it in brackets of its own: [[name]]".to_owned(),
                };
                ctx.problem(node.span, message, hint);
                continue;
            }
        };
        if columns.is_empty() {
            if matches!(&given.value, Value::List(list) if list.is_empty()) {
                ctx.problem(
                    at,
                    "an index names no column",
                    "name its columns, or take it out".to_owned(),
                );
            }
            continue;
        }
        let columns = named(columns);
        let index = Index {
            columns: columns.iter().map(|column| column.name.clone()).collect(),
        };
        if draft.indexes.iter().any(|(_, other)| *other == index) {
            let message = format!("the index on ({}) is given twice", index.columns.join(", "));
            ctx.problem(node.span, message, "keep one of them".to_owned());
        }
        draft.indexes.push((columns, index));
    }
}

fn named(texts: Vec<Text<'_>>) -> Vec<Named> {
    texts.into_iter().map(Named::from).collect()
}

fn bad_name(ctx: &mut Context<'_>, span: Span, checked: Result<(), BadName>) {
    if let Err(bad) = checked {
        ctx.problem(span, bad.message, bad.hint);
    }
}
