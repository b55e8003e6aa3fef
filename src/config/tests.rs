#![expect(clippy::unwrap_used, reason = "tests")]
use super::document::{Node, Value};
use super::*;
use crate::ingest::Dialect;
use crate::ingest::columns::{Constant, Unit};
use paceline_pure::series::Metric;
use paceline_pure::units::Level;

fn refusal(text: &str) -> String {
    let error = parse(text, "paceline.yaml").unwrap_err();
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

/// `a.b.c: value` as nested mappings.
fn nested(path: &str, value: &str) -> String {
    let keys: Vec<&str> = path.split('.').collect();
    let mut text = String::new();
    for (depth, key) in keys.iter().enumerate() {
        text.push_str(&format!("{}{key}:{}", "  ".repeat(depth), if depth + 1 < keys.len() { "\n" } else { " " }));
    }
    text + value + "\n"
}

fn key_paths(node: &Node, path: &str, paths: &mut Vec<(String, u64)>) {
    if let Value::Map(entries) = &node.value {
        for entry in entries {
            let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
            paths.push((path.clone(), entry.line));
            key_paths(&entry.node, &path, paths);
        }
    }
}

fn keys_of(text: &str) -> Vec<(String, u64)> {
    let mut paths = Vec::new();
    key_paths(&document::parse(text).unwrap(), "", &mut paths);
    paths
}

const STRATEGIES: &str = "performance_optimization.optimization.strategies";

#[test]
fn the_commented_file_holds_the_defaults() {
    assert_eq!(parse(COMMENTED, "paceline.yaml").unwrap(), Config::default());
    assert_eq!(parse("", "paceline.yaml").unwrap(), Config::default());
    assert_eq!(parse("# nothing\n", "paceline.yaml").unwrap(), Config::default());
    assert_eq!(parse("performance_optimization:\n", "paceline.yaml").unwrap(), Config::default());
}

#[test]
fn the_commented_file_says_of_each_key_without_effect_that_it_has_none() {
    let lines: Vec<&str> = COMMENTED.lines().collect();
    for (path, line) in keys_of(COMMENTED) {
        let is_unbuilt = matches!(unbuilt::find(&path), unbuilt::Found::Key(_));
        let is_marked = lines[usize::try_from(line).unwrap() - 1].contains("[not built yet]");
        assert_eq!(is_unbuilt, is_marked, "{path} on line {line}");
    }
    for row in unbuilt::UNBUILT.iter().filter(|row| !row.path.contains("[]")) {
        assert!(keys_of(COMMENTED).iter().any(|(path, _)| path == row.path), "{} is missing", row.path);
    }
}

#[test]
fn what_is_not_built_is_refused_with_any_other_value() {
    for row in unbuilt::UNBUILT.iter().filter(|row| !row.path.contains("[]")) {
        let message = refusal(&nested(row.path, "something else"));
        assert!(message.contains(row.path) && message.contains("is not built yet in this version"), "{message}");
    }
    let message = refusal(&nested("performance_optimization.optimization.auto_apply", "true"));
    assert_eq!(
        message,
        "paceline.yaml:3: performance_optimization.optimization.auto_apply: found true, expected its default (false); \
         applying recommendations is not built yet in this version: leave it at its default or remove it"
    );
}

#[test]
fn each_key_refuses_what_it_cannot_mean() {
    let analytics = "performance_optimization.analytics";
    let models = "performance_optimization.ml_models";
    let trends = "performance_optimization.reporting.performance_trends";
    let capacity = "performance_optimization.capacity";
    let cases = [
        ("job", "a/b", "letters, digits"),
        ("job", "''", "letters, digits"),
        ("lake", "ftp://host/x", "no store understands ftp://"),
        ("lake", "s3://key:secret@bucket/x", "credentials come from the environment"),
        ("results", "'https://'", "no URL"),
        ("postgres", "postgres://me:hunter2@db/x", "no secret stands in this file"),
        ("postgres", "postgres://db/x?password=hunter2", "no secret stands in this file"),
        ("postgres", "mysql://db/x", "only Postgres"),
        ("postgres", "'env:'", "env:DATABASE_URL"),
        ("seed", "-1", "a whole number from 0"),
        ("seed", "1.5", "a whole number from 0"),
        ("as_of", "yesterday", "now, latest or an RFC 3339 instant"),
        ("as_of", "2026-10-01T00:00:00", "with its offset"),
        ("timezone", "Europe/Berlln", "did you mean Europe/Berlin?"),
        ("timezone", "CEST5", "IANA"),
        ("ingest", "nextflow", "a list"),
        (&format!("{analytics}.enabled"), "yes", "true or false"),
        (&format!("{analytics}.analysis_interval"), "-5", "a whole number from 1"),
        (&format!("{analytics}.analysis_interval"), "1h", "a whole number from 1"),
        (&format!("{analytics}.data_retention_days"), "0", "a whole number from 1"),
        (&format!("{analytics}.baseline_calculation_days"), "91", "at most data_retention_days (90)"),
        (&format!("{analytics}.subdaily_retention_days"), "100", "at most data_retention_days (90)"),
        (&format!("{analytics}.metrics"), "[cpu_usag]", "did you mean cpu_usage?"),
        (&format!("{analytics}.metrics"), "[]", "an empty list"),
        (&format!("{analytics}.metrics"), "[cost, cost]", "each item once"),
        (&format!("{analytics}.aggregation_levels"), "[2h]", "5m, 15m, 1h or 1d"),
        (&format!("{STRATEGIES}.resource_allocation.min_cpu"), "3000", "at most max_cpu (2000)"),
        (&format!("{STRATEGIES}.resource_allocation.min_cpu"), "-1", "a number above 0"),
        (&format!("{STRATEGIES}.resource_allocation.min_memory"), "9GB", "at most max_memory (8192)"),
        (&format!("{STRATEGIES}.resource_allocation.max_memory"), "lots", "a size such as 8GB"),
        (&format!("{STRATEGIES}.provider_selection.cost_weight"), "0.5", "weights that sum to 1"),
        (&format!("{STRATEGIES}.provider_selection.cost_weight"), "40", "write 0.4 for 40 %"),
        (&format!("{STRATEGIES}.caching.default_ttl"), "-1", "a whole number from 1"),
        (&format!("{STRATEGIES}.caching.ttl_by_step_type"), "{ embed: -1 }", "-1 for \"embed\""),
        (&format!("{STRATEGIES}.caching.max_cache_size"), "10 XB", "the units are"),
        (&format!("{STRATEGIES}.caching.cache_hit_rate_threshold"), "70", "write 0.7 for 70 %"),
        (&format!("{STRATEGIES}.parallel_processing.max_concurrency"), "0", "a whole number from 1"),
        (&format!("{models}.performance_prediction.model_type"), "neural", "one of regression"),
        (&format!("{models}.performance_prediction.features"), "[input_bytes, memory_mb]", "leakage"),
        (&format!("{models}.performance_prediction.features"), "[inputbytes]", "did you mean input_bytes?"),
        (&format!("{models}.performance_prediction.level"), "95", "write 0.95 for 95 %"),
        (&format!("{models}.performance_prediction.level"), "1", "strictly between 0 and 1"),
        (&format!("{models}.performance_prediction.accuracy_threshold"), ".nan", "a ratio from 0 to 1"),
        (&format!("{models}.bottleneck_detection.sensitivity"), "0", "a number above 0"),
        (&format!("{models}.bottleneck_detection.threshold_percentile"), "0.95", "a whole number from 1 to 99"),
        (&format!("{models}.bottleneck_detection.threshold_percentile"), "100", "a whole number from 1 to 99"),
        (&format!("{models}.bottleneck_detection.min_samples"), "1", "a whole number from 2"),
        (&format!("{capacity}.growth"), "[1, 0]", "factors above 0"),
        (&format!("{capacity}.growth"), "[2, 2]", "each item once"),
        (&format!("{capacity}.growth"), "1.5", "a list"),
        (&format!("{capacity}.limits"), "{ slot: 4 }", "did you mean slots?"),
        (&format!("{capacity}.limits"), "{ gpus: 4 }", "known are runs, cost_usd"),
        (&format!("{capacity}.limits"), "{ slots: -4 }", "-4 for slots, expected a number above 0"),
        (&format!("{capacity}.limits"), "{ slots: { a: 4 } }", "for slots"),
        (&format!("{capacity}.limits"), "{ memory_mb: 4 parsecs }", "for memory_mb"),
        (&format!("{capacity}.limits"), "{ api_calls: { openai: many } }", "many for api_calls of openai"),
        (&format!("{capacity}.limits"), "40", "keys with values"),
        (&format!("{trends}.comparison_periods"), "[7, -30]", "whole numbers of days above 0"),
        (&format!("{trends}.forecast_days"), "0", "a whole number from 1"),
        (&format!("{trends}.confidence_interval"), "95", "write 0.95 for 95 %"),
        ("schedule.run", "'0 0 * * * *'", "it has 6 fields"),
        ("schedule.run", "'0 25 * * *'", "a five-field cron expression"),
        ("schedule.run", "'0 0 31 2 *'", "never comes due"),
        ("limits.max_rejects_ratio", "1.5", "write 0.015 for 1.5 %"),
        ("limits.memory", "0", "a size above 0"),
    ];
    for (path, value, expected) in cases {
        let message = refusal(&nested(path, value));
        let section = path.rsplit_once('.').map_or(path, |(section, _)| section);
        assert!(message.contains(section) && message.contains(expected), "{path}: {value} gave: {message}");
        assert!(!message.contains("hunter2") && !message.contains("key:secret"), "a secret is shown: {message}");
    }
}

#[test]
fn capacity_is_read_by_resource_and_provider() {
    let limits = "{ slots: 40, memory_mb: 256GB, tokens: null, api_calls: { openai: 1e5, '*': 2000000 } }";
    let config = parse(&nested("performance_optimization.capacity.limits", limits), "f").unwrap();
    let found: Vec<(&str, Option<&str>, f64)> =
        config.capacity.limits.iter().map(|limit| (limit.resource, limit.provider.as_deref(), limit.amount)).collect();
    let expected = [
        ("slots", None, 40.0),
        ("memory_mb", None, 256_000.0),
        ("api_calls", Some("openai"), 100_000.0),
        ("api_calls", None, 2_000_000.0),
    ];
    assert_eq!(found, expected);
    assert_eq!((config.capacity.by_demand().len(), config.capacity.growth.clone()), (4, vec![1.0]));
    let growth = parse(&nested("performance_optimization.capacity.growth", "[2, 1, 1.5]"), "f").unwrap();
    assert_eq!(growth.capacity.growth, [1.0, 1.5, 2.0]);
    assert_ne!(growth.hash(), config.hash());
}

#[test]
fn secrets_in_parts_that_are_not_built_are_not_shown() {
    let channel = "[ { webhook: https://hooks.example.com/T0/s3cr3t } ]";
    let message = refusal(&nested("performance_optimization.monitoring.channels", channel));
    assert!(message.contains("found a list of 1") && !message.contains("s3cr3t"), "{message}");
}

#[test]
fn a_file_cut_off_anywhere_or_shifted_by_a_space_is_read_or_refused() {
    for cut in (0..COMMENTED.len()).step_by(53).filter(|cut| COMMENTED.is_char_boundary(*cut)) {
        let (head, tail) = COMMENTED.split_at(cut);
        for text in [head.to_owned(), tail.to_owned(), format!("{head} {tail}"), format!("{head}: [{tail}")] {
            if let Err(error) = parse(&text, "f") {
                assert_eq!(error.exit_code(), 2);
            }
        }
    }
}

#[test]
fn unknown_and_repeated_keys_are_named_with_their_line() {
    let message = refusal("seed: 1\nperformance_optimization:\n  analytcs: {}\n");
    assert_eq!(
        message,
        "paceline.yaml:3: performance_optimization.analytcs: found an unknown key, expected a key of \
         performance_optimization; did you mean analytics?"
    );
    assert!(refusal("tiemzone: UTC\n").contains("did you mean timezone?"));
    assert!(refusal(&nested("performance_optimization.monitoring.chanels", "[]")).contains("did you mean channels?"));
    let message = refusal("seed: 1\njob: a\nseed: 2\n");
    assert!(message.starts_with("paceline.yaml:3: seed: found it a second time (first on line 1)"), "{message}");
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let message = refusal("timezone: Mars\nseed: -1\nnew_key: 3\n");
    let starts: Vec<&str> = message.lines().map(|line| line.split(": found").next().unwrap()).collect();
    assert_eq!(starts, ["paceline.yaml:1: timezone", "paceline.yaml:2: seed", "paceline.yaml:3: new_key"]);
}

#[test]
fn text_that_is_no_configuration_is_refused() {
    assert!(refusal("a: [1,\nb: }").contains("this is no YAML"));
    assert!(refusal("- a\n- b\n").contains("expected keys with values"));
    assert!(refusal("a: 1\n---\nb: 2\n").contains("paceline.yaml"));
    let error = load(Path::new("/no/such/paceline.yaml")).unwrap_err();
    assert!(error.to_string().contains("/no/such/paceline.yaml") && error.to_string().contains("paceline init"));
}

fn experiment(lines: &str) -> String {
    let base = "performance_optimization:\n  experiments:\n    - id: e\n      workflow_type: w\n      control: a\n";
    format!("{base}{lines}")
}

#[test]
fn an_experiment_is_read_and_checked() {
    let config = parse(&experiment("      primary: { metric: cost }\n"), "f").unwrap();
    let read = &config.experiments[0];
    assert_eq!(
        (read.method, read.level, read.primary.measure),
        (Method::Sequential, Level::DEFAULT, Measure::Of(Metric::Cost, ArmStat::Mean))
    );
    assert!(!read.is_adjusted && read.guardrails.is_empty());
    let more = "      covariate: predicted\n      guardrails: [ { metric: error_rate, max_relative_increase: 0.1 } ]\n";
    let config = parse(&experiment(&format!("      primary: {{ metric: cost }}\n{more}")), "f").unwrap();
    let read = &config.experiments[0];
    assert!(read.is_adjusted && (read.guardrails[0].max_relative_increase - 0.1).abs() < 1e-12);
    let of = |primary: &str| {
        let config = parse(&experiment(&format!("      primary: {{ {primary} }}\n")), "f").unwrap();
        config.experiments[0].primary.measure
    };
    assert_eq!(of("metric: execution_time, stat: p95"), Measure::Of(Metric::ExecutionTime, ArmStat::Quantile(0.95)));
    assert_eq!(of("metric: cost/tokens"), Measure::CostPerToken);
    let cases = [
        ("      primary: { metric: speed }\n", "one of execution_time"),
        ("      primary: { metric: memory_usage }\n", "one of execution_time, cost, tokens, error_rate"),
        ("      primary: { metric: cost }\n      variant_column: provider\n", "reading the arm from another column"),
        ("      primary: { metric: cost, stat: p90 }\n", "one of mean, log_ratio, p50, p95, p99, ratio"),
        ("      primary: { metric: error_rate, stat: p95 }\n", "it is a share of runs"),
        ("      primary: { metric: cost, stat: ratio }\n", "ratio for cost/tokens alone"),
        ("      primary: { metric: cost/tokens, stat: mean }\n", "write stat: ratio"),
        ("      primary: {}\n", "the metric that decides"),
        ("      primary: { metric: cost }\n      unit: user\n", "one of run_id, unit_id"),
        ("      primary: { metric: cost, stat: p95 }\n      unit: unit_id\n", "as they are"),
        ("      primary: { metric: cost }\n      unit: unit_id\n      covariate: predicted\n", "as they are"),
        ("      primary: { metric: cost }\n      covariate: weather\n", "one of predicted"),
        (
            "      primary: { metric: cost }\n      guardrails: [ { max_relative_increase: 0.1 } ]\n",
            "must not get worse",
        ),
        (
            "      primary: { metric: cost }\n      start: 2026-02-01T00:00:00Z\n      end: 2026-01-01T00:00:00Z\n",
            "after start",
        ),
        (
            "      primary: { metric: cost }\n    - id: e\n      workflow_type: w\n      control: a\n      primary: { metric: cost }\n",
            "the id \"e\" twice",
        ),
    ];
    for (lines, expected) in cases {
        let message = refusal(&experiment(lines));
        assert!(message.contains(expected) && message.contains("experiments"), "{message}");
    }
}

#[test]
fn ingest_sources_are_read_and_checked() {
    let text = "ingest:\n  - from: nextflow\n    path: s3://b/t/*.txt\n    workflow_id: rnaseq\n  - from: parquet\n    \
                path: ./x/*.parquet\n    table: steps\n    columns: { duration_ms: { from: seconds, unit: s }, \
                workflow_type: { value: ci }, status: { from: state, values: { OK: succeeded, 1: failed } } }\n";
    let config = parse(text, "f").unwrap();
    assert_eq!(config.ingest[0].from, Dialect::Nextflow);
    let columns = &config.ingest[1].columns;
    assert_eq!(columns["duration_ms"].unit, Some(Unit::S));
    assert_eq!(columns["workflow_type"].value, Some(Constant::Text("ci".into())));
    assert_eq!(columns["status"].values["1"], "failed");
    let cases = [
        ("{ from: airflow, path: x }", "reading airflow is not built yet in this version"),
        ("{ from: nextflw, path: x }", "did you mean nextflow?"),
        ("{ from: csv, path: x }", "runs or steps"),
        ("{ from: nextflow, path: x, table: runs }", "csv, parquet and canonical only"),
        ("{ from: canonical, path: x, columns: { run_id: { from: id } } }", "csv and parquet only"),
        ("{ from: wfformat, path: x, started_at: yesterday }", "with its offset"),
        ("{ from: nextflow, path: x, zone: Europe/Berlln }", "did you mean Europe/Berlin?"),
        ("{ from: nextflow }", "a file, folder, glob or URL"),
        ("{ path: x }", "what wrote the source"),
        ("{ from: csv, path: x, table: runs, columns: { status: {} } }", "columns.status: found an empty rule"),
        ("{ from: csv, path: x, table: steps, columns: { duration_ms: { from: b, unit: furlong } } }", "one of ns"),
        (
            "{ from: csv, path: x, table: steps, columns: { duration_ms: { from: b, unit: mb } } }",
            "unit of duration_ms",
        ),
        ("{ from: csv, path: x, table: steps, columns: { step_type: { within: b } } }", "a `within` of step_id only"),
        ("{ from: csv, path: x, table: steps, columns: { durtion_ms: { from: b } } }", "did you mean duration_ms?"),
        ("{ from: csv, path: x, table: runs, columns: { status: { from: b, value: c } } }", "beside other keys"),
        ("{ from: csv, path: x, table: runs, colums: {} }", "did you mean columns?"),
    ];
    for (source, expected) in cases {
        let message = refusal(&format!("ingest:\n  - {source}\n"));
        assert!(message.contains(expected) && message.contains("ingest[0]"), "{message}");
    }
}

#[test]
fn the_hash_tells_analyses_apart_and_not_locations() {
    let of = |text: &str| parse(text, "f").unwrap().hash();
    let base = Config::default().hash();
    let elsewhere = ["lake: s3://b/l", "results: r", "postgres: env:DB", "job: other", "timezone: Europe/Berlin"];
    for same in elsewhere {
        assert_eq!(of(same), base, "{same}");
    }
    for other in
        ["seed: 8", "limits: { memory: 1GB }", &nested("performance_optimization.optimization.enabled", "false")]
    {
        assert_ne!(of(other), base, "{other}");
    }
    let shuffled = nested("performance_optimization.analytics.metrics", "[cost, execution_time]");
    let sorted = nested("performance_optimization.analytics.metrics", "[execution_time, cost]");
    assert_eq!(of(&shuffled), of(&sorted));
}

#[test]
fn as_of_now_lies_on_the_grid() {
    let now = "2026-03-01T10:59:59.5Z".parse().unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(AsOf::Now.resolve(now, hour), Some("2026-03-01T10:00:00Z".parse().unwrap()));
    assert_eq!(AsOf::Latest.resolve(now, hour), None);
    assert_eq!(AsOf::At(now).resolve(now, hour), Some(now));
}

#[test]
fn local_paths_are_meant_from_the_folder_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("paceline.yaml");
    std::fs::write(&path, "results: out\nlake: s3://bucket/lake\ningest: [ { from: nextflow, path: t/*.txt } ]\n")
        .unwrap();
    let config = load(&path).unwrap();
    assert_eq!(config.results, folder.path().join("out").display().to_string());
    assert_eq!(config.lake, "s3://bucket/lake");
    assert_eq!(config.ingest[0].path, folder.path().join("t/*.txt").display().to_string());
}
