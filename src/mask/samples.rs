//! Sources and fields for this module's tests.

use std::path::PathBuf;

use crate::error::Location;
use crate::project::{
    CsvOptions, Field, FieldType, Format, Input, MaskKind, OnEmpty, OnMalformed, OnMissing, OnUnknownField, PhiClass,
    Privacy, RecordPath, Source, Tolerance,
};

pub(super) fn here() -> Location {
    Location {
        file: PathBuf::from("pipelines/a.yaml"),
        line: 1,
        column: 1,
        length: 1,
        text: String::new(),
    }
}

pub(super) fn field(name: &str, field_type: FieldType, privacy: Privacy) -> Field {
    Field {
        name: name.into(),
        field_type,
        required: false,
        from: None,
        privacy,
        location: here(),
    }
}

pub(super) fn list(element: FieldType) -> FieldType {
    FieldType::List(Box::new(field("item", element, Privacy::default())))
}

pub(super) fn phi(class: PhiClass, mask: MaskKind, domain: Option<&str>) -> Privacy {
    Privacy {
        phi: Some(class),
        mask: Some(mask),
        domain: domain.map(str::to_owned),
        reason: None,
    }
}

pub(super) fn source(name: &str, schema: Vec<Field>) -> Source {
    Source {
        name: name.into(),
        aliases: vec![],
        description: None,
        input: Input {
            path: String::new(),
            location: here(),
            format: Format::Json,
            compression: None,
            records: RecordPath::default(),
            on_missing: OnMissing::Fail,
            on_empty: OnEmpty::Fail,
            on_malformed: OnMalformed::Fail,
            csv: CsvOptions::default(),
            storage: vec![],
        },
        schema,
        subject: None,
        on_unknown_field: OnUnknownField::Warn,
        transforms: vec![],
        max_quarantined: Tolerance::default(),
        checks: vec![],
        location: here(),
        text: String::new(),
    }
}
