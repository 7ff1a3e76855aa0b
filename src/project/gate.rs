//! Reads the mapping form of `privacy` in `pipeline.yaml`: the profile, and how many persons must share each combination
//! of quasi-identifiers.

use super::keys::{Group, Keys, Shape, key, names};
use super::mapping::{Context, Mapping, entry_text, entry_texts, node_scalar};
use super::yaml::{Entry, Value};
use crate::model::{Column, Entity, Gate, OnRare, Profile, Rule, did_you_mean};

/// The value of `privacy`.
pub(super) const SHAPE: Shape = Shape::Any(&[Shape::Choice(|| names(&PROFILES)), Shape::Options(&KEYS)]);

static KEYS: Keys = Keys::of(&[
    key("profile", Shape::Choice(|| names(&PROFILES)), "The privacy profile."),
    key(
        "k",
        Shape::Whole(2),
        "How many persons must have the same values in the columns of `quasi`, at least.",
    ),
    key(
        "quasi",
        Shape::Texts(1),
        "The columns that can single a person out together.",
    ),
    key("over", Shape::Text, "The entity that holds persons, with its key."),
    key(
        "severity",
        Shape::Choice(|| names(&SEVERITIES)),
        "What happens to a batch that falls below `k`: it fails, is loaded with a warning, or is loaded without the \
         quasi-identifiers of the rare rows.",
    ),
])
.group(Group::Together {
    all: &["k", "quasi", "over"],
    with: &["severity"],
});
const PROFILES: [(&str, Profile); 3] = [
    ("custom", Profile::Custom),
    ("pseudonymised", Profile::Pseudonymised),
    ("safe_harbor", Profile::SafeHarbor),
];
const SEVERITIES: [(&str, OnRare); 3] = [
    ("fail", OnRare::Fail),
    ("warn", OnRare::Warn),
    ("suppress", OnRare::Suppress),
];
const EXAMPLE: &str = "privacy: {k: 5, quasi: [zip3, birth_year, sex], over: patients}";

/// The value of `privacy`.
pub(super) enum Privacy<'n> {
    /// The name of a profile, or nothing.
    Name,
    Mapping(Mapping<'n>),
}

/// Reads the profile, wherever it stands.
pub(super) fn profile<'n>(ctx: &mut Context<'_>, project: &Mapping<'n>) -> (Privacy<'n>, Profile) {
    let entry = project
        .get("privacy")
        .filter(|entry| matches!(entry.value.value, Value::Map(_)));
    let mapping = entry.and_then(|entry| Mapping::of_options(ctx, "`privacy`", entry.key.span, &entry.value, &KEYS));
    match mapping {
        Some(mapping) => {
            let profile = mapping.choice(ctx, "profile", &PROFILES);
            (Privacy::Mapping(mapping), profile)
        }
        None if entry.is_some() => (Privacy::Name, Profile::Custom),
        None => (Privacy::Name, project.choice(ctx, "privacy", &PROFILES)),
    }
}

/// Reads the rest of the mapping, once the entities are known.
pub(super) fn read(ctx: &mut Context<'_>, privacy: &Privacy<'_>, entities: &[Entity]) -> Option<Gate> {
    let Privacy::Mapping(options) = privacy else {
        return None;
    };
    if ["k", "quasi", "over", "severity"]
        .iter()
        .all(|key| options.get(key).is_none())
    {
        return None;
    }
    let k = options.required(ctx, "k", EXAMPLE).and_then(|entry| read_k(ctx, entry));
    let quasi = options.required(ctx, "quasi", EXAMPLE);
    let over = options.required(ctx, "over", EXAMPLE);
    let severity = options.choice(ctx, "severity", &SEVERITIES);
    let entity = over.and_then(|entry| read_entity(ctx, entry, entities))?;
    let quasi = quasi?;
    if severity == OnRare::Suppress {
        refuse_needed(ctx, quasi, entity, entities);
    }
    let quasi = read_columns(ctx, quasi, entity)?;
    Some(Gate {
        k: k?,
        quasi,
        over: entity.name.clone(),
        severity,
        // The sources are read later.
        per_batch: false,
    })
}

fn read_k(ctx: &mut Context<'_>, entry: &Entry) -> Option<u64> {
    let text = node_scalar(ctx, entry.place(), &entry.value)?;
    let k = text.parse().ok().filter(|k| *k >= 2);
    if k.is_none() {
        let hint = "`k: 5` asks for five persons with the same values".to_owned();
        ctx.problem(entry.place(), "`k` must be a whole number from 2 on", hint);
    }
    k
}

fn read_entity<'e>(ctx: &mut Context<'_>, entry: &Entry, entities: &'e [Entity]) -> Option<&'e Entity> {
    let name = entry_text(ctx, entry)?;
    let Some(entity) = entities.iter().find(|entity| entity.name == name.value) else {
        // Where no entity could be read, the problem is another.
        if !entities.is_empty() {
            let known = entities.iter().map(|entity| entity.name.as_str());
            let hint =
                did_you_mean(&name.value, known).unwrap_or_else(|| "name the entity that holds persons".to_owned());
            ctx.problem(name.span, format!("there is no entity `{}`", name.raw), hint);
        }
        return None;
    };
    if entity.key.is_empty() {
        let message = format!("`{}` has no key, which would tell persons apart", entity.name);
        ctx.problem(
            name.span,
            message,
            "declare its `key`, or name the entity that has one".to_owned(),
        );
        return None;
    }
    Some(entity)
}

fn read_columns(ctx: &mut Context<'_>, entry: &Entry, entity: &Entity) -> Option<Vec<String>> {
    let texts = entry_texts(ctx, entry);
    if matches!(&entry.value.value, Value::List(list) if list.is_empty()) {
        ctx.problem(
            entry.key.span,
            "`quasi` names no column",
            format!("name them: {EXAMPLE}"),
        );
        return None;
    }
    let mut columns = Vec::new();
    for text in &texts {
        let known = || entity.columns.iter().map(|column| column.name.as_str());
        if !known().any(|name| name == text.value) {
            let hint = did_you_mean(&text.value, known()).unwrap_or_else(|| "name columns of the entity".to_owned());
            ctx.link_problem(
                text.span,
                format!("`{}` has no column `{}`", entity.name, text.raw),
                hint,
            );
        } else if !columns.contains(&text.value) {
            columns.push(text.value.clone());
        }
    }
    (!columns.is_empty()).then_some(columns)
}

/// Refuses columns that `suppress` can't make null.
fn refuse_needed(ctx: &mut Context<'_>, entry: &Entry, entity: &Entity, entities: &[Entity]) {
    for text in entry_texts(ctx, entry) {
        let Some(column) = entity.columns.iter().find(|column| column.name == text.value) else {
            continue;
        };
        if let Some(why) = needed(column, entity, entities) {
            ctx.problem(
                text.span,
                format!("`severity: suppress` would make `{}` null, but {why}", column.name),
                "allow nulls in it, take it out of `quasi`, or use `severity: fail`".to_owned(),
            );
        }
    }
}

/// Why a column may not be null. `None`: it may.
fn needed(column: &Column, entity: &Entity, entities: &[Entity]) -> Option<String> {
    let name = &column.name;
    if entity.key.contains(name) {
        return Some(format!("it belongs to the key of `{}`", entity.name));
    }
    let not_null = |rule: &Rule| matches!(rule, Rule::NotNull(checked) if checked == name);
    if !column.nullable || entity.checks.iter().any(|check| not_null(&check.rule)) {
        return Some("it may hold no null".to_owned());
    }
    entities.iter().find_map(|child| {
        let parent = child.parent.as_ref()?;
        let ties = (child.name == entity.name || parent.entity == entity.name) && parent.columns.contains(name);
        ties.then(|| format!("it ties rows of `{}` to `{}`", child.name, parent.entity))
    })
}
