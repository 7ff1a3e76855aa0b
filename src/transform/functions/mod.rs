//! The functions that transforms have beyond DataFusion's own. Each family has one file and one line here.
//! docs/reference/sql-functions.md describes them for users.

mod codes;
mod dates;
mod ordinality;

use std::sync::Arc;

use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{DocSection, Documentation, ScalarUDF};
use datafusion::prelude::SessionContext;

use super::wording::words;
use crate::error::{Error, Result};

/// All functions of this module.
fn all() -> Vec<ScalarUDF> {
    vec![
        dates::parse_date(),
        dates::try_parse_date(),
        dates::parse_timestamp(),
        dates::try_parse_timestamp(),
        codes::code_system(),
        codes::code_value(),
        ordinality::with_ordinality(),
    ]
}

/// What the language server shows of a function: how it is called, and a sentence or two.
fn documented(call: impl Into<String>, about: impl Into<String>) -> Documentation {
    Documentation::builder(DocSection::default(), about, call).build()
}

/// Registers these functions and the JSON functions in a session.
pub(super) fn register_all(context: &mut SessionContext) -> Result<()> {
    for function in all() {
        context
            .register_udf(Arc::new(function))
            .map_err(|e| Error::project("a function can't be registered").cause(words(&e)))?;
    }
    datafusion_functions_json::register_all(context as &mut dyn FunctionRegistry)
        .map_err(|e| Error::project("the JSON functions can't be registered").cause(words(&e)))
}
