//! `CACHING`: keep results that are asked for again.
//!
//! The recorded stream of cache keys of a step is answered by a simulated cache: least recently used goes first, a result
//! is valid for some time from its end, and not before it. How long is searched: from the configured time upwards, the
//! shortest that answers nearly as much as the longest. Where the size of results is not recorded, that of the cache does
//! not bind. Every execution with a key pays for a look-up. Steps whose cache works are left alone. Of a stream that holds
//! a share of the keys the cache has that share of its room (Waldspurger et al., FAST 2015).

use super::money::{Amounts, Money};
use super::proposal::{Draft, Proposal, Terms, set, short};
use super::{Caching, Case};
use crate::detect::bottlenecks::history::Executions;
use crate::detect::bottlenecks::percent;
use crate::graph::{Change, Ensemble, Scratch};
use crate::keys::{ByKey, KeyStream};
use crate::series::Metric;
use crate::stats::dist::wilson;
use std::collections::BTreeMap;

/// Longer times for which results may be kept, beside the configured one: six hours, a day, a week, a month, a quarter.
const LONGER_TTLS_S: [f64; 5] = [21_600.0, 86_400.0, 604_800.0, 2_592_000.0, 7_776_000.0];
/// The shortest time is proposed that answers this share of what the longest does.
const ENOUGH: f64 = 0.9;
/// The share that is answered is more than this, beyond what chance would have.
const MIN_HIT_RATE: f64 = 0.01;
const HIT_RATE_LEVEL: f64 = 0.9;

const TERMS: Terms = Terms {
    kind: "CACHING",
    category: "performance",
    feasibility: 0.8,
    effort: "medium",
    risk: "low",
    probability: 0.7,
};

pub(super) fn propose(case: &Case<'_>, ensemble: &Ensemble, scratch: &mut Scratch) -> Vec<Proposal> {
    if !case.params.caching.enabled {
        return Vec::new();
    }
    let drafts =
        case.history.steps.iter().filter_map(|(step, executions)| draft(case, ensemble, step, executions, scratch));
    drafts.map(|draft| draft.propose(case)).collect()
}

fn draft(
    case: &Case<'_>,
    ensemble: &Ensemble,
    step: &str,
    executions: &Executions<'_>,
    scratch: &mut Scratch,
) -> Option<Draft> {
    let config = &case.params.caching;
    let since_us = ensemble.span_us().0;
    let stream = executions.keys?;
    let ttls_s = ttls_s(config, executions);
    let (ttl_s, simulated) = shortest_enough(config, &ttls_s, stream, since_us)?;
    let (hit_rate, _) = wilson(simulated.n_saved as f64, simulated.n_ran as f64, HIT_RATE_LEVEL);
    let could_answer = (simulated.n_recorded_hits + simulated.n_saved) as f64;
    let works = simulated.n_recorded_hits as f64 >= config.hit_rate_threshold * could_answer;
    if simulated.n_keyed < config.min_samples.max(1) || works || hit_rate <= MIN_HIT_RATE {
        return None;
    }
    let (share, lookup_ms) = (simulated.share_of_time, config.lookup_ms.max(0.0));
    let changes = vec![Change::Cached { step: step.into(), share, lookup_ms }];
    let saving = ensemble.saving(&changes, scratch).ok()?;
    let money = money(case, ensemble, step, &simulated);
    if saving.share <= 0.0 && money.is_none() {
        return None;
    }
    let found = case.bottlenecks.iter().find(|b| b.kind == "cache_miss" && b.step.as_deref() == Some(step));
    let mut evidence: Vec<String> = found.iter().map(|found| format!("bottlenecks:{}", found.bottleneck_id)).collect();
    evidence.push(case.history.evidence(Some(step), Metric::CacheHitRate));
    let path = |key| ["steps", step, "cache", key];
    Some(Draft {
        terms: TERMS,
        target: step.to_owned(),
        title: title(step, ttl_s, &simulated, stream.share()),
        saving,
        money,
        given_back: 0.0,
        changes,
        actions: vec![
            set(&path("enabled"), serde_json::Value::Null, true),
            set(&path("ttl_s"), serde_json::Value::Null, ttl_s),
        ],
        evidence,
    })
}

fn title(step: &str, ttl_s: f64, simulated: &Simulated, share: f64) -> String {
    let answered = percent(simulated.n_saved as f64 / simulated.n_ran.max(1) as f64);
    let size = if simulated.n_of_unknown_size > 0 { " if the cache has room for their results" } else { "" };
    let step = short(step);
    format!(
        "Keep the results of {step} for {}: {answered} of the {}{:.0} executions with a cache key that ran would be \
         answered{size}",
        lasting(ttl_s),
        if share < 1.0 { "about " } else { "" },
        simulated.n_ran as f64 / share,
    )
}

/// Seconds in the largest unit in which they are whole.
fn lasting(seconds: f64) -> String {
    let units = [(86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute")];
    let whole = units.iter().find(|(length, _)| seconds >= *length && seconds % length < f64::EPSILON);
    let (n, unit) = whole.map_or((seconds, "second"), |(length, unit)| (seconds / length, *unit));
    format!("{n} {unit}{}", if (n - 1.0).abs() < f64::EPSILON { "" } else { "s" })
}

/// The shortest of `ttls_s` for which results should be kept, with what a cache would then have done; none where no
/// execution has a key.
fn shortest_enough(config: &Caching, ttls_s: &[f64], stream: &KeyStream, since_us: i64) -> Option<(f64, Simulated)> {
    if stream.n_keyed() == 0 {
        return None;
    }
    let (longest_s, shorter_s) = ttls_s.split_last()?;
    let longest = simulate(stream, *longest_s, config, since_us);
    let mut tried = shorter_s.iter().map(|ttl_s| (*ttl_s, simulate(stream, *ttl_s, config, since_us)));
    let enough = |(_, shorter): &(f64, Simulated)| shorter.n_saved as f64 >= ENOUGH * longest.n_saved as f64;
    tried.find(enough).or(Some((*longest_s, longest)))
}

/// Saved per replayed run: of what the step costs there, the share of the stream's cost that is saved. None where nothing is
/// known to cost anything.
fn money(case: &Case<'_>, ensemble: &Ensemble, step: &str, simulated: &Simulated) -> Option<Money> {
    let since_us = ensemble.span_us().0;
    let (all_usd, step_usd) = (case.history.cost_since(since_us), case.history.steps.get(step)?.cost_since(since_us));
    let a_run_usd = step_usd.mean()? * ensemble.executions_a_run(step);
    let share = simulated.saved_usd / simulated.total_usd;
    if !(simulated.saved_usd > 0.0 && all_usd > 0.0) {
        return None;
    }
    let saved = Amounts { sum: simulated.saved_usd, sum_sq: simulated.saved_usd_squared };
    let of_a_run = share * step_usd.sum / all_usd;
    Some(saved.money(a_run_usd / simulated.total_usd, of_a_run, ensemble.level()))
}

/// The configured time, then longer ones, unless the step's type has a time of its own.
fn ttls_s(config: &Caching, executions: &Executions<'_>) -> Vec<f64> {
    let code = executions.rows.last().and_then(|row| executions.samples.step_type.get(*row as usize));
    let step_type = code.and_then(|code| executions.samples.vocabulary.word(*code));
    match step_type.and_then(|name| config.ttl_s_by_step_type.get(name)) {
        Some(own) => vec![*own],
        None => {
            let longer = LONGER_TTLS_S.into_iter().filter(|ttl_s| *ttl_s > config.default_ttl_s);
            std::iter::once(config.default_ttl_s).chain(longer).collect()
        }
    }
}

/// What a cache would have done.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Simulated {
    pub(super) n_keyed: usize,
    /// Answered from a cache as recorded.
    pub(super) n_recorded_hits: usize,
    /// Keyed executions that really ran.
    pub(super) n_ran: usize,
    /// Of those, how many the simulated cache would have answered.
    pub(super) n_saved: usize,
    /// Results that were kept without their size being known.
    pub(super) n_of_unknown_size: usize,
    /// The time of these as a share of the time of all executions of the step, since the given start.
    pub(super) share_of_time: f64,
    /// What all executions of the step cost since then, as far as the stream holds them.
    pub(super) total_usd: f64,
    /// What those saved cost.
    pub(super) saved_usd: f64,
    /// Sum of the squares of what each of them cost.
    pub(super) saved_usd_squared: f64,
}

pub(super) fn simulate(stream: &KeyStream, ttl_s: f64, config: &Caching, since_us: i64) -> Simulated {
    let ttl_us = (ttl_s.max(0.0) * 1e6).min(i64::MAX as f64) as i64;
    let mut cache = Lru::of(stream, ttl_us, config.max_cache_bytes * stream.share());
    let mut seen = Simulated::default();
    let (mut saved_ms, mut total_ms) = (0.0, 0.0);
    for one in stream.asked() {
        let (ms, usd) = one.spent(since_us);
        // What has no key stands for itself, and keys for those that were left out.
        let weight = if one.key == 0 { stream.share() } else { 1.0 };
        total_ms += weight * ms;
        seen.total_usd += weight * usd;
        if one.key == 0 {
            continue;
        }
        let hit = cache.ask(one.key, one.started_us);
        if !hit {
            seen.n_of_unknown_size += usize::from(!one.output_bytes.is_finite());
            cache.keep(one.key, one.ended_us, one.output_bytes);
        }
        seen.n_keyed += 1;
        seen.n_recorded_hits += usize::from(one.is_cached);
        seen.n_ran += usize::from(!one.is_cached);
        seen.n_saved += usize::from(!one.is_cached && hit);
        if hit {
            saved_ms += ms;
            seen.saved_usd += usd;
            seen.saved_usd_squared += usd * usd;
        }
    }
    seen.share_of_time = if total_ms > 0.0 { saved_ms / total_ms } else { 0.0 };
    seen
}

/// Least recently used goes first.
#[derive(Default)]
struct Lru {
    ttl_us: i64,
    max_bytes: f64,
    /// Without it nothing has to go, and no order is kept.
    is_full_some_day: bool,
    entries: ByKey<Entry>,
    by_use: BTreeMap<u64, u64>,
    clock: u64,
    bytes: f64,
}

#[derive(Clone, Copy)]
struct Entry {
    used: u64,
    kept_us: i64,
    bytes: f64,
}

impl Lru {
    fn of(stream: &KeyStream, ttl_us: i64, max_bytes: f64) -> Self {
        let all_bytes: f64 = stream.asked().iter().map(|one| one.output_bytes).filter(|bytes| *bytes > 0.0).sum();
        Self { ttl_us, max_bytes, is_full_some_day: all_bytes > max_bytes, ..Self::default() }
    }

    /// Whether the result is there and valid at `now_us`.
    fn ask(&mut self, key: u64, now_us: i64) -> bool {
        let Some(entry) = self.entries.get(&key).copied() else { return false };
        let valid = entry.kept_us <= now_us && now_us.saturating_sub(entry.kept_us) <= self.ttl_us;
        if valid && self.is_full_some_day {
            self.forget(key);
            self.insert(key, entry);
        }
        valid
    }

    fn keep(&mut self, key: u64, kept_us: i64, bytes: f64) {
        let bytes = if bytes.is_finite() { bytes.max(0.0) } else { 0.0 };
        if !self.is_full_some_day {
            self.entries.insert(key, Entry { used: 0, kept_us, bytes });
            return;
        }
        self.forget(key);
        if bytes > self.max_bytes {
            return;
        }
        self.insert(key, Entry { used: 0, kept_us, bytes });
        while self.bytes > self.max_bytes
            && let Some((_, &oldest)) = self.by_use.first_key_value()
        {
            self.forget(oldest);
        }
    }

    fn insert(&mut self, key: u64, entry: Entry) {
        self.clock += 1;
        self.entries.insert(key, Entry { used: self.clock, ..entry });
        self.by_use.insert(self.clock, key);
        self.bytes += entry.bytes;
    }

    fn forget(&mut self, key: u64) {
        if let Some(entry) = self.entries.remove(&key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}
