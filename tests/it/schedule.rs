//! The daemon with real beats, at one a second.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use futures::FutureExt;
use paceline::cli::schedule::{ScheduleArgs, schedule};
use paceline::clock::Clock;
use paceline::config::{Config, Cron};
use paceline::error::{Error, Result};
use paceline::jobs::schedule::{ScheduleParams, ScheduledJob, serve};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a job was asked to do, and what it got done.
#[derive(Clone, Default)]
struct Record {
    started: Arc<Mutex<Vec<DateTime<Utc>>>>,
    finished: Arc<Mutex<Vec<DateTime<Utc>>>>,
}

impl Record {
    fn started(&self) -> Vec<DateTime<Utc>> {
        self.started.lock().unwrap().clone()
    }

    fn finished(&self) -> Vec<DateTime<Utc>> {
        self.finished.lock().unwrap().clone()
    }
}

/// A job that is busy for a while; `last` is the as-of of its last committed run.
fn job(cron: Cron, busy: Duration, last: Option<DateTime<Utc>>, record: &Record) -> ScheduledJob {
    let record = record.clone();
    let run = move |slot: DateTime<Utc>| {
        let record = record.clone();
        async move {
            record.started.lock().unwrap().push(slot);
            tokio::time::sleep(busy).await;
            record.finished.lock().unwrap().push(slot);
            Ok(0)
        }
        .boxed()
    };
    ScheduledJob {
        name: "test".to_owned(),
        cron,
        timezone: Tz::UTC,
        run: Arc::new(run),
        last_as_of: Arc::new(move || async move { Ok(last) }.boxed()),
    }
}

fn every_second() -> Cron {
    Cron::parse_with_seconds("* * * * * *").unwrap()
}

fn params(clock: Clock, grace: Duration) -> ScheduleParams {
    ScheduleParams { clock, grace, beat: "* * * * * *".to_owned() }
}

const LONG_GRACE: Duration = Duration::from_secs(20);

async fn serve_for(job: ScheduledJob, params: ScheduleParams, time: Duration) {
    serve(vec![job], &params, tokio::time::sleep(time)).await.unwrap();
}

#[tokio::test]
async fn slots_are_run_once_each_with_the_slot_as_as_of() {
    let record = Record::default();
    let before = Utc::now();
    let job = job(every_second(), Duration::ZERO, None, &record);
    serve_for(job, params(Clock::System, LONG_GRACE), Duration::from_millis(3_500)).await;
    let slots = record.started();
    assert!((2..=4).contains(&slots.len()), "{slots:?}");
    assert!(slots.iter().all(|slot| *slot > before - TimeDelta::seconds(1) && slot.timestamp_subsec_nanos() == 0));
    assert!(slots.is_sorted_by(|a, b| a < b), "{slots:?}");
}

#[tokio::test]
async fn a_slot_that_comes_due_while_the_job_is_busy_is_passed_over() {
    let record = Record::default();
    let job = job(every_second(), Duration::from_millis(2_500), None, &record);
    serve_for(job, params(Clock::System, LONG_GRACE), Duration::from_millis(4_800)).await;
    let slots = record.started();
    assert!((1..=2).contains(&slots.len()), "{slots:?}");
    assert_eq!(record.finished(), slots, "a stop lets what runs finish");
}

#[tokio::test]
async fn the_latest_missed_slot_is_caught_up_at_the_start() {
    let now = "2026-11-01T10:20:00Z".parse().unwrap();
    let slot: DateTime<Utc> = "2026-11-01T10:00:00Z".parse().unwrap();
    for (last, expected) in [
        (Some(slot - TimeDelta::hours(5)), vec![slot]),
        (Some(slot), vec![]),
        (Some(slot + TimeDelta::minutes(7)), vec![]),
        (None, vec![]),
    ] {
        let record = Record::default();
        let job = job(Cron::hourly(), Duration::ZERO, last, &record);
        serve_for(job, params(Clock::Fixed(now), LONG_GRACE), Duration::from_millis(300)).await;
        assert_eq!(record.started(), expected, "after {last:?}");
    }
}

#[tokio::test]
async fn a_run_that_outlasts_the_grace_period_is_cut_off() {
    let now = "2026-11-01T10:20:00Z".parse().unwrap();
    let record = Record::default();
    let job = job(Cron::hourly(), Duration::from_secs(60), Some(now - TimeDelta::days(1)), &record);
    let begun = Instant::now();
    serve_for(job, params(Clock::Fixed(now), Duration::from_millis(200)), Duration::from_millis(300)).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!((record.started().len(), record.finished().len()), (1, 0));
}

#[tokio::test]
async fn a_job_that_fails_or_panics_is_tried_again_at_its_next_slot() {
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    let run = move |_slot| {
        let counted = Arc::clone(&counted);
        async move {
            let n = {
                let mut count = counted.lock().unwrap();
                *count += 1;
                *count
            };
            assert!(n % 2 == 0, "every other run breaks off");
            Result::<u8>::Err(Error::Input("nothing there".to_owned()))
        }
        .boxed()
    };
    let mut job = job(every_second(), Duration::ZERO, None, &Record::default());
    job.run = Arc::new(run);
    serve_for(job, params(Clock::System, LONG_GRACE), Duration::from_millis(3_500)).await;
    assert!(*count.lock().unwrap() >= 2);
}

#[tokio::test]
async fn sigterm_stops_the_daemon_once_its_run_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("paceline.yaml");
    std::fs::write(&config, "job: test\nschedule: { run: '* * * * *' }\n").unwrap();
    let record = Record::default();
    let (started, finished) = (Arc::clone(&record.started), Arc::clone(&record.finished));
    let run = move |config: Arc<Config>, slot| {
        let (started, finished) = (Arc::clone(&started), Arc::clone(&finished));
        async move {
            assert_eq!(config.job, "test");
            started.lock().unwrap().push(slot);
            std::process::Command::new("kill").arg(std::process::id().to_string()).status().unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
            finished.lock().unwrap().push(slot);
            Ok(0)
        }
        .boxed()
    };
    let last = |_config| async { Ok(Some(Utc::now() - TimeDelta::hours(1))) }.boxed();
    let args = ScheduleArgs { config: vec![config.clone()], grace: 20 };
    assert_eq!(schedule(&args, run.clone(), last).await.unwrap(), 0);
    assert_eq!(record.started().len(), 1);
    assert_eq!(record.finished(), record.started());

    let twice = ScheduleArgs { config: vec![config.clone(), config], grace: 20 };
    let refused = schedule(&twice, run, last).await.unwrap_err();
    assert!(refused.exit_code() == 2 && refused.to_string().contains("a second time"), "{refused}");
}

#[tokio::test]
async fn nothing_starts_while_the_last_run_is_unknown() {
    let record = Record::default();
    let mut job = job(every_second(), Duration::ZERO, None, &record);
    job.last_as_of = Arc::new(|| async { Err(Error::Input("the ledger is away".to_owned())) }.boxed());
    serve_for(job, params(Clock::System, LONG_GRACE), Duration::from_millis(2_300)).await;
    assert!(record.started().is_empty());
}
