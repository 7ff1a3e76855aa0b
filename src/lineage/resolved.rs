//! Notices names that PostgreSQL may resolve otherwise than DataFusion. The plan of such a query tells something else
//! than what PostgreSQL does, so it is not believed.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Join, JoinConstraint, JoinOperator,
    OrderByKind, Query, Select, SelectItem, SetExpr, Statement, TableAlias, TableFactor, TableWithJoins, Visit,
    Visitor, visit_expressions,
};

use super::names::{identifier, is_simple, select};

/// Whether PostgreSQL resolves every name of the query as DataFusion does. `tables` are the tables and views of the
/// project.
pub(super) fn alike(query: &Statement, tables: &BTreeSet<String>) -> bool {
    let mut unlike = Unlike {
        tables,
        around: Vec::new(),
        ctes: BTreeSet::new(),
    };
    query.visit(&mut unlike).is_continue()
}

/// Stops at what the two may resolve differently.
struct Unlike<'a> {
    tables: &'a BTreeSet<String>,
    /// What the tables of each query around are called, from the outside in.
    around: Vec<BTreeSet<String>>,
    /// The queries of CTEs, by their addresses: they see no row of the query around.
    ctes: BTreeSet<usize>,
}

impl Visitor for Unlike<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            for cte in &with.cte_tables {
                // Below WITH RECURSIVE, PostgreSQL knows a name before it is defined. DataFusion takes the table.
                stop_if(with.recursive && self.tables.contains(&identifier(&cte.alias.name)))?;
                columns_of(Some(&cte.alias), &cte.query)?;
                self.ctes.insert(std::ptr::from_ref::<Query>(&cte.query).addr());
            }
        }
        stop_if(is_union_of_all(&query.body))?;
        let own = called(&query.body);
        // `v.concat` is a function of the nearest `v` in PostgreSQL, where that has no such column.
        let is_cte = self.ctes.contains(&std::ptr::from_ref(query).addr());
        stop_if(!is_cte && self.around.iter().any(|around| !around.is_disjoint(&own)))?;
        // DataFusion drops an order within a query, unless it decides on the rows.
        let decides = query.limit_clause.is_some() || query.fetch.is_some() || is_distinct_on(&query.body);
        stop_if(!self.around.is_empty() && query.order_by.is_some() && !decides)?;
        self.around.push(own);
        let order = query.order_by.as_ref().map(|order| &order.kind);
        if let (Some(OrderByKind::Expressions(order)), Some(select)) = (order, select(&query.body)) {
            for one in order {
                clause(&one.expr, select)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.around.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if let Some(Distinct::On(list)) = &select.distinct {
            for one in list {
                // PostgreSQL takes the output column also where the name stands alone; DataFusion never does.
                expression(one, select)?;
            }
        }
        if let GroupByExpr::Expressions(list, _) = &select.group_by {
            for one in list {
                clause(one, select)?;
            }
        }
        select.from.iter().try_for_each(|from| merged(&from.joins))?;
        select.having.iter().try_for_each(|having| expression(having, select))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let names_columns = |alias: &Option<TableAlias>| alias.as_ref().is_some_and(|alias| !alias.columns.is_empty());
        match factor {
            // The order of a table's columns may be another in the database.
            TableFactor::Table { alias, args: None, .. } => stop_if(names_columns(alias)),
            // PostgreSQL calls the column of a function as its alias, or else as the function.
            TableFactor::Table { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. } => stop_if(!names_columns(alias)),
            TableFactor::Derived { alias, subquery, .. } => columns_of(alias.as_ref(), subquery),
            TableFactor::NestedJoin {
                alias,
                table_with_joins,
            } => {
                stop_if(names_columns(alias))?;
                merged(&table_with_joins.joins)
            }
            _ => ControlFlow::Break(()),
        }
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        // DataFusion calls a column without a name as its expression: `max(x.day)`.
        let is_made_up = |name: &str| !is_simple(name) || name == "NULL";
        match expression {
            Expr::Identifier(ident) => stop_if(is_made_up(&ident.value)),
            Expr::CompoundIdentifier(parts) => stop_if(parts.iter().any(|part| is_made_up(&part.value))),
            // A whole row: DataFusion drops it in places.
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => ControlFlow::Break(()),
            Expr::Function(function) => stop_if(takes_rows(&function.args)),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// What the tables of a query's SELECTs are called.
fn called(body: &SetExpr) -> BTreeSet<String> {
    match body {
        SetExpr::Select(select) => {
            let factors = select.from.iter().flat_map(factors);
            factors.filter_map(name).collect()
        }
        SetExpr::SetOperation { left, right, .. } => called(left).into_iter().chain(called(right)).collect(),
        // It is visited as a query of its own.
        _ => BTreeSet::new(),
    }
}

fn factors<'f>(from: &'f TableWithJoins) -> Vec<&'f TableFactor> {
    let all = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
    let within = |factor: &'f TableFactor| match factor {
        TableFactor::NestedJoin { table_with_joins, .. } => factors(table_with_joins),
        factor => vec![factor],
    };
    all.flat_map(within).collect()
}

fn name(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { alias: None, name, .. } => name.0.last()?.as_ident().map(identifier),
        TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::UNNEST { alias, .. } => alias.as_ref().map(|alias| identifier(&alias.name)),
        _ => None,
    }
}

fn is_distinct_on(body: &SetExpr) -> bool {
    matches!(body, SetExpr::Select(select) if matches!(select.distinct, Some(Distinct::On(_))))
}

/// Whether a function takes whole rows, as `count(DISTINCT q.*)` does.
fn takes_rows(arguments: &FunctionArguments) -> bool {
    let FunctionArguments::List(list) = arguments else {
        return false;
    };
    list.args.iter().any(|argument| {
        let (FunctionArg::Unnamed(value)
        | FunctionArg::Named { arg: value, .. }
        | FunctionArg::ExprNamed { arg: value, .. }) = argument;
        matches!(value, FunctionArgExpr::QualifiedWildcard(_))
    })
}

fn stop_if(unlike: bool) -> ControlFlow<()> {
    if unlike {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

/// An element of GROUP BY or ORDER BY: a name alone means the same to both.
fn clause(element: &Expr, select: &Select) -> ControlFlow<()> {
    match element {
        Expr::Identifier(_) => ControlFlow::Continue(()),
        Expr::Nested(inner) => clause(inner, select),
        element => expression(element, select),
    }
}

/// An expression beside the columns that are returned: PostgreSQL knows the columns of the tables only, DataFusion takes
/// a returned column of the same name.
fn expression(one: &Expr, select: &Select) -> ControlFlow<()> {
    let aliases: BTreeSet<String> = select.projection.iter().filter_map(alias).collect();
    visit_expressions(one, |part| match part {
        Expr::Identifier(ident) => stop_if(aliases.contains(&identifier(ident))),
        _ => ControlFlow::Continue(()),
    })
}

/// The name that a returned column is given, unless it is the column's own.
fn alias(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias {
            expr: Expr::Identifier(own),
            alias,
        } if identifier(own) == identifier(alias) => None,
        SelectItem::ExprWithAlias { alias, .. } => Some(identifier(alias)),
        _ => None,
    }
}

/// Joins whose merged column PostgreSQL takes from the right, or from either side. DataFusion takes the left one.
fn merged(joins: &[Join]) -> ControlFlow<()> {
    let is_merged = |join: &Join| match &join.join_operator {
        JoinOperator::Right(on) | JoinOperator::RightOuter(on) | JoinOperator::FullOuter(on) => {
            !matches!(on, JoinConstraint::On(_))
        }
        _ => false,
    };
    stop_if(joins.iter().any(is_merged))
}

/// The columns of a query that another one reads: they need names that both give them.
fn columns_of(alias: Option<&TableAlias>, query: &Query) -> ControlFlow<()> {
    let Some(select) = select(&query.body) else {
        return ControlFlow::Continue(());
    };
    let all = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    if alias.is_some_and(|alias| !alias.columns.is_empty()) {
        return stop_if(select.projection.iter().any(all));
    }
    let is_named = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(column) => matches!(column, Expr::Identifier(_) | Expr::CompoundIdentifier(_)),
        SelectItem::ExprWithAlias { .. } => true,
        item => all(item),
    };
    stop_if(!select.projection.iter().all(is_named))
}

/// Whether the columns of `*` are laid over others by their places.
fn is_union_of_all(body: &SetExpr) -> bool {
    let all = |body: &SetExpr| {
        let select = select(body);
        select.is_some_and(|select| {
            let mut items = select.projection.iter();
            items.any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)))
        })
    };
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            all(left) || all(right) || is_union_of_all(left) || is_union_of_all(right)
        }
        _ => false,
    }
}
