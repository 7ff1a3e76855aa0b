//! Reads `max_quarantined:` of a source: one limit for everything, or limits for single entities beside it.

use super::checks;
use super::keys::{Keys, NameOf, Shape, key};
use super::mapping::{Context, Mapping};
use super::yaml::{Entry, Value};
use crate::model::{EntityTolerance, Tolerance};

/// The value of `max_quarantined`.
pub(super) const SHAPE: Shape = Shape::Any(&[Shape::Share, Shape::Options(&KEYS)]);

static KEYS: Keys = Keys::of(&[
    key(
        "records",
        Shape::Share,
        "The limit of the records, of the files, and of each entity that is not named.",
    ),
    key(
        "entities",
        Shape::Named(NameOf::Entity, 0, &Shape::Share),
        "The limits of single entities.",
    ),
]);

/// The limits of a source. That of the records holds for each entity without one of its own.
#[derive(Default)]
pub(super) struct Limits {
    pub records: Tolerance,
    pub entities: Vec<EntityTolerance>,
}

/// Reads `max_quarantined: 1%`, or `max_quarantined: {records: 1%, entities: {visits: 5%}}`.
pub(super) fn read(ctx: &mut Context<'_>, entry: &Entry) -> Limits {
    let Value::Map(_) = entry.value.value else {
        return Limits {
            records: checks::tolerance(ctx, entry).unwrap_or_default(),
            ..Limits::default()
        };
    };
    let Some(options) = Mapping::of_options(ctx, "`max_quarantined`", entry.key.span, &entry.value, &KEYS) else {
        return Limits::default();
    };
    let records = options.get("records").and_then(|entry| checks::tolerance(ctx, entry));
    let of_entities = options.get("entities");
    let named = of_entities.and_then(|entry| Mapping::of_names(ctx, "`entities`", entry.key.span, &entry.value));
    let mut entities = Vec::new();
    for entry in named.iter().flat_map(Mapping::entries) {
        if let Some(most) = checks::tolerance(ctx, entry) {
            entities.push(EntityTolerance {
                entity: entry.key.text.clone(),
                most,
                location: ctx.location(entry.key.span),
            });
        }
    }
    Limits {
        records: records.unwrap_or_default(),
        entities,
    }
}
