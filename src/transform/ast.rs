//! Reads from the parsed SQL what the plan does not tell: where an output column is in the file, and whether the SQL
//! uses a form that DataFusion can't plan but that has an equivalent.

use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Query, Select, SelectItem, SetExpr, Spanned, Statement, TableFactor};
use datafusion::sql::sqlparser::tokenizer::Span;

/// The query of a transform; `None` where the statement is something else (DDL, COPY, SET ...).
pub(super) fn query(statement: &DfStatement) -> Option<&Query> {
    match statement {
        DfStatement::Statement(statement) => match statement.as_ref() {
            Statement::Query(query) => Some(query),
            _ => None,
        },
        _ => None,
    }
}

/// The place of the output column `name` in the outermost SELECT list, if it can be found.
pub(super) fn output_span(query: &Query, name: &str) -> Option<Span> {
    select(query)?
        .projection
        .iter()
        .find(|item| item_name(item).as_deref() == Some(name))
        .map(Spanned::span)
}

/// The place of the outermost SELECT.
pub(super) fn select_span(query: &Query) -> Option<Span> {
    select(query).map(Spanned::span)
}

/// Whether a FROM unnests a column laterally (`CROSS JOIN UNNEST(x)`, `LATERAL`), which DataFusion does not plan.
pub(super) fn unnests_sideways(query: &Query) -> bool {
    let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
    ctes.into_iter().any(|cte| unnests_sideways(&cte.query)) || body_unnests_sideways(&query.body)
}

fn body_unnests_sideways(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.from.iter().enumerate().any(|(i, table)| {
            // `FROM a, UNNEST(a.b)` is another way to write a cross join.
            (i > 0 && is_sideways(&table.relation))
                || is_lateral(&table.relation)
                || table.joins.iter().any(|join| is_sideways(&join.relation))
        }),
        SetExpr::Query(query) => unnests_sideways(query),
        SetExpr::SetOperation { left, right, .. } => body_unnests_sideways(left) || body_unnests_sideways(right),
        _ => false,
    }
}

fn is_sideways(table: &TableFactor) -> bool {
    matches!(table, TableFactor::UNNEST { .. } | TableFactor::Function { .. }) || is_lateral(table)
}

fn is_lateral(table: &TableFactor) -> bool {
    match table {
        TableFactor::Derived { lateral, .. } | TableFactor::Function { lateral, .. } => *lateral,
        _ => false,
    }
}

fn select(query: &Query) -> Option<&Select> {
    match query.body.as_ref() {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => select(query),
        SetExpr::SetOperation { left, .. } => match left.as_ref() {
            SetExpr::Select(select) => Some(select),
            _ => None,
        },
        _ => None,
    }
}

fn item_name(item: &SelectItem) -> Option<String> {
    use datafusion::sql::sqlparser::ast::Expr;
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(normal(alias)),
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(normal(ident)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(normal),
        _ => None,
    }
}

/// Folds an identifier as DataFusion does: to lower case unless it is quoted.
fn normal(ident: &datafusion::sql::sqlparser::ast::Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_lowercase()
    }
}
