//! Parses the SQL of transforms and of predicates, in one dialect, and refuses what the engine is known to answer wrong or to
//! ignore.

use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::sql::parser::{DFParser, DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::ExprWithAlias;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{TokenWithSpan, Tokenizer};

use super::dialect::WithLambdas;
use super::{depth, ignored, merged_columns, not_in};

/// The one statement of a text.
pub(super) fn statement(session: &SessionState, sql: &str) -> Result<Statement> {
    let (tokens, dialect) = tokens(session, sql)?;
    let mut statements = parser(session, tokens, &dialect)?.parse_statements()?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (Some(_), false) => Err(DataFusionError::NotImplemented(
            "The context currently only supports a single SQL statement".to_owned(),
        )),
        (None, _) => Err(DataFusionError::Plan(
            "No SQL statements were provided in the query string".to_owned(),
        )),
    }
}

/// An expression over the columns of a schema, without what the engine answers wrong or ignores.
pub(super) fn checked(session: &SessionState, sql: &str, columns: &DFSchema) -> Result<Expr> {
    let parsed = parsed(session, sql)?;
    let wrong = not_in::in_expression(&parsed.expr).or_else(|| merged_columns::in_expression(&parsed.expr));
    if let Some(found) = wrong.or_else(|| ignored::in_expression(session, sql, &parsed.expr)) {
        return Err(found.planning());
    }
    session.create_logical_expr_from_sql_expr(parsed, columns)
}

/// An expression in which any subquery is refused by who asks.
pub(super) fn expression(session: &SessionState, sql: &str, columns: &DFSchema) -> Result<Expr> {
    session.create_logical_expr_from_sql_expr(parsed(session, sql)?, columns)
}

fn parsed(session: &SessionState, sql: &str) -> Result<ExprWithAlias> {
    let (tokens, dialect) = tokens(session, sql)?;
    parser(session, tokens, &dialect)?.parse_into_expr()
}

fn tokens(session: &SessionState, sql: &str) -> Result<(Vec<TokenWithSpan>, WithLambdas)> {
    let failed =
        |e: datafusion::sql::sqlparser::tokenizer::TokenizerError| DataFusionError::SQL(Box::new(e.into()), None);
    let tokens = Tokenizer::new(&GenericDialect, sql)
        .tokenize_with_location()
        .map_err(failed)?;
    if let Some(found) = depth::too_deep(&tokens) {
        return Err(found.planning());
    }
    let known = session.higher_order_functions();
    let dialect = WithLambdas::of(&tokens, |name| known.contains_key(name));
    Ok((tokens, dialect))
}

fn parser<'a>(session: &SessionState, tokens: Vec<TokenWithSpan>, dialect: &'a WithLambdas) -> Result<DFParser<'a>> {
    DFParserBuilder::new(tokens)
        .with_dialect(dialect)
        .with_recursion_limit(session.config_options().sql_parser.recursion_limit.get())
        .build()
}
