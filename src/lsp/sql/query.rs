//! The outline of a query: its WITH parts, its select lists and its tables. It is read from the tokens, so that a query that
//! is not finished has one, too.

use super::lexer::{Kind, Token};

/// A query, or the part of a WITH in its parentheses.
#[derive(Debug, Default)]
pub(in crate::lsp) struct Query {
    pub with: Vec<Cte>,
    /// More than one where they are combined, as by UNION.
    pub selects: Vec<Select>,
    /// Its bytes.
    pub start: usize,
    pub end: usize,
}

/// `name (columns) AS (body)`. Names are given by the numbers of their tokens.
#[derive(Debug)]
pub(in crate::lsp) struct Cte {
    pub name: usize,
    pub columns: Vec<usize>,
    pub body: Query,
}

#[derive(Debug, Default)]
pub(in crate::lsp) struct Select {
    pub items: Vec<Item>,
    pub tables: Vec<Table>,
    /// Queries in parentheses, in FROM and elsewhere.
    pub inner: Vec<Query>,
    /// The bytes of all of it.
    pub start: usize,
    pub end: usize,
    /// The tokens of the select list.
    pub list: Span,
    /// The tokens of the FROM, without that word.
    pub from: Option<Span>,
}

/// Tokens by their numbers; the end is not part of it.
pub(in crate::lsp) type Span = std::ops::Range<usize>;

/// One expression of a select list.
#[derive(Debug)]
pub(in crate::lsp) struct Item {
    pub expression: Span,
    pub alias: Option<usize>,
}

/// One table of a FROM.
#[derive(Debug)]
pub(in crate::lsp) struct Table {
    pub name: Option<usize>,
    pub alias: Option<usize>,
    /// The number of the query in [`Select::inner`], for a table in parentheses.
    pub query: Option<usize>,
}

/// Words that end a select list or a FROM.
const CLAUSES: [&str; 9] = [
    "from", "where", "group", "having", "order", "limit", "qualify", "window", "offset",
];
const COMBINED: [&str; 3] = ["union", "except", "intersect"];
/// Words behind a table that are no alias of it.
const JOINS: [&str; 12] = [
    "join", "on", "using", "left", "right", "inner", "full", "cross", "natural", "outer", "lateral", "as",
];
/// Words that can't end an expression, so that a name behind them is no alias.
const OPEN: [&str; 15] = [
    "and", "or", "not", "is", "in", "like", "ilike", "between", "then", "else", "when", "case", "distinct", "as", "all",
];
/// Words that end an expression and are no alias.
const VALUES: [&str; 6] = ["end", "null", "true", "false", "asc", "desc"];

/// Deeper nesting is not looked into.
const DEEPEST: usize = 40;

/// Reads the outline of a whole text, whose comments are left out.
pub(in crate::lsp) fn read(tokens: &[Token], length: usize) -> Query {
    let reader = Reader(tokens);
    let mut query = reader.query(0..tokens.len(), 0);
    (query.start, query.end) = (0, length);
    query
}

struct Reader<'t>(&'t [Token]);

impl Reader<'_> {
    fn is(&self, at: usize, word: &str) -> bool {
        self.0.get(at).is_some_and(|token| token.is(word))
    }

    fn is_one_of(&self, at: usize, words: &[&str]) -> bool {
        self.0
            .get(at)
            .is_some_and(|token| token.kind == Kind::Word && words.contains(&token.value.as_str()))
    }

    fn sign(&self, at: usize) -> Option<char> {
        self.0.get(at).and_then(Token::sign)
    }

    fn is_name(&self, at: usize) -> bool {
        self.0.get(at).is_some_and(Token::is_name)
    }

    /// The end of what opens at a token: the token that closes it, or `end` where that is missing.
    fn close(&self, at: usize, end: usize) -> usize {
        let mut open = Vec::new();
        for number in at..end {
            match self.sign(number) {
                Some(sign @ ('(' | '[')) => open.push(sign),
                Some(')') => {
                    // A bracket that is still open within parentheses is one that is being typed.
                    while open.pop().is_some_and(|sign| sign == '[') && !open.is_empty() {}
                    if open.is_empty() {
                        return if self.sign(at) == Some('(') { number } else { end };
                    }
                }
                Some(']') if open.last() == Some(&'[') => {
                    open.pop();
                    if open.is_empty() {
                        return number;
                    }
                }
                _ => {}
            }
        }
        end
    }

    /// The first token outside of parentheses for which this holds, or the end. What is open and never closed is being
    /// typed, so that it does not hide what follows.
    fn find(&self, span: Span, holds: impl Fn(usize) -> bool) -> usize {
        let mut at = span.start;
        while at < span.end {
            if holds(at) {
                return at;
            }
            let close = match self.sign(at) {
                Some('(' | '[') => self.close(at, span.end),
                _ => at,
            };
            at = if close < span.end { close + 1 } else { at + 1 };
        }
        span.end
    }

    /// The byte behind a token, or where the token after it begins.
    fn behind(&self, at: usize) -> usize {
        match (at.checked_sub(1).and_then(|before| self.0.get(before)), self.0.get(at)) {
            (_, Some(next)) => next.start,
            (Some(last), None) => last.end,
            (None, None) => 0,
        }
    }

    fn query(&self, span: Span, depth: usize) -> Query {
        let mut query = Query {
            start: span
                .start
                .checked_sub(1)
                .and_then(|at| self.0.get(at))
                .map_or(0, |token| token.end),
            end: self.behind(span.end),
            ..Query::default()
        };
        if depth > DEEPEST {
            return query;
        }
        let mut at = span.start;
        if self.is(at, "with") {
            at = self.with(at + 1..span.end, depth, &mut query.with);
        }
        while at < span.end {
            let end = self.find(at..span.end, |at| self.is_one_of(at, &COMBINED));
            if self.sign(at) == Some('(') {
                let inner = self.query(at + 1..self.close(at, end), depth + 1);
                query.selects.extend(inner.selects);
            } else if self.is(at, "select") {
                query.selects.push(self.select(at..end, depth));
            }
            at = end + 1;
            if self.is_one_of(at, &["all", "distinct"]) {
                at += 1;
            }
        }
        query
    }

    /// Reads the parts of a WITH and returns where the main query begins.
    fn with(&self, span: Span, depth: usize, parts: &mut Vec<Cte>) -> usize {
        let mut at = span.start;
        if self.is(at, "recursive") {
            at += 1;
        }
        while at < span.end && self.is_name(at) && !self.is(at, "select") {
            let name = at;
            at += 1;
            let mut columns = Vec::new();
            if self.sign(at) == Some('(') {
                let end = self.close(at, span.end);
                columns.extend((at + 1..end).filter(|at| self.is_name(*at)));
                at = end + 1;
            }
            while self.is_one_of(at, &["as", "not", "materialized"]) {
                at += 1;
            }
            if self.sign(at) != Some('(') {
                break;
            }
            let end = self.close(at, span.end);
            parts.push(Cte {
                name,
                columns,
                body: self.query(at + 1..end, depth + 1),
            });
            at = end + 1;
            if self.sign(at) != Some(',') {
                break;
            }
            at += 1;
        }
        at.min(span.end)
    }

    fn select(&self, span: Span, depth: usize) -> Select {
        let mut begin = span.start + 1;
        if self.is_one_of(begin, &["distinct", "all"]) {
            begin += 1;
        }
        let begin = begin.min(span.end);
        let list = begin..self.find(begin..span.end, |at| self.is_one_of(at, &CLAUSES));
        let mut select = Select {
            start: self.0[span.start].start,
            end: self.behind(span.end),
            items: self.items(list.clone()),
            ..Select::default()
        };
        let mut at = span.start;
        while at < span.end {
            if self.sign(at) == Some('(') && self.is_one_of(at + 1, &["select", "with"]) {
                let end = self.close(at, span.end);
                select.inner.push(self.query(at + 1..end, depth + 1));
                at = end;
            }
            at += 1;
        }
        if self.is(list.end, "from") {
            let from = list.end + 1..self.find(list.end + 1..span.end, |at| self.is_one_of(at, &CLAUSES));
            select.tables = self.tables(from.clone(), &select.inner);
            select.from = Some(from);
        }
        select.list = list;
        select
    }

    fn items(&self, list: Span) -> Vec<Item> {
        let mut items = Vec::new();
        let mut at = list.start;
        while at < list.end {
            let end = self.find(at..list.end, |at| self.sign(at) == Some(','));
            if at < end {
                items.push(self.item(at..end));
            }
            at = end + 1;
        }
        items
    }

    fn item(&self, span: Span) -> Item {
        let last = span.end - 1;
        let named = |alias, end| Item {
            expression: span.start..end,
            alias,
        };
        if self.is(last, "as") {
            return named(None, last);
        }
        if span.len() < 2 || !self.is_name(last) {
            return named(None, span.end);
        }
        if self.is(last - 1, "as") {
            return named(Some(last), last - 1);
        }
        let before = &self.0[last - 1];
        let ended = match before.kind {
            Kind::Word => !OPEN.contains(&before.value.as_str()),
            Kind::Quoted | Kind::Text | Kind::Number => true,
            Kind::Sign(c) => matches!(c, ')' | ']'),
            Kind::Comment => false,
        };
        if ended && !self.is_one_of(last, &VALUES) {
            named(Some(last), last)
        } else {
            named(None, span.end)
        }
    }

    fn tables(&self, from: Span, inner: &[Query]) -> Vec<Table> {
        let mut tables = Vec::new();
        let (mut at, mut expected) = (from.start, true);
        while at < from.end {
            if self.sign(at) == Some('(') {
                let end = self.close(at, from.end);
                let start = self.0[at].end;
                let query = inner.iter().position(|query| query.start == start);
                at = end + 1;
                if expected && query.is_some() {
                    let alias = self.alias(&mut at, from.end);
                    tables.push(Table {
                        name: None,
                        alias,
                        query,
                    });
                }
                expected = false;
            } else if self.sign(at) == Some(',') || self.is(at, "join") {
                expected = true;
                at += 1;
            } else if expected && self.is_name(at) && !self.is_one_of(at, &JOINS) {
                // Of `schema.table`, the last name counts.
                while self.sign(at + 1) == Some('.') && self.is_name(at + 2) {
                    at += 2;
                }
                let name = Some(at);
                at += 1;
                let alias = self.alias(&mut at, from.end);
                tables.push(Table {
                    name,
                    alias,
                    query: None,
                });
                expected = false;
            } else {
                at += 1;
            }
        }
        tables
    }

    fn alias(&self, at: &mut usize, end: usize) -> Option<usize> {
        if self.is(*at, "as") {
            *at += 1;
        }
        let alias = *at;
        if alias >= end || !self.is_name(alias) || self.is_one_of(alias, &JOINS) {
            return None;
        }
        *at += 1;
        Some(alias)
    }
}

#[cfg(test)]
mod tests;
