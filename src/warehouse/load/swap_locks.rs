//! The locks of a swap, as one statement, and the pace at which a swap asks for them. It knows no database.
//!
//! Most readers go through the tables from parents to children, so the locks are asked for in that order, which is the
//! contract's. A reader that is under way has passed the first table then and ends soon; a new one waits at the first
//! table, and holds nothing that the swap waits for. In any other order the two wait for each other until the swap gives
//! up. So the tries that follow take the two other orders in which readers are often seen: by name, and from children
//! to parents. Two swaps of one source that meet in different orders give up as they do beside a reader.

use std::time::Duration;

use rand::Rng;

use super::batch_partitions::BatchPartitions;
use crate::warehouse::sql::{ENTITIES, PARTITIONS, qualified};

/// After this the server ends the session of a process that stands still while it holds the locks.
const IDLE_LIMIT: &str = "10s";

/// How long one try may wait for all of its locks together, which is the longest that a reader waits for it.
const SHORT_WAIT: Duration = Duration::from_millis(80);
/// The same once most of the patience is used up.
const LONG_WAIT: Duration = Duration::from_millis(400);
/// The share of `deadlock_timeout` that a try may wait. The server looks for deadlocks when a session has waited for
/// `deadlock_timeout` (1 s by default), and may end the reader's transaction, not the swap's. The swap is gone by then.
const DEADLOCK_SHARE: f64 = 0.7;

/// The mean pause after the first try.
const FIRST_PAUSE: Duration = Duration::from_millis(60);
/// The longest mean pause. A reader that holds a table for minutes makes all others wait a [`SHORT_WAIT`] after each.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// So many tries follow each other at the first pace: most readers are out of the way by then.
const QUICK_TRIES: u32 = 12;

/// How long the next try may wait for its locks.
pub(super) fn wait(elapsed: Duration, patience: Duration) -> Duration {
    let mean = if elapsed * 4 < patience * 3 {
        SHORT_WAIT
    } else {
        LONG_WAIT
    };
    jittered(mean)
}

/// How long to let everybody pass after so many tries.
pub(super) fn pause(tries: u32) -> Duration {
    let doublings = tries.saturating_sub(QUICK_TRIES).min(8);
    jittered((FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE))
}

/// Two thirds to four thirds, so that a swap does not keep step with a reader or another swap.
fn jittered(mean: Duration) -> Duration {
    mean.mul_f64(rand::rng().random_range(0.67..1.33))
}

/// The tables in the order in which a try asks for their locks; `tries` came before it.
fn in_order<'a>(targets: &[Target<'a>], tries: u32) -> Vec<Target<'a>> {
    let mut targets = targets.to_vec();
    match tries % 3 {
        0 => {}
        1 => targets.sort_by(|a, b| a.of.entity.cmp(&b.of.entity)),
        _ => targets.reverse(),
    }
    targets
}

/// What is to be locked for one entity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub of: &'a BatchPartitions,
    /// The name of the staging table that takes the place of the batch's partition.
    pub staged: Option<&'a str>,
}

/// All locks in one statement, so that one time limit counts for all of them (`lock_timeout` counts per lock and adds
/// up). Locked are the tables that lack the source's partition, else that partition; then the batches' own partitions,
/// which an ANALYZE or a dump may hold. `targets` are in the contract's order, `tries` came before this one. `None` where
/// nothing is to be done.
pub(super) fn statement(targets: &[Target<'_>], tries: u32, wait: Duration) -> Option<String> {
    let (mut roots, mut upper, mut lower) = (Vec::new(), Vec::new(), Vec::new());
    for Target { of, staged } in in_order(targets, tries) {
        if staged.is_none() && of.current.is_none() {
            continue;
        }
        let root = qualified(ENTITIES, &of.entity);
        match &of.of_source {
            Some(of_source) => {
                roots.push(root);
                upper.push(of_source.clone());
            }
            None => upper.push(root),
        }
        lower.extend(of.current.clone());
        lower.extend(staged.map(|staged| qualified(PARTITIONS, staged)));
    }
    if upper.is_empty() {
        return None;
    }
    upper.extend(lower);
    // ATTACH opens the roots to build the partition's constraint. Another swap may hold a root, to make a source's
    // partition. By asking for the roots first, this swap waits for that one while it holds nothing. ACCESS SHARE keeps
    // no reader out.
    let shared = if roots.is_empty() {
        String::new()
    } else {
        format!("LOCK TABLE ONLY {} IN ACCESS SHARE MODE; ", roots.join(", ONLY "))
    };
    Some(format!(
        "SET LOCAL idle_in_transaction_session_timeout = '{IDLE_LIMIT}'; SET LOCAL lock_timeout = 0; \
         SELECT pg_catalog.set_config('statement_timeout', greatest(1, least({}, floor({DEADLOCK_SHARE} * 1000 * \
         extract(epoch FROM pg_catalog.current_setting('deadlock_timeout')::interval))))::int::text, true); \
         {shared}LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE; SET LOCAL statement_timeout = 0",
        wait.as_millis(),
        upper.join(", ONLY "),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(entity: &str, of_source: bool, current: bool) -> BatchPartitions {
        BatchPartitions {
            entity: entity.to_owned(),
            has_root: true,
            of_source: of_source.then(|| format!("parts.{entity}_a")),
            current: current.then(|| format!("parts.{entity}_r1")),
        }
    }

    /// Every list of tables in the statement's LOCKs, in order.
    fn locked(found: &[BatchPartitions], staged: Option<&str>, tries: u32) -> Vec<String> {
        let targets: Vec<Target<'_>> = found.iter().map(|of| Target { of, staged }).collect();
        let sql = statement(&targets, tries, SHORT_WAIT).unwrap_or_default();
        let locks = sql.split("; ").filter_map(|part| part.strip_prefix("LOCK TABLE "));
        locks.map(|lock| lock.replace("ONLY ", "")).collect()
    }

    #[test]
    fn parents_are_locked_first_and_all_in_one_statement() {
        let contract = ["patients", "visits", "diagnoses", "treatments"];
        let old = contract.map(|entity| found(entity, true, true));
        assert_eq!(
            locked(&old, None, 0),
            [
                "\"public\".\"patients\", \"public\".\"visits\", \"public\".\"diagnoses\", \"public\".\"treatments\" \
                 IN ACCESS SHARE MODE",
                "parts.patients_a, parts.visits_a, parts.diagnoses_a, parts.treatments_a, parts.patients_r1, \
                 parts.visits_r1, parts.diagnoses_r1, parts.treatments_r1 IN ACCESS EXCLUSIVE MODE"
            ]
        );
        for (tries, first) in [(1, "diagnoses"), (2, "treatments"), (3, "patients")] {
            assert!(locked(&old, None, tries)[1].starts_with(&format!("parts.{first}_a, ")));
        }
        // A new source, and an entity that the source did not serve before.
        let new = contract.map(|entity| found(entity, entity == "visits", false));
        assert_eq!(
            locked(&new[..3], Some("s"), 0),
            [
                "\"public\".\"visits\" IN ACCESS SHARE MODE",
                "\"public\".\"patients\", parts.visits_a, \"public\".\"diagnoses\", \"pipeline_partitions\".\"s\", \
                 \"pipeline_partitions\".\"s\", \"pipeline_partitions\".\"s\" IN ACCESS EXCLUSIVE MODE"
            ]
        );
        assert_eq!(locked(&new, None, 0), [] as [&str; 0]);
    }

    #[test]
    fn tries_are_short_until_patience_runs_out_and_stay_below_deadlock_timeout() {
        let patience = Duration::from_secs(100);
        for _ in 0..100 {
            assert!(wait(Duration::from_secs(10), patience) < Duration::from_millis(120));
            let late = wait(Duration::from_secs(90), patience);
            assert!(late > Duration::from_millis(250) && late < Duration::from_millis(700));
            assert!(pause(1) < Duration::from_millis(100) && pause(1000) < Duration::from_millis(1400));
        }
        let old = [found("patients", true, true)];
        let targets = [Target {
            of: &old[0],
            staged: None,
        }];
        let sql = statement(&targets, 0, LONG_WAIT).unwrap();
        assert!(sql.contains(
            "least(400, floor(0.7 * 1000 * extract(epoch FROM pg_catalog.current_setting('deadlock_timeout')"
        ));
    }
}
