//! A SQL text in which names that lead nowhere are made NULL one after the other. An engine reports the first name that it
//! does not know; over this text it reports the next one.

use super::sql_tokens::{Kind, Token, tokens};
use crate::error::{Diagnostic, Location};

/// Names of one text that are looked for at most.
pub(crate) const MOST: usize = 50;

/// Words behind which a list begins, by which an expression's place is told.
const LISTS: [&str; 10] = [
    "select", "by", "where", "having", "on", "from", "when", "then", "else", "set",
];

pub(crate) struct Blanked<'t> {
    text: &'t str,
    /// Without comments.
    tokens: Vec<Token>,
    /// The bytes that are replaced, in the order of their places, and what stands there now.
    gone: Vec<(std::ops::Range<usize>, String)>,
}

impl<'t> Blanked<'t> {
    pub fn of(text: &'t str) -> Self {
        let mut tokens = tokens(text);
        tokens.retain(|token| token.kind != Kind::Comment);
        Self {
            text,
            tokens,
            gone: Vec::new(),
        }
    }

    /// The text as it is now.
    pub fn sql(&self) -> String {
        let (mut sql, mut at) = (String::with_capacity(self.text.len()), 0);
        for (range, new) in &self.gone {
            sql.push_str(&self.text[at..range.start]);
            sql.push_str(new);
            at = range.end;
        }
        sql.push_str(&self.text[at..]);
        sql
    }

    /// Makes the name at a place of the original text NULL, with the tables and structs that it is taken of. Returns
    /// whether there is one that was not NULL yet.
    pub fn blank(&mut self, place: &Location) -> bool {
        let Some(byte) = self.byte(place) else { return false };
        let Some(at) = self
            .tokens
            .iter()
            .position(|token| token.start <= byte && byte < token.end)
        else {
            return false;
        };
        let (first, last) = (self.first(at), self.last(at));
        let range = self.tokens[first].start..self.tokens[last].end;
        if !self.tokens[first].is_name()
            || self
                .gone
                .iter()
                .any(|(gone, _)| gone.start < range.end && range.start < gone.end)
        {
            return false;
        }
        let new = self.replacement(first, last);
        let next = self.gone.partition_point(|(gone, _)| gone.start < range.start);
        self.gone.insert(next, (range, new));
        true
    }

    /// A problem of the text as it is now, at its place in the original text.
    pub fn original(&self, problem: Diagnostic) -> Option<Diagnostic> {
        let place = problem.location?;
        let now = self.sql();
        let byte = byte_of(&now, place.line, place.column)?;
        // How much longer the text has become before that place.
        let mut origin = byte;
        for (range, new) in &self.gone {
            let start = origin_start(&self.gone, range.start);
            if start + new.len() <= byte {
                origin = origin + range.len() - new.len();
            } else if start <= byte {
                return None;
            }
        }
        let before = &self.text[..origin];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        Some(Diagnostic {
            location: Some(Location {
                line,
                column: before[start..].chars().count() + 1,
                text: self.text[start..].lines().next().unwrap_or_default().to_owned(),
                ..place
            }),
            ..problem
        })
    }

    fn byte(&self, place: &Location) -> Option<usize> {
        byte_of(self.text, place.line, place.column)
    }

    fn sign(&self, at: usize) -> Option<char> {
        self.tokens.get(at).and_then(Token::sign)
    }

    /// The first token of `a.b['c']` of which one stands at `at`.
    fn first(&self, mut at: usize) -> usize {
        loop {
            at = match self.tokens[at].kind {
                Kind::Text if at >= 2 && self.sign(at - 1) == Some('[') => at - 2,
                Kind::Sign('[' | '.') if at >= 1 => at - 1,
                Kind::Sign(']') if at >= 3 && self.sign(at - 2) == Some('[') => at - 3,
                Kind::Word | Kind::Quoted if at >= 2 && self.sign(at - 1) == Some('.') => at - 2,
                _ => return at,
            };
        }
    }

    fn last(&self, mut at: usize) -> usize {
        loop {
            at = match (self.tokens[at].kind, self.sign(at + 1)) {
                (Kind::Sign('['), _) if self.sign(at + 2) == Some(']') => at + 2,
                (Kind::Text, Some(']')) => at + 1,
                (_, Some('[')) if self.sign(at + 3) == Some(']') => at + 3,
                (_, Some('.')) if self.tokens.get(at + 2).is_some_and(Token::is_name) => at + 2,
                _ => return at,
            };
        }
    }

    /// NULL; as a whole column of a select list with the name that the column had.
    fn replacement(&self, first: usize, last: usize) -> String {
        let clause = self.list_before(first);
        let starts = first
            .checked_sub(1)
            .and_then(|at| self.tokens.get(at))
            .is_some_and(|token| token.sign() == Some(',') || token.is("select") || token.is("distinct"));
        let ends = self
            .tokens
            .get(last + 1)
            .is_none_or(|token| matches!(token.sign(), Some(',' | ')' | ';')) || token.is("from"));
        match clause {
            Some("select") if starts && ends && self.tokens[last].is_name() => {
                format!("NULL AS \"{}\"", self.tokens[last].value.replace('"', "\"\""))
            }
            // PostgreSQL groups by no bare constant.
            Some("by") => "NULL::text".to_owned(),
            _ => "NULL".to_owned(),
        }
    }

    /// The word that begins the list in which a token stands. `None`: it stands in the parentheses of a call.
    fn list_before(&self, first: usize) -> Option<&str> {
        let mut depth = 0_usize;
        for token in self.tokens[..first].iter().rev() {
            match token.sign() {
                Some(')' | ']') => depth += 1,
                Some('(' | '[') => depth = depth.checked_sub(1)?,
                _ if depth == 0 && token.kind == Kind::Word && LISTS.contains(&token.value.as_str()) => {
                    return Some(&token.value);
                }
                _ => {}
            }
        }
        None
    }
}

/// Where a replaced part begins in the text as it is now.
fn origin_start(gone: &[(std::ops::Range<usize>, String)], start: usize) -> usize {
    let before = gone.iter().take_while(|(range, _)| range.start < start);
    before.fold(start, |at, (range, new)| at + new.len() - range.len())
}

/// The byte of a line and a column, both counted in characters from 1.
fn byte_of(text: &str, line: usize, column: usize) -> Option<usize> {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.checked_sub(1)?)
        .map(str::len)
        .sum();
    let rest = text.get(start..)?;
    let (at, _) = rest.char_indices().nth(column.checked_sub(1)?)?;
    Some(start + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, name: &str, number: usize) -> Location {
        let (byte, _) = text.match_indices(name).nth(number).unwrap();
        let line_start = text[..byte].rfind('\n').map_or(0, |at| at + 1);
        Location {
            file: "a.sql".into(),
            line: text[..byte].matches('\n').count() + 1,
            column: text[line_start..byte].chars().count() + 1,
            length: name.chars().count(),
            text: String::new(),
        }
    }

    fn blanked(text: &str, name: &str, number: usize) -> String {
        let mut blanked = Blanked::of(text);
        assert!(blanked.blank(&at(text, name, number)), "{text}");
        blanked.sql()
    }

    #[test]
    fn a_name_becomes_null_with_what_it_is_taken_of() {
        for (text, name, number, now) in [
            ("select upper(v.a) from v", "v.a", 0, "select upper(NULL) from v"),
            ("select upper(v.a) from v", "a)", 0, "select upper(NULL) from v"),
            ("select i['b']['a'] = 1 from v", "['a']", 0, "select NULL = 1 from v"),
            ("select i['a']['b'] as x from v", "['a']", 0, "select NULL as x from v"),
            ("select i[1]['a'] from v", "['a']", 0, "select NULL from v"),
            ("select a, b from v", "a", 0, "select NULL AS \"a\", b from v"),
            ("select \"A b\" from v", "\"A b\"", 0, "select NULL AS \"A b\" from v"),
            ("select f(x, a, y) from v", "a,", 0, "select f(x, NULL, y) from v"),
            (
                "select 1 from v group by b, a",
                "a",
                0,
                "select 1 from v group by b, NULL::text",
            ),
            (
                "select (select a from w) from v",
                "a",
                0,
                "select (select NULL AS \"a\" from w) from v",
            ),
            (
                "select 1 from v where 'ü' <> a",
                "a",
                0,
                "select 1 from v where 'ü' <> NULL",
            ),
            (
                "select 'a' -- a\n, a from v",
                "a",
                2,
                "select 'a' -- a\n, NULL AS \"a\" from v",
            ),
        ] {
            assert_eq!(blanked(text, name, number), now, "{text}");
        }
        let mut nothing = Blanked::of("select ( from v");
        assert!(!nothing.blank(&at("select ( from v", "(", 0)));
        assert!(!nothing.blank(&at("select ( from v\n", "\n", 0)));
    }

    #[test]
    fn places_are_those_of_the_original_text() {
        let text = "select a, upper(a) as ü,\n  a || b as c from v";
        let mut blanked = Blanked::of(text);
        for number in 0..2 {
            assert!(blanked.blank(&at(text, "a", number)));
            assert!(!blanked.blank(&at(text, "a", number)));
        }
        let now = blanked.sql();
        assert_eq!(now, "select NULL AS \"a\", upper(NULL) as ü,\n  a || b as c from v");
        for (name, number_now, number) in [("ü", 0, 0), ("b as", 0, 0), ("upper", 0, 0)] {
            let problem = Diagnostic {
                message: String::new(),
                location: Some(at(&now, name, number_now)),
                hint: None,
            };
            let found = blanked.original(problem).unwrap().location.unwrap();
            let there = at(text, name, number);
            assert_eq!((found.line, found.column), (there.line, there.column), "{name}");
            assert!(!found.text.is_empty());
        }
        let of_null = Diagnostic {
            message: String::new(),
            location: Some(at(&now, "NULL", 0)),
            hint: None,
        };
        assert_eq!(blanked.original(of_null), None);
    }
}
