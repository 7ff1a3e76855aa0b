//! Converts the arrays of a parquet file into arrays of the declared types. A value that would lose something is a
//! fault with its row, and null in the array; only the parts of a timestamp below a microsecond are cut off.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, ListArray, StringArray, StructArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, filter};
use arrow::datatypes::{
    DataType, Date32Type, Field, Fields, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow::error::ArrowError;
use chrono::NaiveDate;

use super::super::decode::{Breach, Column, Cuts, Group, Node, Scalar, ScalarKind, Shape, check_json, push_text};
use super::exact;
use super::types::{is_number, item_of, named, per_second, reads_as_text};
use super::wide::WRAPPED;
use crate::model::refusal::Reason;
use crate::model::{From, Zone};

const MICROS: i64 = 1_000_000;

/// The days of the calendar to 1970-01-01, of which 0001-01-01 is the first.
const EPOCH: i32 = 719_163;

type Converted = Result<ArrayRef, ArrowError>;

/// A value that does not fit its declaration. `row` is its index in the array that was converted, from 0.
#[derive(Debug)]
pub(super) struct RowFault {
    pub row: usize,
    pub path: Arc<str>,
    pub check: &'static str,
    pub reason: Reason,
}

/// What was found during a conversion. An error of a conversion itself means that arrays do not go together, not that a
/// value is wrong.
#[derive(Default)]
pub(super) struct Conversion {
    /// In no order of rows. Of one row, the first is that of the first field.
    pub faults: Vec<RowFault>,
    pub cuts: Cuts,
}

impl Conversion {
    /// Converts the declared fields of an object, in their order. `fields` are their types, and may go on after them, as
    /// the record column does. A field without a column is null.
    pub fn group(
        &mut self,
        records: &StructArray,
        group: &Group,
        fields: &Fields,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let mut convert_field = |(node, field): (&Node, &Arc<Field>)| {
            let Some(column) = records.column_by_name(&node.name) else {
                return Ok(new_null_array(field.data_type(), records.len()));
            };
            let array = self.convert(column, node, field.data_type())?;
            if node.required {
                let lacks = |row: &usize| records.is_valid(*row) && array.is_null(*row);
                self.add(node, (0..array.len()).filter(lacks), "required, but null");
            }
            Ok(array)
        };
        group.fields.iter().zip(fields).map(&mut convert_field).collect()
    }

    fn convert(&mut self, array: &ArrayRef, node: &Node, target: &DataType) -> Converted {
        let array = &match array.data_type() {
            DataType::Null => return Ok(new_null_array(target, array.len())),
            DataType::Dictionary(_, values) => cast(array, values)?,
            _ => Arc::clone(array),
        };
        match (&node.shape, target) {
            (Shape::Scalar(scalar), _) => self.scalar(array, node, scalar, target),
            (Shape::Json, _) if reads_as_text(array.data_type()) => {
                let texts = self.texts(array, node, |text| check_json(text).err())?;
                Ok(Arc::new(texts))
            }
            (Shape::Struct(group), DataType::Struct(fields)) if matches!(array.data_type(), DataType::Struct(_)) => {
                let structs = array.as_struct();
                let children = self.group(structs, group, fields)?;
                let nulls = structs.nulls().cloned();
                let built = StructArray::try_new_with_length(fields.clone(), children, nulls, structs.len())?;
                Ok(Arc::new(built))
            }
            (Shape::List(item), DataType::List(field)) if item_of(array.data_type()).is_some() => {
                self.list(array, item, field)
            }
            (Shape::List(item), DataType::List(field)) if node.one_or_many => self.only(array, item, field),
            _ => Ok(self.unfit(array, node, target)),
        }
    }

    /// Lists of one element each, of a column that is no list.
    fn only(&mut self, array: &ArrayRef, item: &Node, field: &Arc<Field>) -> Converted {
        let items = self.convert(array, item, field.data_type())?;
        let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        let is_there = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let kept: BooleanArray = (0..array.len()).map(|row| Some(is_there(row))).collect();
        let offsets = OffsetBuffer::from_lengths((0..array.len()).map(|row| usize::from(is_there(row))));
        let items = filter(&items, &kept)?;
        Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, items, nulls)?))
    }

    fn list(&mut self, array: &ArrayRef, item: &Node, field: &Arc<Field>) -> Converted {
        // This cast changes the kind of list only. The items are converted next.
        let kind = item_of(array.data_type()).map(|inner| Field::new("item", inner.clone(), true));
        let kind = kind.ok_or_else(|| ArrowError::CastError("a column that is no list".to_owned()))?;
        let lists = cast(array, &DataType::List(Arc::new(kind)))?;
        let lists: &ListArray = lists.as_list();
        let mut inner = Self::default();
        let items = inner.convert(lists.values(), item, field.data_type())?;
        if item.required {
            inner.add(
                item,
                (0..items.len()).filter(|element| items.is_null(*element)),
                "required, but null",
            );
        }
        self.cuts.add(inner.cuts);
        let row_of = |element: usize| {
            let after = |offset: &i32| usize::try_from(*offset).is_ok_and(|offset| offset <= element);
            let row = lists.offsets().partition_point(after).checked_sub(1)?;
            // What lies between the elements of two lists belongs to neither.
            (row < lists.len() && lists.is_valid(row)).then_some(row)
        };
        let of_rows = inner.faults.into_iter().filter_map(|fault| {
            let row = row_of(fault.row)?;
            Some(RowFault { row, ..fault })
        });
        self.faults.extend(of_rows);
        let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
        Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, items, nulls)?))
    }

    fn scalar(&mut self, array: &ArrayRef, node: &Node, scalar: &Scalar, target: &DataType) -> Converted {
        let found = array.data_type();
        if reads_as_text(found) {
            return match (&scalar.kind, scalar.from, &scalar.rules) {
                (ScalarKind::String, Some(From::Number), _) => Ok(self.unfit(array, node, target)),
                (ScalarKind::String, _, None) => {
                    let nul = |text: &str| text.contains('\0').then_some(Cow::Borrowed("a NUL character"));
                    Ok(Arc::new(self.texts(array, node, nul)?))
                }
                _ if takes_text(scalar) => {
                    let texts = self.texts(array, node, |_| None)?;
                    self.read_texts(&texts, node, scalar, target)
                }
                _ => Ok(self.unfit(array, node, target)),
            };
        }
        let values = match &scalar.kind {
            ScalarKind::String if matches!(scalar.from, Some(From::Number | From::Either)) && is_number(found) => {
                let (texts, lost) = exact::texts(array)?;
                self.add(node, lost.into_iter(), "not a finite number");
                return self.read_texts(&texts, node, scalar, target);
            }
            ScalarKind::Timestamp(_) if matches!(found, DataType::Timestamp(_, None)) => {
                self.micros(array, node, target)
            }
            ScalarKind::TimestampTz(_) if matches!(found, DataType::Timestamp(_, Some(_))) => {
                self.micros(array, node, target)
            }
            ScalarKind::TimestampTz(formats)
                if matches!(found, DataType::Timestamp(_, None)) && formats.zone().is_some() =>
            {
                let local = self.micros(array, node, target);
                self.in_zone(&local, node, formats.zone())
            }
            // Of these, each is known to the day.
            ScalarKind::Partial(whole) if *found == DataType::Date32 => {
                let days = array.as_primitive::<Date32Type>().iter();
                let texts: StringArray = days.map(|day| day.map(iso_text)).collect();
                let iso = Scalar {
                    kind: ScalarKind::Partial(Box::new(whole.in_iso())),
                    from: None,
                    rules: None,
                };
                self.read_texts(&texts, node, &iso, target)?
            }
            // Another partial date is in a text, which may say less than a day, and a reference is a text.
            ScalarKind::String
            | ScalarKind::Timestamp(_)
            | ScalarKind::TimestampTz(_)
            | ScalarKind::Partial(_)
            | ScalarKind::Reference(_) => {
                return Ok(self.unfit(array, node, target));
            }
            _ if scalar.from == Some(From::String) || !exact::may_hold(found, target) => {
                return Ok(self.unfit(array, node, target));
            }
            _ => {
                let (values, lost) = exact::convert(array, target)?;
                let reason = if found.is_floating() && *target == DataType::Float64 {
                    "not a finite number".to_owned()
                } else {
                    format!("{} that {} can't hold exactly", named(found), node.declared())
                };
                self.add(node, lost.into_iter(), reason);
                values
            }
        };
        let Some(rules) = &scalar.rules else { return Ok(values) };
        let (values, breaches) = rules.check_array(values)?;
        self.faults
            .extend(breaches.into_iter().map(|(row, breach)| fault(node, row, breach)));
        Ok(values)
    }

    /// The texts of a column of texts or bytes. `complaint` says what is wrong with a text.
    fn texts(
        &mut self,
        array: &ArrayRef,
        node: &Node,
        complaint: impl Fn(&str) -> Option<Reason>,
    ) -> Result<StringArray, ArrowError> {
        let texts = match array.data_type() {
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                let bytes = cast(array, &DataType::Binary)?;
                let bytes: &BinaryArray = bytes.as_binary();
                match StringArray::try_from_binary(bytes.clone()) {
                    Ok(texts) => texts,
                    Err(_) => bytes
                        .iter()
                        .map(|bytes| bytes.and_then(|bytes| str::from_utf8(bytes).ok()))
                        .collect(),
                }
            }
            _ => cast(array, &DataType::Utf8)?.as_string::<i32>().clone(),
        };
        if texts.null_count() > array.logical_null_count() {
            let invalid = |row: &usize| texts.is_null(*row) && array.is_valid(*row);
            self.add(node, (0..texts.len()).filter(invalid), "not valid UTF-8");
        }
        for (row, text) in texts.iter().enumerate() {
            if let Some(reason) = text.and_then(&complaint) {
                self.faults.push(fault(node, row, reason));
            }
        }
        Ok(texts)
    }

    fn read_texts(&mut self, texts: &StringArray, node: &Node, scalar: &Scalar, target: &DataType) -> Converted {
        let mut column = Column::new(target);
        for (row, text) in texts.iter().enumerate() {
            let read = text.map(|text| push_text(text, scalar, &mut column));
            if let Some(Err(breach)) = read {
                self.faults.push(fault(node, row, breach));
                column.truncate(row);
            }
            if column.len() == row {
                column.push_null();
            }
        }
        self.cuts.add_column(&column, node);
        column.finish(target)
    }

    /// Converts timestamps to microseconds. Nanoseconds are rounded down, and the values that this changes are counted.
    fn micros(&mut self, array: &ArrayRef, node: &Node, target: &DataType) -> ArrayRef {
        let DataType::Timestamp(unit, _) = array.data_type() else {
            return self.unfit(array, node, target);
        };
        let values = match unit {
            TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
            TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
            TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
            TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
        };
        let per_second = per_second(*unit);
        let mut micros = Vec::with_capacity(values.len());
        let (mut cut, mut large) = (0, Vec::new());
        for (row, value) in values.iter().enumerate() {
            if per_second > MICROS {
                let parts = per_second / MICROS;
                cut += usize::from(value % parts != 0 && array.is_valid(row));
                micros.push(value.div_euclid(parts));
                continue;
            }
            let exact = value
                .checked_mul(MICROS / per_second)
                .filter(|micros| *micros != WRAPPED);
            if exact.is_none() && array.is_valid(row) {
                large.push(row);
            }
            micros.push(exact.unwrap_or(0));
        }
        self.cuts.count(&node.path, cut);
        self.add(node, large.into_iter(), "a timestamp out of range");
        let array = TimestampMicrosecondArray::new(micros.into(), array.nulls().cloned());
        Arc::new(array.with_data_type(target.clone()))
    }

    /// Local times in UTC. One that is not one instant is a fault.
    fn in_zone(&mut self, local: &ArrayRef, node: &Node, zone: Option<Zone>) -> ArrayRef {
        let Some(zone) = zone else { return Arc::clone(local) };
        let mut column = Vec::with_capacity(local.len());
        for (row, value) in local.as_primitive::<TimestampMicrosecondType>().iter().enumerate() {
            let utc = value.map(|value| {
                let offset = zone.offset(value.div_euclid(MICROS))?;
                value.checked_sub(offset * MICROS).ok_or("a timestamp out of range")
            });
            column.push(match utc {
                Some(Err(reason)) => {
                    self.faults.push(fault(node, row, reason));
                    None
                }
                other => other.and_then(Result::ok),
            });
        }
        let utc: TimestampMicrosecondArray = column.into_iter().collect();
        Arc::new(utc.with_data_type(local.data_type().clone()))
    }

    /// Every value of a column whose type holds none that is declared is a fault. The column has nulls instead.
    fn unfit(&mut self, array: &ArrayRef, node: &Node, target: &DataType) -> ArrayRef {
        let reason = format!("{} where {} is declared", named(array.data_type()), node.declared());
        let nulls = array.logical_nulls();
        let holds = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
        self.add(node, (0..array.len()).filter(holds), reason);
        new_null_array(target, array.len())
    }

    fn add(&mut self, node: &Node, rows: impl Iterator<Item = usize>, reason: impl Into<Reason>) {
        let reason = reason.into();
        self.faults.extend(rows.map(|row| fault(node, row, reason.clone())));
    }
}

/// Whether the values of a field may be sent as texts.
fn takes_text(scalar: &Scalar) -> bool {
    match &scalar.kind {
        ScalarKind::String
        | ScalarKind::Date(_)
        | ScalarKind::Timestamp(_)
        | ScalarKind::TimestampTz(_)
        | ScalarKind::Partial(_)
        | ScalarKind::Reference(_) => true,
        _ => matches!(scalar.from, Some(From::String | From::Either)),
    }
}

/// A day as ISO 8601 writes it; what is no such text where the year has more than four digits.
fn iso_text(day: i32) -> String {
    let date = day.checked_add(EPOCH).and_then(NaiveDate::from_num_days_from_ce_opt);
    date.map_or_else(String::new, |date| date.to_string())
}

fn fault(node: &Node, row: usize, breach: impl Into<Breach>) -> RowFault {
    let Breach { check, reason } = breach.into();
    RowFault {
        row,
        path: Arc::clone(&node.path),
        check,
        reason,
    }
}
