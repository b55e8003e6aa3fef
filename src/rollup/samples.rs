//! Executions of steps for learning, thinned where a day holds more than is needed.

use super::executions::{Day, Executions, Status};
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
/// Within a step those with the smallest hash of their cache key (of their run where there is none) stay, so that a
/// thinned stream of keys keeps every repetition of the keys that it keeps (spatial sampling, Waldspurger et al.,
/// FAST 2015) and hit rates stay unbiased.
#[must_use]
pub(super) fn step_samples(day: &Day, budget: usize) -> Samples {
    let rows = &day.steps;
    let mut groups: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
    for i in (0..rows.len()).filter(|&i| is_sample(rows, i)) {
        groups.entry((rows.workflow_id[i], rows.step[i])).or_default().push(i);
    }
    let cap = fair_cap(groups.values().map(Vec::len).collect(), budget);
    let mut chosen: Vec<usize> = Vec::new();
    for (_, mut members) in groups {
        if members.len() > cap {
            members.sort_by_cached_key(|&i| (priority(day, i), rows.bucket_us[i], i));
            members.truncate(cap);
        }
        chosen.extend(members);
    }
    gather(day, chosen, kills(rows)).0
}

/// Every execution of the day that ended in `(after_us, until_us]` and can be scored, with its origin.
#[must_use]
pub fn step_samples_ended(day: &Day, after_us: i64, until_us: i64) -> (Samples, Origins) {
    let rows = &day.steps;
    let chosen = (0..rows.len())
        .filter(|&i| {
            is_sample(rows, i) && !rows.cache_hit[i] && rows.ended_us[i] > after_us && rows.ended_us[i] <= until_us
        })
        .collect();
    let (samples, order) = gather(day, chosen, Vec::new());
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

fn priority(day: &Day, i: usize) -> u64 {
    match day.steps.cache_key[i] {
        0 => super::executions::stable_hash(day.vocabulary.word(day.steps.run[i]).unwrap_or_default()),
        key => key,
    }
}

fn gather(day: &Day, mut chosen: Vec<usize>, mut killed: Vec<usize>) -> (Samples, Vec<usize>) {
    let rows = &day.steps;
    let word = |code: u32| day.vocabulary.word(code);
    for rows_of in [&mut chosen, &mut killed] {
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
    let mut codes = |column: &[u32]| -> Vec<u32> { chosen.iter().map(|&i| recode(column[i])).collect() };
    let floats = |column: &[f64]| -> Vec<f64> { chosen.iter().map(|&i| column[i]).collect() };
    let samples = Samples {
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
        tokens_in: floats(&rows.tokens_in),
        duration_ms: floats(&rows.duration_ms),
        memory_mb: floats(&rows.memory_mb),
        cpu_pct: floats(&rows.cpu_pct),
        tokens: floats(&rows.tokens),
        cost_usd: floats(&rows.cost_usd),
        network_bytes: floats(&rows.network_bytes),
        api_calls: floats(&rows.api_calls),
        memory_request_mb: floats(&rows.memory_request_mb),
        cpu_request: floats(&rows.cpu_request),
        cache_key: chosen.iter().map(|&i| rows.cache_key[i]).collect(),
        cache_hit: chosen.iter().map(|&i| rows.cache_hit[i]).collect(),
        kills,
        vocabulary: Vocabulary::default(),
    };
    (Samples { vocabulary, ..samples }, chosen)
}

/// Appends `day` to `all`, its codes translated. Days must come in order of time.
pub(super) fn append(all: &mut Samples, day: Samples) {
    let Samples {
        vocabulary,
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
        tokens_in,
        duration_ms,
        memory_mb,
        cpu_pct,
        tokens,
        cost_usd,
        network_bytes,
        api_calls,
        memory_request_mb,
        cpu_request,
        cache_key,
        cache_hit,
        kills,
    } = day;
    let translation: Vec<u32> = vocabulary.words().iter().map(|word| all.vocabulary.intern(word)).collect();
    // An unknown code lies beyond every word and stays unknown.
    let translate = |code: u32| translation.get(code as usize).copied().unwrap_or(code);
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
    all.tokens_in.extend(tokens_in);
    all.duration_ms.extend(duration_ms);
    all.memory_mb.extend(memory_mb);
    all.cpu_pct.extend(cpu_pct);
    all.tokens.extend(tokens);
    all.cost_usd.extend(cost_usd);
    all.network_bytes.extend(network_bytes);
    all.api_calls.extend(api_calls);
    all.memory_request_mb.extend(memory_request_mb);
    all.cpu_request.extend(cpu_request);
    all.cache_key.extend(cache_key);
    all.cache_hit.extend(cache_hit);
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
