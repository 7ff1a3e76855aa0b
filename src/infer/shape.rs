//! The shape of the values at one place of a sample, folded from the values while they are read.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::texts::Texts;

/// The most names that one object may have before the rest of its fields is only counted.
const MOST_FIELDS: usize = 2_000;
/// The most values that are told apart to find out whether they repeat.
const MOST_DISTINCT: usize = 100_000;

/// The kinds of values, in the order of [`Shape::counts`].
pub(super) const KINDS: [&str; 5] = ["bool", "number", "string", "object", "list"];

/// What stood at one place of the records.
#[derive(Default)]
pub(super) struct Shape {
    pub nulls: u64,
    pub bools: u64,
    pub numbers: Numbers,
    pub texts: Texts,
    pub objects: Objects,
    pub lists: Lists,
    pub distinct: Distinct,
    /// The type that the file itself declares, for Parquet.
    pub declared: Option<String>,
    /// The number of the record in which each of [`KINDS`] was met first. 0: it was not.
    pub first: [u64; 5],
    /// A few values to show to the user, where the user asks for them.
    pub shown: Shown,
}

/// Values of the sample, for the user's eyes. Logs must not hold them, so they have no debug form.
#[derive(Clone, Default)]
pub(super) struct Shown(pub Vec<String>);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values", self.0.len())
    }
}

impl Shown {
    /// The most characters of a value that are kept.
    const LONGEST: usize = 60;

    /// Keeps a value, unless it is there already or `most` others are.
    pub fn keep(&mut self, most: usize, value: &dyn fmt::Display) {
        if self.0.len() >= most {
            return;
        }
        let whole = value.to_string();
        let mut text: String = whole.chars().take(Self::LONGEST).collect();
        if text.len() < whole.len() {
            text.push('…');
        }
        if !self.0.contains(&text) {
            self.0.push(text);
        }
    }
}

#[derive(Default)]
pub(super) struct Numbers {
    pub count: u64,
    /// Those with digits after the point.
    pub fractions: u64,
    /// Those that no 64 bits hold.
    pub wide: u64,
    pub least: i64,
    pub most: i64,
    pub int_digits: usize,
    pub scale: usize,
}

#[derive(Default)]
pub(super) struct Objects {
    pub count: u64,
    /// In the order in which they were met.
    pub fields: Vec<(String, Member)>,
    pub by_name: HashMap<String, usize>,
    /// Fields beyond [`MOST_FIELDS`] were met.
    pub overflown: bool,
}

/// A field of an object.
#[derive(Default)]
pub(super) struct Member {
    /// In how many objects it stood.
    pub present: u64,
    pub last: u64,
    pub shape: Shape,
}

#[derive(Default)]
pub(super) struct Lists {
    pub count: u64,
    pub empty: u64,
    pub items: u64,
    pub item: Option<Box<Shape>>,
    /// Elements that stood without a list around them, and the record of the first of them.
    pub bare: u64,
    pub first_bare: u64,
}

/// Whether values repeat. It holds hashes, never values.
#[derive(Default)]
pub(super) struct Distinct {
    pub seen: HashSet<u64>,
    pub repeats: bool,
    pub count: u64,
}

impl Distinct {
    pub fn add(&mut self, value: impl Hash) {
        self.count += 1;
        if self.repeats || self.seen.len() >= MOST_DISTINCT {
            return;
        }
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        if !self.seen.insert(hasher.finish()) {
            self.repeats = true;
            self.seen = HashSet::new();
        }
    }

    /// Whether all values differ, as far as they were looked at.
    pub fn is_unique(&self) -> bool {
        self.count > 0 && !self.repeats
    }
}

impl Shape {
    /// How many values of each of [`KINDS`] stood here.
    pub fn counts(&self) -> [u64; 5] {
        [
            self.bools,
            self.numbers.count,
            self.texts.count,
            self.objects.count,
            self.lists.count,
        ]
    }

    /// How many kinds of values stood here, nulls aside.
    pub fn kinds(&self) -> usize {
        self.counts().iter().filter(|count| **count > 0).count()
    }

    /// Whether numbers stood here as well as strings, and nothing else.
    pub fn is_number_or_text(&self) -> bool {
        self.kinds() == 2 && self.numbers.count > 0 && self.texts.count > 0
    }

    pub fn is_object(&self) -> bool {
        self.kinds() == 1 && self.objects.count > 0
    }

    /// The shape of the elements, where only lists stood here and they held objects only.
    pub fn list_of_objects(&self) -> Option<&Shape> {
        let item = self.lists.item.as_deref().filter(|_| self.kinds() == 1)?;
        (item.is_object() && item.nulls == 0).then_some(item)
    }

    pub fn text(&mut self, text: &str) {
        self.texts.add(text);
        self.distinct.add(text);
    }

    pub fn integer(&mut self, value: i64) {
        let numbers = &mut self.numbers;
        if numbers.count == 0 {
            (numbers.least, numbers.most) = (value, value);
        }
        numbers.count += 1;
        numbers.least = numbers.least.min(value);
        numbers.most = numbers.most.max(value);
        numbers.int_digits = numbers.int_digits.max(digits(value.unsigned_abs().into()));
        self.distinct.add(value);
    }

    pub fn wide(&mut self, value: u64) {
        self.numbers.count += 1;
        self.numbers.wide += 1;
        self.numbers.int_digits = self.numbers.int_digits.max(digits(value.into()));
        self.distinct.add(value);
    }

    pub fn fraction(&mut self, value: f64) {
        let numbers = &mut self.numbers;
        numbers.count += 1;
        let text = value.to_string();
        let (whole, after) = text.split_once('.').unwrap_or((&text, ""));
        numbers.int_digits = numbers.int_digits.max(whole.trim_start_matches('-').len());
        numbers.scale = numbers.scale.max(after.len());
        // Larger whole numbers arrive as floating point, too.
        if after.is_empty() && value.abs() >= 9_007_199_254_740_992.0 {
            numbers.wide += 1;
        } else {
            numbers.fractions += 1;
        }
        self.distinct.add(value.to_bits());
    }

    /// The member of this object with this name, counted as present in the object of this number.
    pub fn member(&mut self, name: &str, object: u64) -> Option<&mut Shape> {
        let objects = &mut self.objects;
        let index = match objects.by_name.get(name) {
            Some(index) => *index,
            None if objects.fields.len() >= MOST_FIELDS => {
                objects.overflown = true;
                return None;
            }
            None => {
                objects.fields.push((name.to_owned(), Member::default()));
                objects.by_name.insert(name.to_owned(), objects.fields.len() - 1);
                objects.fields.len() - 1
            }
        };
        let member = &mut objects.fields[index].1;
        if member.last != object {
            member.last = object;
            member.present += 1;
        }
        Some(&mut member.shape)
    }
}

fn digits(value: u128) -> usize {
    value.to_string().len()
}
