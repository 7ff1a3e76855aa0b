//! Values of the sample, for the user's eyes only. They are in no file and no log.

use std::fmt;

use super::declare::{Field, Kind};

/// A few values of each field, where the user asked for them.
#[derive(Default)]
pub struct Samples(pub Vec<(String, Vec<String>)>);

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "values of {} fields", self.0.len())
    }
}

impl Samples {
    pub(super) fn of<'f>(kinds: impl Iterator<Item = &'f [Field]>) -> Self {
        let mut samples = Self::default();
        kinds.for_each(|fields| samples.collect(fields, "$"));
        samples
    }

    fn collect(&mut self, fields: &[Field], above: &str) {
        for field in fields {
            let path = format!("{above}.{}", field.name);
            match &field.kind {
                Kind::Scalar(scalar) | Kind::Scalars(scalar) => {
                    if !scalar.shown.0.is_empty() {
                        let list = if matches!(field.kind, Kind::Scalars(_)) {
                            "[]"
                        } else {
                            ""
                        };
                        self.0.push((format!("{path}{list}"), scalar.shown.0.clone()));
                    }
                }
                Kind::Struct(inner) => self.collect(inner, &path),
                Kind::Objects(inner) => self.collect(inner, &format!("{path}[]")),
            }
        }
    }
}
