//! Typed access to the mappings of a YAML tree. Every key must be known, be given once and have a value of the right
//! type. The messages for these problems are written only here.

use std::collections::HashMap;

use super::document::Document;
use super::environment;
use super::keys::Keys;
use super::problems::Problems;
use super::secrets::{self, Held, Lookup};
use super::yaml::{Entry, Key, Node, Span, Value};
use crate::error::Location;
use crate::model::wording::{did_you_mean, one_of};

/// The state that all checks of one file share.
pub(super) struct Context<'a> {
    pub document: &'a Document,
    pub lookup: Lookup<'a>,
    pub held: Held<'a>,
    /// Whether the value that is being read may hold `${env:NAME}`.
    pub variables: bool,
    pub problems: &'a mut Problems,
}

impl Context<'_> {
    /// Reads a value that may hold `${env:NAME}`.
    pub fn with_variables<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        self.variables = true;
        let value = read(self);
        self.variables = false;
        value
    }

    pub fn location(&self, span: Span) -> Location {
        self.document.location(span)
    }

    pub fn problem(&mut self, span: Span, message: impl AsRef<str>, hint: impl Into<Option<String>>) {
        let location = self.document.location(span);
        let hint = hint.into().map(|hint| secrets::mask_urls(&hint));
        self.problems
            .add(Some(location), secrets::mask_urls(message.as_ref()), hint);
    }

    /// Reports a name that leads nowhere. Everything else is read all the same.
    pub fn link_problem(&mut self, span: Span, message: impl AsRef<str>, hint: impl Into<Option<String>>) {
        let location = self.document.location(span);
        let hint = hint.into().map(|hint| secrets::mask_urls(&hint));
        self.problems
            .add_link(Some(location), secrets::mask_urls(message.as_ref()), hint);
    }

    /// Reports a problem at a place that is known already.
    pub fn problem_at(&mut self, location: &Location, message: impl AsRef<str>, hint: &str) {
        let hint = Some(secrets::mask_urls(hint));
        self.problems
            .add(Some(location.clone()), secrets::mask_urls(message.as_ref()), hint);
    }

    /// Reports a problem that was found after variables were resolved. If the message quotes something that came out of
    /// a variable, it shows the text as the user wrote it.
    pub fn problem_of(&mut self, text: &Text<'_>, message: &str, hint: &str) {
        let hint = text.as_written(hint);
        self.problem(text.span, text.as_written(message), hint);
    }
}

/// A text value in two forms: as written, for messages, and with its variables resolved, for the checked types.
#[derive(Debug, Clone)]
pub(super) struct Text<'n> {
    pub raw: &'n str,
    pub value: String,
    pub span: Span,
}

impl Text<'_> {
    fn as_written(&self, message: &str) -> String {
        if self.raw == self.value {
            return message.to_owned();
        }
        let mut quoted = false;
        let parts = message.split('`').map(|part| {
            let replaced = quoted && self.value.contains(part) && !self.raw.contains(part);
            quoted = !quoted;
            if replaced { self.raw } else { part }
        });
        parts.collect::<Vec<_>>().join("`")
    }
}

/// Detects a type that YAML cut in two. Without quotes, `{type: decimal(5,2)}` means `{type: "decimal(5", "2)": null}`
/// in YAML. Reports it once and repairs the tree, so that no further problem follows from it.
pub(super) fn mend_cut_types(ctx: &mut Context<'_>, node: &mut Node) {
    match &mut node.value {
        Value::List(nodes) => nodes.iter_mut().for_each(|node| mend_cut_types(ctx, node)),
        Value::Map(entries) => {
            let mut position = 0;
            while position < entries.len() {
                if let Some(whole) = cut_type(&entries[position..]) {
                    let message = format!("`{whole}` is cut at its comma");
                    ctx.problem(
                        entries[position].place(),
                        message,
                        format!("put it in quotes: \"{whole}\""),
                    );
                    entries[position].value.value = Value::Text(whole);
                    entries.remove(position + 1);
                }
                mend_cut_types(ctx, &mut entries[position].value);
                position += 1;
            }
        }
        _ => {}
    }
}

fn cut_type(entries: &[Entry]) -> Option<String> {
    let [first, second, ..] = entries else { return None };
    match (&first.value.value, &second.value.value) {
        (Value::Text(start), Value::Null) if start.contains('(') && !start.contains(')') => second
            .key
            .text
            .ends_with(')')
            .then(|| format!("{start},{}", second.key.text)),
        _ => None,
    }
}

/// Reports every URL in the tree that contains a secret.
pub(super) fn check_urls(ctx: &mut Context<'_>, node: &Node) {
    match &node.value {
        Value::Text(text) if secrets::url_holds_secret(text) => {
            ctx.problem(
                node.span,
                "a URL with a secret may not stand in a project file",
                secrets::HINT.to_owned(),
            );
        }
        Value::List(nodes) => nodes.iter().for_each(|node| check_urls(ctx, node)),
        Value::Map(entries) => entries.iter().for_each(|entry| check_urls(ctx, &entry.value)),
        _ => {}
    }
}

/// A mapping whose keys have been checked.
pub(super) struct Mapping<'n> {
    /// What the mapping describes, for messages such as "... has no `path`".
    what: String,
    at: Span,
    /// `None`: the keys are names that the user chose.
    keys: Option<&'static Keys>,
    /// Without duplicate keys, in the file's order.
    entries: Vec<&'n Entry>,
}

impl<'n> Mapping<'n> {
    /// Checks the keys of a mapping of options. A missing key is reported at `at`.
    pub fn of_options(
        ctx: &mut Context<'_>,
        what: &str,
        at: Span,
        node: &'n Node,
        keys: &'static Keys,
    ) -> Option<Self> {
        let mapping = Self::of_names(ctx, what, at, node)?;
        for entry in &mapping.entries {
            check_option(ctx, &entry.key, keys);
        }
        Some(Self {
            keys: Some(keys),
            ..mapping
        })
    }

    /// Checks a mapping whose keys are names that the user chose. Only a duplicate key is a problem here.
    pub fn of_names(ctx: &mut Context<'_>, what: &str, at: Span, node: &'n Node) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let message = format!("{what} must be a mapping, not {}", node.value.kind());
            ctx.problem(at, message, "write one `key: value` in a line".to_owned());
            return None;
        };
        let mut first_lines: HashMap<&str, usize> = HashMap::new();
        let mut unique = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(line) = first_lines.get(entry.key.text.as_str()) {
                let hint = format!("it stands in line {line} already: keep one of them");
                ctx.problem(
                    entry.key.span,
                    format!("the key `{}` is given twice", entry.key.text),
                    hint,
                );
            } else {
                first_lines.insert(&entry.key.text, entry.key.span.line);
                unique.push(entry);
            }
        }
        Some(Self {
            what: what.to_owned(),
            at,
            keys: None,
            entries: unique,
        })
    }

    /// The entries without duplicates, in the file's order.
    pub fn entries(&self) -> &[&'n Entry] {
        &self.entries
    }

    pub fn get(&self, key: &str) -> Option<&'n Entry> {
        debug_assert!(self.declares(|keys| keys.has(key)), "`{key}` is read but not declared");
        self.entries.iter().find(|entry| entry.key.text == key).copied()
    }

    /// The entry of a key. Reports a problem if it is missing.
    pub fn required(&self, ctx: &mut Context<'_>, key: &str, example: &str) -> Option<&'n Entry> {
        let entry = self.get(key);
        debug_assert!(
            self.declares(|keys| keys.demands(key)),
            "`{key}` is not declared as required"
        );
        if entry.is_none() {
            ctx.problem(
                self.at,
                format!("{} has no `{key}`", self.what),
                format!("add `{example}`"),
            );
        }
        entry
    }

    /// Whether the declaration of the keys agrees with what a reader does. What it does not declare, an editor would
    /// not know.
    fn declares(&self, agrees: impl Fn(&Keys) -> bool) -> bool {
        self.keys.is_none_or(agrees)
    }

    pub fn text(&self, ctx: &mut Context<'_>, key: &str) -> Option<Text<'n>> {
        entry_text(ctx, self.get(key)?)
    }

    pub fn flag(&self, ctx: &mut Context<'_>, key: &str, default: bool) -> bool {
        debug_assert!(
            self.declares(|keys| keys.flag(key) == Some(default)),
            "`{key}` is declared otherwise"
        );
        let Some(entry) = self.get(key) else { return default };
        match &entry.value.value {
            Value::Bool(value) => return *value,
            Value::Text(raw) if raw.contains("${") => {
                if let Some(text) = entry_text(ctx, entry) {
                    match text.value.as_str() {
                        "true" => return true,
                        "false" => return false,
                        _ => {}
                    }
                } else {
                    return default;
                }
            }
            _ => {}
        }
        let message = format!("`{key}` must be true or false, not {}", entry.value.value.kind());
        ctx.problem(entry.place(), message, format!("write `{key}: true` or `{key}: false`"));
        default
    }

    /// The choice that the text names. The first choice if the key is missing or its text is wrong.
    pub fn choice<T: Copy>(&self, ctx: &mut Context<'_>, key: &str, choices: &[(&'static str, T)]) -> T {
        debug_assert!(
            self.declares(|keys| keys.offers(key, choices)),
            "`{key}` is declared otherwise"
        );
        let default = choices[0].1;
        let Some(text) = self.text(ctx, key) else {
            return default;
        };
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text.value) {
            return *value;
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let hint = did_you_mean(text.raw, names.iter().copied()).unwrap_or_else(|| format!("write {}", one_of(&names)));
        ctx.problem(text.span, format!("`{key}` can't be `{}`", text.raw), hint);
        default
    }
}

fn check_option(ctx: &mut Context<'_>, key: &Key, keys: &Keys) {
    let name = key.text.as_str();
    if keys.has(name) {
        return;
    }
    if keys.later.contains(&name) {
        let hint = format!("take `{name}` out: a later version will act on it");
        ctx.problem(key.span, format!("nothing acts on `{name}` yet"), hint);
    } else if secrets::is_secret_name(name) {
        ctx.problem(
            key.span,
            format!("a secret may not stand in a project file: `{name}`"),
            secrets::HINT.to_owned(),
        );
    } else {
        let known = keys.names();
        let hint = did_you_mean(name, known.iter().copied()).unwrap_or_else(|| format!("it may be {}", one_of(&known)));
        ctx.problem(key.span, format!("unknown key `{name}`"), hint);
    }
}

/// The text of an entry, with its variables resolved.
pub(super) fn entry_text<'n>(ctx: &mut Context<'_>, entry: &'n Entry) -> Option<Text<'n>> {
    node_text(ctx, &format!("`{}`", entry.key.text), entry.place(), &entry.value)
}

/// The text of a value, with its variables resolved.
pub(super) fn node_text<'n>(ctx: &mut Context<'_>, what: &str, span: Span, node: &'n Node) -> Option<Text<'n>> {
    let Value::Text(raw) = &node.value else {
        let hint = match node.value {
            Value::Bool(_) | Value::Number => "put it in quotes".to_owned(),
            Value::Map(_) => "write one text; one that starts with `{` goes in quotes".to_owned(),
            _ => "write one text".to_owned(),
        };
        ctx.problem(span, format!("{what} must be text, not {}", node.value.kind()), hint);
        return None;
    };
    match environment::expand(raw, ctx.lookup, ctx.held, ctx.variables) {
        Ok(value) => Some(Text { raw, value, span }),
        Err(error) => {
            ctx.problem(span, error.message(), error.hint());
            None
        }
    }
}

/// A text with its variables resolved, or a number or boolean as written. For keys whose values are data.
pub(super) fn node_scalar(ctx: &mut Context<'_>, at: Span, node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(raw) => match environment::expand(raw, ctx.lookup, ctx.held, ctx.variables) {
            Ok(value) => Some(value),
            Err(error) => {
                ctx.problem(node.span, error.message(), error.hint());
                None
            }
        },
        Value::Bool(value) => Some(value.to_string()),
        Value::Number => Some(ctx.document.written(node.span)),
        other => {
            let message = format!("a value must be text, a number, true or false, not {}", other.kind());
            ctx.problem(at, message, "write one value".to_owned());
            None
        }
    }
}

/// Reads the texts of a list such as `aliases: [a, b]`.
pub(super) fn entry_texts<'n>(ctx: &mut Context<'_>, entry: &'n Entry) -> Vec<Text<'n>> {
    list_texts(ctx, &format!("`{}`", entry.key.text), entry.place(), &entry.value)
}

pub(super) fn list_texts<'n>(ctx: &mut Context<'_>, what: &str, span: Span, node: &'n Node) -> Vec<Text<'n>> {
    match &node.value {
        Value::List(nodes) => {
            let element = format!("each element of {what}");
            nodes
                .iter()
                .filter_map(|node| node_text(ctx, &element, element_place(node, span), node))
                .collect()
        }
        value => {
            let hint = match value {
                Value::Text(raw) => format!("write it in brackets: [{raw}]"),
                _ => "write it in brackets: [a, b]".to_owned(),
            };
            ctx.problem(span, format!("{what} must be a list, not {}", value.kind()), hint);
            Vec::new()
        }
    }
}

/// The place of a list element. An element that is not written out (`[a, ]`, `- `) is reported at its list.
fn element_place(node: &Node, list: Span) -> Span {
    if node.span.length == 0 { list } else { node.span }
}
