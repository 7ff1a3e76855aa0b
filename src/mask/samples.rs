//! Sources and fields for this module's tests.

use std::path::PathBuf;

use crate::error::Location;
use crate::project::{Field, FieldType, MaskKind, PhiClass, Privacy, Source};

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
        rules: crate::project::ValueRules::default(),
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
    crate::project::testing::source(name, schema)
}
