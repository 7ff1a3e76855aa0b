//! Renders errors for people: the message, each problem with the line it stands in, the cause, the remedy. Renders
//! only; who prints is another's choice. The text is ASCII but for what the user's own files hold.

use annotate_snippets::renderer::{AnsiColor, DEFAULT_TERM_WIDTH, Style};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::error::{Diagnostic, Error, Location};

/// The whole error, with a line end; `color` adds ANSI sequences.
pub fn render(error: &Error, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() }.term_width(DEFAULT_TERM_WIDTH);
    let mut text = render_title(&renderer, &error.message);
    for diagnostic in &error.diagnostics {
        text.push('\n');
        text.push_str(&render_diagnostic(&renderer, diagnostic));
    }
    if !error.diagnostics.is_empty() && (error.cause.is_some() || error.hint.is_some()) {
        text.push('\n');
    }
    if let Some(cause) = &error.cause {
        text.push_str(&footer("caused by", cause, AnsiColor::Yellow, color));
    }
    if let Some(hint) = &error.hint {
        text.push_str(&footer("hint", hint, AnsiColor::BrightCyan, color));
    }
    text
}

fn render_title(renderer: &Renderer, message: &str) -> String {
    with_line_end(renderer.render(&[Group::with_title(Level::ERROR.primary_title(printable(message)))]))
}

fn render_diagnostic(renderer: &Renderer, diagnostic: &Diagnostic) -> String {
    let mut group = Group::with_title(Level::ERROR.primary_title(printable(&diagnostic.message)));
    if let Some(location) = &diagnostic.location {
        let path = printable(&location.file.display().to_string());
        group = if location.text.is_empty() {
            group.element(Origin::path(path).line(location.line).char_column(location.column))
        } else {
            let span = span(location);
            group.element(
                Snippet::source(location.text.as_str())
                    .line_start(location.line)
                    .path(path)
                    .annotation(AnnotationKind::Primary.span(span)),
            )
        };
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.with_name("hint").message(printable(hint)));
    }
    with_line_end(renderer.render(&[group]))
}

/// Bytes of the line that the caret underlines; a place behind the line's end is one column wide.
fn span(location: &Location) -> std::ops::Range<usize> {
    let text = location.text.as_str();
    let byte = |characters: usize| text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
    let start = byte(location.column.saturating_sub(1));
    start..byte(location.column.saturating_sub(1) + location.length)
}

fn footer(name: &str, text: &str, color: AnsiColor, colored: bool) -> String {
    let style = if colored {
        color.on_default().bold()
    } else {
        Style::new()
    };
    format!("{style}{name}{style:#}: {}\n", printable(text))
}

/// Names from files may hold anything, also sequences that steer a terminal.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

fn with_line_end(mut text: String) -> String {
    text.push('\n');
    text
}
