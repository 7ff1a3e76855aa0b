//! Lists the functions that a transform may call, with their documentation, for editors.

use std::collections::BTreeMap;

use datafusion::logical_expr::{Documentation, Volatility};

use super::session::Engine;

/// A function that a transform may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlFunction {
    pub name: String,
    /// How it is called: `code_system(text)`.
    pub call: String,
    /// What it gives, as Markdown. Empty where nobody has written it down.
    pub about: String,
    /// The names and descriptions of its arguments.
    pub arguments: Vec<(String, String)>,
}

impl SqlFunction {
    fn new(name: &str, documentation: Option<&Documentation>) -> Self {
        let call = documentation.map_or_else(
            || format!("{name}(...)"),
            |known| known.syntax_example.trim().to_owned(),
        );
        Self {
            name: name.to_owned(),
            call,
            about: documentation.map_or_else(String::new, |known| known.description.trim().to_owned()),
            arguments: documentation
                .and_then(|known| known.arguments.clone())
                .unwrap_or_default(),
        }
    }
}

impl Engine {
    /// All functions of transforms, sorted by name, each alias by itself. What depends on chance or the clock is left out,
    /// since transforms may not call it.
    pub fn functions(&self) -> Vec<SqlFunction> {
        let state = self.state();
        let mut all: BTreeMap<&str, Option<&Documentation>> = BTreeMap::new();
        let steady = state
            .scalar_functions()
            .iter()
            .filter(|(_, function)| function.signature().volatility == Volatility::Immutable);
        all.extend(steady.map(|(name, function)| (name.as_str(), function.documentation())));
        all.extend(
            state
                .aggregate_functions()
                .iter()
                .map(|(name, f)| (name.as_str(), f.documentation())),
        );
        all.extend(
            state
                .window_functions()
                .iter()
                .map(|(name, f)| (name.as_str(), f.documentation())),
        );
        all.extend(
            state
                .higher_order_functions()
                .iter()
                .map(|(name, f)| (name.as_str(), f.documentation())),
        );
        // DataFusion plans it by itself, so it is registered nowhere.
        let unnest = "One row for each element of a list. It stands in the SELECT list.";
        let mut functions: Vec<SqlFunction> = all
            .into_iter()
            .map(|(name, known)| SqlFunction::new(name, known))
            .collect();
        functions.push(SqlFunction {
            name: "unnest".to_owned(),
            call: "unnest(list)".to_owned(),
            about: unnest.to_owned(),
            arguments: Vec::new(),
        });
        functions.sort_by(|a, b| a.name.cmp(&b.name));
        functions.dedup_by(|a, b| a.name == b.name);
        functions
    }
}
