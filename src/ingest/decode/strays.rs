//! Counts the records of no declared kind.

use super::super::unknown::{Sightings, Unknown};
use crate::mask::NameHash;

/// The name under which records are counted that have no value where their kind would stand.
const NO_VALUE: &str = "(none)";

/// The records of no declared kind, by the value that would tell their kind.
pub(in super::super) struct Strays<'a> {
    met: Sightings<'a>,
    /// Those whose value may be shown.
    clear: Unknown,
}

impl<'a> Strays<'a> {
    /// Starts with nothing counted. Without `hash`, values are not told apart.
    pub fn new(hash: Option<&'a NameHash>) -> Self {
        Self {
            met: Sightings::new(1, hash),
            clear: Unknown::default(),
        }
    }

    /// Counts a record. `may_show` says whether its value is no data.
    pub fn meet(&mut self, value: Option<&str>, may_show: bool) {
        let name = match value {
            Some(value) if !may_show => {
                self.met.meet(0, value);
                self.met.keep();
                return;
            }
            value => value.unwrap_or(NO_VALUE),
        };
        self.clear.add(Unknown {
            count: 1,
            names: [(name.to_owned(), 1)].into(),
        });
    }

    pub fn finish(self) -> Unknown {
        let mut strays = self.clear;
        for met in self.met.finish() {
            strays.add(met);
        }
        strays
    }
}
