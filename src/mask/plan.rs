//! What a source's masks are, worked out once: a tree beside its schema in which a whole subtree without a mask is one
//! [`Node::Keep`]. And the types that make masking the only way from a decoded batch to one that SQL may see.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field as ArrowField, Fields, Schema, SchemaRef};
use chrono::{Datelike as _, NaiveDate};

use super::check::check_fields;
use super::key::{KEY_BYTES, Keyed, MaskKey, Use};
use super::leaf::{NOTHING, default_domain, effective_mask, element_privacy, leaves};
use super::matrix;
use crate::error::{Error, Result};
use crate::ingest::arrow_schema;
use crate::project::{Field, FieldType, MaskKind, Privacy, Source};

/// A batch as it was decoded: nothing but [`Masks::apply`] may look into it.
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
    /// For tests of what comes after the masks.
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
    /// One per declared field, in order; the engine's own columns after them are passed on.
    pub(super) nodes: Vec<Node>,
    pub(super) subject: Option<Subject>,
    pub(super) oldest_year: Option<i32>,
}

/// Which column says whose record it is, and the key of its shift; only where a mask shifts dates.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub column: usize,
    pub keyed: Keyed,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    /// Nothing below has a mask: passed on by reference.
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
    /// Whether a date is shifted anywhere in it, so that it needs the records' shifts.
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
    /// Plans the masks of a source. An error only for a source that [`check_fields`] would not let pass, or one that
    /// [needs a key](needs_key) where there is none: what can't be masked as declared is not read at all.
    pub fn plan<'k>(source: &Source, key: impl Into<Option<&'k MaskKey>>) -> Result<Self> {
        let problems = check_fields(source);
        if !problems.is_empty() {
            return Err(Error::project(format!("the masks of {} can't be applied", source.name)).diagnostics(problems));
        }
        let input = arrow_schema(source);
        let planner = Planner {
            source: &source.name,
            key: key.into(),
        };
        let (mut nodes, mut fields) = (Vec::with_capacity(source.schema.len()), input.fields().to_vec());
        for (i, field) in source.schema.iter().enumerate() {
            let (node, output) = planner.field(field, &field.name, &fields[i], &NOTHING)?;
            nodes.push(node);
            fields[i] = output;
        }
        let shifts = nodes.iter().any(Node::shifts);
        Ok(Self {
            output: Arc::new(Schema::new_with_metadata(fields, input.metadata().clone())),
            subject: if shifts { Some(planner.subject(source)?) } else { None },
            input,
            nodes,
            oldest_year: None,
        })
    }

    /// Makes `year` give one year for all that reveal an age over 89 on the batch's date, as Safe Harbor demands.
    #[must_use]
    pub fn aggregate_ages(mut self, batch: NaiveDate) -> Self {
        self.oldest_year = Some(batch.year() - 90);
        self
    }

    /// Whether every field is kept as it is.
    pub fn is_idle(&self) -> bool {
        self.nodes.iter().all(|node| matches!(node, Node::Keep))
    }

    /// What SQL sees: the declared fields with their types after the masks, then the engine's own columns.
    pub fn output_schema(&self) -> SchemaRef {
        Arc::clone(&self.output)
    }
}

/// Whether a mask of the source is keyed.
pub fn needs_key(source: &Source) -> bool {
    let keyed = [MaskKind::Hash, MaskKind::Pseudonym, MaskKind::DateShift];
    leaves(source)
        .iter()
        .any(|leaf| keyed.contains(&effective_mask(leaf.privacy)))
}

/// What SQL sees of a source, told without its key.
pub fn visible_schema(source: &Source) -> Result<SchemaRef> {
    // The key changes values, never types; these masks are dropped before they could meet a value.
    Ok(Masks::plan(source, &MaskKey::from_bytes([0; KEY_BYTES]))?.output_schema())
}

struct Planner<'a> {
    source: &'a str,
    key: Option<&'a MaskKey>,
}

impl Planner<'_> {
    /// The node of a field and the Arrow field that comes out of it. `inherited` is what the list around an element
    /// says.
    fn field(
        &self,
        field: &Field,
        path: &str,
        input: &Arc<ArrowField>,
        inherited: &Privacy,
    ) -> Result<(Node, Arc<ArrowField>)> {
        let privacy = element_privacy(field, inherited);
        let (node, data_type) = match (&field.field_type, input.data_type()) {
            (FieldType::Struct(children), DataType::Struct(inputs)) => self.fields(children, path, inputs)?,
            (FieldType::List(element), DataType::List(item)) => {
                let (node, item) = self.field(element, &format!("{path}[]"), item, privacy)?;
                let data_type = DataType::List(Arc::clone(&item));
                (
                    if matches!(node, Node::Keep) {
                        node
                    } else {
                        Node::List {
                            item,
                            node: Box::new(node),
                        }
                    },
                    data_type,
                )
            }
            (FieldType::Struct(_) | FieldType::List(_), _) => {
                return Err(Error::project(format!(
                    "{path} of {} is not decoded as declared",
                    self.source
                )));
            }
            (scalar, _) => self.leaf(scalar, path, privacy)?,
        };
        let output = if matches!(node, Node::Keep) {
            Arc::clone(input)
        } else {
            Arc::new(input.as_ref().clone().with_data_type(data_type))
        };
        Ok((node, output))
    }

    fn fields(&self, children: &[Field], path: &str, inputs: &Fields) -> Result<(Node, DataType)> {
        let (mut nodes, mut fields) = (vec![], vec![]);
        for (child, input) in children.iter().zip(inputs) {
            let (node, field) = self.field(child, &format!("{path}.{}", child.name), input, &NOTHING)?;
            nodes.push(node);
            fields.push(field);
        }
        let fields = Fields::from(fields);
        let data_type = DataType::Struct(fields.clone());
        let kept = nodes.iter().all(|node| matches!(node, Node::Keep));
        Ok((
            if kept {
                Node::Keep
            } else {
                Node::Struct { fields, nodes }
            },
            data_type,
        ))
    }

    fn leaf(&self, field_type: &FieldType, path: &str, privacy: &Privacy) -> Result<(Node, DataType)> {
        let mask = effective_mask(privacy);
        let data_type = matrix::output_type(field_type, mask)
            .map_err(|why| Error::project(format!("{path} of {}: {why}", self.source)))?;
        let node = match mask {
            MaskKind::Keep => Node::Keep,
            MaskKind::Redact => Node::Redact,
            MaskKind::Null => Node::Null(data_type.clone()),
            MaskKind::Hash => Node::Hash(self.keyed(Use::Hash, privacy, path)?),
            MaskKind::Pseudonym => Node::Pseudonym(self.keyed(Use::Pseudonym, privacy, path)?),
            MaskKind::DateShift => Node::DateShift,
            MaskKind::Year => Node::Year,
            MaskKind::Zip3 => Node::Zip3,
            MaskKind::AgeCap => Node::AgeCap,
        };
        Ok((node, data_type))
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
