//! Puts shapes together: a value that stands alone in one record and in a list in the next has one shape.

use super::shape::{Distinct, Lists, Member, Numbers, Objects, Shape};

impl Shape {
    /// Takes a value without a list for a list of this one element, where lists of such elements stood beside it, here
    /// and below.
    pub fn unify(&mut self) {
        if self.kinds() == 2 && self.lists.count > 0 && self.is_like_its_elements() {
            let bare = Self {
                bools: std::mem::take(&mut self.bools),
                numbers: std::mem::take(&mut self.numbers),
                texts: std::mem::take(&mut self.texts),
                objects: std::mem::take(&mut self.objects),
                distinct: std::mem::take(&mut self.distinct),
                first: [self.first[0], self.first[1], self.first[2], self.first[3], 0],
                shown: std::mem::take(&mut self.shown),
                ..Self::default()
            };
            self.first = [0, 0, 0, 0, self.first[4]];
            self.lists.bare = bare.counts().iter().sum();
            self.lists.first_bare = bare
                .first
                .iter()
                .copied()
                .filter(|record| *record > 0)
                .min()
                .unwrap_or(0);
            self.lists.items += self.lists.bare;
            self.lists.item.get_or_insert_default().absorb(bare);
        }
        self.objects
            .fields
            .iter_mut()
            .for_each(|(_, member)| member.shape.unify());
        if let Some(item) = &mut self.lists.item {
            item.unify();
        }
    }

    /// Whether what stands beside lists here is what the lists hold.
    fn is_like_its_elements(&self) -> bool {
        let Some(item) = &self.lists.item else { return true };
        let (mut beside, within) = (self.counts(), item.counts());
        beside[4] = 0;
        item.kinds() == 0 || item.kinds() == 1 && beside.iter().zip(within).all(|(a, b)| (*a > 0) == (b > 0))
    }

    pub fn absorb(&mut self, other: Self) {
        self.nulls += other.nulls;
        self.bools += other.bools;
        self.numbers.absorb(&other.numbers);
        self.texts.absorb(&other.texts);
        self.objects.absorb(other.objects);
        self.lists.absorb(other.lists);
        self.distinct.absorb(other.distinct);
        for (mine, theirs) in self.first.iter_mut().zip(other.first) {
            *mine = if *mine == 0 || theirs == 0 {
                *mine + theirs
            } else {
                theirs.min(*mine)
            };
        }
        self.shown.0.extend(other.shown.0);
    }
}

impl Numbers {
    fn absorb(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            (self.least, self.most) = (other.least, other.most);
        }
        self.count += other.count;
        self.fractions += other.fractions;
        self.wide += other.wide;
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
        self.int_digits = self.int_digits.max(other.int_digits);
        self.scale = self.scale.max(other.scale);
    }
}

impl Objects {
    fn absorb(&mut self, other: Self) {
        self.count += other.count;
        self.overflown |= other.overflown;
        for (name, theirs) in other.fields {
            if let Some(at) = self.by_name.get(&name) {
                let Member { present, shape, .. } = &mut self.fields[*at].1;
                *present += theirs.present;
                shape.absorb(theirs.shape);
            } else {
                self.by_name.insert(name.clone(), self.fields.len());
                self.fields.push((name, theirs));
            }
        }
    }
}

impl Lists {
    fn absorb(&mut self, other: Self) {
        self.count += other.count;
        self.empty += other.empty;
        self.items += other.items;
        self.bare += other.bare;
        if let Some(item) = other.item {
            self.item.get_or_insert_default().absorb(*item);
        }
    }
}

impl Distinct {
    fn absorb(&mut self, other: Self) {
        self.count += other.count;
        self.repeats |= other.repeats || other.seen.iter().any(|seen| self.seen.contains(seen));
        if self.repeats {
            self.seen.clear();
        } else {
            self.seen.extend(other.seen);
        }
    }
}
