//! `performance_optimization.optimization`: what is recommended, and within which bounds.

use super::document::Value;
use super::section::Section;
use super::size;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Bytes in the unit of a bare number for memory.
const MB: u64 = 1_000_000;

/// What is recommended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Optimization {
    /// Whether anything is recommended at all.
    pub enabled: bool,
    /// Requests that fit the need.
    pub resource_allocation: ResourceAllocation,
    /// The provider that is best for its money.
    pub provider_selection: ProviderSelection,
    /// Reuse of what was computed before.
    pub caching: Caching,
    /// Steps side by side.
    pub parallel_processing: ParallelProcessing,
    /// Work spread over time and providers.
    pub load_balancing: LoadBalancing,
}

impl Optimization {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let enabled = section.flag("enabled", true);
        section.section("strategies", |strategies| Self {
            enabled,
            resource_allocation: strategies.section("resource_allocation", ResourceAllocation::read),
            provider_selection: strategies.section("provider_selection", ProviderSelection::read),
            caching: strategies.section("caching", Caching::read),
            parallel_processing: strategies.section("parallel_processing", ParallelProcessing::read),
            load_balancing: strategies
                .section("load_balancing", |section| LoadBalancing { enabled: section.flag("enabled", true) }),
        })
    }
}

/// Bounds of what may be requested for a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ResourceAllocation {
    /// Whether requests are recommended.
    pub enabled: bool,
    /// Least CPU in millicores.
    pub min_cpu_millicores: f64,
    /// Most CPU in millicores.
    pub max_cpu_millicores: f64,
    /// Least memory in MB.
    pub min_memory_mb: f64,
    /// Most memory in MB.
    pub max_memory_mb: f64,
}

impl ResourceAllocation {
    fn read(section: &mut Section<'_>) -> Self {
        let allocation = Self {
            enabled: section.flag("enabled", true),
            min_cpu_millicores: section.positive("min_cpu", 100.0),
            max_cpu_millicores: section.positive("max_cpu", 2000.0),
            min_memory_mb: megabytes(section, "min_memory", 128),
            max_memory_mb: megabytes(section, "max_memory", 8192),
        };
        refuse_above(section, "min_cpu", allocation.min_cpu_millicores, "max_cpu", allocation.max_cpu_millicores);
        refuse_above(section, "min_memory", allocation.min_memory_mb, "max_memory", allocation.max_memory_mb);
        allocation
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes of memory are far below 2⁵³ bytes")]
fn megabytes(section: &mut Section<'_>, key: &'static str, default: u64) -> f64 {
    section.parsed(key, default as f64, "a number of MB, or a size such as 8GB", parse_megabytes)
}

/// MB of a size; a bare number is a number of them.
///
/// # Errors
/// What to write instead.
#[expect(clippy::cast_precision_loss, reason = "sizes of memory are far below 2⁵³ bytes")]
pub(super) fn parse_megabytes(text: &str) -> Result<f64, String> {
    size::parse(text, MB).map(|bytes| bytes as f64 / MB as f64)
}

fn refuse_above(section: &Section<'_>, key: &str, least: f64, other: &str, most: f64) {
    if least > most {
        section.refuse(key, least, &format!("at most {other} ({most})"), &format!("lower {key} or raise {other}"));
    }
}

/// How speed and cost are weighed against each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ProviderSelection {
    /// Whether providers are recommended.
    pub enabled: bool,
    /// Weight of speed.
    pub performance_weight: f64,
    /// Weight of cost; both sum to 1.
    pub cost_weight: f64,
}

impl ProviderSelection {
    fn read(section: &mut Section<'_>) -> Self {
        let selection = Self {
            enabled: section.flag("enabled", true),
            performance_weight: section.ratio("performance_weight", 0.6),
            cost_weight: section.ratio("cost_weight", 0.4),
        };
        let sum = selection.performance_weight + selection.cost_weight;
        // Decimal weights need not sum to 1 exactly in binary.
        if (sum - 1.0).abs() > 1e-9 {
            let found = format!("a sum of {sum} with cost_weight ({})", selection.cost_weight);
            section.refuse("performance_weight", found, "weights that sum to 1", "change one of the two");
        }
        selection
    }
}

/// When a cache is worth its keep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Caching {
    /// Whether caching is recommended.
    pub enabled: bool,
    /// How long a result may be reused.
    pub default_ttl: Duration,
    /// The same for some step types.
    pub ttl_by_step_type: BTreeMap<String, Duration>,
    /// Bytes that a cache may hold.
    pub max_cache_bytes: u64,
    /// Share of hits that a cache should reach, 0-1.
    pub cache_hit_rate_threshold: f64,
}

impl Caching {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            enabled: section.flag("enabled", true),
            default_ttl: section.seconds("default_ttl", 3600),
            ttl_by_step_type: read_ttls(section),
            max_cache_bytes: section
                .parsed("max_cache_size", 10_000_000_000, size::EXPECTED, |text| size::parse(text, 1)),
            cache_hit_rate_threshold: section.ratio("cache_hit_rate_threshold", 0.7),
        }
    }

    /// How long a result of this step type may be reused.
    #[must_use]
    pub fn ttl(&self, step_type: Option<&str>) -> Duration {
        step_type.and_then(|step_type| self.ttl_by_step_type.get(step_type)).copied().unwrap_or(self.default_ttl)
    }
}

fn read_ttls(section: &mut Section<'_>) -> BTreeMap<String, Duration> {
    let mut ttls = BTreeMap::new();
    for entry in section.entries_of("ttl_by_step_type") {
        match entry.node.value {
            Value::Whole(seconds @ 1..=316_224_000) => {
                ttls.insert(entry.key.clone(), Duration::from_secs(u64::try_from(seconds).unwrap_or_default()));
            }
            _ => section.refuse(
                "ttl_by_step_type",
                format!("{} for {:?}", entry.node, entry.key),
                "a whole number of seconds above 0",
                "write such a number, without a unit",
            ),
        }
    }
    ttls
}

/// How much may run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ParallelProcessing {
    /// Whether running side by side is recommended.
    pub enabled: bool,
    /// Steps of one run that may run at the same time.
    pub max_concurrency: u32,
    /// Whether steps that wait for each other without need are looked for.
    pub dependency_analysis: bool,
}

impl ParallelProcessing {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            enabled: section.flag("enabled", true),
            max_concurrency: section.whole("max_concurrency", 8, 1..=100_000),
            dependency_analysis: section.flag("dependency_analysis", true),
        }
    }
}

/// Work spread over time and providers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LoadBalancing {
    /// Whether spreading is recommended.
    pub enabled: bool,
}
