//! One YAML file of the project: its text, its parsed tree, and the lines shown in messages. Secrets in those lines are
//! always masked.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::problems::Problems;
use super::secrets;
use super::yaml::{self, Node, Span};
use crate::error::{Location, Words as _};
use crate::workspace::{self, Files};

/// Longer lines are not shown. Nobody reads them, and each problem would hold a copy.
const MAX_SHOWN: usize = 4_000;
/// Far larger than any project file. If a path points to a huge file by mistake, it must not fill the memory.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

pub(super) struct Document {
    /// Relative to the project's root.
    pub path: PathBuf,
    pub text: String,
    lines: Vec<String>,
    /// The files that it uses, in the order in which they were met.
    used: Vec<Self>,
}

impl Document {
    /// Reads a file of the project. Reports a problem if it can't be read.
    pub fn read(files: &Files, path: PathBuf, problems: &mut Problems) -> Option<Self> {
        let text = read_text(files, &path, problems)?;
        Some(Self::new(path, text))
    }

    pub fn new(path: PathBuf, text: String) -> Self {
        let lines = secrets::mask_lines(&text);
        Self {
            path,
            text,
            lines,
            used: Vec::new(),
        }
    }

    /// Parses the file into a tree. Reports a problem if it is not valid YAML.
    pub fn parse(&self, problems: &mut Problems) -> Option<Node> {
        match yaml::parse(&self.text) {
            Ok(node) => Some(node),
            Err(error) => {
                let hint = error.hint.map(str::to_owned);
                problems.add(Some(self.location(error.span)), error.message, hint);
                None
            }
        }
    }

    /// Adds a file that this one uses. Returns what [`Span::file`] calls it.
    pub fn add_used(&mut self, document: Self) -> usize {
        let known = self.used.iter().position(|known| known.path == document.path);
        let place = known.unwrap_or_else(|| {
            self.used.push(document);
            self.used.len() - 1
        });
        place + 1
    }

    /// The text of the file, then the texts of the files that it uses.
    pub fn whole_text(&self) -> String {
        let mut text = self.text.clone();
        for used in &self.used {
            let path = used.path.display();
            let _ = write!(text, "\nuse {path} {}\n{}", used.text.len(), used.text);
        }
        text
    }

    /// The document that holds a span.
    fn of(&self, span: Span) -> &Self {
        span.file
            .checked_sub(1)
            .and_then(|place| self.used.get(place))
            .unwrap_or(self)
    }

    /// The location of a span, with the text of its line. A span over several lines is cut at the end of the first.
    pub fn location(&self, span: Span) -> Location {
        let this = self.of(span);
        // At the end of the input, the parser may report the line after the last one.
        let line = span.line.clamp(1, this.lines.len().max(1));
        let text = this.lines.get(line - 1).cloned().unwrap_or_default();
        let width = text.trim_end().chars().count();
        let column = if line == span.line {
            span.column.clamp(1, width + 1)
        } else {
            width + 1
        };
        let length = span.length.min((width + 1).saturating_sub(column)).max(1);
        let text = if width > MAX_SHOWN { String::new() } else { text };
        Location {
            file: this.path.clone(),
            line,
            column,
            length,
            text,
        }
    }
}

impl Document {
    /// The text at a place within one line, as the user wrote it.
    pub fn written(&self, span: Span) -> String {
        let line = self
            .of(span)
            .text
            .lines()
            .nth(span.line.saturating_sub(1))
            .unwrap_or_default();
        let from = line.chars().skip(span.column.saturating_sub(1));
        from.take(span.length).collect()
    }
}

/// The text of a project file, without its byte order mark. Reports a problem if it can't be read.
pub(super) fn read_text(files: &Files, path: &Path, problems: &mut Problems) -> Option<String> {
    let text = text_of(files, path, problems)?;
    files.note(path, &text);
    Some(text)
}

fn text_of(files: &Files, path: &Path, problems: &mut Problems) -> Option<String> {
    if files.are_sent() {
        let text = files.unsaved(path).map(str::to_owned);
        if text.is_none() {
            problems.of_file(path, "the file was not sent", "start the run again");
        }
        return text;
    }
    let full = files.join(path);
    let folder = path.parent().unwrap_or(Path::new(""));
    if matches!(workspace::is_in(files, folder, path), Ok(false)) {
        problems.of_file(
            path,
            "the file is a symbolic link that leaves its folder, so it is not read",
            "put the file itself here: messages show the text of a project's files",
        );
        return None;
    }
    if let Some(text) = files.unsaved(path) {
        return Some(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned());
    }
    let too_large = fs::metadata(&full).is_ok_and(|metadata| metadata.len() > MAX_BYTES);
    if too_large {
        problems.of_file(
            path,
            "the file is too large to be part of a project",
            "data belongs elsewhere: 8 MiB at most",
        );
        return None;
    }
    match fs::read(&full).map(String::from_utf8) {
        Ok(Ok(text)) => Some(
            text.strip_prefix('\u{feff}')
                .map_or_else(|| text.clone(), str::to_owned),
        ),
        Ok(Err(_)) => {
            problems.of_file(path, "the file is not UTF-8", "save it in the encoding UTF-8");
            None
        }
        Err(error) => {
            problems.of_file(
                path,
                format!("the file can't be read: {}", error.words()),
                "check the path and its permissions",
            );
            None
        }
    }
}
