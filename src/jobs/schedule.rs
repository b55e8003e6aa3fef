//! The cron daemon: runs jobs when their slots come due.
//!
//! A *slot* is an instant at which a job's cron expression comes due in its time zone; it is the as-of of the run that
//! it starts. The rules, in one place ([`Progress`]):
//! - one run of a job at a time: a slot that comes due while one is busy is passed over, and the log says so;
//! - what was missed while nobody was there is caught up with one run, of the latest slot. A job that has never run
//!   has missed nothing;
//! - a stop lets what runs finish, for a while; what is cut off has published nothing or everything.
//!
//! tokio-cron-scheduler beats the time, once a minute; which slots are due is calculated here. Its own time zones are
//! offsets frozen at the start of the process, which are an hour off after the clocks change.

mod slots;

pub use slots::{next_slot, previous_slot};

use crate::clock::Clock;
use crate::config::Cron;
use crate::error::{Error, Result};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_cron_scheduler::{Job as Beat, JobScheduler, JobSchedulerError};

/// Every minute, as a five-field cron expression can't come due more often.
const EVERY_MINUTE: &str = "0 * * * * *";
/// Pods get 30 seconds between SIGTERM and SIGKILL; five are for the way out.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(25);

/// Runs the job as of an instant and says how it ended (0, or 3 for over its limits).
pub type RunJob = Arc<dyn Fn(DateTime<Utc>) -> BoxFuture<'static, Result<u8>> + Send + Sync>;
/// The as-of of the job's last committed run, none if there is none.
pub type LastAsOf = Arc<dyn Fn() -> BoxFuture<'static, Result<Option<DateTime<Utc>>>> + Send + Sync>;

/// A job with its schedule.
#[derive(Clone)]
pub struct ScheduledJob {
    /// Its name, for the log.
    pub name: String,
    /// When it comes due.
    pub cron: Cron,
    /// Where the expression's clock hangs.
    pub timezone: Tz,
    /// What it does.
    pub run: RunJob,
    /// What it did last.
    pub last_as_of: LastAsOf,
}

impl fmt::Debug for ScheduledJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, cron, timezone, run: _, last_as_of: _ } = self;
        f.debug_struct("ScheduledJob").field("name", name).field("cron", cron).field("timezone", timezone).finish()
    }
}

/// How the daemon goes about it.
#[derive(Debug, Clone)]
pub struct ScheduleParams {
    /// Where the present instant comes from.
    pub clock: Clock,
    /// How long a run may go on after a stop was asked for.
    pub grace: Duration,
    /// When to look for due slots: a cron expression with seconds.
    pub beat: String,
}

impl Default for ScheduleParams {
    fn default() -> Self {
        Self { clock: Clock::System, grace: DEFAULT_GRACE, beat: EVERY_MINUTE.to_owned() }
    }
}

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Progress {
    /// The latest slot that needs nothing any more, none while that is not known.
    handled: Option<DateTime<Utc>>,
    /// The slot whose run is busy.
    busy_with: Option<DateTime<Utc>>,
}

/// What a slot asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    Start(DateTime<Utc>),
    PassOver { slot: DateTime<Utc>, busy_with: DateTime<Utc> },
}

impl Progress {
    /// What to do about the latest slot. Whatever it is, the slot is handled by it.
    fn advance(&mut self, latest: Option<DateTime<Utc>>) -> Due {
        let Some(slot) = latest.filter(|slot| self.handled.is_some_and(|handled| handled < *slot)) else {
            return Due::Nothing;
        };
        self.handled = Some(slot);
        if let Some(busy_with) = self.busy_with {
            return Due::PassOver { slot, busy_with };
        }
        self.busy_with = Some(slot);
        Due::Start(slot)
    }
}

/// Runs jobs at their slots until `stop` is ready, then lets what runs finish within the grace period.
///
/// A job that fails is logged and tried again at its next slot: a daemon outlives a bad night.
///
/// # Errors
/// [`Error::Internal`] when the beat can't be started, or stops.
pub async fn serve(jobs: Vec<ScheduledJob>, params: &ScheduleParams, stop: impl Future<Output = ()>) -> Result<()> {
    let (beat, beats) = mpsc::channel(1);
    let mut scheduler = start_beating(&params.beat, beat).await?;
    let mut daemon = Daemon::new(jobs, params.clock);
    let ending = tokio::select! {
        () = stop => Ok(()),
        error = daemon.turn(beats) => Err(error),
    };
    tracing::info!(n_busy = daemon.runs.len(), "stopping");
    scheduler.shutdown().await.map_err(no_beat)?;
    daemon.drain(params.grace).await;
    ending
}

async fn start_beating(pattern: &str, beat: mpsc::Sender<()>) -> Result<JobScheduler> {
    let scheduler = JobScheduler::new().await.map_err(no_beat)?;
    let strike = Beat::new_async(pattern, move |_id, _scheduler| {
        let beat = beat.clone();
        // A full channel means that the last beat is still being looked at: nothing is lost with this one.
        Box::pin(async move {
            let _ = beat.try_send(());
        })
    });
    scheduler.add(strike.map_err(no_beat)?).await.map_err(no_beat)?;
    scheduler.start().await.map_err(no_beat)?;
    Ok(scheduler)
}

fn no_beat(error: JobSchedulerError) -> Error {
    Error::Internal(format!("the scheduler does not start: {error}"))
}

/// The jobs and what runs of them.
struct Daemon {
    jobs: Vec<(ScheduledJob, Progress)>,
    clock: Clock,
    started: DateTime<Utc>,
    runs: JoinSet<Result<u8>>,
    /// Position of the job that a task runs.
    job_of: BTreeMap<Id, usize>,
}

impl Daemon {
    fn new(jobs: Vec<ScheduledJob>, clock: Clock) -> Self {
        for job in &jobs {
            let next = next_slot(&job.cron, job.timezone, clock.now()).map(|slot| slot.to_rfc3339());
            tracing::info!(job = job.name, cron = %job.cron, timezone = %job.timezone, next, "scheduled");
        }
        let jobs = jobs.into_iter().map(|job| (job, Progress::default())).collect();
        Self { jobs, clock, started: clock.now(), runs: JoinSet::new(), job_of: BTreeMap::new() }
    }

    /// Looks for due slots at every beat, until there are no more beats, which must not happen.
    async fn turn(&mut self, mut beats: mpsc::Receiver<()>) -> Error {
        self.look().await;
        loop {
            tokio::select! {
                Some(ended) = self.runs.join_next_with_id() => self.finish(ended),
                Some(()) = beats.recv() => self.look().await,
                else => return Error::Internal("the scheduler beats no more".to_owned()),
            }
        }
    }

    async fn look(&mut self) {
        for idx in 0..self.jobs.len() {
            self.look_at(idx).await;
        }
    }

    async fn look_at(&mut self, idx: usize) {
        let Some((job, progress)) = self.jobs.get_mut(idx) else { return };
        if progress.handled.is_none() {
            progress.handled = handled_before(job, self.started).await;
        }
        let latest = previous_slot(&job.cron, job.timezone, self.clock.now());
        match progress.advance(latest) {
            Due::Nothing => {}
            Due::PassOver { slot, busy_with } => {
                tracing::warn!(job = job.name, %slot, %busy_with, "slot passed over: the run before it is still busy");
            }
            Due::Start(slot) => {
                tracing::info!(job = job.name, %slot, "run started");
                let task = self.runs.spawn((job.run)(slot));
                self.job_of.insert(task.id(), idx);
            }
        }
    }

    fn finish(&mut self, ended: std::result::Result<(Id, Result<u8>), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some((job, progress)) = self.job_of.remove(&id).and_then(|idx| self.jobs.get_mut(idx)) else { return };
        let slot = progress.busy_with.take().map(|slot| slot.to_rfc3339());
        match ended {
            Ok((_, Ok(code))) => tracing::info!(job = job.name, slot, exit_code = code, "run finished"),
            Ok((_, Err(error))) => {
                tracing::error!(job = job.name, slot, exit_code = error.exit_code(), %error, "run failed");
            }
            Err(error) => tracing::error!(job = job.name, slot, %error, "run broke off"),
        }
    }

    async fn drain(&mut self, grace: Duration) {
        let finishing = async {
            while let Some(ended) = self.runs.join_next_with_id().await {
                self.finish(ended);
            }
        };
        if tokio::time::timeout(grace, finishing).await.is_err() {
            let n_cut_off = self.runs.len();
            self.runs.shutdown().await;
            tracing::warn!(
                n_cut_off,
                grace_s = grace.as_secs(),
                "runs cut off after the grace period; the next one catches up"
            );
        }
    }
}

/// What a job had done before the daemon started; none if that can't be known now, which the next beat tries again.
async fn handled_before(job: &ScheduledJob, started: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match (job.last_as_of)().await {
        Ok(last) => Some(last.unwrap_or(started)),
        Err(error) => {
            tracing::error!(job = job.name, %error, "what ran last can't be read; nothing starts before it can");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_latest_missed_slot_is_caught_up_once() {
        let hour = |h: u32| at(&format!("2026-11-01T{h:02}:00:00Z"));
        let mut progress = Progress { handled: Some(hour(3)), busy_with: None };
        assert_eq!(progress.advance(Some(hour(9))), Due::Start(hour(9)));
        assert_eq!(progress.advance(Some(hour(9))), Due::Nothing);
        assert_eq!(progress.advance(Some(hour(10))), Due::PassOver { slot: hour(10), busy_with: hour(9) });
        assert_eq!(progress.advance(Some(hour(10))), Due::Nothing);
        progress.busy_with = None;
        assert_eq!(progress.advance(Some(hour(10))), Due::Nothing);
        assert_eq!(progress.advance(Some(hour(11))), Due::Start(hour(11)));
    }

    #[test]
    fn nothing_starts_before_it_is_known_what_ran() {
        let mut unknown = Progress::default();
        assert_eq!(unknown.advance(Some(at("2026-11-01T00:00:00Z"))), Due::Nothing);
    }
}
