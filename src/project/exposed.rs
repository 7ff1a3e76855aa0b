//! Reads `expose` of `pipeline.yaml`: what the reader role may see although it may show the batch's date, each with the
//! reason that a person gives.

use super::keys::{Keys, Shape, required};
use super::mapping::{Context, Mapping, entry_text};
use super::problems::Problems;
use super::yaml::{Entry, Value};
use crate::error::Location;
use crate::model::wording::did_you_mean;
use crate::model::{Exposed, View};

/// The value of `expose`.
pub(super) const SHAPE: Shape = Shape::List(0, &Shape::Options(&KEYS));

static KEYS: Keys = Keys::of(&[
    required(
        "view",
        Shape::Text,
        "A view, a materialized view, a function or an entity; another object as schema.name.",
    ),
    required(
        "reason",
        Shape::Text,
        "Why readers may see it. `pipeline roles` and `pipeline privacy report` show it.",
    ),
]);

/// One element of the list, whose name has not been looked up yet.
pub(super) struct ExposedDraft {
    exposed: Exposed,
    location: Location,
}

/// Reads `expose: [{view: visits_current, reason: text}]`.
pub(super) fn read(ctx: &mut Context<'_>, entry: &Entry) -> Vec<ExposedDraft> {
    let Value::List(nodes) = &entry.value.value else {
        let message = format!("`expose` must be a list, not {}", entry.value.value.kind());
        let hint = "write one per line: - {view: visits_current, reason: \"...\"}".to_owned();
        ctx.problem(entry.place(), message, hint);
        return Vec::new();
    };
    let mut drafts = Vec::new();
    for node in nodes {
        let at = if node.span.length == 0 {
            entry.key.span
        } else {
            node.span
        };
        let Some(options) = Mapping::of_options(ctx, "an element of `expose`", at, node, &KEYS) else {
            continue;
        };
        let view = options.required(ctx, "view", "view: visits_current");
        let reason = options.required(ctx, "reason", "reason: \"why readers may see the batch's date\"");
        let (Some(view), Some(reason)) = (view, reason) else {
            continue;
        };
        let (Some(name), Some(text)) = (entry_text(ctx, view), entry_text(ctx, reason)) else {
            continue;
        };
        if text.value.trim().is_empty() {
            let hint = "say why readers may see it; `pipeline privacy report` shows the reason".to_owned();
            ctx.problem(text.span, "the reason is empty", hint);
        }
        drafts.push(ExposedDraft {
            location: ctx.location(name.span),
            exposed: Exposed {
                name: name.value,
                reason: text.value,
            },
        });
    }
    drafts
}

/// Looks the names up among the entities and the views. A name with a schema is that of an object which the project's
/// files do not make.
pub(super) fn resolve(
    drafts: Vec<ExposedDraft>,
    entities: &[String],
    views: &[View],
    problems: &mut Problems,
) -> Vec<Exposed> {
    let names = || {
        let views = views.iter().map(|view| view.name.as_str());
        entities.iter().map(String::as_str).chain(views)
    };
    let mut found: Vec<Exposed> = Vec::new();
    for ExposedDraft { exposed, location } in drafts {
        if !exposed.name.contains('.') && !names().any(|name| name == exposed.name) {
            let hint = did_you_mean(&exposed.name, names()).unwrap_or_else(|| {
                "name a file of sql/views, sql/materialized or sql/functions, an entity, or another object as \
                 schema.name"
                    .to_owned()
            });
            let message = format!("`expose` names `{}`, and the project has no such view", exposed.name);
            problems.add_link(Some(location), message, Some(hint));
        } else if found.iter().any(|other| other.name == exposed.name) {
            let message = format!("`expose` names `{}` twice", exposed.name);
            problems.add(Some(location), message, Some("keep one of them".to_owned()));
        } else {
            found.push(exposed);
        }
    }
    found
}
