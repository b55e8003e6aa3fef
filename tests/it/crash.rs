//! Runs that are killed at any moment: the next run brings about what an undisturbed one would have.

use crate::postgres::Server;
use crate::publish::same_rows;
use crate::workplace::{Workplace, same_bytes};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const KILLS: usize = 50;
const KILLS_WITH_DATABASE: u32 = 5;
/// As many at a time as a small machine has processors.
const AT_ONCE: usize = 2;
const FIRST: [&str; 2] = ["--as-of", "2026-10-10T00:00:00Z"];
const ONE_MORE_DAY: [&str; 2] = ["--as-of", "2026-10-11T00:00:00Z"];

/// Roughly what writing the files, the entry and what follows it take.
const PUBLISHING: Duration = Duration::from_millis(60);

type Files = BTreeMap<String, Vec<u8>>;

/// SplitMix64 (Steele et al., OOPSLA 2014) as a share of one.
#[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
fn share(seed: u64) -> f64 {
    let mut z = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Starts a run and kills it after `share` of what a run takes, unless it has ended by then; says whether it was killed.
/// `takes_us` follows what was seen, as tests beside this one come and go.
fn kill(place: &Workplace, results: &str, arguments: &[&str], share: f64, takes_us: &AtomicU64) -> bool {
    let started = Instant::now();
    let mut run = place.run_command(results, arguments).spawn().unwrap();
    let moment = Duration::from_micros(takes_us.load(Ordering::Relaxed)).mul_f64(share);
    if !waits_until(&mut run, || started.elapsed() >= moment) {
        takes_us.store(u64::try_from(started.elapsed().as_micros()).unwrap(), Ordering::Relaxed);
        return false;
    }
    was_killed(run)
}

/// Starts a run and kills it while it publishes: `share` of [`PUBLISHING`] after the folder `first` has appeared. A run
/// spends so little of its time there that moments chosen evenly would miss it.
fn kill_while_publishing(place: &Workplace, results: &str, arguments: &[&str], share: f64, first: &str) -> bool {
    let first = place.path(results).join(first);
    let mut run = place.run_command(results, arguments).spawn().unwrap();
    if !waits_until(&mut run, || first.exists()) {
        return false;
    }
    std::thread::sleep(PUBLISHING.mul_f64(share));
    was_killed(run)
}

/// False where the run ends before it is so.
fn waits_until(run: &mut Child, is_so: impl Fn() -> bool) -> bool {
    while !is_so() {
        if run.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    true
}

fn was_killed(mut run: Child) -> bool {
    run.kill().unwrap();
    // On Unix a killed process has no exit code.
    run.wait().unwrap().code().is_none()
}

/// What undisturbed runs publish, and how long the first takes while others run beside it.
struct Calm {
    first: Files,
    second: Files,
    takes_us: AtomicU64,
}

async fn calm(place: &Workplace) -> Calm {
    let started = Instant::now();
    let beside = place.run_command("beside", &FIRST).spawn().unwrap();
    place.run("calm", &FIRST).outcome(0);
    let takes_us = AtomicU64::new(u64::try_from(started.elapsed().as_micros()).unwrap());
    assert!(beside.wait_with_output().unwrap().status.success());
    let first = place.published("calm").await;
    copy(&place.path("calm"), &place.path("one day before"));
    place.run("calm", &ONE_MORE_DAY).outcome(0);
    Calm { first, second: place.published("calm").await, takes_us }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// How far a killed run had come.
fn stage(place: &Workplace, results: &str, entry: u64) -> &'static str {
    let folder = place.path(results);
    if folder.join(format!("_ledger/{entry:020}.json")).exists() {
        "after the commit"
    } else if folder.join(format!("baselines/as_of=2026-10-{:02}T00-00-00Z", 9 + entry)).exists() {
        "while publishing tables"
    } else if entry == 1 && folder.join("rollups").exists() {
        "while publishing rollups"
    } else if folder.join("_state").exists() {
        "while reading or learning"
    } else {
        "before the first day"
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_fifty_moments_and_run_again_it_publishes_the_same() {
    let place = Workplace::sample();
    let calm = calm(&place).await;
    let next_seed = AtomicU64::new(0);
    let mut stages: BTreeMap<&str, usize> = BTreeMap::new();
    let worker = || {
        let mut seen = Vec::new();
        while seen.len() < KILLS / AT_ONCE {
            let seed = next_seed.fetch_add(1, Ordering::Relaxed);
            assert!(seed < 10 * KILLS as u64, "runs end before they can be killed");
            seen.extend(killed_and_run_again(&place, &calm, seed));
        }
        seen
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        for stage in workers.into_iter().flat_map(|worker| worker.join().unwrap()) {
            *stages.entry(stage).or_default() += 1;
        }
    });
    eprintln!("killed {stages:?}");
    assert_eq!(stages.values().sum::<usize>(), KILLS);
}

/// Every other time it is the run of one more day over earlier results. None where the run had ended before its time.
fn killed_and_run_again(place: &Workplace, calm: &Calm, seed: u64) -> Option<&'static str> {
    let results = format!("killed {seed}");
    let is_second = seed % 2 == 1;
    let (arguments, expected) = if is_second { (ONE_MORE_DAY, &calm.second) } else { (FIRST, &calm.first) };
    if is_second {
        copy(&place.path("one day before"), &place.path(&results));
    }
    let was_killed = if seed % 5 < 3 {
        kill(place, &results, &arguments, share(seed), &calm.takes_us)
    } else {
        let first = if is_second { "baselines/as_of=2026-10-11T00-00-00Z" } else { "rollups" };
        kill_while_publishing(place, &results, &arguments, share(seed), first)
    };
    if !was_killed {
        return None;
    }
    let stage = stage(place, &results, if is_second { 2 } else { 1 });
    place.run(&results, &arguments).outcome(0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        same_bytes(&place.published(&results).await, expected, &format!("seed {seed}, killed {stage}"));
        assert_eq!(place.verified_entries(&results).await, if is_second { 2 } else { 1 });
    });
    fs::remove_dir_all(place.path(&results)).unwrap();
    Some(stage)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_holds_the_rows_of_the_files_after_kills() {
    let Some(server) = Server::start() else { return };
    let place = Workplace::sample();
    place.use_postgres(&server);
    let started = Instant::now();
    place.run("results", &["--as-of", "2026-10-01T00:00:00Z"]).outcome(0);
    let takes_us = AtomicU64::new(u64::try_from(started.elapsed().as_micros()).unwrap());
    for day in 2..2 + KILLS_WITH_DATABASE {
        let as_of = format!("2026-10-{day:02}T00:00:00Z");
        // The later half: that is where the database is written.
        let moment = 0.4 + 0.6 * share(u64::from(day));
        kill(&place, "results", &["--as-of", &as_of], moment, &takes_us);
        place.run("results", &["--as-of", &as_of]).outcome(0);
        same_rows(&server, &place.store("results")).await;
    }
    assert_eq!(place.verified_entries("results").await, 1 + KILLS_WITH_DATABASE as usize);
}
