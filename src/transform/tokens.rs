//! Finds names in the text of SQL, for errors that come without a place.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer};

use super::struct_fields::NoField;

/// The words of a SQL text, without comments and white space.
pub(super) struct Tokens(Vec<TokenWithSpan>);

impl Tokens {
    /// Without words where the text is no SQL at all.
    pub fn of(sql: &str) -> Self {
        let mut tokens = Tokenizer::new(&GenericDialect, sql)
            .tokenize_with_location()
            .unwrap_or_default();
        tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
        Self(tokens)
    }

    /// The place where a missing field is accessed.
    pub fn access(&self, missing: &NoField) -> Option<Span> {
        match &missing.path[..] {
            [] => None,
            [name] => self.accessed(name, missing.after),
            path => self.dotted(path),
        }
    }

    /// The place of `.name` or `['name']`, the first after a place or at all.
    pub fn accessed(&self, name: &str, after: Option<(u64, u64)>) -> Option<Span> {
        let begin = after.unwrap_or((0, 0));
        let behind = |token: &TokenWithSpan| (token.span.start.line, token.span.start.column) >= begin;
        self.0
            .windows(3)
            .find_map(|words| match (&words[0].token, &words[1].token, &words[2].token) {
                _ if !behind(&words[0]) => None,
                (Token::LBracket, Token::SingleQuotedString(text), Token::RBracket) if text == name => {
                    Some(words[0].span.union(&words[2].span))
                }
                (_, Token::Period, word) if is(word, name) => Some(words[2].span),
                _ => None,
            })
    }

    /// The place of the last name of `a.b.c`.
    fn dotted(&self, path: &[String]) -> Option<Span> {
        let length = 2 * path.len() - 1;
        let words = self.0.windows(length).find(|words| {
            words.iter().enumerate().all(|(at, word)| {
                if at % 2 == 1 {
                    word.token == Token::Period
                } else {
                    is(&word.token, &path[at / 2])
                }
            })
        });
        words.map(|words| words[length - 1].span)
    }

    /// The place of these words in a row, the first at a place or behind it. Their case does not matter.
    pub fn phrase(&self, words: &str, begin: (u64, u64)) -> Option<Span> {
        let wanted: Vec<&str> = words.split(' ').collect();
        let found = self.0.windows(wanted.len()).find(|tokens| {
            let all = tokens.iter().zip(&wanted).all(|(token, word)| is(&token.token, word));
            all && (tokens[0].span.start.line, tokens[0].span.start.column) >= begin
        })?;
        Some(found[0].span.union(&found[wanted.len() - 1].span))
    }

    /// The place of a call of this function, with DISTINCT or at all.
    pub fn call(&self, function: &str, distinct: bool) -> Option<Span> {
        let found = self.0.windows(3).find(|words| {
            is(&words[0].token, function)
                && words[1].token == Token::LParen
                && (!distinct || is(&words[2].token, "distinct"))
        });
        found.map(|words| words[0].span)
    }

    /// The place of a name, of a parameter or of a quoted text.
    pub fn named(&self, name: &str) -> Option<Span> {
        let named = |token: &&TokenWithSpan| match &token.token {
            Token::SingleQuotedString(text) | Token::Placeholder(text) => text == name,
            word => is(word, name),
        };
        self.0.iter().find(named).map(|token| token.span)
    }
}

/// Whether a word is this name; without quotes, its case does not matter.
fn is(token: &Token, name: &str) -> bool {
    match token {
        Token::Word(word) if word.quote_style.is_none() => word.value.eq_ignore_ascii_case(name),
        Token::Word(word) => word.value == name,
        _ => false,
    }
}
