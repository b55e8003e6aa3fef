//! From the configuration to the parameters of each engine.

use crate::config::{Config, Experiment, Feature, PerformanceTrends, Severity};
use crate::pure::analysis::AnalysisParams;
use crate::pure::compare::CompareParams;
use crate::pure::detect::anomalies::AnomalyParams;
use crate::pure::detect::baselines::BaselineParams;
use crate::pure::detect::bottlenecks::{BottleneckParams, Percentile};
use crate::pure::detect::continuity::Earlier;
use crate::pure::detect::degradations::DegradationParams;
use crate::pure::detect::trends::TrendParams;
use crate::pure::forecast::ForecastParams;
use crate::pure::forecast::capacity::CapacityParams;
use crate::pure::graph::EnsembleParams;
use crate::pure::learn::dataset::Features;
use crate::pure::learn::runs::RunParams;
use crate::pure::learn::train::TrainParams;
use crate::pure::recommend;
use crate::pure::series::SeriesKey;
use crate::pure::units::Level;
use std::collections::{BTreeMap, BTreeSet};

/// Days in a season: weeks are what daily series repeat by.
const SEASON_LENGTHS: [usize; 1] = [7];
/// Past moments from which forecasts are tried: few, for every run tries all series anew.
const FORECAST_ORIGINS: usize = 15;
/// Coverage of the narrower of the two intervals of a forecast.
const INNER_LEVEL: f64 = 0.8;

/// What every engine needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) analysis: AnalysisParams,
    pub(crate) forecast: ForecastParams,
    pub(crate) capacity: CapacityParams,
    pub(crate) train: TrainParams,
    pub(crate) runs: RunParams,
    /// A model younger than this is not trained anew.
    pub(crate) retrain_us: i64,
    pub(crate) anomalies: AnomalyParams,
    pub(crate) anomaly_level: Level,
    pub(crate) degradations: DegradationParams,
    pub(crate) degradation_severity: Severity,
    pub(crate) compare: CompareParams,
    pub(crate) bottlenecks: BottleneckParams,
    pub(crate) recommend: recommend::Params,
    /// Probability with which another proposal than the best is tried; none: nothing is learned from outcomes.
    pub(crate) exploration_rate: Option<f64>,
    /// Coverage of what applied recommendations are said to have saved.
    pub(crate) outcome_level: Level,
    pub(crate) experiments: Vec<Experiment>,
}

impl Settings {
    /// `accepted_us`: change points that are the new normal, by series; `earlier`: those that the run before told of.
    pub(crate) fn of(config: &Config, accepted_us: BTreeMap<SeriesKey, BTreeSet<i64>>, earlier: Earlier) -> Self {
        let trends = &config.reporting.performance_trends;
        let prediction = &config.models.performance_prediction;
        let detection = &config.models.bottleneck_detection;
        let learning = &config.models.optimization_recommendation;
        let alert = &config.monitoring.degradation;
        let min_samples = usize::try_from(detection.min_samples).unwrap_or(usize::MAX);
        let replay = EnsembleParams { seed: config.seed, ..EnsembleParams::default() };
        let forecast = ForecastParams {
            horizon: usize::try_from(trends.forecast_days).unwrap_or(usize::MAX),
            levels: forecast_levels(trends.level),
            season_lengths: SEASON_LENGTHS.to_vec(),
            max_origins: FORECAST_ORIGINS,
        };
        Self {
            analysis: AnalysisParams {
                baselines: BaselineParams {
                    baseline_days: config.analytics.baseline_calculation_days,
                    ..BaselineParams::default()
                },
                trends: TrendParams {
                    comparison_periods: comparison_periods(trends),
                    level: trends.level,
                    ..TrendParams::default()
                },
                accepted_us,
                earlier,
                ..AnalysisParams::default()
            },
            capacity: CapacityParams {
                forecast: forecast.clone(),
                level: trends.level,
                limits: config.capacity.by_demand(),
                growth: config.capacity.growth.clone(),
            },
            forecast,
            train: TrainParams {
                level: prediction.level,
                accuracy_threshold: prediction.accuracy_threshold,
                features: features(&prediction.features),
                seed: config.seed,
                ..TrainParams::default()
            },
            runs: RunParams { level: prediction.level, seed: config.seed, ..RunParams::default() },
            retrain_us: i64::try_from(prediction.retrain_interval.as_micros()).unwrap_or(i64::MAX),
            anomalies: AnomalyParams { sensitivity: detection.sensitivity, min_samples, seed: config.seed },
            anomaly_level: prediction.level,
            degradations: DegradationParams {
                threshold: alert.threshold,
                window_us: i64::try_from(alert.window.as_micros()).unwrap_or(i64::MAX),
                baseline_days: config.analytics.baseline_calculation_days,
                ..DegradationParams::default()
            },
            degradation_severity: alert.severity,
            compare: CompareParams::default(),
            bottlenecks: BottleneckParams { replay, percentile: percentile(config), ..BottleneckParams::default() },
            recommend: recommend_params(config, replay),
            exploration_rate: learning.enabled.then_some(learning.exploration_rate),
            outcome_level: Level::DEFAULT,
            experiments: config.experiments.clone(),
        }
    }
}

/// No window, no trend.
fn comparison_periods(trends: &PerformanceTrends) -> Vec<u32> {
    if trends.enabled { trends.comparison_periods_days.clone() } else { Vec::new() }
}

fn forecast_levels(outer: Level) -> Vec<Level> {
    let inner = Level::new(INNER_LEVEL).ok().filter(|inner| inner.get() < outer.get());
    inner.into_iter().chain([outer]).collect()
}

fn features(named: &[Feature]) -> Features {
    let has = |feature| named.contains(&feature);
    Features {
        input_bytes: has(Feature::InputBytes),
        tokens_in: has(Feature::TokensIn),
        upstream_bytes: has(Feature::InputBytes),
        step_count: has(Feature::StepCount),
        step_type: has(Feature::StepType),
        provider: has(Feature::Provider),
        platform: has(Feature::Platform),
        attempt: has(Feature::Attempt),
        hour_of_week: has(Feature::HourOfWeek),
    }
}

/// The configuration holds nothing outside 1-99.
fn percentile(config: &Config) -> Percentile {
    Percentile::new(config.models.bottleneck_detection.threshold_percentile).unwrap_or_default()
}

fn recommend_params(config: &Config, replay: EnsembleParams) -> recommend::Params {
    let strategies = &config.optimization;
    let (resources, providers) = (&strategies.resource_allocation, &strategies.provider_selection);
    let (caching, parallel) = (&strategies.caching, &strategies.parallel_processing);
    let ttl_by_step_type = caching.ttl_by_step_type.iter().map(|(kind, ttl)| (kind.clone(), ttl.as_secs_f64()));
    let defaults = recommend::Params::default();
    recommend::Params {
        replay,
        percentile: percentile(config),
        resources: recommend::Resources {
            enabled: resources.enabled,
            min_cpu_millicores: resources.min_cpu_millicores,
            max_cpu_millicores: resources.max_cpu_millicores,
            min_memory_mb: resources.min_memory_mb,
            max_memory_mb: resources.max_memory_mb,
            ..defaults.resources
        },
        providers: recommend::Providers {
            enabled: providers.enabled,
            performance_weight: providers.performance_weight,
            cost_weight: providers.cost_weight,
        },
        caching: recommend::Caching {
            enabled: caching.enabled,
            default_ttl_s: caching.default_ttl.as_secs_f64(),
            ttl_s_by_step_type: ttl_by_step_type.collect(),
            max_cache_bytes: caching.max_cache_bytes as f64,
            hit_rate_threshold: caching.cache_hit_rate_threshold,
            ..defaults.caching
        },
        parallel: recommend::Parallel {
            enabled: parallel.enabled,
            max_concurrency: usize::try_from(parallel.max_concurrency).unwrap_or(usize::MAX),
            dependency_analysis: parallel.dependency_analysis,
        },
        load_balancing: recommend::LoadBalancing { enabled: strategies.load_balancing.enabled },
    }
}
