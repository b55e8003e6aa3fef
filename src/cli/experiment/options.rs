//! What `experiment` can be asked.

use crate::cli::output::Format;
use crate::error::{Error, Result};
use crate::pure::experiment::Method;
use crate::pure::experiment::bayes::Prior;
use crate::pure::experiment::measure::{RowStat, is_zero_or_one};
use crate::pure::series::Better;
use crate::pure::units::Level;
use std::path::PathBuf;

/// Share that is trimmed where nobody says (Yuen 1974).
const TRIM: f64 = 0.2;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct CompareArgs {
    /// The table, a row a run (or whatever is measured): Parquet or CSV.
    pub(super) input: PathBuf,
    /// Where the verdicts go: .parquet or .csv, a row an experiment, metric and arm.
    #[arg(long, value_name = "F")]
    pub(super) out: PathBuf,
    /// The column that names a row's arm.
    #[arg(long, value_name = "COLUMN")]
    pub(super) variant: String,
    /// The columns that decide; with --stat ratio written numerator/denominator.
    #[arg(long, value_name = "m,m2", value_delimiter = ',', required = true)]
    pub(super) metric: Vec<String>,
    /// The column that names the experiment [default: all rows are of one].
    #[arg(long, value_name = "COLUMN")]
    pub(super) id: Option<String>,
    /// The column that names what was assigned to an arm: rows of one unit are one draw. Units that are in both arms are
    /// compared with themselves [default: each row].
    #[arg(long, value_name = "COLUMN")]
    pub(super) unit: Option<String>,
    /// Columns of numbers known before the start that explain the metric, such as a prediction: their share of the noise is
    /// taken out (CUPED).
    #[arg(long, value_name = "c,c2", value_delimiter = ',')]
    pub(super) covariate: Vec<String>,
    /// The column by whose words rows are compared like with like (post-stratification).
    #[arg(long, value_name = "COLUMN")]
    pub(super) strata: Option<String>,
    /// The column of times: tells arms that never ran side by side, shares that drift, and days to a decision.
    #[arg(long, value_name = "COLUMN")]
    pub(super) time: Option<String>,
    /// The arm that the others are compared with [default: control, baseline, default, a, A, else the first].
    #[arg(long, value_name = "ARM")]
    pub(super) control: Option<String>,
    /// What stands for an arm: mean, log-ratio (of geometric means), p50 to p99, proportion, ratio (of sums), trimmed.
    #[arg(long, value_name = "STAT", default_value = "mean")]
    pub(super) stat: String,
    /// Draw values in to this quantile and its counterpart of all arms together before the mean is taken: 0.01.
    #[arg(long, value_name = "SHARE")]
    pub(super) winsorize: Option<f64>,
    /// sequential: valid however often it is looked at; fixed: valid at one look, which this is.
    #[arg(long, value_enum, default_value_t)]
    method: MethodArg,
    /// Coverage of the intervals, 0-1.
    #[arg(long, default_value = "0.95", value_parser = parse_level)]
    level: Level,
    /// Which way is a success.
    #[arg(long, value_enum, default_value_t)]
    direction: DirectionArg,
    /// Smallest relative effect that matters: 0.02 is 2 %.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    pub(super) min_effect: f64,
    /// Metrics that must not get worse by more than a relative margin: error=0.05.
    #[arg(long, value_name = "m=SHARE", value_delimiter = ',', value_parser = parse_pair)]
    guardrail: Vec<(String, f64)>,
    /// Planned share of each arm, of any sum: control=90,treatment=10 [default: equal].
    #[arg(long, value_name = "ARM=SHARE", value_delimiter = ',', value_parser = parse_pair)]
    pub(super) shares: Vec<(String, f64)>,
    /// No more rows will come.
    #[arg(long)]
    ended: bool,
    /// Most days that a decision is worth waiting for (needs --time).
    #[arg(long, value_name = "DAYS", default_value_t = 365.0, value_parser = parse_positive)]
    pub(super) max_days: f64,
    /// Units of both arms at which sequential intervals are to be tightest [default: about as tight at any size].
    #[arg(long, value_name = "UNITS", value_parser = parse_positive)]
    pub(super) tuned_for: Option<f64>,
    /// How far relative effects usually lie from none (standard deviation), for the posterior [default: a flat prior].
    #[arg(long, value_name = "SHARE", value_parser = parse_positive)]
    prior: Option<f64>,
    /// How the verdicts are printed.
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum MethodArg {
    /// Valid at any number of looks
    #[default]
    Sequential,
    /// Valid at one look
    Fixed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum DirectionArg {
    /// Less is a success
    #[default]
    Decrease,
    /// More is a success
    Increase,
    /// Nothing is shipped or rolled back
    Neither,
}

/// A metric, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) column: String,
    pub(super) denominator: Option<String>,
    pub(super) stat: RowStat,
    /// Of a guardrail.
    pub(super) margin: Option<f64>,
}

pub(super) fn parse_level(text: &str) -> std::result::Result<Level, String> {
    let level = text.parse().ok().and_then(|level| Level::new(level).ok());
    level.ok_or_else(|| format!("a level lies between 0 and 1, found {text:?}; write 0.95 for 95 %"))
}

fn parse_share(text: &str) -> std::result::Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| *share >= 0.0 && share.is_finite());
    share.ok_or_else(|| format!("a share is a number from 0 on, found {text:?}; write 0.05 for 5 %"))
}

pub(super) fn parse_positive(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && number.is_finite());
    number.ok_or_else(|| format!("expected a number above 0, found {text:?}"))
}

pub(super) fn parse_pair(text: &str) -> std::result::Result<(String, f64), String> {
    let pair = text.rsplit_once('=').and_then(|(name, share)| Some((name.to_owned(), parse_share(share).ok()?)));
    pair.filter(|(name, _)| !name.is_empty()).ok_or_else(|| format!("expected name=number, found {text:?}"))
}

/// Whether all known values are 0 or 1.
pub(super) fn is_share(values: impl Iterator<Item = f64>) -> bool {
    let mut known = values.filter(|value| value.is_finite()).peekable();
    known.peek().is_some() && known.all(is_zero_or_one)
}

/// The name of a statistic in results.
pub(super) fn stat_name(stat: RowStat) -> String {
    match stat {
        RowStat::Mean => "mean".to_owned(),
        RowStat::Winsorised(share) => format!("winsorised_mean_{share}"),
        RowStat::Trimmed(share) => format!("trimmed_mean_{share}"),
        RowStat::LogRatio => "log_ratio".to_owned(),
        RowStat::Proportion => "proportion".to_owned(),
        RowStat::Ratio => "ratio".to_owned(),
        RowStat::Quantile(q) => format!("p{}", format!("{:.4}", 100.0 * q).trim_end_matches('0').trim_end_matches('.')),
    }
}

impl CompareArgs {
    pub(super) fn check(&self) -> Result<()> {
        let usage = |text: String| Err(Error::Usage(text));
        if let Some(share) = self.winsorize {
            if !(share > 0.0 && share < 0.5) {
                return usage(format!("--winsorize lies between 0 and 0.5, found {share}; write 0.01 for 1 %"));
            }
            if self.stat != "mean" {
                return usage(format!("--winsorize bounds a mean; leave it out, or leave out --stat {}", self.stat));
            }
        }
        let is_ranked = matches!(self.stat()?, RowStat::Quantile(_) | RowStat::Trimmed(_));
        if is_ranked && !(self.covariate.is_empty() && self.strata.is_none()) {
            return usage(format!(
                "--stat {} takes no --covariate and no --strata: ask for mean or log-ratio",
                self.stat
            ));
        }
        let named = self.metric.iter().chain(&self.covariate).chain(self.strata.iter()).chain(self.id.iter());
        if named.clone().any(|name| *name == self.variant) {
            return usage(format!(
                "{:?} is --variant, and can't be a metric, covariate or stratum as well",
                self.variant
            ));
        }
        let twice = self.covariate.iter().find(|name| self.metric.contains(name));
        if let Some(name) = twice {
            return usage(format!("{name:?} is a metric; a covariate is known before the start"));
        }
        Ok(())
    }

    fn stat(&self) -> Result<RowStat> {
        if let Some(share) = self.winsorize {
            return Ok(RowStat::Winsorised(share));
        }
        let known = match self.stat.as_str() {
            "mean" => Some(RowStat::Mean),
            "log-ratio" | "log_ratio" => Some(RowStat::LogRatio),
            "proportion" => Some(RowStat::Proportion),
            "ratio" => Some(RowStat::Ratio),
            "trimmed" => Some(RowStat::Trimmed(TRIM)),
            "median" => Some(RowStat::Quantile(0.5)),
            text => text
                .strip_prefix('p')
                .and_then(|q| q.parse::<f64>().ok())
                .filter(|q| *q > 0.0 && *q < 100.0)
                .map(|q| RowStat::Quantile(q / 100.0)),
        };
        known.ok_or_else(|| {
            let expected = "mean, log-ratio, proportion, ratio, trimmed, median, p50, p95 or p99";
            Error::Usage(format!("--stat {:?}: expected {expected}", self.stat))
        })
    }

    /// The metrics that decide and then the guardrails.
    pub(super) fn metrics(&self) -> Result<Vec<Metric>> {
        let stat = self.stat()?;
        let plain = |name: &str, stat, margin| Metric {
            name: name.to_owned(),
            column: name.to_owned(),
            denominator: None,
            stat,
            margin,
        };
        let of = |name: &String| match (stat, name.split_once('/')) {
            (RowStat::Ratio, Some((above, below))) => {
                Ok(Metric { column: above.to_owned(), denominator: Some(below.to_owned()), ..plain(name, stat, None) })
            }
            (RowStat::Ratio, None) => {
                Err(Error::Usage(format!("--stat ratio: write --metric {name:?} as numerator/denominator")))
            }
            _ => Ok(plain(name, stat, None)),
        };
        let guardrails = self.guardrail.iter().map(|(name, margin)| Ok(plain(name, RowStat::Mean, Some(*margin))));
        self.metric.iter().map(of).chain(guardrails).collect()
    }

    pub(super) fn columns<'a>(&'a self, metrics: &'a [Metric]) -> Vec<&'a str> {
        let optional = [&self.id, &self.unit, &self.strata, &self.time].into_iter().flatten();
        let measured = metrics.iter().flat_map(|metric| metric.denominator.iter().chain([&metric.column]));
        let all = optional.chain(measured).chain(&self.covariate).chain([&self.variant]);
        all.map(String::as_str).collect()
    }

    pub(super) fn method(&self) -> Method {
        match self.method {
            MethodArg::Sequential => Method::Sequential,
            MethodArg::Fixed => Method::Fixed,
        }
    }

    pub(super) fn level(&self) -> Level {
        self.level
    }

    pub(super) fn better(&self) -> Better {
        match self.direction {
            DirectionArg::Decrease => Better::Lower,
            DirectionArg::Increase => Better::Higher,
            DirectionArg::Neither => Better::Neither,
        }
    }

    pub(super) fn prior(&self) -> Option<Prior> {
        self.prior.map(|spread| Prior { mean: 0.0, spread })
    }

    /// A table that is looked at once is all there will be.
    pub(super) fn is_finished(&self) -> bool {
        self.ended || self.method == MethodArg::Fixed
    }
}
