//! Regression trees grown on histograms: numbers are sorted into bins once, a split is sought among bins.
//!
//! A tree grows best first (Shi 2007), the larger child's histogram is its parent's less that of the smaller one, and
//! words are split by their average outcome (Fisher 1958).

use super::rows::Rows;
use crate::samples::UNKNOWN;
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Bins of a number; the first is for what is unknown.
const MAX_BINS: usize = 255;
/// A word's average counts as if so many more rows had shown the average of all.
const WORD_PRIOR: f64 = 5.0;
/// Work above which the features of a node are searched on all cores.
const WORTH_THREADS: usize = 50_000;

/// Rows with their features sorted into bins.
#[derive(Debug)]
pub(super) struct Binned {
    n: usize,
    /// By feature: numbers, words, then the group.
    features: Vec<BinnedFeature>,
}

#[derive(Debug)]
struct BinnedFeature {
    bins: Vec<u16>,
    n_bins: usize,
    /// Upper edge of each bin of a number after the first; none for words, whose bin is their code and one.
    edges: Option<Vec<f64>>,
}

impl Binned {
    /// `with_group` makes the group a feature like any other.
    pub(super) fn of(rows: &Rows, with_group: bool) -> Self {
        let mut features: Vec<BinnedFeature> = rows.numbers.par_iter().map(|values| binned_numbers(values)).collect();
        features.extend(rows.codes.iter().zip(&rows.n_words).map(|(codes, &n)| binned_words(codes, n)));
        if with_group {
            features.push(binned_words(&rows.group, rows.n_groups));
        }
        Self { n: rows.n, features }
    }
}

fn binned_numbers(values: &[f64]) -> BinnedFeature {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut distinct = sorted.clone();
    distinct.dedup();
    let most = MAX_BINS - 1;
    let edges: Vec<f64> = if distinct.len() <= most {
        // Half way between neighbours, so that a value in between belongs to the nearer one.
        let between = distinct.windows(2).map(|pair| pair[0] + (pair[1] - pair[0]) / 2.0);
        between.chain(distinct.last().copied()).collect()
    } else {
        let mut edges: Vec<f64> =
            (1..=most).filter_map(|k| sorted.get((k * sorted.len() / most).saturating_sub(1))).copied().collect();
        edges.dedup();
        edges
    };
    let bin = |value: &f64| {
        if !value.is_finite() {
            return 0;
        }
        let at = edges.partition_point(|edge| edge < value).min(edges.len().saturating_sub(1));
        u16::try_from(at + 1).unwrap_or_default()
    };
    BinnedFeature { bins: values.iter().map(bin).collect(), n_bins: edges.len() + 1, edges: Some(edges) }
}

/// The bin of a word is its code and one; 0 is for what is unknown, and for words that no bin is left for.
fn binned_words(codes: &[u32], n_words: usize) -> BinnedFeature {
    let bin = |code: &u32| if *code == UNKNOWN { 0 } else { u16::try_from(code.saturating_add(1)).unwrap_or_default() };
    BinnedFeature { bins: codes.iter().map(bin).collect(), n_bins: n_words.min(u16::MAX.into()) + 1, edges: None }
}

/// How a tree grows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    pub(super) max_leaves: usize,
    /// Rows of a leaf.
    pub(super) min_rows: f64,
    /// Added to the rows of a leaf when its value is taken.
    pub(super) shrink: f64,
    /// Share of the features that each split may choose from.
    pub(super) features: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Node {
    Leaf(f64),
    /// Goes left up to `at_most`.
    Number {
        feature: u32,
        at_most: f64,
        unknown_left: bool,
        left: u32,
        right: u32,
    },
    /// Goes left with one of these codes, sorted; what is unknown goes right.
    Word {
        feature: u32,
        codes: Vec<u32>,
        left: u32,
        right: u32,
    },
}

/// A grown tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    sum: f64,
    n: f64,
}

#[derive(Debug, Clone)]
enum Cut {
    /// Bins up to this one go left, the unknown where it says.
    Number { last_left: u16, unknown_left: bool },
    /// These bins go left.
    Word(Vec<u16>),
}

#[derive(Debug, Clone)]
struct Split {
    gain: f64,
    feature: usize,
    cut: Cut,
}

/// A leaf that may still be split.
struct Open {
    node: usize,
    rows: Vec<u32>,
    histogram: Vec<Vec<Bin>>,
    best: Option<Split>,
}

impl Tree {
    /// Grows on `targets` with row weights (how often a row was drawn); `rows` are the rows with weight. Adds the
    /// leaf values times `rate` to `fitted` as it goes.
    pub(super) fn grow(
        binned: &Binned,
        targets: &[f64],
        weights: &[f64],
        rows: Vec<u32>,
        growth: &Growth,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Self {
        let grower = Grower { binned, targets, weights, growth };
        let histogram = grower.histogram(&rows);
        let mut nodes = vec![grower.leaf(&histogram)];
        let best = grower.best(&histogram, rng);
        let mut open = vec![Open { node: 0, rows, histogram, best }];
        for _ in 1..growth.max_leaves {
            let gain = |leaf: &Open| leaf.best.as_ref().map_or(0.0, |split| split.gain);
            let next = (0..open.len()).max_by(|&a, &b| gain(&open[a]).total_cmp(&gain(&open[b])).then(b.cmp(&a)));
            let Some(next) = next.filter(|&at| gain(&open[at]) > 0.0) else { break };
            let Open { node, rows, histogram, best } = open.swap_remove(next);
            let Some(split) = best else { break };
            let (left_rows, right_rows) = grower.parted(&rows, &split);
            let (left, right) = grower.histograms(histogram, &left_rows, &right_rows);
            let at = nodes.len();
            nodes.push(grower.leaf(&left));
            nodes.push(grower.leaf(&right));
            nodes[node] = grower.node(&split, at);
            for (offset, (rows, histogram)) in [(left_rows, left), (right_rows, right)].into_iter().enumerate() {
                let best = grower.best(&histogram, rng);
                open.push(Open { node: at + offset, rows, histogram, best });
            }
        }
        Self { nodes }
    }

    /// The value at a row.
    pub(super) fn at(&self, rows: &Rows, row: usize) -> f64 {
        let mut node = 0;
        // A tree has fewer levels than nodes: the bound only keeps a damaged file from going round in circles.
        for _ in 0..=self.nodes.len() {
            node = match self.nodes.get(node) {
                None => return 0.0,
                Some(Node::Leaf(value)) => return *value,
                Some(Node::Number { feature, at_most, unknown_left, left, right }) => {
                    let value = rows.numbers.get(*feature as usize).and_then(|c| c.get(row)).copied();
                    let goes_left = value.filter(|v| v.is_finite()).map_or(*unknown_left, |v| v <= *at_most);
                    if goes_left { *left as usize } else { *right as usize }
                }
                Some(Node::Word { feature, codes, left, right }) => {
                    let words = rows.codes.get(*feature as usize - rows.numbers.len().min(*feature as usize));
                    let column = words.unwrap_or(&rows.group);
                    let goes_left = column.get(row).is_some_and(|code| codes.binary_search(code).is_ok());
                    if goes_left { *left as usize } else { *right as usize }
                }
            };
        }
        0.0
    }
}

struct Grower<'a> {
    binned: &'a Binned,
    targets: &'a [f64],
    weights: &'a [f64],
    growth: &'a Growth,
}

impl Grower<'_> {
    fn histogram(&self, rows: &[u32]) -> Vec<Vec<Bin>> {
        let one = |feature: &BinnedFeature| {
            let mut bins = vec![Bin::default(); feature.n_bins];
            for &row in rows {
                let row = row as usize;
                let weight = self.weights[row];
                let bin = &mut bins[usize::from(feature.bins[row])];
                bin.sum += weight * self.targets[row];
                bin.n += weight;
            }
            bins
        };
        let features = &self.binned.features;
        if rows.len() * features.len() < WORTH_THREADS {
            features.iter().map(one).collect()
        } else {
            features.par_iter().map(one).collect()
        }
    }

    /// Those of both children: the smaller one's rows are counted, the other's are what is left of the parent's.
    fn histograms(&self, parent: Vec<Vec<Bin>>, left: &[u32], right: &[u32]) -> (Vec<Vec<Bin>>, Vec<Vec<Bin>>) {
        let small = self.histogram(if left.len() < right.len() { left } else { right });
        let mut large = parent;
        for (bins, less) in large.iter_mut().flatten().zip(small.iter().flatten()) {
            bins.sum -= less.sum;
            bins.n -= less.n;
        }
        if left.len() < right.len() { (small, large) } else { (large, small) }
    }

    fn leaf(&self, histogram: &[Vec<Bin>]) -> Node {
        let total = total(histogram.first().map_or(&[], Vec::as_slice));
        Node::Leaf(total.sum / (total.n + self.growth.shrink).max(f64::MIN_POSITIVE))
    }

    fn node(&self, split: &Split, at: usize) -> Node {
        let position = |n: usize| u32::try_from(n).unwrap_or(UNKNOWN);
        let (left, right, feature) = (position(at), position(at + 1), position(split.feature));
        let edges = self.binned.features.get(split.feature).and_then(|f| f.edges.as_ref());
        match &split.cut {
            Cut::Number { last_left, unknown_left } => {
                let edge = edges.and_then(|edges| edges.get(usize::from(*last_left).saturating_sub(1)));
                let at_most = edge.copied().unwrap_or(f64::NEG_INFINITY);
                Node::Number { feature, at_most, unknown_left: *unknown_left, left, right }
            }
            Cut::Word(bins) => {
                let codes = bins.iter().filter(|bin| **bin > 0).map(|bin| u32::from(*bin) - 1).collect();
                Node::Word { feature, codes, left, right }
            }
        }
    }

    fn parted(&self, rows: &[u32], split: &Split) -> (Vec<u32>, Vec<u32>) {
        let bins = &self.binned.features[split.feature].bins;
        rows.iter().partition(|&&row| {
            let bin = bins[row as usize];
            match &split.cut {
                Cut::Number { unknown_left, .. } if bin == 0 => *unknown_left,
                Cut::Number { last_left, .. } => bin <= *last_left,
                Cut::Word(left) => left.binary_search(&bin).is_ok(),
            }
        })
    }

    /// The best split over features, ties to the first.
    fn best(&self, histogram: &[Vec<Bin>], rng: &mut Xoshiro256PlusPlus) -> Option<Split> {
        let all = total(histogram.first()?);
        if all.n < 2.0 * self.growth.min_rows {
            return None;
        }
        let mut best: Option<Split> = None;
        let candidates = self.candidates(histogram.len(), rng);
        for feature in candidates {
            let bins = &histogram[feature];
            let found = if self.binned.features[feature].edges.is_some() {
                self.number_split(bins, all)
            } else {
                self.word_split(bins, all)
            };
            if let Some((gain, cut)) = found
                && best.as_ref().is_none_or(|b| gain > b.gain)
            {
                best = Some(Split { gain, feature, cut });
            }
        }
        best
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a small count is a count"
    )]
    fn candidates(&self, n: usize, rng: &mut Xoshiro256PlusPlus) -> Vec<usize> {
        let wanted = ((n as f64 * self.growth.features).ceil() as usize).clamp(1, n.max(1));
        let mut all: Vec<usize> = (0..n).collect();
        if wanted < n {
            for at in 0..wanted {
                let other = rng.random_range(at..n);
                all.swap(at, other);
            }
            all.truncate(wanted);
            all.sort_unstable();
        }
        all
    }

    /// What a split gains in squared error, if both sides have rows enough.
    fn gain(&self, left: Bin, all: Bin) -> Option<f64> {
        let right = Bin { sum: all.sum - left.sum, n: all.n - left.n };
        let (least, shrink) = (self.growth.min_rows, self.growth.shrink);
        if left.n < least || right.n < least {
            return None;
        }
        let square = |bin: Bin| bin.sum * bin.sum / (bin.n + shrink);
        let gain = square(left) + square(right) - square(all);
        // Differences of rounding errors are no gain.
        (gain > 1e-12 * square(all).abs().max(f64::MIN_POSITIVE)).then_some(gain)
    }

    fn number_split(&self, bins: &[Bin], all: Bin) -> Option<(f64, Cut)> {
        let unknown = *bins.first()?;
        let mut best: Option<(f64, Cut)> = None;
        for unknown_left in [false, true] {
            if unknown_left && unknown.n <= 0.0 {
                break;
            }
            let mut left = if unknown_left { unknown } else { Bin::default() };
            for (at, bin) in (1_u16..).zip(bins.iter().skip(1)) {
                left.sum += bin.sum;
                left.n += bin.n;
                if bin.n <= 0.0 {
                    continue;
                }
                if let Some(gain) = self.gain(left, all)
                    && best.as_ref().is_none_or(|(b, _)| gain > *b)
                {
                    best = Some((gain, Cut::Number { last_left: at, unknown_left }));
                }
            }
        }
        best
    }

    fn word_split(&self, bins: &[Bin], all: Bin) -> Option<(f64, Cut)> {
        let mean = all.sum / all.n;
        let average = |bin: &Bin| (bin.sum + WORD_PRIOR * mean) / (bin.n + WORD_PRIOR);
        let mut order: Vec<(u16, &Bin)> = (0..).zip(bins).skip(1).filter(|(_, bin)| bin.n > 0.0).collect();
        order.sort_by(|a, b| average(a.1).total_cmp(&average(b.1)).then(a.0.cmp(&b.0)));
        let mut left = Bin::default();
        let mut best: Option<(f64, usize)> = None;
        for (k, (_, bin)) in order.iter().enumerate() {
            left.sum += bin.sum;
            left.n += bin.n;
            if let Some(gain) = self.gain(left, all)
                && best.is_none_or(|(b, _)| gain > b)
            {
                best = Some((gain, k + 1));
            }
        }
        let (gain, n_left) = best?;
        let mut codes: Vec<u16> = order.into_iter().take(n_left).map(|(bin, _)| bin).collect();
        codes.sort_unstable();
        Some((gain, Cut::Word(codes)))
    }
}

fn total(bins: &[Bin]) -> Bin {
    bins.iter().fold(Bin::default(), |sum, bin| Bin { sum: sum.sum + bin.sum, n: sum.n + bin.n })
}

impl Binned {
    pub(super) fn n_rows(&self) -> usize {
        self.n
    }
}
