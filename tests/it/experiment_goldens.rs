//! The statistics of experiments beside reference implementations and certified values.
//!
//! What is not compared, and why: Student's t with pooled variances (variances are never assumed equal here), χ² with Yates'
//! correction, Fisher, Mann-Whitney and Kolmogorov-Smirnov (tests of other hypotheses, without an effect), Wald's interval of
//! two shares (Newcombe's is used: Wald's misses near 0 and 1), relative effects that take the control's mean as known
//! (spotify-confidence) or as independent of the adjusted difference (gbstats 0.8.0 with a covariate), intervals whose
//! covariances are divided by n where variances are divided by n - 1 (spotify-confidence with a covariate), and p-values of
//! relative effects (gbstats; here the p-value is that of the difference).

use paceline::pure::experiment::bayes::{Posterior, Prior};
use paceline::pure::experiment::linear::{Layout, Pair, Stratum, compare};
use paceline::pure::experiment::moments::{Moments, anova, lag1};
use paceline::pure::experiment::ranked::Ranked;
use paceline::pure::experiment::{
    ArmStatistics, Comparison, DecisionParams, ExperimentRow, Method, Role, Share, Stat, Trial, TrialArm, Tuning,
    judge_trials, trimmed,
};
use paceline::pure::series::Better;
use paceline::pure::units::Level;
use serde_json::Value;
use std::path::PathBuf;

#[expect(clippy::print_stdout, reason = "says why it is skipped")]
fn shared(path: &str) -> Option<String> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")).join(path);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: {} is absent", path.display());
    }
    text
}

fn json(path: &str) -> Option<Value> {
    // What Python writes for no number is no JSON.
    shared(path).map(|text| serde_json::from_str(&text.replace(": NaN", ": null")).unwrap())
}

/// Equal to 10⁻⁶ of the expected value.
fn close(got: f64, want: f64, what: &str) {
    assert!((got - want).abs() <= 1e-6 * want.abs(), "{what}: {got} for {want}");
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| unreachable!("a number, not {value}"))
}

fn ends(value: &Value) -> (f64, f64) {
    (number(&value[0]), number(&value[1]))
}

fn judged(comparison: Comparison, method: Method, level: f64) -> ExperimentRow {
    let arm = |name: &str, comparison| TrialArm { name: name.into(), n: 1, estimate: 0.0, comparison, caution: None };
    let trial = Trial {
        id: "e".into(),
        metric: "m".into(),
        stat: "mean".into(),
        role: Role::Primary,
        better: Better::Lower,
        control: "control".into(),
        arms: vec![arm("control", None), arm("treatment", Some(comparison))],
        health: Default::default(),
        unfit: None,
        min_effect: 0.0,
        finished: true,
        units_per_day: None,
        max_days: 365.0,
    };
    let params = DecisionParams {
        level: Level::new(level).unwrap(),
        tuning: Tuning::Units(5_000.0),
        ..DecisionParams::of(method)
    };
    judge_trials(&[trial], &params).remove(0).remove(1)
}

fn bounds(row: &ExperimentRow) -> (f64, f64) {
    (row.effect_lower.unwrap(), row.effect_upper.unwrap())
}

fn relative_bounds(row: &ExperimentRow) -> (f64, f64) {
    (row.relative_lower.unwrap(), row.relative_upper.unwrap())
}

fn both(got: (f64, f64), want: &Value, what: &str) {
    let want = ends(want);
    close(got.0, want.0, what);
    close(got.1, want.1, what);
}

/// A mean with its variance, as gbstats takes it: of shares p (1 − p) / n.
struct Mean {
    value: f64,
    variance: f64,
    n: f64,
}

impl Mean {
    fn of(statistic: &Value) -> Self {
        let (n, sum) = (number(&statistic["n"]), number(&statistic["sum"]));
        let value = sum / n;
        let variance = match statistic["sum_squares"].as_f64() {
            Some(squares) => (squares - sum * value) / (n - 1.0) / n,
            None => value * (1.0 - value) / n,
        };
        Self { value, variance, n }
    }

    fn beside(&self, control: &Self) -> Comparison {
        let share = |one: &Self| one.variance.powi(2) / (one.n - 1.0);
        Comparison::Natural(Pair {
            control: control.value,
            difference: self.value - control.value,
            variance: self.variance + control.variance,
            control_variance: control.variance,
            covariance: -control.variance,
            freedom: (self.variance + control.variance).powi(2) / (share(self) + share(control)),
            n: (self.n + control.n) as u64,
        })
    }
}

fn sums(statistic: &Value) -> ArmStatistics {
    ArmStatistics {
        n: statistic["n"].as_u64().unwrap(),
        sum: number(&statistic["sum"]),
        sum_sq: number(&statistic["sum_squares"]),
        ..ArmStatistics::default()
    }
}

fn ratio_adjusted(statistic: &Value) -> Moments {
    let of = |name: &str, what: &str| number(&statistic[name][what]);
    let product = |name: &str| number(&statistic[name]);
    // m, d, e = d before, x = m before
    let sum =
        ["m_statistic_post", "d_statistic_post", "d_statistic_pre", "m_statistic_pre"].map(|name| of(name, "sum"));
    let square = |name| of(name, "sum_squares");
    let products = [
        square("m_statistic_post"),
        product("m_post_d_post_sum_of_products"),
        square("d_statistic_post"),
        product("m_post_d_pre_sum_of_products"),
        product("d_post_d_pre_sum_of_products"),
        square("d_statistic_pre"),
        product("m_post_m_pre_sum_of_products"),
        product("m_pre_d_post_sum_of_products"),
        product("m_pre_d_pre_sum_of_products"),
        square("m_statistic_pre"),
    ];
    Moments::of_sums(statistic["n"].as_u64().unwrap(), &sum, &products)
}

#[test]
fn growthbook_cases() {
    let Some(file) = json("data/ab_statistics/growthbook_cases.json") else { return };
    let mut compared = 0;
    for case in file["cases"].as_array().unwrap() {
        let (name, result) = (case["upstream_test"].as_str().unwrap(), &case["result"]);
        let (control, arm) = (&case["stats_a_b"][0][0], &case["stats_a_b"][0][1]);
        let is_relative = case["config"]["difference_type"].as_str() != Some("absolute");
        if result["errorMessage"].is_string() {
            // No spread, or nobody there: nothing is said, and not the zeros of the reference.
            if arm["type"] == "SampleMeanStatistic" {
                let found = Comparison::means(&sums(arm), &sums(control)).map(|one| judged(one, Method::Fixed, 0.95));
                assert!(found.is_none_or(|row| row.effect_lower.is_none() && row.p_value.is_none()), "{name}");
            } else {
                assert!(Share::of(0, 0.0).is_none());
            }
            compared += 1;
            continue;
        }
        if case["procedure"] == "EffectBayesianABTest" {
            bayesian(name, case, is_relative);
        } else if arm["type"] == "RegressionAdjustedRatioStatistic" {
            let layout = Layout { is_ratio: true, n_covariates: 1 };
            let (control, arm) = (ratio_adjusted(control), ratio_adjusted(arm));
            let pair = compare(&[Stratum::Apart { control: &control, arm: &arm }], layout).unwrap();
            let row = judged(Comparison::Natural(pair), Method::Fixed, 0.95);
            close(row.relative_effect.unwrap(), number(&result["expected"]), name);
            both(relative_bounds(&row), &result["ci"], name);
        } else {
            frequentist(name, case, is_relative);
        }
        compared += 1;
    }
    assert_eq!(compared, 20);
}

fn frequentist(name: &str, case: &Value, is_relative: bool) {
    let result = &case["result"];
    let (control, arm) = (Mean::of(&case["stats_a_b"][0][0]), Mean::of(&case["stats_a_b"][0][1]));
    let is_two_sided = case["procedure"] == "TwoSidedTTest";
    let row = judged(arm.beside(&control), Method::Fixed, if is_two_sided { 0.95 } else { 0.9 });
    let (found, ends) =
        if is_relative { (row.relative_effect, relative_bounds(&row)) } else { (row.effect, bounds(&row)) };
    close(found.unwrap(), number(&result["expected"]), name);
    for (found, end) in [(ends.0, &result["ci"][0]), (ends.1, &result["ci"][1])] {
        // "inf" and "-inf" are the open ends of one-sided intervals.
        if let Some(end) = end.as_f64() {
            close(found, end, name);
        }
    }
    if !is_relative {
        let p = row.p_value.unwrap();
        let one_sided = if case["procedure"] == "OneSidedTreatmentGreaterTTest" { p / 2.0 } else { 1.0 - p / 2.0 };
        close(if is_two_sided { p } else { one_sided }, number(&result["pValue"]), name);
    }
}

fn bayesian(name: &str, case: &Value, is_relative: bool) {
    let (control, arm) = (&case["stats_a_b"][0][0], &case["stats_a_b"][0][1]);
    let quantile = |statistic: &Value| {
        let n = number(&statistic["n"]);
        let half = number(&statistic["quantile_upper"]) - number(&statistic["quantile_lower"]);
        let variance = (half / (2.0 * 1.959_963_984_540_054)).powi(2) * (n - 1.0) / n;
        Mean { value: number(&statistic["quantile_hat"]), variance, n }
    };
    let of = |statistic: &Value| {
        if statistic["quantile_hat"].is_number() { quantile(statistic) } else { Mean::of(statistic) }
    };
    let (control, arm) = (of(control), of(arm));
    posterior(name, &control, &arm, is_relative, prior_of(&case["config"]["prior_effect"]), &case["result"]);
}

fn prior_of(prior: &Value) -> Option<Prior> {
    let is_proper = prior["proper"].as_bool() == Some(true);
    is_proper.then(|| Prior { mean: number(&prior["mean"]), spread: number(&prior["variance"]).sqrt() })
}

/// `prior` is of relative effects.
fn posterior(name: &str, control: &Mean, arm: &Mean, is_relative: bool, prior: Option<Prior>, result: &Value) {
    let difference = arm.value - control.value;
    let ratio = arm.value / control.value;
    let scale = if is_relative { control.value } else { 1.0 };
    let variance = arm.variance + control.variance * if is_relative { ratio.powi(2) } else { 1.0 };
    let unit = if is_relative { 1.0 } else { control.value };
    let prior = prior.map(|prior| Prior { mean: prior.mean * unit, spread: prior.spread * unit });
    let found = Posterior::of(difference / scale, variance.sqrt() / scale, prior);
    let key = |snake: &'static str, camel: &'static str| {
        if result[snake].is_null() { &result[camel] } else { &result[snake] }
    };
    close(found.mean, number(&result["expected"]), name);
    close(found.spread, number(&result["uplift"]["stddev"]), name);
    close(found.above_zero(), number(key("chance_to_win", "chanceToWin")), name);
    close(found.mean_above(), number(&result["risk"][0]), name);
    close(found.mean_below(), number(&result["risk"][1]), name);
}

fn cuped(case: &Value) -> Moments {
    let products =
        [number(&case["post"]["sum_squares"]), number(&case["sum_products"]), number(&case["pre"]["sum_squares"])];
    let sums = [number(&case["post"]["sum"]), number(&case["pre"]["sum"])];
    Moments::of_sums(case["n"].as_u64().unwrap(), &sums, &products)
}

fn ratio(case: &Value) -> Moments {
    let n = case["n"].as_u64().unwrap();
    let (m, d, product) = (&case["m"], &case["d"], number(&case["sum_products"]));
    let sums = [number(&m["sum"]), number(&d["sum"]), n as f64];
    let products =
        [number(&m["sum_squares"]), product, number(&d["sum_squares"]), number(&m["sum"]), number(&d["sum"]), n as f64];
    Moments::of_sums(n, &sums, &products)
}

fn compared(case: &Value) -> Comparison {
    let (control, arm) = (&case["control"], &case["treatment"]);
    let linear = |of: fn(&Value) -> Moments, layout| {
        let (control, arm) = (of(control), of(arm));
        compare(&[Stratum::Apart { control: &control, arm: &arm }], layout).map(Comparison::Natural).unwrap()
    };
    match case["kind"].as_str().unwrap() {
        "cuped" => linear(cuped, Layout { is_ratio: false, n_covariates: 1 }),
        "ratio" => linear(ratio, Layout { is_ratio: true, n_covariates: 0 }),
        // Shares as gbstats takes them, with the variance of a mean.
        "proportion" => Mean::of(arm).beside(&Mean::of(control)),
        _ => Comparison::means(&sums(arm), &sums(control)).unwrap(),
    }
}

#[test]
fn gbstats_on_five_inputs() {
    let Some(inputs) = json("bench/ab_inputs.json") else { return };
    let Some(oracle) = json("bench/ab_oracle_gbstats.json") else { return };
    for (name, case) in inputs.as_object().unwrap() {
        let expected = &oracle[name];
        let is_adjusted = case["kind"] == "cuped";
        for (method, key) in [(Method::Fixed, "ttest"), (Method::Sequential, "sequential")] {
            let row = judged(compared(case), method, 0.95);
            let absolute = &expected[format!("{key}_absolute")];
            close(row.effect.unwrap(), number(&absolute["expected"]), name);
            let relative = &expected[format!("{key}_relative")];
            if method == Method::Fixed {
                both(bounds(&row), &absolute["ci"], name);
                close(row.p_value.unwrap(), number(&absolute["p_value"]), name);
                if !is_adjusted {
                    both(relative_bounds(&row), &relative["ci"], name);
                }
            } else {
                // Sequential intervals count the degrees of freedom, which the reference takes as infinite: they are wider,
                // by 1 % of their width or less for hundreds of units. Without them they are the same.
                let without = judged(with_known_variance(compared(case)), method, 0.95);
                both(bounds(&without), &absolute["ci"], name);
                close(without.p_value.unwrap(), number(&absolute["p_value"]), name);
                if !is_adjusted {
                    both(relative_bounds(&without), &relative["ci"], name);
                }
                let widened = (bounds(&row).1 - bounds(&row).0) / (bounds(&without).1 - bounds(&without).0);
                assert!((1.0..1.01).contains(&widened), "{name}: {widened}");
            }
            close(row.relative_effect.unwrap(), number(&relative["expected"]), name);
        }
        if case["kind"] == "proportion" || case["kind"] == "mean" {
            let (control, arm) = (Mean::of(&case["control"]), Mean::of(&case["treatment"]));
            let prior = Some(Prior { mean: 0.0, spread: 0.3 });
            for (is_relative, suffix) in [(true, "relative"), (false, "absolute")] {
                posterior(name, &control, &arm, is_relative, None, &expected[format!("bayes_{suffix}")]);
                posterior(name, &control, &arm, is_relative, prior, &expected[format!("bayes_prior_0_03_{suffix}")]);
            }
        }
    }
}

fn with_known_variance(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Natural(pair) => Comparison::Natural(Pair { freedom: f64::INFINITY, ..pair }),
        other => other,
    }
}

#[test]
fn spotify_confidence_on_five_inputs() {
    let Some(inputs) = json("bench/ab_inputs.json") else { return };
    let Some(oracle) = json("bench/ab_oracle_spotify.json") else { return };
    for (name, case) in inputs.as_object().unwrap() {
        let expected = &oracle[name];
        let compare_to = |found: Comparison, key: &str| {
            let row = judged(found, Method::Fixed, 0.95);
            let absolute = &expected[format!("{key}_absolute")];
            close(row.effect.unwrap(), number(&absolute["difference"]), name);
            // With a covariate theirs is relative to the adjusted control, and covariances are divided by n where variances
            // are divided by n - 1.
            if key == "z_linreg" {
                return;
            }
            close(row.effect_lower.unwrap(), number(&absolute["ci_lower"]), name);
            close(row.effect_upper.unwrap(), number(&absolute["ci_upper"]), name);
            close(row.p_value.unwrap(), number(&absolute["p-value"]), name);
            let relative = number(&expected[format!("{key}_relative")]["difference"]);
            close(row.relative_effect.unwrap(), relative, name);
        };
        match case["kind"].as_str().unwrap() {
            "mean" => {
                compare_to(compared(case), "t");
                compare_to(with_known_variance(compared(case)), "z");
            }
            "cuped" => compare_to(with_known_variance(compared(case)), "z_linreg"),
            "proportion" => {
                let share = |arm: &Value| Share::of(arm["n"].as_u64().unwrap(), number(&arm["sum"])).unwrap();
                let row =
                    judged(Comparison::Shares(share(&case["treatment"]), share(&case["control"])), Method::Fixed, 0.95);
                close(row.p_value.unwrap(), number(&expected["chi2_absolute"]["p-value"]), name);
                close(row.effect.unwrap(), number(&expected["chi2_absolute"]["difference"]), name);
                close(row.relative_effect.unwrap(), number(&expected["chi2_relative"]["difference"]), name);
            }
            _ => assert!(expected["note"].is_string()),
        }
    }
}

#[test]
fn scipy_and_statsmodels_on_three_inputs() {
    let Some(inputs) = json("bench/ab_inputs.json") else { return };
    let Some(oracle) = json("bench/ab_oracle_scipy.json") else { return };
    let (case, expected) = (&inputs["1_proportion"], &oracle["1_proportion"]);
    let share = |arm: &Value| Share::of(arm["n"].as_u64().unwrap(), number(&arm["sum"])).unwrap();
    let row = judged(Comparison::Shares(share(&case["treatment"]), share(&case["control"])), Method::Fixed, 0.95);
    close(row.p_value.unwrap(), number(&expected["p_pooled"]), "p_pooled");
    both(bounds(&row), &expected["newcombe"], "newcombe");
    for name in ["2_mean_normal", "3_mean_heavy_tail"] {
        let (case, expected) = (&inputs[name], &oracle[name]);
        let values = |arm: &str| -> Vec<f64> { case["values"][arm].as_array().unwrap().iter().map(number).collect() };
        let (arm, control) = (values("treatment"), values("control"));
        let of = |values: &[f64]| values.iter().copied().collect::<ArmStatistics>();
        let row = judged(of(&arm).compare(&of(&control), Stat::Mean).unwrap(), Method::Fixed, 0.95);
        close(row.p_value.unwrap(), number(&expected["welch_p"]), name);
        both(bounds(&row), &expected["welch_ci"], name);
        let row = judged(of(&arm).compare(&of(&control), Stat::LogMean).unwrap(), Method::Fixed, 0.95);
        close(row.p_value.unwrap(), number(&expected["log_welch_p"]), name);
        let (lower, upper) = relative_bounds(&row);
        both((1.0 + lower, 1.0 + upper), &expected["log_ratio_ci"], name);
        let pair = trimmed::compare(&Ranked::of(arm), &Ranked::of(control), 0.2).unwrap();
        close(pair.difference / pair.variance.sqrt(), number(&expected["yuen20_t"]), name);
        let row = judged(Comparison::Natural(pair), Method::Fixed, 0.95);
        close(row.p_value.unwrap(), number(&expected["yuen20_p"]), name);
    }
}

/// Rows of numbers of a NIST file: those after its last line of text.
fn nist(text: &str) -> (Vec<Vec<f64>>, Vec<&str>) {
    let lines: Vec<&str> = text.lines().collect();
    let row = |line: &&str| -> Option<Vec<f64>> { line.split_whitespace().map(|word| word.parse().ok()).collect() };
    let last_text = lines.iter().rposition(|line| row(line).is_none()).unwrap();
    (lines[last_text + 1..].iter().filter_map(row).filter(|row| !row.is_empty()).collect(), lines)
}

/// Digits that agree with a certified value.
fn digits(got: f64, certified: f64) -> f64 {
    if (got - certified).abs() <= 0.0 {
        15.0
    } else {
        -((got - certified) / if certified == 0.0 { 1.0 } else { certified }).abs().log10()
    }
}

#[test]
fn nist_univariate() {
    for name in ["NumAcc1", "NumAcc3", "Lottery", "Mavro"] {
        let Some(text) = shared(&format!("data/nist_strd/{name}.dat")) else { return };
        let (rows, lines) = nist(&text);
        let values: Vec<f64> = rows.iter().map(|row| row[0]).collect();
        let certified = |what: &str| -> f64 {
            let line = lines.iter().find(|line| line.contains(what) && line.contains(':')).unwrap();
            line.split(':').nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap()
        };
        let mut moments = Moments::new(1);
        values.iter().for_each(|value| moments.add(&[*value]));
        let found = [
            digits(moments.mean(0), certified("Sample Mean")),
            digits(moments.covariance(0, 0).sqrt(), certified("Sample Standard Deviation")),
            digits(lag1(&values), certified("Sample Autocorrelation")),
        ];
        assert!(found.iter().all(|digits| *digits >= 9.0), "{name}: {found:?}");
    }
}

#[test]
fn nist_analysis_of_variance() {
    for name in ["SiRstvt", "SmLs01t", "SmLs04t"] {
        let Some(text) = shared(&format!("data/nist_strd/{name}.dat")) else { return };
        let (mut rows, lines) = nist(&text);
        // A heading of numbers.
        rows.retain(|row| row.first() != Some(&1.0));
        let mut arms = vec![Moments::new(1); rows[0].len()];
        rows.iter().for_each(|row| arms.iter_mut().zip(row).for_each(|(arm, value)| arm.add(&[*value])));
        let line = lines.iter().find(|line| line.trim_start().starts_with("Between")).unwrap();
        let certified: f64 = line.split_whitespace().last().unwrap().parse().unwrap();
        let (f, between, _) = anova(&arms, 0).unwrap();
        assert!((between - (arms.len() - 1) as f64).abs() < 1e-12);
        assert!(digits(f, certified) >= 9.0, "{name}: {f} for {certified}, {} digits", digits(f, certified));
    }
}
