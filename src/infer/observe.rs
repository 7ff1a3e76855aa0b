//! Reads JSON value by value into a shape, as far as the sample may go.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::kinds::{Kinds, Step, Within};
use super::shape::Shape;
use crate::model::RecordStep;

/// The deepest nesting that is looked at, as in the reader of a run.
const DEEPEST: u32 = 128;
/// The most values that are looked at, whatever the number of records.
const MOST_VALUES: u64 = 5_000_000;
/// The values that are looked at to find out where the records are, and the elements of each list among them.
const PEEKED_VALUES: u64 = 200_000;
const PEEKED_ELEMENTS: u64 = 50;

/// How much of a sample is still to be read.
pub(super) struct Budget {
    /// Records that may still come.
    pub records: u64,
    /// Values that may still come, so that huge records end, too.
    pub values: u64,
    /// Whether the sample was cut.
    pub spent: bool,
    /// The number of the record that is being read, from 1.
    pub number: u64,
    /// How many values of each field are kept to be shown. None unless the user asks for them.
    pub keep: usize,
    /// The most elements of a list that are looked at; the others are passed over.
    pub elements: u64,
    /// What tells the records' kinds apart. `None`: they are of one kind.
    pub kinds: Option<Kinds>,
}

impl Budget {
    /// A sample of so many records, of which so many values of each field are kept to be shown.
    pub fn of(records: u64, keep: usize) -> Self {
        Self {
            records: records.max(1),
            values: MOST_VALUES,
            spent: false,
            number: 0,
            keep,
            elements: u64::MAX,
            kinds: None,
        }
    }

    /// As much as it takes to find out where the records are.
    pub fn peek(records: u64) -> Self {
        Self {
            values: PEEKED_VALUES,
            elements: PEEKED_ELEMENTS,
            ..Self::of(records, 0)
        }
    }

    fn value<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.values = self.values.saturating_sub(1);
        self.check(self.values)
    }

    /// Begins a record. An error: there is one more than the sample may have.
    pub fn record<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.check(self.records)?;
        self.records -= 1;
        self.number += 1;
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
    /// What leads from here to the records. Empty: the value is a record, or a list of them. `None`: none is below.
    pub records: Option<&'a [RecordStep]>,
    pub depth: u32,
    /// Where in a record the value stands.
    pub within: Within<'a>,
}

impl Observe<'_> {
    /// Notes in which record this kind of value was met first.
    fn first(&mut self, kind: usize) {
        if self.shape.first[kind] == 0 {
            self.shape.first[kind] = self.budget.number.max(1);
        }
    }

    fn keep(&mut self, value: &dyn fmt::Display) {
        if self.budget.keep > 0 {
            self.shape.shown.keep(self.budget.keep, value);
        }
        if let Some(kinds) = &mut self.budget.kinds {
            kinds.tell(self.within, value);
        }
    }
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

    fn visit_bool<E: serde::de::Error>(mut self, value: bool) -> Result<(), E> {
        self.first(0);
        self.keep(&value);
        self.shape.bools += 1;
        self.budget.value()
    }

    fn visit_i64<E: serde::de::Error>(mut self, value: i64) -> Result<(), E> {
        self.first(1);
        self.keep(&value);
        self.shape.integer(value);
        self.budget.value()
    }

    fn visit_u64<E: serde::de::Error>(mut self, value: u64) -> Result<(), E> {
        self.first(1);
        self.keep(&value);
        match i64::try_from(value) {
            Ok(value) => self.shape.integer(value),
            Err(_) => self.shape.wide(value),
        }
        self.budget.value()
    }

    fn visit_f64<E: serde::de::Error>(mut self, value: f64) -> Result<(), E> {
        self.first(1);
        self.keep(&value);
        self.shape.fraction(value);
        self.budget.value()
    }

    fn visit_str<E: serde::de::Error>(mut self, text: &str) -> Result<(), E> {
        self.first(2);
        self.keep(&text);
        self.shape.text(text);
        self.budget.value()
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        self.first(4);
        self.shape.lists.count += 1;
        if self.depth >= DEEPEST {
            return Err(A::Error::custom("nested too deeply"));
        }
        let records = match self.records {
            Some([RecordStep::Each, rest @ ..]) => Some(rest),
            same => same,
        };
        let lists = &mut self.shape.lists;
        let before = lists.items;
        loop {
            if lists.items - before >= self.budget.elements {
                while elements.next_element::<IgnoredAny>()?.is_some() {}
                break;
            }
            let item = Observe {
                shape: lists.item.get_or_insert_default(),
                budget: self.budget,
                records,
                depth: self.depth + 1,
                within: Within::Nowhere,
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

    fn visit_map<A: MapAccess<'de>>(mut self, members: A) -> Result<(), A::Error> {
        if self.records.is_some_and(<[RecordStep]>::is_empty) {
            self.budget.record()?;
            self.within = Within::Record;
            if self.budget.kinds.is_some() {
                return self.record(members);
            }
        }
        self.first(3);
        self.members(members)
    }
}

impl Observe<'_> {
    /// Folds a record into a shape of its own, and that into the shape of its kind.
    fn record<'de, A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        let mut own = Shape::default();
        let mut record = Observe {
            shape: &mut own,
            budget: &mut *self.budget,
            records: self.records,
            depth: self.depth,
            within: self.within,
        };
        record.first(3);
        let whole = record.members(members);
        if let Some(kinds) = &mut self.budget.kinds {
            kinds.take(own);
        }
        self.shape.objects.count += u64::from(whole.is_ok());
        whole
    }

    fn members<'de, A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        if self.depth >= DEEPEST {
            return Err(A::Error::custom("nested too deeply"));
        }
        // An object counts when it has ended, so that a sample that is cut within it makes no field look optional.
        let object = self.shape.objects.count + 1;
        while let Some(name) = members.next_key::<String>()? {
            let records = match self.records {
                Some([RecordStep::Key(key), rest @ ..]) if *key == name => Some(rest),
                _ => None,
            };
            let step = Step {
                name: &name,
                up: match self.within {
                    Within::Field(up) => Some(up),
                    _ => None,
                },
            };
            let within = match self.within {
                Within::Nowhere => Within::Nowhere,
                Within::Record | Within::Field(_) => Within::Field(&step),
            };
            match self.shape.member(&name, object) {
                Some(shape) => members.next_value_seed(Observe {
                    shape,
                    budget: self.budget,
                    records,
                    depth: self.depth + 1,
                    within,
                })?,
                None => members.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        self.shape.objects.count = object;
        Ok(())
    }
}
