//! Walks from records to the elements of a path in their Arrow arrays. Lists are not visited one by one where their
//! offsets suffice. Values that lie in memory behind a null list or struct are not counted.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, ListArray, RecordBatch};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::{filter, nullif};
use datafusion::arrow::datatypes::ArrowNativeType;
use datafusion::arrow::error::ArrowError;

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// A column of the records, then fields of structs.
    Field(usize),
    /// Goes from a list to its elements.
    Each,
}

/// The values at one level of a path, as they are in memory.
pub(super) struct Level {
    array: ArrayRef,
    /// The values that count: memory behind a null list or struct may hold others. `None` where all count.
    live: Option<NullBuffer>,
}

impl Level {
    /// The values at the end of the path; `None` for an empty path.
    pub fn reach(records: &RecordBatch, steps: &[Step]) -> Result<Option<Self>, ArrowError> {
        let mut here: Option<Self> = None;
        for step in steps {
            here = Some(match (step, here) {
                (Step::Field(at), None) => Self {
                    array: Arc::clone(records.column(*at)),
                    live: None,
                },
                (Step::Field(at), Some(level)) => level.field(*at)?,
                (Step::Each, Some(level)) => level.each()?,
                (Step::Each, None) => return Err(not_planned("records are no list")),
            });
        }
        Ok(here)
    }

    fn field(self, at: usize) -> Result<Self, ArrowError> {
        let structs = self.array.as_struct_opt().ok_or_else(|| not_planned("no struct"))?;
        Ok(Self {
            array: Arc::clone(structs.column(at)),
            live: NullBuffer::union(self.live.as_ref(), structs.nulls()),
        })
    }

    /// The elements of the lists. A null element counts, because SQL makes a row of it.
    fn each(self) -> Result<Self, ArrowError> {
        let lists: &ListArray = self.array.as_list_opt().ok_or_else(|| not_planned("no list"))?;
        let offsets = lists.offsets();
        let (first, end) = (offsets[0].as_usize(), offsets[lists.len()].as_usize());
        let live = NullBuffer::union(self.live.as_ref(), lists.nulls());
        Ok(Self {
            array: lists.values().slice(first, end - first),
            live: live.filter(|live| live.null_count() > 0).and_then(|live| {
                let lengths = || offsets.lengths().zip(live.iter());
                // Lists from the decoder have no values behind nulls. Then each length is a subtraction of offsets.
                if lengths().all(|(length, live)| live || length == 0) {
                    return None;
                }
                let mut elements = BooleanBufferBuilder::new(end - first);
                lengths().for_each(|(length, live)| elements.append_n(length, live));
                Some(NullBuffer::new(elements.finish()))
            }),
        })
    }

    pub fn count(&self) -> usize {
        let hidden = self.live.as_ref().map_or(0, NullBuffer::null_count);
        self.array.len() - hidden
    }

    /// The values that count, without those behind nulls.
    pub fn live(self) -> Result<ArrayRef, ArrowError> {
        match self.live {
            Some(live) => filter(&self.array, &BooleanArray::new(live.into_inner(), None)),
            None => Ok(self.array),
        }
    }
}

/// The columns by which SQL can address the elements: the fields of structs, null where the struct is null.
pub(super) fn columns(elements: &ArrayRef) -> Result<Vec<ArrayRef>, ArrowError> {
    let Some(structs) = elements.as_struct_opt() else {
        return Ok(vec![Arc::clone(elements)]);
    };
    let fields = structs.columns().iter();
    match structs.nulls().filter(|nulls| nulls.null_count() > 0) {
        Some(nulls) => {
            let absent = BooleanArray::new(!nulls.inner(), None);
            fields.map(|field| nullif(field, &absent)).collect()
        }
        None => Ok(fields.map(Arc::clone).collect()),
    }
}

pub(super) fn not_planned(found: &str) -> ArrowError {
    ArrowError::SchemaError(format!("the records are not as planned: {found}"))
}
