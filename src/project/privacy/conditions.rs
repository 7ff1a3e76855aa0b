//! Refuses conditions of kinds that look at a masked field. A kind is chosen before the masks: which kind a record is of,
//! and so which SQL makes its rows, tells the value.

use crate::error::Diagnostic;
use crate::model::scalar_field::{effective_mask, element_privacy};
use crate::model::{Condition, Field, FieldType, Kind, MaskKind, Privacy, Source};

/// The conditions of a source's kinds that look at a field which any of its kinds masks.
pub fn check_conditions(source: &Source) -> Vec<Diagnostic> {
    let of_kind = |kind: &Kind| {
        let masked = kind.conditions.iter().filter_map(|condition| {
            let mut kinds = source.kinds.iter();
            let mask = kinds.find_map(|kind| mask_at(&kind.schema, &condition.path))?;
            Some(problem(kind, condition, mask))
        });
        masked.collect::<Vec<_>>()
    };
    source.kinds.iter().flat_map(of_kind).collect()
}

/// The mask of the field that the path leads to, or of the scalar field that it leads into. `None`: it is not masked.
fn mask_at(schema: &[Field], path: &[String]) -> Option<MaskKind> {
    let (name, rest) = path.split_first()?;
    let field = schema.iter().find(|field| field.name == *name)?;
    let (mut field, mut privacy): (&Field, &Privacy) = (field, &field.privacy);
    while let FieldType::List(element) = &field.field_type {
        privacy = element_privacy(element, privacy);
        field = element;
    }
    if let FieldType::Struct(children) = &field.field_type {
        return mask_at(children, rest);
    }
    Some(effective_mask(privacy)).filter(|mask| *mask != MaskKind::Keep)
}

fn problem(kind: &Kind, condition: &Condition, mask: MaskKind) -> Diagnostic {
    Diagnostic {
        message: format!(
            "the kind `{}` is chosen by `{}`, which `mask: {}` hides: which kind a record is of would tell its value",
            kind.name,
            condition.shown(),
            mask.name()
        ),
        location: Some(kind.location.clone()),
        hint: Some("choose it by a field that is not masked, or by the path of its files".to_owned()),
    }
}
