use super::*;
use crate::units::Level;

fn proposal(id: &str, workflow: &str, kind: &'static str, worth: f64) -> Proposal {
    let recommendation = Recommendation {
        recommendation_id: id.to_owned(),
        rank: 0,
        workflow_id: workflow.to_owned(),
        workflow_type: None,
        target: "align".to_owned(),
        kind,
        category: "performance",
        title: String::new(),
        impact: worth,
        impact_lower: 0.0,
        impact_upper: 1.0,
        level: Level::DEFAULT,
        saving_ms: 1.0,
        saving_ms_lower: 0.0,
        saving_ms_upper: 2.0,
        saving_usd: None,
        saving_usd_lower: None,
        saving_usd_upper: None,
        feasibility: 0.5,
        effort: "low",
        risk: "low",
        probability: 0.5,
        propensity: 0.0,
        actions: Vec::new(),
        evidence: Vec::new(),
        status: Status::Open,
        portfolio_rank: 0,
        portfolio_saving_ms: 0.0,
        inferred_confidence: None,
    };
    Proposal { recommendation, changes: Vec::new(), worth }
}

/// Five of two workflows, best first: a, b, c of `v`, and x between, y after them, of `w`.
fn five() -> Vec<Proposal> {
    vec![
        proposal("y", "w", "CACHING", 0.1),
        proposal("c", "v", "CACHING", 0.2),
        proposal("x", "w", "LOAD_BALANCING", 0.35),
        proposal("a", "v", "CACHING", 0.5),
        proposal("b", "v", "LOAD_BALANCING", 0.4),
    ]
}

fn ranked(learned: &Learned) -> Vec<Recommendation> {
    rank(five(), &[], &Params::default(), learned)
}

fn ids(ranked: &[Recommendation]) -> String {
    ranked.iter().map(|one| one.recommendation_id.as_str()).collect()
}

#[test]
fn greedy_is_by_expected_worth_with_certain_propensities() {
    let found = ranked(&Learned::default());
    assert_eq!(ids(&found), "abxcy");
    assert_eq!(found.iter().map(|one| one.propensity).collect::<Vec<_>>(), [1.0, 0.0, 1.0, 0.0, 0.0]);
    assert!((1..).zip(&found).all(|(rank, one)| one.rank == rank));
}

#[test]
fn what_is_decided_on_comes_after_what_is_open_and_what_is_dismissed_last() {
    let decided = [("a", Status::Applied), ("b", Status::Dismissed), ("x", Status::RolledBack)];
    let statuses = decided.map(|(id, status)| (id.to_owned(), status)).into();
    let found = ranked(&Learned { statuses, ..Learned::default() });
    assert_eq!(ids(&found), "cyaxb");
    assert_eq!(found.iter().map(|one| one.propensity).collect::<Vec<_>>(), [1.0, 1.0, 0.0, 0.0, 0.0]);
    assert_eq!(found.last().map(|one| one.status.as_str()), Some("dismissed"));
    // Their own order within the workflow follows: c, then a, then b.
    let place = |id: &str| found.iter().find(|one| one.recommendation_id == id).map(|one| one.portfolio_rank);
    assert_eq!([place("c"), place("a"), place("b")], [Some(1), Some(2), Some(3)]);
}

#[test]
fn a_lead_takes_its_workflows_first_place_and_the_others_keep_their_order() {
    let mut seen = std::collections::BTreeSet::new();
    for as_of_us in 0..200 {
        let policy = Policy { exploration_rate: 1.0, seed: 1, as_of_us };
        let found = ranked(&Learned { policy, ..Learned::default() });
        let (v, w): (Vec<_>, Vec<_>) = found.iter().cloned().partition(|one| one.workflow_id == "v");
        assert!(["abc", "bac", "cab"].contains(&ids(&v).as_str()) && ["xy", "yx"].contains(&ids(&w).as_str()));
        assert_eq!(found.iter().map(|one| one.workflow_id.as_str()).collect::<String>(), "vvwvw", "places stay");
        for (of, n) in [(&v, 3.0), (&w, 2.0)] {
            assert!(of.iter().all(|one| (one.propensity - 1.0 / n).abs() < 1e-12));
        }
        seen.insert(ids(&found));
    }
    assert_eq!(seen.len(), 6, "every pair of leads comes up: {seen:?}");
}

#[test]
fn what_outcomes_teach_changes_probability_and_place() {
    let mut learned = Learned::default();
    learned.workflow_types.insert("v".to_owned(), "etl".to_owned());
    for _ in 0..4 {
        learned.beliefs.learn("CACHING", "performance", Some("etl"), false);
    }
    let found = ranked(&learned);
    let probability = |id: &str| found.iter().find(|one| one.recommendation_id == id).map(|one| one.probability);
    // Four outcomes of the prior and four failures: 2 of 8; and 2 of 8 of others for the workflow of unknown type.
    assert_eq!([probability("a"), probability("b"), probability("y")], [Some(0.25), Some(0.5), Some(0.25)]);
    assert_eq!(ids(&found), "bxacy");
    assert_eq!(found.iter().filter_map(|one| one.workflow_type.as_deref()).collect::<Vec<_>>(), ["etl"; 3]);
}
