//! Recorded Nextflow runs (Sizey, IEEE CLUSTER 2024), test, then train: floors for the waste of memory, beside rules that
//! anybody can follow.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use super::{Params, RIVALS, Realised, allocate_online};
use crate::learn::online::{Executions, Order};
use std::collections::HashMap;
use std::path::Path;

/// Fields of a line of CSV; quotes hold commas together.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().unwrap().push(c),
        }
    }
    fields
}

/// Tasks that succeeded, peaks in GB and times in ms, and what was requested for them.
fn trace(name: &str) -> Option<(Executions, Vec<f64>)> {
    let file = format!("../../../shared/data/nextflow_sizey/raw/trace_{name}.csv");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    };
    let mut lines = text.lines();
    let names = fields(lines.next().unwrap());
    let mut groups: HashMap<String, u32> = HashMap::new();
    let (mut data, mut requested) = (Executions::default(), Vec::new());
    data.numeric.push(Vec::new());
    for line in lines.map(fields) {
        let field = |name: &str| line[names.iter().position(|column| column == name).unwrap()].as_str();
        let number = |name: &str| field(name).parse::<f64>().unwrap_or(f64::NAN);
        if field("status") != "COMPLETED" {
            continue;
        }
        let n = u32::try_from(groups.len()).unwrap();
        data.group.push(*groups.entry(field("process").to_owned()).or_insert(n));
        data.numeric[0].push(number("rchar"));
        data.target.push(number("peak_rss") / 1e9);
        data.start.push(number("start") as i64);
        data.end.push(Some(number("complete") as i64));
        requested.push(number("memory") / 1e9);
    }
    Some((data, requested))
}

/// Ours first, then the rivals; tasks of processes seen before. Ours is not told what was requested.
fn contest((data, requested): &(Executions, Vec<f64>), order: Order) -> Vec<(&'static str, Realised)> {
    let walk = |requested: &[f64]| allocate_online(data, requested, 3.6e6, order, &Params::default(), |_| ());
    let rows: Vec<usize> = (0..data.len()).collect();
    let ours = walk(&[]).scores(data, &rows).into_iter().take(1);
    let rivals = walk(requested).scores(data, &rows).into_iter().filter(|score| score.model != "allocation");
    ours.chain(rivals).filter(|score| score.group.is_none()).map(|score| (score.model, score.realised)).collect()
}

fn check(name: &str, order: Order, at_most: f64) {
    let Some(trace) = trace(name) else { return };
    let sums = contest(&trace, order);
    for (rule, sum) in &sums {
        eprintln!("{name} {order:?} {rule}: {:.1} GB·h, {} of {} killed", sum.waste, sum.killed, sum.n);
    }
    assert_eq!(sums.len(), 1 + RIVALS.len());
    let ours = sums[0].1;
    let (rival, best) = sums[1..].iter().min_by(|a, b| a.1.waste.total_cmp(&b.1.waste)).unwrap();
    assert!(ours.waste <= at_most * best.waste, "{:.1} of {:.1} ({rival})", ours.waste, best.waste);
    assert!(ours.killed <= best.killed, "{} kills, {} ({rival})", ours.killed, best.killed);
}

#[test]
fn rnaseq_wastes_less_than_the_best_rule_and_kills_no_more() {
    check("rnaseq", Order::Start, 1.0);
    check("rnaseq", Order::Completion, 0.75);
}

#[test]
fn methylseq_wastes_less_than_half_of_the_best_rule_and_kills_no_more() {
    check("methylseq", Order::Start, 0.5);
    check("methylseq", Order::Completion, 0.5);
}
