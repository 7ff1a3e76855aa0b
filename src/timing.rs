//! Measures how long the stages of a batch work, summed over all threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The time that one stage worked or waited. All threads of the stage share it.
#[derive(Debug, Default)]
pub struct Spent(AtomicU64);

impl Spent {
    /// Runs the work and adds its duration.
    pub fn on<T>(&self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        self.add(begun.elapsed());
        done
    }

    /// Awaits the future and adds the time that passed.
    pub async fn waiting<T>(&self, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let done = work.await;
        self.add(begun.elapsed());
        done
    }

    pub fn add(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }

    pub fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_up() {
        let spent = Spent::default();
        assert_eq!(spent.on(|| 7), 7);
        let first = spent.get();
        spent.add(Duration::from_millis(5));
        assert_eq!(spent.get(), first + Duration::from_millis(5));
    }
}
