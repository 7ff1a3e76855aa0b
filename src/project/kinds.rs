//! Reads what a source says of its records: the schema and what belongs to it, once for all of them, or under `kinds`
//! once for each kind.

use super::checks::{self, CheckDraft};
use super::deletions::{self, SelectDraft};
use super::keys::{KeySpec, Keys, NameOf, Shape, key, names as names_of, required};
use super::mapping::{Context, Mapping, entry_texts, node_scalar};
use super::names::{self, MAX_IDENTIFIER};
use super::yaml::{Entry, Node, Span, Value};
use super::{conserve, field_keys, schema};
use crate::model::wording::all_of;
use crate::model::{
    Condition, Conserved, Format, Input, InputPath, Kind, OnUnknownField, OnUnknownKind, RECORD_COLUMN, SOURCE_TABLE,
    Tolerance, did_you_mean, overlap,
};

/// The value of `kinds`.
pub(super) const SHAPE: Shape = Shape::Sharing {
    each: &Shape::Options(&KIND_KEYS),
    over: &OVER,
};
/// The kinds of a file that sources `use`.
pub(super) static SHARED: Shape = Shape::Over(&OVER);
/// The value of `on_unknown_kind`.
pub(super) const ON_UNKNOWN: Shape = Shape::Choice(|| names_of(&UNKNOWN_KINDS));
/// `subject` of a source, and of a kind.
pub(super) const SUBJECT: KeySpec = key(
    "subject",
    Shape::Text,
    "The field that says which person a record is about. The mask `date_shift` needs it.",
);
/// `on_unknown_field` of a source, and of a kind.
pub(super) const ON_UNKNOWN_FIELD: KeySpec = key(
    "on_unknown_field",
    Shape::Choice(|| names_of(&UNKNOWN_FIELDS)),
    "What happens when a record has a field that the schema does not declare. The field is never stored.",
);
/// `allow_constant_masks` of a source, and of a kind.
pub(super) const ALLOW_CONSTANT_MASKS: KeySpec = key(
    "allow_constant_masks",
    Shape::Texts(0),
    "Paths of fields whose mask gives every record the same value, and that the SQL may join or group by \
     nevertheless.",
);
/// `checks` of a source, and of a kind.
pub(super) const CHECKS: KeySpec = key(
    "checks",
    Shape::Named(NameOf::Entity, 0, &checks::SHAPE),
    "Rules for the rows of this source, by entity.",
);
/// `conserves` of a source, and of a kind.
pub(super) const CONSERVES: KeySpec = key(
    "conserves",
    conserve::SHAPE,
    "The list elements for which an entity must have exactly one row each.",
);
/// `deletes` of a source, and of a kind.
pub(super) const DELETES: KeySpec = key(
    "deletes",
    deletions::SHAPE,
    "Which rows of older batches the records say are gone: for each entity a SELECT of its key.",
);

/// A kind that is laid over a shared one may leave out what it does not change.
static OVER: Shape = Shape::Options(&OVER_KEYS);
static OVER_KEYS: Keys = Keys::like(
    &KIND_KEYS,
    &[key(
        "schema",
        field_keys::SHARED,
        "The fields of a record of this kind.",
    )],
);
static KIND_KEYS: Keys = Keys::of(&[
    key(
        "where",
        Shape::Named(NameOf::Other, 1, &Shape::Any(&[Shape::Scalar, Shape::Scalars(1)])),
        "Which records are of this kind: the paths of fields, each with its value or with several.",
    ),
    required("schema", field_keys::SHAPE, "The fields of a record of this kind."),
    SUBJECT,
    ON_UNKNOWN_FIELD,
    CHECKS,
    CONSERVES,
    DELETES,
    ALLOW_CONSTANT_MASKS,
    key(
        "max_quarantined",
        Shape::Share,
        "How many records of this kind may be refused.",
    ),
]);

/// Names that no kind may have, each with the reason.
const NOT_A_KIND: [(&str, &str); 2] = [
    (SOURCE_TABLE, "it is the table of a source without kinds"),
    (RECORD_COLUMN, "the engine has a column of that name"),
];

/// Keys of a source without kinds that belong to each kind where there are some.
const OF_EACH: [&str; 5] = ["schema", "subject", "conserves", "deletes", "allow_constant_masks"];

const UNKNOWN_FIELDS: [(&str, OnUnknownField); 3] = [
    ("warn", OnUnknownField::Warn),
    ("ignore", OnUnknownField::Ignore),
    ("fail", OnUnknownField::Fail),
];
const UNKNOWN_KINDS: [(&str, OnUnknownKind); 3] = [
    ("warn", OnUnknownKind::Warn),
    ("ignore", OnUnknownKind::Ignore),
    ("fail", OnUnknownKind::Fail),
];

/// The kinds of a source, and what they add to the source.
pub(super) struct Draft {
    pub kinds: Vec<Kind>,
    pub on_unknown_kind: OnUnknownKind,
    pub checks: Vec<CheckDraft>,
    pub conserves: Vec<Conserved>,
    pub deletes: Vec<SelectDraft>,
    pub allow_constant_masks: Vec<String>,
}

/// Reads the kinds of a source, or the one to which all its records belong.
pub(super) fn read(ctx: &mut Context<'_>, options: &Mapping<'_>, source: &str, at: Span, input: &Input) -> Draft {
    let mut reader = Reader {
        source,
        input,
        on_unknown_field: OnUnknownField::Warn,
        draft: Draft {
            kinds: Vec::new(),
            on_unknown_kind: options.choice(ctx, "on_unknown_kind", &UNKNOWN_KINDS),
            checks: Vec::new(),
            conserves: Vec::new(),
            deletes: Vec::new(),
            allow_constant_masks: Vec::new(),
        },
    };
    if let Some(entry) = options.get("kinds") {
        reader.on_unknown_field = options.choice(ctx, "on_unknown_field", &UNKNOWN_FIELDS);
        reader.kinds(ctx, options, entry);
        reader.check_paths(ctx);
    } else {
        if let Some(entry) = options.get("on_unknown_kind") {
            let hint = "declare `kinds`, or take it out".to_owned();
            ctx.problem(entry.key.span, "`on_unknown_kind` goes with `kinds`", hint);
        }
        reader.kind(ctx, options, SOURCE_TABLE, at);
        for path in input.paths.iter().filter(|path| path.kind.is_some()) {
            let message = "a path has a `kind`, and the source has no kinds";
            ctx.problem_at(&path.location, message, "declare `kinds`, or take it out");
        }
    }
    check_pairs(ctx, &reader.draft.kinds);
    reader.draft
}

struct Reader<'a> {
    source: &'a str,
    input: &'a Input,
    on_unknown_field: OnUnknownField,
    draft: Draft,
}

impl Reader<'_> {
    fn kinds(&mut self, ctx: &mut Context<'_>, options: &Mapping<'_>, entry: &Entry) {
        for key in OF_EACH {
            if let Some(beside) = options.get(key) {
                let message = format!("`{key}` stands beside `kinds`");
                let hint = format!("`{key}` belongs to each kind: write it inside of them");
                ctx.problem(beside.key.span, message, hint);
            }
        }
        let Some(named) = Mapping::of_names(ctx, "`kinds`", entry.key.span, &entry.value) else {
            return;
        };
        if named.entries().is_empty() {
            let hint = "name one: patient: {where: {type: Patient}, schema: {id: string}}".to_owned();
            ctx.problem(entry.key.span, "`kinds` names no kind", hint);
        }
        for entry in named.entries() {
            let (name, span) = (&entry.key.text, entry.key.span);
            check_name(ctx, name, span);
            let what = format!("the kind `{name}`");
            let Some(own) = Mapping::of_options(ctx, &what, span, &entry.value, &KIND_KEYS) else {
                continue;
            };
            self.kind(ctx, &own, name, span);
        }
    }

    /// Reads one kind from the keys beside its schema.
    fn kind(&mut self, ctx: &mut Context<'_>, options: &Mapping<'_>, name: &str, at: Span) {
        let is_only = name == SOURCE_TABLE;
        let index = self.draft.kinds.len();
        let flat = (self.input.format == Format::Csv).then_some("csv");
        let schema = options.required(ctx, "schema", "schema: {patient_id: string}");
        let schema = schema.map(|entry| schema::read(ctx, entry, flat)).unwrap_or_default();
        let subject = options.text(ctx, "subject").map(|text| text.value);
        let on_unknown_field = match options.get("on_unknown_field") {
            None => self.on_unknown_field,
            Some(_) => options.choice(ctx, "on_unknown_field", &UNKNOWN_FIELDS),
        };
        let mut kind = Kind {
            name: name.to_owned(),
            label: self.source.to_owned(),
            conditions: Vec::new(),
            schema,
            subject,
            on_unknown_field,
            max_quarantined: None,
            location: ctx.location(at),
        };
        if !is_only {
            kind.label = format!("{}.{name}", self.source);
            kind.max_quarantined = options.get("max_quarantined").and_then(|entry| limit(ctx, entry));
            kind.conditions = self.conditions(ctx, options, &kind, at);
            if let Some(entry) = options.get("checks") {
                self.draft.checks.extend(checks::read_of_source(ctx, entry));
            }
        }
        if let Some(entry) = options.get("conserves") {
            let conserves = conserve::read(ctx, entry, &kind.schema, index);
            for one in &conserves {
                if self.draft.conserves.iter().any(|known| known.entity == one.entity) {
                    let message = format!("two kinds say what `{}` conserves", one.entity);
                    let hint =
                        "keep one: the rows of an entity are counted against the elements of one kind".to_owned();
                    ctx.problem(entry.key.span, message, hint);
                }
            }
            self.draft.conserves.extend(conserves);
        }
        if let Some(entry) = options.get("deletes") {
            self.draft.deletes.extend(deletions::read_selects(ctx, entry));
        }
        if let Some(entry) = options.get("allow_constant_masks") {
            let dot = if is_only { "" } else { "." };
            let paths = entry_texts(ctx, entry).into_iter();
            let paths = paths.map(|path| format!("{}{dot}{}", kind.prefix(), path.value));
            self.draft.allow_constant_masks.extend(paths);
        }
        self.draft.kinds.push(kind);
    }

    /// Reads `where: {resourceType: Patient, "meta.source": [a, b]}`.
    fn conditions(&self, ctx: &mut Context<'_>, options: &Mapping<'_>, kind: &Kind, at: Span) -> Vec<Condition> {
        let Some(entry) = options.get("where") else {
            let by_path = |path: &InputPath| path.kind.as_ref() == Some(&kind.name);
            if self.input.paths.iter().any(by_path) {
                return Vec::new();
            }
            let message = format!("nothing says which records are of the kind `{}`", kind.name);
            let hint = "add `where: {type: Patient}`, or name the kind of a path: {path: in/a.json, kind: ...}";
            ctx.problem(at, message, hint.to_owned());
            return Vec::new();
        };
        let Some(fields) = Mapping::of_names(ctx, "`where`", entry.key.span, &entry.value) else {
            return Vec::new();
        };
        if fields.entries().is_empty() {
            let hint = "name a field and its value: {type: Patient}".to_owned();
            ctx.problem(entry.key.span, "`where` holds no condition", hint);
        }
        let mut conditions = Vec::new();
        for entry in fields.entries() {
            let path: Vec<String> = entry.key.text.split('.').map(str::to_owned).collect();
            if path.iter().any(|name| name.is_empty() || name.contains(['[', ']'])) {
                let message = format!("`{}` is no path to one value of a record", entry.key.text);
                let hint = "write the names of structs and of the field: meta.source".to_owned();
                ctx.problem(entry.key.span, message, hint);
            } else {
                self.check_column(ctx, kind, entry);
            }
            conditions.push(Condition {
                path,
                values: values(ctx, entry),
            });
        }
        conditions
    }

    /// Checks that each path names a kind that there is.
    fn check_paths(&self, ctx: &mut Context<'_>) {
        let names: Vec<&str> = self.draft.kinds.iter().map(|kind| kind.name.as_str()).collect();
        for path in &self.input.paths {
            match &path.kind {
                Some(kind) if !names.contains(&kind.as_str()) => {
                    let hint = did_you_mean(kind, names.iter().copied())
                        .unwrap_or_else(|| format!("the kinds are {}", all_of(&names)));
                    ctx.problem_at(&path.location, format!("the source declares no kind `{kind}`"), &hint);
                }
                None if self.draft.kinds.iter().all(|kind| kind.conditions.is_empty()) && !names.is_empty() => {
                    let hint = "name it: {path: ..., kind: ...}";
                    ctx.problem_at(
                        &path.location,
                        "nothing says of which kind the records of this path are",
                        hint,
                    );
                }
                _ => {}
            }
        }
    }

    /// Checks that a csv file can have the column.
    fn check_column(&self, ctx: &mut Context<'_>, kind: &Kind, entry: &Entry) {
        let name = &entry.key.text;
        if self.input.format != Format::Csv {
            return;
        }
        if name.contains('.') {
            let message = format!("`{name}` can't be a column: csv has flat records");
            ctx.problem(entry.key.span, message, "name a column".to_owned());
        } else if !self.input.csv.header && !kind.schema.iter().any(|field| field.name == *name) {
            let message = format!("the kind `{}` does not declare `{name}`", kind.name);
            let hint = "declare it in its place: without a header, columns are found by their order".to_owned();
            ctx.problem(entry.key.span, message, hint);
        }
    }
}

fn limit(ctx: &mut Context<'_>, entry: &Entry) -> Option<Tolerance> {
    if let Value::Map(_) = entry.value.value {
        let hint = "write one limit for its records; limits of entities stand in `max_quarantined` of the source";
        ctx.problem(
            entry.key.span,
            "`max_quarantined` of a kind is one limit",
            hint.to_owned(),
        );
        return None;
    }
    checks::tolerance(ctx, entry)
}

fn check_name(ctx: &mut Context<'_>, name: &str, span: Span) {
    if let Err(bad) = names::check_identifier("the name of a kind", name, MAX_IDENTIFIER) {
        ctx.problem(span, bad.message, bad.hint);
    } else if let Some((_, why)) = NOT_A_KIND.iter().find(|(taken, _)| *taken == name) {
        let message = format!("a kind can't be called `{name}`: {why}");
        ctx.problem(span, message, "choose another name".to_owned());
    }
}

/// The literals of a condition: one, or a list of them.
fn values(ctx: &mut Context<'_>, entry: &Entry) -> Vec<String> {
    let one = std::slice::from_ref(&entry.value);
    let nodes: &[Node] = match &entry.value.value {
        Value::List(nodes) if !nodes.is_empty() => nodes,
        Value::List(_) => {
            ctx.problem(
                entry.key.span,
                "the list holds no value",
                "write one: [Patient]".to_owned(),
            );
            &[]
        }
        _ => one,
    };
    let read = nodes.iter().filter_map(|node| node_scalar(ctx, entry.place(), node));
    read.collect()
}

/// Reports two kinds to which one record belongs for certain.
fn check_pairs(ctx: &mut Context<'_>, kinds: &[Kind]) {
    let with_conditions = |kind: &&Kind| !kind.conditions.is_empty();
    let kinds: Vec<&Kind> = kinds.iter().filter(with_conditions).collect();
    for (at, kind) in kinds.iter().enumerate() {
        let before = kinds[..at].iter().find(|other| overlap(kind, other) == Some(true));
        let Some(other) = before else { continue };
        let message = format!("a record can be of both kinds, `{}` and `{}`", other.name, kind.name);
        let hint = "let the two ask one field for different values, so that each record is of one kind";
        ctx.problem_at(&kind.location, message, hint);
    }
}
