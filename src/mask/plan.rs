//! The plan of a source's masks, made once per source. It is a tree that mirrors the schema. A subtree without any mask
//! is a single [`Node::Keep`].

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, Fields, SchemaRef};
use chrono::NaiveDate;

use super::key::{Keyed, MaskKey, NameHash, Use};
use super::kinds::reference::{self, Domains};
use super::suppression::Suppressed;
use crate::error::{Error, Result};
use crate::model::reference::CONTAINED_DOMAIN;
use crate::model::scalar_field::{NOTHING, effective_mask, element_privacy, scalar_fields};
use crate::model::{Field, FieldType, Kind, MaskKind, Privacy, ShiftBy, Source, arrow_schema, subject, visible_schema};
use crate::project::check_fields;

/// The masks of one source.
#[derive(Debug, Clone)]
pub struct Masks {
    /// In the order of the source's kinds.
    pub(super) kinds: Vec<KindMasks>,
    /// The latest date that is known to be past when the rows are read. Where it is given, years that reveal an age over
    /// 89 by then become one.
    pub(super) latest: Option<NaiveDate>,
    pub(super) shift_by: ShiftBy,
    /// Makes the surrogates of one load, and is kept nowhere.
    pub(super) load: Arc<MaskKey>,
    /// Whose records are left out. `None`: nobody's.
    pub(super) suppressed: Option<Arc<Suppressed>>,
    names: Option<NameHash>,
}

/// The masks of one kind's records.
#[derive(Debug, Clone)]
pub(super) struct KindMasks {
    pub input: SchemaRef,
    pub output: SchemaRef,
    /// One node per declared field, in order. The engine's own columns come after them and pass through unchanged.
    pub nodes: Vec<Node>,
    pub subject: Option<Subject>,
}

/// The column that identifies the record's subject, and the key of the subject's shift. Present only if a mask shifts
/// dates.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// The positions of the column and of the fields below it, from the outside in.
    pub positions: Vec<usize>,
    pub keyed: Keyed,
    /// Of a subject that is a reference, the domains of its types, with their keys.
    pub domains: Option<(Domains, HashMap<String, Keyed>)>,
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
    /// The domain.
    Surrogate(String),
    Reference {
        fields: Fields,
        domains: Domains,
        /// The keys of the domains. `None` for surrogates, whose key is that of the load.
        keyed: Option<HashMap<String, Keyed>>,
    },
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
    /// Whether a date below this node becomes its year. The node then needs the latest years of the records.
    pub fn has_year(&self) -> bool {
        match self {
            Self::Year => true,
            Self::Struct { nodes, .. } => nodes.iter().any(Self::has_year),
            Self::List { node, .. } => node.has_year(),
            _ => false,
        }
    }

    /// Whether a value below this node becomes a surrogate.
    pub fn is_surrogate(&self) -> bool {
        match self {
            Self::Surrogate(_) | Self::Reference { keyed: None, .. } => true,
            Self::Struct { nodes, .. } => nodes.iter().any(Self::is_surrogate),
            Self::List { node, .. } => node.is_surrogate(),
            _ => false,
        }
    }

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
    /// Fails if the source does not pass [`check_fields`], or lacks a key it [needs](needs_key). It is not read then.
    pub fn plan<'k>(source: &Source, key: impl Into<Option<&'k MaskKey>>) -> Result<Self> {
        let problems = check_fields(source);
        if !problems.is_empty() {
            return Err(Error::project(format!("the masks of {} can't be applied", source.name)).diagnostics(problems));
        }
        let key = key.into();
        let kinds = source.kinds.iter().map(|kind| KindMasks::plan(kind, key));
        Ok(Self {
            kinds: kinds.collect::<Result<_>>()?,
            latest: None,
            shift_by: source.shift_by,
            load: Arc::new(random_key()?),
            suppressed: None,
            names: key.map(MaskKey::names),
        })
    }

    /// Limits `year` as Safe Harbor demands: all years that reveal an age over 89 become one year. The age counts on
    /// `latest` or on the latest date of the record, whichever is later.
    #[must_use]
    pub fn aggregate_ages(mut self, latest: NaiveDate) -> Self {
        self.latest = Some(latest);
        self
    }

    /// The masks for one load, whose surrogates are those of no other load.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn for_one_load(mut self) -> Result<Self> {
        self.load = Arc::new(random_key()?);
        Ok(self)
    }

    /// The masks with surrogates that are the same in every run of a test case.
    #[must_use]
    pub fn of_test_cases(mut self) -> Self {
        self.load = Arc::new(MaskKey::of_test_cases());
        self
    }

    /// The hash that distinguishes undeclared names in messages. `None` if no mask of the source uses a key.
    pub fn names(&self) -> Option<&NameHash> {
        self.names.as_ref()
    }

    /// Whether no field has a mask.
    pub fn is_idle(&self) -> bool {
        let mut nodes = self.kinds.iter().flat_map(|kind| &kind.nodes);
        nodes.all(|node| matches!(node, Node::Keep))
    }

    /// Whether these masks make surrogates. Those of one load come from a key that is kept nowhere, so one process must make
    /// them all.
    pub fn make_surrogates(&self) -> bool {
        let mut nodes = self.kinds.iter().flat_map(|kind| &kind.nodes);
        nodes.any(Node::is_surrogate)
    }

    /// The schema of each kind that SQL sees: the declared fields with their types after masking, then the engine's own
    /// columns.
    pub fn output_schemas(&self) -> Arc<[SchemaRef]> {
        self.kinds.iter().map(|kind| Arc::clone(&kind.output)).collect()
    }
}

impl KindMasks {
    fn plan(kind: &Kind, key: Option<&MaskKey>) -> Result<Self> {
        let (input, output) = (arrow_schema(kind), visible_schema(kind)?);
        let planner = Planner { kind, key };
        let mut nodes = Vec::with_capacity(kind.schema.len());
        for (i, field) in kind.schema.iter().enumerate() {
            nodes.push(planner.field(field, &field.name, [input.field(i), output.field(i)], &NOTHING)?);
        }
        let shifts = nodes.iter().any(Node::shifts);
        Ok(Self {
            subject: if shifts { Some(planner.subject()?) } else { None },
            input,
            output,
            nodes,
        })
    }
}

fn random_key() -> Result<MaskKey> {
    MaskKey::random().map_err(|error| Error::project("the system gives no random bytes").cause(error))
}

/// Whether any mask of the source needs the key.
pub fn needs_key(source: &Source) -> bool {
    let fields = source.kinds.iter().flat_map(scalar_fields);
    fields.into_iter().any(|field| effective_mask(field.privacy).is_keyed())
}

struct Planner<'a> {
    kind: &'a Kind,
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
                self.kind.label
            ))),
            (FieldType::Reference(references), [_, output @ DataType::Struct(fields)]) => {
                let usage = match effective_mask(privacy) {
                    MaskKind::Hash => Some(Use::Hash),
                    MaskKind::Surrogate => None,
                    _ => return self.scalar(path, privacy, output),
                };
                let domains = Domains::of_field(self.kind, references, privacy, path);
                let keyed = usage.map(|usage| self.keyed_domains(usage, &domains)).transpose()?;
                let fields = fields.clone();
                Ok(Node::Reference { fields, domains, keyed })
            }
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
            MaskKind::Surrogate => Node::Surrogate(self.domain(privacy, path)),
        })
    }

    fn keyed(&self, usage: Use, privacy: &Privacy, path: &str) -> Result<Keyed> {
        Ok(self.key()?.keyed(usage, &self.domain(privacy, path)))
    }

    fn key(&self) -> Result<&MaskKey> {
        self.key
            .ok_or_else(|| Error::project(format!("no key for the masks of {}", self.kind.label)))
    }

    fn keyed_domains(&self, usage: Use, domains: &Domains) -> Result<HashMap<String, Keyed>> {
        let key = self.key()?;
        let all = domains.of_type.values().map(String::as_str);
        let all = all.chain([domains.untyped.as_str(), CONTAINED_DOMAIN]);
        Ok(all
            .map(|domain| (domain.to_owned(), key.keyed(usage, domain)))
            .collect())
    }

    fn domain(&self, privacy: &Privacy, path: &str) -> String {
        reference::domain(self.kind, privacy, path)
    }

    fn subject(&self) -> Result<Subject> {
        let path = self.kind.subject.as_deref().unwrap_or_default();
        let found = subject::find(&self.kind.schema, path)
            .map_err(|_| Error::project(format!("{} shifts dates but names no subject", self.kind.label)))?;
        let privacy = &found.field.privacy;
        let domains = match &found.field.field_type {
            FieldType::Reference(references) => {
                let domains = Domains::of_field(self.kind, references, privacy, path);
                let keyed = self.keyed_domains(Use::DateShift, &domains)?;
                Some((domains, keyed))
            }
            _ => None,
        };
        Ok(Subject {
            domains,
            keyed: self.keyed(Use::DateShift, privacy, path)?,
            positions: found.positions,
        })
    }
}
