//! Finds the field that says whose record it is.

use super::declare::keys_are_data;
use super::shape::Shape;
use super::words::words;

/// The field that says whose record it is: of a FHIR resource, its own id or the reference to a patient.
pub(super) fn subject(record: &Shape, resource: Option<&'static str>) -> Option<String> {
    match resource {
        Some("Patient") => Some("id".to_owned()),
        Some(_) => subject_reference(record),
        None => named_subject(record).map(str::to_owned),
    }
}

/// The first field at the top of a record that refers to patients, or whose `reference` does.
fn subject_reference(record: &Shape) -> Option<String> {
    let refers = |shape: &Shape, name: &str| {
        let texts = &shape.texts;
        let of_patients =
            texts.fhir.to.contains("Patient") && texts.fhir.are_references(texts.count - texts.empty, name);
        shape.kinds() == 1 && of_patients
    };
    record.objects.fields.iter().find_map(|(name, member)| {
        if refers(&member.shape, name) {
            return Some(name.clone());
        }
        let mut inner = member.shape.objects.fields.iter();
        let reference = inner.find(|(inner, member)| inner == "reference" && refers(&member.shape, inner));
        reference
            .filter(|_| member.shape.kinds() == 1 && !keys_are_data(&member.shape.objects))
            .map(|_| format!("{name}.reference"))
    })
}

/// The top-level field that says whose record it is.
fn named_subject(record: &Shape) -> Option<&str> {
    const PERSONS: [&str; 6] = ["patient", "person", "subject", "member", "client", "participant"];
    let scalars = || {
        let fields = record.objects.fields.iter();
        fields.filter(|(_, member)| {
            let shape = &member.shape;
            let one = shape.kinds() == 1 && shape.texts.count + shape.numbers.count > 0;
            one || shape.is_number_or_text()
        })
    };
    let named = |of_person: bool| {
        scalars().find(|(name, _)| {
            let words = words(name);
            let id = words
                .last()
                .is_some_and(|word| word == "id" || word == "mrn" || word == "identifier");
            id && (!of_person || words.iter().any(|word| PERSONS.contains(&word.as_str())))
        })
    };
    named(true).or_else(|| named(false)).map(|(name, _)| name.as_str())
}
