//! The declared fields of a source by their paths, such as `visits[].diagnoses[].code`. The paths of a source with
//! kinds begin with the name of the kind, such as `patient.name[].family`.

use std::collections::BTreeMap;

use super::Dependence;
use super::analysis::{Table, Tables};
use super::shape::{Atom, Deps, Shape};
use crate::model::scalar_field::effective_mask;
use crate::model::{Field, FieldType, Kind, MaskKind, Privacy, Source, subject};

/// The fields of a source and how sensitive they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    /// Scalar fields and elements of scalar lists, by path.
    scalars: BTreeMap<String, Privacy>,
}

impl Fields {
    /// The fields of a source, and the tables that its transforms read.
    pub fn of(source: &Source) -> (Self, Tables) {
        let mut fields = Self::default();
        let tables = source.kinds.iter().map(|kind| (kind.name.clone(), fields.table(kind)));
        let tables = tables.collect();
        (fields, tables)
    }

    /// The fields of one kind.
    pub fn of_kind(kind: &Kind) -> Self {
        let mut fields = Self::default();
        fields.table(kind);
        fields
    }

    fn table(&mut self, kind: &Kind) -> Table {
        let columns = kind.schema.iter();
        let columns = columns.map(|field| (field.name.clone(), self.shape(field, &step(kind.prefix(), &field.name))));
        let columns: Vec<_> = columns.collect();
        let mut rows = Deps::default();
        for condition in &kind.conditions {
            let mut path = kind.prefix().to_owned();
            for name in &condition.path {
                path = step(&path, name);
                // What is within a document is of the document's field.
                if self.scalars.contains_key(&path) {
                    break;
                }
            }
            // One that the schema does not declare has no class, and reports say so.
            self.scalars.entry(path.clone()).or_default();
            rows.add(&Deps::one(Atom::Field(path), Dependence::Indirect));
        }
        Table {
            columns,
            rows,
            ..Table::default()
        }
    }

    /// Class, mask and reason of a scalar field. Empty for the path of a list.
    pub fn privacy(&self, path: &str) -> Privacy {
        self.scalars.get(path).cloned().unwrap_or_default()
    }

    pub fn scalar_fields(&self) -> impl Iterator<Item = (&str, &Privacy)> {
        self.scalars.iter().map(|(path, privacy)| (path.as_str(), privacy))
    }

    fn shape(&mut self, field: &Field, path: &str) -> Shape {
        match &field.field_type {
            FieldType::Struct(children) => Shape::Struct(
                children
                    .iter()
                    .map(|child| (child.name.clone(), self.shape(child, &step(path, &child.name))))
                    .collect(),
            ),
            FieldType::List(item) => {
                let path = format!("{path}[]");
                let own = itself(&path);
                let shape = self.shape(item, &path);
                // The privacy keys of a scalar list may be written at the list or at its element.
                if let Some(privacy) = self
                    .scalars
                    .get_mut(&path)
                    .filter(|privacy| **privacy == Privacy::default())
                {
                    *privacy = effective(&field.privacy, &item.field_type);
                }
                Shape::List {
                    item: Box::new(shape),
                    own,
                }
            }
            _ => {
                self.scalars
                    .insert(path.to_owned(), effective(&field.privacy, &field.field_type));
                Shape::Scalar(itself(path))
            }
        }
    }
}

/// The path of a kind's subject, written as [`super::Origin::path`] is. `None`: it names none.
pub fn subject_path(kind: &Kind) -> Option<String> {
    let found = subject::find(&kind.schema, kind.subject.as_deref()?).ok()?;
    path_at(kind, &found.positions)
}

/// The path of a kind's field, written as [`super::Origin::path`] is. The positions are those of its column and of the
/// fields below it, from the outside in; lists on the way take none.
pub fn path_at(kind: &Kind, positions: &[usize]) -> Option<String> {
    let (mut fields, mut path) = (&kind.schema[..], kind.prefix().to_owned());
    for position in positions {
        let field = fields.get(*position)?;
        path = step(&path, &field.name);
        let mut field_type = &field.field_type;
        while let FieldType::List(item) = field_type {
            path.push_str("[]");
            field_type = &item.field_type;
        }
        fields = match field_type {
            FieldType::Struct(children) => children,
            _ => &[],
        };
    }
    Some(path)
}

fn itself(path: &str) -> Deps {
    Deps::one(Atom::Field(path.to_owned()), Dependence::Direct)
}

/// The privacy settings in force. Free text without a mask is replaced by null. A reference has a domain for each type.
fn effective(privacy: &Privacy, field_type: &FieldType) -> Privacy {
    let mask = effective_mask(privacy);
    let domain = match field_type {
        FieldType::Reference(references) if mask.has_domain() => {
            Some(references.shown_domains(privacy.domain.as_deref()))
        }
        _ => privacy.domain.clone(),
    };
    Privacy {
        domain,
        mask: privacy.mask.or((mask != MaskKind::Keep).then_some(mask)),
        ..privacy.clone()
    }
}

/// Appends a step to a path. Names that would make the path ambiguous are quoted.
fn step(path: &str, name: &str) -> String {
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@' | ':'));
    match (path, plain) {
        (path, false) => format!("{path}['{}']", name.replace('\'', "\\'")),
        ("", true) => name.to_owned(),
        (path, true) => format!("{path}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn odd_names_are_quoted() {
        assert_eq!(step("", "visits"), "visits");
        assert_eq!(step("visits[]", "code"), "visits[].code");
        assert_eq!(step("a", "b.c"), "a['b.c']");
        assert_eq!(step("", "it's"), "['it\\'s']");
    }
}
