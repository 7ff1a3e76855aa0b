//! Leaves out the records of persons on the suppression list, before anything else reads their values. The list names a
//! person by a keyed hash of the record's subject.

use std::collections::HashSet;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;

use super::key::{Keyed, MaskKey, Token, Use};
use super::kinds::spelling::{self, Spelled};
use super::nested::at;
use crate::model::scalar_field::default_domain;
use crate::model::{Source, subject};

/// The domain of a source's subject. In all sources that share it, the same id is the same person. `None`: the source
/// names no subject.
pub fn subject_domain(source: &Source) -> Option<String> {
    let path = source.subject.as_deref()?;
    let field = subject::find(&source.schema, path).ok()?.field;
    let domain = field.privacy.domain.clone();
    Some(domain.unwrap_or_else(|| default_domain(&source.name, path)))
}

/// Hashes the subjects of a source's records as the suppression list does.
#[derive(Debug, Clone)]
pub struct SubjectHash {
    /// The positions of the subject's column and of the fields below it, from the outside in.
    positions: Vec<usize>,
    keyed: Keyed,
}

/// The persons whose records are left out.
#[derive(Debug)]
pub(super) struct Suppressed {
    pub subjects: SubjectHash,
    tokens: HashSet<Token>,
}

impl SubjectHash {
    /// `None`: the source names no subject.
    pub fn of(source: &Source, key: &MaskKey) -> Option<Self> {
        let found = subject::find(&source.schema, source.subject.as_deref()?).ok()?;
        Some(Self {
            positions: found.positions,
            keyed: key.keyed(Use::Suppression, &subject_domain(source)?),
        })
    }

    pub(super) fn tokens(&self, batch: &RecordBatch) -> Result<Vec<Option<Token>>, ArrowError> {
        let subjects = at(batch, &self.positions)?;
        let mut tokens = Vec::with_capacity(subjects.len());
        spelling::for_each(&subjects, |subject| {
            tokens.push(subject.map(|spelled| {
                let (Spelled::Kept(text) | Spelled::Passing(text)) = spelled;
                self.keyed.token(text.as_bytes())
            }));
        })?;
        Ok(tokens)
    }
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

    pub(super) fn leave_out(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let subjects = self.subjects.tokens(batch)?;
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

    use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, StructArray, UInt64Array};

    use super::*;
    use crate::mask::{Masks, Unmasked};
    use crate::model::testing::{field, phi, source};
    use crate::model::{FieldType, MaskKind, PhiClass, Privacy, arrow_schema};

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
        source.subject = Some("subject.reference".into());
        let schema = arrow_schema(&source);
        let ids: ArrayRef = Arc::new(StringArray::from(vec![Some("P1"), None, Some("P2"), Some("P1")]));
        let arrow::datatypes::DataType::Struct(fields) = schema.field(0).data_type() else {
            panic!("a struct")
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StructArray::new(fields.clone(), vec![ids], None)),
            Arc::new(Int64Array::from(vec![1, 2, 3, 4])),
            Arc::new(UInt64Array::from(vec![1, 2, 3, 4])),
        ];
        (source, Unmasked::new(RecordBatch::try_new(schema, columns).unwrap()))
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
        assert_eq!(subject_domain(&source).as_deref(), Some("patient"));
        let none = Source {
            subject: None,
            ..source
        };
        assert!(SubjectHash::of(&none, &key).is_none() && subject_domain(&none).is_none());
    }
}
