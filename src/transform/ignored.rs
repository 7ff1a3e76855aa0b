//! Finds clauses that the parser reads and DataFusion 55 plans as though they were not there: TABLESAMPLE, FOR UPDATE,
//! PREWHERE, `WITH ROLLUP`, the length of VARCHAR and others. A query that asks for one gets other rows than it says, without
//! an error. Clauses that DataFusion refuses by itself are not here.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::{
    CharacterLength, DataType, DuplicateTreatment, Expr, ForClause, Function, FunctionArgumentClause,
    FunctionArguments, GroupByExpr, GroupByWithModifier, LockType, Query, Select, SelectItem, Spanned, TableAlias,
    TableFactor, TableSampleKind, TableSampleModifier, Visit, Visitor, WindowType,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::not_in::Found;
use super::tokens::Tokens;

/// The first in a query, its subqueries and CTEs.
pub(super) fn in_query(session: &SessionState, sql: &str, query: &Query) -> Option<Found> {
    first(session, sql, query)
}

/// The first in an expression.
pub(super) fn in_expression(session: &SessionState, sql: &str, expression: &Expr) -> Option<Found> {
    first(session, sql, expression)
}

fn first(session: &SessionState, sql: &str, node: &impl Visit) -> Option<Found> {
    let mut clauses = Clauses {
        session,
        selected: HashSet::new(),
    };
    let ControlFlow::Break(clause) = node.visit(&mut clauses) else {
        return None;
    };
    let Clause { name, near, hint } = *clause;
    let span = Tokens::of(sql).phrase(&name, (near.start.line, near.start.column));
    Some(Found {
        message: format!("{name} can't be used here: DataFusion 55 reads it and ignores it"),
        span: span.unwrap_or(near),
        hint,
    })
}

/// A clause that is ignored, and what stands near it.
#[derive(Debug)]
struct Clause {
    /// As it is written in SQL.
    name: String,
    near: Span,
    hint: &'static str,
}

/// Goes on, or ends with a clause.
type Step = ControlFlow<Box<Clause>>;

fn clause(name: impl Into<String>, near: Span, hint: &'static str) -> Step {
    ControlFlow::Break(Box::new(Clause {
        name: name.into(),
        near,
        hint,
    }))
}

/// Visits queries, tables and expressions until there is one.
struct Clauses<'a> {
    session: &'a SessionState,
    /// The window functions of SELECT lists, by their addresses: only there, the name of a window is looked up.
    selected: HashSet<usize>,
}

impl Visitor for Clauses<'_> {
    type Break = Box<Clause>;

    fn pre_visit_query(&mut self, query: &Query) -> Step {
        of_query(query)
    }

    fn pre_visit_select(&mut self, select: &Select) -> Step {
        for item in &select.projection {
            if let SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. } = item {
                let _ = expression.visit(&mut Named(&mut self.selected));
            }
        }
        of_select(select)
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> Step {
        of_table(table)
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> Step {
        match expression {
            Expr::Function(function) => self.of_function(expression, function),
            Expr::Cast { data_type, .. } => of_type(data_type, expression.span()),
            Expr::TypedString(text) => of_type(&text.data_type, expression.span()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Collects the functions over a window that has a name.
struct Named<'a>(&'a mut HashSet<usize>);

impl Visitor for Named<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if matches!(expression, Expr::Function(function) if matches!(function.over, Some(WindowType::NamedWindow(_)))) {
            self.0.insert(address(expression));
        }
        ControlFlow::Continue(())
    }
}

fn address(expression: &Expr) -> usize {
    std::ptr::from_ref(expression).addr()
}

const NO_LOCKS: &str = "take it out: a transform reads the batch's input, which nothing changes";
const NO_OUTPUT: &str = "take it out: a transform's rows go to its entity";
const NO_SAMPLE: &str = "choose rows with WHERE: each run of a batch gives the same rows";

fn of_query(query: &Query) -> Step {
    let near = query.body.span();
    if let Some(lock) = query.locks.first() {
        let name = match lock.lock_type {
            LockType::Share => "FOR SHARE",
            LockType::Update => "FOR UPDATE",
        };
        return clause(name, near, NO_LOCKS);
    }
    if let Some(form) = &query.for_clause {
        let name = match form {
            ForClause::Browse => "FOR BROWSE",
            ForClause::Json { .. } => "FOR JSON",
            ForClause::Xml { .. } => "FOR XML",
        };
        return clause(name, near, NO_OUTPUT);
    }
    if query.settings.is_some() {
        return clause("SETTINGS", near, "take it out");
    }
    if query.format_clause.is_some() {
        return clause("FORMAT", near, NO_OUTPUT);
    }
    ControlFlow::Continue(())
}

fn of_select(select: &Select) -> Step {
    let near = select.span();
    let modifiers = match &select.group_by {
        GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) => modifiers,
    };
    if let Some(modifier) = modifiers.first() {
        return match modifier {
            GroupByWithModifier::Rollup => clause("WITH ROLLUP", near, "write GROUP BY ROLLUP (a, b)"),
            GroupByWithModifier::Cube => clause("WITH CUBE", near, "write GROUP BY CUBE (a, b)"),
            GroupByWithModifier::Totals => clause("WITH TOTALS", near, "write GROUP BY GROUPING SETS ((a), ())"),
            GroupByWithModifier::GroupingSets(_) => {
                clause("GROUPING SETS", near, "write GROUP BY GROUPING SETS ((a), (b))")
            }
        };
    }
    if select.prewhere.is_some() {
        return clause("PREWHERE", near, "use WHERE");
    }
    if !select.connect_by.is_empty() {
        return clause("CONNECT BY", near, "use WITH RECURSIVE");
    }
    if select.into.is_some() {
        return clause("INTO", near, NO_OUTPUT);
    }
    ControlFlow::Continue(())
}

fn of_table(table: &TableFactor) -> Step {
    let near = table.span();
    let (sample, alias) = match table {
        TableFactor::Table { sample, alias, .. } | TableFactor::Derived { sample, alias, .. } => {
            (sample.as_ref(), alias)
        }
        TableFactor::Function { alias, .. } | TableFactor::UNNEST { alias, .. } => (None, alias),
        _ => return ControlFlow::Continue(()),
    };
    if let Some(TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) = sample {
        let name = match sample.modifier {
            TableSampleModifier::Sample => "SAMPLE",
            TableSampleModifier::TableSample => "TABLESAMPLE",
        };
        return clause(name, near, NO_SAMPLE);
    }
    of_named_table(table, near)?;
    match alias {
        Some(alias) => of_alias(alias),
        None => ControlFlow::Continue(()),
    }
}

fn of_named_table(table: &TableFactor, near: Span) -> Step {
    const ORDINALITY: &str = "use with_ordinality(list), which numbers the elements";
    match table {
        TableFactor::Function {
            with_ordinality: true, ..
        }
        | TableFactor::Table {
            with_ordinality: true, ..
        } => clause("WITH ORDINALITY", near, ORDINALITY),
        TableFactor::Table { partitions, .. } if !partitions.is_empty() => {
            clause("PARTITION", near, "choose rows with WHERE")
        }
        TableFactor::Table { with_hints, .. } if !with_hints.is_empty() => clause("WITH", near, "take the hints out"),
        _ => ControlFlow::Continue(()),
    }
}

fn of_alias(alias: &TableAlias) -> Step {
    match alias.columns.iter().find(|column| column.data_type.is_some()) {
        Some(typed) => {
            let name = "the type of a column of an alias";
            clause(name, typed.name.span, "use CAST in the SELECT list")
        }
        None => ControlFlow::Continue(()),
    }
}

/// The length of a text, which DataFusion does not heed.
fn of_type(to: &DataType, near: Span) -> Step {
    let (DataType::Varchar(Some(CharacterLength::IntegerLength { .. }))
    | DataType::Char(Some(CharacterLength::IntegerLength { .. }))
    | DataType::String(Some(_))) = to
    else {
        return ControlFlow::Continue(());
    };
    clause(
        format!("the length of {to}"),
        near,
        "to cut a text off use left(text, n), and VARCHAR without a length; the column of the entity refuses what is too long",
    )
}

/// Window functions that have no use for a null treatment.
const WITHOUT_NULLS: [&str; 6] = ["row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile"];

/// Aggregates over values as often as they occur, although DISTINCT is said. Those that refuse it, and those for which it makes
/// no difference, are not here.
fn counts_doubles(function: &str) -> bool {
    const NAMES: [&str; 3] = ["corr", "nth_value", "approx_percentile_cont"];
    NAMES.contains(&function) || function.starts_with("covar") || function.starts_with("regr_")
}

/// The name of a function as DataFusion looks it up. One of several parts is no function.
fn name_of(function: &Function) -> Option<String> {
    let [only] = &function.name.0[..] else { return None };
    let name = only.as_ident()?;
    Some(match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_lowercase(),
    })
}

/// What stands among a function's arguments: DISTINCT, ORDER BY, and a null treatment.
fn among_arguments(function: &Function) -> (bool, bool, bool) {
    let FunctionArguments::List(list) = &function.args else {
        return (false, false, false);
    };
    let any = |is: fn(&FunctionArgumentClause) -> bool| list.clauses.iter().any(is);
    (
        list.duplicate_treatment == Some(DuplicateTreatment::Distinct),
        any(|one| matches!(one, FunctionArgumentClause::OrderBy(_))),
        any(|one| matches!(one, FunctionArgumentClause::IgnoreOrRespectNulls(_))),
    )
}

impl Clauses<'_> {
    fn of_function(&self, expression: &Expr, function: &Function) -> Step {
        const PLAIN: &str = "take it out: the function is no aggregate";
        let near = function.name.span();
        let Some(name) = name_of(function) else {
            return ControlFlow::Continue(());
        };
        if function.parameters != FunctionArguments::None {
            let hint = "give all arguments in one pair of parentheses";
            return clause("a second list of arguments", near, hint);
        }
        if matches!(function.over, Some(WindowType::NamedWindow(_))) && !self.selected.contains(&address(expression)) {
            let hint = "write the window out: OVER (PARTITION BY ...), or name the result in a CTE";
            return clause("OVER", near, hint);
        }
        let (distinct, ordered, nulls) = among_arguments(function);
        let nulls = nulls || function.null_treatment.is_some();
        let scalar = self.session.scalar_functions().contains_key(&name)
            || self.session.higher_order_functions().contains_key(&name)
            || matches!(name.as_str(), "unnest" | "unnest_outer");
        let of_window = function.over.is_some() && self.session.window_functions().contains_key(&name);
        if scalar && function.over.is_some() {
            let hint = "take it out: the function is no window function and no aggregate";
            return clause("OVER", near, hint);
        }
        if (scalar || of_window) && function.filter.is_some() {
            return clause("FILTER", near, "use CASE WHEN ... THEN ... END in its arguments");
        }
        if distinct && (scalar || of_window || counts_doubles(&name)) {
            let hint = "take DISTINCT rows in a CTE, and the function over those";
            return clause("DISTINCT", near, hint);
        }
        if scalar && ordered {
            return clause("ORDER BY", near, PLAIN);
        }
        if scalar && !function.within_group.is_empty() {
            return clause("WITHIN GROUP", near, PLAIN);
        }
        if nulls && (scalar || (of_window && WITHOUT_NULLS.contains(&name.as_str()))) {
            let hint = "take it out: the function does not look at the values of rows";
            return clause("NULLS", near, hint);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
