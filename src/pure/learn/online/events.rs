//! The order in which executions are predicted and become known.

/// When an execution is predicted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// At its start: known is what ended before it started.
    #[default]
    Start,
    /// At its end: known is what ended before it ended. Papers do so; nobody can.
    Completion,
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The row must be predicted now.
    Predict(usize),
    /// The row has ended.
    Learn(usize),
}

/// All events in order. A row that ends at the very instant of a prediction is not known to it. A row without an end is
/// never learned from; in order of completion such rows come last. Ties are broken by start, then by row.
pub(crate) fn events(start: &[i64], end: &[Option<i64>], order: Order) -> impl Iterator<Item = Event> {
    let end_of = |row: usize| end.get(row).copied().flatten();
    let start_of = |row: usize| start.get(row).copied().unwrap_or(i64::MAX);
    let asked = |row: usize| match order {
        Order::Start => start_of(row),
        Order::Completion => end_of(row).unwrap_or(i64::MAX),
    };
    let mut predicted: Vec<(i64, i64, usize)> = (0..start.len()).map(|row| (asked(row), start_of(row), row)).collect();
    predicted.sort_unstable();
    let mut ended: Vec<(i64, i64, usize)> =
        (0..start.len()).filter_map(|row| Some((end_of(row)?, start_of(row), row))).collect();
    ended.sort_unstable();
    let (mut next_predicted, mut next_ended) = (0, 0);
    std::iter::from_fn(move || {
        let (prediction, end) = (predicted.get(next_predicted), ended.get(next_ended));
        match (prediction, end) {
            (Some(prediction), Some(end)) if end.0 < prediction.0 => Some((false, end.2)),
            (Some(prediction), _) => Some((true, prediction.2)),
            (None, Some(end)) => Some((false, end.2)),
            (None, None) => None,
        }
        .map(|(is_prediction, row)| {
            if is_prediction {
                next_predicted += 1;
                Event::Predict(row)
            } else {
                next_ended += 1;
                Event::Learn(row)
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Event::{Learn, Predict};

    #[test]
    fn known_at_a_start_is_what_ended_strictly_before() {
        let all: Vec<Event> = events(&[0, 5, 9], &[Some(9), Some(6), None], Order::Start).collect();
        assert_eq!(all, [Predict(0), Predict(1), Learn(1), Predict(2), Learn(0)]);
    }

    #[test]
    fn known_at_an_end_is_what_ended_strictly_before_it() {
        let all: Vec<Event> = events(&[0, 5, 9, 2], &[Some(9), Some(6), None, Some(9)], Order::Completion).collect();
        assert_eq!(all, [Predict(1), Learn(1), Predict(0), Predict(3), Learn(0), Learn(3), Predict(2)]);
        assert_eq!(events(&[], &[], Order::Start).count(), 0);
    }
}
