//! Decisions in words.

use super::verdict::{Trial, TrialArm};
use super::{DecisionParams, Method};

fn percent(ratio: f64) -> String {
    format!("{:.1} %", 100.0 * ratio)
}

pub(super) fn guardrail_holds(margin: f64) -> String {
    format!("shown to be worse by less than {}", percent(margin))
}

pub(super) fn guardrail_broken(margin: f64) -> String {
    format!("shown to be worse by more than {}", percent(margin))
}

pub(super) fn guardrail_open(margin: f64) -> String {
    format!("not yet shown to be worse by less than {}", percent(margin))
}

pub(super) fn nothing_to_compare(trial: &Trial, arm: &TrialArm) -> String {
    let control = trial.arms.iter().find(|one| one.name == trial.control);
    match control {
        None => format!("the control {:?} has no rows", trial.control),
        Some(control) if control.n == 0 => format!("the control {:?} has no values", trial.control),
        Some(_) if arm.n == 0 => "the arm has no values".to_owned(),
        Some(_) => "there is nothing to compare".to_owned(),
    }
}

pub(super) fn no_spread(trial: &Trial, arm: &TrialArm) -> String {
    let control = trial.arms.iter().find(|one| one.name == trial.control).map_or(0, |control| control.n);
    if arm.n < 2 || control < 2 {
        return "a single unit tells nothing of chance: at least two are needed in each arm".to_owned();
    }
    if arm.n < FEW || control < FEW {
        return "too few units, or all values equal: nothing can be said about chance".to_owned();
    }
    "all values are equal, or too few lie beyond the quantile: nothing can be said about chance".to_owned()
}

const FEW: u64 = 20;

pub(super) fn before_and_after() -> String {
    "before and after, not side by side: what else changed meanwhile can't be told from the effect".to_owned()
}

pub(super) fn no_effect_that_matters(margin: f64) -> String {
    format!("shown to differ by less than {}", percent(margin))
}

pub(super) fn significant(direction: &str, p: f64, threshold: f64, params: &DecisionParams) -> String {
    let looks = match params.method {
        Method::Fixed => "at one look",
        Method::Sequential => "at any look",
    };
    format!("{direction} {looks}: p = {p:.2e} over its arms, at most {threshold:.3} may count")
}

pub(super) fn not_significant(needed: f64) -> String {
    format!("no effect is shown; one of this size would need {} units", count(needed))
}

pub(super) fn hopeless(needed: f64, days: f64, max_days: f64) -> String {
    format!(
        "out of reach: needs {} units, {} days more; at most {max_days:.0} are waited for",
        count(needed),
        count(days)
    )
}

pub(super) fn goes_on(needed: f64, days: Option<f64>) -> String {
    let when = days.map_or_else(String::new, |days| format!(", in some {} days", count(days.ceil())));
    format!("an effect of this size would be found at {} units{when}", count(needed))
}

/// Two digits are all that such a figure is worth.
fn count(units: f64) -> String {
    if units < 100.0 {
        return format!("{units:.0}");
    }
    let scale = 10_f64.powf(units.log10().floor() - 1.0);
    format!("{:.0}", (units / scale).ceil() * scale)
}
