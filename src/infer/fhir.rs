//! What texts of a sample show of FHIR: names of resource types, and references. Only names of FHIR's own specification are
//! kept, which are no data.

use std::collections::BTreeSet;

use crate::model::References;
use crate::model::reference::resource_type;

/// No reference is longer.
const LONGEST: usize = 300;

#[derive(Default)]
pub(super) struct Fhir {
    /// Texts that are the name of a resource type.
    pub names: u64,
    pub named: BTreeSet<&'static str>,
    /// Texts that refer to a resource by its id.
    pub references: u64,
    /// Those of them that are a URL.
    pub urls: u64,
    /// The types that are referred to.
    pub to: BTreeSet<&'static str>,
}

impl Fhir {
    pub fn add(&mut self, text: &str) {
        if let Some(name) = resource_type(text) {
            self.names += 1;
            self.named.insert(name);
        }
        if text.len() > LONGEST || !text.contains(['/', ':']) {
            return;
        }
        let any = References::default();
        let Ok(reference) = any.read(text) else { return };
        if reference.id.is_some() {
            self.references += 1;
            self.urls += u64::from(text.contains("://"));
            self.to.extend(reference.to.and_then(resource_type));
        }
    }

    pub fn absorb(&mut self, other: &Self) {
        self.names += other.names;
        self.named.extend(&other.named);
        self.references += other.references;
        self.urls += other.urls;
        self.to.extend(&other.to);
    }

    /// Whether all of so many texts are references. A URL may as well be that of a profile or of a set of codes, unless the
    /// field is called a reference.
    pub fn are_references(&self, texts: u64, name: &str) -> bool {
        let all = texts > 0 && self.references == texts && !self.to.is_empty();
        all && (self.urls == 0 || name == "reference")
    }
}
