//! Where in a transform's SQL a value may fail to fit, for the message of a batch that fails: a plan does not keep the
//! places of its expressions.

use std::ops::ControlFlow;
use std::path::Path;

use datafusion::sql::sqlparser::ast::{BinaryOperator, CastKind, Expr, Query, Spanned, Visit, Visitor};
use datafusion::sql::sqlparser::tokenizer::Location;

/// A part of an expression that may fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Cast,
    Division,
    Arithmetic,
    /// A function, by its name in lower case.
    Function(String),
}

/// The most places that a message lists.
const LISTED: usize = 4;

/// The parts of one transform's SQL that may fail, in its order.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Vec<(Part, Location)>);

impl Places {
    pub fn of(query: &Query) -> Self {
        let mut places = Self::default();
        let _ = query.visit(&mut places);
        places.0.sort_by_key(|(_, at)| (at.line, at.column));
        places
    }

    /// Says where these parts are: `sql/a/items.sql:3:12`, or several of those. Empty where there are none, or too many
    /// to be of help.
    pub fn say(&self, path: &Path, wanted: impl Fn(&Part) -> bool) -> String {
        let mut found: Vec<String> = self
            .0
            .iter()
            .filter(|(part, at)| at.line > 0 && wanted(part))
            .map(|(_, at)| format!("{}:{}:{}", path.display(), at.line, at.column))
            .collect();
        found.dedup();
        match found.len() {
            1 => format!(" in {}", found[0]),
            2..=LISTED => format!(" in one of {}", found.join(", ")),
            _ => String::new(),
        }
    }
}

impl Visitor for Places {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        use BinaryOperator as B;
        let part = match expression {
            Expr::Cast { kind, .. } if !matches!(kind, CastKind::TryCast | CastKind::SafeCast) => Part::Cast,
            Expr::TypedString(_) | Expr::AtTimeZone { .. } => Part::Cast,
            Expr::BinaryOp { op, .. } => match op {
                B::Divide | B::Modulo => Part::Division,
                B::Plus | B::Minus | B::Multiply => Part::Arithmetic,
                _ => return ControlFlow::Continue(()),
            },
            Expr::Function(function) => Part::Function(function.name.to_string().to_lowercase()),
            _ => return ControlFlow::Continue(()),
        };
        self.0.push((part, expression.span().start));
        ControlFlow::Continue(())
    }
}
