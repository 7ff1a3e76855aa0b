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
    let Some(own) = header.kinds.get(decoding.kind) else {
        return Err(whole("the header does not fit the kind".into()));
    };
    if let Some(reason) = &own.unfit {
        return Err(whole(reason.clone()));
    }
    let mut count = 0;
    for cell in Cells::new(text, &decoding.csv) {
        let cell = cell.map_err(whole)?;
        match own.fields.get(count) {
            None => {}
            Some(None) if own.is_aside(count, is_null(&cell, &decoding.csv.nulls)) => {}
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
    if count != own.fields.len() {
        let reason = format!("a row of {count} cells where there are {} columns", own.fields.len());
        return Err(whole(reason.into()));
    }
    own.lacking.iter().for_each(|index| columns[*index].push_null());
    Ok(())
}

fn is_null(cell: &str, nulls: &[String]) -> bool {
    cell.is_empty() || nulls.iter().any(|null| null == cell)
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
