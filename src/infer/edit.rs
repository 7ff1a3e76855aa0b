//! Changes single values of a YAML text and leaves everything else as a person wrote it: comments, order, quotes, braces.
//!
//! It reads as much of YAML as a schema has: mappings in lines and in braces. An alias, an anchor, a merge or a tag is
//! found as [`Value::Other`], and nothing in it is changed.

use std::ops::Range;

use super::declare::Field;
use super::render;

/// A value of the text, as places of bytes.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A scalar, or a list in brackets.
    Plain(Range<usize>),
    /// What stands between braces.
    Flow(Range<usize>),
    /// Lines that are indented deeper than their key.
    Block {
        lines: Range<usize>,
        indent: usize,
    },
    Other,
}

impl Value {
    /// The byte where it begins. 0: it is found nowhere.
    pub fn start(&self) -> usize {
        match self {
            Self::Plain(range) | Self::Flow(range) | Self::Block { lines: range, .. } => range.start,
            Self::Other => 0,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub name: String,
    pub key: Range<usize>,
    pub value: Value,
    end: usize,
}

/// A text with changes to be made in it.
pub(super) struct Edits<'a> {
    text: &'a str,
    made: Vec<(Range<usize>, String)>,
}

impl<'a> Edits<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, made: Vec::new() }
    }

    /// The mapping below a key at the start of a line.
    pub fn top(&self, key: &str) -> Option<Value> {
        let indented = Value::Block {
            lines: 0..self.text.len(),
            indent: 0,
        };
        let entries = self.entries(&indented);
        entries
            .into_iter()
            .find(|entry| entry.name == key)
            .map(|entry| entry.value)
    }

    /// The entries of a mapping.
    pub fn entries(&self, of: &Value) -> Vec<Entry> {
        match of {
            Value::Plain(_) | Value::Other => Vec::new(),
            Value::Flow(inner) => self.between_braces(inner),
            Value::Block { lines, indent } => self.in_lines(lines, *indent),
        }
    }

    pub fn entry(&self, of: &Value, name: &str) -> Option<Entry> {
        self.entries(of).into_iter().find(|entry| entry.name == name)
    }

    fn in_lines(&self, lines: &Range<usize>, indent: usize) -> Vec<Entry> {
        let (mut found, mut at) = (Vec::new(), lines.start);
        while at < lines.end {
            let line = self.line(at);
            let spaces = line.len() - line.trim_start_matches(' ').len();
            let content = line.trim_start_matches(' ');
            let next = at + line.len() + 1;
            if spaces != indent || content.trim().is_empty() || content.starts_with(['#', '-', '}']) {
                at = next;
                continue;
            }
            let Some(entry) = self.entry_at(at + spaces, Some(indent)) else {
                at = next;
                continue;
            };
            // A value in braces may end on a later line.
            at = next.max(self.line_end(entry.end.max(at)) + 1);
            found.push(entry);
        }
        found
    }

    fn between_braces(&self, inner: &Range<usize>) -> Vec<Entry> {
        let (mut found, mut at) = (Vec::new(), inner.start);
        while at < inner.end {
            let rest = &self.text[at..inner.end];
            let skipped = rest.len() - rest.trim_start_matches([' ', ',', '\n', '\r', '\t']).len();
            at += skipped;
            if self.text[at..inner.end].starts_with('#') {
                at = self.line_end(at);
                continue;
            }
            let Some(entry) = (at < inner.end).then(|| self.entry_at(at, None)).flatten() else {
                break;
            };
            at = entry.end.max(at + 1);
            found.push(entry);
        }
        found
    }

    /// The entry whose key starts here. `indent`: where the key stands, in lines; `None`: between braces.
    fn entry_at(&self, start: usize, indent: Option<usize>) -> Option<Entry> {
        let rest = &self.text[start..];
        let (name, length) = if rest.starts_with(['"', '\'']) {
            let length = quoted(rest)?;
            let name = if rest.starts_with('"') {
                serde_json::from_str(&rest[..length]).ok()?
            } else {
                rest[1..length - 1].replace("''", "'")
            };
            (name, length)
        } else {
            let length = rest.find(':').filter(|length| !rest[..*length].contains('\n'))?;
            (rest[..length].trim_end().to_owned(), length)
        };
        let colon = start + length + rest[length..].find(':')?;
        let after = &self.text[colon + 1..];
        let at = colon + 1 + (after.len() - after.trim_start_matches(' ').len());
        let (value, end) = if name == "<<" {
            (Value::Other, self.line_end(at))
        } else {
            self.value_at(at, indent)?
        };
        Some(Entry {
            name,
            key: start..start + length,
            value,
            end,
        })
    }

    fn value_at(&self, at: usize, indent: Option<usize>) -> Option<(Value, usize)> {
        let rest = &self.text[at..];
        match rest.chars().next() {
            Some('{') => {
                let length = bracketed(rest)?;
                Some((Value::Flow(at + 1..at + length - 1), at + length))
            }
            Some('[') => Some((Value::Plain(at..at + bracketed(rest)?), at + bracketed(rest)?)),
            Some('"' | '\'') => Some((Value::Plain(at..at + quoted(rest)?), at + quoted(rest)?)),
            Some('&' | '*' | '!' | '|' | '>') => Some((Value::Other, self.line_end(at))),
            None | Some('\n' | '\r' | '#') => {
                let indent = indent?;
                self.block(self.line_end(at) + 1, indent)
            }
            Some(_) => {
                let stop = match indent {
                    Some(_) => rest.find('\n').unwrap_or(rest.len()),
                    None => rest.find(['\n', ',', '}', ']']).unwrap_or(rest.len()),
                };
                let stop = rest[..stop].find(" #").unwrap_or(stop);
                let end = at + rest[..stop].trim_end().len();
                Some((Value::Plain(at..end), end))
            }
        }
    }

    /// The lines from `start` on that are indented deeper than `above`.
    fn block(&self, start: usize, above: usize) -> Option<(Value, usize)> {
        let (mut at, mut end, mut indent) = (start, start, None);
        while at < self.text.len() {
            let line = self.line(at);
            let content = line.trim_start_matches(' ');
            if !content.trim().is_empty() && !content.starts_with('#') {
                let spaces = line.len() - content.len();
                if spaces <= above {
                    break;
                }
                indent.get_or_insert(spaces);
                end = (at + line.len() + 1).min(self.text.len());
            }
            at += line.len() + 1;
        }
        let indent = indent?;
        Some((
            Value::Block {
                lines: start..end,
                indent,
            },
            end.saturating_sub(1),
        ))
    }

    fn line(&self, at: usize) -> &'a str {
        &self.text[at..self.line_end(at)]
    }

    fn line_end(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |length| at + length)
    }

    /// The number of the line at a place, from 1.
    pub fn line_number(&self, at: usize) -> usize {
        self.text[..at.min(self.text.len())].matches('\n').count() + 1
    }

    /// Sets options of a field, such as its type. Returns whether that could be done.
    pub fn set(&mut self, field: &Entry, options: &[(&str, String)]) -> bool {
        match &field.value {
            Value::Other => false,
            Value::Plain(range) => {
                let known = |wanted: &str| options.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value);
                let own = self.text[range.clone()].to_owned();
                let field_type = known("type").unwrap_or(&own);
                let others: Vec<String> = options
                    .iter()
                    .filter(|(key, _)| *key != "type")
                    .map(|(key, value)| format!("{key}: {value}"))
                    .collect();
                let new = match others.as_slice() {
                    [] => field_type.clone(),
                    others => format!("{{type: {field_type}, {}}}", others.join(", ")),
                };
                self.made.push((range.clone(), new));
                true
            }
            mapping => {
                let entries = self.entries(mapping);
                let Some(first) = entries.first() else { return false };
                let (mut replaced, mut added) = (Vec::new(), Vec::new());
                for (key, value) in options {
                    match entries.iter().find(|entry| entry.name == *key) {
                        Some(Entry {
                            value: Value::Plain(range),
                            ..
                        }) => replaced.push((range.clone(), value.clone())),
                        Some(_) => return false,
                        None => added.push(format!("{key}: {value}")),
                    }
                }
                if !added.is_empty() {
                    replaced.push(match mapping {
                        Value::Block { indent, .. } => {
                            let pad = " ".repeat(*indent);
                            let lines = format!("\n{pad}{}", added.join(&format!("\n{pad}")));
                            let line = self.line(first.end);
                            let end = first.end + line.trim_end_matches('\r').len();
                            (end..end, lines)
                        }
                        _ => (first.end..first.end, format!(", {}", added.join(", "))),
                    });
                }
                self.made.extend(replaced);
                true
            }
        }
    }

    /// Gives a key another name.
    pub fn rename(&mut self, entry: &Entry, name: &str) {
        self.made.push((entry.key.clone(), name.to_owned()));
    }

    /// Adds fields at the end of a mapping. Returns the line where they will stand.
    pub fn add(&mut self, to: &Value, fields: &[Field]) -> Option<usize> {
        match to {
            Value::Block { lines, indent } => {
                let mut new = String::new();
                render::schema(fields, *indent, &mut new);
                if !self.text[..lines.end].ends_with('\n') {
                    new.insert(0, '\n');
                }
                self.made.push((lines.end..lines.end, new));
                Some(self.line_number(lines.end))
            }
            Value::Flow(inner) => {
                let own = &self.text[inner.clone()];
                let end = inner.start + own.trim_end().len();
                let comma = match own.trim() {
                    "" => "",
                    own if own.ends_with(',') => " ",
                    _ => ", ",
                };
                let new = fields.iter().map(render::flow).collect::<Vec<_>>().join(", ");
                self.made.push((end..end, format!("{comma}{new}")));
                Some(self.line_number(end))
            }
            Value::Plain(_) | Value::Other => None,
        }
    }

    /// Adds `key: value` texts at the end of a mapping.
    pub fn add_entries(&mut self, to: &Value, entries: &[String]) {
        match to {
            Value::Block { lines, indent } => {
                let pad = " ".repeat(*indent);
                let mut new = format!("{pad}{}\n", entries.join(&format!("\n{pad}")));
                if !self.text[..lines.end].ends_with('\n') {
                    new.insert(0, '\n');
                }
                self.made.push((lines.end..lines.end, new));
            }
            Value::Flow(inner) => {
                let own = &self.text[inner.clone()];
                let end = inner.start + own.trim_end().len();
                let comma = if own.trim().is_empty() { "" } else { ", " };
                self.made.push((end..end, format!("{comma}{}", entries.join(", "))));
            }
            Value::Plain(_) | Value::Other => {}
        }
    }

    /// The text of a value.
    pub fn written(&self, value: &Value) -> &str {
        match value {
            Value::Plain(range) => self.text[range.clone()].trim(),
            _ => "",
        }
    }

    /// The changes, in the order of their places.
    pub fn made(mut self) -> Vec<(Range<usize>, String)> {
        self.made.sort_by_key(|(range, _)| (range.start, range.end));
        if self.text.contains("\r\n") {
            for (_, new) in &mut self.made {
                *new = new.replace('\n', "\r\n");
            }
        }
        self.made
    }
}

/// The text with the changes made.
pub(super) fn apply(text: &str, made: &[(Range<usize>, String)]) -> String {
    let (mut new, mut at) = (String::with_capacity(text.len()), 0);
    for (range, replacement) in made {
        new.push_str(&text[at..range.start]);
        new.push_str(replacement);
        at = range.end;
    }
    new.push_str(&text[at..]);
    new
}

/// The length of a text in quotes.
fn quoted(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let quote = bytes[0];
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == b'"' => at += 1,
            byte if byte == quote && quote == b'\'' && bytes.get(at + 1) == Some(&quote) => at += 1,
            byte if byte == quote => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The length of what stands in braces or brackets, with them.
fn bracketed(text: &str) -> Option<usize> {
    let (bytes, mut depth, mut at) = (text.as_bytes(), 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            // A quote within a word is a letter.
            b'"' | b'\'' if matches!(bytes[at - 1], b' ' | b'{' | b'[' | b',' | b':' | b'\n') => {
                at += quoted(&text[at..])? - 1;
            }
            b'#' if matches!(bytes[at - 1], b' ' | b'\n') => at += text[at..].find('\n')?,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests;
