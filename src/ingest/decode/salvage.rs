//! Reads what can still be read of refused records. Nothing of it is loaded: a run counts the rows that the records
//! would have given, so that it knows what share of each entity is missing. A value that does not fit its declaration
//! becomes null, and so does everything after damage.

use arrow::array::RecordBatch;

use super::super::split::{Cells, CsvHeader};
use super::column::{Column, Values};
use super::cursor::{Bad, Cursor, Kind};
use super::plan::{Group, Node, Shape};
use super::{Decoding, columns_of, json, make_batch, row};
use crate::error::Result;

/// The columns of refused records.
pub(super) struct Salvage<'a> {
    decoding: &'a Decoding,
    columns: Vec<Column>,
    ids: Vec<u64>,
}

impl<'a> Salvage<'a> {
    pub fn new(decoding: &'a Decoding) -> Self {
        Self {
            decoding,
            columns: columns_of(&decoding.schema),
            ids: Vec::new(),
        }
    }

    /// Adds a row for a refused record.
    pub fn add(&mut self, record: &[u8], header: Option<&CsvHeader>, id: u64) {
        let text = match std::str::from_utf8(record) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&record[..error.valid_up_to()]).unwrap_or_default(),
        };
        match header {
            Some(header) => self.cells(text, header),
            None => document(text, &self.decoding.plan.root, &mut self.columns, self.ids.len()),
        }
        let row = self.ids.len();
        close(&mut self.columns, row);
        self.ids.push(id);
    }

    fn cells(&mut self, text: &str, header: &CsvHeader) {
        let (decoding, row) = (self.decoding, self.ids.len());
        let Some(own) = header.kinds.get(decoding.kind) else {
            return;
        };
        for (cell, position) in Cells::new(text, &decoding.csv).zip(&own.fields) {
            let (Ok(cell), Some(index)) = (&cell, position) else {
                continue;
            };
            let column = &mut self.columns[*index];
            let node = &decoding.plan.root.fields[*index];
            if column.len() == row && row::push_cell(cell, node, &decoding.csv.nulls, column).is_err() {
                column.truncate(row);
            }
        }
    }

    pub fn finish(self) -> Result<RecordBatch> {
        make_batch(&self.decoding.schema, self.columns, self.ids)
    }
}

/// Adds a null to each column that does not have row `row` yet.
fn close(columns: &mut [Column], row: usize) {
    for column in columns.iter_mut().filter(|column| column.len() == row) {
        column.push_null();
    }
}

fn document(text: &str, root: &Group, columns: &mut [Column], row: usize) {
    let mut walk = Walk {
        cursor: Cursor::new(text),
    };
    if matches!(walk.cursor.kind(), Ok(Kind::Object)) {
        // Damage ends the walk; what was read before it stays.
        let _ = walk.group(root, columns, row);
    }
}

struct Walk<'a> {
    cursor: Cursor<'a>,
}

impl Walk<'_> {
    /// Reads an object into row `row` of its columns. They have the row afterwards, also where the text is damaged.
    fn group(&mut self, group: &Group, columns: &mut [Column], row: usize) -> Result<(), Bad> {
        let read = self.fields(group, columns, row);
        close(columns, row);
        read
    }

    fn fields(&mut self, group: &Group, columns: &mut [Column], row: usize) -> Result<(), Bad> {
        self.cursor.enter()?;
        let (mut first, mut expected) = (true, 0);
        while let Some(key) = self.cursor.next_key(first)? {
            first = false;
            match group.find(&key, expected) {
                Some(index) if columns[index].len() == row => {
                    self.value(&group.fields[index], &mut columns[index])?;
                    expected = index + 1;
                }
                _ => {
                    self.cursor.kind()?;
                    self.cursor.skip_value()?;
                }
            }
        }
        Ok(())
    }

    /// Reads a value into the next row of its column.
    fn value(&mut self, node: &Node, column: &mut Column) -> Result<(), Bad> {
        let row = column.len();
        let read = self.try_value(node, column, row);
        if column.len() == row {
            column.truncate(row);
            column.push_null();
        }
        read
    }

    fn try_value(&mut self, node: &Node, column: &mut Column, row: usize) -> Result<(), Bad> {
        let kind = self.cursor.kind()?;
        match (&node.shape, column.values(), kind) {
            (Shape::Struct(group), Values::Struct(children), Kind::Object) => {
                let read = self.group(group, children, row);
                column.valid();
                read
            }
            (Shape::List(item), Values::List { item: items, .. }, Kind::Array) => {
                let read = self.elements(item, items);
                column.end_list();
                read
            }
            _ => {
                let start = self.cursor.at();
                self.cursor.skip_value()?;
                if json::value(self.cursor.since(start), node, column).is_err() {
                    column.truncate(row);
                }
                Ok(())
            }
        }
    }

    fn elements(&mut self, item: &Node, items: &mut Column) -> Result<(), Bad> {
        self.cursor.enter()?;
        let mut first = true;
        while self.cursor.next_element(first)? {
            first = false;
            self.value(item, items)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::ingest::decode::Plan;
    use crate::model::testing::{field, list, source};
    use crate::model::{CsvOptions, Encoding, FieldType, OnUnknownField, Privacy, arrow_schema};

    fn salvaged(records: &[&[u8]]) -> RecordBatch {
        let plain = |name: &str, kind| field(name, kind, Privacy::default());
        let visit = FieldType::Struct(vec![
            plain("no", FieldType::Bigint),
            plain("tags", list(FieldType::String)),
        ]);
        let mut source = source(
            "a",
            vec![
                plain("id", FieldType::String),
                plain("n", FieldType::Bigint),
                plain("visits", list(visit)),
            ],
        );
        source.kinds[0].schema[1].required = true;
        let decoding = Decoding {
            kind: 0,
            plan: Plan::new(&source.kinds[0]).unwrap(),
            schema: arrow_schema(&source.kinds[0]),
            on_unknown_field: OnUnknownField::Warn,
            names: None,
            csv: CsvOptions::default(),
            encoding: Encoding::Utf8,
        };
        let mut salvage = Salvage::new(&decoding);
        for (id, record) in records.iter().enumerate() {
            salvage.add(record, None, id as u64);
        }
        salvage.finish().unwrap()
    }

    #[test]
    fn what_does_not_fit_is_null_and_the_rest_is_read() {
        let batch = salvaged(&[
            br#"{"id": "a", "x": [1], "n": "no number", "visits": [{"no": 1}, {"no": "x", "tags": ["t", 5]}, 7]}"#,
            br#"{"id": "b", "visits": [{"no": 1, "tags": ["t"]}, {"no": 2, "tags": ["u", nul"#,
            b"{\"id\": \"c\", \"n\": 4, \"visits\": [\xff]}",
            br#"["d"]"#,
            b"",
        ]);
        let ids: Vec<_> = batch.column(0).as_string::<i32>().iter().collect();
        assert_eq!(ids, [Some("a"), Some("b"), Some("c"), None, None]);
        let numbers: Vec<_> = batch.column(1).as_primitive::<Int64Type>().iter().collect();
        assert_eq!(numbers, [None, None, Some(4), None, None]);
        let visits = batch.column(2).as_list::<i32>();
        assert_eq!(visits.offsets().lengths().collect::<Vec<_>>(), [3, 2, 0, 0, 0]);
        let elements: Arc<dyn Array> = Arc::clone(visits.values());
        assert_eq!(elements.null_count(), 1);
        let tags = elements.as_struct().column(1).as_list::<i32>();
        assert_eq!(tags.offsets().lengths().collect::<Vec<_>>(), [0, 2, 0, 1, 2]);
    }
}
