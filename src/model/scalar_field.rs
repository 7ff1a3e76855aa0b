//! The scalar fields of a kind's schema with their paths. Privacy classes and masks are declared on them.

use super::{Field, FieldType, Kind, MaskKind, PhiClass, Privacy};
use crate::error::Location;

/// A scalar field, or the element of a list of scalars.
pub(crate) struct ScalarField<'a> {
    /// The path as the user knows it: `visits[].diagnoses[].code`.
    pub path: String,
    pub field_type: &'a FieldType,
    pub privacy: &'a Privacy,
    pub location: &'a Location,
}

/// All scalar fields of a kind, in the schema's order.
pub(crate) fn scalar_fields(kind: &Kind) -> Vec<ScalarField<'_>> {
    let mut fields = vec![];
    for field in &kind.schema {
        collect(field, field.name.clone(), &NOTHING, &field.location, &mut fields);
    }
    fields
}

/// The privacy settings of a field. An element of a list that has none takes those of the list, because YAML has one
/// place for both.
pub(crate) fn element_privacy<'a>(field: &'a Field, list: &'a Privacy) -> &'a Privacy {
    if field.privacy == NOTHING { list } else { &field.privacy }
}

/// The domain of a field that declares none. No other field shares it. If the field, its kind or its source is renamed,
/// its masked values change. `kind` is the label of the kind.
pub(crate) fn default_domain(kind: &str, path: &str) -> String {
    format!("{kind}.{path}")
}

/// The mask that applies. Free text for which no mask is declared is not read at all.
pub(crate) fn effective_mask(privacy: &Privacy) -> MaskKind {
    match (privacy.mask, privacy.phi) {
        (Some(mask), _) => mask,
        (None, Some(PhiClass::FreeText)) => MaskKind::Null,
        (None, _) => MaskKind::Keep,
    }
}

pub(crate) fn is_sensitive(privacy: &Privacy) -> bool {
    privacy.phi.is_some_and(|class| class != PhiClass::None)
}

pub(crate) const NOTHING: Privacy = Privacy {
    phi: None,
    mask: None,
    domain: None,
    reason: None,
};

fn collect<'a>(field: &'a Field, path: String, list: &'a Privacy, at: &'a Location, fields: &mut Vec<ScalarField<'a>>) {
    let privacy = element_privacy(field, list);
    match &field.field_type {
        FieldType::Struct(children) => {
            for child in children {
                collect(
                    child,
                    format!("{path}.{}", child.name),
                    &NOTHING,
                    &child.location,
                    fields,
                );
            }
        }
        FieldType::List(element) => collect(element, format!("{path}[]"), privacy, at, fields),
        scalar => fields.push(ScalarField {
            path,
            field_type: scalar,
            privacy,
            location: at,
        }),
    }
}
