//! How much of the machine this process may use.

use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};

/// The number of cores that this process may use. Two if the operating system does not say.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// The stack of a thread that plans SQL, in bytes; only what is used of it takes memory. Planning takes up to 20 KB for
/// each level of an expression without optimisation.
pub const STACK_BYTES: usize = 32 << 20;

/// Does the same work for each item, on as many threads as there are cores. The results are in the order of the items.
/// Whoever calls it waits meanwhile, as if it did the work by itself.
pub(crate) fn on_all<T: Send, U: Send>(items: Vec<T>, work: impl Fn(T) -> U + Sync) -> Vec<U> {
    let threads = cores().min(items.len());
    let waiting = Mutex::new(items.into_iter().enumerate());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let in_turn = || {
        let each = std::iter::from_fn(next).map(|(at, item)| (at, work(item)));
        each.collect::<Vec<_>>()
    };
    let mut done = std::thread::scope(|scope| {
        let helper = || {
            std::thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, in_turn)
        };
        // Where no thread can be started, the others do its share.
        let helpers: Vec<_> = (1..threads).filter_map(|_| helper().ok()).collect();
        let mut done = in_turn();
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..100).collect();
        // The first item ends last.
        let work = |item: u64| {
            std::thread::sleep(std::time::Duration::from_millis(if item == 0 { 50 } else { 0 }));
            item * 2
        };
        let expected: Vec<u64> = items.iter().map(|item| item * 2).collect();
        assert_eq!(on_all(items, work), expected);
        assert!(on_all(Vec::<u64>::new(), work).is_empty());
    }

    #[test]
    #[should_panic(expected = "of the work")]
    fn a_panic_of_the_work_is_one_here() {
        on_all(vec![1, 2, 3, 4], |item| assert_ne!(item, 4, "of the work"));
    }
}
