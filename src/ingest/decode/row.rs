//! Decodes a csv row into columns. The file's header says which field a cell belongs to, and [`push_text`] reads it.

use std::sync::Arc;

use super::super::failure::Fault;
use super::super::split::{Cells, CsvHeader};
use super::super::unknown::Sightings;
use super::{Breach, Column, Decoding, Node, ScalarKind, Shape, check_json, push_text};
use crate::model::OnUnknownField;
use crate::model::refusal::{MALFORMED, Reason, UNKNOWN_FIELD};

pub(super) fn record(
    text: &str,
    header: &CsvHeader,
    decoding: &Decoding,
    columns: &mut [Column],
    unknown: &mut Sightings<'_>,
) -> Result<(), Fault> {
    let root = &decoding.plan.root;
    let whole = |reason: Reason| Fault {
        path: Arc::clone(&root.path),
        at: 0,
        check: MALFORMED,
        reason,
    };
    let mut count = 0;
    for cell in Cells::new(text, &decoding.csv) {
        let cell = cell.map_err(whole)?;
        match header.columns.get(count) {
            None => {}
            Some(None) if decoding.on_unknown_field == OnUnknownField::Fail => {
                return Err(Fault {
                    check: UNKNOWN_FIELD,
                    ..whole("a column that is not declared".into())
                });
            }
            Some(None) => unknown.meet(root.id, header.undeclared(count)),
            Some(Some(index)) => {
                let node = &root.fields[*index];
                let result = push_cell(&cell, node, &decoding.csv.nulls, &mut columns[*index]);
                result.map_err(|breach| Fault {
                    path: Arc::clone(&node.path),
                    at: 0,
                    check: breach.check,
                    reason: breach.reason,
                })?;
            }
        }
        count += 1;
    }
    if count != header.columns.len() {
        let reason = format!(
            "a row of {count} cells where there are {} columns",
            header.columns.len()
        );
        return Err(whole(reason.into()));
    }
    header.lacking.iter().for_each(|index| columns[*index].push_null());
    Ok(())
}

pub(super) fn push_cell(cell: &str, node: &Node, nulls: &[String], column: &mut Column) -> Result<(), Breach> {
    let is_string = matches!(&node.shape, Shape::Scalar(scalar) if matches!(scalar.kind, ScalarKind::String));
    if nulls.iter().any(|null| null == cell) || (cell.is_empty() && !is_string) {
        if node.required {
            return Err("required, but null".into());
        }
        column.push_null();
        return Ok(());
    }
    match &node.shape {
        Shape::Scalar(scalar) => push_text(cell, scalar, column),
        Shape::Json => {
            check_json(cell)?;
            column.push_str(cell);
            Ok(())
        }
        Shape::Struct(_) | Shape::List(_) => Err(format!("{} can't be in a csv file", node.declared()).into()),
    }
}
