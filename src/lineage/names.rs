//! Finds names in PostgreSQL's SQL: the words of SQL that can't be planned, and the names that PostgreSQL gives to the
//! columns of a query.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::{CastKind, DataType, Expr, Ident, Query, Select, SelectItem, SetExpr};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::model::SYSTEM_COLUMNS;

/// Every word of the SQL that could be a name. Words in strings count, words in comments do not.
pub(super) fn words(sql: &str) -> BTreeSet<String> {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize() else {
        return parts(sql).collect();
    };
    let mut words = BTreeSet::new();
    for token in tokens {
        match token {
            Token::Whitespace(_) => {}
            Token::Word(word) if word.quote_style.is_some() => {
                words.insert(word.value);
            }
            Token::DollarQuotedString(text) => words.extend(self::words(&text.value)),
            other => words.extend(parts(&other.to_string())),
        }
    }
    words
}

/// The longest name in bytes: PostgreSQL cuts longer ones.
const LONGEST: usize = 63;

/// Whether a name holds letters, digits, `_` and `$` only.
pub(super) fn is_simple(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
}

/// Whether PostgreSQL reads each name as it is written here. It decodes `U&"\0076isits"` and cuts long names, it knows
/// more columns than DataFusion, and what it takes for a space is an ASCII character.
pub(super) fn are_exact(sql: &str) -> bool {
    if sql.chars().any(|c| c.is_whitespace() && !c.is_ascii()) {
        return false;
    }
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize() else {
        return false;
    };
    let coded = |pair: &[Token]| {
        let [Token::Word(word), Token::Ampersand] = pair else {
            return false;
        };
        word.quote_style.is_none() && word.value.eq_ignore_ascii_case("u")
    };
    let exact = |token: &Token| match token {
        Token::Word(word) => {
            word.value.len() <= LONGEST && !SYSTEM_COLUMNS.iter().any(|name| word.value.eq_ignore_ascii_case(name))
        }
        Token::UnicodeStringLiteral(_) => false,
        Token::DollarQuotedString(text) => are_exact(&text.value),
        _ => true,
    };
    tokens.iter().all(exact) && !tokens.windows(2).any(coded)
}

fn parts(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$');
    parts.filter(|part| !part.is_empty()).map(str::to_lowercase)
}

/// The names of the columns that a query returns. `None` if they depend on the tables (`*`).
pub(super) fn output(query: &Query) -> Option<Vec<String>> {
    let names: Option<Vec<String>> = select(&query.body)?.projection.iter().map(item).collect();
    names.filter(|names| !names.is_empty())
}

/// The SELECT that names the columns of a query.
pub(super) fn select(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => select(&query.body),
        SetExpr::SetOperation { left, .. } => select(left),
        _ => None,
    }
}

fn item(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(identifier(alias)),
        SelectItem::UnnamedExpr(expression) => Some(column(expression).unwrap_or_else(|| "?column?".to_owned())),
        SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => None,
    }
}

/// The name that PostgreSQL gives to a column without an alias (`FigureColname`, src/backend/parser/parse_target.c).
fn column(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Identifier(ident) => Some(identifier(ident)),
        Expr::CompoundIdentifier(parts) => parts.last().map(identifier),
        Expr::Function(function) => function.name.0.last()?.as_ident().map(identifier),
        Expr::Cast {
            expr,
            data_type,
            kind: CastKind::Cast | CastKind::DoubleColon,
            ..
        } => column(expr).or_else(|| Some(type_name(data_type))),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } | Expr::AtTimeZone { timestamp: inner, .. } => {
            column(inner)
        }
        Expr::CompoundFieldAccess { root, .. } => column(root),
        Expr::Case { else_result, .. } => else_result
            .as_deref()
            .and_then(column)
            .or_else(|| Some("case".to_owned())),
        Expr::Subquery(query) => output(query)?.into_iter().next(),
        Expr::Exists { .. } => Some("exists".to_owned()),
        Expr::Extract { .. } => Some("extract".to_owned()),
        Expr::Substring { .. } => Some("substring".to_owned()),
        Expr::Position { .. } => Some("position".to_owned()),
        Expr::Overlay { .. } => Some("overlay".to_owned()),
        Expr::Ceil { .. } => Some("ceil".to_owned()),
        Expr::Floor { .. } => Some("floor".to_owned()),
        Expr::Array(_) => Some("array".to_owned()),
        _ => None,
    }
}

fn type_name(data_type: &DataType) -> String {
    let text = data_type.to_string().to_lowercase();
    let base = text.split('(').next().unwrap_or_default().trim();
    match base {
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "smallint" => "int2",
        "boolean" => "bool",
        "double precision" => "float8",
        "real" => "float4",
        "decimal" => "numeric",
        "character varying" => "varchar",
        other => other,
    }
    .to_owned()
}

/// An identifier as PostgreSQL reads it: in lower case unless it is quoted.
pub(super) fn identifier(ident: &Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::Statement;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    #[test]
    fn words_stand_in_code_and_strings_but_not_in_comments() {
        let sql = "-- visits\nselect \"Odd name\", x.y from Patients /* treatments */ \
                   where f('select 1 from diagnoses') = $body$ update labs $body$";
        let words = words(sql);
        for word in ["Odd name", "x", "y", "patients", "diagnoses", "labs"] {
            assert!(words.contains(word), "{word} of {words:?}");
        }
        assert!(!words.contains("visits") && !words.contains("treatments"), "{words:?}");
    }

    #[test]
    fn names_that_postgresql_reads_otherwise_are_noticed() {
        assert!(are_exact("select u.a & 1, \"U&x\" from u where b = 'U&\"x\"'"));
        for sql in [
            "select * from U&\"\\0076isits\"",
            "select u&'\\0076isits'",
            "create function f() returns text language sql as $$ select x from U&\"!0076\" uescape '!' $$",
            "select \"an_identifier_of_more_than_sixty_three_bytes_is_cut_by_postgresql_at_that\"",
            "select 'open",
            "select tableoid from visits",
            "select v.\"ctid\" from visits v",
            "select a from visits\u{a0}v",
        ] {
            assert!(!are_exact(sql), "{sql}");
        }
    }

    #[test]
    fn broken_sql_still_has_words() {
        assert!(words("select 'open from patients").contains("patients"));
    }

    #[test]
    fn columns_are_called_as_postgresql_calls_them() {
        let sql = "select a, t.b, C, count(*), x::date, null::int, (d), case when a then b end, case 1 when 2 then 3 else e end,
                   1 + 1, extract(year from f), (select g from h), coalesce(i, 1) as \"J\" from t";
        let Ok([Statement::Query(query)]) =
            <[Statement; 1]>::try_from(Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap())
        else {
            panic!("one query")
        };
        let names = output(&query).unwrap();
        assert_eq!(
            names,
            [
                "a", "b", "c", "count", "x", "int4", "d", "case", "e", "?column?", "extract", "g", "J"
            ]
        );
    }
}
