//! Minimisation without derivatives.

/// How long [`nelder_mead`] may look, and when it is content.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NelderMead {
    /// Edge of the first simplex, in the units of the arguments.
    pub step: f64,
    /// Ends when the values at the corners differ by less than this share of the best one.
    pub tolerance: f64,
    /// Most evaluations of the objective.
    pub max_evaluations: usize,
}

/// Where the search ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Minimum {
    /// The best point seen.
    pub at: Vec<f64>,
    /// The objective there; infinite if it was nowhere a number.
    pub value: f64,
}

/// Smallest value of `objective` near `start` by the simplex method (Nelder and Mead 1965, with the standard
/// coefficients 1, 2, 1/2, 1/2). Deterministic; a value that is not a number counts as infinitely bad.
pub fn nelder_mead(start: &[f64], params: &NelderMead, mut objective: impl FnMut(&[f64]) -> f64) -> Minimum {
    let mut evaluations = 0;
    let mut evaluate = |at: Vec<f64>, evaluations: &mut usize| {
        *evaluations += 1;
        let value = objective(&at);
        Minimum { at, value: if value.is_nan() { f64::INFINITY } else { value } }
    };
    let mut simplex = vec![evaluate(start.to_vec(), &mut evaluations)];
    for axis in 0..start.len() {
        let corner = start.iter().enumerate().map(|(i, &x)| if i == axis { x + params.step } else { x }).collect();
        simplex.push(evaluate(corner, &mut evaluations));
    }
    while evaluations < params.max_evaluations && start.len() < simplex.len() {
        simplex.sort_by(|a, b| a.value.total_cmp(&b.value));
        let Some(worst) = simplex.pop() else { break };
        let (best, second_worst) = match (simplex.first(), simplex.last()) {
            (Some(first), Some(last)) => (first.value, last.value),
            _ => return worst,
        };
        if worst.value - best <= params.tolerance * best.abs() {
            break;
        }
        let centre = centroid(&simplex);
        let towards = |t: f64| centre.iter().zip(&worst.at).map(|(c, w)| c + t * (c - w)).collect::<Vec<_>>();
        let reflected = evaluate(towards(1.0), &mut evaluations);
        if reflected.value < best {
            let expanded = evaluate(towards(2.0), &mut evaluations);
            simplex.push(if expanded.value < reflected.value { expanded } else { reflected });
        } else if reflected.value < second_worst {
            simplex.push(reflected);
        } else {
            let outside = reflected.value < worst.value;
            let contracted = evaluate(towards(if outside { 0.5 } else { -0.5 }), &mut evaluations);
            if contracted.value < worst.value.min(reflected.value) {
                simplex.push(contracted);
            } else {
                simplex.push(worst);
                shrink(&mut simplex, |at| evaluate(at, &mut evaluations));
            }
        }
    }
    simplex
        .into_iter()
        .min_by(|a, b| a.value.total_cmp(&b.value))
        .unwrap_or_else(|| Minimum { at: start.to_vec(), value: f64::INFINITY })
}

fn centroid(corners: &[Minimum]) -> Vec<f64> {
    let dimensions = corners.first().map_or(0, |corner| corner.at.len());
    let mut centre = vec![0.0; dimensions];
    for corner in corners {
        for (sum, x) in centre.iter_mut().zip(&corner.at) {
            *sum += x / corners.len() as f64;
        }
    }
    centre
}

/// Pulls every corner but the best (the first) halfway to it.
fn shrink(simplex: &mut [Minimum], mut evaluate: impl FnMut(Vec<f64>) -> Minimum) {
    if let Some((best, rest)) = simplex.split_first_mut() {
        for corner in rest {
            *corner = evaluate(best.at.iter().zip(&corner.at).map(|(b, x)| 0.5 * (b + x)).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: NelderMead = NelderMead { step: 0.5, tolerance: 1e-14, max_evaluations: 2_000 };

    #[test]
    fn finds_the_bottom_of_rosenbrocks_valley() {
        let valley = |x: &[f64]| (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2);
        let found = nelder_mead(&[-1.2, 1.0], &PARAMS, valley);
        assert!(found.at.iter().all(|x| (x - 1.0).abs() < 1e-4), "{found:?}");
    }

    #[test]
    fn works_in_one_dimension_and_in_none() {
        let found = nelder_mead(&[10.0], &PARAMS, |x| (x[0] - 3.0).powi(2) + 1.0);
        assert!((found.at[0] - 3.0).abs() < 1e-5);
        assert_eq!(nelder_mead(&[], &PARAMS, |_| 7.0), Minimum { at: vec![], value: 7.0 });
    }

    #[test]
    fn not_a_number_is_avoided_and_evaluations_are_bounded() {
        let mut n = 0;
        let found = nelder_mead(&[2.0], &PARAMS, |x| {
            n += 1;
            if x[0] < 1.0 { f64::NAN } else { x[0] }
        });
        assert!((found.value - 1.0).abs() < 1e-6);
        assert!(n <= PARAMS.max_evaluations + 2);
        assert!(nelder_mead(&[2.0, 1.0], &PARAMS, |_| f64::NAN).value.is_infinite());
    }
}
