//! References under `hash` and `surrogate`: the type stays, and what identifies a resource is masked in the domain of
//! the type. So the id of `Patient/12` gets the mask of a patient's own id `12`, and not that of `Group/12`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray, StringBuilder, StructArray};
use arrow::compute::nullif;
use arrow::datatypes::Fields;
use arrow::error::ArrowError;

use crate::model::reference::CONTAINED_DOMAIN;
use crate::model::scalar_field::default_domain;
use crate::model::{Kind, Privacy, References, is_reference};

/// The domains of a field's references.
#[derive(Debug, Clone)]
pub(in crate::mask) struct Domains {
    pub of_type: HashMap<String, String>,
    /// Of references whose type is not known.
    pub untyped: String,
}

/// The domain of a field, or of its references whose type is not known.
pub(in crate::mask) fn domain(kind: &Kind, privacy: &Privacy, path: &str) -> String {
    let own = privacy.domain.clone();
    own.unwrap_or_else(|| default_domain(&kind.label, path))
}

impl Domains {
    /// Those of a field, by its path.
    pub fn of_field(kind: &Kind, references: &References, privacy: &Privacy, path: &str) -> Self {
        let own = privacy.domain.as_deref();
        let types = references.types().into_iter();
        let of_type = types.map(|to| (to.to_owned(), references.domain(own, to)));
        Self {
            of_type: of_type.collect(),
            untyped: domain(kind, privacy, path),
        }
    }

    fn of(&self, to: Option<&str>) -> &str {
        let own = to.and_then(|to| self.of_type.get(to));
        own.unwrap_or(&self.untyped)
    }
}

/// Masks the references. `mask` masks the texts of an array in a domain. `array` is null wherever a parent is null.
pub(in crate::mask) fn apply(
    array: &ArrayRef,
    fields: &Fields,
    domains: &Domains,
    mask: impl Fn(&str, &ArrayRef) -> Result<ArrayRef, ArrowError>,
) -> Result<ArrayRef, ArrowError> {
    let [types, ids, contained, queries] = parts(array)?;
    let masked = vec![
        Arc::clone(&types),
        by_type(&types, &ids, domains, &mask)?,
        mask(CONTAINED_DOMAIN, &contained)?,
        by_type(&types, &queries, domains, &mask)?,
    ];
    let nulls = array.logical_nulls();
    Ok(Arc::new(StructArray::try_new_with_length(
        fields.clone(),
        masked,
        nulls,
        array.len(),
    )?))
}

/// The ids of the references by their domains, each array with nulls in place of the ids of others.
pub(in crate::mask) fn ids(array: &ArrayRef, domains: &Domains) -> Result<Vec<(String, ArrayRef)>, ArrowError> {
    let [types, ids, ..] = parts(array)?;
    let split = split(&types, &ids, domains)?;
    Ok(split
        .into_iter()
        .map(|(domain, ids)| (domain.to_owned(), ids))
        .collect())
}

/// The members of the struct, null where the struct is.
fn parts(array: &ArrayRef) -> Result<[ArrayRef; 4], ArrowError> {
    let structs = array
        .as_struct_opt()
        .filter(|structs| is_reference(structs.data_type()))
        .ok_or_else(|| super::unexpected("hash", array.data_type()))?;
    let part = |at: usize| super::under(structs.column(at), structs.nulls());
    Ok([part(0)?, part(1)?, part(2)?, part(3)?])
}

fn by_type(
    types: &ArrayRef,
    texts: &ArrayRef,
    domains: &Domains,
    mask: &impl Fn(&str, &ArrayRef) -> Result<ArrayRef, ArrowError>,
) -> Result<ArrayRef, ArrowError> {
    let mut split = split(types, texts, domains)?;
    if let [(domain, texts)] = &split[..] {
        return mask(domain, texts);
    }
    for (domain, texts) in &mut split {
        *texts = mask(domain, texts)?;
    }
    let masked: Vec<&StringArray> = split.iter().map(|(_, texts)| texts.as_string::<i32>()).collect();
    let mut merged = StringBuilder::new();
    for row in 0..texts.len() {
        let one = masked.iter().find(|texts| texts.is_valid(row));
        merged.append_option(one.map(|texts| texts.value(row)));
    }
    Ok(Arc::new(merged.finish()))
}

/// One array for each domain that occurs, or one for all where there is none.
fn split<'d>(types: &ArrayRef, texts: &ArrayRef, domains: &'d Domains) -> Result<Vec<(&'d str, ArrayRef)>, ArrowError> {
    let types = types.as_string::<i32>();
    let mut found: Vec<&str> = Vec::new();
    let mut of_rows = Vec::with_capacity(texts.len());
    for row in 0..texts.len() {
        let domain = texts
            .is_valid(row)
            .then(|| domains.of(types.is_valid(row).then(|| types.value(row))));
        if let Some(domain) = domain.filter(|domain| !found.contains(domain)) {
            found.push(domain);
        }
        of_rows.push(domain);
    }
    match found[..] {
        [] => Ok(vec![(domains.untyped.as_str(), Arc::clone(texts))]),
        [one] => Ok(vec![(one, Arc::clone(texts))]),
        _ => {
            let own = |domain| {
                let is_other: BooleanArray = of_rows.iter().map(|of_row| Some(*of_row != Some(domain))).collect();
                Ok((domain, nullif(texts, &is_other)?))
            };
            found.iter().map(|domain| own(*domain)).collect()
        }
    }
}
