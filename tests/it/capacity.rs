//! What the days to come need, from the lake to the table.

use crate::workplace::{Workplace, numbers, texts};
use polars::prelude::DataFrame;

const LIMITS: &str = "as_of: latest
performance_optimization:
  capacity:
    limits: { slots: 2, cost_usd: 1e6, api_calls: { nobody: 5, '*': 1e9 }, memory_mb: 1TB }
    growth: [1, 3]
";

/// Values of the rows of one resource, all providers together, at one growth, by day.
fn of(plan: &DataFrame, resource: &str, growth: f64, column: &str) -> Vec<f64> {
    let (resources, providers) = (texts(plan, "resource"), texts(plan, "provider"));
    let rows = numbers(plan, column).into_iter().zip(numbers(plan, "growth")).enumerate();
    let asked = rows.filter(|(row, (_, found))| {
        resources[*row] == resource && providers[*row].is_empty() && (found - growth).abs() < 1e-9
    });
    asked.map(|(_, (value, _))| value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_days_to_come_need_is_published_with_its_shortages() {
    let place = Workplace::sample();
    place.configure(LIMITS);
    place.run("results", &["--stage", "forecasts"]).outcome(0);
    let plan = place.table("results", "capacity_plan").await;
    for resource in ["runs", "cost_usd", "tokens", "api_calls", "concurrent_runs", "slots", "cpu_cores", "memory_mb"] {
        let number = |column| of(&plan, resource, 1.0, column);
        assert_eq!(number("horizon"), (1..=30).map(f64::from).collect::<Vec<_>>(), "{resource}");
        let demand = ["demand_lower", "demand_p50", "demand_p80", "demand_p95", "demand_upper"].map(number);
        for pair in demand.windows(2) {
            assert!(pair[0].iter().zip(&pair[1]).all(|(less, more)| 0.0 <= *less && less <= more), "{resource}");
        }
        let (one, three) = (number("demand_p50"), of(&plan, resource, 3.0, "demand_p50"));
        assert!(one.iter().zip(&three).all(|(one, three)| one <= three && *three <= 3.0 * one + 1.0), "{resource}");
    }
    let first = |resource, growth, column| of(&plan, resource, growth, column)[0];
    assert!(first("slots", 3.0, "shortage_probability") > 0.9, "two slots are not enough: {plan:?}");
    assert!(first("cost_usd", 3.0, "shortage_probability") < 0.01);
    let days_off = first("slots", 3.0, "exhausted_on") - first("slots", 3.0, "ds");
    assert!(days_off.abs() < 1.0, "the first day is short already");
    assert!(first("runs", 1.0, "capacity").is_nan() && first("runs", 1.0, "shortage_probability").is_nan());
    assert!(texts(&plan, "provider").iter().any(|provider| !provider.is_empty()), "calls have providers");
    let skips = place.table("results", "skips").await;
    let told: Vec<String> =
        texts(&skips, "reason").into_iter().filter(|reason| reason.contains("a limit is configured")).collect();
    assert_eq!(told, ["api_calls of nobody: a limit is configured, but no run records any"]);
}

#[test]
fn a_resource_that_nobody_knows_is_refused() {
    let place = Workplace::empty();
    place.configure("performance_optimization: { capacity: { limits: { slotz: 4 } } }\n");
    let ended = place.run("results", &[]);
    assert!(ended.code == Some(2) && ended.stderr.contains("did you mean slots?"), "{ended:?}");
}
