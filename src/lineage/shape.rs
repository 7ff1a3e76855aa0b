//! What a value derives from, kept as deep as the value is nested, so that `item['code']` of a list
//! of structs is known to derive from `code` alone. Where a shape gets lost it collapses to all that
//! was below it: never to less.

use std::collections::BTreeMap;

use super::Dependence;

/// The smallest thing that a value can derive from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Atom {
    /// A field of the source by its path, or a column of a table as `table.column`. A list's own path (`visits[]`) is
    /// its length and order, apart from what its elements hold.
    Field(String),
    /// That a row of this table exists at all.
    Rows(String),
    /// `$date`: the batch's date.
    Date,
    /// `$source`: the source's name.
    Source,
}

/// What something derives from, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Deps(BTreeMap<Atom, Dependence>);

impl Deps {
    pub fn one(atom: Atom, dependence: Dependence) -> Self {
        Self(BTreeMap::from([(atom, dependence)]))
    }

    /// Takes over all of the other; of two ways the stronger counts.
    pub fn add(&mut self, other: &Self) {
        for (atom, dependence) in &other.0 {
            let known = self.0.entry(atom.clone()).or_insert(*dependence);
            *known = (*known).max(*dependence);
        }
    }

    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.add(other);
        self
    }

    /// The same, but only by way of which rows there are.
    pub fn indirect(&self) -> Self {
        Self(self.0.keys().map(|atom| (atom.clone(), Dependence::Indirect)).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Atom, Dependence)> {
        self.0.iter().map(|(atom, dependence)| (atom, *dependence))
    }
}

/// What a value derives from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// A scalar, or something nested of which no more is known.
    Leaf(Deps),
    Struct(Vec<(String, Shape)>),
    List {
        item: Box<Shape>,
        /// Its length and order.
        own: Deps,
    },
}

impl Shape {
    /// A value that derives from nothing, such as a literal.
    pub fn constant() -> Self {
        Self::Leaf(Deps::default())
    }

    /// All that any part of the value derives from.
    pub fn all(&self) -> Deps {
        match self {
            Self::Leaf(deps) => deps.clone(),
            Self::Struct(fields) => fields
                .iter()
                .fold(Deps::default(), |deps, (_, field)| deps.and(&field.all())),
            Self::List { item, own } => item.all().and(own),
        }
    }

    /// What tells a list's length or whether it is null; for other values all of it.
    pub fn presence(&self) -> Deps {
        match self {
            Self::List { own, .. } => own.clone(),
            other => other.all(),
        }
    }

    /// What tells how many values there are, lists in lists counted one by one.
    pub fn lengths(&self) -> Deps {
        match self {
            Self::List { item, own } => match item.as_ref() {
                Self::List { .. } => item.lengths().and(own),
                _ => own.clone(),
            },
            other => other.all(),
        }
    }

    /// The value, deriving from `deps` as well in every part.
    #[must_use]
    pub fn with(self, deps: &Deps) -> Self {
        match self {
            Self::Leaf(own) => Self::Leaf(own.and(deps)),
            Self::Struct(fields) => Self::Struct(fields.into_iter().map(|(name, f)| (name, f.with(deps))).collect()),
            Self::List { item, own } => Self::List {
                item: Box::new(item.with(deps)),
                own: own.and(deps),
            },
        }
    }

    /// A value that is either of the two.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Leaf(deps), shape) | (shape, Self::Leaf(deps)) => shape.with(&deps),
            (Self::List { item: a, own }, Self::List { item: b, own: other }) => Self::List {
                item: Box::new(a.or(*b)),
                own: own.and(&other),
            },
            (Self::Struct(a), Self::Struct(b)) if a.iter().map(|f| &f.0).eq(b.iter().map(|f| &f.0)) => Self::Struct(
                a.into_iter()
                    .zip(b)
                    .map(|((name, a), (_, b))| (name, a.or(b)))
                    .collect(),
            ),
            (a, b) => Self::Leaf(a.all().and(&b.all())),
        }
    }

    /// A field of a struct.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        match self {
            Self::Struct(fields) => match fields.iter().find(|(n, _)| n == name) {
                Some((_, field)) => field.clone(),
                None => Self::Leaf(self.all()),
            },
            other => Self::Leaf(other.all()),
        }
    }

    /// The n-th field of a struct.
    #[must_use]
    pub fn nth_field(&self, n: usize) -> Self {
        match self {
            Self::Struct(fields) if n < fields.len() => fields[n].1.clone(),
            other => Self::Leaf(other.all()),
        }
    }

    /// An element of a list, and what decides how many there are.
    pub fn element(&self) -> (Self, Deps) {
        match self {
            Self::List { item, own } => (item.as_ref().clone(), own.clone()),
            other => (Self::Leaf(other.all()), other.all()),
        }
    }
}

/// What the columns and the rows of a table or a query derive from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Relation {
    pub columns: Vec<Shape>,
    /// What decides which rows there are and how often; indirect throughout. It holds for every column.
    pub rows: Deps,
    /// What decides on their order alone, which matters only to what picks rows by it.
    pub order: Deps,
}

impl Relation {
    /// All that any column or row derives from.
    pub fn all(&self) -> Deps {
        self.columns
            .iter()
            .fold(self.rows.clone(), |deps, column| deps.and(&column.all()))
    }

    /// What a column derives from in all: its values and its rows.
    pub fn column(&self, index: usize) -> Deps {
        self.columns
            .get(index)
            .map_or_else(|| self.all(), Shape::all)
            .and(&self.rows)
    }

    /// Other columns of the same rows.
    #[must_use]
    pub fn with_columns(self, columns: Vec<Shape>) -> Self {
        Self { columns, ..self }
    }

    /// Lets rows depend on `deps`.
    #[must_use]
    pub fn rows_by(mut self, deps: &Deps) -> Self {
        self.rows.add(&deps.indirect());
        self
    }
}
