//! Checks a project against its privacy profile. The profile limits which fields the transforms, and so the reader
//! role, may see unmasked.
//!
//! The quoted rules are HIPAA's Safe Harbor, 45 CFR 164.514(b)(2)(i), identifiers (A) to (R), with 164.514(c) on codes;
//! and Art. 4(5) GDPR on pseudonymisation. The check relies on the declared classes. It recognises dates and JSON
//! documents by their types, but it can't know, for example, that a field called `ward` holds a person's name.

use crate::error::Diagnostic;
use crate::model::scalar_field::{ScalarField, effective_mask, is_sensitive, scalar_fields};
use crate::model::{FieldType, MaskKind, PhiClass, Profile, Source};

/// The fields of all sources whose class and mask the profile does not allow. Each problem names the rule that the
/// field breaks.
pub fn check_profile(profile: Profile, sources: &[Source]) -> Vec<Diagnostic> {
    let refuses = match profile {
        Profile::SafeHarbor => safe_harbor,
        Profile::Pseudonymised => pseudonymised,
        Profile::Custom => return vec![],
    };
    let fields = sources.iter().flat_map(|source| &source.kinds).flat_map(scalar_fields);
    fields
        .filter_map(|field| refuses(&field).map(|refusal| refusal.at(&field)))
        .collect()
}

struct Refusal {
    /// The second part of the message, after "`path` ": what is wrong, and by which rule.
    why: String,
    hint: &'static str,
}

impl Refusal {
    fn at(self, field: &ScalarField) -> Diagnostic {
        Diagnostic {
            message: format!("`{}` {}", field.path, self.why),
            location: Some(field.location.clone()),
            hint: Some(self.hint.to_owned()),
        }
    }
}

/// A rule of 45 CFR 164.514(b)(2)(i): its letters, what must be removed, and what may replace it.
struct Rule {
    letters: &'static str,
    removes: &'static str,
    hint: &'static str,
}

const NAMES: Rule = Rule {
    letters: "(A)",
    removes: "names",
    hint: "`mask: null` or `mask: redact`",
};
const PLACES: Rule = Rule {
    letters: "(B)",
    removes: "places smaller than a state, but for the first three digits of a ZIP code",
    hint: "`mask: zip3` for a ZIP code, else `mask: null`; a state needs no class",
};
const DATES: Rule = Rule {
    letters: "(C)",
    removes: "all of a date but the year",
    hint: "`mask: year` or `mask: null`; a date that is about no person may say `phi: none`",
};
const AGES: Rule = Rule {
    letters: "(C)",
    removes: "ages over 89",
    hint: "`mask: age_cap`; a number that is no age may say `phi: none`",
};
const CONTACTS: Rule = Rule {
    letters: "(D)-(F)",
    removes: "telephone and fax numbers and e-mail addresses",
    hint: "`mask: null` or `mask: redact`",
};
const IDENTIFIERS: Rule = Rule {
    letters: "(G)-(R)",
    removes: "identifying numbers, characteristics and codes of every kind",
    hint: "`mask: null` or `mask: redact`; `mask: surrogate` where tables are joined on it",
};
const REFERENCES: Rule = Rule {
    letters: "(G)-(R)",
    removes: "identifying numbers, characteristics and codes of every kind",
    hint: "`mask: surrogate` or `mask: null`; a reference to what tells of no person may say `phi: none`",
};
const ANYTHING: Rule = Rule {
    letters: "(A)-(R)",
    removes: "all eighteen kinds of identifiers, any of which may stand in it",
    hint: "`mask: null` or `mask: redact`, or declare its parts as fields of their own",
};

impl Rule {
    fn refuse(&self, mask: MaskKind) -> Refusal {
        let left = match mask {
            MaskKind::Keep => "is kept".to_owned(),
            mask => format!("is masked with `{}`", mask.name()),
        };
        let Self { letters, removes, hint } = *self;
        let why = format!("{left}, but Safe Harbor, 45 CFR 164.514(b)(2)(i){letters}, removes {removes}");
        Refusal { why, hint }
    }
}

fn safe_harbor(field: &ScalarField) -> Option<Refusal> {
    match effective_mask(field.privacy) {
        // A random code that is kept nowhere is what (c) lets stand for a person.
        MaskKind::Null | MaskKind::Redact | MaskKind::Surrogate => None,
        mask @ (MaskKind::Hash | MaskKind::Pseudonym) => Some(derived_code(mask)),
        mask => broken_rule(field, mask).map(|rule| rule.refuse(mask)),
    }
}

/// The rule that a field breaks, if its mask keeps the value or a part of it.
fn broken_rule(field: &ScalarField, mask: MaskKind) -> Option<&'static Rule> {
    let kept = mask == MaskKind::Keep;
    Some(match field.privacy.phi {
        _ if mask == MaskKind::DateShift => &DATES,
        Some(PhiClass::Identifier) => &IDENTIFIERS,
        Some(PhiClass::Name) => &NAMES,
        Some(PhiClass::Contact) => &CONTACTS,
        Some(PhiClass::FreeText) => &ANYTHING,
        Some(PhiClass::Geo) if mask != MaskKind::Zip3 => &PLACES,
        Some(PhiClass::Date) if mask != MaskKind::Year => &DATES,
        // The type shows that it is a date, unless the class says explicitly that the field is not sensitive.
        Some(PhiClass::Quasi) | None if kept && is_date(field.field_type) => &DATES,
        Some(PhiClass::Quasi) | None if kept && matches!(field.field_type, FieldType::Reference(_)) => &REFERENCES,
        Some(PhiClass::Quasi) | None if kept && matches!(field.field_type, FieldType::Json) => &ANYTHING,
        Some(PhiClass::Quasi) if kept && is_number(field.field_type) => &AGES,
        _ => return None,
    })
}

/// A keyed hash does not satisfy the rule. Paragraph (c) allows a code only if it is not derived from information about
/// the individual.
fn derived_code(mask: MaskKind) -> Refusal {
    let why = format!(
        "is masked with `{}`, a code that is derived from the value: 45 CFR 164.514(b)(2)(i)(R) removes it, and (c)(1) \
         exempts none that is derived from information about the individual",
        mask.name()
    );
    Refusal {
        why,
        hint: "`mask: null` or `mask: redact`; `mask: surrogate` tells people apart within one load; to do so across loads \
               use `privacy: pseudonymised`",
    }
}

fn pseudonymised(field: &ScalarField) -> Option<Refusal> {
    let mask = effective_mask(field.privacy);
    let keyed_or_gone = matches!(
        mask,
        MaskKind::Hash | MaskKind::Pseudonym | MaskKind::Surrogate | MaskKind::Null | MaskKind::Redact
    );
    match field.privacy.phi? {
        class if mask == MaskKind::Keep && is_sensitive(field.privacy) => Some(Refusal {
            why: format!(
                "is classed as {} and kept, but `privacy: pseudonymised` (Art. 4(5) GDPR) keeps nothing that is sensitive",
                class.name()
            ),
            hint: "name a mask; what must be kept needs `privacy: custom`",
        }),
        class @ (PhiClass::Identifier | PhiClass::Name | PhiClass::Contact) if !keyed_or_gone => Some(Refusal {
            why: format!(
                "is classed as {} and masked with `{}`, which leaves part of it; `privacy: pseudonymised` (Art. 4(5) GDPR) \
                 needs a keyed mask",
                class.name(),
                mask.name()
            ),
            hint: "`mask: hash`, `mask: pseudonym`, `mask: null` or `mask: redact`",
        }),
        _ => None,
    }
}

fn is_date(field_type: &FieldType) -> bool {
    matches!(
        field_type.whole(),
        FieldType::Date(_) | FieldType::Timestamp(_) | FieldType::TimestampTz(_)
    )
}

fn is_number(field_type: &FieldType) -> bool {
    matches!(
        field_type,
        FieldType::Int | FieldType::Bigint | FieldType::Double | FieldType::Decimal(..)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Privacy;
    use crate::model::testing::{field, list, source};

    /// The message of the first problem of a single field.
    fn problem(
        profile: Profile,
        field_type: FieldType,
        phi: Option<PhiClass>,
        mask: Option<MaskKind>,
    ) -> Option<String> {
        let privacy = Privacy {
            phi,
            mask,
            domain: None,
            reason: Some("asked for".into()),
        };
        let visits = list(FieldType::Struct(vec![field("x", field_type, privacy)]));
        let sources = vec![source("a", vec![field("visits", visits, Privacy::default())])];
        let mut problems = check_profile(profile, &sources);
        assert!(
            problems
                .iter()
                .all(|p| p.hint.is_some() && p.message.starts_with("`visits[].x` is "))
        );
        problems.pop().map(|problem| problem.message)
    }

    /// The letters of the Safe Harbor rule that refuses a field.
    fn letters(field_type: FieldType, phi: Option<PhiClass>, mask: Option<MaskKind>) -> String {
        let message = problem(Profile::SafeHarbor, field_type, phi, mask).unwrap_or_default();
        let (_, rest) = message.split_once("164.514(b)(2)(i)").unwrap_or_default();
        rest.chars()
            .take_while(|c| "(ABCDEFGHIJKLMNOPQR)-".contains(*c))
            .collect()
    }

    #[test]
    fn safe_harbor_names_the_letter() {
        use MaskKind::{AgeCap, DateShift, Hash, Keep, Null, Pseudonym, Redact, Surrogate, Year, Zip3};
        use PhiClass::{Contact, Date, FreeText, Geo, Identifier, Name, None as Harmless, Quasi};
        let date = || FieldType::Date(vec![]);
        let text = || FieldType::String;
        let cases = [
            (text(), Some(Identifier), Some(Keep), "(G)-(R)"),
            (text(), Some(Identifier), Some(Hash), "(R)"),
            (text(), Some(Identifier), Some(Null), ""),
            (text(), Some(Identifier), Some(Zip3), "(G)-(R)"),
            (text(), Some(Name), Some(Keep), "(A)"),
            (text(), Some(Name), Some(Pseudonym), "(R)"),
            (text(), Some(Name), Some(Redact), ""),
            (text(), Some(Geo), Some(Keep), "(B)"),
            (text(), Some(Geo), Some(Zip3), ""),
            (text(), Some(Geo), Some(Hash), "(R)"),
            (date(), Some(Date), Some(Keep), "(C)"),
            (date(), Some(Date), Some(DateShift), "(C)"),
            (date(), Some(Date), Some(Hash), "(R)"),
            (date(), Some(Date), Some(Year), ""),
            (text(), Some(Date), Some(Keep), "(C)"),
            (date(), Some(Quasi), Some(Keep), "(C)"),
            (date(), None, None, "(C)"),
            (FieldType::TimestampTz(vec![]), None, None, "(C)"),
            (date(), Some(Harmless), None, ""),
            (date(), Some(Harmless), Some(DateShift), "(C)"),
            (FieldType::Int, Some(Quasi), Some(Keep), "(C)"),
            (FieldType::Bigint, Some(Quasi), Some(AgeCap), ""),
            (FieldType::Bigint, Some(Date), Some(AgeCap), "(C)"),
            (FieldType::Int, Some(Date), Some(AgeCap), "(C)"),
            (FieldType::Double, Some(Quasi), Some(Keep), "(C)"),
            (FieldType::Decimal(5, 2), Some(Quasi), Some(Keep), "(C)"),
            (FieldType::Decimal(5, 2), Some(Quasi), Some(AgeCap), ""),
            (text(), Some(Identifier), Some(Surrogate), ""),
            (text(), Some(Name), Some(Surrogate), ""),
            (date(), Some(Date), Some(Surrogate), ""),
            (FieldType::Int, None, None, ""),
            (text(), Some(Contact), Some(Keep), "(D)-(F)"),
            (text(), Some(Contact), Some(Hash), "(R)"),
            (text(), Some(FreeText), Some(Keep), "(A)-(R)"),
            (text(), Some(FreeText), None, ""),
            (text(), Some(FreeText), Some(Redact), ""),
            (FieldType::Json, None, None, "(A)-(R)"),
            (FieldType::Json, Some(Harmless), None, ""),
            (text(), Some(Quasi), Some(Keep), ""),
            (text(), None, Some(Hash), "(R)"),
            (text(), None, None, ""),
        ];
        for (field_type, phi, mask, expected) in cases {
            let case = format!("{field_type:?} {phi:?} {mask:?}");
            assert_eq!(letters(field_type, phi, mask), expected, "{case}");
        }
    }

    #[test]
    fn messages_read_well() {
        assert_eq!(
            problem(
                Profile::SafeHarbor,
                FieldType::Date(vec![]),
                Some(PhiClass::Date),
                Some(MaskKind::DateShift)
            )
            .unwrap(),
            "`visits[].x` is masked with `date_shift`, but Safe Harbor, 45 CFR 164.514(b)(2)(i)(C), removes all of a date \
             but the year"
        );
        assert_eq!(
            problem(
                Profile::SafeHarbor,
                FieldType::String,
                Some(PhiClass::Identifier),
                Some(MaskKind::Hash)
            )
            .unwrap(),
            "`visits[].x` is masked with `hash`, a code that is derived from the value: 45 CFR 164.514(b)(2)(i)(R) removes \
             it, and (c)(1) exempts none that is derived from information about the individual"
        );
        assert_eq!(
            problem(
                Profile::Pseudonymised,
                FieldType::String,
                Some(PhiClass::Name),
                Some(MaskKind::Keep)
            )
            .unwrap(),
            "`visits[].x` is classed as name and kept, but `privacy: pseudonymised` (Art. 4(5) GDPR) keeps nothing that is \
             sensitive"
        );
    }

    #[test]
    fn pseudonymised_keeps_nothing_sensitive() {
        for class in PhiClass::ALL {
            let refused = |mask| problem(Profile::Pseudonymised, FieldType::String, Some(class), Some(mask)).is_some();
            assert_eq!(refused(MaskKind::Keep), class != PhiClass::None, "{}", class.name());
            assert!(!refused(MaskKind::Hash) && !refused(MaskKind::Pseudonym) && !refused(MaskKind::Null));
            assert!(!refused(MaskKind::Surrogate));
            let direct = matches!(class, PhiClass::Identifier | PhiClass::Name | PhiClass::Contact);
            assert_eq!(refused(MaskKind::Zip3), direct, "{}", class.name());
        }
        assert!(problem(Profile::Pseudonymised, FieldType::String, None, None).is_none());
    }

    #[test]
    fn custom_adds_no_rule() {
        for class in PhiClass::ALL {
            assert!(problem(Profile::Custom, FieldType::String, Some(class), Some(MaskKind::Keep)).is_none());
        }
    }
}
