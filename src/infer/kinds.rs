//! Tells kinds of records apart while a sample is read, and folds each kind into a shape of its own.
//!
//! What tells them apart is a value, and a value is data. It is written into the source only if it is the name of a FHIR
//! resource type, which the specification lists, or if the user has named its field with `--kind-by`.

use super::shape::Shape;
use crate::error::{Error, Result};
use crate::model::Kind;
use crate::model::reference::resource_type;

/// The most kinds that are proposed.
const MOST: usize = 60;
/// The longest value by which a kind is told.
const LONGEST: usize = 64;
/// Of so many hundredths of the records, the type must be known before they are parted.
const NAMED: u64 = 90;

/// A way from a record to a value: the names of structs and of the field, the last one first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'p> {
    pub name: &'p str,
    pub up: Option<&'p Self>,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Within<'p> {
    /// Outside of the records, or in a list.
    Nowhere,
    Record,
    Field(&'p Step<'p>),
}

impl Within<'_> {
    fn is(self, path: &[String]) -> bool {
        let Within::Field(mut step) = self else { return false };
        for (left, name) in path.iter().enumerate().rev() {
            if step.name != *name {
                return false;
            }
            match step.up {
                Some(up) if left > 0 => step = up,
                above => return left == 0 && above.is_none(),
            }
        }
        false
    }
}

/// The values that a kind's records have at the paths of these numbers.
type Conditions = Vec<(usize, Vec<String>)>;

enum By {
    /// Each value is a kind; of FHIR, each name of a resource type.
    Values {
        of_fhir: bool,
    },
    Declared(Vec<Conditions>),
}

pub(super) struct Kinds {
    by: By,
    paths: Vec<Vec<String>>,
    /// What the record that is being read has at these paths.
    told: Vec<Option<String>>,
    /// The value that tells each kind, and its records.
    pub found: Vec<(String, Shape)>,
    /// Records of no kind.
    pub others: u64,
    too_many: bool,
}

impl Kinds {
    fn new(by: By, paths: Vec<Vec<String>>, found: Vec<(String, Shape)>) -> Self {
        Self {
            by,
            told: vec![None; paths.len()],
            paths,
            found,
            others: 0,
            too_many: false,
        }
    }

    /// Each value of a field is a kind.
    pub fn by_values(path: Vec<String>, of_fhir: bool) -> Self {
        Self::new(By::Values { of_fhir }, vec![path], Vec::new())
    }

    /// The kinds that a source declares, in their order. A kind without conditions is told by the paths of files, and
    /// takes no record here.
    pub fn declared(kinds: &[Kind]) -> Self {
        let mut paths: Vec<Vec<String>> = Vec::new();
        let mut all = Vec::new();
        for kind in kinds {
            let of_kind = kind.conditions.iter().map(|condition| {
                let known = paths.iter().position(|path| *path == condition.path);
                let number = known.unwrap_or_else(|| {
                    paths.push(condition.path.clone());
                    paths.len() - 1
                });
                (number, condition.values.clone())
            });
            all.push(of_kind.collect());
        }
        let found = kinds.iter().map(|kind| (kind.name.clone(), Shape::default()));
        Self::new(By::Declared(all), paths, found.collect())
    }

    /// Whether the records of the sample seem to be FHIR resources of several types, and by which field.
    pub fn of_fhir(record: &Shape) -> Option<Self> {
        let tells = record.objects.fields.iter().find(|(_, member)| {
            let texts = &member.shape.texts;
            let is_name = member.shape.kinds() == 1 && texts.count > 0 && texts.fhir.names == texts.count;
            is_name && texts.fhir.named.len() > 1 && texts.count * 100 >= record.objects.count * NAMED
        });
        tells.map(|(name, _)| Self::by_values(vec![name.clone()], true))
    }

    /// The field by which the values tell.
    pub fn path(&self) -> String {
        self.paths.first().map_or_else(String::new, |path| path.join("."))
    }

    /// Notes a value of the record that is being read.
    pub fn tell(&mut self, within: Within<'_>, value: &dyn std::fmt::Display) {
        for (path, told) in self.paths.iter().zip(&mut self.told) {
            if within.is(path) {
                *told = Some(value.to_string());
            }
        }
    }

    /// Folds the record that has been read into the shape of its kind.
    pub fn take(&mut self, record: Shape) {
        let told: Vec<Option<String>> = self.told.iter_mut().map(Option::take).collect();
        let at = match &self.by {
            By::Values { of_fhir } => match told.first().cloned().flatten() {
                Some(value) if !of_fhir || resource_type(&value).is_some() => self.of_value(value),
                _ => None,
            },
            By::Declared(all) => all.iter().position(|conditions| {
                let holds = |(path, values): &(usize, Vec<String>)| {
                    told[*path].as_ref().is_some_and(|value| values.contains(value))
                };
                !conditions.is_empty() && conditions.iter().all(holds)
            }),
        };
        match at {
            Some(at) => self.found[at].1.absorb(record),
            None => self.others += 1,
        }
    }

    fn of_value(&mut self, value: String) -> Option<usize> {
        if let Some(at) = self.found.iter().position(|(known, _)| *known == value) {
            return Some(at);
        }
        if self.found.len() >= MOST || value.is_empty() || value.chars().count() > LONGEST {
            self.too_many = true;
            return None;
        }
        self.found.push((value, Shape::default()));
        Some(self.found.len() - 1)
    }

    /// The kinds, once the sample is read.
    ///
    /// # Errors
    /// The field is in no record, or its values are too many or too long to be names of kinds. No value is told.
    pub fn finish(mut self) -> Result<Self> {
        let field = self.path();
        if self.too_many {
            return Err(Error::project(format!(
                "`{field}` has more than {MOST} different values, or one that is empty or longer than {LONGEST} characters"
            ))
            .hint("name a field with `--kind-by` that has one value for each kind of records"));
        }
        if matches!(self.by, By::Values { .. }) && self.found.is_empty() {
            return Err(
                Error::project(format!("no record of the sample has a text or a number in `{field}`"))
                    .hint("`--kind-by` names a field of the records, or a path through structs: meta.source"),
            );
        }
        for (_, shape) in &mut self.found {
            shape.unify();
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_through_structs_from_the_record() {
        let meta = Step { name: "meta", up: None };
        let source = Step {
            name: "source",
            up: Some(&meta),
        };
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        assert!(Within::Field(&source).is(&path("meta.source")));
        assert!(Within::Field(&meta).is(&path("meta")));
        for other in ["source", "meta", "a.meta.source", "meta.other"] {
            assert!(!Within::Field(&source).is(&path(other)), "{other}");
        }
        assert!(!Within::Record.is(&path("meta")) && !Within::Nowhere.is(&path("meta")));
    }
}
