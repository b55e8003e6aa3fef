//! Executions of steps for learning, thinned where a day holds more than is needed.

use super::executions::{Day, Executions, NO_INSTANT, Status, known_sum, stable_hash};
use super::outcomes::day_outcomes;
use super::upstream::upstream_of;
use crate::pure::graph::Upstream;
use crate::pure::keys::{Asked, KeyStream};
use crate::pure::outcomes::DayOutcomes;
use crate::pure::samples::{Kill, NEAR_LIMIT, Samples, Vocabulary};
use std::collections::{BTreeMap, HashMap};

/// Which executions are learned from: those that succeeded, cached ones among them (they count for caching only).
fn is_sample(rows: &Executions, i: usize) -> bool {
    rows.status[i] == Status::Succeeded && rows.duration_ms[i].is_finite()
}

/// Kills of one step and day that are kept: those at the highest requests.
const MAX_KILLS: usize = 8;

/// Failed executions whose memory came near to what they asked for. Failures that left no peak can't be told from others.
fn kills(rows: &Executions) -> Vec<usize> {
    let is_kill = |&i: &usize| {
        let request = rows.memory_request_mb[i];
        rows.status[i] == Status::Failed && request > 0.0 && rows.memory_mb[i] >= NEAR_LIMIT * request
    };
    let mut groups: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
    for i in (0..rows.len()).filter(is_kill) {
        groups.entry((rows.workflow_id[i], rows.step[i])).or_default().push(i);
    }
    let highest = |mut members: Vec<usize>| {
        members.sort_by(|&a, &b| rows.memory_request_mb[b].total_cmp(&rows.memory_request_mb[a]).then(a.cmp(&b)));
        members.truncate(MAX_KILLS);
        members
    };
    groups.into_values().flat_map(highest).collect()
}

/// Where each sampled execution came from, for results that name single executions.
#[derive(Debug, Default)]
pub struct Origins {
    /// The run.
    pub run_id: Vec<String>,
    /// The step as recorded.
    pub step_id: Vec<String>,
}

/// At most `budget` executions of the day, fairly: rare steps keep all, frequent ones share the rest evenly.
///
/// Within a step those with the smallest hash of their run stay, so that runs stay together. Of executions that did not
/// succeed no larger a share is kept. Streams of cache keys are kept beside them.
#[must_use]
pub(super) fn step_samples(day: &Day, budget: usize) -> Samples {
    let rows = &day.steps;
    let groups = by_step(rows, |i| is_sample(rows, i));
    let cap = fair_cap(groups.values().map(Vec::len).collect(), budget);
    let thinned = |groups: BTreeMap<(u32, u32), Vec<usize>>| -> Vec<usize> {
        let mut chosen: Vec<usize> = Vec::new();
        for (_, mut members) in groups {
            if members.len() > cap {
                members.sort_by_cached_key(|&i| (run_hash(day, i), rows.bucket_us[i], i));
                members.truncate(cap);
            }
            chosen.extend(members);
        }
        chosen
    };
    let streams = key_streams(rows, &groups);
    let unfinished = thinned(by_step(rows, |i| lasted(day, i).is_some()));
    let mut samples = gather(day, &upstream_of(day), thinned(groups), unfinished, kills(rows)).0;
    let mut recode = |code: u32| samples.vocabulary.intern_opt(day.vocabulary.word(code));
    samples.keys =
        streams.into_iter().map(|((workflow, step), keys)| ((recode(workflow), recode(step)), keys)).collect();
    samples.outcomes = day_outcomes(day, recode);
    samples
}

/// Executions with a cache key that a day keeps, shared fairly between its steps.
const MAX_KEYED: usize = 32_768;

/// The executions of each step that has cache keys; those without one are one row.
fn key_streams(rows: &Executions, groups: &BTreeMap<(u32, u32), Vec<usize>>) -> BTreeMap<(u32, u32), KeyStream> {
    let asked = |&i: &usize| Asked {
        key: rows.cache_key[i],
        started_us: rows.bucket_us[i],
        ended_us: rows.ended_us[i],
        duration_ms: rows.duration_ms[i],
        output_bytes: rows.output_bytes[i],
        cost_usd: rows.cost_usd[i],
        is_cached: rows.cache_hit[i],
    };
    let together = |all: Asked, one: Asked| Asked {
        duration_ms: known_sum(all.duration_ms, one.duration_ms),
        cost_usd: known_sum(all.cost_usd, one.cost_usd),
        ..all
    };
    let mut streams = BTreeMap::new();
    for (place, members) in groups {
        let (keyed, others): (Vec<Asked>, Vec<Asked>) = members.iter().map(asked).partition(|one| one.key != 0);
        if !keyed.is_empty() {
            let others = others.into_iter().filter(|one| !one.is_cached).reduce(together);
            streams.insert(*place, KeyStream::of(keyed.into_iter().chain(others).collect()));
        }
    }
    let cap = fair_cap(streams.values().map(KeyStream::n_keyed).collect(), MAX_KEYED);
    streams.values_mut().for_each(|stream| stream.thin(cap));
    streams
}

fn by_step(rows: &Executions, is_chosen: impl Fn(usize) -> bool) -> BTreeMap<(u32, u32), Vec<usize>> {
    let mut groups: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
    for i in (0..rows.len()).filter(|&i| is_chosen(i)) {
        groups.entry((rows.workflow_id[i], rows.step[i])).or_default().push(i);
    }
    groups
}

/// How long an execution that did not succeed had lasted when it ended or was last seen, and when that was; none for one
/// that succeeded, or of which nothing of the kind is known.
#[expect(clippy::cast_precision_loss, reason = "spans in microseconds stay far below 2^53")]
fn lasted(day: &Day, i: usize) -> Option<(f64, i64)> {
    let rows = &day.steps;
    let lasted = match rows.status[i] {
        Status::Succeeded => return None,
        Status::Running if rows.own_start_us[i] == NO_INSTANT => return None,
        Status::Running => ((day.as_of_us - rows.own_start_us[i]) as f64 / 1e3, day.as_of_us),
        Status::Failed | Status::Cancelled => (rows.duration_ms[i], rows.ended_us[i]),
    };
    Some(lasted).filter(|(ms, _)| ms.is_finite() && *ms > 0.0 && !rows.cache_hit[i])
}

/// Every execution of the day that ended in `(after_us, until_us]` and can be scored, with its origin. What lies upstream of
/// it is left unknown.
#[must_use]
pub fn step_samples_ended(day: &Day, after_us: i64, until_us: i64) -> (Samples, Origins) {
    let rows = &day.steps;
    let chosen = (0..rows.len())
        .filter(|&i| {
            is_sample(rows, i) && !rows.cache_hit[i] && rows.ended_us[i] > after_us && rows.ended_us[i] <= until_us
        })
        .collect();
    let upstream = Upstream::unknown(rows.len());
    let (samples, order) = gather(day, &upstream, chosen, Vec::new(), Vec::new());
    let word = |code: u32| day.vocabulary.word(code).unwrap_or_default().to_owned();
    let origins = Origins {
        run_id: order.iter().map(|&i| word(rows.run[i])).collect(),
        step_id: order.iter().map(|&i| word(rows.step_id[i])).collect(),
    };
    (samples, origins)
}

/// The largest cap for which the capped group sizes still fit the budget.
fn fair_cap(mut sizes: Vec<usize>, budget: usize) -> usize {
    sizes.sort_unstable();
    let mut left = budget;
    for (i, &size) in sizes.iter().enumerate() {
        let share = left / (sizes.len() - i);
        if size > share {
            return share.max(1);
        }
        left -= size;
    }
    usize::MAX
}

fn run_hash(day: &Day, i: usize) -> u64 {
    stable_hash(day.vocabulary.word(day.steps.run[i]).unwrap_or_default())
}

/// The executions `chosen`, with those that are unfinished and the kills beside them, and in which order they now are.
fn gather(
    day: &Day,
    upstream: &Upstream,
    mut chosen: Vec<usize>,
    mut unfinished: Vec<usize>,
    mut killed: Vec<usize>,
) -> (Samples, Vec<usize>) {
    let rows = &day.steps;
    let word = |code: u32| day.vocabulary.word(code);
    for rows_of in [&mut chosen, &mut unfinished, &mut killed] {
        rows_of.sort_by_cached_key(|&i| (rows.bucket_us[i], word(rows.run[i]), word(rows.step_id[i]), rows.attempt[i]));
    }
    let mut vocabulary = Vocabulary::default();
    let mut recoded: HashMap<u32, u32> = HashMap::new();
    let mut recode = |code: u32| -> u32 { *recoded.entry(code).or_insert_with(|| vocabulary.intern_opt(word(code))) };
    let kills = killed
        .iter()
        .map(|&i| Kill {
            workflow_id: recode(rows.workflow_id[i]),
            workflow_type: recode(rows.workflow_type[i]),
            step: recode(rows.step[i]),
            attempt: rows.attempt[i],
            started_us: rows.bucket_us[i],
            duration_ms: rows.duration_ms[i],
            memory_request_mb: rows.memory_request_mb[i],
        })
        .collect();
    let samples = columns(rows, upstream, &chosen, &mut recode);
    let beside = (!unfinished.is_empty()).then(|| {
        let (duration_ms, ended_us) = unfinished.iter().filter_map(|&i| lasted(day, i)).unzip();
        let is_running = unfinished.iter().map(|&i| rows.status[i] == Status::Running).collect();
        Box::new(Samples { duration_ms, ended_us, is_running, ..columns(rows, upstream, &unfinished, &mut recode) })
    });
    (Samples { vocabulary, kills, unfinished: beside, ..samples }, chosen)
}

fn columns(rows: &Executions, upstream: &Upstream, chosen: &[usize], mut recode: impl FnMut(u32) -> u32) -> Samples {
    let mut codes = |column: &[u32]| -> Vec<u32> { chosen.iter().map(|&i| recode(column[i])).collect() };
    let floats = |column: &[f64]| -> Vec<f64> { chosen.iter().map(|&i| column[i]).collect() };
    Samples {
        workflow_id: codes(&rows.workflow_id),
        workflow_type: codes(&rows.workflow_type),
        step: codes(&rows.step),
        step_type: codes(&rows.step_type),
        provider: codes(&rows.provider),
        platform: codes(&rows.platform),
        attempt: chosen.iter().map(|&i| rows.attempt[i]).collect(),
        started_us: chosen.iter().map(|&i| rows.bucket_us[i]).collect(),
        ended_us: chosen.iter().map(|&i| rows.ended_us[i]).collect(),
        input_bytes: floats(&rows.input_bytes),
        output_bytes: floats(&rows.output_bytes),
        tokens_in: floats(&rows.tokens_in),
        upstream_bytes: floats(&upstream.bytes),
        step_count: floats(&upstream.steps),
        duration_ms: floats(&rows.duration_ms),
        memory_mb: floats(&rows.memory_mb),
        cpu_pct: floats(&rows.cpu_pct),
        tokens: floats(&rows.tokens),
        cost_usd: floats(&rows.cost_usd),
        network_bytes: floats(&rows.network_bytes),
        api_calls: floats(&rows.api_calls),
        memory_request_mb: floats(&rows.memory_request_mb),
        cpu_request: floats(&rows.cpu_request),
        cache_hit: chosen.iter().map(|&i| rows.cache_hit[i]).collect(),
        ..Samples::default()
    }
}

/// Appends `day` to `all`, its codes translated. Days must come in order of time.
pub(super) fn append(all: &mut Samples, day: Samples) {
    let translation: Vec<u32> = day.vocabulary.words().iter().map(|word| all.vocabulary.intern(word)).collect();
    // An unknown code lies beyond every word and stays unknown.
    append_columns(all, day, &|code: u32| translation.get(code as usize).copied().unwrap_or(code));
}

fn append_columns(all: &mut Samples, day: Samples, translate: &impl Fn(u32) -> u32) {
    let Samples {
        vocabulary: _,
        workflow_id,
        workflow_type,
        step,
        step_type,
        provider,
        platform,
        attempt,
        started_us,
        ended_us,
        input_bytes,
        output_bytes,
        tokens_in,
        upstream_bytes,
        step_count,
        duration_ms,
        memory_mb,
        cpu_pct,
        tokens,
        cost_usd,
        network_bytes,
        api_calls,
        memory_request_mb,
        cpu_request,
        cache_hit,
        is_running,
        keys,
        kills,
        outcomes,
        unfinished,
    } = day;
    if let Some(rows) = unfinished {
        append_columns(all.unfinished.get_or_insert_default(), *rows, translate);
    }
    let recode = |codes: Vec<u32>, into: &mut Vec<u32>| into.extend(codes.into_iter().map(translate));
    all.kills.extend(kills.into_iter().map(|kill| Kill {
        workflow_id: translate(kill.workflow_id),
        workflow_type: translate(kill.workflow_type),
        step: translate(kill.step),
        ..kill
    }));
    recode(workflow_id, &mut all.workflow_id);
    recode(workflow_type, &mut all.workflow_type);
    recode(step, &mut all.step);
    recode(step_type, &mut all.step_type);
    recode(provider, &mut all.provider);
    recode(platform, &mut all.platform);
    all.attempt.extend(attempt);
    all.started_us.extend(started_us);
    all.ended_us.extend(ended_us);
    all.input_bytes.extend(input_bytes);
    all.output_bytes.extend(output_bytes);
    all.tokens_in.extend(tokens_in);
    all.upstream_bytes.extend(upstream_bytes);
    all.step_count.extend(step_count);
    all.duration_ms.extend(duration_ms);
    all.memory_mb.extend(memory_mb);
    all.cpu_pct.extend(cpu_pct);
    all.tokens.extend(tokens);
    all.cost_usd.extend(cost_usd);
    all.network_bytes.extend(network_bytes);
    all.api_calls.extend(api_calls);
    all.memory_request_mb.extend(memory_request_mb);
    all.cpu_request.extend(cpu_request);
    all.cache_hit.extend(cache_hit);
    all.is_running.extend(is_running);
    all.outcomes.extend(outcomes.into_iter().map(|day| DayOutcomes {
        workflow_id: translate(day.workflow_id),
        failed: day.failed.into_iter().map(|(step, outlay)| (translate(step), outlay)).collect(),
        ..day
    }));
    for ((workflow, step), later) in keys {
        all.keys.entry((translate(workflow), translate(step))).or_default().extend(later);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_at_the_limit_is_a_kill_and_no_other_is() {
        let cases = [
            (Status::Failed, 990.0, 1000.0),
            (Status::Failed, 400.0, 1000.0),
            (Status::Failed, f64::NAN, 1000.0),
            (Status::Failed, 990.0, f64::NAN),
            (Status::Succeeded, 999.0, 1000.0),
            (Status::Failed, 2100.0, 2000.0),
        ];
        let n = cases.len();
        let rows = Executions {
            run: vec![0; n],
            step: vec![1; n],
            workflow_id: vec![2; n],
            status: cases.iter().map(|case| case.0).collect(),
            memory_mb: cases.iter().map(|case| case.1).collect(),
            memory_request_mb: cases.iter().map(|case| case.2).collect(),
            ..Executions::default()
        };
        assert_eq!(kills(&rows), [5, 0]);
        let many = Executions {
            run: vec![0; 20],
            step: vec![1; 20],
            workflow_id: vec![2; 20],
            status: vec![Status::Failed; 20],
            memory_mb: (0..20).map(f64::from).collect(),
            memory_request_mb: (0..20).map(f64::from).collect(),
            ..Executions::default()
        };
        assert_eq!(kills(&many), [19, 18, 17, 16, 15, 14, 13, 12], "the highest requests");
    }

    #[test]
    fn what_did_not_succeed_is_kept_with_how_long_it_lasted() {
        let minute_us = 60_000_000;
        let cases = [
            (Status::Succeeded, 5.0, 0),
            (Status::Failed, 7.0, 0),
            (Status::Failed, f64::NAN, 0),
            (Status::Cancelled, 8.0, 0),
            (Status::Running, f64::NAN, -minute_us),
            (Status::Running, f64::NAN, NO_INSTANT),
        ];
        let n = cases.len();
        let mut day = Day { as_of_us: 0, ..Day::default() };
        let (run, step) = (day.vocabulary.intern("r"), day.vocabulary.intern("s"));
        let float = || vec![f64::NAN; n];
        day.steps = Executions {
            run: vec![run; n],
            step: vec![step; n],
            step_id: vec![step; n],
            workflow_id: vec![step; n],
            workflow_type: vec![step; n],
            step_type: vec![step; n],
            provider: vec![step; n],
            platform: vec![step; n],
            attempt: vec![1; n],
            status: cases.iter().map(|case| case.0).collect(),
            duration_ms: cases.iter().map(|case| case.1).collect(),
            own_start_us: cases.iter().map(|case| case.2).collect(),
            bucket_us: vec![-minute_us; n],
            ended_us: vec![-1; n],
            cpu_pct: float(),
            memory_mb: float(),
            memory_request_mb: float(),
            cpu_request: float(),
            api_calls: float(),
            network_bytes: float(),
            input_bytes: float(),
            output_bytes: float(),
            tokens_in: float(),
            tokens: float(),
            cost_usd: float(),
            queue_ms: float(),
            cache_key: vec![0; n],
            cache_hit: vec![false; n],
        };
        day.depends_on = polars::prelude::ListChunked::full_null_with_dtype(
            "depends_on".into(),
            n,
            &polars::prelude::DataType::String,
        );
        let kept = step_samples(&day, 100);
        let mut all = Samples::default();
        all.vocabulary.intern("another");
        append(&mut all, kept);
        let unfinished = all.unfinished.unwrap_or_default();
        assert_eq!(
            (all.duration_ms.as_slice(), unfinished.duration_ms.as_slice()),
            (&[5.0][..], &[7.0, 8.0, 60_000.0][..])
        );
        assert_eq!(unfinished.is_running, [false, false, true]);
        assert_eq!(unfinished.ended_us, [-1, -1, 0], "a running one was last seen at the cutoff");
        assert_eq!(all.vocabulary.word(unfinished.step[0]), Some("s"), "its words are those of the whole");
        assert!(unfinished.vocabulary.words().is_empty());
    }

    #[test]
    fn kills_of_a_later_day_keep_their_names() {
        let of_day = |word: &str| {
            let mut samples = Samples::default();
            let code = samples.vocabulary.intern(word);
            samples.kills.push(Kill {
                workflow_id: code,
                workflow_type: code,
                step: code,
                attempt: 1,
                started_us: 0,
                duration_ms: 1.0,
                memory_request_mb: 8.0,
            });
            samples
        };
        let mut all = of_day("align");
        append(&mut all, of_day("sort"));
        let names: Vec<_> = all.kills.iter().map(|kill| all.vocabulary.word(kill.step)).collect();
        assert_eq!(names, [Some("align"), Some("sort")]);
    }

    #[test]
    fn rare_steps_keep_all_and_frequent_ones_share() {
        assert_eq!(fair_cap(vec![1, 2, 3], 100), usize::MAX);
        assert_eq!(fair_cap(vec![2, 50, 50], 42), 20);
        assert_eq!(fair_cap(vec![50; 100], 10), 1, "every step keeps at least one");
        assert_eq!(fair_cap(vec![], 10), usize::MAX);
    }
}
