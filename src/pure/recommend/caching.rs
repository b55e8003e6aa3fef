//! `CACHING`: keep results that are asked for again.
//!
//! The recorded stream of cache keys of a step is answered by a simulated cache: least recently used goes first, a result
//! is valid for the configured time from its end, and not before it. The records do not hold the size of a result; the size
//! of its input stands for it. Steps that hit often already are left alone.

use super::proposal::{Draft, MIN_SHARE, Money, Proposal, Terms, set};
use super::{Caching, Case};
use crate::detect::bottlenecks::history::Executions;
use crate::detect::bottlenecks::percent;
use crate::graph::{Change, Ensemble, Scratch};
use crate::series::Metric;
use statrs::distribution::{ContinuousCDF, Normal};
use std::collections::{BTreeMap, HashMap};

/// A cache that would answer fewer of the executions that ran is not worth its upkeep.
const MIN_HIT_RATE: f64 = 0.10;

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
    let ttl_s = ttl_s(config, executions);
    let since_us = ensemble.span_us().0;
    let simulated = simulate(executions, ttl_s, config.max_cache_bytes, since_us);
    let recorded_rate = simulated.n_recorded_hits as f64 / simulated.n_keyed.max(1) as f64;
    let hit_rate = simulated.n_saved as f64 / simulated.n_ran.max(1) as f64;
    if simulated.n_keyed < config.min_samples.max(1)
        || recorded_rate >= config.hit_rate_threshold
        || hit_rate < MIN_HIT_RATE
    {
        return None;
    }
    let changes = vec![Change::Speedup { step: step.into(), factor: 1.0 - simulated.share_of_time }];
    let saving = ensemble.saving(&changes, scratch).ok()?;
    let money = money(&simulated, case.history.cost_since(since_us), ensemble);
    if saving.share < MIN_SHARE && money.is_none_or(|money| money.share < MIN_SHARE) {
        return None;
    }
    let found = case.bottlenecks.iter().find(|b| b.kind == "cache_miss" && b.step.as_deref() == Some(step));
    let mut evidence: Vec<String> = found.iter().map(|found| format!("bottlenecks:{}", found.bottleneck_id)).collect();
    evidence.push(case.history.evidence(Some(step), Metric::CacheHitRate));
    let path = |key| ["steps", step, "cache", key];
    Some(Draft {
        terms: TERMS,
        target: step.to_owned(),
        title: format!(
            "Keep the results of {step} for {ttl_s:.0} s: {} of the {} executions with a cache key that ran would be answered",
            percent(hit_rate),
            simulated.n_ran,
        ),
        saving,
        money,
        changes,
        actions: vec![
            set(&path("enabled"), serde_json::Value::Null, true),
            set(&path("ttl_s"), serde_json::Value::Null, ttl_s),
        ],
        evidence,
    })
}

/// Saved per replayed run; the interval is that of a sum of as many amounts as executions were saved (compound Poisson).
/// None where nothing is known to cost anything.
fn money(simulated: &Simulated, total_usd: f64, ensemble: &Ensemble) -> Option<Money> {
    let usd = simulated.saved_usd / ensemble.n_runs() as f64;
    if !(simulated.saved_usd > 0.0 && total_usd > 0.0) {
        return None;
    }
    let z = Normal::standard().inverse_cdf(0.5 + ensemble.level().get() / 2.0);
    let spread = z * simulated.saved_usd_squared.sqrt() / ensemble.n_runs() as f64;
    Some(Money { usd, lower: (usd - spread).max(0.0), upper: usd + spread, share: simulated.saved_usd / total_usd })
}

fn ttl_s(config: &Caching, executions: &Executions<'_>) -> f64 {
    let code = executions.rows.last().and_then(|row| executions.samples.step_type.get(*row as usize));
    let step_type = code.and_then(|code| executions.samples.vocabulary.word(*code));
    step_type.and_then(|name| config.ttl_s_by_step_type.get(name)).copied().unwrap_or(config.default_ttl_s)
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
    /// The time of these, as a share of the time of all executions of the step, since the given start.
    pub(super) share_of_time: f64,
    /// What these cost since then.
    pub(super) saved_usd: f64,
    /// Sum of the squares of what each of them cost.
    pub(super) saved_usd_squared: f64,
}

pub(super) fn simulate(executions: &Executions<'_>, ttl_s: f64, max_bytes: f64, since_us: i64) -> Simulated {
    let ttl_us = (ttl_s.max(0.0) * 1e6).min(i64::MAX as f64) as i64;
    let mut cache = Lru { ttl_us, max_bytes, ..Lru::default() };
    let mut seen = Simulated::default();
    let (mut saved_ms, mut total_ms) = (0.0, 0.0);
    for &row in &executions.rows {
        let ran = !executions.cached(row);
        let counts = ran && executions.started_us(row) >= since_us;
        let amount = |amount: f64| if counts && amount.is_finite() { amount.max(0.0) } else { 0.0 };
        let ms = amount(executions.duration_ms(row));
        total_ms += ms;
        let Some(key) = executions.samples.cache_key.get(row as usize).copied().filter(|key| *key != 0) else {
            continue;
        };
        let hit = cache.ask(key, executions.started_us(row));
        if !hit {
            cache.keep(key, executions.ended_us(row), executions.get(&executions.samples.input_bytes, row));
        }
        seen.n_keyed += 1;
        seen.n_recorded_hits += usize::from(!ran);
        seen.n_ran += usize::from(ran);
        seen.n_saved += usize::from(ran && hit);
        if hit {
            let usd = amount(executions.get(&executions.samples.cost_usd, row));
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
    entries: HashMap<u64, Entry>,
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
    /// Whether the result is there and valid at `now_us`.
    fn ask(&mut self, key: u64, now_us: i64) -> bool {
        let Some(entry) = self.entries.get(&key).copied() else { return false };
        let valid = entry.kept_us <= now_us && now_us.saturating_sub(entry.kept_us) <= self.ttl_us;
        if valid {
            self.forget(key);
            self.insert(key, entry);
        }
        valid
    }

    fn keep(&mut self, key: u64, kept_us: i64, bytes: f64) {
        let bytes = if bytes.is_finite() { bytes.max(0.0) } else { 0.0 };
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
