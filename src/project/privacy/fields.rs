//! Checks the classes and masks of a source's fields. Reports every problem at once, each at its field.

use crate::error::{Diagnostic, Location};
use crate::model::mask_matrix;
use crate::model::scalar_field::{ScalarField, effective_mask, is_sensitive, scalar_fields};
use crate::model::subject::{self, Astray};
use crate::model::wording::one_of;
use crate::model::{Field, FieldType, Kind, MaskKind, Source, did_you_mean};

/// How many fields a hint names.
const MOST_NAMED: usize = 8;

/// The problems of a source's classes, masks and subjects. Empty if the source can be masked as declared.
pub fn check_fields(source: &Source) -> Vec<Diagnostic> {
    let mut problems = Problems::default();
    for kind in &source.kinds {
        check_kind(kind, &mut problems);
    }
    problems.0
}

fn check_kind(kind: &Kind, problems: &mut Problems) {
    for field in &kind.schema {
        check_place(field, &field.name, &field.location, problems);
    }
    let fields = scalar_fields(kind);
    for field in &fields {
        check_mask(field, problems);
        check_domain(field, problems);
    }
    check_subject(kind, &fields, problems);
}

#[derive(Default)]
struct Problems(Vec<Diagnostic>);

impl Problems {
    fn add(&mut self, at: &Location, message: String, hint: impl Into<Option<String>>) {
        self.0.push(Diagnostic {
            message,
            location: Some(at.clone()),
            hint: hint.into(),
        });
    }
}

/// Checks that classes and masks are declared only on scalar fields.
fn check_place(field: &Field, path: &str, at: &Location, problems: &mut Problems) {
    let inner = match &field.field_type {
        FieldType::Struct(_) => Some("a struct"),
        FieldType::List(element) if holds_structs(&element.field_type) => Some("a list of structs"),
        _ => None,
    };
    if let Some(inner) = inner
        && field.privacy != crate::model::scalar_field::NOTHING
    {
        let message = format!("`{path}` is {inner}: it can't have a class or a mask of its own");
        problems.add(at, message, "put `phi` and `mask` on the fields inside".to_owned());
    }
    match &field.field_type {
        FieldType::Struct(children) => {
            for child in children {
                check_place(child, &format!("{path}.{}", child.name), &child.location, problems);
            }
        }
        FieldType::List(element) => check_place(element, &format!("{path}[]"), at, problems),
        _ => {}
    }
}

fn holds_structs(field_type: &FieldType) -> bool {
    match field_type {
        FieldType::Struct(_) => true,
        FieldType::List(element) => holds_structs(&element.field_type),
        _ => false,
    }
}

fn check_mask(field: &ScalarField, problems: &mut Problems) {
    let ScalarField { path, privacy, .. } = field;
    let class = privacy.phi.map_or("", |class| class.name());
    let mask = effective_mask(privacy);
    if let Err(why) = mask_matrix::output_type(field.field_type, mask) {
        problems.add(
            field.location,
            format!("`{path}`: {why}"),
            Some(choices(field.field_type)),
        );
    } else if is_sensitive(privacy) && privacy.mask.is_none() && mask == MaskKind::Keep {
        let message = format!("`{path}` is classed as {class} and has no mask");
        problems.add(
            field.location,
            message,
            format!("{}; `keep` needs a `reason`", choices(field.field_type)),
        );
    } else if is_sensitive(privacy) && mask == MaskKind::Keep && is_blank(privacy.reason.as_deref()) {
        let message = format!("`{path}` is classed as {class} and kept without a reason");
        problems.add(
            field.location,
            message,
            "say why in `reason: \"...\"`, or name another mask".to_owned(),
        );
    }
}

fn choices(field_type: &FieldType) -> String {
    let names: Vec<String> = mask_matrix::masks_of(field_type)
        .map(|mask| format!("`{}`", mask.name()))
        .collect();
    format!("masks for this type: {}", names.join(", "))
}

fn is_blank(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
}

fn check_domain(field: &ScalarField, problems: &mut Problems) {
    let ScalarField { path, privacy, .. } = field;
    if let FieldType::Reference(references) = field.field_type
        && !references.domains.is_empty()
        && !privacy.mask.is_some_and(MaskKind::has_domain)
    {
        let message = format!("`{path}` has domains, but its mask uses none");
        let hint = "`domains` goes with `mask: hash` and `mask: surrogate`".to_owned();
        problems.add(field.location, message, hint);
    }
    let Some(domain) = &privacy.domain else { return };
    if !privacy.mask.is_some_and(MaskKind::has_domain) {
        let message = format!("`{path}` has a domain, but its mask uses none");
        problems.add(
            field.location,
            message,
            "`domain` goes with `mask: hash`, `mask: pseudonym` and `mask: surrogate`".to_owned(),
        );
    } else if domain.trim().is_empty() {
        let message = format!("the domain of `{path}` is empty");
        problems.add(
            field.location,
            message,
            "name the kind of value, e.g. `domain: patient`, or drop it".to_owned(),
        );
    }
}

fn check_subject(kind: &Kind, fields: &[ScalarField], problems: &mut Problems) {
    let Some(name) = &kind.subject else {
        for field in fields
            .iter()
            .filter(|field| field.privacy.mask == Some(MaskKind::DateShift))
        {
            let message = format!("`{}` is shifted, but nothing says whose date it is", field.path);
            let hint = "name the field that identifies the person: `subject: <field>`, beside `schema`";
            problems.add(field.location, message, hint.to_owned());
        }
        return;
    };
    let field = match subject::find(&kind.schema, name) {
        Ok(found) => found.field,
        Err(astray) => {
            let message = match &astray {
                Astray::Nowhere => format!("the subject `{name}` is no field of {}", kind.label),
                Astray::InList(list) => format!(
                    "the subject `{name}` is inside of the list `{list}`, of which a record may have several elements"
                ),
            };
            problems.add(&kind.location, message, other_subjects(name, fields));
            return;
        }
    };
    // The subject is hashed, so its type must be one that the mask `hash` takes.
    if mask_matrix::output_type(&field.field_type, MaskKind::Hash).is_err() {
        let message = format!(
            "`{name}` can't be the subject of {}: its type does not identify anyone",
            kind.label
        );
        problems.add(&field.location, message, other_subjects(name, fields));
    }
}

/// The fields that can be a subject instead: those inside of the one that is named, else the one with a similar name,
/// else all.
fn other_subjects(name: &str, fields: &[ScalarField]) -> String {
    let fits = |field: &&ScalarField| {
        !field.path.contains("[]") && mask_matrix::output_type(field.field_type, MaskKind::Hash).is_ok()
    };
    let paths: Vec<&str> = fields.iter().filter(fits).map(|field| field.path.as_str()).collect();
    let inside: Vec<&str> = paths
        .iter()
        .copied()
        .filter(|path| path.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
        .collect();
    if inside.is_empty()
        && let Some(similar) = did_you_mean(name, paths.iter().copied())
    {
        return similar;
    }
    match if inside.is_empty() { &paths[..] } else { &inside[..] } {
        [] => {
            "declare a field outside of lists that identifies the person: a string, reference, int, bigint, decimal, date or json"
                .to_owned()
        }
        some => format!("it may be {}", one_of(&some[..some.len().min(MOST_NAMED)])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{field, list, phi, source};
    use crate::model::{PhiClass, Privacy};

    fn problems(fields: Vec<Field>) -> Vec<(String, String)> {
        check_fields(&source("a", fields))
            .into_iter()
            .map(|d| (d.message, d.hint.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn honest_declarations_pass() {
        let fields = vec![
            field(
                "patient_id",
                FieldType::String,
                phi(PhiClass::Identifier, MaskKind::Hash, Some("patient")),
            ),
            field(
                "sex",
                FieldType::String,
                Privacy {
                    reason: Some("by sex".into()),
                    ..phi(PhiClass::Quasi, MaskKind::Keep, None)
                },
            ),
            field(
                "note",
                FieldType::String,
                Privacy {
                    phi: Some(PhiClass::FreeText),
                    ..Privacy::default()
                },
            ),
            field(
                "ward",
                FieldType::String,
                Privacy {
                    phi: Some(PhiClass::None),
                    ..Privacy::default()
                },
            ),
            field(
                "codes",
                list(FieldType::String),
                Privacy {
                    mask: Some(MaskKind::Hash),
                    ..Privacy::default()
                },
            ),
        ];
        assert_eq!(problems(fields), []);
    }

    #[test]
    fn a_sensitive_field_needs_a_mask_and_keep_a_reason() {
        for class in PhiClass::ALL {
            let bare = Privacy {
                phi: Some(class),
                ..Privacy::default()
            };
            let expected = usize::from(!matches!(class, PhiClass::None | PhiClass::FreeText));
            assert_eq!(
                problems(vec![field("x", FieldType::String, bare)]).len(),
                expected,
                "{}",
                class.name()
            );
            for (reason, fine) in [(None, false), (Some("  "), false), (Some("asked for"), true)] {
                let kept = Privacy {
                    reason: reason.map(str::to_owned),
                    ..phi(class, MaskKind::Keep, None)
                };
                let count = problems(vec![field("x", FieldType::String, kept)]).len();
                assert_eq!(count, usize::from(!fine && class != PhiClass::None), "{}", class.name());
            }
        }
        let bare = Privacy {
            phi: Some(PhiClass::Date),
            ..Privacy::default()
        };
        let visits = list(FieldType::Struct(vec![field("date", FieldType::Date(vec![]), bare)]));
        assert_eq!(
            problems(vec![field("visits", visits, Privacy::default())]),
            [(
                "`visits[].date` is classed as date and has no mask".to_owned(),
                "masks for this type: `keep`, `null`, `hash`, `date_shift`, `year`, `surrogate`; `keep` needs a `reason`".to_owned()
            )]
        );
    }

    #[test]
    fn pairs_outside_of_the_matrix_are_refused() {
        let masked = |mask| Privacy {
            mask: Some(mask),
            ..Privacy::default()
        };
        let found = problems(vec![field("born", FieldType::Date(vec![]), masked(MaskKind::Redact))]);
        assert_eq!(
            found[0].0,
            "`born`: `redact` does not mask a date; it takes string and json"
        );
        let found = problems(vec![field("s", FieldType::Struct(vec![]), masked(MaskKind::Null))]);
        assert_eq!(
            found[0].0,
            "`s` is a struct: it can't have a class or a mask of its own"
        );
        let structs = list(list(FieldType::Struct(vec![])));
        let found = problems(vec![field("s", structs, masked(MaskKind::Null))]);
        assert_eq!(
            found[0].0,
            "`s` is a list of structs: it can't have a class or a mask of its own"
        );
    }

    #[test]
    fn a_domain_belongs_to_a_keyed_mask() {
        let bad = phi(PhiClass::Name, MaskKind::Redact, Some("person"));
        assert_eq!(
            problems(vec![field("n", FieldType::String, bad)])[0].0,
            "`n` has a domain, but its mask uses none"
        );
        let empty = phi(PhiClass::Name, MaskKind::Pseudonym, Some(" "));
        assert_eq!(
            problems(vec![field("n", FieldType::String, empty)])[0].0,
            "the domain of `n` is empty"
        );
    }

    #[test]
    fn a_shifted_date_needs_a_subject() {
        let shifted = field(
            "seen",
            FieldType::Date(vec![]),
            phi(PhiClass::Date, MaskKind::DateShift, None),
        );
        let id = field("patient_id", FieldType::Bigint, Privacy::default());
        let check = |subject: Option<&str>, id: &Field| {
            let mut source = source("a", vec![id.clone(), shifted.clone()]);
            source.kinds[0].subject = subject.map(str::to_owned);
            check_fields(&source)
                .into_iter()
                .map(|d| (d.message, d.hint))
                .collect::<Vec<_>>()
        };
        assert_eq!(check(Some("patient_id"), &id), []);
        assert_eq!(
            check(None, &id)[0].0,
            "`seen` is shifted, but nothing says whose date it is"
        );
        let (message, hint) = &check(Some("patient_ids"), &id)[0];
        assert_eq!(message, "the subject `patient_ids` is no field of a");
        assert!(hint.as_ref().unwrap().contains("`patient_id`"));
        for no_scalar in [
            list(FieldType::String),
            FieldType::Struct(vec![]),
            FieldType::Double,
            FieldType::Bool,
        ] {
            let id = field("patient_id", no_scalar, Privacy::default());
            assert!(
                check(Some("patient_id"), &id)[0]
                    .0
                    .starts_with("`patient_id` can't be the subject")
            );
        }
    }
}
