//! What a value derives from. A nested value keeps this for each of its parts. Example: `item['code']` of a list of
//! structs derives from `code` alone. If the structure is lost, the value derives from everything that was inside, and
//! never from less.

use std::collections::BTreeMap;

use super::Dependence;

/// The smallest unit that a value can derive from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Atom {
    /// A field of the source by its path, or a column of a table as `table.column`. The path of a list (`visits[]`)
    /// means its length and order but not the content of its elements.
    Field(String),
    /// The existence of rows in this table.
    Rows(String),
    /// `$date`: the batch's date.
    Date,
    /// `$source`: the source's name.
    Source,
    /// The value, or which rows there are, may show what the reader role must not see: the batch's date.
    Trace,
    /// Beside a trace: the value is computed, so it is not the column `batch_date` itself.
    Computed,
}

/// What a value derives from that shows the batch's date without being the column `batch_date`.
pub(super) fn traced() -> Deps {
    Deps::one(Atom::Trace, Dependence::Direct).and(&Deps::one(Atom::Computed, Dependence::Direct))
}

/// What something derives from, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Deps(BTreeMap<Atom, Dependence>);

impl Deps {
    pub fn one(atom: Atom, dependence: Dependence) -> Self {
        Self(BTreeMap::from([(atom, dependence)]))
    }

    /// Adds all dependences of the other. If both have the same unit, the stronger dependence is kept.
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

    /// The same units, but all of them indirect: they only decide which rows there are. A trace stays: rows can be
    /// chosen so that they show a date.
    pub fn indirect(&self) -> Self {
        Self(self.0.keys().map(|atom| (atom.clone(), Dependence::Indirect)).collect())
    }

    /// The same units, all of them direct: a value tells how they turned out.
    pub fn direct(&self) -> Self {
        Self(self.0.keys().map(|atom| (atom.clone(), Dependence::Direct)).collect())
    }

    /// Whether the batch's date may show.
    pub fn is_traced(&self) -> bool {
        self.0.contains_key(&Atom::Trace)
    }

    /// Whether the value is the column `batch_date` itself.
    pub fn is_batch_date(&self) -> bool {
        self.is_traced() && !self.0.contains_key(&Atom::Computed)
    }

    /// The same, for a use that does not show the batch's date.
    #[must_use]
    pub fn untraced(mut self) -> Self {
        self.0.retain(|atom, _| !matches!(atom, Atom::Trace | Atom::Computed));
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Atom, Dependence)> {
        self.0.iter().map(|(atom, dependence)| (atom, *dependence))
    }
}

/// What a value derives from, part by part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// A scalar value, or a nested value whose parts are not known.
    Scalar(Deps),
    Struct(Vec<(String, Shape)>),
    List {
        item: Box<Shape>,
        /// What the list's length and order derive from.
        own: Deps,
    },
}

impl Shape {
    /// A value that derives from nothing, such as a literal.
    pub fn constant() -> Self {
        Self::Scalar(Deps::default())
    }

    /// Everything that any part of the value derives from.
    pub fn all(&self) -> Deps {
        match self {
            Self::Scalar(deps) => deps.clone(),
            Self::Struct(fields) => fields
                .iter()
                .fold(Deps::default(), |deps, (_, field)| deps.and(&field.all())),
            Self::List { item, own } => item.all().and(own),
        }
    }

    /// For a list: what decides its length and whether it is null. For other values: everything they derive from.
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
            Self::Scalar(own) => Self::Scalar(own.and(deps)),
            Self::Struct(fields) => Self::Struct(fields.into_iter().map(|(name, f)| (name, f.with(deps))).collect()),
            Self::List { item, own } => Self::List {
                item: Box::new(item.with(deps)),
                own: own.and(deps),
            },
        }
    }

    /// The value as the result of an expression: what derives from the column `batch_date` is no longer that column.
    #[must_use]
    pub fn computed(self) -> Self {
        if self.all().is_traced() {
            self.with(&Deps::one(Atom::Computed, Dependence::Direct))
        } else {
            self
        }
    }

    /// A value that is one of the two, such as the result of a CASE.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Scalar(deps), shape) | (shape, Self::Scalar(deps)) => shape.with(&deps),
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
            (a, b) => Self::Scalar(a.all().and(&b.all())),
        }
    }

    /// A field of a struct, by name.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        match self {
            Self::Struct(fields) => match fields.iter().find(|(n, _)| n == name) {
                Some((_, field)) => field.clone(),
                None => Self::Scalar(self.all()),
            },
            other => Self::Scalar(other.all()),
        }
    }

    /// The n-th field of a struct.
    #[must_use]
    pub fn nth_field(&self, n: usize) -> Self {
        match self {
            Self::Struct(fields) if n < fields.len() => fields[n].1.clone(),
            other => Self::Scalar(other.all()),
        }
    }

    /// An element of a list, and what decides how many elements there are.
    pub fn element(&self) -> (Self, Deps) {
        match self {
            Self::List { item, own } => (item.as_ref().clone(), own.clone()),
            other => (Self::Scalar(other.all()), other.all()),
        }
    }
}

/// What the columns and the rows of a table or a query derive from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Relation {
    pub columns: Vec<Shape>,
    /// The fields that decide which rows there are and how often. They are all indirect and apply to every column.
    pub rows: Deps,
    /// The fields that decide only the order of the rows. The order matters only where rows are picked by it.
    pub order: Deps,
    /// Whether the rows come as PostgreSQL reads an entity: one batch after the other, by their dates.
    pub by_batch: bool,
}

impl Relation {
    /// Everything that any column or row derives from.
    pub fn all(&self) -> Deps {
        self.columns
            .iter()
            .fold(self.rows.clone(), |deps, column| deps.and(&column.all()))
    }

    /// Everything that a column derives from: through its values and through its rows.
    pub fn column(&self, index: usize) -> Deps {
        self.columns
            .get(index)
            .map_or_else(|| self.all(), Shape::all)
            .and(&self.rows)
    }

    /// The same rows with other columns.
    #[must_use]
    pub fn with_columns(self, columns: Vec<Shape>) -> Self {
        Self { columns, ..self }
    }

    /// Adds `deps` to the fields that decide the rows.
    #[must_use]
    pub fn rows_by(mut self, deps: &Deps) -> Self {
        self.rows.add(&deps.indirect());
        self
    }
}
