//! Reads `pipelines/<name>.yaml`, one source. After all sources are read, it also checks that their names differ.

use std::path::{Path, PathBuf};

use super::checks::{self, CheckDraft};
use super::deletions::SelectDraft;
use super::keys::{Group, Keys, Shape, key, names as names_of, required};
use super::mapping::{Context, Mapping, Text, entry_text, entry_texts};
use super::names::{self, MAX_IDENTIFIER};
use super::problems::Problems;
use super::tolerance::Limits;
use super::yaml::{Entry, Node, Span, Value};
use super::{field_keys, input, kinds, tolerance};
use crate::error::Location;
use crate::model::{ShiftBy, Source};

/// What an editor knows of `pipelines/<name>.yaml`.
pub(super) static SHAPE: Shape = Shape::Options(&SOURCE_KEYS);

static SOURCE_KEYS: Keys = Keys::of(&[
    required(
        "name",
        Shape::Text,
        "The source's name: that of the file, and the value of the column `source`.",
    ),
    key("aliases", Shape::Texts(0), "Other names for --source."),
    key("description", Shape::Text, "What the source is, for people."),
    required("input", input::SHAPE, "Where the records come from."),
    key(
        "schema",
        field_keys::SHAPE,
        "The fields of a record, by name. Each is a type, or a mapping with one of type, list, one_or_many \
         and struct.",
    ),
    kinds::SUBJECT,
    key(
        "kinds",
        kinds::SHAPE,
        "The kinds of records, by name, in place of `schema`. The SQL reads each as a table of that name.",
    ),
    key(
        "on_unknown_kind",
        kinds::ON_UNKNOWN,
        "What happens when a record is of no declared kind.",
    ),
    key(
        "shift_by",
        Shape::Choice(|| names_of(&SHIFTS)),
        "Whether `date_shift` moves the dates of a subject by days or by whole weeks.",
    ),
    kinds::ON_UNKNOWN_FIELD,
    key(
        "transforms",
        Shape::Text,
        "The folder of the source's SQL, with one file per entity. sql/<name> is the default.",
    ),
    kinds::CHECKS,
    kinds::CONSERVES,
    kinds::DELETES,
    kinds::ALLOW_CONSTANT_MASKS,
    key(
        "max_quarantined",
        tolerance::SHAPE,
        "How much may be refused before the batch fails: a share, a number, or limits for single entities. 1% \
         is the default.",
    ),
])
.group(Group::One(&["schema", "kinds"]));
const SHIFTS: [(&str, ShiftBy); 2] = [("days", ShiftBy::Days), ("weeks", ShiftBy::Weeks)];
/// Folders below `sql/` that can't be the folder of a source.
const TAKEN: [&str; 4] = ["views", "materialized", "functions", "checks"];

/// A source whose SQL files have not been read yet.
pub(super) struct SourceDraft {
    pub source: Source,
    /// The folder of its transforms, relative to the root, and the place in the file that names it. `None` if the
    /// source's name is invalid, because then the folder is not known.
    pub transforms: Option<(PathBuf, Location)>,
    pub checks: Vec<CheckDraft>,
    /// What its records say is deleted.
    pub deletes: Vec<SelectDraft>,
    /// The name and each alias, with its place in the file.
    pub names: Vec<(String, Location)>,
}

/// Reads the file's tree. If there are problems, the result may contain placeholders.
pub(super) fn read(ctx: &mut Context<'_>, root: &Node) -> Option<SourceDraft> {
    let stem = ctx.document.path.file_stem().and_then(|stem| stem.to_str());
    let stem = stem.unwrap_or_default().to_owned();
    if matches!(root.value, Value::Null) {
        let hint = "declare the source: name, input, schema";
        ctx.problem(Span::START, "the file declares nothing", hint.to_owned());
        return None;
    }
    let options = Mapping::of_options(ctx, "the source", Span::START, root, &SOURCE_KEYS)?;
    let name_entry = options.required(ctx, "name", &format!("name: {stem}"));
    let name = name_entry.and_then(|entry| entry_text(ctx, entry));
    let named_well = name.as_ref().is_none_or(|name| check_name(ctx, name, &stem));
    let place = name_entry.map_or(Span::START, Entry::place);
    let aliases = read_aliases(ctx, &options, name.as_ref());
    let description = options.text(ctx, "description").map(|text| text.value);
    let input = options.required(ctx, "input", "input: {path: \"data/{date:%Y%m%d}/visits.json\"}");
    let input = match input {
        Some(entry) => ctx.with_variables(|ctx| input::read(ctx, entry)),
        None => input::stand_in(ctx.location(place)),
    };
    let shift_by = options.choice(ctx, "shift_by", &SHIFTS);
    let limits = options.get("max_quarantined");
    let limits = limits.map_or_else(Limits::default, |entry| tolerance::read(ctx, entry));
    let checks = options.get("checks");
    let mut checks = checks.map_or_else(Vec::new, |entry| checks::read_of_source(ctx, entry));

    let name = name.map_or(stem, |text| text.value);
    let kinds = kinds::read(ctx, &options, &name, place, &input);
    checks.extend(kinds.checks);
    let transforms = match options.get("transforms") {
        Some(entry) => ctx
            .with_variables(|ctx| entry_text(ctx, entry))
            .map(|text| (PathBuf::from(text.value), ctx.location(text.span))),
        None => named_well.then(|| (Path::new("sql").join(&name), ctx.location(place))),
    };
    let location = ctx.location(place);
    let mut names = vec![(name.clone(), location.clone())];
    names.extend(
        aliases
            .iter()
            .map(|alias| (alias.value.clone(), ctx.location(alias.span))),
    );
    let source = Source {
        name,
        aliases: aliases.into_iter().map(|alias| alias.value).collect(),
        description,
        input,
        kinds: kinds.kinds,
        on_unknown_kind: kinds.on_unknown_kind,
        shift_by,
        transforms: Vec::new(),
        max_quarantined: limits.records,
        max_quarantined_of: limits.entities,
        checks: Vec::new(),
        conserves: kinds.conserves,
        allow_constant_masks: kinds.allow_constant_masks,
        location,
        text: ctx.document.whole_text(),
    };
    Some(SourceDraft {
        source,
        transforms,
        checks,
        deletes: kinds.deletes,
        names,
    })
}

/// Whether the name is valid.
fn check_name(ctx: &mut Context<'_>, text: &Text<'_>, stem: &str) -> bool {
    if let Err(bad) = names::check_identifier("the name of a source", &text.value, MAX_IDENTIFIER) {
        ctx.problem_of(text, &bad.message, &bad.hint);
    } else if TAKEN.contains(&text.value.as_str()) {
        let message = format!("a source can't be called `{}`", text.raw);
        ctx.problem(
            text.span,
            message,
            format!("sql/{} has a meaning of its own: choose another", text.raw),
        );
    } else if text.value != stem {
        let message = format!("the source `{}` lies in a file of another name", text.raw);
        let hint = format!("call the file pipelines/{}.yaml, or the source `{stem}`", text.raw);
        ctx.problem(text.span, message, hint);
    } else {
        return true;
    }
    false
}

fn read_aliases<'n>(ctx: &mut Context<'_>, options: &Mapping<'n>, name: Option<&Text<'_>>) -> Vec<Text<'n>> {
    let Some(entry) = options.get("aliases") else {
        return Vec::new();
    };
    let aliases = entry_texts(ctx, entry);
    for (position, alias) in aliases.iter().enumerate() {
        if name.is_some_and(|name| name.value == alias.value) {
            let hint = "a source is found by its name anyway: take it out".to_owned();
            ctx.problem(
                alias.span,
                format!("the alias `{}` is the source's name", alias.raw),
                hint,
            );
        } else if aliases[..position].iter().any(|other| other.value == alias.value) {
            ctx.problem(
                alias.span,
                format!("the alias `{}` is given twice", alias.raw),
                "keep one".to_owned(),
            );
        }
        if let Err(bad) = names::check_identifier("an alias", &alias.value, MAX_IDENTIFIER) {
            ctx.problem_of(alias, &bad.message, &bad.hint);
        }
    }
    aliases
}

/// Checks that no name or alias belongs to two sources. The problem names both places.
pub(super) fn check_names(drafts: &[SourceDraft], problems: &mut Problems) {
    for (position, draft) in drafts.iter().enumerate() {
        for (name, location) in &draft.names {
            let first = drafts[..position].iter().find_map(|other| {
                other
                    .names
                    .iter()
                    .find(|(taken, _)| taken == name)
                    .map(|(_, place)| (other, place))
            });
            if let Some((other, place)) = first {
                let message = format!("`{name}` stands for two sources");
                let hint = format!(
                    "{}:{}:{} gives it to `{}` already: choose another here or there",
                    place.file.display(),
                    place.line,
                    place.column,
                    other.source.name
                );
                problems.add(Some(location.clone()), message, Some(hint));
            }
        }
    }
}
