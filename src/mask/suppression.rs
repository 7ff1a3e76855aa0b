//! Leaves out the records of persons on the suppression list, before anything else reads their values. The list names a
//! person by a keyed hash of the record's subject.

use std::collections::{BTreeSet, HashMap, HashSet};

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;

use super::key::{Keyed, MaskKey, Token, Use};
use super::kinds::reference::{self, Domains};
use super::kinds::spelling::{self, Spelled};
use super::nested::at;
use crate::model::{FieldType, Kind, Privacy, Source, subject};

/// The types of resources that are persons. A reference that may be to any type is searched for these.
const PERSONS: [&str; 4] = ["Patient", "Person", "Practitioner", "RelatedPerson"];

/// The domains of a kind's subject: one, or one for each type that a reference may name. In all kinds of all sources that
/// share a domain, the same id is the same person. Empty: the kind names no subject.
pub fn subject_domains(kind: &Kind) -> BTreeSet<String> {
    let found = kind
        .subject
        .as_deref()
        .and_then(|path| Some((path, subject::find(&kind.schema, path).ok()?.field)));
    found
        .map(|(path, field)| id_domains(kind, &field.field_type, &field.privacy, path))
        .unwrap_or_default()
}

/// The domains of a field's ids. `path` names its own domain, where it declares none.
pub fn id_domains(kind: &Kind, field_type: &FieldType, privacy: &Privacy, path: &str) -> BTreeSet<String> {
    let FieldType::Reference(references) = field_type else {
        return BTreeSet::from([reference::domain(kind, privacy, path)]);
    };
    let types = if references.to.is_empty() {
        PERSONS.to_vec()
    } else {
        references.types()
    };
    let of_field = privacy.domain.as_deref();
    let mut domains: BTreeSet<String> = types.into_iter().map(|to| references.domain(of_field, to)).collect();
    if references.to.len() != 1 {
        // Where several types are allowed, `urn:uuid:...` tells none.
        domains.insert(reference::domain(kind, privacy, path));
    }
    domains
}

/// Hashes the subjects of a source's records as the suppression list does.
#[derive(Debug, Clone)]
pub struct SubjectHash {
    /// In the order of the source's kinds. `None`: the kind names no subject.
    kinds: Vec<Option<KindSubject>>,
}

#[derive(Debug, Clone)]
struct KindSubject {
    /// The positions of the subject's column and of the fields below it, from the outside in.
    positions: Vec<usize>,
    id: SubjectId,
}

#[derive(Debug, Clone)]
enum SubjectId {
    Plain(Keyed),
    /// The domains of the types, with their keys.
    Reference(Domains, HashMap<String, Keyed>),
}

/// The persons whose records are left out.
#[derive(Debug)]
pub(super) struct Suppressed {
    pub subjects: SubjectHash,
    tokens: HashSet<Token>,
}

impl SubjectHash {
    /// `None`: no kind of the source names a subject.
    pub fn of(source: &Source, key: &MaskKey) -> Option<Self> {
        let kinds: Vec<_> = source.kinds.iter().map(|kind| KindSubject::of(kind, key)).collect();
        kinds.iter().any(Option::is_some).then_some(Self { kinds })
    }

    pub(super) fn tokens(&self, batch: &RecordBatch, kind: usize) -> Result<Vec<Option<Token>>, ArrowError> {
        let Some(subject) = self.kinds.get(kind).and_then(Option::as_ref) else {
            return Ok(vec![None; batch.num_rows()]);
        };
        let subjects = at(batch, &subject.positions)?;
        let mut tokens = vec![None; subjects.len()];
        match &subject.id {
            SubjectId::Plain(keyed) => add_tokens(keyed, &subjects, &mut tokens)?,
            SubjectId::Reference(domains, keys) => {
                // A contained resource is known to its record only, so it is no subject.
                for (domain, ids) in reference::ids(&subjects, domains)? {
                    if let Some(keyed) = keys.get(&domain) {
                        add_tokens(keyed, &ids, &mut tokens)?;
                    }
                }
            }
        }
        Ok(tokens)
    }
}

impl KindSubject {
    fn of(kind: &Kind, key: &MaskKey) -> Option<Self> {
        let path = kind.subject.as_deref()?;
        let found = subject::find(&kind.schema, path).ok()?;
        let privacy = &found.field.privacy;
        let keyed = |domain: &str| key.keyed(Use::Suppression, domain);
        let id = match &found.field.field_type {
            FieldType::Reference(references) => {
                let domains = Domains::of_field(kind, references, privacy, path);
                let all = domains.of_type.values().chain([&domains.untyped]);
                let keys = all.map(|domain| (domain.clone(), keyed(domain))).collect();
                SubjectId::Reference(domains, keys)
            }
            _ => SubjectId::Plain(keyed(&reference::domain(kind, privacy, path))),
        };
        Some(Self {
            positions: found.positions,
            id,
        })
    }
}

fn add_tokens(keyed: &Keyed, ids: &ArrayRef, tokens: &mut [Option<Token>]) -> Result<(), ArrowError> {
    let mut row = 0;
    spelling::for_each(ids, |id| {
        if let Some(Spelled::Kept(text) | Spelled::Passing(text)) = id {
            tokens[row] = Some(keyed.token(text.as_bytes()));
        }
        row += 1;
    })
}

impl Suppressed {
    /// The persons whom the list names by these hashes, in hex.
    pub(super) fn new(subjects: SubjectHash, hashes: impl IntoIterator<Item = String>) -> Self {
        let token = |hash: String| {
            let mut token = Token::default();
            hex::decode_to_slice(hash, &mut token).ok().map(|()| token)
        };
        let tokens = hashes.into_iter().filter_map(token).collect();
        Self { subjects, tokens }
    }

    /// The hashes, in hex.
    pub fn hashes(&self) -> Vec<String> {
        self.tokens.iter().map(hex::encode).collect()
    }

    pub(super) fn leave_out(&self, batch: &RecordBatch, kind: usize) -> Result<RecordBatch, ArrowError> {
        let subjects = self.subjects.tokens(batch, kind)?;
        let kept: BooleanArray = subjects
            .iter()
            .map(|token| Some(token.is_none_or(|token| !self.tokens.contains(&token))))
            .collect();
        if kept.true_count() == kept.len() {
            return Ok(batch.clone());
        }
        filter_record_batch(batch, &kept)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray, StructArray, UInt64Array};

    use super::*;
    use crate::mask::{Masks, Unmasked};
    use crate::model::testing::{field, kind, phi, source};
    use crate::model::{MaskKind, PhiClass, Privacy, References, arrow_schema};

    fn nested() -> (Source, Unmasked) {
        let id = field(
            "reference",
            FieldType::String,
            phi(PhiClass::Identifier, MaskKind::Hash, Some("patient")),
        );
        let plain = |name: &str, kind| field(name, kind, Privacy::default());
        let mut source = source(
            "a",
            vec![
                plain("subject", FieldType::Struct(vec![id])),
                plain("n", FieldType::Bigint),
            ],
        );
        source.kinds[0].subject = Some("subject.reference".into());
        let schema = arrow_schema(&source.kinds[0]);
        let ids: ArrayRef = Arc::new(StringArray::from(vec![Some("P1"), None, Some("P2"), Some("P1")]));
        let arrow::datatypes::DataType::Struct(fields) = schema.field(0).data_type() else {
            panic!("a struct")
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StructArray::new(fields.clone(), vec![ids], None)),
            Arc::new(Int64Array::from(vec![1, 2, 3, 4])),
            Arc::new(UInt64Array::from(vec![1, 2, 3, 4])),
        ];
        (source, Unmasked::new(RecordBatch::try_new(schema, columns).unwrap(), 0))
    }

    #[test]
    fn records_of_suppressed_persons_are_left_out_and_no_others() {
        let key = MaskKey::for_tests();
        let (source, batch) = nested();
        let subjects = SubjectHash::of(&source, &key).unwrap();
        let hashes = subjects.hashes(&batch).unwrap();
        assert!(hashes[0] == hashes[3] && hashes[0] != hashes[2] && hashes[1].is_none());
        // The hash in the tables is another one, so the list tells nothing to who reads them.
        assert_ne!(hashes[0].as_deref(), Some(key.hash("patient", "P1").as_str()));
        let theirs = vec![hashes[0].clone().unwrap()];
        assert_eq!(subjects.records_of(&theirs, &batch).unwrap(), [1, 4]);
        let masks = Masks::plan(&source, &key).unwrap().suppressing(subjects, theirs);
        let left = masks.apply(batch).unwrap().into_inner();
        let numbers: Vec<i64> = left
            .column(1)
            .as_primitive::<arrow::datatypes::Int64Type>()
            .values()
            .to_vec();
        assert_eq!(numbers, [2, 3]);
    }

    #[test]
    fn sources_of_one_domain_share_their_persons() {
        let key = MaskKey::for_tests();
        let (source, batch) = nested();
        let other = Source {
            name: "b".into(),
            ..source.clone()
        };
        let hashes = |source: &Source| SubjectHash::of(source, &key).unwrap().hashes(&batch).unwrap();
        assert_eq!(hashes(&source), hashes(&other));
        assert!(subject_domains(&source.kinds[0]).into_iter().eq(["patient"]));
        let mut none = source;
        none.kinds[0].subject = None;
        assert!(SubjectHash::of(&none, &key).is_none() && subject_domains(&none.kinds[0]).is_empty());
    }

    #[test]
    fn a_reference_is_the_person_of_its_type_and_id() {
        let key = MaskKey::for_tests();
        let (source, _) = nested();
        let references = |to: &[&str]| References {
            to: to.iter().map(|to| (*to).to_owned()).collect(),
            ..References::default()
        };
        let kind = |to: &[&str], domain: Option<&str>| {
            let privacy = phi(PhiClass::Identifier, MaskKind::Hash, domain);
            let mut kind = kind("lab", vec![field("who", FieldType::Reference(references(to)), privacy)]);
            kind.subject = Some("who.id".into());
            kind
        };
        let domains = |to, domain| Vec::from_iter(subject_domains(&kind(to, domain)));
        assert_eq!(domains(&["Patient"], None), ["patient"]);
        assert_eq!(
            domains(&["Patient", "Group"], None),
            ["a.lab.who.id", "group", "patient"]
        );
        assert_eq!(domains(&["Patient", "Group"], Some("person")), ["person"]);
        assert_eq!(domains(&[], None).len(), 5);

        let lab = kind(&["Patient", "Group"], None);
        let schema = arrow_schema(&lab);
        let arrow::datatypes::DataType::Struct(fields) = schema.field(0).data_type() else {
            panic!("a struct")
        };
        let texts = |texts: [Option<&str>; 4]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        let none = texts([None; 4]);
        let parts = vec![
            texts([Some("Patient"), Some("Group"), None, None]),
            texts([Some("P1"), Some("P1"), Some("P1"), None]),
            Arc::clone(&none),
            none,
        ];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StructArray::new(fields.clone(), parts, None)),
            Arc::new(UInt64Array::from(vec![1, 2, 3, 4])),
        ];
        let batch = Unmasked::new(RecordBatch::try_new(schema, columns).unwrap(), 1);
        let mut two = source;
        two.kinds.push(lab);
        let hashes = SubjectHash::of(&two, &key).unwrap().hashes(&batch).unwrap();
        let (source, plain) = nested();
        let of_patient = SubjectHash::of(&source, &key).unwrap().hashes(&plain).unwrap();
        assert_eq!(hashes[0], of_patient[0]);
        assert!(hashes[0] != hashes[1] && hashes[2] != hashes[0] && hashes[2] != hashes[1] && hashes[3].is_none());
    }
}
