//! The scalar fields of a source's schema with their paths: what carries classes and masks.

use super::{Field, FieldType, MaskKind, PhiClass, Privacy, Source};
use crate::error::Location;

/// A scalar field, or the element of a list of scalars.
pub(crate) struct ScalarField<'a> {
    /// As the user knows it: `visits[].diagnoses[].code`.
    pub path: String,
    pub field_type: &'a FieldType,
    pub privacy: &'a Privacy,
    pub location: &'a Location,
}

/// All scalar fields of a source, in the schema's order.
pub(crate) fn scalar_fields(source: &Source) -> Vec<ScalarField<'_>> {
    let mut fields = vec![];
    for field in &source.schema {
        collect(field, field.name.clone(), &NOTHING, &field.location, &mut fields);
    }
    fields
}

/// What a field says, or, where it is an element that says nothing, what the list around it says: YAML has one place
/// for both.
pub(crate) fn element_privacy<'a>(field: &'a Field, list: &'a Privacy) -> &'a Privacy {
    if field.privacy == NOTHING { list } else { &field.privacy }
}

/// What a field without a domain has: a kind of value that it shares with no other field. Renaming the field or its
/// source changes its masks.
pub(crate) fn default_domain(source: &str, path: &str) -> String {
    format!("{source}.{path}")
}

/// The mask in force: free text without one is not read at all.
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
