//! Formats errors for people: the message, each problem with its line in the file, the cause and the remedy. It returns
//! the text; the caller prints it. The text is ASCII, except for what comes from the user's own files.

use annotate_snippets::renderer::{AnsiColor, DEFAULT_TERM_WIDTH, Style};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::error::{Diagnostic, Error, Location};
use crate::model::wording::printable;

/// The whole error as text that ends with a newline. `color` adds ANSI sequences.
pub fn render(error: &Error, color: bool) -> String {
    let renderer = renderer(color);
    let mut text = render_title(&renderer, &error.message);
    for diagnostic in &error.diagnostics {
        text.push('\n');
        text.push_str(&render_diagnostic(&renderer, Level::ERROR, diagnostic));
        // Without a location there is no snippet to attach the hint to.
        if let (None, Some(hint)) = (&diagnostic.location, &diagnostic.hint) {
            text.push_str(&footer("hint", hint, AnsiColor::BrightCyan, color));
        }
    }
    if !error.diagnostics.is_empty() && (error.cause.is_some() || error.hint.is_some()) {
        text.push('\n');
    }
    if let Some(cause) = error.why() {
        text.push_str(&footer("caused by", &cause, AnsiColor::Yellow, color));
    }
    if let Some(hint) = &error.hint {
        text.push_str(&footer("hint", hint, AnsiColor::BrightCyan, color));
    }
    text
}

/// A warning as text that ends with a newline.
pub fn warning(diagnostic: &Diagnostic, color: bool) -> String {
    render_diagnostic(&renderer(color), Level::WARNING, diagnostic)
}

fn renderer(color: bool) -> Renderer {
    if color { Renderer::styled() } else { Renderer::plain() }.term_width(DEFAULT_TERM_WIDTH)
}

fn render_title(renderer: &Renderer, message: &str) -> String {
    with_line_end(renderer.render(&[Group::with_title(Level::ERROR.primary_title(printable(message)))]))
}

fn render_diagnostic(renderer: &Renderer, level: Level<'static>, diagnostic: &Diagnostic) -> String {
    let title = level.primary_title(printable(&diagnostic.message));
    let mut group = Group::with_title(title);
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
    if let (Some(_), Some(hint)) = (&diagnostic.location, &diagnostic.hint) {
        group = group.element(Level::HELP.with_name("hint").message(printable(hint)));
    }
    with_line_end(renderer.render(&[group]))
}

/// The bytes of the line that the caret underlines. A place behind the line's end is one column wide.
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

fn with_line_end(mut text: String) -> String {
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str, column: usize, length: usize) -> Location {
        Location {
            file: "pipelines/a.yaml".into(),
            line: 12,
            column,
            length,
            text: text.to_owned(),
        }
    }

    fn diagnostic(location: impl Into<Option<Location>>, hint: Option<&str>) -> Diagnostic {
        Diagnostic {
            message: "it is wrong".to_owned(),
            location: location.into(),
            hint: hint.map(str::to_owned),
        }
    }

    #[test]
    fn an_error_without_places() {
        let error = Error::unreachable("no answer").cause("timed out").hint("start it");
        insta::assert_snapshot!(render(&error, false), @r#"
        error: no answer
        caused by: timed out
        hint: start it
        "#);
    }

    #[test]
    fn places_are_shown_by_character_with_tabs_and_wide_text() {
        let error = Error::project("the project has 6 problems")
            .cause("none")
            .hint("mend it")
            .diagnostics(vec![
                diagnostic(location("name: größe # ü", 7, 5), Some("call it `groesse`")),
                diagnostic(location("name:\tx", 7, 1), None),
                diagnostic(location("name:", 6, 1), None),
                diagnostic(location("name:", 60, 9), None),
                diagnostic(location("", 1, 1), Some("rename the file")),
                diagnostic(None, Some("look again")),
            ]);
        insta::assert_snapshot!(render(&error, false), @r#"
        error: the project has 6 problems

        error: it is wrong
          --> pipelines/a.yaml:12:7
           |
        12 | name: größe # ü
           |       ^^^^^
           |
           = hint: call it `groesse`

        error: it is wrong
          --> pipelines/a.yaml:12:7
           |
        12 | name:    x
           |          ^

        error: it is wrong
          --> pipelines/a.yaml:12:6
           |
        12 | name:
           |      ^

        error: it is wrong
          --> pipelines/a.yaml:12:6
           |
        12 | name:
           |      ^

        error: it is wrong
        --> pipelines/a.yaml:12:1
         = hint: rename the file

        error: it is wrong
        hint: look again

        caused by: none
        hint: mend it
        "#);
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let line = format!("{}bad{}", "x".repeat(300), "y".repeat(300));
        let error = Error::project("a").diagnostics(vec![diagnostic(location(&line, 301, 3), None)]);
        insta::assert_snapshot!(render(&error, false), @r#"
        error: a

        error: it is wrong
          --> pipelines/a.yaml:12:301
           |
        12 | ...xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxbadyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy...
           |                                                                   ^^^
        "#);
    }

    #[test]
    fn color_is_added_only_when_asked_for_and_the_text_is_the_same() {
        let diagnostics = vec![diagnostic(location("x: y", 1, 1), Some("z"))];
        let error = Error::project("a").cause("b").hint("c").diagnostics(diagnostics);
        let (plain, colored) = (render(&error, false), render(&error, true));
        assert!(!plain.contains('\u{1b}') && colored.contains('\u{1b}'));
        assert_eq!(without_ansi(&colored), plain);
    }

    fn without_ansi(text: &str) -> String {
        let mut plain = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c == '\u{1b}' {
                chars.by_ref().find(char::is_ascii_alphabetic);
            } else {
                plain.push(c);
            }
        }
        plain
    }

    #[test]
    fn names_can_not_steer_the_terminal() {
        let mut location = location("a: \u{1b}[31mred", 1, 1);
        location.file = "a\u{1b}[2J.yaml".into();
        let diagnostics = vec![diagnostic(location, Some("\u{7}"))];
        let text = render(
            &Error::project("no `\u{1b}[31m` here\r").diagnostics(diagnostics),
            false,
        );
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }
}
