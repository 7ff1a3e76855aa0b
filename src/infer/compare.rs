//! Compares the declared fields of a source with what a newer sample holds, and edits the text of the schema.

use super::declare::{self, Declaring, keys_are_data, met};
use super::edit::{Edits, Entry, Value};
use super::fit::{Fit, fit};
use super::overlay::{Over, Overlays, uses};
use super::render;
use super::shape::{Member, Objects, Shape};
use crate::model::wording::path_step;
use crate::model::{Field, FieldType};

/// What a newer sample changes of a schema.
#[derive(Debug)]
pub struct Change {
    pub kind: ChangeKind,
    /// The path of the field.
    pub path: String,
    /// The file that declares it, or where it would be declared, relative to the project.
    pub file: String,
    pub line: usize,
    /// What is different. It names no value.
    pub what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The sample has a field that is not declared.
    Added,
    /// The declaration takes more than before.
    Widened,
    /// The sample has no value of the field.
    Vanished,
    /// The sample does not fit the declaration, and a person has to decide.
    Differs,
}

impl ChangeKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Widened => "widened",
            Self::Vanished => "vanished",
            Self::Differs => "differs",
        }
    }
}

fn counted(objects: u64) -> String {
    if objects == 1 {
        "1 object".to_owned()
    } else {
        format!("{objects} objects")
    }
}

pub(super) struct Comparing<'a> {
    pub edits: Edits<'a>,
    pub how: Declaring,
    pub changes: Vec<Change>,
    /// The source's file.
    pub file: String,
    pub overlays: Overlays,
}

/// A mapping of fields in the text, and its place in the records.
struct Declared<'p> {
    /// `None`: the text can't be edited there.
    value: Option<&'p Value>,
    path: String,
    /// What may be laid over fields of a shared file here.
    over: Option<Over>,
}

/// A field in the text: its entry, or what may be laid over it.
#[derive(Clone, Copy)]
struct At<'p> {
    entry: Option<&'p Entry>,
    over: Option<&'p Over>,
}

impl Comparing<'_> {
    /// Compares the records of a kind with its schema. `kind` is `None` where the source has none.
    pub fn schema(&mut self, kind: Option<&str>, fields: &[Field], records: &Objects) {
        let value = match kind {
            None => self.edits.top("schema"),
            Some(name) => {
                let kinds = self.edits.top("kinds");
                let kind = kinds.and_then(|kinds| self.edits.entry(&kinds, name));
                let schema = kind.and_then(|kind| self.edits.entry(&kind.value, "schema"));
                schema.map(|schema| schema.value)
            }
        };
        let declared = Declared {
            over: self.over(value.as_ref()),
            value: value.as_ref(),
            path: kind.map_or_else(|| "$".to_owned(), |kind| format!("{kind}: $")),
        };
        self.objects(fields, records, &declared, &mut Vec::new());
    }

    /// What may be laid over the shared fields of a mapping that is written in the file.
    fn over(&self, mapping: Option<&Value>) -> Option<Over> {
        mapping.filter(|mapping| uses(&self.edits, mapping)).map(Over::of)
    }

    fn note(&mut self, kind: ChangeKind, path: String, field: Option<&Field>, line: usize, what: String) {
        let file = field.map_or_else(|| self.file.clone(), |field| field.location.file.display().to_string());
        self.changes.push(Change {
            kind,
            path,
            file,
            line,
            what,
        });
    }

    fn objects<'s>(&mut self, fields: &[Field], objects: &'s Objects, at: &Declared<'_>, names: &mut Vec<&'s str>) {
        if objects.count == 0 {
            return;
        }
        for field in fields {
            let found = objects.fields.iter().find(|(name, _)| *name == field.name);
            let entry = at.value.and_then(|value| self.edits.entry(value, &field.name));
            let path = path_step(&at.path, &field.name);
            let over = at.over.as_ref().map(|over| over.below(&field.name));
            let of_field = At {
                entry: entry.as_ref(),
                over: over.as_ref(),
            };
            match found {
                Some((name, member)) if member.shape.kinds() > 0 => {
                    names.push(name);
                    self.presence(field, member, objects.count, &path, of_field);
                    self.field(field, &member.shape, &path, of_field, names);
                    names.pop();
                }
                _ => {
                    let what = format!("no value in {}; it stays declared", counted(objects.count));
                    self.note(
                        ChangeKind::Vanished,
                        path.clone(),
                        Some(field),
                        field.location.line,
                        what,
                    );
                    if field.required {
                        let required = [("required", "false".to_owned())];
                        let why = "required becomes optional, as it is missing".to_owned();
                        self.widen(field, &path, of_field, &required, why);
                    }
                }
            }
        }
        self.undeclared(fields, objects, at, names);
    }

    /// Fields of the sample that are not declared.
    fn undeclared<'s>(&mut self, fields: &[Field], objects: &'s Objects, at: &Declared<'_>, names: &mut Vec<&'s str>) {
        let unknown: Vec<&(String, Member)> = objects
            .fields
            .iter()
            .filter(|(name, _)| fields.iter().all(|field| field.name != *name))
            .collect();
        if unknown.is_empty() {
            return;
        }
        let line = fields.first().map_or(1, |field| field.location.line);
        if keys_are_data(objects) {
            let what = format!("{} more keys, which look like data and are not shown", unknown.len());
            self.note(ChangeKind::Differs, at.path.clone(), fields.first(), line, what);
            return;
        }
        let mut new = Vec::new();
        for (name, member) in &unknown {
            names.push(name);
            new.push(declare::added(&self.how, name, member, objects, names));
            names.pop();
        }
        let place = at.value.and_then(|value| self.edits.add(value, &new));
        for (field, (name, member)) in new.iter().zip(unknown) {
            if let (None, Some(over)) = (at.value, &at.over) {
                let flow = render::flow(field);
                let value = flow
                    .split_once(": ")
                    .map_or("", |_| &flow[render::yaml(name).len() + 2..]);
                self.overlays.put(&over.below(name), value.to_owned());
                let what = format!("in {} of {}: {flow}", member.present, counted(objects.count));
                self.note(ChangeKind::Added, path_step(&at.path, name), fields.first(), line, what);
                continue;
            }
            let path = path_step(&at.path, name);
            let seen = format!("in {} of {}", member.present, counted(objects.count));
            let what = match place {
                Some(_) => format!("{seen}: {}", render::flow(field)),
                None => format!("{seen}; declare it by hand: {}", render::flow(field)),
            };
            let kind = if place.is_some() {
                ChangeKind::Added
            } else {
                ChangeKind::Differs
            };
            let near = fields.first().filter(|_| place.is_none());
            self.note(kind, path, near, place.unwrap_or(line), what);
        }
    }

    fn presence(&mut self, field: &Field, member: &Member, objects: u64, path: &str, at: At<'_>) {
        let lacking = objects - member.present.min(objects) + member.shape.nulls;
        if field.required && lacking > 0 {
            let why = format!(
                "required becomes optional: missing or null in {lacking} of {}",
                counted(objects)
            );
            self.widen(field, path, at, &[("required", "false".to_owned())], why);
        }
    }

    fn widen(&mut self, field: &Field, path: &str, at: At<'_>, options: &[(&str, String)], why: String) {
        let done = match (at.entry, at.over) {
            (Some(entry), _) => self.edits.set(entry, options),
            (None, Some(over)) => {
                for (option, value) in options {
                    self.overlays.put(&over.below(option), value.clone());
                }
                true
            }
            (None, None) => false,
        };
        let (kind, what) = if done {
            (ChangeKind::Widened, why)
        } else {
            (ChangeKind::Differs, format!("{why}; change it by hand"))
        };
        self.note(kind, path.to_owned(), Some(field), field.location.line, what);
    }

    fn differs(&mut self, field: &Field, path: &str, what: String) {
        self.note(
            ChangeKind::Differs,
            path.to_owned(),
            Some(field),
            field.location.line,
            what,
        );
    }

    fn field<'s>(&mut self, field: &Field, shape: &'s Shape, path: &str, at: At<'_>, names: &mut Vec<&'s str>) {
        match &field.field_type {
            FieldType::Struct(fields) => {
                if shape.objects.count == 0 || shape.kinds() > 1 {
                    return self.differs(field, path, format!("declared as a struct, and it is {}", met(shape)));
                }
                let inner = at.entry.and_then(|entry| self.edits.entry(&entry.value, "struct"));
                let declared = Declared {
                    over: self.inner(at, inner.as_ref(), "struct"),
                    value: inner.as_ref().map(|entry| &entry.value),
                    path: path.to_owned(),
                };
                self.objects(fields, &shape.objects, &declared, names);
            }
            FieldType::List(item) => self.list(field, item, shape, path, at, names),
            _ => self.scalar(field, field, shape, path, at, "type"),
        }
    }

    fn list<'s>(
        &mut self,
        field: &Field,
        item: &Field,
        shape: &'s Shape,
        path: &str,
        at: At<'_>,
        names: &mut Vec<&'s str>,
    ) {
        let key = if field.one_or_many { "one_or_many" } else { "list" };
        let inner = at.entry.and_then(|entry| self.edits.entry(&entry.value, key));
        let bare = shape.kinds() == 1 && shape.lists.count == 0;
        if (bare || shape.lists.bare > 0) && !field.one_or_many {
            let count = if bare {
                shape.counts().iter().sum()
            } else {
                shape.lists.bare
            };
            let what = format!("list becomes one_or_many: {count} times its only element without a list");
            match &inner {
                Some(inner) => {
                    self.edits.rename(inner, "one_or_many");
                    self.note(
                        ChangeKind::Widened,
                        path.to_owned(),
                        Some(field),
                        field.location.line,
                        what,
                    );
                }
                None => self.differs(field, path, format!("{what}; change it by hand")),
            }
        }
        let elements = match shape.lists.item.as_deref() {
            _ if bare => shape,
            Some(elements) if shape.kinds() == 1 => elements,
            None if shape.kinds() == 1 => return,
            _ => return self.differs(field, path, format!("declared as a list, and it is {}", met(shape))),
        };
        let path = format!("{path}[]");
        match &item.field_type {
            FieldType::Struct(fields) if elements.kinds() == 1 && elements.objects.count > 0 => {
                let declared = Declared {
                    over: self.inner(at, inner.as_ref(), key),
                    value: inner.as_ref().map(|entry| &entry.value),
                    path,
                };
                self.objects(fields, &elements.objects, &declared, names);
            }
            FieldType::Struct(_) if elements.kinds() > 0 => {
                let what = format!("an element is declared as a struct, and it is {}", met(elements));
                self.differs(field, &path, what);
            }
            FieldType::Struct(_) => {}
            _ => self.scalar(field, item, elements, &path, at, key),
        }
    }

    /// What may be laid over the fields inside of a field. `key` is the option that holds them.
    fn inner(&self, at: At<'_>, inner: Option<&Entry>, key: &str) -> Option<Over> {
        match (inner, at.entry, at.over) {
            (Some(inner), ..) => self.over(Some(&inner.value)),
            // The field has keys of its own, and the fields inside of it are shared.
            (None, Some(entry), Some(_)) => Some(Over::of(&entry.value).below(key)),
            (None, None, Some(over)) => Some(over.below(key)),
            (None, _, None) => None,
        }
    }

    /// Compares a scalar. `key` is the option that holds its type.
    fn scalar(&mut self, field: &Field, scalar: &Field, shape: &Shape, path: &str, at: At<'_>, key: &str) {
        match fit(scalar, shape, self.how.flat) {
            Fit::Fits => {}
            Fit::Differs(what) => self.differs(field, path, what),
            Fit::Wider(options, why) => {
                let options: Vec<(&str, String)> = options
                    .into_iter()
                    .map(|(name, value)| (if name == "type" { key } else { name }, value))
                    .collect();
                self.widen(field, path, at, &options, why);
            }
        }
    }
}
