#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "tests")]

use super::*;
use crate::recommend::beliefs::Beliefs;

fn policy(exploration_rate: f64, as_of_us: i64) -> Policy {
    Policy { exploration_rate, seed: 3, as_of_us }
}

#[test]
fn propensities_sum_to_one_and_are_those_of_the_draws() {
    const DRAWS: i64 = 20_000;
    for (rate, n) in [(0.0, 3), (0.1, 1), (0.1, 4), (0.5, 7), (1.0, 2)] {
        let mut first = vec![0.0; n];
        for as_of_us in 0..DRAWS {
            let lead = policy(rate, as_of_us).lead("etl", n).unwrap();
            assert!((lead.propensities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            first[lead.position] += 1.0 / DRAWS as f64;
        }
        let stated = policy(rate, 0).lead("etl", n).unwrap().propensities;
        for (found, stated) in first.iter().zip(&stated) {
            assert!((found - stated).abs() < 0.012, "{rate} {n}: {first:?} {stated:?}");
        }
    }
}

#[test]
fn greedy_is_certain_and_nothing_has_no_lead() {
    for rate in [0.0, -1.0, f64::NAN] {
        let lead = policy(rate, 5).lead("etl", 3).unwrap();
        assert_eq!((lead.position, lead.propensities), (0, vec![1.0, 0.0, 0.0]));
    }
    assert_eq!(policy(0.1, 5).lead("etl", 0), None);
    assert_eq!(policy(7.0, 5).lead("etl", 2).unwrap().propensities, [0.5, 0.5]);
}

#[test]
fn a_draw_repeats_and_depends_on_seed_instant_and_workflow() {
    let leads = |seed: u64, workflow: &str| -> Vec<usize> {
        let of = |as_of_us| Policy { exploration_rate: 1.0, seed, as_of_us }.lead(workflow, 5).unwrap().position;
        (0..40).map(of).collect()
    };
    assert_eq!(leads(1, "etl"), leads(1, "etl"));
    assert!(leads(1, "etl") != leads(2, "etl") && leads(1, "etl") != leads(1, "ml"));
}

/// The mean loss of a world over `rounds`: in each, what comes first is applied, and its outcome is learned from.
/// Three classes are worth the same; the rule is most sure of the one that works least.
fn regret(world: u64, rate: f64, learns: bool, rounds: i64) -> f64 {
    const CLASSES: [(&str, f64, f64); 3] =
        [("CACHING", 0.7, 0.2), ("PARALLEL_PROCESSING", 0.6, 0.5), ("ALGORITHM_OPTIMIZATION", 0.4, 0.8)];
    let mut beliefs = Beliefs::default();
    let mut nature = Xoshiro256PlusPlus::seed_from_u64(world);
    let mut lost = 0.0;
    for as_of_us in 0..rounds {
        let believed =
            |(kind, prior, _): &(&str, f64, f64)| beliefs.posterior(kind, "performance", None, *prior).mean();
        let mut order = CLASSES;
        order.sort_by(|a, b| believed(b).total_cmp(&believed(a)));
        let lead = Policy { exploration_rate: rate, seed: world, as_of_us }.lead("etl", order.len()).unwrap();
        let (kind, _, truth) = order[lead.position];
        lost += 0.8 - truth;
        if learns {
            beliefs.learn(kind, "performance", None, nature.random::<f64>() < truth);
        }
    }
    lost / rounds as f64
}

#[test]
fn what_works_is_learned_against_the_priors() {
    const WORLDS: u64 = 300;
    let mean = |rate: f64, learns: bool, rounds: i64| {
        (0..WORLDS).map(|world| regret(world, rate, learns, rounds)).sum::<f64>() / WORLDS as f64
    };
    let fixed = mean(0.0, false, 200);
    let (early, late) = (mean(0.1, true, 20), mean(0.1, true, 200));
    assert!((fixed - 0.6).abs() < 1e-12, "the rule's favourite is never given up");
    let greedy = mean(0.0, true, 200);
    assert!(greedy < fixed && late < 0.7 * greedy, "trying others pays: {late} {greedy}");
    assert!(early < fixed && late < 0.5 * early && late < 0.2 * fixed, "{fixed} {early} {late}");
}

#[test]
fn logged_propensities_judge_another_policy() {
    // "Always the second" is judged by what ε-greedy logged: the mean of rewards weighted by 1 / propensity.
    const ROUNDS: i64 = 40_000;
    let truth = [0.7, 0.4, 0.1];
    let mut nature = Xoshiro256PlusPlus::seed_from_u64(11);
    let mut sum = 0.0;
    for as_of_us in 0..ROUNDS {
        let lead = policy(0.3, as_of_us).lead("etl", 3).unwrap();
        let reward = f64::from(u8::from(nature.random::<f64>() < truth[lead.position]));
        sum += if lead.position == 1 { reward / lead.propensities[1] } else { 0.0 };
    }
    assert!((sum / ROUNDS as f64 - 0.4).abs() < 0.03, "{}", sum / ROUNDS as f64);
}
