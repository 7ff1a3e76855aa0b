//! The context for reading a plan: the tables that it may read, and the rows that an expression sees. The reading
//! itself is in `plan` and `expression`, which call each other.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::{Column, DFSchema, Span};

use super::shape::{Deps, Relation, Shape};

/// A table that a query may read.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub columns: Vec<(String, Shape)>,
    /// The fields that decide which rows the table has.
    pub rows: Deps,
    /// The fields that decide only the order of its rows.
    pub order: Deps,
    /// As [`Relation::by_batch`].
    pub by_batch: bool,
}

/// The tables of a query, by name.
pub(super) type Tables = BTreeMap<String, Table>;

/// A value that tells rows apart or puts them together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Use {
    /// In SQL's words: `GROUP BY`.
    pub what: &'static str,
    pub deps: Deps,
    /// Whether it tells no more than that there is a value.
    pub presence: bool,
    pub span: Option<Span>,
}

/// One reading of a plan.
pub(super) struct Analysis<'a> {
    pub tables: &'a Tables,
    /// The recursive queries that enclose this part of the plan, by name, with what is known about each so far.
    pub working: Vec<(String, Relation)>,
    /// The variables of the lambdas around.
    pub variables: Vec<(String, Shape)>,
    /// What tells rows apart or puts them together, as far as it was met.
    pub uses: &'a RefCell<Vec<Use>>,
    /// The columns of entities that show the batch's date and that the query names, as `table.column`.
    pub mentioned: &'a RefCell<BTreeSet<String>>,
}

/// The rows that an expression reads. In a subquery, also the rows of the enclosing query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub schema: &'a DFSchema,
    pub columns: &'a [Shape],
    /// The fields that decide the order of the rows.
    pub order: &'a Deps,
    /// As [`Relation::by_batch`].
    pub by_batch: bool,
    pub outer: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    pub fn column(&self, column: &Column) -> Option<Shape> {
        let index = self.schema.maybe_index_of_column(column)?;
        self.columns.get(index).cloned()
    }

    pub fn outer_column(&self, column: &Column) -> Option<Shape> {
        let outer = self.outer?;
        outer.column(column).or_else(|| outer.outer_column(column))
    }

    /// Everything that is visible here. Used for a column that can't be found.
    pub fn everything(&self) -> Shape {
        let here = self.columns.iter().fold(Deps::default(), |deps, c| deps.and(&c.all()));
        let around = self.outer.map_or_else(Shape::constant, Scope::everything);
        Shape::Scalar(here.and(&around.all())).computed()
    }
}
