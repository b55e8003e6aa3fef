//! What the strategies may do.

use crate::detect::bottlenecks::Percentile;
use crate::graph::EnsembleParams;
use std::collections::BTreeMap;

/// Switches and bounds of all strategies; the defaults are those of the configuration file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Params {
    /// Which runs are replayed.
    pub replay: EnsembleParams,
    /// What a slow step is judged by: that of [`crate::detect::bottlenecks::BottleneckParams`].
    pub percentile: Percentile,
    /// `RESOURCE_ALLOCATION`.
    pub resources: Resources,
    /// `PROVIDER_SELECTION`.
    pub providers: Providers,
    /// `CACHING`.
    pub caching: Caching,
    /// `PARALLEL_PROCESSING`.
    pub parallel: Parallel,
    /// `LOAD_BALANCING`.
    pub load_balancing: LoadBalancing,
}

/// Bounds for requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Resources {
    /// Whether requests are proposed.
    pub enabled: bool,
    /// Least CPU to ask for, in millicores.
    pub min_cpu_millicores: f64,
    /// Most CPU to ask for, in millicores.
    pub max_cpu_millicores: f64,
    /// Least memory to ask for, in MB (10⁶ bytes).
    pub min_memory_mb: f64,
    /// Most memory to ask for, in MB.
    pub max_memory_mb: f64,
    /// Executions that a request is judged by, at least.
    pub min_samples: usize,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            enabled: true,
            min_cpu_millicores: 100.0,
            max_cpu_millicores: 2_000.0,
            min_memory_mb: 128.0,
            max_memory_mb: 8_192.0,
            min_samples: 30,
        }
    }
}

/// What a provider is chosen for. Weights are relative to their sum; they also weigh time against money in ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Providers {
    /// Whether switches are proposed.
    pub enabled: bool,
    /// Weight of time saved.
    pub performance_weight: f64,
    /// Weight of money saved.
    pub cost_weight: f64,
}

impl Default for Providers {
    fn default() -> Self {
        Self { enabled: true, performance_weight: 0.6, cost_weight: 0.4 }
    }
}

/// What a cache may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Caching {
    /// Whether caches are proposed.
    pub enabled: bool,
    /// Seconds that a result stays valid; a longer time is proposed where that answers more.
    pub default_ttl_s: f64,
    /// The same for single step types; nothing longer is proposed for them.
    pub ttl_s_by_step_type: BTreeMap<String, f64>,
    /// Bytes that a step's cache may hold, where the size of results is recorded.
    pub max_cache_bytes: f64,
    /// A step is left alone where its cache answers this share of what it could, 0-1.
    pub hit_rate_threshold: f64,
    /// What a look-up takes; by default a round trip to an object store.
    pub lookup_ms: f64,
    /// Keyed executions that a cache is judged by, at least.
    pub min_samples: usize,
}

impl Default for Caching {
    fn default() -> Self {
        Self {
            enabled: true,
            default_ttl_s: 3_600.0,
            ttl_s_by_step_type: BTreeMap::new(),
            max_cache_bytes: 10e9,
            hit_rate_threshold: 0.7,
            lookup_ms: 20.0,
            min_samples: 20,
        }
    }
}

/// How far steps may run side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Parallel {
    /// Whether more parallelism is proposed.
    pub enabled: bool,
    /// Most slots to propose.
    pub max_concurrency: usize,
    /// Whether steps are looked at that take turns without depending on each other.
    pub dependency_analysis: bool,
}

impl Default for Parallel {
    fn default() -> Self {
        Self { enabled: true, max_concurrency: 8, dependency_analysis: true }
    }
}

/// Whether another order of dispatch is proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadBalancing {
    /// Whether it is.
    pub enabled: bool,
}

impl Default for LoadBalancing {
    fn default() -> Self {
        Self { enabled: true }
    }
}
