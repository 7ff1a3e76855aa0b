//! Finds the query in a view's file. It is the file itself, or the body of a function in plain SQL.

use datafusion::sql::sqlparser::ast::{
    ArgMode, CreateFunction, CreateFunctionBody, DataType, Expr, FunctionReturnType, Query, Statement,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::names;
use crate::model::{View, ViewKind};
use crate::transform::is_too_deep;

/// The query of a view or a function.
pub(super) struct Body {
    /// As it is planned: parameters of a function are columns of a row around it.
    pub query: Statement,
    /// As it is written.
    pub written: Statement,
    /// The column names in the function's signature.
    declared: Option<Vec<String>>,
    returned: Option<Vec<String>>,
}

impl Body {
    /// The names of the columns, if they are known without looking at the tables.
    pub fn names(&self, view: &View) -> Option<Vec<String>> {
        match (&self.declared, &self.returned) {
            (Some(declared), _) => Some(declared.clone()),
            // A function that returns a single value has one column, with the function's name.
            (None, Some(returned)) if view.kind == ViewKind::Function && returned.len() == 1 => {
                Some(vec![view.name.clone()])
            }
            (None, returned) => returned.clone(),
        }
    }
}

/// The query of a view's file. `None` if the file is not a single query that can be read here.
pub(super) fn of(view: &View) -> Option<Body> {
    match (one_statement(&view.sql)?, view.kind) {
        (Statement::Query(query), ViewKind::View | ViewKind::Materialized) => {
            let returned = names::output(&query);
            let query = Statement::Query(query);
            Some(Body {
                written: query.clone(),
                query,
                declared: None,
                returned,
            })
        }
        (Statement::CreateFunction(function), ViewKind::Function) => of_function(&function),
        _ => None,
    }
}

fn of_function(function: &CreateFunction) -> Option<Body> {
    if function
        .language
        .as_ref()
        .is_some_and(|language| !language.value.eq_ignore_ascii_case("sql"))
    {
        return None;
    }
    let query = query_of(function.function_body.as_ref()?)?;
    let (declared, returned) = (declared(function), names::output(&query));
    Some(Body {
        query: with_parameters(function, &query)?,
        written: Statement::Query(query),
        declared,
        returned,
    })
}

fn query_of(body: &CreateFunctionBody) -> Option<Box<Query>> {
    let (CreateFunctionBody::AsBeforeOptions { body, .. } | CreateFunctionBody::AsAfterOptions(body)) = body else {
        return None;
    };
    let Expr::Value(value) = body else { return None };
    match one_statement(&value.value.clone().into_string()?)? {
        Statement::Query(query) => Some(query),
        _ => None,
    }
}

/// Turns the function's parameters into columns of a row around the query. As in PostgreSQL, a column of the same name
/// inside the query wins.
fn with_parameters(function: &CreateFunction, query: &Query) -> Option<Statement> {
    let given = function
        .args
        .iter()
        .flatten()
        .filter(|arg| !matches!(arg.mode, Some(ArgMode::Out)));
    let named = given.filter_map(|arg| Some(format!("CAST(NULL AS {}) AS {}", arg.data_type, arg.name.as_ref()?)));
    let parameters: Vec<String> = named.collect();
    if parameters.is_empty() {
        return Some(Statement::Query(Box::new(query.clone())));
    }
    let parameters = parameters.join(", ");
    one_statement(&format!(
        "SELECT _body.* FROM (SELECT {parameters}) AS _parameters CROSS JOIN LATERAL ({query}) AS _body"
    ))
}

/// The column names of `RETURNS TABLE (...)` or of OUT parameters.
fn declared(function: &CreateFunction) -> Option<Vec<String>> {
    if let Some(FunctionReturnType::DataType(DataType::Table(Some(columns)))) = &function.return_type {
        return Some(columns.iter().map(|column| names::identifier(&column.name)).collect());
    }
    let out = function
        .args
        .iter()
        .flatten()
        .filter(|arg| matches!(arg.mode, Some(ArgMode::Out | ArgMode::InOut)));
    let out: Option<Vec<String>> = out.map(|arg| arg.name.as_ref().map(names::identifier)).collect();
    out.filter(|names| !names.is_empty())
}

fn one_statement(sql: &str) -> Option<Statement> {
    if is_too_deep(sql) {
        return None;
    }
    let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).ok()?;
    if statements.len() == 1 { statements.pop() } else { None }
}
