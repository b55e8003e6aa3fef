//! Small histories for tests.

use crate::samples::{Samples, UNKNOWN};
use crate::units::HOUR_US;

/// An empty history to push to.
pub(crate) fn empty() -> Samples {
    Samples::default()
}

/// One execution of a step, an hour after the one before and a minute long; outcomes other than its duration unknown.
pub(crate) fn push(samples: &mut Samples, workflow_type: &str, step: &str, input_bytes: f64, duration_ms: f64) {
    let hours = i64::try_from(samples.len()).unwrap_or_default();
    let start = 1_767_571_200_000_000 + hours * HOUR_US;
    for (column, word) in [
        (&mut samples.workflow_id, workflow_type),
        (&mut samples.workflow_type, workflow_type),
        (&mut samples.step, step),
        (&mut samples.step_type, step),
        (&mut samples.provider, "aws"),
    ] {
        column.push(samples.vocabulary.intern(word));
    }
    samples.platform.push(UNKNOWN);
    samples.attempt.push(1);
    samples.started_us.push(start);
    samples.ended_us.push(start + HOUR_US / 60);
    samples.input_bytes.push(input_bytes);
    samples.duration_ms.push(duration_ms);
    for column in [
        &mut samples.tokens_in,
        &mut samples.output_bytes,
        &mut samples.upstream_bytes,
        &mut samples.step_count,
        &mut samples.memory_mb,
        &mut samples.cpu_pct,
        &mut samples.tokens,
        &mut samples.cost_usd,
        &mut samples.network_bytes,
        &mut samples.api_calls,
        &mut samples.memory_request_mb,
        &mut samples.cpu_request,
    ] {
        column.push(f64::NAN);
    }
    samples.cache_hit.push(false);
}

/// One step, executed once for each size, whose duration is `outcome(i, size)`.
pub(crate) fn samples_of_sizes(sizes: &[f64], outcome: impl Fn(usize, f64) -> f64) -> Samples {
    let mut samples = empty();
    for (i, &size) in sizes.iter().enumerate() {
        push(&mut samples, "w", "s", size, outcome(i, size));
    }
    samples
}

/// A number in 0..1 that looks random and is not.
pub(crate) fn noise(i: u32) -> f64 {
    let mut x = u64::from(i).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    f64::from(u32::try_from((x ^ (x >> 31)) >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
