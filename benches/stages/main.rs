//! Benchmarks of the stages' hot loops, each alone, over what the stage before it hands on. README.md says how to run
//! them. They assert no time: whether the whole is fast enough is for the end-to-end measurement to say.

mod encoder;
mod ingest;
mod masks;
mod patients;
mod screen;
mod world;

use std::time::Duration;

use criterion::Criterion;

use world::World;

/// 16 MB of JSON: more than the caches hold.
const PATIENTS: usize = 20_000;
/// Where every loop runs once, to see that it does (`cargo test --benches`).
const FEW: usize = 200;

fn main() {
    // Cargo says so to what it measures.
    let measured = std::env::args().any(|argument| argument == "--bench");
    let world = World::new(if measured { PATIENTS } else { FEW });
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    ingest::bench(&mut criterion, &world);
    masks::bench(&mut criterion, &world);
    screen::bench(&mut criterion, &world);
    encoder::bench(&mut criterion, &world);
    criterion.final_summary();
}
