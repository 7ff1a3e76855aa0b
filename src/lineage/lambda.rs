//! What a function over the elements of a list derives from, its lambda read with each variable as an element.

use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::HigherOrderFunction;

use super::analysis::{Analysis, Scope};
use super::shape::Shape;

impl Analysis<'_> {
    pub fn variable(&self, name: &str) -> Shape {
        let known = self.variables.iter().rev().find(|(known, _)| known == name);
        known.map_or_else(Shape::constant, |(_, shape)| shape.clone())
    }

    /// A function that is not known here derives from all of the list and of the lambda.
    pub fn over_elements(&self, whole: &Expr, function: &HigherOrderFunction, scope: &Scope<'_>) -> Result<Shape> {
        let all = || self.parts(whole, scope).map(Shape::Scalar);
        let [list, Expr::Lambda(lambda)] = function.args.as_slice() else {
            return all();
        };
        let [variable] = lambda.params.as_slice() else {
            return all();
        };
        let list = self.expression(list, scope)?;
        let (item, own) = list.element();
        let mut variables = self.variables.clone();
        variables.push((variable.clone(), item.clone()));
        let inner = Analysis {
            tables: self.tables,
            working: self.working.clone(),
            variables,
            uses: self.uses,
            mentioned: self.mentioned,
        };
        let body = inner.expression(&lambda.body, scope)?;
        Ok(match function.func.name() {
            "array_filter" => Shape::List {
                item: Box::new(item),
                own: own.and(&body.all()),
            },
            "array_transform" => Shape::List {
                item: Box::new(body),
                own,
            },
            "array_any_match" => Shape::Scalar(own.and(&body.all())),
            "array_first" => item.with(&own.and(&body.all())),
            _ => return all(),
        })
    }
}
