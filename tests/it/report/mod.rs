//! The report from published tables: complete, empty, hostile and huge ones.

mod fixture;

use chrono_tz::Tz;
use fixture::{as_of, bottleneck, change_point, put, put_history, put_week, recommendation, skip, step_times};
use paceline::cli::recommend::{RecommendArgs, RecommendCommand, ShowArgs, listed, recommend, shown};
use paceline::cli::report::{ReportArgs, report};
use paceline::cli::results::ResultsArgs;
use paceline::error::Error;
use paceline::io::Store;
use paceline::pure::series::Metric;
use paceline::report::{ViewParams, choose_as_of, html, load, view};
use paceline::tables::published::{AnomalyRow, ChangePointRow, SkipRow, StepTimesRow};
use std::process::Command;

const BERLIN: ViewParams = ViewParams {
    timezone: Tz::Europe__Berlin,
    include_recommendations: true,
    include_trends: true,
    include_forecasts: true,
};

const UTC: ViewParams = ViewParams { timezone: Tz::UTC, ..BERLIN };

fn results() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    (folder, store)
}

async fn page(store: &Store, params: &ViewParams) -> String {
    html(&view(&load(store, as_of()).await.unwrap(), params))
}

#[tokio::test]
async fn a_week_is_told_from_its_tables_alone() {
    let (_folder, store) = results();
    put_week(&store).await;
    let page = page(&store, &BERLIN).await;
    // For those who want to look at it.
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/report.html"), &page).unwrap();
    let page = page.replace('\u{a0}', " ");
    let said = [
        "As of 2026-10-05 08:00",
        "Times are in Europe/Berlin",
        "28 Sep to 4 Oct, beside 21 Sep to 27 Sep",
        "+75 %",
        "28 m → <b>49 m</b>",
        "Give align 8 cores in place of 4",
        "<del class=\"out\">4</del>",
        "$0.42 ($0.30 to $0.55)",
        "gcp takes 18 % less time than aws",
        "ship it",
        "1 change of scatter in the last 30 days",
        "In the next 30 days 2 capacities run short.",
        "at ×1.5 the runs",
        "130 executions",
        "20 Oct",
        "+26 % to +54 %, 95 %",
        "size_regression is within 20 % of the truth for 71 % of held-out executions, better than",
        "Its 90 % intervals held 88.5 % of the truth, as promised.",
        "replay is within 20 % of the truth for 83 % of held-out runs, better than the best simple rule",
        "Intervals that do not hold what they promise",
        "71 % of 90 %",
        "too narrow",
        "negative duration",
        "needs 14 buckets with data",
        "unclear",
        "Run <bdi>rnaseq-0417</bdi> took <b>1 h 40 m</b>",
        "5 steps over 1 h 40 m; its end waited for: fetch, align, quantify.",
        "<title>align: 22 m to 1 h 20 m, after a wait of 12 m; 70 % of the runs’ time</title>",
        "not in this run",
        "that recommendations would save, each on its own",
    ];
    for text in said {
        assert!(page.contains(text), "{text:?} is missing");
    }
    assert!(!page.contains("NaN") && !page.contains("inf"), "a number that is none is shown");
}

#[tokio::test]
async fn the_page_needs_nothing_but_itself() {
    let (_folder, store) = results();
    put_week(&store).await;
    let page = page(&store, &BERLIN).await;
    for outside in ["http://", "https://", "//", "<script", "<link", "@import", "url(", "<img", "<iframe"] {
        assert!(!page.contains(outside), "{outside} is in the page");
    }
    let headings: Vec<u32> = page.split("<h").filter_map(|part| part.chars().next()?.to_digit(10)).collect();
    assert_eq!(headings.first(), Some(&1));
    assert!(headings.windows(2).all(|pair| pair[1] <= pair[0] + 1), "a heading level is left out: {headings:?}");
}

#[tokio::test]
async fn the_same_tables_give_the_same_bytes() {
    let (_folder, store) = results();
    put_week(&store).await;
    assert_eq!(page(&store, &BERLIN).await, page(&store, &BERLIN).await);
}

#[tokio::test]
async fn what_is_not_wanted_is_left_out() {
    let (_folder, store) = results();
    put_week(&store).await;
    let params =
        ViewParams { include_recommendations: false, include_trends: false, include_forecasts: false, ..BERLIN };
    let page = page(&store, &params).await;
    for text in [
        "What to do next",
        "Where things are heading",
        "What will happen",
        "When capacity runs short",
        "Give align",
        "would save",
        "What applied",
    ] {
        assert!(!page.contains(text), "{text:?} is there");
    }
}

#[tokio::test]
async fn what_applied_recommendations_did_is_told_beside_what_was_promised() {
    let (_folder, store) = results();
    put_week(&store).await;
    let page = page(&store, &BERLIN).await.replace('\u{a0}', " ");
    for text in [
        "What applied recommendations did",
        "3 recommendations were applied: 1 worked, 0 had no effect, 1 made it worse; of 1 nobody can say yet.",
        "17 %",
        "13 % to 21 %, 95 %",
        "−30 %",
    ] {
        assert!(page.contains(text), "{text:?} is missing");
    }
}

#[tokio::test]
async fn missing_and_empty_tables_are_said_to_be_so() {
    let (_folder, store) = results();
    put::<ChangePointRow>(&store, Vec::new()).await;
    put::<SkipRow>(&store, Vec::new()).await;
    let page = page(&store, &BERLIN).await;
    for text in [
        "No daily rollups are published.",
        "Nothing changed its normal in the last 30 days.",
        "Everything could be analysed.",
        "The table recommendations was not published",
        "The table rejects was not published",
    ] {
        assert!(page.contains(text), "{text:?} is missing");
    }
}

#[tokio::test]
async fn names_from_outside_stay_text() {
    let (_folder, store) = results();
    let name = "</title><script>alert(\"1\")</script>\n&'../\u{202e}";
    put_history(&store).await;
    put(&store, vec![change_point(name, Some(name), Metric::ExecutionTime, 2, 1.5)]).await;
    put(&store, vec![bottleneck(1, name, name, 0.3)]).await;
    let mut recommendation = recommendation(1, name, "x");
    recommendation.title = name.to_owned();
    recommendation.actions.0 = serde_json::json!([{ "op": name, "path": name, "from": name, "to": name }]).to_string();
    put(&store, vec![recommendation]).await;
    put(&store, vec![AnomalyRow { reasons: vec![name.to_owned()], ..fixture::anomaly(name, name, 0.9, name) }]).await;
    put(&store, vec![skip(name, name, name)]).await;
    put(&store, vec![step_times(name, name, 1.0, Some([0.0, 1.0, 2.0]))]).await;
    let page = page(&store, &BERLIN).await;
    assert!(!page.contains("<script") && !page.contains("../\u{202e}"));
    assert!(page.contains("&lt;/title&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;␊&amp;"));
    assert_eq!(page.matches("</title>").count(), page.matches("<title").count());
}

#[tokio::test]
async fn ten_thousand_steps_fit_on_a_page() {
    let (_folder, store) = results();
    let step = |n: i64| format!("step-{n:05}");
    let changes = (0..10_000).zip((1..26).cycle());
    let changes = changes.map(|(n, days)| change_point("big", Some(&step(n)), Metric::Cost, days, 1.1));
    put(&store, changes.collect()).await;
    put(&store, (1..=10_000).map(|n| bottleneck(n, "big", &step(n), 1.0 / n as f64)).collect()).await;
    put(&store, (1..=10_000).map(|n| recommendation(n, "big", &step(n))).collect()).await;
    put(&store, (0..10_000).map(|n| fixture::anomaly(&step(n), "x", 0.5, "low")).collect()).await;
    put(&store, (0..10_000).map(|n| skip("trends", &step(n), &format!("needs 14, found {n}"))).collect()).await;
    let trends = (0..10_000).map(|n| fixture::trend("big", Some(&step(n)), Metric::Cost, 30, "degrading"));
    put(&store, trends.collect()).await;
    let steps = (0..10_000).map(|n| step_times("big", &step(n), 1e-4, Some([0.0, 0.0, 1.0])));
    let others = (0..500).map(|n| step_times(&format!("other-{n}"), "only", 1.0, Some([0.0, 0.0, 1.0])));
    put(&store, steps.chain(others).collect()).await;
    let page = page(&store, &BERLIN).await;
    assert!(page.len() < 300_000, "{} bytes", page.len());
    for text in [
        "9,990 more with smaller impact",
        "10,000 executions stand out",
        "9,972 more recommendations",
        "9,985 more steps, with 99.85",
        "498 more workflows",
    ] {
        assert!(page.contains(text), "{text:?} is missing");
    }
}

#[tokio::test]
async fn what_a_run_waits_for_is_drawn_of_the_workflows_with_most_to_gain() {
    let (_folder, store) = results();
    let span = Some([0.0, 0.0, 30.0]);
    let unknown = |step: &str| StepTimesRow {
        wait_ms: f64::NAN,
        inferred_confidence: Some(0.996),
        ..step_times("untimed", step, 0.5, span)
    };
    put(&store, vec![bottleneck(1, "guilty", "s", 0.4)]).await;
    put(
        &store,
        vec![StepTimesRow { blocking_ms: 1.0, ..step_times("guilty", "s", 1.0, span) }, unknown("a"), unknown("b")],
    )
    .await;
    let shown = page(&store, &BERLIN).await.replace('\u{a0}', " ");
    let (first, second) = (shown.find("Run <bdi>guilty-0417"), shown.find("Run <bdi>untimed-0417"));
    assert!(first.is_some() && first < second, "what costs most comes before what takes longest");
    for text in ["as early as its dependencies let it start", "with a confidence of 99.6 % or more"] {
        assert_eq!(shown.matches(text).count(), 1, "{text:?}");
    }
    put::<StepTimesRow>(&store, Vec::new()).await;
    assert!(page(&store, &BERLIN).await.contains("No workflow has runs that can be replayed."));
}

#[tokio::test]
async fn numbers_that_are_none_do_not_break_the_page() {
    let (_folder, store) = results();
    put_history(&store).await;
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, f64::MAX, 5e-324];
    let changes = odd.iter().enumerate().map(|(n, ratio)| ChangePointRow {
        after: *ratio,
        ..change_point("rnaseq", Some(&format!("s{n}")), Metric::ExecutionTime, 3, *ratio)
    });
    put(&store, changes.collect()).await;
    put(&store, odd.iter().zip(1..).map(|(impact, rank)| bottleneck(rank, "rnaseq", "s", *impact)).collect()).await;
    let steps = odd.iter().enumerate().map(|(n, odd)| StepTimesRow {
        typical_end_ms: Some(*odd),
        wait_ms: *odd,
        ..step_times("rnaseq", &format!("s{n}"), *odd, Some([0.0, *odd, -odd]))
    });
    put(&store, steps.collect()).await;
    let mut forecasts = fixture::forecast("rnaseq", Metric::ExecutionTime, 5.0e6);
    for (row, odd) in forecasts.iter_mut().zip(odd.iter().cycle()) {
        (row.point, row.lower, row.upper) = (*odd, -odd, *odd);
    }
    put(&store, forecasts).await;
    let page = page(&store, &BERLIN).await;
    assert!(!page.contains("NaN") && !page.contains(">inf"), "a number that is none is shown");
}

#[tokio::test]
async fn the_as_of_is_the_latest_or_the_one_asked_for() {
    let (_folder, store) = results();
    put::<SkipRow>(&store, Vec::new()).await;
    let uncommitted = choose_as_of(&store, None).await;
    assert!(matches!(uncommitted, Err(Error::Input(_))), "{uncommitted:?}");
    fixture::commit(&store).await;
    assert_eq!(choose_as_of(&store, None).await.unwrap(), as_of());
    assert_eq!(choose_as_of(&store, Some(as_of())).await.unwrap(), as_of());
    let error = choose_as_of(&store, Some(as_of() - chrono::TimeDelta::days(1))).await.unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("2026-10-05T06:00:00Z"), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let (_folder, store) = results();
    store.put("skips/as_of=2026-10-05T06-00-00Z/part-0.parquet", "PAR1 nothing".as_bytes().to_vec()).await.unwrap();
    let error = load(&store, as_of()).await.unwrap_err();
    assert!(error.exit_code() == 6, "{error}");
}

fn of(folder: &tempfile::TempDir) -> ResultsArgs {
    ResultsArgs {
        config: None,
        results: Some(folder.path().display().to_string()),
        as_of: paceline::cli::results::PublishedAsOf::Latest,
    }
}

#[tokio::test]
async fn the_command_writes_one_file() {
    let (folder, store) = results();
    put_week(&store).await;
    fixture::commit(&store).await;
    let out = folder.path().join("report.html");
    let code = report(&ReportArgs { results: of(&folder), out: Some(out.clone()) }).await.unwrap();
    assert_eq!((code, std::fs::read_to_string(&out).unwrap()), (0, page(&store, &UTC).await));
    let nowhere = report(&ReportArgs { results: of(&folder), out: Some(folder.path().join("no/such/x.html")) }).await;
    assert_eq!(nowhere.unwrap_err().exit_code(), 5);
}

#[tokio::test]
async fn recommendations_are_shown_by_the_beginning_of_their_id() {
    let (folder, store) = results();
    put_week(&store).await;
    fixture::commit(&store).await;
    let show = |id: &str| RecommendArgs {
        command: RecommendCommand::Show(ShowArgs {
            id: id.to_owned(),
            results: of(&folder),
            format: paceline::cli::output::Format::Json,
        }),
    };
    assert_eq!(recommend(&show("rec-000000000002")).await.unwrap(), 0);
    for (id, says) in [("rec-", "begins 3 ids"), ("nothing", "recommend list")] {
        let error = recommend(&show(id)).await.unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(says), "{error}");
    }
}

#[test]
fn recommendations_in_the_terminal() {
    let mut hostile = recommendation(2, "nightly\u{1b}[2J", "load");
    hostile.title = "two\nlines".to_owned();
    let list = listed(&[recommendation(1, "rnaseq", "align"), hostile.clone()]).replace('\u{a0}', " ");
    assert_eq!(
        list.lines().map(str::trim_end).collect::<Vec<_>>(),
        [
            " rank  id                workflow     saves per run  interval           effort  risk  works  status  what",
            "    1  rec-000000000001  rnaseq           36 m 40 s  25 m 40 s to 44 m  low     low    70 %  open    Give align 8 cores in place of 4",
            "    2  rec-000000000002  nightly␛[2J      18 m 20 s  12 m 50 s to 22 m  low     low    70 %  open    two␊lines",
        ]
    );
    let one = shown(&hostile, &[], &["bottlenecks:b1: high, slow".to_owned()]).replace('\u{a0}', " ");
    assert!(one.contains("action       set /steps/load/resources/cpu: 4 → 8") && !one.contains('\u{1b}'), "{one}");
    assert!(one.contains("undo         set /steps/load/resources/cpu back to 4"), "{one}");
    assert!(one.contains("undo         put /steps/load/cache back to what it was, or take it out"), "{one}");
    assert!(one.contains("evidence     bottlenecks:b1: high, slow"), "{one}");
}

/// A Python that has what the notebooks need; `PACELINE_PYTHON` names one that is not first in PATH.
fn python() -> Option<String> {
    let named = std::env::var("PACELINE_PYTHON").ok();
    let is_complete = |python: &String| {
        let output = Command::new(python).args(["-c", "import duckdb, matplotlib, polars, pyarrow"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    named.into_iter().chain(["python3".to_owned()]).find(is_complete)
}

#[tokio::test]
async fn the_notebooks_execute_on_published_tables() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with duckdb, matplotlib, polars and pyarrow in PATH or PACELINE_PYTHON");
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/notebook.py");
    let (full, store) = results();
    put_week(&store).await;
    let (empty, store_of_empty) = results();
    put_history(&store_of_empty).await;
    for (folder, store) in [(&full, &store), (&empty, &store_of_empty)] {
        paceline::publish::dictionary::write(store).await.unwrap();
        let output = Command::new(&python).arg(script).arg(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
