//! What lies before each execution of a run. All of it is known before the execution starts: what it depends on was
//! declared, and the inputs of what it depends on had come.

use std::collections::BTreeSet;

/// In a run of more different steps than this the executions before each are not counted: the table of who comes
/// before whom grows with the square.
const MAX_STEPS: usize = 20_000;

/// What lies before each execution, in the order of the run's executions; NaN is unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Upstream {
    /// Bytes that its direct dependencies took in, together; NaN where none is known.
    pub bytes: Vec<f64>,
    /// Executions of all steps that come before its step, directly or not, and itself.
    pub steps: Vec<f64>,
}

impl Upstream {
    /// Nothing is known of `n` executions.
    #[must_use]
    pub fn unknown(n: usize) -> Self {
        Self { bytes: vec![f64::NAN; n], steps: vec![f64::NAN; n] }
    }
}

/// Looks up the graph of one run: `step` numbers the step of each execution from 0, `deps` are positions of executions.
#[must_use]
pub fn upstream(step: &[u32], input_bytes: &[f64], deps: &[impl AsRef<[u32]>]) -> Upstream {
    let n_steps = step.iter().max().map_or(0, |&last| last as usize + 1);
    let mut before: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); n_steps.min(MAX_STEPS)];
    let mut bytes = Vec::with_capacity(step.len());
    for (&own, deps) in step.iter().zip(deps.iter().map(AsRef::as_ref)) {
        let known = deps.iter().filter_map(|&at| input_bytes.get(at as usize)).filter(|bytes| bytes.is_finite());
        bytes.push(known.copied().reduce(|sum, bytes| sum + bytes).unwrap_or(f64::NAN));
        if let Some(before) = before.get_mut(own as usize) {
            before.extend(deps.iter().filter_map(|&at| step.get(at as usize)).filter(|&&other| other != own));
        }
    }
    if n_steps > MAX_STEPS {
        return Upstream { bytes, steps: vec![f64::NAN; step.len()] };
    }
    let counts = executions_before(step, &before);
    let steps = step.iter().map(|&own| counts.get(own as usize).copied().unwrap_or(f64::NAN)).collect();
    Upstream { bytes, steps }
}

/// By step, one more than the executions of all steps before it; NaN where steps wait for each other in a circle.
fn executions_before(step: &[u32], before: &[BTreeSet<u32>]) -> Vec<f64> {
    let n = before.len();
    let mut executions = vec![0_u32; n];
    for &own in step {
        executions.get_mut(own as usize).into_iter().for_each(|count| *count += 1);
    }
    let mut counts = vec![f64::NAN; n];
    let mut ancestors: Vec<Vec<u64>> = vec![Vec::new(); n];
    for own in dependencies_first(before) {
        let mut all = vec![0_u64; n.div_ceil(64)];
        for &other in before.get(own as usize).into_iter().flatten() {
            let theirs = ancestors.get(other as usize).into_iter().flatten();
            all.iter_mut().zip(theirs).for_each(|(word, theirs)| *word |= theirs);
            all.get_mut(other as usize / 64).into_iter().for_each(|word| *word |= 1 << (other % 64));
        }
        let is_before = |at: usize| all.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1);
        let sum: u32 = executions.iter().enumerate().filter(|(at, _)| is_before(*at)).map(|(_, count)| count).sum();
        counts.get_mut(own as usize).into_iter().for_each(|count| *count = f64::from(sum) + 1.0);
        ancestors.get_mut(own as usize).into_iter().for_each(|slot| *slot = std::mem::take(&mut all));
    }
    counts
}

/// Steps in an order in which each comes after all before it (Kahn); those of a circle are left out.
fn dependencies_first(before: &[BTreeSet<u32>]) -> Vec<u32> {
    let mut after: Vec<Vec<u32>> = vec![Vec::new(); before.len()];
    let mut waiting: Vec<usize> = before.iter().map(BTreeSet::len).collect();
    for (own, others) in (0..).zip(before) {
        for &other in others {
            after.get_mut(other as usize).into_iter().for_each(|after| after.push(own));
        }
    }
    let mut order: Vec<u32> = (0..).zip(&waiting).filter(|(_, n)| **n == 0).map(|(own, _)| own).collect();
    let mut next = 0;
    while let Some(&own) = order.get(next) {
        next += 1;
        for &other in after.get(own as usize).into_iter().flatten() {
            if let Some(left) = waiting.get_mut(other as usize) {
                *left -= 1;
                if *left == 0 {
                    order.push(other);
                }
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "tests with exact answers")]
    use super::*;

    #[test]
    fn a_merge_sees_all_tasks_of_what_is_split() {
        // split → three tasks → merge; each task had a part of the input.
        let step = [0, 1, 1, 1, 2];
        let bytes = [600.0, 100.0, 200.0, f64::NAN, 1.0];
        let deps = [vec![], vec![0], vec![0], vec![0], vec![1, 2, 3]];
        let found = upstream(&step, &bytes, &deps);
        assert_eq!(found.steps, [1.0, 2.0, 2.0, 2.0, 5.0]);
        assert_eq!(found.bytes[1..], [600.0, 600.0, 600.0, 300.0]);
        assert!(found.bytes[0].is_nan());
    }

    #[test]
    fn circles_and_nonsense_are_unknown() {
        let found = upstream(&[0, 1, 2], &[1.0], &[[1], [0], [9]]);
        assert!(found.steps[0].is_nan() && found.steps[1].is_nan());
        assert_eq!(found.steps[2], 1.0, "what is not there comes before nothing");
        assert_eq!(upstream(&[], &[], &[[0; 0]; 0]), Upstream::default());
        // A task that waits for another task of its own step.
        assert_eq!(upstream(&[0, 0], &[1.0, 1.0], &[vec![], vec![0]]).steps, [1.0, 1.0]);
    }

    #[test]
    fn a_long_chain_counts_every_one_before() {
        let step: Vec<u32> = (0..200).collect();
        let deps: Vec<Vec<u32>> = step.iter().map(|&at| at.checked_sub(1).into_iter().collect()).collect();
        let found = upstream(&step, &[], &deps);
        assert_eq!(found.steps[199], 200.0);
    }
}
