//! Counts times that are finer than a microsecond. No type here holds them, so they are cut off. A warning says so once
//! per batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::column::{Column, Values};
use super::plan::{Node, Shape};

/// How many values were cut, by the path of their field.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Cuts(BTreeMap<Box<str>, u64>);

impl Cuts {
    pub fn count(&mut self, path: &Arc<str>, values: usize) {
        if values > 0 {
            *self.0.entry(Box::from(&**path)).or_default() += values as u64;
        }
    }

    pub fn add(&mut self, other: Self) {
        for (path, count) in other.0 {
            *self.0.entry(path).or_default() += count;
        }
    }

    /// Adds the counts of a column and of all columns below it.
    pub fn add_column(&mut self, column: &Column, node: &Node) {
        self.count(&node.path, column.cut.len());
        match (column.peek(), &node.shape) {
            // Of a partial time, the first child is the time.
            (Values::Struct(children), Shape::Scalar(_)) => {
                for child in children {
                    self.count(&node.path, child.cut.len());
                }
            }
            (Values::Struct(children), Shape::Struct(group)) => {
                for (child, field) in children.iter().zip(&group.fields) {
                    self.add_column(child, field);
                }
            }
            (Values::List { item, .. }, Shape::List(node)) => self.add_column(item, node),
            _ => {}
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(path, count)| (&**path, *count))
    }
}
