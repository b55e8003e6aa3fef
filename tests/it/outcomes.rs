//! Recommendations that people apply, what these turn out to do, and what is made of that.

use crate::postgres::Server;
use crate::publish::same_rows;
use crate::workplace::{Ended, Workplace, numbers, texts};
use polars::prelude::DataFrame;
use serde_json::Value;
use std::collections::BTreeMap;

/// Midnight of the day on which a step of `web-ci` becomes 40 % slower: what is "applied" then does harm.
const SLOWER_SINCE: &str = "2026-09-28T00:00:00Z";

fn ended(place: &Workplace, arguments: &[&str]) -> Ended {
    Ended::of(place.command(arguments).output().unwrap())
}

fn said(place: &Workplace, arguments: &[&str]) -> String {
    let ended = ended(place, arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

fn refused(place: &Workplace, arguments: &[&str], because: &str) {
    let ended = ended(place, arguments);
    assert!(ended.code == Some(2) && ended.stderr.contains(because), "{because}: {ended:?}");
}

fn listed(place: &Workplace, workflow: &str) -> Vec<Value> {
    serde_json::from_str(&said(place, &["recommend", "list", "--workflow", workflow, "--format", "json"])).unwrap()
}

fn id_of(recommendation: &Value) -> String {
    recommendation["recommendation_id"].as_str().unwrap().to_owned()
}

fn of_type<'a>(all: &'a [Value], kind: &str) -> &'a Value {
    all.iter().find(|one| one["type"] == kind).unwrap_or_else(|| panic!("no {kind} in {all:#?}"))
}

fn run(place: &Workplace, as_of: &str) {
    assert_eq!(place.run("results", &["--as-of", as_of]).outcome(0)["already_committed"], false);
}

/// The rows as of the newest run: those of all runs lie one after another.
async fn newest(place: &Workplace, table: &str, as_of: &str) -> DataFrame {
    let path = format!("{table}/as_of={}/part-0.parquet", as_of.replace(':', "-"));
    let bytes = place.store("results").get(&path).await.unwrap().unwrap();
    paceline::ingest::raw::parquet(&bytes, |_| true).unwrap()
}

/// Propensities of open recommendations sum to 1 in each workflow, and others have none.
fn propensities_sum_to_one(recommendations: &DataFrame) {
    let (workflows, statuses) = (texts(recommendations, "workflow_id"), texts(recommendations, "status"));
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for (row, propensity) in numbers(recommendations, "propensity").into_iter().enumerate() {
        if statuses[row] == "open" {
            *sums.entry(&workflows[row]).or_default() += propensity;
        } else {
            assert!(propensity == 0.0, "{}", statuses[row]);
        }
    }
    assert!(!sums.is_empty() && sums.values().all(|sum| (sum - 1.0).abs() < 1e-12), "{sums:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_applied_recommendation_did_is_measured_and_learned_from() {
    const LATER: [&str; 3] = ["2026-10-09T00:00:00Z", "2026-10-10T00:00:00Z", "2026-10-11T00:00:00Z"];
    let server = Server::start();
    let place = Workplace::sample();
    if let Some(server) = &server {
        place.use_postgres(server);
    }
    run(&place, "2026-10-08T00:00:00Z");
    propensities_sum_to_one(&newest(&place, "recommendations", "2026-10-08T00:00:00Z").await);
    assert_eq!(newest(&place, "outcomes", "2026-10-08T00:00:00Z").await.height(), 0);
    let before = listed(&place, "web-ci");
    let cache = of_type(&before, "CACHING");
    let id = id_of(cache);
    refused(&place, &["recommend", "apply", "zzz"], "no recommendation");
    refused(&place, &["recommend", "apply", &id, "--at", "2999-01-01T00:00:00Z"], "in the future");
    refused(&place, &["recommend", "rollback", &id], "only what is applied");
    let apply = ["recommend", "apply", &id[..8], "--at", SLOWER_SINCE, "--by", "ops", "--reason", "it was due"];
    assert!(said(&place, &apply).contains("applied since 2026-09-28T00:00:00Z: entry 2"));
    assert!(said(&place, &["recommend", "apply", &id]).contains("is applied already"));
    refused(&place, &["recommend", "dismiss", &id], "recommend rollback");
    assert_eq!(of_type(&listed(&place, "web-ci"), "CACHING")["status"], "applied", "also before the next run");

    run(&place, LATER[0]);
    let outcomes = newest(&place, "outcomes", LATER[0]).await;
    let number = |column: &str| numbers(&outcomes, column)[0];
    let text = |column: &str| texts(&outcomes, column)[0].clone();
    assert_eq!(outcomes.height(), 1);
    assert_eq!([text("recommendation_id"), text("workflow_type"), text("verdict")], [id.as_str(), "ci", "worse"]);
    assert_eq!(text("metric"), "execution_time");
    assert!(number("measured_share_upper") < 0.0 && number("measured_saving_ms") < 0.0);
    assert!(number("n_before") > 100.0 && number("n_after") > 50.0);
    for column in ["saving_ms", "saving_ms_lower", "saving_ms_upper"] {
        assert!((number(&format!("predicted_{column}")) - cache[column].as_f64().unwrap()).abs() < 1e-9, "{column}");
    }
    assert_eq!(Some(number("propensity")), cache["propensity"].as_f64());
    let after = listed(&place, "web-ci");
    let (applied, rank) = (of_type(&after, "CACHING"), |one: &Value| one["rank"].as_i64().unwrap());
    // The stated prior counts for four outcomes, this is a fifth.
    assert!((cache["probability"].as_f64().unwrap() - 0.7).abs() < 1e-12);
    assert!((applied["probability"].as_f64().unwrap() - 4.0 * 0.7 / 5.0).abs() < 1e-12, "{applied}");
    assert!(after.iter().filter(|one| one["status"] == "open").all(|open| rank(open) < rank(applied)), "{after:#?}");
    let recommendations = newest(&place, "recommendations", LATER[0]).await;
    assert_eq!(texts(&recommendations, "status").iter().filter(|status| *status == "applied").count(), 1);
    propensities_sum_to_one(&recommendations);
    let shown = said(&place, &["recommend", "show", &id]);
    assert!(shown.contains("status       applied") && shown.contains("outcome      worse: applied"), "{shown}");
    assert!(said(&place, &["recommend", "show", &id, "--format", "json"]).contains("\"verdict\": \"worse\""));

    let other = id_of(after.iter().find(|one| one["status"] == "open").unwrap());
    said(&place, &["recommend", "dismiss", &other, "--by", "ops"]);
    refused(&place, &["recommend", "rollback", &id, "--at", "2026-09-01T00:00:00Z"], "lies before");
    said(&place, &["recommend", "rollback", &id, "--at", "2026-10-05T00:00:00Z"]);
    run(&place, LATER[1]);
    let outcomes = newest(&place, "outcomes", LATER[1]).await;
    assert_eq!(texts(&outcomes, "verdict"), ["worse"], "outcomes of what was rolled back count");
    assert_eq!(outcomes.column("rolled_back_at").unwrap().null_count(), 0);
    let all: Vec<Value> = serde_json::from_str(&said(&place, &["recommend", "list", "--format", "json"])).unwrap();
    assert_eq!(
        (all.last().unwrap()["status"].as_str(), id_of(all.last().unwrap())),
        (Some("dismissed"), other.clone())
    );
    assert_eq!(of_type(&listed(&place, "web-ci"), "CACHING")["status"], "rolled_back");

    // It was never applied, and the other may be done after all.
    said(&place, &["recommend", "reopen", &other]);
    said(&place, &["recommend", "apply", &id, "--at", SLOWER_SINCE]);
    said(&place, &["recommend", "reopen", &id]);
    run(&place, LATER[2]);
    assert_eq!(newest(&place, "outcomes", LATER[2]).await.height(), 0);
    assert!(texts(&newest(&place, "recommendations", LATER[2]).await, "status").iter().all(|status| status == "open"));
    assert_eq!(place.verified_entries("results").await, 4 + 6);
    if let Some(server) = &server {
        let rows = same_rows(server, &place.store("results")).await;
        assert_eq!(rows["outcomes"], 2, "what was told of the same instant again, and then taken back, never was");
    }
}
