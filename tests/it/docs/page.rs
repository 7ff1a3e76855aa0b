//! Parses a page of Markdown: its blocks, commands, links and headings, and the steps that a reader follows.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

pub struct Page {
    pub path: PathBuf,
    pub text: String,
}

/// One step that a page asks its reader to do.
pub enum Step {
    /// A block after a line that ends with the file's name, such as `pipelines/a.yaml`:
    File { path: String, text: String },
    /// The program's arguments, and the lines of output that the page shows below them.
    Run { line: String, output: Vec<String> },
}

/// A fenced code block.
struct Block {
    kind: String,
    /// The last line before the block that is not empty.
    before: String,
    lines: Vec<String>,
}

impl Page {
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self {
            path: path.to_owned(),
            text,
        }
    }

    fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        let mut before = String::new();
        for line in self.text.lines() {
            // A block inside a list is indented.
            let trimmed = line.trim_start();
            match (&mut open, trimmed.strip_prefix("```")) {
                (None, Some(kind)) => {
                    open = Some(Block {
                        kind: kind.to_owned(),
                        before: before.clone(),
                        lines: Vec::new(),
                    });
                }
                (Some(_), Some(_)) => {
                    blocks.extend(open.take());
                    before.clear();
                }
                (Some(block), None) => block.lines.push(line.to_owned()),
                (None, None) if !line.trim().is_empty() => line.clone_into(&mut before),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", self.path.display());
        blocks
    }

    /// The words of all commands in blocks and in the text. A command is any code after `pipeline` or `cargo run ...
    /// --`.
    pub fn commands(&self) -> Vec<Vec<String>> {
        let start =
            Regex::new(r"(?:^|\$ |`|&& |; )(?:\./target/\w+/)?(?:pipeline|cargo run[^`\n]*? --) +([a-z-][^`\n]*)")
                .unwrap();
        let mut found = Vec::new();
        let mut in_block = false;
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                in_block = !in_block;
                continue;
            }
            for captures in start.captures_iter(line.trim_start()) {
                if !in_block && !captures[0].starts_with('`') {
                    continue;
                }
                let words = captures[1].split(" #").next().unwrap_or_default();
                found.push(words.split_whitespace().map(str::to_owned).collect());
            }
        }
        found
    }

    /// The arguments of each command that is in a block.
    pub fn command_lines(&self) -> Vec<String> {
        let lines = self.blocks().into_iter().flat_map(|block| block.lines);
        lines.filter_map(|line| arguments(&line)).collect()
    }

    /// The targets of the page's links within the repository: file and heading. Either may be empty.
    pub fn links(&self) -> Vec<(String, String)> {
        let link = Regex::new(r"\]\(([^)#:\s]*)(?:#([^)]*))?\)").unwrap();
        link.captures_iter(&self.text)
            .map(|captures| {
                let heading = captures.get(2).map_or("", |heading| heading.as_str());
                (captures[1].to_owned(), heading.to_owned())
            })
            .collect()
    }

    /// The anchors that GitHub and mdBook make of the headings.
    pub fn anchors(&self) -> BTreeSet<String> {
        let headings = self.text.lines().filter(|line| line.starts_with('#'));
        headings
            .map(|line| {
                let words = line.trim_start_matches('#').trim().to_lowercase();
                words
                    .chars()
                    .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                    .map(|c| if c == ' ' { '-' } else { c })
                    .collect()
            })
            .collect()
    }

    /// The files that the page shows and the commands that it gives, in order.
    pub fn steps(&self) -> Vec<Step> {
        let named = Regex::new(r"`([^`]+)`:$").unwrap();
        let mut steps = Vec::new();
        for block in self.blocks() {
            if let Some(captures) = named.captures(&block.before) {
                let text = block.lines.join("\n") + "\n";
                steps.push(Step::File {
                    path: captures[1].to_owned(),
                    text,
                });
            } else if block.kind == "console" {
                for line in block.lines {
                    match (line.strip_prefix("$ "), steps.last_mut()) {
                        (Some(command), _) => steps.push(Step::Run {
                            line: arguments(command).unwrap_or_else(|| panic!("{command} is not ours")),
                            output: Vec::new(),
                        }),
                        (None, Some(Step::Run { output, .. })) => output.push(line),
                        (None, _) => panic!("output without a command: {line}"),
                    }
                }
            } else if block.kind.is_empty() {
                let lines = block.lines.iter().filter_map(|line| arguments(line));
                steps.extend(lines.map(|line| Step::Run {
                    line,
                    output: Vec::new(),
                }));
            }
        }
        steps
    }
}

/// The text after the program's name in a shell line.
fn arguments(line: &str) -> Option<String> {
    let line = line.trim_start();
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let rest = line
        .strip_prefix("cargo run -- ")
        .or_else(|| line.strip_prefix("pipeline "));
    rest.map(str::to_owned)
}

/// The words of a simple command, split as a shell splits them. A pipe, a redirection or a `#` ends the command.
pub fn shell_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '|' | '>' | '#') if word.is_none() => break,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "a quote is not closed: {line}");
    words.extend(word);
    words
}
