//! Applies the masks to a batch. It walks the arrays along the plan's tree and rebuilds only the arrays that have a
//! mask somewhere below them. Children of null parents, and values outside of a slice, never reach the output unmasked.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, StructArray, new_null_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Field, Fields, UInt64Type};
use arrow::error::ArrowError;

use super::batch::{Masked, Unmasked};
use super::key::MaskKey;
use super::kinds::date_shift::Shift;
use super::kinds::{age_cap, date_shift, hash, pseudonym, redact, reference, surrogate, under, year, zip3};
use super::nested::{at, not_planned};
use super::plan::{KindMasks, Masks, Node, Subject};
use super::suppression::{SubjectHash, Suppressed};
use crate::error::{Error, Result};

impl Masks {
    /// Leaves out the records of these persons, whom the suppression list names in hex.
    #[must_use]
    pub fn suppressing(mut self, subjects: SubjectHash, hashes: impl IntoIterator<Item = String>) -> Self {
        self.suppressed = Some(Arc::new(Suppressed::new(subjects, hashes)));
        self
    }

    /// Masks a batch, without the records of persons on the suppression list.
    ///
    /// Fails if the batch does not have the planned schema, or if one column holds more than 2 GiB of masked text.
    /// Neither error contains a value.
    pub fn apply(&self, batch: Unmasked) -> Result<Masked> {
        let Unmasked { batch, kind } = batch;
        let planned = self
            .kinds
            .get(kind)
            .filter(|planned| Arc::ptr_eq(batch.schema_ref(), &planned.input) || batch.schema_ref() == &planned.input);
        let planned = planned.ok_or_else(|| {
            Error::batch("decoded records have other fields than those that the masks were planned for")
        })?;
        let kept = self
            .suppressed
            .as_ref()
            .map(|suppressed| suppressed.leave_out(&batch, kind));
        kept.unwrap_or(Ok(batch))
            .and_then(|batch| self.masked(&batch, planned))
            .map(|batch| Masked { batch, kind })
            .map_err(|e| Error::batch("can't mask the decoded records").cause(e))
    }

    /// The records among decoded ones that are left out, by [`crate::model::RECORD_COLUMN`].
    ///
    /// # Errors
    /// The subject has a type that can't name a person.
    pub fn suppressed_among(&self, batch: &Unmasked) -> Result<Vec<u64>> {
        let Some(suppressed) = &self.suppressed else {
            return Ok(Vec::new());
        };
        suppressed.subjects.records_of(&suppressed.hashes(), batch)
    }

    fn masked(&self, batch: &RecordBatch, planned: &KindMasks) -> Result<RecordBatch, ArrowError> {
        let shifts = match &planned.subject {
            Some(subject) => self.shifts(subject, &at(batch, &subject.positions)?)?,
            None => vec![],
        };
        let oldest = match self.latest {
            Some(latest) if planned.nodes.iter().any(Node::has_year) => year::oldest(batch, latest),
            _ => vec![],
        };
        let load = &self.load;
        let rows = Rows { shifts, oldest, load };
        let mut columns = batch.columns().to_vec();
        for (column, node) in columns.iter_mut().zip(&planned.nodes) {
            if !matches!(node, Node::Keep) {
                *column = masked(node, column, &rows)?;
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&planned.output), columns, &options)
    }
}

impl Masks {
    /// The date shift of each record.
    fn shifts(&self, subject: &Subject, subjects: &ArrayRef) -> Result<Vec<Shift>, ArrowError> {
        let Some(domains) = &subject.domains else {
            return date_shift::shifts(&subject.keyed, subjects, self.shift_by);
        };
        // A contained resource is known to its record only, so it is no subject.
        let mut shifts = vec![0; subjects.len()];
        for (domain, ids) in reference::ids(subjects, &domains.0)? {
            let keyed = domains.1.get(&domain).unwrap_or(&subject.keyed);
            for (shift, own) in shifts.iter_mut().zip(date_shift::shifts(keyed, &ids, self.shift_by)?) {
                *shift += own;
            }
        }
        Ok(shifts)
    }
}

impl SubjectHash {
    /// The hashes of the subjects of decoded records, in hex; `None` for a record without a subject.
    ///
    /// # Errors
    /// The subject has a type that has no text of its own, such as a double.
    pub fn hashes(&self, batch: &Unmasked) -> Result<Vec<Option<String>>> {
        // The error holds a type and no value.
        let unfit = |error: ArrowError| {
            Error::project("the subject's type can't name a person")
                .cause(error)
                .hint("a subject is a string, a whole number, a decimal, a date or a reference")
        };
        let hashes = self.tokens(&batch.batch, batch.kind).map_err(unfit)?;
        Ok(hashes.into_iter().map(|token| token.map(hex::encode)).collect())
    }

    /// The records of these persons among decoded ones, by [`crate::model::RECORD_COLUMN`].
    ///
    /// # Errors
    /// As for [`Self::hashes`].
    pub fn records_of(&self, hashes: &[String], batch: &Unmasked) -> Result<Vec<u64>> {
        let subjects = self.hashes(batch)?;
        let ids = batch.batch.columns().last();
        let ids = ids
            .and_then(|ids| ids.as_primitive_opt::<UInt64Type>())
            .ok_or_else(Error::internal)?;
        let theirs = |(hash, id): (&Option<String>, &u64)| hashes.contains(hash.as_ref()?).then_some(*id);
        Ok(subjects.iter().zip(ids.values()).filter_map(theirs).collect())
    }
}

/// What the masks need to know about the rows of the arrays at one depth.
struct Rows<'a> {
    /// The date shift of each row's record. Empty if no mask below needs it.
    shifts: Vec<Shift>,
    /// The year that stands for all earlier ones of each row's record. Empty if nothing asks for it.
    oldest: Vec<i32>,
    load: &'a MaskKey,
}

/// Masks one array. The caller has already set `array` to null wherever one of its parents is null.
fn masked(node: &Node, array: &ArrayRef, rows: &Rows<'_>) -> Result<ArrayRef, ArrowError> {
    match node {
        Node::Keep => Ok(Arc::clone(array)),
        Node::Null(data_type) => Ok(new_null_array(data_type, array.len())),
        Node::Redact => redact::apply(array),
        Node::Hash(keyed) => hash::apply(keyed, array),
        Node::Pseudonym(keyed) => pseudonym::apply(keyed, array),
        Node::DateShift => date_shift::apply(array, &rows.shifts),
        Node::Year => year::apply(array, &rows.oldest),
        Node::Zip3 => zip3::apply(array),
        Node::AgeCap => age_cap::apply(array),
        Node::Reference { fields, domains, keyed } => {
            reference::apply(array, fields, domains, |domain, texts| match keyed {
                Some(keyed) => hash::apply(
                    keyed
                        .get(domain)
                        .ok_or_else(|| not_planned("domain", texts.data_type()))?,
                    texts,
                ),
                None => surrogate::apply(rows.load, domain, texts),
            })
        }
        Node::Surrogate(domain) => surrogate::apply(rows.load, domain, array),
        Node::Struct { fields, nodes } => masked_struct(fields, nodes, array, rows),
        Node::List { item, node } => masked_list(item, node, array, rows),
    }
}

fn masked_struct(fields: &Fields, nodes: &[Node], array: &ArrayRef, rows: &Rows<'_>) -> Result<ArrayRef, ArrowError> {
    let array = array
        .as_struct_opt()
        .ok_or_else(|| not_planned("struct", array.data_type()))?;
    let mut children = Vec::with_capacity(nodes.len());
    for (child, node) in array.columns().iter().zip(nodes) {
        let child = match node {
            Node::Keep => Arc::clone(child),
            node => masked(node, &under(child, array.nulls())?, rows)?,
        };
        children.push(child);
    }
    let masked = StructArray::try_new_with_length(fields.clone(), children, array.nulls().cloned(), array.len())?;
    Ok(Arc::new(masked))
}

/// Masks a list array. Keeps only the elements that the array's rows refer to. Elements under a null row become null.
fn masked_list(item: &Arc<Field>, node: &Node, array: &ArrayRef, rows: &Rows<'_>) -> Result<ArrayRef, ArrowError> {
    let array = array
        .as_list_opt::<i32>()
        .ok_or_else(|| not_planned("list", array.data_type()))?;
    let lengths: Vec<usize> = array.offsets().lengths().collect();
    let (first, count) = (index(array.value_offsets().first())?, lengths.iter().sum());
    let elements = array.values().slice(first, count);
    let elements = match array.nulls() {
        Some(nulls) if nulls.null_count() > 0 => {
            let of_each = |(length, valid): (&usize, bool)| std::iter::repeat_n(valid, *length);
            let valid: NullBuffer = lengths.iter().zip(nulls.iter()).flat_map(of_each).collect();
            under(&elements, Some(&valid))?
        }
        _ => elements,
    };
    let repeated = |of_rows: &[i32]| {
        let each = of_rows.iter().zip(&lengths);
        each.flat_map(|(one, length)| std::iter::repeat_n(*one, *length))
            .collect()
    };
    let rows = Rows {
        shifts: if node.shifts() { repeated(&rows.shifts) } else { vec![] },
        oldest: if node.has_year() {
            repeated(&rows.oldest)
        } else {
            vec![]
        },
        load: rows.load,
    };
    let elements = masked(node, &elements, &rows)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(
        Arc::clone(item),
        offsets,
        elements,
        array.nulls().cloned(),
    )?))
}

fn index(offset: Option<&i32>) -> Result<usize, ArrowError> {
    usize::try_from(offset.copied().unwrap_or(0)).map_err(|e| ArrowError::InvalidArgumentError(e.to_string()))
}
