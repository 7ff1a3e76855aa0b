//! The tables that a source's transforms read: one for each kind of its records.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::logical_expr::logical_plan::TableScan;

use crate::error::Result;
use crate::model::{RECORD_COLUMN, Source, visible_schema};

/// The tables of a source, in the order of its kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inputs(Vec<Input>);

/// The table of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    pub name: String,
    /// What the paths of its fields begin with.
    pub prefix: String,
    /// The schema that a transform sees, `_record` included.
    pub schema: SchemaRef,
}

impl Inputs {
    /// The tables with all that the source declares.
    ///
    /// # Errors
    /// A field has a mask that its type can't have.
    pub fn of(source: &Source) -> Result<Self> {
        let input = |kind: &crate::model::Kind| {
            Ok(Input {
                name: kind.name.clone(),
                prefix: kind.prefix().to_owned(),
                schema: visible_schema(kind)?,
            })
        };
        source.kinds.iter().map(input).collect::<Result<_>>().map(Self)
    }

    /// The only table of a source without kinds.
    #[cfg(test)]
    pub fn of_one(schema: SchemaRef) -> Self {
        Self(vec![Input {
            name: crate::model::SOURCE_TABLE.to_owned(),
            prefix: String::new(),
            schema,
        }])
    }

    /// The same tables with other schemas.
    pub fn with_schemas(&self, schema: impl Fn(&Input) -> SchemaRef) -> Self {
        let input = |input: &Input| Input {
            schema: schema(input),
            ..input.clone()
        };
        Self(self.0.iter().map(input).collect())
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|input| input.name.as_str())
    }

    pub fn get(&self, kind: usize) -> Option<&Input> {
        self.0.get(kind)
    }

    /// The table that a scan reads, with the index of its kind. `None`: it reads something else.
    pub fn of_scan(&self, scan: &TableScan) -> Option<(usize, &Input)> {
        let name = scan.table_name.table();
        self.0.iter().enumerate().find(|(_, input)| input.name == name)
    }

    /// The tables for planning: their names and columns, without `_record`.
    pub fn tables(&self) -> impl Iterator<Item = (String, SchemaRef)> {
        self.0
            .iter()
            .map(|input| (input.name.clone(), without_record(&input.schema)))
    }
}

pub(super) fn without_record(full: &SchemaRef) -> SchemaRef {
    let fields: Vec<_> = full
        .fields()
        .iter()
        .filter(|f| f.name() != RECORD_COLUMN)
        .cloned()
        .collect();
    Arc::new(Schema::new(fields))
}
