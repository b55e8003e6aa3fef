//! The table of next-run predictions: each step of each workflow, by provider and size of input.

use super::Prediction;
use super::dataset::{N_SIZES, Target};
use super::models::{Models, Predicted, Query};
use crate::samples::{Samples, Sizes, UNKNOWN};
use crate::stats::robust::quantile;
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap};

/// Sizes of the newest so many executions stand for what comes.
const RECENT: usize = 256;
/// Quantiles of recent sizes, and their names.
const BUCKETS: [(&str, f64); 3] = [("small", 0.1), ("typical", 0.5), ("large", 0.9)];
/// Size matters where the predictions for small and large inputs are at least this ratio apart.
const SIZE_MATTERS: f64 = 1.05;

/// The newest executions of one step of one workflow.
#[derive(Debug, Default)]
struct Recent {
    workflow_type: u32,
    step_type: u32,
    providers: BTreeSet<u32>,
    sizes: [Vec<f64>; N_SIZES],
}

/// Predicts the next execution for every workflow, step and provider in `samples`, for small, typical and large inputs
/// where size matters, by every model in `models`. Sorted by workflow, step, provider, target and size.
#[must_use]
pub fn predictions(models: &Models, samples: &Samples) -> Vec<Prediction> {
    let words = &samples.vocabulary;
    let mut targets: Vec<Target> = models.targets().collect();
    targets.sort_unstable_by_key(|target| target.as_str());
    let mut steps: Vec<((u32, u32), Recent)> = recent_executions(samples).into_iter().collect();
    steps.sort_unstable_by_key(|((workflow_id, step), _)| (words.word(*workflow_id), words.word(*step)));
    let of_step = |((workflow_id, step), mut recent): ((u32, u32), Recent)| {
        let sizes = SizeBuckets::of(&mut recent);
        let mut providers: Vec<u32> = recent.providers.iter().copied().collect();
        providers.sort_unstable_by_key(|provider| words.word(*provider));
        let mut of_step = Vec::new();
        for provider in providers {
            let at = Place { samples, workflow_id, step, provider, recent: &recent };
            for &target in &targets {
                of_step.extend(at.predictions(models, target, &sizes).unwrap_or_default());
            }
        }
        of_step
    };
    steps.into_par_iter().flat_map_iter(of_step).collect()
}

fn recent_executions(samples: &Samples) -> HashMap<(u32, u32), Recent> {
    let mut out: HashMap<(u32, u32), Recent> = HashMap::new();
    for row in (0..samples.len()).rev() {
        let code = |column: &[u32]| column.get(row).copied().unwrap_or(UNKNOWN);
        if samples.cache_hit.get(row) == Some(&true) {
            continue;
        }
        let recent = out.entry((code(&samples.workflow_id), code(&samples.step))).or_insert_with(|| Recent {
            workflow_type: code(&samples.workflow_type),
            step_type: code(&samples.step_type),
            ..Recent::default()
        });
        recent.providers.insert(code(&samples.provider));
        let Sizes { input_bytes, tokens_in, upstream_bytes, step_count } = samples.sizes(row);
        for (sizes, size) in recent.sizes.iter_mut().zip([input_bytes, tokens_in, upstream_bytes, step_count]) {
            keep(sizes, size);
        }
    }
    out
}

fn keep(sizes: &mut Vec<f64>, size: f64) {
    if sizes.len() < RECENT && size.is_finite() && size > 0.0 {
        sizes.push(size);
    }
}

/// Sizes to predict for, by bucket.
struct SizeBuckets(Vec<(&'static str, Sizes)>);

impl SizeBuckets {
    fn of(recent: &mut Recent) -> Self {
        let is_sized = !recent.sizes[0].is_empty();
        let mut at = |q: f64| {
            let [input_bytes, tokens_in, upstream_bytes, step_count] =
                recent.sizes.each_mut().map(|sizes| quantile(sizes, q));
            Sizes { input_bytes, tokens_in, upstream_bytes, step_count }
        };
        if !is_sized {
            return Self(vec![("any", at(0.5))]);
        }
        Self(BUCKETS.iter().map(|&(name, q)| (name, at(q))).collect())
    }
}

/// A step of a workflow on a provider.
struct Place<'a> {
    samples: &'a Samples,
    workflow_id: u32,
    step: u32,
    provider: u32,
    recent: &'a Recent,
}

impl Place<'_> {
    fn predictions(&self, models: &Models, target: Target, sizes: &SizeBuckets) -> Option<Vec<Prediction>> {
        let words = &self.samples.vocabulary;
        let workflow_type = words.word(self.recent.workflow_type)?;
        if !models.knows(target, workflow_type, words.word(self.step)?) {
            return None;
        }
        let predict = |&(bucket, sizes): &(&'static str, Sizes)| {
            let query = Query {
                workflow_type,
                step: words.word(self.step)?,
                step_type: words.word(self.recent.step_type),
                provider: words.word(self.provider),
                platform: None,
                attempt: 1,
                started_us: None,
                sizes,
            };
            let Predicted { point, interval, n_seen } = models.predict(target, &query)?;
            Some(Prediction {
                workflow_type: workflow_type.to_owned(),
                workflow_id: words.word(self.workflow_id)?.to_owned(),
                step: Some(query.step.to_owned()),
                provider: query.provider.map(str::to_owned),
                size_bucket: bucket,
                input_bytes: sizes.input_bytes.is_finite().then_some(sizes.input_bytes),
                target: target.as_str(),
                point,
                interval,
                n_seen,
            })
        };
        let all: Vec<Prediction> = sizes.0.iter().map(predict).collect::<Option<_>>()?;
        Some(if size_matters(&all) { all } else { all.into_iter().filter(|p| is_central(p.size_bucket)).collect() })
    }
}

fn is_central(bucket: &str) -> bool {
    bucket == "typical" || bucket == "any"
}

fn size_matters(predictions: &[Prediction]) -> bool {
    let points = || predictions.iter().map(|p| p.point);
    let (low, high) = (points().fold(f64::INFINITY, f64::min), points().fold(0.0, f64::max));
    predictions.len() > 1 && high > SIZE_MATTERS * low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::testing::{push, samples_of_sizes};
    use crate::learn::train::{TrainParams, train};

    fn table(samples: &Samples) -> Vec<Prediction> {
        predictions(&train(samples, &TrainParams::default()).0, samples)
    }

    #[test]
    fn sizes_are_told_apart_where_they_matter() {
        let sizes: Vec<f64> = (0..200).map(|i| f64::from(i * 37 % 101 + 1) * 1e5).collect();
        let rows = table(&samples_of_sizes(&sizes, |_, size| size.powf(0.8)));
        let buckets: Vec<&str> = rows.iter().map(|p| p.size_bucket).collect();
        assert_eq!(buckets, ["small", "typical", "large"]);
        for row in &rows {
            let truth = row.input_bytes.unwrap_or_default().powf(0.8);
            assert!((row.point / truth - 1.0).abs() < 0.02, "{row:?} beside {truth}");
            assert!(row.interval.lower <= row.point && row.point <= row.interval.upper && row.n_seen == 160);
        }
    }

    #[test]
    fn sizes_that_do_not_matter_or_are_unknown_make_one_row() {
        let sizes: Vec<f64> = (0..200).map(|i| f64::from(i % 50 + 1) * 1e5).collect();
        let flat = table(&samples_of_sizes(&sizes, |i, _| 1000.0 + (i * 7919 % 101) as f64));
        assert_eq!(flat.iter().map(|p| p.size_bucket).collect::<Vec<_>>(), ["typical"]);
        let unknown = table(&samples_of_sizes(&[f64::NAN; 90], |i, _| 1000.0 + (i * 7919 % 101) as f64));
        assert_eq!(unknown.iter().map(|p| (p.size_bucket, p.input_bytes)).collect::<Vec<_>>(), [("any", None)]);
    }

    #[test]
    fn a_step_seen_in_the_last_run_only_is_predicted_too() {
        let mut samples = samples_of_sizes(&[1e6; 200], |i, _| 1000.0 + (i * 7919 % 101) as f64);
        push(&mut samples, "w", "new", 1e6, 50_000.0);
        let rows = table(&samples);
        let new = rows.iter().find(|p| p.step.as_deref() == Some("new"));
        assert!(new.is_some_and(|p| p.n_seen == 0 && p.point > 2_000.0 && p.interval.upper > p.point), "{rows:?}");
        assert!(table(&Samples::default()).is_empty());
    }
}
