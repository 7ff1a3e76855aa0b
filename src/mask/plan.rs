//! The plan of a source's masks, made once per source. It is a tree that mirrors the schema. A subtree without any mask
//! is a single [`Node::Keep`]. The types here make sure that SQL sees a decoded batch only after it was masked.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field as ArrowField, Fields, SchemaRef};
use chrono::{Datelike as _, NaiveDate};

use super::key::{Keyed, MaskKey, NameHash, Use};
use crate::error::{Error, Result};
use crate::model::scalar_field::{NOTHING, default_domain, effective_mask, element_privacy, scalar_fields};
use crate::model::{Field, FieldType, MaskKind, Privacy, Source, arrow_schema, visible_schema};
use crate::project::check_fields;

/// A batch as it was decoded. Only [`Masks::apply`] may read it.
pub struct Unmasked(pub(super) RecordBatch);

impl Unmasked {
    pub fn new(batch: RecordBatch) -> Self {
        Self(batch)
    }

    #[cfg(test)]
    pub fn into_inner(self) -> RecordBatch {
        self.0
    }

    pub fn num_rows(&self) -> usize {
        self.0.num_rows()
    }
}

impl fmt::Debug for Unmasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unmasked({} rows)", self.0.num_rows())
    }
}

/// A batch in which every mask was applied. Only [`Masks::apply`] makes one.
#[derive(Clone)]
pub struct Masked(pub(super) RecordBatch);

impl Masked {
    /// Marks a batch as masked, for tests of later stages.
    #[cfg(test)]
    pub fn assumed(batch: RecordBatch) -> Self {
        Self(batch)
    }

    pub fn into_inner(self) -> RecordBatch {
        self.0
    }

    pub fn batch(&self) -> &RecordBatch {
        &self.0
    }

    pub fn num_rows(&self) -> usize {
        self.0.num_rows()
    }

    /// The first rows, at most so many.
    #[must_use]
    pub fn first(&self, rows: usize) -> Self {
        Self(self.0.slice(0, rows.min(self.0.num_rows())))
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Masked({} rows)", self.0.num_rows())
    }
}

/// The masks of one source.
#[derive(Debug, Clone)]
pub struct Masks {
    pub(super) input: SchemaRef,
    pub(super) output: SchemaRef,
    /// One node per declared field, in order. The engine's own columns come after them and pass through unchanged.
    pub(super) nodes: Vec<Node>,
    pub(super) subject: Option<Subject>,
    pub(super) oldest_year: Option<i32>,
    names: Option<NameHash>,
}

/// The column that identifies the record's subject, and the key of the subject's shift. Present only if a mask shifts
/// dates.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub column: usize,
    pub keyed: Keyed,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    /// Nothing below has a mask, so the array passes through unchanged.
    Keep,
    Null(DataType),
    Redact,
    Hash(Keyed),
    Pseudonym(Keyed),
    DateShift,
    Year,
    Zip3,
    AgeCap,
    Struct {
        fields: Fields,
        nodes: Vec<Node>,
    },
    List {
        item: Arc<ArrowField>,
        node: Box<Node>,
    },
}

impl Node {
    /// Whether a date below this node is shifted. The node then needs the shifts of the records.
    pub fn shifts(&self) -> bool {
        match self {
            Self::DateShift => true,
            Self::Struct { nodes, .. } => nodes.iter().any(Self::shifts),
            Self::List { node, .. } => node.shifts(),
            _ => false,
        }
    }
}

impl Masks {
    /// Plans the masks of a source.
    ///
    /// Fails if the source would not pass [`check_fields`], or if it [needs a key](needs_key) and there is none. A
    /// source that can't be masked as declared is not read at all.
    pub fn plan<'k>(source: &Source, key: impl Into<Option<&'k MaskKey>>) -> Result<Self> {
        let problems = check_fields(source);
        if !problems.is_empty() {
            return Err(Error::project(format!("the masks of {} can't be applied", source.name)).diagnostics(problems));
        }
        let (input, output) = (arrow_schema(source), visible_schema(source)?);
        let planner = Planner {
            source: &source.name,
            key: key.into(),
        };
        let mut nodes = Vec::with_capacity(source.schema.len());
        for (i, field) in source.schema.iter().enumerate() {
            nodes.push(planner.field(field, &field.name, [input.field(i), output.field(i)], &NOTHING)?);
        }
        let shifts = nodes.iter().any(Node::shifts);
        Ok(Self {
            subject: if shifts { Some(planner.subject(source)?) } else { None },
            input,
            output,
            nodes,
            oldest_year: None,
            names: planner.key.map(MaskKey::names),
        })
    }

    /// Limits `year` as Safe Harbor demands: all years that reveal an age over 89 on the batch's date become one year.
    #[must_use]
    pub fn aggregate_ages(mut self, batch: NaiveDate) -> Self {
        self.oldest_year = Some(batch.year() - 90);
        self
    }

    /// The hash that distinguishes undeclared names in messages. `None` if no mask of the source uses a key.
    pub fn names(&self) -> Option<&NameHash> {
        self.names.as_ref()
    }

    /// Whether no field has a mask.
    pub fn is_idle(&self) -> bool {
        self.nodes.iter().all(|node| matches!(node, Node::Keep))
    }

    /// The schema that SQL sees: the declared fields with their types after masking, then the engine's own columns.
    pub fn output_schema(&self) -> SchemaRef {
        Arc::clone(&self.output)
    }
}

/// Whether any mask of the source needs the key.
pub fn needs_key(source: &Source) -> bool {
    let keyed = [MaskKind::Hash, MaskKind::Pseudonym, MaskKind::DateShift];
    scalar_fields(source)
        .iter()
        .any(|field| keyed.contains(&effective_mask(field.privacy)))
}

struct Planner<'a> {
    source: &'a str,
    key: Option<&'a MaskKey>,
}

impl Planner<'_> {
    /// Plans one field. `types` holds its type as decoded and its type as SQL sees it. `list` holds the privacy
    /// settings of the list that contains this element.
    fn field(&self, field: &Field, path: &str, types: [&ArrowField; 2], list: &Privacy) -> Result<Node> {
        let privacy = element_privacy(field, list);
        match (&field.field_type, types.map(ArrowField::data_type)) {
            (FieldType::Struct(children), [DataType::Struct(inputs), DataType::Struct(outputs)]) => {
                let mut nodes = Vec::with_capacity(children.len());
                for (child, (input, output)) in children.iter().zip(inputs.iter().zip(outputs)) {
                    nodes.push(self.field(child, &format!("{path}.{}", child.name), [input, output], &NOTHING)?);
                }
                let kept = nodes.iter().all(|node| matches!(node, Node::Keep));
                Ok(if kept {
                    Node::Keep
                } else {
                    let fields = outputs.clone();
                    Node::Struct { fields, nodes }
                })
            }
            (FieldType::List(element), [DataType::List(input), DataType::List(output)]) => {
                let node = self.field(element, &format!("{path}[]"), [input, output], privacy)?;
                Ok(if matches!(node, Node::Keep) {
                    node
                } else {
                    Node::List {
                        item: Arc::clone(output),
                        node: Box::new(node),
                    }
                })
            }
            (FieldType::Struct(_) | FieldType::List(_), _) => Err(Error::project(format!(
                "{path} of {} is not decoded as declared",
                self.source
            ))),
            (_, [_, output]) => self.scalar(path, privacy, output),
        }
    }

    fn scalar(&self, path: &str, privacy: &Privacy, output: &DataType) -> Result<Node> {
        Ok(match effective_mask(privacy) {
            MaskKind::Keep => Node::Keep,
            MaskKind::Redact => Node::Redact,
            MaskKind::Null => Node::Null(output.clone()),
            MaskKind::Hash => Node::Hash(self.keyed(Use::Hash, privacy, path)?),
            MaskKind::Pseudonym => Node::Pseudonym(self.keyed(Use::Pseudonym, privacy, path)?),
            MaskKind::DateShift => Node::DateShift,
            MaskKind::Year => Node::Year,
            MaskKind::Zip3 => Node::Zip3,
            MaskKind::AgeCap => Node::AgeCap,
        })
    }

    fn keyed(&self, usage: Use, privacy: &Privacy, path: &str) -> Result<Keyed> {
        let key = self
            .key
            .ok_or_else(|| Error::project(format!("no key for the masks of {}", self.source)))?;
        Ok(match &privacy.domain {
            Some(domain) => key.keyed(usage, domain),
            None => key.keyed(usage, &default_domain(self.source, path)),
        })
    }

    fn subject(&self, source: &Source) -> Result<Subject> {
        let name = source.subject.as_deref();
        let column = source
            .schema
            .iter()
            .position(|field| Some(field.name.as_str()) == name)
            .ok_or_else(|| Error::project(format!("{} shifts dates but names no subject", self.source)))?;
        let field = &source.schema[column];
        Ok(Subject {
            column,
            keyed: self.keyed(Use::DateShift, &field.privacy, &field.name)?,
        })
    }
}
