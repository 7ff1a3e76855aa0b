//! Decodes a JSON record into columns. The declared schema says what to expect at each depth.

use std::sync::Arc;

use super::super::failure::Fault;
use super::super::unknown::Sightings;
use super::column::{Column, Values};
use super::cursor::{Bad, Cursor, Kind};
use super::plan::{Group, Node, Scalar, ScalarKind, Shape};
use super::text::{push_clean, push_number, push_reference};
use crate::model::From;
use crate::model::refusal::{MALFORMED, UNKNOWN_FIELD};

/// What a Reference may hold beside its text (FHIR R5, 2.3.0).
const BESIDE_REFERENCE: [&str; 7] = [
    "identifier",
    "display",
    "id",
    "extension",
    "_reference",
    "_type",
    "_display",
];

/// Decodes a record into the next row of `columns`. After an error they hold a part of it, which the caller removes.
pub(super) fn record(
    text: &str,
    root: &Group,
    columns: &mut [Column],
    unknown: &mut Sightings<'_>,
    strict: bool,
) -> Result<(), Fault> {
    let mut walk = Walk {
        cursor: Cursor::new(text),
        unknown,
        strict,
    };
    let row = columns.first().map_or(0, Column::len);
    match walk.cursor.kind().map_err(in_(&root.path))? {
        Kind::Object => walk.group(root, columns, row)?,
        other => return Err(walk.fault(&root.path, format!("the record is {}, not an object", named(other)))),
    }
    walk.cursor.end().map_err(in_(&root.path))
}

/// Decodes the text of one value into the next row of its column. After an error the column holds a part of it, which
/// the caller removes.
pub(super) fn value(text: &str, node: &Node, column: &mut Column) -> Result<(), Fault> {
    let mut walk = Walk {
        cursor: Cursor::new(text),
        unknown: &mut Sightings::new(0, None),
        strict: false,
    };
    walk.value(node, column)
}

struct Walk<'a, 'u, 'n> {
    cursor: Cursor<'a>,
    unknown: &'u mut Sightings<'n>,
    /// Whether an undeclared field is a fault.
    strict: bool,
}

impl Walk<'_, '_, '_> {
    fn fault(&self, path: &Arc<str>, reason: impl Into<super::Reason>) -> Fault {
        Fault {
            path: Arc::clone(path),
            at: self.cursor.at(),
            check: MALFORMED,
            reason: reason.into(),
        }
    }

    /// Decodes an object into row `row` of its fields' columns. A column that has this row already has had its key, so
    /// a second one is a fault.
    fn group(&mut self, group: &Group, columns: &mut [Column], row: usize) -> Result<(), Fault> {
        let path = &group.path;
        let start = self.cursor.at();
        self.cursor.enter().map_err(in_(path))?;
        let mark = self.cursor.keys_mark();
        let mut expected = 0;
        let mut first = true;
        while let Some(key) = self.cursor.next_key(first).map_err(in_(path))? {
            first = false;
            let Some(index) = group.find(&key, expected) else {
                let aside = group.is_aside(&key);
                if self.strict && !aside {
                    return Err(Fault {
                        check: UNKNOWN_FIELD,
                        ..self.fault(path, "a field that is not declared")
                    });
                }
                if !aside {
                    self.unknown.meet(group.id, &key);
                }
                self.cursor.remember(key);
                self.cursor.skip_value().map_err(in_(path))?;
                continue;
            };
            let (node, column) = (&group.fields[index], &mut columns[index]);
            if column.len() > row {
                return Err(Fault {
                    check: MALFORMED,
                    ..self.fault(&node.path, "the key stands twice in one object")
                });
            }
            self.value(node, column)?;
            expected = index + 1;
        }
        self.cursor.forget(mark).map_err(in_(path))?;
        for (node, column) in group.fields.iter().zip(columns) {
            if column.len() == row {
                if node.required {
                    return Err(Fault {
                        path: Arc::clone(&node.path),
                        at: start,
                        check: MALFORMED,
                        reason: "required, but missing".into(),
                    });
                }
                column.push_null();
            }
        }
        Ok(())
    }

    fn value(&mut self, node: &Node, column: &mut Column) -> Result<(), Fault> {
        let path = &node.path;
        let kind = self.cursor.kind().map_err(in_(path))?;
        if kind == Kind::Null {
            if node.required {
                let missing = self.fault(path, "required, but null");
                // A broken word such as `nul` is not a null but invalid JSON, which is the fault to report.
                self.cursor.null().map_err(in_(path))?;
                return Err(missing);
            }
            self.cursor.null().map_err(in_(path))?;
            column.push_null();
            return Ok(());
        }
        match (&node.shape, column.values(), kind) {
            (Shape::Scalar(scalar), _, Kind::Object) if matches!(scalar.kind, ScalarKind::Reference(_)) => {
                self.reference(node, scalar, column)
            }
            (Shape::Scalar(scalar), ..) => self.scalar(node, scalar, column, kind),
            (Shape::Json, ..) => {
                let start = self.cursor.at();
                self.cursor.skip_value().map_err(in_(path))?;
                column.push_str(self.cursor.since(start));
                Ok(())
            }
            (Shape::Struct(group), Values::Struct(children), Kind::Object) => {
                let row = children.first().map_or(0, Column::len);
                self.group(group, children, row)?;
                column.valid();
                Ok(())
            }
            (Shape::List(item), Values::List { item: items, .. }, Kind::Array) => {
                self.cursor.enter().map_err(in_(path))?;
                let mut first = true;
                while self.cursor.next_element(first).map_err(in_(path))? {
                    first = false;
                    self.value(item, items)?;
                }
                column.end_list();
                Ok(())
            }
            (Shape::List(item), Values::List { item: items, .. }, _) if node.one_or_many => {
                self.value(item, items)?;
                column.end_list();
                Ok(())
            }
            _ => Err(self.unfit(node, kind)),
        }
    }

    fn scalar(&mut self, node: &Node, scalar: &Scalar, column: &mut Column, kind: Kind) -> Result<(), Fault> {
        use ScalarKind as S;
        let path = &node.path;
        let start = self.cursor.at();
        let is_text = matches!(
            scalar.kind,
            S::String | S::Date(_) | S::Timestamp(_) | S::TimestampTz(_) | S::Partial(_) | S::Reference(_)
        );
        let (from_text, from_number) = match scalar.from {
            Some(From::Either) => (true, true),
            Some(From::String) => (true, false),
            Some(From::Number) => (false, true),
            None => (is_text, !is_text),
        };
        let result = match kind {
            Kind::String if from_text => {
                let text = self.cursor.string().map_err(in_(path))?;
                push_clean(&text, scalar, column)
            }
            Kind::Number if from_number && !matches!(scalar.kind, S::Bool) => {
                let text = self.cursor.number().map_err(in_(path))?;
                push_number(text, scalar, column)
            }
            Kind::Bool if matches!(scalar.kind, S::Bool) && !from_text => {
                let value = self.cursor.bool().map_err(in_(path))?;
                push_clean(if value { "true" } else { "false" }, scalar, column)
            }
            _ => return Err(self.unfit(node, kind)),
        };
        result.map_err(|breach| Fault {
            path: Arc::clone(path),
            at: start,
            check: breach.check,
            reason: breach.reason,
        })
    }

    /// Decodes an object of FHIR's type Reference. Only `reference` and `type` are taken: `display` and `identifier` may
    /// name a person.
    fn reference(&mut self, node: &Node, scalar: &Scalar, column: &mut Column) -> Result<(), Fault> {
        let path = &node.path;
        let start = self.cursor.at();
        let fault = |at: usize, check: &'static str, reason: super::Reason| Fault {
            path: Arc::clone(path),
            at,
            check,
            reason,
        };
        self.cursor.enter().map_err(in_(path))?;
        let mark = self.cursor.keys_mark();
        let (mut text, mut of_type, mut first) = (None, None, true);
        let mut place = start;
        while let Some(key) = self.cursor.next_key(first).map_err(in_(path))? {
            first = false;
            let wanted = match &*key {
                "reference" => Some(&mut text),
                "type" => Some(&mut of_type),
                other if self.strict && !BESIDE_REFERENCE.contains(&other) => {
                    let reason = "a field that a reference does not have".into();
                    return Err(fault(self.cursor.at(), UNKNOWN_FIELD, reason));
                }
                _ => None,
            };
            let is_text = wanted.is_some();
            let is_reference = &*key == "reference";
            self.cursor.remember(key);
            let kind = self.cursor.kind().map_err(in_(path))?;
            if is_reference {
                place = self.cursor.at();
            }
            match (wanted, kind) {
                (Some(wanted), Kind::String) => *wanted = Some(self.cursor.string().map_err(in_(path))?),
                (_, found) if is_text && found != Kind::Null => {
                    let reason = format!("{} in a reference, where a text is expected", named(found)).into();
                    return Err(fault(self.cursor.at(), MALFORMED, reason));
                }
                _ => self.cursor.skip_value().map_err(in_(path))?,
            }
        }
        self.cursor.forget(mark).map_err(in_(path))?;
        match text {
            Some(text) => push_reference(&text, of_type.as_deref(), scalar, column)
                .map_err(|breach| fault(place, breach.check, breach.reason)),
            None if node.required => Err(fault(start, MALFORMED, "required, but it holds no `reference`".into())),
            None => {
                column.push_null();
                Ok(())
            }
        }
    }

    fn unfit(&self, node: &Node, found: Kind) -> Fault {
        let declared = node.declared();
        let from = match &node.shape {
            Shape::Scalar(scalar) => scalar.from,
            _ => None,
        };
        let origin = match from {
            Some(From::String) => " from a string",
            Some(From::Number) => " from a number",
            Some(From::Either) => " from a string or a number",
            None => "",
        };
        self.fault(
            &node.path,
            format!("{} where {declared}{origin} is declared", named(found)),
        )
    }
}

fn in_(path: &Arc<str>) -> impl Fn(Bad) -> Fault {
    |bad| Fault {
        path: Arc::clone(path),
        at: bad.at,
        check: MALFORMED,
        reason: bad.reason,
    }
}

fn named(kind: Kind) -> &'static str {
    match kind {
        Kind::Object => "an object",
        Kind::Array => "a list",
        Kind::String => "a string",
        Kind::Number => "a number",
        Kind::Bool => "a boolean",
        Kind::Null => "null",
    }
}
