//! A field of a kind that holds ids of persons: the subject, or another field of the same domain.

use std::collections::BTreeSet;

use crate::lineage;
use crate::mask::id_domains;
use crate::model::scalar_field::{default_domain, effective_mask, element_privacy};
use crate::model::{Field, FieldType, Kind, MaskKind, Privacy, References, Source, subject};

/// Where ids of persons are in a source.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    /// The index of the kind.
    pub kind: usize,
    /// The positions of the column and of the fields below it, from the outside in. Lists on the way take none.
    pub positions: Vec<usize>,
    /// As lineage names it.
    pub path: String,
    /// As the field's own domain names it, where it declares none.
    name: String,
}

impl Spot {
    /// The subject of a kind. `None`: it names none.
    pub fn subject(source: &Source, kind: usize) -> Option<Self> {
        let declared = source.kinds.get(kind)?;
        let name = declared.subject.clone()?;
        let positions = subject::find(&declared.schema, &name).ok()?.positions;
        Some(Self {
            kind,
            path: lineage::path_at(declared, &positions)?,
            positions,
            name,
        })
    }

    /// The other fields of a kind.
    pub fn others(source: &Source, kind: usize) -> Vec<Self> {
        let Some(declared) = source.kinds.get(kind) else {
            return Vec::new();
        };
        let own = Self::subject(source, kind).map(|own| own.positions);
        let mut all = Vec::new();
        positions(&declared.schema, &mut Vec::new(), &mut all);
        let others = all.into_iter().filter(|positions| Some(positions) != own.as_ref());
        let spot = |positions: Vec<usize>| {
            let path = lineage::path_at(declared, &positions)?;
            Some(Self {
                kind,
                name: path.clone(),
                path,
                positions,
            })
        };
        others.filter_map(spot).collect()
    }

    /// The field, and the privacy settings that hold for it.
    fn found<'s>(&self, source: &'s Source) -> Option<(&'s Kind, &'s Field, &'s Privacy)> {
        let kind = source.kinds.get(self.kind)?;
        let (mut fields, mut found) = (&kind.schema[..], None);
        for position in &self.positions {
            let (field, privacy) = element(fields.get(*position)?);
            found = Some((kind, field, privacy));
            fields = match &field.field_type {
                FieldType::Struct(children) => children,
                _ => &[],
            };
        }
        found
    }

    /// The field itself: within a list, its element.
    pub fn field<'s>(&self, source: &'s mut Source) -> Option<&'s mut Field> {
        let kind = source.kinds.get_mut(self.kind)?;
        let (first, inside) = self.positions.split_first()?;
        let mut field = kind.schema.get_mut(*first)?;
        for position in inside {
            let FieldType::Struct(children) = &mut element_mut(field).field_type else {
                return None;
            };
            field = children.get_mut(*position)?;
        }
        Some(element_mut(field))
    }

    pub fn mask(&self, source: &Source) -> MaskKind {
        self.found(source)
            .map_or(MaskKind::Null, |(_, _, privacy)| effective_mask(privacy))
    }

    /// The domains of the ids.
    pub fn domains(&self, source: &Source) -> BTreeSet<String> {
        let found = self.found(source);
        found
            .map(|(kind, field, privacy)| id_domains(kind, &field.field_type, privacy, &self.name))
            .unwrap_or_default()
    }

    /// How references of the field are read, and the domain that it declares. `None`: it holds plain ids.
    pub fn references<'s>(&self, source: &'s Source) -> Option<(&'s References, Option<&'s str>)> {
        let (_, field, privacy) = self.found(source)?;
        match &field.field_type {
            FieldType::Reference(references) => Some((references, privacy.domain.as_deref())),
            _ => None,
        }
    }

    /// The domain of references that tell no type.
    pub fn untyped_domain(&self, source: &Source) -> Option<String> {
        let (kind, _, privacy) = self.found(source)?;
        let own = privacy.domain.clone();
        Some(own.unwrap_or_else(|| default_domain(&kind.label, &self.name)))
    }
}

/// What a list holds, with the privacy settings that may stand at either.
fn element(field: &Field) -> (&Field, &Privacy) {
    let (mut field, mut privacy) = (field, &field.privacy);
    while let FieldType::List(item) = &field.field_type {
        privacy = element_privacy(item, privacy);
        field = item;
    }
    (field, privacy)
}

fn element_mut(field: &mut Field) -> &mut Field {
    match &field.field_type {
        FieldType::List(_) => match &mut field.field_type {
            FieldType::List(item) => element_mut(item),
            _ => unreachable!("it is a list"),
        },
        _ => field,
    }
}

/// The positions of all scalar fields.
fn positions(fields: &[Field], around: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
    for (position, field) in fields.iter().enumerate() {
        around.push(position);
        match &element(field).0.field_type {
            FieldType::Struct(children) => positions(children, around, all),
            _ => all.push(around.clone()),
        }
        around.pop();
    }
}
