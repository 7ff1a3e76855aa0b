//! The shape of the values at one place of a sample, folded from the values while they are read.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::texts::Texts;

/// The most names that one object may have before the rest of its fields is only counted.
const MOST_FIELDS: usize = 2_000;
/// The most values that are told apart to find out whether they repeat.
const MOST_DISTINCT: usize = 100_000;
/// The deepest nesting that is looked at, as in the reader of a run.
const DEEPEST: u32 = 128;

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
    by_name: HashMap<String, usize>,
    /// Fields beyond [`MOST_FIELDS`] were met.
    pub overflown: bool,
}

/// A field of an object.
#[derive(Default)]
pub(super) struct Member {
    /// In how many objects it stood.
    pub present: u64,
    last: u64,
    pub shape: Shape,
}

#[derive(Default)]
pub(super) struct Lists {
    pub count: u64,
    pub empty: u64,
    pub items: u64,
    pub item: Option<Box<Shape>>,
}

/// Whether values repeat. It holds hashes, never values.
#[derive(Default)]
pub(super) struct Distinct {
    seen: HashSet<u64>,
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
    /// How many kinds of values stood here, nulls aside.
    pub fn kinds(&self) -> usize {
        let counts = [
            self.bools,
            self.numbers.count,
            self.texts.count,
            self.objects.count,
            self.lists.count,
        ];
        counts.iter().filter(|count| **count > 0).count()
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

    fn integer(&mut self, value: i64) {
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

    fn wide(&mut self, value: u64) {
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

/// How much of a sample is still to be read.
pub(super) struct Budget {
    /// Records that may still come.
    pub records: u64,
    /// Values that may still come, so that huge records end, too.
    pub values: u64,
    /// Whether the sample was cut.
    pub spent: bool,
}

impl Budget {
    fn value<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.values = self.values.saturating_sub(1);
        self.check(self.values)
    }

    pub fn record<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.check(self.records)?;
        self.records -= 1;
        Ok(())
    }

    fn check<E: serde::de::Error>(&mut self, left: u64) -> Result<(), E> {
        self.spent |= left == 0;
        // The message is never shown: the reader looks at `spent`.
        if left == 0 {
            Err(E::custom("the sample is large enough"))
        } else {
            Ok(())
        }
    }
}

/// Folds one value into a shape.
pub(super) struct Observe<'a> {
    pub shape: &'a mut Shape,
    pub budget: &'a mut Budget,
    /// Whether the elements of a list that is met here count as records.
    pub counts: bool,
    pub depth: u32,
}

impl<'de> DeserializeSeed<'de> for Observe<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Observe<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.shape.nulls += 1;
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.shape.bools += 1;
        self.budget.value()
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.shape.integer(value);
        self.budget.value()
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.shape.integer(value),
            Err(_) => self.shape.wide(value),
        }
        self.budget.value()
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.shape.fraction(value);
        self.budget.value()
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.shape.text(text);
        self.budget.value()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        self.shape.lists.count += 1;
        if self.depth >= DEEPEST {
            return Err(A::Error::custom("nested too deeply"));
        }
        let lists = &mut self.shape.lists;
        let before = lists.items;
        loop {
            if self.counts {
                self.budget.record()?;
            }
            let item = Observe {
                shape: lists.item.get_or_insert_default(),
                budget: self.budget,
                counts: false,
                depth: self.depth + 1,
            };
            if elements.next_element_seed(item)?.is_none() {
                break;
            }
            lists.items += 1;
        }
        if lists.items == before {
            lists.empty += 1;
        }
        if lists.items == 0 {
            lists.item = None;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        if self.depth >= DEEPEST {
            return Err(A::Error::custom("nested too deeply"));
        }
        // An object counts when it has ended, so that a sample that is cut within it makes no field look optional.
        let object = self.shape.objects.count + 1;
        let mut met = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            match self.shape.member(&name, object) {
                Some(shape) => members.next_value_seed(Observe {
                    shape,
                    budget: self.budget,
                    counts: self.counts,
                    depth: self.depth + 1,
                })?,
                None => members.next_value::<IgnoredAny>().map(drop)?,
            }
            met.push(name);
        }
        self.shape.objects.count = object;
        Ok(())
    }
}
