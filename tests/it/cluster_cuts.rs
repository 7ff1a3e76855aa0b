//! What comes of a batch when the network between two processes is cut: nobody says so, and nothing arrives any more.
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::cluster_processes::{Cluster, RUN, SLOW, loaded, tags};
use crate::harness::{Database, Project, Running, SOURCE_A, batch, until};

/// Hands on the bytes of connections to another port, until it is cut.
struct Wire {
    port: u16,
    cut: Arc<AtomicBool>,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Self {
            port: listener.local_addr().unwrap().port(),
            cut: Arc::default(),
            ends: Arc::default(),
        };
        let (cut, ends) = (Arc::clone(&wire.cut), Arc::clone(&wire.ends));
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let Ok(near) = near else { return };
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                ends.lock()
                    .unwrap()
                    .extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                for (from, to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
                    let cut = Arc::clone(&cut);
                    std::thread::spawn(move || hand_on(from, to, &cut));
                }
            }
        });
        wire
    }

    /// The port of a `df://` address.
    fn to_url(url: &str) -> Self {
        Self::to(url.rsplit(':').next().unwrap().parse().unwrap())
    }

    fn url(&self) -> String {
        format!("df://127.0.0.1:{}", self.port)
    }

    /// Lets nothing through, and tells nobody.
    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// Lets everything through again. What was under way is not lost.
    fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }

    /// Ends the connections, as a firewall does that has forgotten them.
    fn reset(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn hand_on(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        while cut.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// A run of a new batch, on the scheduler at this address, that has begun to copy rows.
fn copying(database: &Database, project: &Project, url: &str) -> Running {
    project.input("source_a", "20230501", batch(SOURCE_A, "new", 6000));
    let running = project.spawn(&[&RUN[..], &[url]].concat());
    let copying = "pg_stat_activity where datname = current_database() and query like 'COPY%' and state = 'active'";
    until("rows are copied", || database.count(copying) > 0);
    running
}

/// The next run heals, and leaves nothing behind.
fn heals(database: &Database, project: &Project, url: &str) {
    project.run(&[&RUN[..], &[url]].concat()).code(0);
    assert_eq!(tags(database), "new|6000");
    assert_eq!(database.staging_tables(), [] as [&str; 0]);
    assert_eq!(database.count("pipeline.runs where status = 'running'"), 0);
    assert_eq!(database.count("pipeline.progress"), 0);
}

#[test]
fn a_run_that_is_cut_from_the_scheduler_fails_whole_in_bounded_time() {
    let (database, project, mut cluster) = loaded(20);
    cluster.executors.clear();
    let project = project.env("FAILPOINTS", SLOW);
    cluster.add(&project, 5);
    for round in 0..3_u64 {
        let wire = Wire::to_url(&cluster.url);
        project.input("source_a", "20230501", batch(SOURCE_A, "new", 6000));
        let running = project.spawn(&[&RUN[..], &[&wire.url()]].concat());
        until("the run has begun", || {
            database.count("pipeline.runs where status = 'running'") == 1
        });
        std::thread::sleep(Duration::from_millis(400 * round));
        wire.cut();
        let cut = Instant::now();
        running
            .wait()
            .code(3)
            .stderr_contains("the scheduler at df://127.0.0.1:");
        assert!(cut.elapsed() < Duration::from_mins(1), "{:?}", cut.elapsed());
        assert_eq!(tags(&database), "old|20");
    }
    heals(&database, &project, &cluster.url);
}

#[test]
fn a_batch_of_an_executor_that_is_cut_from_the_scheduler_goes_to_another() {
    let (database, project, mut cluster) = loaded(20);
    cluster.executors.clear();
    let wire = Wire::to_url(&cluster.url);
    cluster.add_at(&project, 5, &wire.url(), &[]);
    let running = copying(&database, &project, &cluster.url);
    wire.cut();
    cluster.add(&project, 6);
    running.wait().code(0);
    assert_eq!(tags(&database), "new|6000");
    assert_eq!(database.count("treatments"), 8 * 6000);
    // The one that was cut off comes back, and is no harm.
    wire.mend();
    drop(cluster.executors.pop());
    heals(&database, &project, &cluster.url);
}

#[test]
fn a_batch_of_an_executor_that_is_cut_from_the_database_fails_whole() {
    let (database, project, mut cluster) = loaded(20);
    cluster.executors.clear();
    let port: u16 = database.value("select inet_server_port()").parse().unwrap();
    let wire = Wire::to(port);
    let url = database.url().replace(&format!(":{port}"), &format!(":{}", wire.port));
    let far = Project::copy_of(&project.path(""))
        .in_clear()
        .on(&database)
        .env("DATABASE_URL", &url);
    cluster.add(&far, 5);
    let running = copying(&database, &project, &cluster.url);
    wire.cut();
    let cut = Instant::now();
    running
        .wait()
        .code(3)
        .stderr_contains("an executor has lost the database");
    assert!(cut.elapsed() < Duration::from_mins(2), "{:?}", cut.elapsed());
    assert_eq!(tags(&database), "old|20");
    wire.reset();
    cluster.add(&project, 6);
    drop(cluster.executors.remove(0));
    heals(&database, &project, &cluster.url);
}

/// Kills the scheduler at some moment of a batch, and starts another at its address. Executors find it by themselves.
#[test]
fn executors_come_back_to_a_scheduler_that_is_started_anew() {
    let (database, project, mut cluster) = loaded(20);
    project.input("source_a", "20230501", batch(SOURCE_A, "new", 6000));
    let begun = Instant::now();
    project.run(&[&RUN[..], &[&cluster.url]].concat()).code(0);
    let whole = begun.elapsed();
    let address = cluster.url.strip_prefix("df://").unwrap().to_owned();
    let mut failed = 0;
    for round in 0..5 {
        let tag = format!("round{round}");
        project.input("source_a", "20230501", batch(SOURCE_A, &tag, 6000));
        let before = tags(&database);
        let running = project.spawn(&[&RUN[..], &[&cluster.url]].concat());
        std::thread::sleep(whole.mul_f64(rand::random::<f64>()));
        cluster.scheduler.kill();
        let outcome = running.wait();
        match outcome.exit() {
            Some(0) => assert_eq!(tags(&database), format!("{tag}|6000")),
            Some(3) => {
                failed += 1;
                assert_eq!(tags(&database), before);
            }
            _ => panic!("{outcome:?}"),
        }
        cluster.scheduler = Cluster::scheduler(&project, &address, &[]).0;
        project.run(&[&RUN[..], &[&cluster.url]].concat()).code(0);
        assert_eq!(tags(&database), format!("{tag}|6000"));
        assert_eq!(database.staging_tables(), [] as [&str; 0]);
    }
    assert!(failed > 0, "the scheduler was never killed while it was needed");
}

#[test]
fn nothing_is_left_of_runs_that_are_killed_at_any_moment() {
    let (database, project, cluster) = loaded(20);
    project.input("source_a", "20230501", batch(SOURCE_A, "new", 6000));
    let begun = Instant::now();
    project.run(&[&RUN[..], &[&cluster.url]].concat()).code(0);
    let whole = begun.elapsed();
    let mut killed = 0;
    for round in 0..10 {
        let tag = format!("round{round}");
        project.input("source_a", "20230501", batch(SOURCE_A, &tag, 6000));
        let before = tags(&database);
        let mut running = project.spawn(&[&RUN[..], &[&cluster.url]].concat());
        std::thread::sleep(whole.mul_f64(rand::random::<f64>()));
        running.kill();
        let outcome = running.wait();
        killed += usize::from(outcome.exit().is_none());
        let now = tags(&database);
        assert!(now == before || now == format!("{tag}|6000"), "{now}");
    }
    assert!(killed > 0, "no run was killed before its end");
    project.input("source_a", "20230501", batch(SOURCE_A, "new", 6000));
    heals(&database, &project, &cluster.url);
}
