//! Suggests the class and the mask of a field, from its name, its place and what its values look like. In doubt it takes
//! the stricter: a mask that is not needed costs a line of YAML, a missing one a person's secret.

use super::shape::Shape;
use super::texts::Looks;
use super::words::{singular, words};

/// A class, a mask and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suggested {
    pub class: &'static str,
    pub mask: &'static str,
    pub domain: Option<String>,
    /// Why the value is kept, for the mask `keep`.
    pub reason: Option<&'static str>,
    pub why: String,
}

/// What a suggestion goes by.
pub(super) struct Seen<'a> {
    /// The names from the record to the field.
    pub path: &'a [&'a str],
    pub shape: &'a Shape,
    /// The declared type.
    pub field_type: &'a str,
    /// Whether the object has a field that is called `code`, so that names and texts beside it describe the code.
    pub coded: bool,
    /// Whether the record says whose it is, so that dates can be shifted.
    pub subject: bool,
}

const PERSON_NUMBERS: [&str; 24] = [
    "ssn",
    "mrn",
    "nhs",
    "nino",
    "sin",
    "passport",
    "licence",
    "license",
    "account",
    "iban",
    "insurance",
    "policy",
    "member",
    "subscriber",
    "beneficiary",
    "serial",
    "national",
    "social",
    "medicare",
    "medicaid",
    "tax",
    "vin",
    "plate",
    "fingerprint",
];
const CODED: [&str; 26] = [
    "drug",
    "medication",
    "medicine",
    "test",
    "lab",
    "diagnosis",
    "procedure",
    "product",
    "vaccine",
    "allergen",
    "substance",
    "organization",
    "facility",
    "hospital",
    "department",
    "ward",
    "system",
    "unit",
    "type",
    "class",
    "category",
    "file",
    "column",
    "status",
    "device",
    "treatment",
];
const PERSONS: [&str; 21] = [
    "firstname",
    "lastname",
    "fullname",
    "surname",
    "forename",
    "given",
    "family",
    "middle",
    "maiden",
    "author",
    "doctor",
    "provider",
    "physician",
    "nurse",
    "practitioner",
    "clinician",
    "surgeon",
    "guardian",
    "kin",
    "signed",
    "patient",
];
const IDS: [&str; 7] = ["id", "identifier", "number", "no", "uuid", "guid", "reference"];
const CONTACTS: [&str; 13] = [
    "phone",
    "telephone",
    "tel",
    "mobile",
    "cell",
    "fax",
    "email",
    "mail",
    "telecom",
    "url",
    "website",
    "ip",
    "pager",
];
const PLACES: [&str; 17] = [
    "address",
    "street",
    "line",
    "city",
    "town",
    "zip",
    "zipcode",
    "postal",
    "postcode",
    "county",
    "district",
    "latitude",
    "longitude",
    "lat",
    "lon",
    "geo",
    "parish",
];
const QUASI: [&str; 14] = [
    "gender",
    "sex",
    "race",
    "ethnicity",
    "ethnic",
    "marital",
    "religion",
    "occupation",
    "language",
    "nationality",
    "citizenship",
    "employer",
    "income",
    "education",
];
const PROSE: [&str; 17] = [
    "note",
    "notes",
    "comment",
    "comments",
    "text",
    "narrative",
    "remark",
    "remarks",
    "history",
    "summary",
    "report",
    "message",
    "findings",
    "impression",
    "div",
    "conclusion",
    "instructions",
];

/// The class and mask of a field. `None`: nothing sensitive is seen.
pub(super) fn suggest(seen: &Seen<'_>) -> Option<Suggested> {
    by_values(seen).or_else(|| by_name(seen))
}

fn by_values(seen: &Seen<'_>) -> Option<Suggested> {
    let texts = &seen.shape.texts;
    let why = |what: &str| format!("its values look like {what}");
    let own = words(seen.path.last()?);
    match texts.all_look_like() {
        Some(Looks::Email) => return Some(fit(seen, "contact", "redact", why("e-mail addresses"))),
        Some(Looks::SocialSecurity) => return Some(fit(seen, "identifier", "hash", why("social security numbers"))),
        Some(Looks::Url) if !own.iter().any(|word| word == "system" || word == "profile") => {
            return Some(fit(seen, "contact", "redact", why("web addresses")));
        }
        Some(Looks::Phone) if texts.styles().is_empty() && texts.numbers().is_none() => {
            return Some(fit(seen, "contact", "redact", why("telephone numbers")));
        }
        _ => {}
    }
    if texts.are_blobs() {
        return Some(fit(seen, "free_text", "null", why("whole documents")));
    }
    if texts.are_prose() && !seen.coded {
        return Some(fit(seen, "free_text", "redact", why("text that somebody wrote")));
    }
    None
}

fn by_name(seen: &Seen<'_>) -> Option<Suggested> {
    let name = *seen.path.last()?;
    let own = words(name);
    let is = |known: &[&str]| own.iter().find(|word| known.contains(&word.as_str()));
    let around: Vec<String> = seen
        .path
        .iter()
        .rev()
        .skip(1)
        .take(1)
        .flat_map(|name| words(name))
        .collect();
    let near = |known: &[&str]| is(known).or_else(|| around.iter().find(|word| known.contains(&word.as_str())));
    let why = |word: &str| format!("`{word}` in its name");
    let time = matches!(seen.field_type, "date" | "timestamp" | "timestamptz");
    if own
        .iter()
        .any(|word| ["birth", "dob", "born", "birthdate", "birthday"].contains(&word.as_str()))
    {
        return Some(fit(seen, "date", if time { "year" } else { "redact" }, why("birth")));
    }
    if time {
        let (mask, what) = if seen.subject {
            ("date_shift", "a date of a person")
        } else {
            (
                "keep",
                "a date, and the record does not say whose: name a `subject` to shift it",
            )
        };
        return Some(fit(seen, "date", mask, what.to_owned()));
    }
    if own.iter().any(|word| word == "age") {
        return Some(fit(seen, "quasi", "age_cap", why("age")));
    }
    if let Some(word) = is(&PERSON_NUMBERS) {
        return Some(fit(seen, "identifier", "hash", why(word)));
    }
    if let Some(word) = is(&CONTACTS) {
        return Some(fit(seen, "contact", "redact", why(word)));
    }
    let public = is(&["use", "type", "state", "country", "system", "period"]).is_some();
    if let Some(word) = near(&PLACES).filter(|_| !public) {
        let zip = word.starts_with("zip") || word.starts_with("post");
        let us = zip && seen.shape.texts.all_look_like() == Some(Looks::Zip);
        return Some(fit(seen, "geo", if us { "zip3" } else { "redact" }, why(word)));
    }
    if let Some(word) = is(&QUASI) {
        return Some(fit(seen, "quasi", "keep", why(word)));
    }
    let id = own.last().is_some_and(|word| IDS.contains(&word.as_str()));
    if id || own.len() == 1 && name.len() > 3 && name.to_ascii_lowercase().ends_with("id") {
        return Some(fit(
            seen,
            "identifier",
            "hash",
            "it names a person or what belongs to one".to_owned(),
        ));
    }
    if let Some(word) = is(&PERSONS) {
        return Some(fit(seen, "name", "pseudonym", why(word)));
    }
    // A name or a text beside a code says what the code means.
    if seen.coded || near(&CODED).is_some() {
        return None;
    }
    if is(&["name", "names"]).is_some() {
        return Some(fit(seen, "name", "pseudonym", why("name")));
    }
    if let Some(word) = near(&PROSE) {
        return Some(fit(seen, "free_text", "redact", why(word)));
    }
    let whole = around
        .iter()
        .any(|word| ["name", "names", "kin", "guardian"].contains(&word.as_str()));
    (whole && !public).then(|| fit(seen, "name", "pseudonym", "it is a part of a name".to_owned()))
}

/// Of a reference, the id is masked in the domain of the resource's type, which is needed to join it.
pub(super) fn reference(to: &[&str]) -> Suggested {
    Suggested {
        class: "identifier",
        mask: "hash",
        domain: None,
        reason: None,
        why: format!("refers to {} in the sample", to.join(", ")),
    }
}

/// The domain of a name: the word for the person in it, such as `author`, else `name`.
fn person(path: &[&str]) -> String {
    let own = path.last().map(|name| words(name)).unwrap_or_default();
    let person = own.into_iter().find(|word| PERSONS[9..].contains(&word.as_str()));
    person.unwrap_or_else(|| "name".to_owned())
}

/// The domain of an id: `patient` for `patient_id`, and for the `id` of a list `patients`.
fn domain(path: &[&str]) -> String {
    let mut names = path.iter().rev().map(|name| {
        let mut words = words(name);
        words.retain(|word| !IDS.contains(&word.as_str()));
        words.join(" ")
    });
    let found = names.find(|name| !name.is_empty());
    found.map_or_else(|| "record".to_owned(), |name| singular(&name))
}

/// Fits the mask to the type: not every type may have every mask.
fn fit(seen: &Seen<'_>, class: &'static str, mask: &'static str, why: String) -> Suggested {
    let text = seen.field_type == "string";
    let whole = matches!(seen.field_type, "int" | "bigint");
    let mask = match mask {
        "redact" | "pseudonym" | "zip3" if !text => "null",
        "hash"
            if seen.field_type == "bool" || seen.field_type == "double" || seen.field_type.starts_with("timestamp") =>
        {
            "null"
        }
        "age_cap" if text => "redact",
        "age_cap" if !whole => "null",
        mask => mask,
    };
    let domain = match mask {
        "hash" | "pseudonym" => Some(match class {
            "name" => person(seen.path),
            _ => domain(seen.path),
        }),
        _ => None,
    };
    let reason = match (mask, class) {
        ("keep", "date") => Some("the record does not say whose date it is; decide before real data is loaded"),
        ("keep", _) => Some("kept for analysis; decide whether it is needed"),
        _ => None,
    };
    Suggested {
        class,
        mask,
        domain,
        reason,
        why,
    }
}
