//! The memory of the transforms that run at once. Each has a share that nobody else gets. The rest is lent to whoever asks
//! first, so that a large table need not spill while small ones leave memory unused.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::error::Result;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

/// The least share of a transform, in bytes: enough to sort in, however many run at once.
const LEAST_SHARE: usize = 8 << 20;

/// The bytes that a transform has for itself, as an extension of its context.
pub(super) struct Share(pub usize);

/// The memory of all transforms of a process.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    /// The bytes that each transform has for itself.
    pub share: usize,
    /// The bytes that nobody has borrowed.
    common: Arc<Mutex<usize>>,
}

impl Memory {
    /// Half of `bytes` is divided among the transforms that run at once; the other half is lent.
    pub fn new(bytes: usize, at_once: usize) -> Self {
        let at_once = at_once.max(1);
        let share = (bytes / 2 / at_once).max(LEAST_SHARE);
        Self {
            share,
            common: Arc::new(Mutex::new(bytes.saturating_sub(share.saturating_mul(at_once)))),
        }
    }

    /// The memory of one transform.
    pub fn of_one(&self) -> OfOne {
        OfOne {
            own: FairSpillPool::new(self.share),
            memory: self.clone(),
            borrowed: Mutex::new(0),
        }
    }
}

/// The memory of one transform: its share, and what it borrows beyond.
#[derive(Debug)]
pub(super) struct OfOne {
    own: FairSpillPool,
    memory: Memory,
    borrowed: Mutex<usize>,
}

impl OfOne {
    fn common(&self) -> MutexGuard<'_, usize> {
        locked(&self.memory.common)
    }
}

fn locked(bytes: &Mutex<usize>) -> MutexGuard<'_, usize> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryPool for OfOne {
    fn name(&self) -> &'static str {
        "transform"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.own.grow(reservation, additional);
    }

    /// Gives back what is borrowed first.
    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut borrowed = locked(&self.borrowed);
        let returned = shrink.min(*borrowed);
        *borrowed -= returned;
        *self.common() += returned;
        drop(borrowed);
        self.own.shrink(reservation, shrink - returned);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let Err(error) = self.own.try_grow(reservation, additional) else {
            return Ok(());
        };
        let mut borrowed = locked(&self.borrowed);
        let mut common = self.common();
        if *common < additional {
            return Err(error);
        }
        *common -= additional;
        *borrowed += additional;
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.own.reserved() + *locked(&self.borrowed)
    }

    /// What it can have now. It may be less in a moment, but never less than its share.
    fn memory_limit(&self) -> MemoryLimit {
        let borrowed = locked(&self.borrowed);
        MemoryLimit::Finite(self.memory.share + *borrowed + *self.common())
    }
}

impl fmt::Display for OfOne {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MemoryLimit::Finite(bytes) = self.memory_limit() else {
            return f.write_str(self.name());
        };
        write!(f, "{}({bytes} bytes)", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1 << 20;

    fn sort(memory: &Memory) -> MemoryReservation {
        let pool: Arc<dyn MemoryPool> = Arc::new(memory.of_one());
        MemoryConsumer::new("sort").with_can_spill(true).register(&pool)
    }

    #[test]
    fn one_transform_gets_what_the_others_leave() {
        let memory = Memory::new(64 * MB, 4);
        assert_eq!(memory.share, 8 * MB);
        let (large, small) = (sort(&memory), sort(&memory));
        large.try_grow(8 * MB).unwrap();
        large.try_grow(30 * MB).unwrap();
        // Of the 32 MB that are lent, 2 are left; its own share is still there.
        assert!(small.try_grow(9 * MB).is_err());
        small.try_grow(8 * MB).unwrap();
        small.try_grow(2 * MB).unwrap();
        assert!(small.try_grow(1).is_err());
        large.shrink(20 * MB);
        small.try_grow(20 * MB).unwrap();
        drop((large, small));
        assert_eq!(*locked(&memory.common), 32 * MB);
    }

    #[test]
    fn the_limit_is_what_can_be_had_now() {
        let memory = Memory::new(64 * MB, 4);
        let (one, other) = (Arc::new(memory.of_one()), sort(&memory));
        let limit = |pool: &OfOne| match pool.memory_limit() {
            MemoryLimit::Finite(bytes) => bytes / MB,
            MemoryLimit::Infinite | MemoryLimit::Unknown => unreachable!(),
        };
        assert_eq!(limit(&one), 40);
        other.try_grow(12 * MB).unwrap();
        assert_eq!(limit(&one), 28);
        let pool: Arc<dyn MemoryPool> = one.clone();
        let own = MemoryConsumer::new("sort").with_can_spill(true).register(&pool);
        own.try_grow(20 * MB).unwrap();
        assert_eq!(limit(&one), 28);
        assert_eq!(one.reserved(), 20 * MB);
    }

    #[test]
    fn many_transforms_have_enough_to_sort_in() {
        let memory = Memory::new(16 * MB, 100);
        assert_eq!((memory.share, *locked(&memory.common)), (LEAST_SHARE, 0));
    }
}
