//! Limits how deeply expressions and queries are nested. Planning takes each level on the stack, and a stack that is full
//! ends the program without a word. The SQL parser limits parentheses, but not `1 + 1 + ...`, nor UNION and JOIN: it reads
//! these one after the other, into a tree that is as deep as the chain is long.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::not_in::Found;

/// How many levels there may be. The stack that `main` gives to each thread bears several times as many, without
/// optimisation too. The time to plan a sum grows with its third power: 5 seconds for this many, and 40 for twice as many.
const MOST: usize = 250;

/// One open parenthesis, bracket or CASE, or the statement itself.
#[derive(Debug, Default)]
struct Open {
    is_case: bool,
    /// Whether tables are listed here.
    lists_tables: bool,
    /// The operators since the last comma or clause.
    operators: usize,
    /// What has all that stands before it below, in the plan: UNION, JOIN, a subquery, a window, a CTE.
    queries: usize,
}

/// What a token does to the depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Nothing,
    Operator,
    Query,
    /// Ends an expression; the next stands beside it. `tables`: whether tables follow.
    Clause {
        tables: bool,
    },
    Comma,
    Open,
    OpenCase,
    Close,
    CloseCase,
}

/// Where a statement is too deep. It counts tokens, since the tree itself could not be taken apart again.
pub(super) fn too_deep(tokens: &[TokenWithSpan]) -> Option<Found> {
    let mut open = vec![Open::default()];
    let (mut depth, mut after_operator) = (0, false);
    let mut words = tokens
        .iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)))
        .peekable();
    while let Some(token) = words.next() {
        let next = words.peek().map(|next| &next.token);
        let step = match step(&token.token, next) {
            // A column that is called like a clause.
            Step::Clause { .. } if after_operator => Step::Nothing,
            step => step,
        };
        after_operator = step == Step::Operator;
        let is_inner = open.len() > 1;
        let last = open.last_mut()?;
        let is_case = last.is_case;
        let is_subquery = step == Step::Open && next.is_some_and(is_select);
        let is_subscript = token.token == Token::LBracket;
        let is_table = step == Step::Comma && last.lists_tables;
        last.operators += usize::from(step == Step::Operator || is_subscript);
        last.queries += usize::from(step == Step::Query || is_subquery || is_table);
        match step {
            Step::Clause { tables } => (last.operators, last.lists_tables) = (0, tables),
            Step::Comma => last.operators = 0,
            Step::Open | Step::OpenCase => open.push(Open {
                is_case: step == Step::OpenCase,
                ..Open::default()
            }),
            Step::Close if is_inner => drop(open.pop()),
            Step::CloseCase if is_case => drop(open.pop()),
            _ => {}
        }
        depth = if matches!(step, Step::Operator | Step::Query) {
            depth + 1
        } else {
            open.iter().map(|one| one.operators + one.queries).sum()
        };
        if depth > MOST || open.len() > MOST {
            return Some(Found {
                message: format!(
                    "the SQL is nested too deeply: more than {MOST} operators, joins or subqueries in a row"
                ),
                span: token.span,
                hint: "write `x IN (...)` for many `x = ... OR`, a CASE for many choices, and a table for many unions",
            });
        }
    }
    None
}

/// Whether a text of PostgreSQL's SQL is too deep to be planned. One without sense is, too.
pub(crate) fn is_too_deep(sql: &str) -> bool {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location();
    tokens.map_or(true, |tokens| too_deep(&tokens).is_some())
}

fn step(token: &Token, next: Option<&Token>) -> Step {
    match token {
        Token::Word(word) if word.quote_style.is_none() => of_word(word.keyword, next),
        Token::Word(_)
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::Placeholder(_)
        | Token::EOF => Step::Nothing,
        Token::LParen | Token::LBrace | Token::LBracket => Step::Open,
        Token::RParen | Token::RBrace | Token::RBracket => Step::Close,
        Token::Comma => Step::Comma,
        Token::SemiColon => Step::Clause { tables: false },
        _ => Step::Operator,
    }
}

fn of_word(keyword: Keyword, next: Option<&Token>) -> Step {
    use Keyword as K;
    match keyword {
        K::CASE => Step::OpenCase,
        K::END => Step::CloseCase,
        K::UNION | K::EXCEPT | K::INTERSECT | K::MINUS | K::JOIN | K::APPLY | K::OVER => Step::Query,
        // `WITH a AS (...), b AS (...)`: each may read the one before.
        K::AS if next == Some(&Token::LParen) => Step::Query,
        K::AND
        | K::OR
        | K::XOR
        | K::NOT
        | K::IS
        | K::IN
        | K::LIKE
        | K::ILIKE
        | K::SIMILAR
        | K::BETWEEN
        | K::COLLATE
        | K::AT
        | K::DIV
        | K::RLIKE
        | K::REGEXP
        | K::OVERLAPS
        | K::NOTNULL
        | K::MEMBER => Step::Operator,
        K::FROM => Step::Clause { tables: true },
        K::SELECT
        | K::WHERE
        | K::GROUP
        | K::HAVING
        | K::ORDER
        | K::LIMIT
        | K::QUALIFY
        | K::ON
        | K::WHEN
        | K::THEN
        | K::ELSE => Step::Clause { tables: false },
        _ => Step::Nothing,
    }
}

fn is_select(token: &Token) -> bool {
    matches!(token, Token::Word(word) if matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_counted_and_lists_are_not() {
        let of =
            |first: &str, repeated: &str, last: &str| format!("select {first}{}{last} from s", repeated.repeat(251));
        for deep in [
            of("1", "+1", ""),
            of("1", "+1", ", 2"),
            of("a", "::text", ""),
            of("a", "[1]", ""),
            of("a", " and f(x, y)", ""),
            of("", "not ", "a"),
            of("1", "+ on", ""),
            of("1", " + t.limit", ""),
            of("1", "+ case when a then b end", ""),
            of("1 from s", " union all select 1 from s", " union select 1"),
            of("1 from s", " join s on true", " join s"),
            of("1 from s", ", s", ", s"),
            of("1 from (select 1", " from s) t where (select 1", ")"),
            of("1", ", (select 1)", ""),
            of("1", ", row_number() over (order by a)", ""),
            format!("with {} select 1", "a as (select 1), ".repeat(251)),
            format!("select {}1{}", "f(1 + ".repeat(251), ")".repeat(251)),
        ] {
            assert!(is_too_deep(&deep), "{}", &deep[..80]);
        }
        for flat in [
            of("1", ", 1+1", ""),
            of("case", " when a = 1 and b = 2 then c + 1", " end"),
            of("a in (1", ", 2", ")"),
            of("f(1)", ", f(1 + 1)", ""),
            of("1", ", a.b['c'][1]", ""),
            of("case when a then b end", ", case when a and b then c end", ""),
            of("'", "+1 ", "'"),
        ] {
            assert!(!is_too_deep(&flat), "{}", &flat[..80]);
        }
    }
}
