//! What the rows of a UNION and of an UNNEST derive from.

use std::collections::BTreeMap;

use datafusion::logical_expr::logical_plan::Unnest;

use super::shape::{Relation, Shape};

/// The rows of a UNION: each row comes from one of the inputs.
pub(super) fn either(inputs: Vec<Relation>, width: usize) -> Relation {
    let mut result = Relation::default().with_columns(vec![Shape::constant(); width]);
    // A column of several inputs is `batch_date` itself where it is so in each.
    let is_batch_date = |column: usize| {
        let mut all = inputs.iter().map(|input| input.columns.get(column));
        all.all(|shape| shape.is_some_and(|shape| shape.all().is_batch_date()))
    };
    let computed: Vec<usize> = (0..width).filter(|column| !is_batch_date(*column)).collect();
    for input in inputs {
        result.rows.add(&input.rows);
        result.order.add(&input.order);
        result.by_batch |= input.by_batch;
        if input.columns.len() == width {
            let columns = result.columns.into_iter().zip(input.columns);
            result.columns = columns.map(|(a, b)| a.or(b)).collect();
        } else {
            let all = input.all();
            result.columns = result.columns.into_iter().map(|column| column.with(&all)).collect();
        }
    }
    for column in computed {
        result.columns[column] = std::mem::replace(&mut result.columns[column], Shape::constant()).computed();
    }
    result
}

/// The same rows, with nested values taken as a whole.
pub(super) fn flat(relation: Relation) -> Relation {
    let columns = relation
        .columns
        .iter()
        .map(|column| Shape::Scalar(column.all()))
        .collect();
    relation.with_columns(columns)
}

/// The columns of an UNNEST. Each output column is an unchanged input column, an element of it at some depth, or one of
/// its struct fields in order.
pub(super) fn unnested(node: &Unnest, input: &Relation) -> Relation {
    let mut rows = input.rows.clone();
    let mut columns = Vec::with_capacity(node.dependency_indices.len());
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    for &index in &node.dependency_indices {
        let nth = seen.entry(index).or_default();
        let shape = input
            .columns
            .get(index)
            .cloned()
            .unwrap_or_else(|| Shape::Scalar(input.all()));
        let mut lists = node.list_type_columns.iter().filter(|(i, _)| *i == index);
        columns.push(if let Some((_, list)) = lists.nth(*nth) {
            let mut shape = shape;
            for _ in 0..list.depth {
                let (element, own) = shape.element();
                rows.add(&own.indirect());
                shape = element;
            }
            shape
        } else if node.struct_type_columns.contains(&index) {
            shape.nth_field(*nth)
        } else {
            shape
        });
        *nth += 1;
    }
    Relation {
        columns,
        rows,
        order: input.order.clone(),
        by_batch: input.by_batch,
    }
}
