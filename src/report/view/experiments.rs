//! What worked: each experiment with its decision, and what every arm did.

use super::{Capped, Part};
use crate::report::format;
use crate::report::load::Published;
use crate::tables::published::ExperimentResultRow;
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// Experiments shown.
const CAP: usize = 10;
/// Arms × metrics shown of each.
const ARMS: usize = 20;

/// The experiments, by id.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiments {
    /// Each with its arms.
    pub items: Capped<Experiment>,
}

/// An experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Its id.
    pub id: String,
    /// The type of its workflows.
    pub workflow_type: String,
    /// What its arms say should be done, in words.
    pub decisions: String,
    /// How it was judged, and how often looked at.
    pub method: String,
    /// What is wrong with the split, if something is.
    pub warning: Option<String>,
    /// Arms by metric.
    pub arms: Capped<Arm>,
    /// The effect of each arm on the first metric that decides, over the looks; those with two looks at least.
    pub courses: Vec<Course>,
}

/// An effect as it was seen at each look.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// What is drawn, in words.
    pub description: String,
    /// Cutoff in microseconds, relative effect, and the ends of its interval.
    pub looks: Vec<(i64, f64, f64, f64)>,
}

/// An arm and a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// What is measured.
    pub metric: String,
    /// The arm.
    pub arm: String,
    /// Units.
    pub n: String,
    /// Its own estimate.
    pub estimate: String,
    /// Against the control; none for the control itself.
    pub effect: Option<String>,
    /// The interval of that, with its level.
    pub interval: Option<String>,
    /// The decision in words; none for the control itself.
    pub decision: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// Below it a split is taken to be broken: the threshold that practice uses for sample-ratio mismatch, since it is
/// looked at again and again (Fabijan et al., KDD 2019).
const SRM_ALPHA: f64 = 0.001;

pub(super) fn experiments(published: &Published, zone: Tz) -> Part<Experiments> {
    let Some(rows) = &published.experiments else { return Part::missing("experiments") };
    if rows.is_empty() {
        return Part::Nothing("No experiment is running.".to_owned());
    }
    let mut by_id: BTreeMap<(&str, &str), Vec<&ExperimentResultRow>> = BTreeMap::new();
    for row in rows {
        by_id.entry((&row.experiment_id, &row.workflow_type)).or_default().push(row);
    }
    let total = by_id.len();
    Part::Shown(Experiments {
        items: Capped::of(by_id, total, CAP, |((id, workflow_type), rows)| {
            experiment(published, (id, workflow_type), &rows, zone)
        }),
    })
}

fn experiment(
    published: &Published,
    (id, workflow_type): (&str, &str),
    rows: &[&ExperimentResultRow],
    zone: Tz,
) -> Experiment {
    let mut decisions: Vec<String> =
        rows.iter().filter(|row| row.effect.is_some()).map(|row| decision_words(&row.decision)).collect();
    decisions.sort();
    decisions.dedup();
    let looked = rows.first().map_or_else(String::new, |row| {
        let looks = usize::try_from(row.looks).unwrap_or(0);
        let times = format::plural(looks, "look", "looks");
        let since = format::instant(row.first_look_at.0, zone);
        format!("{}, {times} since {since}", format::words(&row.method))
    });
    let srm = rows.iter().map(|row| row.srm_p_value).fold(f64::NAN, f64::min);
    let warning = (srm < SRM_ALPHA).then(|| {
        format!(
            "The split itself is broken (sample-ratio mismatch, p = {}): don't trust the effects.",
            format::significant(srm, 2)
        )
    });
    Experiment {
        id: format::name(id),
        workflow_type: format::name(workflow_type),
        decisions: if decisions.is_empty() { "no arm beside the control yet".to_owned() } else { decisions.join(", ") },
        method: looked,
        warning,
        arms: Capped::of(rows, rows.len(), ARMS, |row| arm(row)),
        courses: courses(published, rows),
    }
}

/// Arms whose effect is drawn.
const DRAWN: usize = 4;

fn courses(published: &Published, rows: &[&ExperimentResultRow]) -> Vec<Course> {
    let has_effect =
        |row: &&&ExperimentResultRow| row.relative_lower.is_some() && row.role.as_deref() != Some("guardrail");
    let time = || rows.iter().filter(has_effect).find(|row| row.metric == "execution_time");
    let Some(metric) = time().or_else(|| rows.iter().find(has_effect)).map(|row| &row.metric) else {
        return Vec::new();
    };
    let drawn = rows.iter().filter(has_effect).filter(|row| row.metric == *metric).take(DRAWN);
    drawn.map(|row| course(published, row)).filter(|course| course.looks.len() > 1).collect()
}

fn course(published: &Published, row: &ExperimentResultRow) -> Course {
    let is_same = |other: &&ExperimentResultRow| {
        (&other.experiment_id, &other.workflow_type, &other.metric, &other.arm)
            == (&row.experiment_id, &row.workflow_type, &row.metric, &row.arm)
    };
    let look = |at_us: i64, row: &ExperimentResultRow| {
        Some((at_us, row.relative_effect?, row.relative_lower?, row.relative_upper?))
            .filter(|(_, effect, lower, upper)| [effect, lower, upper].iter().all(|value| value.is_finite()))
    };
    let before = published.earlier_looks.iter().filter_map(|(at_us, rows)| look(*at_us, rows.iter().find(is_same)?));
    let looks: Vec<(i64, f64, f64, f64)> = before.chain(look(published.as_of.timestamp_micros(), row)).collect();
    let (metric, arm) = (format::words(&row.metric), format::name(&row.arm));
    Course {
        description: format!(
            "Effect of {arm} on {metric} at each of {} looks, with its {} interval; the dashed line is no effect",
            looks.len(),
            format::level(row.level)
        ),
        looks,
    }
}

fn arm(row: &ExperimentResultRow) -> Arm {
    let unit = super::anomalies::unit_of(&row.metric);
    let relative = row.relative_effect.filter(|effect| effect.is_finite());
    let absolute = row.effect.filter(|effect| effect.is_finite());
    let (effect, interval) = match (relative, absolute) {
        (Some(effect), _) => (
            Some(format::signed_percent(effect)),
            both(row.relative_lower, row.relative_upper).map(|(lower, upper)| {
                format!("{} to {}", format::signed_percent(lower), format::signed_percent(upper))
            }),
        ),
        (None, Some(effect)) => (
            Some(format::value(effect, unit)),
            both(row.effect_lower, row.effect_upper).map(|(lower, upper)| format::range(lower, upper, unit)),
        ),
        (None, None) => (None, None),
    };
    Arm {
        metric: format::words(&row.metric),
        arm: format::name(&row.arm),
        n: format::grouped_usize(usize::try_from(row.n).unwrap_or(0)),
        estimate: format::value(row.estimate, unit),
        decision: effect.is_some().then(|| decision_words(&row.decision)),
        reason: row.reason.clone().filter(|_| effect.is_some()),
        effect,
        interval: interval.map(|interval| format!("{interval}, {}", format::level(row.level))),
    }
}

fn both(lower: Option<f64>, upper: Option<f64>) -> Option<(f64, f64)> {
    Some((lower?, upper?))
}

fn decision_words(decision: &str) -> String {
    match decision {
        "ship" => "ship it".to_owned(),
        "rollback" => "roll it back".to_owned(),
        "keep_running" => "keep running".to_owned(),
        other => format::words(other),
    }
}
