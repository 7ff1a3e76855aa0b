//! The list of functions that transforms have beyond DataFusion's own: one file per family, one
//! line here. What each does for an analyst stands in docs/reference/sql-functions.md.

mod codes;
mod dates;

use std::sync::Arc;

use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;

use crate::error::{Error, Result};

/// Every function of ours.
fn all() -> Vec<ScalarUDF> {
    vec![
        dates::parse_date(),
        dates::try_parse_date(),
        dates::parse_timestamp(),
        dates::try_parse_timestamp(),
        codes::code_system(),
        codes::code_value(),
    ]
}

/// Makes ours and the JSON functions known to a session.
pub(super) fn register_all(context: &mut SessionContext) -> Result<()> {
    for function in all() {
        context
            .register_udf(Arc::new(function))
            .map_err(|e| Error::project("a function can't be registered").cause(e.strip_backtrace()))?;
    }
    datafusion_functions_json::register_all(context as &mut dyn FunctionRegistry)
        .map_err(|e| Error::project("the JSON functions can't be registered").cause(e.strip_backtrace()))
}
