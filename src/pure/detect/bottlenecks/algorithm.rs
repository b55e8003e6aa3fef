//! A step whose time grows faster than its input.

use super::history::Executions;
use super::statistics::{Slope, median, quantile, robust_slope};
use super::{Finding, Scene, percent, severity_by_impact};
use crate::graph::{Change, NotReplayable, Scratch};
use crate::series::Metric;

/// Clearly worse than linear: n log n over realistic ranges stays below.
const MIN_EXPONENT: f64 = 1.2;
const LEVEL: f64 = 0.95;
/// Sizes that differ by less than this between their 10 % and 90 % quantile show no law.
const MIN_SIZE_RATIO: f64 = 2.0;
const MAX_EXECUTIONS: usize = 2_000;

/// How duration grows with input size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SizeLaw {
    /// `duration ∝ size^exponent`.
    pub(crate) exponent: Slope,
    /// The time that would be left if, above the median size, it grew linearly.
    pub(crate) linear_factor: f64,
    pub(crate) n: usize,
}

impl SizeLaw {
    /// The change that undoes it.
    pub(crate) fn cure(&self, step: &str) -> Change {
        Change::Speedup { step: step.into(), factor: self.linear_factor }
    }
}

/// The law of a step that is shown to be worse than linear; none otherwise.
pub(crate) fn superlinear(executions: &Executions<'_>, min_samples: usize) -> Option<SizeLaw> {
    let pairs: Vec<(f64, f64)> = executions
        .latest(MAX_EXECUTIONS)
        .into_iter()
        .map(|row| (executions.get(&executions.samples.input_bytes, row), executions.duration_ms(row)))
        .filter(|(size, _)| size.is_finite() && *size > 0.0)
        .collect();
    if pairs.len() < min_samples.max(3) {
        return None;
    }
    let mut sizes: Vec<f64> = pairs.iter().map(|(size, _)| *size).collect();
    if quantile(&mut sizes, 0.9) < MIN_SIZE_RATIO * quantile(&mut sizes, 0.1) {
        return None;
    }
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().map(|(size, ms)| (size.ln(), ms.ln())).unzip();
    let exponent = robust_slope(&x, &y, LEVEL).filter(|slope| slope.lower > MIN_EXPONENT)?;
    let linear_factor = linear_factor(&pairs, median(&mut sizes), exponent.value);
    Some(SizeLaw { exponent, linear_factor, n: pairs.len() })
}

/// Only inputs above the median are thought to become faster; nothing is claimed for the small ones.
fn linear_factor(pairs: &[(f64, f64)], typical_size: f64, exponent: f64) -> f64 {
    let linear = |(size, ms): &(f64, f64)| ms * (size / typical_size).max(1.0).powf(1.0 - exponent);
    let total: f64 = pairs.iter().map(|(_, ms)| ms).sum();
    (pairs.iter().map(linear).sum::<f64>() / total).clamp(0.0, 1.0)
}

pub(super) fn find(
    scene: &Scene<'_, '_>,
    step: &str,
    executions: &Executions<'_>,
    scratch: &mut Scratch,
) -> Result<Option<Finding>, NotReplayable> {
    let Some(law) = superlinear(executions, scene.min_samples) else { return Ok(None) };
    let saving = scene.ensemble.saving(&[law.cure(step)], scratch)?;
    let Slope { value, lower, upper } = law.exponent;
    Ok(Some(Finding {
        step: Some(step.to_owned()),
        kind: "inefficient_algorithm",
        severity: severity_by_impact(saving.share),
        saving,
        description: format!(
            "{step}: duration grows with input size to the power {value:.2} ({lower:.2} to {upper:.2}, n = {}); linear growth \
             above the median size would save {}",
            law.n,
            percent(saving.published().share),
        ),
        causes: vec![
            "an algorithm that compares all with all, sorts repeatedly or rereads its input".to_owned(),
            "memory that no longer suffices for the larger inputs".to_owned(),
        ],
        evidence: vec![scene.history.evidence(Some(step), Metric::ExecutionTime)],
        since_us: executions.latest_start_us(),
    }))
}
