//! How much memory the rows of a run take.

use std::collections::HashSet;

use datafusion::arrow::array::{Array, ArrayData};
use datafusion::arrow::buffer::{Buffer, NullBuffer};
use datafusion::arrow::record_batch::RecordBatch;

/// Bytes that a batch's rows add to those of a run. Batches may be slices of the same arrays, which are counted once, by
/// what is allocated for them. That is at most twice the rows: there may be more of it for a few rows of many, and
/// counted with each batch, it would fill a run with batches of few rows.
pub(super) fn rows_size(batch: &RecordBatch, counted: &mut HashSet<usize>) -> usize {
    let (mut allocated, mut of_rows) = (0, 0_usize);
    for column in batch.columns() {
        let data = column.to_data();
        allocated += allocation(&data, counted);
        let sliced = data.get_slice_memory_size();
        of_rows = of_rows.saturating_add(sliced.unwrap_or(usize::MAX));
    }
    allocated.min(of_rows.saturating_mul(2))
}

/// Bytes that are allocated for arrays, without what is counted already. The set holds the addresses of buffers.
fn allocation(data: &ArrayData, counted: &mut HashSet<usize>) -> usize {
    let nulls = data.nulls().map(NullBuffer::buffer);
    let own = data.buffers().iter().chain(nulls);
    let own: usize = own
        .filter(|buffer| counted.insert(buffer.data_ptr().as_ptr().addr()))
        .map(Buffer::capacity)
        .sum();
    let children = data.child_data().iter();
    own + children.map(|child| allocation(child, counted)).sum::<usize>()
}
