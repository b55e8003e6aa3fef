//! `paceline schedule`: the cron daemon for one or several configurations.

use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::jobs::schedule::{DEFAULT_GRACE, ScheduleParams, ScheduledJob, serve};
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Runs jobs when their schedule says so, until SIGTERM or Ctrl-C.
#[derive(Debug, Clone, clap::Args)]
pub struct ScheduleArgs {
    /// Configuration of a job; give it once for each job.
    #[arg(long, value_name = "FILE", default_value = "paceline.yaml")]
    pub config: Vec<PathBuf>,
    /// Seconds for which a run may go on after a stop was asked for.
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_GRACE.as_secs())]
    pub grace: u64,
}

/// Runs `run` at the slots of every configuration; `last_as_of` tells the as-of of a job's last committed run.
///
/// # Errors
/// [`Error::Usage`] when a configuration is wrong, or two jobs could not be told apart.
pub async fn schedule<R, L>(args: &ScheduleArgs, run: R, last_as_of: L) -> Result<u8>
where
    R: Fn(Arc<Config>, DateTime<Utc>) -> BoxFuture<'static, Result<u8>> + Clone + Send + Sync + 'static,
    L: Fn(Arc<Config>) -> BoxFuture<'static, Result<Option<DateTime<Utc>>>> + Clone + Send + Sync + 'static,
{
    let configs = load_all(&args.config)?;
    let jobs = configs.into_iter().map(|config| job(config, run.clone(), last_as_of.clone())).collect();
    let params = ScheduleParams { grace: Duration::from_secs(args.grace), ..ScheduleParams::default() };
    serve(jobs, &params, stop_signal()?).await?;
    Ok(0)
}

fn load_all(paths: &[PathBuf]) -> Result<Vec<Arc<Config>>> {
    let mut configs: Vec<Arc<Config>> = Vec::with_capacity(paths.len());
    for path in paths {
        let config = config::load(path)?;
        if configs.iter().any(|before| before.job == config.job && before.results == config.results) {
            return Err(Error::Usage(format!(
                "{}: job: found {:?} a second time for {}, expected a name of its own for each job that shares \
                 results; rename one of them",
                path.display(),
                config.job,
                config.results
            )));
        }
        configs.push(Arc::new(config));
    }
    Ok(configs)
}

fn job<R, L>(config: Arc<Config>, run: R, last_as_of: L) -> ScheduledJob
where
    R: Fn(Arc<Config>, DateTime<Utc>) -> BoxFuture<'static, Result<u8>> + Send + Sync + 'static,
    L: Fn(Arc<Config>) -> BoxFuture<'static, Result<Option<DateTime<Utc>>>> + Send + Sync + 'static,
{
    let (name, cron, timezone) = (config.job.clone(), config.schedule.clone(), config.timezone);
    let to_run = Arc::clone(&config);
    ScheduledJob {
        name,
        cron,
        timezone,
        run: Arc::new(move |slot| run(Arc::clone(&to_run), slot)),
        last_as_of: Arc::new(move || last_as_of(Arc::clone(&config))),
    }
}

/// Ready when the process is asked to stop. Listening starts at once, so that no early signal is lost.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|error| Error::Internal(format!("listening for signals: {error}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
