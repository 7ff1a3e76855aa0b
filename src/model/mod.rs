//! The data types that all stages share: sources, fields, entities, batches, checks, refusals. They are plain data with
//! pure functions. Nothing here reads a file, opens a connection or a DataFusion session, or knows about YAML.

mod arrow_type;
mod batch;
pub(crate) mod blanked;
pub(crate) mod check;
mod column_masks;
mod entity;
mod field;
mod gate;
mod input;
mod kind;
mod literal;
pub(crate) mod mask_matrix;
mod precision;
mod privacy;
mod project;
mod record_path;
mod record_schema;
pub(crate) mod reference;
pub mod refusal;
pub(crate) mod scalar;
pub(crate) mod scalar_field;
mod shown;
mod source;
pub(crate) mod sql_tokens;
pub(crate) mod subject;
mod test_case;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod time_format;
mod tolerance;
pub(crate) mod uuid_text;
mod value_rules;
mod view;
pub(crate) mod wording;
mod zone;

pub use arrow_type::arrow_type;
pub(crate) use arrow_type::{is_partial, is_reference};
pub use batch::Batch;
pub use check::{Check, Relationship, RowCheck, Rule, Scope, Severity, SqlCheck};
pub use column_masks::{ColumnMasks, MaskedField, TellsDate};
pub(crate) use entity::SYSTEM_COLUMNS;
pub use entity::{Column, Entity, Index, Parent, PgType};
pub use field::{Field, FieldType, From};
pub use gate::{Gate, OnRare};
pub use input::{
    Compression, CsvOptions, Encoding, Format, Input, InputPath, OnEmpty, OnEmptyFile, OnMalformed, OnMissing,
    OnNoRecords, OnUnknownField,
};
pub(crate) use kind::overlap;
pub use kind::{Condition, Kind, OnUnknownKind, SOURCE_TABLE};
pub use literal::literal;
pub(crate) use precision::Precision;
pub use privacy::{MaskKind, PhiClass, Privacy, Profile, ShiftBy};
pub use project::{Exposed, Project};
pub use record_path::{RecordPath, RecordStep};
pub use record_schema::{RECORD_BITS, RECORD_COLUMN, arrow_schema, visible_schema};
pub use reference::References;
pub use refusal::{Misfit, RecordRef, Refusal};
pub use shown::Shown;
pub use source::{Conserved, ElementFilter, EntityTolerance, Source, Transform};
pub use test_case::{
    CasePlace, CaseRecords, ExpectedCell, ExpectedRefusal, ExpectedRow, ExpectedRows, Lines, TestCase,
};
pub use tolerance::Tolerance;
pub use value_rules::{Bounds, Literal, Normalize, Nulls, ValueRules, normalized};
pub use view::{View, ViewKind};
pub use wording::did_you_mean;
pub use zone::Zone;
