//! The text of a document, and the places in it: byte offsets inside this program, lines and UTF-16 units in the protocol
//! (LSP 3.17, "Position"), lines and characters in the project's messages.

use super::protocol::{Position, Range};
use crate::error::Location;

/// A text that knows where its lines begin.
#[derive(Debug, Clone, Default)]
pub(super) struct Text {
    text: String,
    /// The byte offset of each line's first character.
    starts: Vec<usize>,
}

impl Text {
    pub fn new(text: String) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(after_breaks).collect();
        Self { text, starts }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The line with this number, counted from 0, without its line break.
    pub fn line(&self, number: usize) -> &str {
        let Some(start) = self.starts.get(number) else {
            return "";
        };
        let end = self.starts.get(number + 1).map_or(self.text.len(), |next| next - 1);
        self.text[*start..end].trim_end_matches('\r')
    }

    /// The byte offset of a position. One behind the line's or the text's end is taken as that end.
    pub fn offset(&self, position: Position) -> usize {
        let number = usize::try_from(position.line).unwrap_or(usize::MAX);
        let Some(start) = self.starts.get(number) else {
            return self.text.len();
        };
        let mut units = 0;
        for (at, c) in self.line(number).char_indices() {
            if units >= position.character {
                return start + at;
            }
            units += utf16(c);
        }
        start + self.line(number).len()
    }

    pub fn position(&self, offset: usize) -> Position {
        let number = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts.get(number).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        Position {
            line: u32::try_from(number).unwrap_or(u32::MAX),
            character: before.chars().map(utf16).sum(),
        }
    }

    pub fn range(&self, start: usize, end: usize) -> Range {
        Range {
            start: self.position(start),
            end: self.position(end),
        }
    }

    /// The range of a place in a message, whose line and column count characters from 1.
    pub fn located(&self, place: &Location) -> Range {
        let number = place.line.saturating_sub(1).min(self.starts.len().saturating_sub(1));
        let start = self.starts.get(number).copied().unwrap_or(0);
        let line = self.line(number);
        let byte = |characters: usize| line.char_indices().nth(characters).map_or(line.len(), |(at, _)| at);
        let from = place.column.saturating_sub(1);
        self.range(start + byte(from), start + byte(from + place.length))
    }
}

fn utf16(c: char) -> u32 {
    if c.len_utf16() == 2 { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, character: u32) -> Position {
        Position { line, character }
    }

    #[test]
    fn positions_count_utf16_units() {
        let text = Text::new("a😀b\r\nü: x\n".to_owned());
        for (position, offset) in [
            (at(0, 0), 0),
            (at(0, 1), 1),
            (at(0, 3), 5),
            (at(0, 4), 6),
            (at(1, 0), 8),
            (at(1, 1), 10),
            (at(2, 0), 14),
        ] {
            assert_eq!(text.offset(position), offset, "{position:?}");
            assert_eq!(text.position(offset), position, "{offset}");
        }
        // Behind an end.
        assert_eq!(text.offset(at(0, 99)), 6);
        assert_eq!(text.offset(at(9, 0)), text.as_str().len());
        assert_eq!(Text::default().offset(at(3, 3)), 0);
    }

    #[test]
    fn places_of_messages_count_characters() {
        let text = Text::new("😀😀: größe\n".to_owned());
        let place = |line, column, length| Location {
            file: "a.yaml".into(),
            line,
            column,
            length,
            text: String::new(),
        };
        let range = text.located(&place(1, 5, 5));
        assert_eq!((range.start, range.end), (at(0, 6), at(0, 11)));
        let range = text.located(&place(1, 9, 40));
        assert_eq!((range.start, range.end), (at(0, 10), at(0, 11)));
        assert_eq!(text.located(&place(7, 1, 1)).start, at(1, 0));
    }
}
