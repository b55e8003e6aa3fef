//! The few sentences to read if nothing else is read.

use super::{Changes, Headline, Part, Recommendations, Slow, Tone};

/// A sentence and the section that says more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What kind of news.
    pub label: &'static str,
    /// The sentence.
    pub text: String,
    /// The id of the section.
    pub section: &'static str,
}

pub(super) fn summary(
    headline: &Part<Headline>,
    changes: &Part<Changes>,
    slow: &Part<Slow>,
    recommendations: Option<&Part<Recommendations>>,
) -> Vec<Line> {
    let lines = [
        headline.shown().and_then(week),
        changes.shown().map(news),
        slow.shown().and_then(slowest),
        recommendations.and_then(Part::shown).and_then(first),
    ];
    lines.into_iter().flatten().collect()
}

/// The numbers that moved, if any did.
fn week(headline: &Headline) -> Option<Line> {
    let moved: Vec<String> = headline
        .tiles
        .iter()
        .filter(|tile| tile.tone != Tone::Neutral)
        .filter_map(|tile| Some(format!("{} {}", tile.label.to_lowercase(), tile.change.as_ref()?)))
        .collect();
    let compared = headline.tiles.iter().any(|tile| tile.change.is_some());
    let text = if moved.is_empty() {
        "Much like the week before.".to_owned()
    } else {
        format!("Against the week before: {}.", moved.join(", "))
    };
    compared.then_some(Line { label: "Week", text, section: "numbers" })
}

fn news(changes: &Changes) -> Line {
    let text = match changes.week.items.first() {
        None => "Nothing changed its normal in the last seven days.".to_owned(),
        Some(largest) => format!(
            "{} is {}: {} → {} ({}) since {}.",
            largest.subject.line(),
            largest.tone.word(),
            largest.before,
            largest.after,
            largest.effect,
            largest.since
        ),
    };
    Line { label: "Changed", text, section: "changes" }
}

fn slowest(slow: &Slow) -> Option<Line> {
    let worst = slow.items.items.first()?;
    let text = format!("{} costs {} of end-to-end time.", worst.subject.line(), worst.share);
    Some(Line { label: "Slow", text, section: "slow" })
}

fn first(recommendations: &Recommendations) -> Option<Line> {
    let best = recommendations.first.first()?;
    let text = match &best.saving {
        Some(saving) => {
            format!("{}: saves {saving} per run of {} ({}).", best.title, best.workflow, best.saving_interval)
        }
        None => format!("{} ({}).", best.title, best.workflow),
    };
    Some(Line { label: "Next", text, section: "next" })
}
