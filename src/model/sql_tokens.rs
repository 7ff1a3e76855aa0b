//! Cuts SQL into tokens, whatever state it is in. The SQL parser's own tokenizer gives nothing for a text with an open
//! quote, and a text that is being typed has one most of the time.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or keyword without quotes.
    Word,
    /// A name in double quotes.
    Quoted,
    /// A text in single quotes.
    Text,
    Number,
    /// One other character.
    Sign(char),
    Comment,
}

/// A token and its place in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
    /// A name as SQL means it: in lower case unless it is quoted. A text without its quotes. Otherwise as written.
    pub value: String,
    /// A quoted token whose closing quote is missing.
    pub open: bool,
}

impl Token {
    pub fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.value == word
    }

    pub fn sign(&self) -> Option<char> {
        match self.kind {
            Kind::Sign(c) => Some(c),
            _ => None,
        }
    }

    /// Whether it can be a name. Keywords count.
    pub fn is_name(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Quoted)
    }
}

/// All tokens of a text. Comments are among them.
pub(crate) fn tokens(sql: &str) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    let mut at = 0;
    while let Some(c) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let in_brackets = found.last().and_then(Token::sign) == Some('[');
        let (kind, length, open) = if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        } else if rest.starts_with("--") {
            (Kind::Comment, rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            let length = rest.find("*/").map_or(rest.len(), |end| end + 2);
            (Kind::Comment, length, false)
        } else if c == '\'' || c == '"' {
            let kind = if c == '"' { Kind::Quoted } else { Kind::Text };
            let (length, open) = quoted(rest, c, in_brackets);
            (kind, length, open)
        } else if c.is_ascii_digit() {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_'));
            (Kind::Number, end.unwrap_or(rest.len()), false)
        } else if is_in_word(c) {
            (Kind::Word, rest.find(|c| !is_in_word(c)).unwrap_or(rest.len()), false)
        } else {
            (Kind::Sign(c), c.len_utf8(), false)
        };
        let written = &rest[..length];
        let value = match kind {
            Kind::Word => written.to_lowercase(),
            Kind::Text | Kind::Quoted => {
                let inner = &written[1..];
                let inner = if open { inner } else { &inner[..inner.len() - 1] };
                inner.replace(&format!("{c}{c}"), &c.to_string())
            }
            _ => written.to_owned(),
        };
        found.push(Token {
            kind,
            start: at,
            end: at + length,
            value,
            open,
        });
        at += length;
    }
    found
}

pub(crate) fn is_in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// The length of a quoted token, and whether its end is missing. An open one ends with its line; in brackets, where the
/// name of a field stands, already before what can't be part of most names, since the rest of the line is other SQL.
fn quoted(rest: &str, quote: char, in_brackets: bool) -> (usize, bool) {
    let line = rest.find('\n').unwrap_or(rest.len());
    let mut at = 1;
    while let Some(found) = rest[at..line].find(quote) {
        let end = at + found + 1;
        if rest[end..line].starts_with(quote) {
            at = end + 1;
            continue;
        }
        // What comes next tells a closing quote from the one that opens another field's name.
        let closes = !in_brackets || rest[end..].trim_start().starts_with(']') || !rest[1..end].contains(['[', ',']);
        if closes {
            return (end, false);
        }
        break;
    }
    if in_brackets {
        let stop = rest[1..line].find(|c: char| c.is_whitespace() || matches!(c, ',' | ']' | ')' | '['));
        return (stop.map_or(line, |stop| stop + 1), true);
    }
    (line, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sql: &str) -> Vec<String> {
        let mark = |token: &Token| if token.open { "…" } else { "" };
        tokens(sql)
            .iter()
            .map(|token| format!("{}{}", token.value, mark(token)))
            .collect()
    }

    #[test]
    fn reads_whole_sql() {
        assert_eq!(
            shown("Select \"Größe\", a.b -- it's\n, 'it''s' /* x */ from 1.5e3"),
            [
                "select", "Größe", ",", "a", ".", "b", "-- it's", ",", "it's", "/* x */", "from", "1.5e3"
            ]
        );
    }

    #[test]
    fn an_open_quote_ends_before_other_sql() {
        assert_eq!(shown("item['\nfrom x"), ["item", "[", "…", "from", "x"]);
        assert_eq!(shown("item['da as d,\nx"), ["item", "[", "da…", "as", "d", ",", "x"]);
        assert_eq!(
            shown("item['da, item['b'] as b"),
            ["item", "[", "da…", ",", "item", "[", "b", "]", "as", "b"]
        );
        assert_eq!(shown("item['a b']"), ["item", "[", "a b", "]"]);
        assert_eq!(shown("item['a'"), ["item", "[", "a"]);
        assert_eq!(shown("'open\nx"), ["open…", "x"]);
        assert_eq!(shown("\""), ["…"]);
        assert_eq!(shown("/* open"), ["/* open"]);
    }
}
