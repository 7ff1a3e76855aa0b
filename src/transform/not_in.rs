//! Finds what DataFusion 55 answers wrong where a null is among the values of a subquery (its issues 25340 and 25347):
//! `NOT IN (subquery)` and what comes to the same. Too many rows or too few, without an error. A test runs the wrong
//! queries in the engine itself, and fails when they are right.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::common::{Diagnostic, Span as DfSpan};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, JoinConstraint, JoinOperator, Query, Select, Spanned, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::Span;

const HINT: &str = "write `NOT EXISTS (SELECT 1 FROM ... WHERE the values are equal)`; for a value, `CASE WHEN EXISTS \
                    (...) THEN ... END`";

/// A form whose answer can't be relied on.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub message: String,
    pub span: Span,
    pub hint: &'static str,
}

impl Found {
    /// As an error of planning, with its place.
    pub fn planning(self) -> DataFusionError {
        let span = DfSpan::try_from_sqlparser_span(self.span);
        let diagnostic = Diagnostic::new_error(self.message.clone(), span).with_help(self.hint, None);
        DataFusionError::Plan(self.message).with_diagnostic(diagnostic)
    }
}

/// The first in a query, its subqueries and CTEs.
pub(super) fn in_query(query: &Query) -> Option<Found> {
    first(query, Forms::default())
}

/// The first in an expression that stands for itself, where false and null differ: a check's null passes.
pub(super) fn in_expression(expression: &Expr) -> Option<Found> {
    first(expression, Forms::default())
}

fn first(node: &impl Visit, mut forms: Forms) -> Option<Found> {
    match node.visit(&mut forms) {
        ControlFlow::Break(found) => Some(*found),
        ControlFlow::Continue(()) => None,
    }
}

/// Visits every expression; those that only choose rows are known by their address before they are met.
#[derive(Debug, Default)]
struct Forms {
    /// Conditions in which null and false come to the same.
    choosing: HashSet<usize>,
}

impl Visitor for Forms {
    type Break = Box<Found>;

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        let joins = select.from.iter().flat_map(|table| &table.joins);
        let on = joins.filter_map(|join| constraint(&join.join_operator));
        let conditions = [&select.selection, &select.having, &select.qualify];
        for condition in conditions.into_iter().flatten().chain(on) {
            self.chooses(condition);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Self::Break> {
        if let Expr::Case {
            operand: None,
            conditions,
            ..
        } = expression
        {
            for when in conditions {
                self.chooses(&when.condition);
            }
        }
        match self.wrong(expression) {
            Some(message) => ControlFlow::Break(Box::new(Found {
                message,
                span: expression.span(),
                hint: HINT,
            })),
            None => ControlFlow::Continue(()),
        }
    }
}

impl Forms {
    /// Walks down as long as null and false come to the same.
    fn chooses(&mut self, condition: &Expr) {
        self.choosing.insert(address(condition));
        match condition {
            Expr::Nested(inner) => self.chooses(inner),
            Expr::BinaryOp {
                left,
                op: BinaryOperator::And | BinaryOperator::Or,
                right,
            } => {
                self.chooses(left);
                self.chooses(right);
            }
            _ => {}
        }
    }

    fn wrong(&self, expression: &Expr) -> Option<String> {
        let only_chooses = self.choosing.contains(&address(expression));
        let form = match expression {
            Expr::InSubquery { negated: true, .. } => "`NOT IN (subquery)`",
            Expr::InSubquery { negated: false, .. } if !only_chooses => {
                "`IN (subquery)` under NOT, in a comparison or as a value"
            }
            Expr::AllOp {
                compare_op: BinaryOperator::NotEq,
                right,
                ..
            } if is_query(right) => "`<> ALL (subquery)`, which means NOT IN,",
            Expr::AnyOp {
                compare_op: BinaryOperator::Eq,
                right,
                ..
            } if is_query(right) && !only_chooses => {
                "`= ANY (subquery)`, which means IN, under NOT, in a comparison or as a value"
            }
            _ => return None,
        };
        Some(format!(
            "{form} can't be relied on: DataFusion 55 gives too many rows or too few where one of the values is null"
        ))
    }
}

fn is_query(expression: &Expr) -> bool {
    match expression {
        Expr::Subquery(_) => true,
        Expr::Nested(inner) => is_query(inner),
        _ => false,
    }
}

fn address(expression: &Expr) -> usize {
    std::ptr::from_ref(expression).addr()
}

fn constraint(operator: &JoinOperator) -> Option<&Expr> {
    use JoinOperator as J;
    match operator {
        J::Join(on)
        | J::Inner(on)
        | J::Left(on)
        | J::LeftOuter(on)
        | J::Right(on)
        | J::RightOuter(on)
        | J::FullOuter(on)
        | J::Semi(on)
        | J::LeftSemi(on)
        | J::RightSemi(on)
        | J::Anti(on)
        | J::LeftAnti(on)
        | J::RightAnti(on) => match on {
            JoinConstraint::On(condition) => Some(condition),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
