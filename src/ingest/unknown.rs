//! Counts undeclared fields by the object that held them, and by their name. A name may itself be data, such as an id
//! used as a key. So only a keyed hash of it leaves this module, and without a key nothing of it does.

use std::collections::BTreeMap;
use std::fmt;

use crate::mask::NameHash;

/// The most names to count one by one in an object. Fields with other names only add to the total.
const MOST_NAMES: usize = 32;

/// The undeclared fields of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unknown {
    pub count: u64,
    /// How many had each name, by the keyed hash of the name. Their sum is less than `count` where there was no key, or
    /// where there were more names than are counted one by one.
    pub names: BTreeMap<String, u64>,
}

impl Unknown {
    pub(super) fn add(&mut self, other: Self) {
        self.count += other.count;
        for (name, count) in other.names {
            if self.names.len() < MOST_NAMES || self.names.contains_key(&name) {
                *self.names.entry(name).or_default() += count;
            }
        }
    }

    /// The counts of `records` records that all have these fields.
    pub(super) fn times(&self, records: u64) -> Self {
        Self {
            count: self.count * records,
            names: self
                .names
                .iter()
                .map(|(name, count)| (name.clone(), count * records))
                .collect(),
        }
    }
}

/// Shows the names in a message: `1f3a9c0d5e6b7a88: 12, 90ab...: 3, others: 4`.
pub struct Names<'a>(pub &'a Unknown);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unknown { count, names } = self.0;
        let mut separator = "";
        for (name, count) in names {
            write!(f, "{separator}{name}: {count}")?;
            separator = ", ";
        }
        match count - names.values().sum::<u64>() {
            0 => Ok(()),
            others => write!(f, "{separator}others: {others}"),
        }
    }
}

/// Collects undeclared fields while records are decoded. Those of a refused record are not counted.
pub(super) struct Sightings<'a> {
    hash: Option<&'a NameHash>,
    /// By object, in the order of [`super::decode::Plan::objects`].
    objects: Vec<Object>,
    /// The undeclared fields of the record that is being decoded: the index of the object, and the index of the name in
    /// its `names`.
    pending: Vec<(usize, Option<usize>)>,
}

#[derive(Default)]
struct Object {
    count: u64,
    names: Vec<(Box<str>, u64)>,
    /// The index of the name that probably comes next, since most records have their fields in the same order.
    next: usize,
}

impl<'a> Sightings<'a> {
    /// Starts with nothing counted. Without `hash`, names are not told apart.
    pub fn new(objects: usize, hash: Option<&'a NameHash>) -> Self {
        Self {
            hash,
            objects: std::iter::repeat_with(Object::default).take(objects).collect(),
            pending: Vec::new(),
        }
    }

    pub fn meet(&mut self, object: usize, name: &str) {
        let place = self.hash.and_then(|_| self.objects[object].place(name));
        self.pending.push((object, place));
    }

    /// Counts the fields of the record, since it is accepted.
    pub fn keep(&mut self) {
        for (object, place) in self.pending.drain(..) {
            let object = &mut self.objects[object];
            object.count += 1;
            if let Some(place) = place {
                object.names[place].1 += 1;
            }
        }
    }

    /// Drops the fields of the record, since it is refused.
    pub fn forget(&mut self) {
        self.pending.clear();
    }

    pub fn finish(self) -> Vec<Unknown> {
        let hash = self.hash;
        let hashed = |object: Object| {
            let met = object.names.into_iter().filter(|(_, count)| *count > 0);
            let named = hash.map(|hash| met.map(|(name, count)| (hash.of(&name), count)).collect());
            Unknown {
                count: object.count,
                names: named.unwrap_or_default(),
            }
        };
        self.objects.into_iter().map(hashed).collect()
    }
}

impl Object {
    /// The index in `names` at which this name is counted. `None`: there are too many names.
    fn place(&mut self, name: &str) -> Option<usize> {
        let expected = self.names.get(self.next).filter(|(known, _)| **known == *name);
        let place = match expected {
            Some(_) => self.next,
            None => match self.names.iter().position(|(known, _)| **known == *name) {
                Some(place) => place,
                None if self.names.len() < MOST_NAMES => {
                    self.names.push((name.into(), 0));
                    self.names.len() - 1
                }
                None => return None,
            },
        };
        self.next = if place + 1 < self.names.len() { place + 1 } else { 0 };
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::MaskKey;

    #[test]
    fn names_are_told_apart_by_a_keyed_hash_and_no_more_than_some() {
        let hash = MaskKey::for_tests().names();
        let mut met = Sightings::new(2, Some(&hash));
        for record in 0..100 {
            met.meet(1, "SECRET-a");
            met.meet(1, &format!("SECRET-{record}"));
            if record % 2 == 0 {
                met.keep();
            } else {
                met.forget();
            }
        }
        let found = met.finish();
        assert_eq!(found[0], Unknown::default());
        assert_eq!(found[1].count, 100);
        // Names that only refused records had count towards the limit of 32 as well, and are left out at the end.
        assert_eq!(found[1].names.len(), 17);
        assert_eq!(found[1].names[&hash.of("SECRET-a")], 50);
        let shown = Names(&found[1]).to_string();
        assert!(shown.ends_with(", others: 34") && !shown.contains("SECRET"), "{shown}");
        let mut sum = found[1].clone();
        sum.add(found[1].times(3));
        assert_eq!((sum.count, sum.names[&hash.of("SECRET-a")]), (400, 200));
    }

    #[test]
    fn without_a_key_they_are_only_counted() {
        let mut met = Sightings::new(1, None);
        met.meet(0, "SECRET");
        met.keep();
        let found = met.finish();
        assert_eq!((found[0].count, found[0].names.len()), (1, 0));
        assert_eq!(Names(&found[0]).to_string(), "others: 1");
    }

    #[test]
    fn what_is_merged_is_bounded_too() {
        let one = |name: usize| Unknown {
            count: 1,
            names: [(name.to_string(), 1)].into(),
        };
        let mut sum = Unknown::default();
        (0..1000).for_each(|name| sum.add(one(name % 100)));
        assert_eq!((sum.count, sum.names.len()), (1000, MOST_NAMES));
        assert_eq!(sum.names["0"], 10);
    }
}
