//! Test data for other modules. A new field of the model has to be filled in only here.

use std::path::PathBuf;

use super::{
    CsvOptions, Encoding, Field, FieldType, Format, Input, InputPath, Kind, MaskKind, OnEmpty, OnEmptyFile,
    OnMalformed, OnMissing, OnNoRecords, OnUnknownField, OnUnknownKind, PhiClass, Privacy, RecordPath, SOURCE_TABLE,
    ShiftBy, Source, Tolerance, ValueRules,
};
use crate::error::Location;

pub(crate) fn location() -> Location {
    Location {
        file: PathBuf::from("pipelines/a.yaml"),
        line: 1,
        column: 1,
        length: 1,
        text: String::new(),
    }
}

/// A source with these fields and without transforms. A bad record fails its batch.
pub(crate) fn source(name: &str, schema: Vec<Field>) -> Source {
    Source {
        name: name.to_owned(),
        aliases: Vec::new(),
        description: None,
        input: Input {
            paths: vec![InputPath {
                path: String::new(),
                kind: None,
                location: location(),
            }],
            format: Format::Json,
            compression: None,
            encoding: Encoding::Utf8,
            records: RecordPath::default(),
            on_missing: OnMissing::Fail,
            on_empty: OnEmpty::Fail,
            on_empty_file: OnEmptyFile::Warn,
            on_malformed: OnMalformed::Fail,
            on_no_records: OnNoRecords::Refuse,
            csv: CsvOptions::default(),
            storage: Vec::new(),
        },
        kinds: vec![Kind {
            label: name.to_owned(),
            ..kind(SOURCE_TABLE, schema)
        }],
        on_unknown_kind: OnUnknownKind::Warn,
        shift_by: ShiftBy::Days,
        transforms: Vec::new(),
        max_quarantined: Tolerance::default(),
        max_quarantined_of: Vec::new(),
        checks: Vec::new(),
        conserves: Vec::new(),
        allow_constant_masks: Vec::new(),
        location: location(),
        text: String::new(),
    }
}

/// A kind without conditions.
pub(crate) fn kind(name: &str, schema: Vec<Field>) -> Kind {
    Kind {
        name: name.to_owned(),
        label: format!("a.{name}"),
        conditions: Vec::new(),
        schema,
        subject: None,
        on_unknown_field: OnUnknownField::Warn,
        max_quarantined: None,
        location: location(),
    }
}

/// A field without value rules.
pub(crate) fn field(name: &str, field_type: FieldType, privacy: Privacy) -> Field {
    Field {
        name: name.into(),
        field_type,
        required: false,
        from: None,
        description: None,
        one_or_many: false,
        privacy,
        rules: ValueRules::default(),
        location: location(),
    }
}

pub(crate) fn list(element: FieldType) -> FieldType {
    FieldType::List(Box::new(field("item", element, Privacy::default())))
}

pub(crate) fn phi(class: PhiClass, mask: MaskKind, domain: Option<&str>) -> Privacy {
    Privacy {
        phi: Some(class),
        mask: Some(mask),
        domain: domain.map(str::to_owned),
        reason: None,
    }
}
