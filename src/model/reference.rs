//! References to other FHIR resources, and the texts that they come in.
//!
//! The forms are those of FHIR R5, "References between Resources" (2.3.0.1 and 3.1.0.5.5, conditional references):
//! `Patient/12`, `https://x/fhir/Patient/12`, `Patient/12/_history/3`, `urn:uuid:...`, `urn:oid:...`, `#x`,
//! `Patient?identifier=...`.

mod resource_types;

use self::resource_types::RESOURCE_TYPES;

/// The domain in which the ids of contained resources are masked. An id of that kind means something within its record
/// only, so it never equals the id of a resource.
pub(crate) const CONTAINED_DOMAIN: &str = "contained";

/// What stands for the domain of a reference that may lead to any type.
pub(crate) const ANY_TYPE: &str = "its type in lower case";

const NO_REFERENCE: &str =
    "not a reference (Type/id, a URL that ends so, urn:uuid: and a UUID, urn:oid: and an OID, #id or Type?query)";
const NO_TYPE: &str = "a reference to a type that neither FHIR has nor `to` names";
const OTHER_TYPE: &str = "a reference to a type that `to` does not name";

/// What the references of a field may lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Types of resources. Empty means every type of FHIR.
    pub to: Vec<String>,
    /// The servers whose URLs mean the same as `Type/id`, without a slash at the end. Empty means every server.
    pub base: Vec<String>,
    /// Types with the domains in which their ids are masked.
    pub domains: Vec<(String, String)>,
}

/// A reference, taken apart. The version in `/_history/3` is dropped. One of `id`, `contained` and `query` is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    /// `None` where neither the text nor `to` names one type.
    pub to: Option<&'a str>,
    /// Of a resource on a server that `base` does not name, its whole URL.
    pub id: Option<&'a str>,
    /// The id of a resource within the same record. Empty means the record's own resource.
    pub contained: Option<&'a str>,
    /// What the resource is searched by.
    pub query: Option<&'a str>,
}

/// The name of a resource type as FHIR's lists have it.
pub(crate) fn resource_type(name: &str) -> Option<&'static str> {
    let known = RESOURCE_TYPES.binary_search(&name).ok()?;
    Some(RESOURCE_TYPES[known])
}

impl References {
    /// The types that the references may name.
    pub fn types(&self) -> Vec<&str> {
        if self.to.is_empty() {
            RESOURCE_TYPES.to_vec()
        } else {
            self.to.iter().map(String::as_str).collect()
        }
    }

    /// Takes a text apart. The error says what is wrong, without the text.
    pub(crate) fn read<'a>(&'a self, text: &'a str) -> Result<Reference<'a>, &'static str> {
        // A text that names no type is of the one type that `to` names.
        let untyped = Reference {
            to: match &self.to[..] {
                [one] => Some(one),
                _ => None,
            },
            ..Reference::default()
        };
        if let Some(id) = text.strip_prefix('#') {
            let contained = Some(id).filter(|id| id.is_empty() || is_id(id));
            return contained
                .ok_or(NO_REFERENCE)
                .map(|_| Reference { contained, ..untyped });
        }
        if let Some(id) = after_urn(text) {
            let id = Some(id?);
            return Ok(Reference { id, ..untyped });
        }
        if let Some((path, query)) = text.split_once('?') {
            let (base, to) = parent(path);
            let query = if self.is_home(base)? { query } else { text };
            let is_query = query.contains('=') && !query.contains(|c: char| c.is_whitespace() || c.is_control());
            return if is_query {
                Ok(Reference {
                    to: Some(self.known(to)?),
                    query: Some(query),
                    ..Reference::default()
                })
            } else {
                Err(NO_REFERENCE)
            };
        }
        let path = match text.rsplit_once("/_history/") {
            Some((path, version)) if is_id(version) => path,
            Some(_) => return Err(NO_REFERENCE),
            None => text,
        };
        let (before, id) = path.rsplit_once('/').filter(|(_, id)| is_id(id)).ok_or(NO_REFERENCE)?;
        let (base, to) = parent(before);
        let id = if self.is_home(base)? { id } else { path };
        Ok(Reference {
            to: Some(self.known(to)?),
            id: Some(id),
            ..Reference::default()
        })
    }

    /// Whether URLs below `base` mean the same as `Type/id`.
    fn is_home(&self, base: Option<&str>) -> Result<bool, &'static str> {
        let Some(base) = base else { return Ok(true) };
        let host = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://"));
        let is_url = |host: &str| {
            !host.is_empty() && !host.starts_with('/') && !host.contains(|c: char| c.is_whitespace() || c.is_control())
        };
        host.filter(|host| is_url(host)).ok_or(NO_REFERENCE)?;
        Ok(self.base.is_empty() || self.base.iter().any(|home| home == base))
    }

    /// The name of a type, if the references may lead to it. Names of types are not masked, so no other text passes.
    pub(crate) fn known<'a>(&self, name: &'a str) -> Result<&'a str, &'static str> {
        if !self.to.is_empty() {
            let is_named = self.to.iter().any(|to| to == name);
            return if is_named { Ok(name) } else { Err(OTHER_TYPE) };
        }
        let known = RESOURCE_TYPES.binary_search(&name);
        known.map(|_| name).map_err(|_| NO_TYPE)
    }

    /// The domain in which ids of a type are masked: the one that is declared for the type, else `domain` of the field,
    /// else the type's name, as `medication_request`.
    pub(crate) fn domain(&self, of_field: Option<&str>, to: &str) -> String {
        let own = self.domains.iter().find(|(name, _)| name == to);
        let own = own.map(|(_, domain)| domain.as_str()).or(of_field);
        own.map_or_else(|| snake(to), str::to_owned)
    }

    /// The domains in words, for people and for comparisons: `patient`, or `Group: group, Patient: patient`.
    pub(crate) fn shown_domains(&self, of_field: Option<&str>) -> String {
        let others = of_field.unwrap_or(ANY_TYPE).to_owned();
        match (&self.to[..], &self.domains[..]) {
            ([one], _) => self.domain(of_field, one),
            ([], []) => others,
            ([], domains) => {
                let mut shown: Vec<String> = domains.iter().map(|(to, domain)| format!("{to}: {domain}")).collect();
                shown.sort();
                format!("{}, others: {others}", shown.join(", "))
            }
            (types, _) => {
                let shown = |to: &String| format!("{to}: {}", self.domain(of_field, to));
                let mut shown: Vec<String> = types.iter().map(shown).collect();
                shown.sort();
                shown.join(", ")
            }
        }
    }
}

/// The domains that the types of FHIR have where none is declared.
pub(crate) fn own_domains() -> impl Iterator<Item = String> {
    RESOURCE_TYPES.iter().map(|name| snake(name))
}

/// Splits off the last step of a path.
fn parent(path: &str) -> (Option<&str>, &str) {
    match path.rsplit_once('/') {
        Some((parent, name)) => (Some(parent), name),
        None => (None, path),
    }
}

/// What follows `urn:uuid:` or `urn:oid:`. `None`: the text begins with neither.
fn after_urn(text: &str) -> Option<Result<&str, &'static str>> {
    let after = |start: &str| {
        let begins = text.get(..start.len())?.eq_ignore_ascii_case(start);
        begins.then(|| &text[start.len()..])
    };
    let uuid = after("urn:uuid:").map(|id| (id, is_uuid(id)));
    let (id, is_valid) = uuid.or_else(|| after("urn:oid:").map(|id| (id, is_oid(id))))?;
    Some(if is_valid { Ok(id) } else { Err(NO_REFERENCE) })
}

/// FHIR's ids have letters, digits, `-` and `.`, at most 64 of them. Servers exist that use `_` and `~` or longer ids,
/// which do no harm.
fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    !text.is_empty() && text.bytes().all(allowed)
}

fn is_uuid(text: &str) -> bool {
    let is_part = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_part)
}

fn is_oid(text: &str) -> bool {
    let is_arc = |arc: &str| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit());
    text.contains('.') && text.split('.').all(is_arc)
}

/// `MedicationRequest` as `medication_request`.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 2);
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(types: &[&str]) -> References {
        References {
            to: types.iter().map(|name| (*name).to_owned()).collect(),
            ..References::default()
        }
    }

    /// A reference as `type|id|contained|query`.
    fn shown(references: &References, text: &str) -> Option<String> {
        let read = references.read(text).ok()?;
        let part = |part: Option<&str>| part.unwrap_or("-").to_owned();
        Some([read.to, read.id, read.contained, read.query].map(part).join("|"))
    }

    #[test]
    fn the_list_of_types_is_sorted_without_doubles() {
        assert!(RESOURCE_TYPES.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn every_form_is_taken_apart() {
        let uuid = "0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0";
        for (text, expected) in [
            ("Patient/12", "Patient|12|-|-"),
            ("Patient/a-B.9_x~", "Patient|a-B.9_x~|-|-"),
            ("Patient/12/_history/3", "Patient|12|-|-"),
            ("https://x/fhir/Patient/12", "Patient|12|-|-"),
            ("http://x:8080/Patient/12", "Patient|12|-|-"),
            ("https://x/fhir/Patient/12/_history/3", "Patient|12|-|-"),
            ("#x", "-|-|x|-"),
            ("#", "-|-||-"),
            (&format!("urn:uuid:{uuid}"), &format!("-|{uuid}|-|-")),
            (
                &format!("URN:UUID:{}", uuid.to_uppercase()),
                &format!("-|{}|-|-", uuid.to_uppercase()),
            ),
            ("urn:oid:1.2.36.146", "-|1.2.36.146|-|-"),
            (
                "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|999",
                "Practitioner|-|-|identifier=http://hl7.org/fhir/sid/us-npi|999",
            ),
            ("https://x/fhir/Location?name=a", "Location|-|-|name=a"),
        ] {
            assert_eq!(shown(&to(&[]), text).as_deref(), Some(expected), "{text}");
        }
        let one = to(&["Patient"]);
        assert_eq!(
            shown(&one, &format!("urn:uuid:{uuid}")).as_deref(),
            Some(format!("Patient|{uuid}|-|-").as_str())
        );
        assert_eq!(shown(&one, "#x").as_deref(), Some("Patient|-|x|-"));
        let own = to(&["Chart", "Patient"]);
        assert_eq!(shown(&own, "Chart/1").as_deref(), Some("Chart|1|-|-"));
        assert_eq!(shown(&own, "#x").as_deref(), Some("-|-|x|-"));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "",
            "12",
            "Patient",
            "Patient/",
            "/Patient/12",
            "patient/12",
            "Smith/12",
            "Patient/1 2",
            "Patient/12/",
            "Patient/12 ",
            "Patient/é",
            "Patient/12/_history/",
            "Patient/12/_history/3/4",
            "x/Patient/12",
            "ftp://x/Patient/12",
            "https:/Patient/12",
            "https://Patient/12",
            "https:///Patient/12",
            "https://x y/Patient/12",
            "#a b",
            "#a/b",
            "urn:uuid:",
            "urn:uuid:12",
            "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6eg",
            "urn:oid:1",
            "urn:oid:1..2",
            "urn:x:1.2",
            "Patient?",
            "Patient?12",
            "Patient?name=a b",
            "?name=a",
            "Patient/12#x",
            "mailto:a@b.example",
        ] {
            assert_eq!(shown(&to(&[]), text), None, "{text}");
        }
        assert_eq!(to(&["Patient"]).read("Group/1"), Err(OTHER_TYPE));
        assert_eq!(to(&[]).read("Smith/1"), Err(NO_TYPE));
        assert_eq!(to(&[]).read("x"), Err(NO_REFERENCE));
    }

    #[test]
    fn the_same_id_on_another_server_is_another_resource() {
        let home = References {
            base: vec!["https://x/fhir".to_owned()],
            ..References::default()
        };
        for (text, expected) in [
            ("Patient/12", "Patient|12|-|-"),
            ("https://x/fhir/Patient/12/_history/3", "Patient|12|-|-"),
            (
                "https://y/fhir/Patient/12/_history/3",
                "Patient|https://y/fhir/Patient/12|-|-",
            ),
            ("http://x/fhir/Patient/12", "Patient|http://x/fhir/Patient/12|-|-"),
            ("https://x/fhir/Patient?a=1", "Patient|-|-|a=1"),
            ("https://y/Patient?a=1", "Patient|-|-|https://y/Patient?a=1"),
        ] {
            assert_eq!(shown(&home, text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn each_type_has_its_domain() {
        let any = to(&[]);
        assert_eq!(any.domain(None, "MedicationRequest"), "medication_request");
        assert_eq!(any.domain(Some("fhir"), "MedicationRequest"), "fhir");
        let some = References {
            domains: vec![("Patient".to_owned(), "person".to_owned())],
            ..to(&["Patient", "Group"])
        };
        assert_eq!(some.domain(Some("fhir"), "Patient"), "person");
        assert_eq!(some.shown_domains(None), "Group: group, Patient: person");
        assert_eq!(some.shown_domains(Some("fhir")), "Group: fhir, Patient: person");
        assert_eq!(any.shown_domains(None), "its type in lower case");
        assert_eq!(to(&["Patient"]).shown_domains(None), "patient");
    }
}
