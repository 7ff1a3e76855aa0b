//! Pairs what is expected with what came, where several pairs are possible.

/// Pairs as many of `wanted` with one of `given` each as can be, where they fit. Returns those of both that are left.
///
/// An expected row with few columns may fit several rows, and one that fits only one of them must get it. So a pair is
/// given up where that lets another pair be made (augmenting paths, after Kuhn).
pub(super) fn pairs(wanted: usize, given: usize, fits: impl Fn(usize, usize) -> bool) -> (Vec<usize>, Vec<usize>) {
    let mut taken: Vec<Option<usize>> = vec![None; given];
    let mut left = Vec::new();
    for one in 0..wanted {
        if !find(one, &fits, &mut taken, &mut vec![false; given]) {
            left.push(one);
        }
    }
    let free = (0..given).filter(|at| taken[*at].is_none()).collect();
    (left, free)
}

fn find(one: usize, fits: &impl Fn(usize, usize) -> bool, taken: &mut [Option<usize>], seen: &mut [bool]) -> bool {
    // A free one first, so that most pairs need no search.
    for at in (0..taken.len()).filter(|at| taken[*at].is_none()).collect::<Vec<_>>() {
        if !seen[at] && fits(one, at) {
            taken[at] = Some(one);
            return true;
        }
    }
    for at in 0..taken.len() {
        if seen[at] || !fits(one, at) {
            continue;
        }
        seen[at] = true;
        let Some(other) = taken[at] else {
            continue;
        };
        if find(other, fits, taken, seen) {
            taken[at] = Some(one);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::pairs;

    #[test]
    fn a_row_that_fits_anything_leaves_the_only_one_to_another() {
        // The first fits both, the second only what the first would take.
        assert_eq!(pairs(2, 2, |wanted, given| wanted == 0 || given == 0), (vec![], vec![]));
        // A chain: 0 fits 0 and 1, 1 fits 0 and 2, 2 fits 0 only.
        let fits = |wanted: usize, given: usize| given == 0 || given == wanted + 1;
        assert_eq!(
            pairs(3, 3, |wanted, given| fits(wanted, given) && given < 3),
            (vec![], vec![])
        );
    }

    #[test]
    fn what_fits_nothing_is_left() {
        assert_eq!(
            pairs(2, 3, |wanted, given| wanted == 1 && given == 1),
            (vec![0], vec![0, 2])
        );
        assert_eq!(pairs(0, 1, |_, _| true), (vec![], vec![0]));
        assert_eq!(pairs(2, 1, |_, _| true), (vec![1], vec![]));
    }
}
