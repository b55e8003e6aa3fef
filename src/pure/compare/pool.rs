//! From the steps' contrasts to one ratio, and how sure of it one may be.

use super::fit::StepFit;
use crate::samples::{Samples, UNKNOWN};
use crate::units::{DAY_US, HOUR_US, Interval, Level, SECOND_US};
use statrs::distribution::{ContinuousCDF, StudentsT};
use std::collections::HashMap;

/// Clusters below which their sums say too little about the sampling error (Cameron and Miller 2015 ask for 20 to 50).
const MIN_CLUSTERS: usize = 40;
/// Executions of a workflow that start within the same stretch form a cluster: the longest that leaves enough clusters,
/// so that whole runs, and what runs of one day share, fall together.
const STRETCHES_US: [i64; 4] = [DAY_US, 6 * HOUR_US, HOUR_US, 60 * SECOND_US];
/// A step whose values are all equal must not outweigh all others: its standard error counts as 0.1 % at least.
const MIN_VARIANCE: f64 = 1e-6;

/// Which executions may err together.
#[derive(Debug, Clone)]
pub(super) struct Clusters {
    /// Number of each execution's cluster, in the shape of the steps' rows.
    numbers: Vec<Vec<usize>>,
    count: usize,
}

impl Clusters {
    pub(super) fn of(samples: &Samples, steps: &[Vec<usize>]) -> Self {
        let mut clusters = Self { numbers: vec![], count: 0 };
        for stretch_us in STRETCHES_US {
            clusters = Self::by_stretch(samples, steps, stretch_us);
            if clusters.count >= MIN_CLUSTERS {
                break;
            }
        }
        clusters
    }

    fn by_stretch(samples: &Samples, steps: &[Vec<usize>], stretch_us: i64) -> Self {
        let mut known: HashMap<(u32, i64), usize> = HashMap::new();
        let mut number = |&row: &usize| {
            let workflow = samples.workflow_id.get(row).copied().unwrap_or(UNKNOWN);
            let start = samples.started_us.get(row).copied().unwrap_or(0);
            let next = known.len();
            *known.entry((workflow, start.div_euclid(stretch_us))).or_insert(next)
        };
        let numbers = steps.iter().map(|rows| rows.iter().map(&mut number).collect()).collect();
        Self { numbers, count: known.len() }
    }

    /// Rows of each step with the number of their cluster.
    pub(super) fn with_rows<'a>(
        &'a self,
        steps: &'a [Vec<usize>],
    ) -> impl Iterator<Item = impl Iterator<Item = (usize, usize)>> {
        steps.iter().zip(&self.numbers).map(|(rows, numbers)| rows.iter().copied().zip(numbers.iter().copied()))
    }
}

/// The log ratio of two values over all steps that have enough of both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Contrast {
    pub(super) log_ratio: f64,
    standard_error: f64,
    freedom: f64,
    pub(super) n_a: u64,
    pub(super) n_b: u64,
}

/// One step's part in it.
struct Part<'a> {
    fit: &'a StepFit,
    estimate: f64,
    variance: f64,
    n: (u64, u64),
}

impl Contrast {
    /// Value `b` over value `a`; none if no step has `min_executions` of both.
    pub(super) fn of(fits: &[StepFit], a: usize, b: usize, min_executions: usize, clusters: &Clusters) -> Option<Self> {
        let enough = |n: &u64| *n >= min_executions.max(1) as u64;
        let part = |fit| {
            let (n_a, n_b) = counts(fit, a, b)?;
            let (estimate, variance) = fit.contrast(a, b);
            let part = Part { fit, estimate, variance: variance.max(MIN_VARIANCE), n: (n_a, n_b) };
            (enough(&n_a) && enough(&n_b)).then_some(part)
        };
        let parts: Vec<Part<'_>> = fits.iter().filter_map(part).collect();
        if parts.is_empty() {
            return None;
        }
        let between = between_steps(&parts);
        let total: f64 = parts.iter().map(|part| 1.0 / (part.variance + between)).sum();
        let weights: Vec<f64> = parts.iter().map(|part| 1.0 / (part.variance + between) / total).collect();
        let sampling = if clusters.count >= MIN_CLUSTERS {
            clustered_variance(&parts, &weights, (a, b), clusters.count)
        } else {
            // Steps of the same runs may err fully together: standard errors add.
            parts.iter().zip(&weights).map(|(part, w)| w * part.variance.sqrt()).sum::<f64>().powi(2)
        };
        let heterogeneity: f64 = weights.iter().map(|w| w * w * between).sum();
        let smaller_side = parts.iter().map(|part| part.n.0.min(part.n.1)).max().unwrap_or(1);
        let freedom = if clusters.count >= MIN_CLUSTERS { clusters.count as u64 } else { smaller_side };
        Some(Self {
            log_ratio: parts.iter().zip(&weights).map(|(part, w)| w * part.estimate).sum(),
            standard_error: (sampling + heterogeneity).sqrt(),
            freedom: freedom.saturating_sub(1).max(1) as f64,
            n_a: parts.iter().map(|part| part.n.0).sum(),
            n_b: parts.iter().map(|part| part.n.1).sum(),
        })
    }

    /// The interval of the ratio.
    pub(super) fn interval(&self, level: Level) -> Interval {
        let critical =
            StudentsT::new(0.0, 1.0, self.freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(1.0 - 0.5 * level.alpha()));
        let half = critical * self.standard_error;
        Interval { lower: (self.log_ratio - half).exp(), upper: (self.log_ratio + half).exp(), level }
    }
}

fn counts(fit: &StepFit, a: usize, b: usize) -> Option<(u64, u64)> {
    Some((*fit.counts.get(a)?, *fit.counts.get(b)?))
}

/// DerSimonian and Laird's variance of the true contrasts between steps.
fn between_steps(parts: &[Part<'_>]) -> f64 {
    let sum = |of: &dyn Fn(&Part<'_>) -> f64| parts.iter().map(of).sum::<f64>();
    let (w, w2) = (sum(&|p| 1.0 / p.variance), sum(&|p| p.variance.powi(-2)));
    let mean = sum(&|p| p.estimate / p.variance) / w;
    let q = sum(&|p| (p.estimate - mean).powi(2) / p.variance);
    let scale = w - w2 / w;
    if scale > 0.0 { ((q - (parts.len() as f64 - 1.0)) / scale).max(0.0) } else { 0.0 }
}

/// Sampling variance of the weighted mean: influences are summed within clusters, then squared.
fn clustered_variance(parts: &[Part<'_>], weights: &[f64], (a, b): (usize, usize), n_clusters: usize) -> f64 {
    let mut sums = vec![0.0; n_clusters];
    for (part, weight) in parts.iter().zip(weights) {
        part.fit.influences(a, b, |cluster, influence| {
            if let Some(sum) = sums.get_mut(cluster) {
                *sum += weight * influence;
            }
        });
    }
    let squares: f64 = sums.iter().map(|sum| sum * sum).sum();
    squares * n_clusters as f64 / (n_clusters - 1) as f64
}
