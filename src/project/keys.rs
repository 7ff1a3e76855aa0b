//! What the mappings of the YAML files may hold: each key with the shape of its value and its meaning. The readers
//! accept no other keys, and `json_schema` renders the same declarations for editors.

/// The keys that a mapping may have.
pub(super) struct Keys {
    known: &'static [KeySpec],
    /// These stand in place of those of the same name.
    instead: &'static [KeySpec],
    /// Keys that a later version will support. They are refused by name, because ignoring them would mislead the user.
    pub later: &'static [&'static str],
    pub group: Group,
}

/// One key of a mapping.
pub(super) struct KeySpec {
    pub name: &'static str,
    pub shape: Shape,
    /// For editors: what the key says, in one or two sentences.
    pub meaning: &'static str,
    pub required: bool,
}

/// Which keys of a mapping depend on one another.
pub(super) enum Group {
    None,
    /// Exactly one of these.
    One(&'static [&'static str]),
    /// At least one of these.
    Some(&'static [&'static str]),
    /// If one of the keys `all` or `with` is given, then all of `all`.
    Together {
        all: &'static [&'static str],
        with: &'static [&'static str],
    },
    /// Not the first with one of the others.
    Apart(&'static str, &'static [&'static str]),
}

/// The names of choices, in the order in which they are offered.
pub(super) type Names = fn() -> Vec<&'static str>;

/// The shape of a value. It is what an editor can check: a value of this shape may still be wrong.
pub(super) enum Shape {
    Text,
    /// A list of texts, with the least number of them.
    Texts(usize),
    /// A text, a number, true or false.
    Scalar,
    /// A text, true or false.
    Setting,
    /// A list of scalars, with the least number of them.
    Scalars(usize),
    Date,
    /// A whole number, with its least value.
    Whole(u64),
    Percent,
    /// A percentage or a whole number.
    Share,
    /// True or false, with the default.
    Flag(bool),
    /// One of these; the first is the default.
    Choice(Names),
    /// Like `Choice`, in small or capital letters.
    AnyCase(Names),
    /// One of these, without a default.
    OneOf(Names),
    /// The name of a type: these, and those of the second list with numbers in parentheses.
    Type(&'static [&'static str], &'static [&'static str]),
    /// A mapping with declared keys.
    Options(&'static Keys),
    /// A mapping whose keys are names that the user chose, with the least number of them.
    Named(NameOf, usize, &'static Shape),
    /// A mapping of fields or kinds, whose names the user chose. It may also name files of shared ones, over which its
    /// own are laid. `over` is the shape of one that is laid over a shared one.
    Sharing {
        each: &'static Shape,
        over: &'static Shape,
    },
    /// What is laid over a mapping of shared fields: by name, the shape of such a field, or null.
    Over(&'static Shape),
    /// A list, with the least number of elements.
    List(usize, &'static Shape),
    Any(&'static [Shape]),
    /// A mapping that is not declared, such as a record.
    Mapping,
    /// Any value.
    Free,
    /// A shape that stands in several places, or within itself, under its name.
    Shared(&'static str, fn() -> &'static Shape),
    /// A value in which `${env:NAME}` may stand.
    Variables(&'static Shape),
}

/// What the names of a mapping are for.
#[derive(Debug, Clone, Copy)]
pub(super) enum NameOf {
    Entity,
    Column,
    /// Something that the project does not name itself, such as a field.
    Other,
}

pub(super) const fn key(name: &'static str, shape: Shape, meaning: &'static str) -> KeySpec {
    KeySpec {
        name,
        shape,
        meaning,
        required: false,
    }
}

/// A key that must be given.
pub(super) const fn required(name: &'static str, shape: Shape, meaning: &'static str) -> KeySpec {
    KeySpec {
        name,
        shape,
        meaning,
        required: true,
    }
}

/// The names of choices.
pub(super) fn names<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(name, _)| *name).collect()
}

impl Keys {
    pub const fn of(known: &'static [KeySpec]) -> Self {
        Self {
            known,
            instead: &[],
            later: &[],
            group: Group::None,
        }
    }

    pub const fn later(self, later: &'static [&'static str]) -> Self {
        Self { later, ..self }
    }

    pub const fn group(self, group: Group) -> Self {
        Self { group, ..self }
    }

    /// The keys that others have, without their group, and with these in place of those of the same name.
    pub const fn like(others: &'static Self, instead: &'static [KeySpec]) -> Self {
        let keys = Self::of(others.known);
        Self { instead, ..keys }
    }

    pub fn all(&self) -> impl Iterator<Item = &KeySpec> {
        let instead = |name: &str| self.instead.iter().find(|key| key.name == name);
        self.known.iter().map(move |key| instead(key.name).unwrap_or(key))
    }

    pub fn find(&self, name: &str) -> Option<&KeySpec> {
        self.all().find(|key| key.name == name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.all().map(|key| key.name).collect()
    }

    /// Whether a reader may demand the key.
    pub fn demands(&self, name: &str) -> bool {
        let together = matches!(self.group, Group::Together { all, .. } if all.contains(&name));
        let one = matches!(self.group, Group::One(all) if all.contains(&name));
        together || one || self.find(name).is_some_and(|key| key.required)
    }

    /// The default of a key that is true or false.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.find(name)?.shape {
            Shape::Flag(default) => Some(default),
            _ => None,
        }
    }

    /// Whether the key is declared with all of these choices, and has the same default unless it has further choices.
    pub fn offers<T>(&self, name: &str, choices: &[(&'static str, T)]) -> bool {
        let declared = self.find(name).and_then(|key| key.shape.choices()).unwrap_or_default();
        let same_default = declared.first() == choices.first().map(|(name, _)| name);
        let known = choices.iter().all(|(name, _)| declared.contains(name));
        known && (same_default || choices.len() < declared.len())
    }
}

impl Shape {
    /// The choices among which a text of this shape is one.
    pub fn choices(&self) -> Option<Vec<&'static str>> {
        match self {
            Self::Choice(names) | Self::AnyCase(names) | Self::OneOf(names) => Some(names()),
            Self::Any(shapes) => shapes.iter().find_map(Self::choices),
            _ => None,
        }
    }
}
