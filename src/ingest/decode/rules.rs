//! Applies the rules that a source's schema has for a field's values, while they are decoded. A text is normalized
//! before it is read: `trim` and `upper` turn ` a1` into `A1`. The value is checked afterwards. A field without rules
//! never comes here. No reason holds a value.

use std::borrow::Cow;
use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::nullif;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow::error::ArrowError;

use super::column::{Column, Values};
use crate::model::refusal::{MALFORMED, Reason};
use crate::model::{Literal, ValueRules, normalized};

/// Why a value is refused: the name of the check, and the reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub check: &'static str,
    pub reason: Reason,
}

impl<R: Into<Reason>> From<R> for Breach {
    fn from(reason: R) -> Self {
        Self {
            check: MALFORMED,
            reason: reason.into(),
        }
    }
}

const MATCHES: Breach = breach("matches", "it does not match the pattern");
const LENGTH: Breach = breach("length", "its length is not within bounds");
const ACCEPTED_VALUES: Breach = breach("accepted_values", "it is none of the accepted values");
const RANGE: Breach = breach("range", "it is out of range");

const fn breach(check: &'static str, reason: &'static str) -> Breach {
    Breach {
        check,
        reason: Cow::Borrowed(reason),
    }
}

/// The rules of one scalar field.
#[derive(Debug)]
pub(crate) struct Rules {
    declared: ValueRules,
    /// The accepted texts. They are hashed, since lists of codes may be long.
    texts: HashSet<String>,
    /// Whether a null is refused, including a text or value that stands for one.
    required: bool,
}

impl Rules {
    /// Prepares the rules of a field. `None`: it has none, so its values need no further step.
    pub fn new(rules: &ValueRules, required: bool) -> Option<Box<Self>> {
        let idle = rules.normalize.is_empty()
            && rules.nulls.is_empty()
            && rules.matches.is_none()
            && rules.length.is_none()
            && rules.accepted_values.is_empty()
            && rules.range.is_none();
        let text = |literal: &Literal| match literal {
            Literal::Text(text) => Some(text.clone()),
            _ => None,
        };
        (!idle).then(|| {
            Box::new(Self {
                declared: rules.clone(),
                texts: rules.accepted_values.iter().filter_map(text).collect(),
                required,
            })
        })
    }

    /// Normalizes a text, reads it into its column by `read`, and checks the value. A text or value that stands for
    /// null becomes null.
    pub fn push(
        &self,
        text: &str,
        column: &mut Column,
        read: impl FnOnce(&str, &mut Column) -> Result<(), Reason>,
    ) -> Result<(), Breach> {
        let nulls = &self.declared.nulls;
        let text =
            normalized(&self.declared.normalize, text).filter(|text| !nulls.texts.iter().any(|null| null == text));
        let Some(text) = text else {
            return self.push_null(column);
        };
        let rows = column.len();
        read(&text, column)?;
        if !nulls.values.is_empty() && last(column, &text).is_some_and(|value| nulls.values.contains(&value)) {
            column.truncate(rows);
            return self.push_null(column);
        }
        match column.peek() {
            Values::Utf8 { .. } => self.check_text(&text),
            _ => last(column, &text).map_or(Ok(()), |value| self.check_value(&value)),
        }
    }

    fn push_null(&self, column: &mut Column) -> Result<(), Breach> {
        if self.required {
            return Err("required, but null".into());
        }
        column.push_null();
        Ok(())
    }

    fn check_text(&self, text: &str) -> Result<(), Breach> {
        let rules = &self.declared;
        if let Some(length) = &rules.length
            && !length.hold(&(text.chars().count() as u64))
        {
            return Err(LENGTH);
        }
        if rules.matches.as_ref().is_some_and(|pattern| !pattern.is_match(text)) {
            return Err(MATCHES);
        }
        if self.texts.is_empty() || self.texts.contains(text) {
            Ok(())
        } else {
            Err(ACCEPTED_VALUES)
        }
    }

    fn check_value(&self, value: &Literal) -> Result<(), Breach> {
        let rules = &self.declared;
        if rules.range.as_ref().is_some_and(|range| !range.hold(value)) {
            return Err(RANGE);
        }
        if rules.accepted_values.is_empty() || rules.accepted_values.contains(value) {
            Ok(())
        } else {
            Err(ACCEPTED_VALUES)
        }
    }

    /// Checks the values of an array of any type but text. Returns the array with null in place of the values that
    /// stand for it, and the rows with a value that breaks a rule.
    pub fn check_array(&self, array: ArrayRef) -> Result<(ArrayRef, Vec<(usize, Breach)>), ArrowError> {
        let mut breaches = Vec::new();
        let nulls = &self.declared.nulls.values;
        let mut stand_ins = vec![false; if nulls.is_empty() { 0 } else { array.len() }];
        for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
            let Some(value) = value_at(&array, row) else { break };
            if nulls.contains(&value) {
                stand_ins[row] = true;
            } else if let Err(breach) = self.check_value(&value) {
                breaches.push((row, breach));
            }
        }
        if !stand_ins.contains(&true) {
            return Ok((array, breaches));
        }
        Ok((nullif(&array, &BooleanArray::from(stand_ins))?, breaches))
    }
}

/// The last value of a column. `None`: it is a text or a list. A bool is recognised by `text`, from which it
/// was read.
fn last(column: &Column, text: &str) -> Option<Literal> {
    Some(match column.peek() {
        Values::Bool(_) => Literal::Bool(text == "true"),
        Values::Int32(values) | Values::Date(values) => Literal::number(*values.last()?),
        Values::Int64(values) | Values::Micros(values) => Literal::number(*values.last()?),
        Values::Decimal(values) => Literal::number(*values.last()?),
        Values::Float64(values) => Literal::Double(*values.last()?),
        // A partial date or time, whose first child is its first moment; or a reference, whose first is a text.
        Values::Struct(children) => return last(children.first()?, text),
        Values::Utf8 { .. } | Values::List { .. } => return None,
    })
}

fn value_at(array: &ArrayRef, row: usize) -> Option<Literal> {
    Some(match array.data_type() {
        DataType::Boolean => Literal::Bool(array.as_boolean().value(row)),
        DataType::Int32 => Literal::number(array.as_primitive::<Int32Type>().value(row)),
        DataType::Date32 => Literal::number(array.as_primitive::<Date32Type>().value(row)),
        DataType::Int64 => Literal::number(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Literal::Double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => Literal::number(array.as_primitive::<Decimal128Type>().value(row)),
        DataType::Timestamp(..) => Literal::number(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
