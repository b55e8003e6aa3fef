//! `paceline experiment`, as it is typed.

use crate::commands::command;
use crate::folder::Folder;
use paceline::error::Error;
use paceline::ingest::any::AnyTable;

impl Folder {
    async fn experiment(&self, more: &[&str]) -> Result<AnyTable, Error> {
        let (input, out) = (self.path("in.csv"), self.path("out.parquet"));
        command(&[&["experiment", &input, "--out", &out], more].concat()).await?;
        Ok(AnyTable::read(&std::fs::read(out).unwrap(), "out.parquet", |_| true).unwrap())
    }
}

/// A number in 0-1 that looks random.
fn noise(i: u64) -> f64 {
    let x = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (((x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33) % 100_000) as f64 / 100_000.0
}

fn table(header: &str, rows: impl IntoIterator<Item = String>) -> Folder {
    let text = rows.into_iter().fold(format!("{header}\n"), |text, row| text + &row + "\n");
    Folder::new(&text)
}

/// What is said of an arm: decision and reason.
fn said(out: &AnyTable, row: usize) -> (String, String) {
    let word = |name: &str| out.words(name).unwrap().at(row).unwrap_or_default().to_owned();
    (word("decision"), word("reason"))
}

fn number(out: &AnyTable, name: &str, row: usize) -> f64 {
    out.numbers(name).unwrap()[row]
}

fn arm(i: u64) -> &'static str {
    if i.is_multiple_of(2) { "control" } else { "new" }
}

/// Runs of two arms, of which `new` takes `effect` less.
fn runs(n: u64, effect: f64) -> Folder {
    let value = |i: u64| (100.0 + 40.0 * noise(i)) * if i % 2 == 1 { 1.0 - effect } else { 1.0 };
    table("v,seconds", (0..n).map(|i| format!("{},{:.3}", arm(i), value(i))))
}

const BASE: [&str; 4] = ["--variant", "v", "--metric", "seconds"];

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_is_found_and_shipped() {
    let folder = runs(2_000, 0.1);
    let columns = "metric,arm,n,estimate,effect,effect_lower,effect_upper,relative_effect,relative_lower,relative_upper,level,\
                   p_value,method,srm_p_value,decision";
    for more in
        [&[][..], &["--method", "fixed"], &["--stat", "p50"], &["--stat", "log-ratio"], &["--winsorize", "0.01"]]
    {
        let out = folder.experiment(&[&BASE, more].concat()).await.unwrap();
        assert_eq!(out.names().take(15).collect::<Vec<_>>().join(","), columns);
        assert_eq!((out.height(), said(&out, 1).0.as_str()), (2, "ship"), "{more:?} {:?}", said(&out, 1));
        assert!((number(&out, "relative_effect", 1) + 0.1).abs() < 0.02, "{more:?}");
        assert!(number(&out, "effect", 0).is_nan() && number(&out, "relative_upper", 1) < 0.0);
    }
    let out = folder.experiment(&[&BASE[..], &["--direction", "increase"]].concat()).await.unwrap();
    assert_eq!(said(&out, 1).0, "rollback");
    for format in ["json", "table"] {
        folder.experiment(&[&BASE[..], &["--format", format]].concat()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_split_is_invalid_and_a_planned_one_is_not() {
    let folder =
        table("v,seconds", (0..3_000).map(|i| format!("{},{}", if i % 10 < 6 { "control" } else { "new" }, noise(i))));
    let out = folder.experiment(&BASE).await.unwrap();
    let (decision, reason) = said(&out, 1);
    assert!(decision == "invalid" && reason.contains("sample-ratio mismatch"), "{reason}");
    let out = folder.experiment(&[&BASE[..], &["--shares", "control=60,new=40"]].concat()).await.unwrap();
    assert_eq!(said(&out, 1).0, "keep_running");
}

/// Each: rows, options, and what is said of arm `new` (the second row): decision, words of the reason.
/// A name, rows, options, the decision, and what its reason says.
type Unclear<'a> = (&'a str, Vec<String>, &'a [&'a str], &'a str, &'a str);

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_judged_gets_a_clear_answer() {
    let both = |of: &dyn Fn(u64) -> String| (0..200).map(|i| format!("{},{}", arm(i), of(i))).collect::<Vec<_>>();
    let cases: Vec<Unclear<'_>> = vec![
        ("all equal", both(&|_| "5".into()), &[], "keep_running", "all values are equal"),
        ("all equal, once", both(&|_| "5".into()), &["--method", "fixed"], "inconclusive", "all values are equal"),
        (
            "one unit",
            vec!["control,1".into(), "control,2".into(), "new,3".into()],
            &[],
            "keep_running",
            "a single unit",
        ),
        ("no values", both(&|i| if i % 2 == 1 { "NaN".into() } else { format!("{i}") }), &[], "invalid", "missing in"),
        (
            "an arm without values, few rows",
            vec!["control,1".into(), "control,2".into(), "new,NaN".into()],
            &[],
            "keep_running",
            "no values",
        ),
        (
            "negative logs",
            both(&|i| format!("{}", i as f64 - 50.0)),
            &["--stat", "log-ratio"],
            "invalid",
            "no logarithm",
        ),
        ("no shares", both(&|i| format!("{i}")), &["--stat", "proportion"], "invalid", "neither 0 nor 1"),
        (
            "missing",
            both(&|i| if i % 6 == 1 { String::new() } else { format!("{}", noise(i)) }),
            &[],
            "invalid",
            "new 34.0 %",
        ),
        (
            "NaN",
            both(&|i| if i % 20 < 2 { "NaN".into() } else { format!("{}", noise(i)) }),
            &[],
            "keep_running",
            "units",
        ),
        ("p99 of few", both(&|i| format!("{}", noise(i))), &["--stat", "p99"], "keep_running", "beyond the quantile"),
        (
            "hopeless",
            both(&|i| format!("{}", 1.0 + noise(i))),
            &["--min-effect", "0.001", "--time", "t"],
            "inconclusive",
            "out of reach",
        ),
    ];
    for (name, rows, more, decision, words) in cases {
        let timed = rows.iter().enumerate().map(|(i, row)| format!("{row},2026-01-{:02}T00:00:00Z", 1 + i % 28));
        let folder = table("v,seconds,t", timed);
        let out = folder.experiment(&[&BASE, more].concat()).await.unwrap();
        let found = said(&out, out.height() - 1);
        assert!(found.0 == decision && found.1.contains(words), "{name}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_arm_and_very_many_arms_are_told() {
    let out = table("v,seconds", (0..9).map(|i| format!("only,{i}"))).experiment(&BASE).await.unwrap();
    assert_eq!((out.height(), said(&out, 0).1.as_str()), (1, "there is only one arm"));
    let many = table("v,seconds", (0..1_000_000).map(|i| format!("{i},1")));
    let error = many.experiment(&BASE).await.unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("1000000 values"), "{error}");
    let fifty = table("v,seconds", (0..5_000).map(|i| format!("arm{:02},{}", i % 50, noise(i))));
    let out = fifty.experiment(&[&BASE[..], &["--method", "fixed"]].concat()).await.unwrap();
    let decisions = out.words("decision").unwrap();
    assert_eq!(out.height(), 50);
    assert!((1..50).all(|row| decisions.at(row) == Some("inconclusive")), "49 arms without effect");
    let error =
        runs(10, 0.0).experiment(&["--variant", "v", "--metric", "seconds", "--control", "old"]).await.unwrap_err();
    assert!(error.to_string().contains("no row has the arm \"old\""), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_and_after_is_named_so() {
    let row = |i: u64| {
        let arm = if i < 500 { "control" } else { "new" };
        format!(
            "{arm},{:.3},2026-01-01T{:02}:{:02}:00Z",
            10.0 + noise(i) - if i < 500 { 0.0 } else { 5.0 },
            i / 60,
            i % 60
        )
    };
    let folder = table("v,seconds,at", (0..1_000).map(row));
    let out = folder.experiment(&[&BASE[..], &["--time", "at"]].concat()).await.unwrap();
    let (decision, reason) = said(&out, 1);
    assert!(decision == "inconclusive" && reason.contains("before and after"), "{reason}");
    assert!(number(&out, "effect_upper", 1) < 0.0, "the effect is told all the same");
    assert_eq!(said(&folder.experiment(&BASE).await.unwrap(), 1).0, "ship", "without times nobody can know");
}

/// Simpson: within large and within small runs `new` is faster; over all it looks slower, as it got more large ones.
#[tokio::test(flavor = "multi_thread")]
async fn strata_undo_simpsons_paradox() {
    let row = |i: u64| {
        let is_new = i % 2 == 1;
        let is_large = i % 20 < if is_new { 14 } else { 6 };
        let seconds = if is_large { 1_000.0 } else { 100.0 } * if is_new { 0.9 } else { 1.0 } * (0.95 + 0.1 * noise(i));
        format!("{},{seconds:.3},{}", arm(i), if is_large { "large" } else { "small" })
    };
    let folder = table("v,seconds,size", (0..4_000).map(row));
    let plain = folder.experiment(&BASE).await.unwrap();
    assert!(number(&plain, "effect_lower", 1) > 0.0, "over all it looks slower");
    let out = folder.experiment(&[&BASE[..], &["--strata", "size"]].concat()).await.unwrap();
    assert!(number(&out, "effect_upper", 1) < 0.0 && said(&out, 1).0 == "ship", "{:?}", said(&out, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_covariate_narrows_and_clusters_widen() {
    let row = |i: u64| {
        let known = 100.0 * noise(i + 7_000_000);
        let seconds = 50.0 + known + 10.0 * noise(i) - if i % 2 == 1 { 2.0 } else { 0.0 };
        format!("{},{seconds:.3},{known:.3},u{},{}", arm(i), i % 20, 1 + i % 3)
    };
    let folder = table("v,seconds,predicted,user,tokens", (0..2_000).map(row));
    let width = |out: &AnyTable| number(out, "effect_upper", 1) - number(out, "effect_lower", 1);
    let plain = width(&folder.experiment(&BASE).await.unwrap());
    let adjusted = folder.experiment(&[&BASE[..], &["--covariate", "predicted"]].concat()).await.unwrap();
    assert!(width(&adjusted) < 0.2 * plain, "{} beside {plain}", width(&adjusted));
    assert!((number(&adjusted, "effect", 1) + 2.0).abs() < 0.5);
    let clustered = folder.experiment(&[&BASE[..], &["--unit", "user"]].concat()).await.unwrap();
    assert!((number(&clustered, "n", 1) - 10.0).abs() < 1e-9, "users, not runs");
    let out = folder.experiment(&["--variant", "v", "--metric", "seconds/tokens", "--stat", "ratio"]).await.unwrap();
    assert!((40.0..60.0).contains(&number(&out, "estimate", 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn units_in_both_arms_are_compared_with_themselves() {
    let rows = (0..200).flat_map(|i| {
        let hard = 100.0 * noise(i);
        [("a", 0.0), ("b", 1.0)]
            .map(|(arm, shift)| format!("{arm},{:.3},task{i}", hard + shift + noise(i * 2 + shift as u64 + 99)))
    });
    let folder = table("v,seconds,task", rows);
    let base = [&BASE[..], &["--method", "fixed"]].concat();
    let apart = folder.experiment(&base).await.unwrap();
    assert_eq!(said(&apart, 1).0, "inconclusive");
    let paired = folder.experiment(&[&base[..], &["--unit", "task"]].concat()).await.unwrap();
    assert_eq!(said(&paired, 1).0, "rollback", "{:?}", said(&paired, 1));
    assert!(said(&paired, 1).1.contains("200 units are in more than one arm"));
    assert!(number(&paired, "srm_p_value", 1).is_nan(), "there is no split to check");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guardrail_holds_a_ship_back() {
    let errors = |of_new: u64| {
        let row = move |i: u64| {
            let fails = noise(i + 5_000_000) < if i % 2 == 1 { of_new as f64 / 100.0 } else { 0.1 };
            format!("{},{:.3},{}", arm(i), (10.0 + noise(i)) * if i % 2 == 1 { 0.8 } else { 1.0 }, u8::from(fails))
        };
        table("v,seconds,failed", (0..20_000).map(row))
    };
    let base = [&BASE[..], &["--guardrail", "failed=0.25"]].concat();
    let out = errors(10).experiment(&base).await.unwrap();
    assert_eq!((said(&out, 1).0.as_str(), said(&out, 3).0.as_str()), ("ship", "ship"), "{:?}", said(&out, 3));
    assert_eq!(out.words("role").unwrap().at(3), Some("guardrail"));
    let out = errors(20).experiment(&base).await.unwrap();
    assert_eq!((said(&out, 1).0.as_str(), said(&out, 3).0.as_str()), ("rollback", "rollback"), "{:?}", said(&out, 3));
    let out = errors(12).experiment(&base).await.unwrap();
    assert_eq!(said(&out, 1).0, "keep_running", "{:?}", said(&out, 3));
}

/// Two hundred experiments of which one works: without control over all of them ten would be called.
#[tokio::test(flavor = "multi_thread")]
async fn false_discoveries_are_held_over_experiments() {
    let row = |i: u64| {
        let (experiment, run) = (i / 60, i % 60);
        let effect = if experiment == 17 && run % 2 == 1 { 0.5 } else { 0.0 };
        format!("e{experiment:03},{},{:.4}", arm(run), 1.0 + noise(i) - effect)
    };
    let folder = table("id,v,seconds", (0..12_000).map(row));
    let out = folder.experiment(&[&BASE[..], &["--id", "id", "--method", "fixed"]].concat()).await.unwrap();
    let (ids, decisions) = (out.words("experiment_id").unwrap(), out.words("decision").unwrap());
    let called: Vec<&str> = (0..out.height())
        .filter(|row| matches!(decisions.at(*row), Some("ship" | "rollback")))
        .filter_map(|row| ids.at(row))
        .collect();
    assert!(called.contains(&"e017") && called.len() <= 2, "{called:?}");
    let uncorrected = out.numbers("p_value").unwrap().iter().filter(|p| **p < 0.05).count();
    assert!(uncorrected > 5, "{uncorrected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn units_are_assigned_by_the_documented_rule() {
    let units = ["experiment", "assign", "--experiment", "provider-switch", "--arms", "control=50,treatment=50"];
    assert_eq!(command(&[&units[..], &["run-1", "run-2"]].concat()).await.unwrap(), 0);
    let folder = table("run,n", (1..=3).map(|i| format!("run-{i},{i}")));
    let (input, out) = (folder.path("in.csv"), folder.path("out.csv"));
    let from = ["--from", &input, "--unit", "run", "--out", &out];
    assert_eq!(command(&[&units[..], &from].concat()).await.unwrap(), 0);
    let text = std::fs::read_to_string(out).unwrap();
    assert_eq!(text, "row,unit,arm\n0,run-1,treatment\n1,run-2,treatment\n2,run-3,control\n");
    let error = command(&units).await.unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("name units"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_is_planned_or_refused_before_it_starts() {
    let row = |i: u64| format!("{:.3},{:.3},2026-01-{:02}T00:00:00Z", 100.0 * noise(i), noise(i), 1 + i % 28);
    let folder = table("seconds,known,at", (0..2_800).map(row));
    let input = folder.path("in.csv");
    let plan = ["experiment", "plan", &input, "--metric", "seconds", "--time", "at"];
    for more in [&["--min-effect", "0.1"][..], &["--min-effect", "0.001"], &["--min-effect", "0.1", "--format", "json"]]
    {
        assert_eq!(command(&[&plan, more].concat()).await.unwrap(), 0);
    }
    let error = command(&[&plan[..], &["--min-effect", "0.1", "--covariate", "seconds"]].concat()).await.unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("known before"), "{error}");
}
