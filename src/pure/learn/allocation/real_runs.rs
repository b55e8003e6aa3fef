//! Recorded Nextflow runs (Sizey, IEEE CLUSTER 2024), test, then train: floors for the waste of memory, beside rules that
//! anybody can follow.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use super::{Allocator, Params, RIVALS, Realised, Rivals, Task};
use std::collections::HashMap;
use std::path::Path;

struct Row {
    group: usize,
    size: f64,
    peak_gb: f64,
    request_gb: f64,
    start_ms: i64,
    end_ms: i64,
}

impl Row {
    fn hours(&self) -> f64 {
        (self.end_ms - self.start_ms) as f64 / 3.6e6
    }

    fn task(&self) -> Task<'_> {
        Task { group: self.group, sizes: std::slice::from_ref(&self.size), request: self.request_gb }
    }
}

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

/// Tasks that succeeded, by start.
fn trace(name: &str) -> Option<Vec<Row>> {
    let file = format!("../../../shared/data/nextflow_sizey/raw/trace_{name}.csv");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    };
    let mut lines = text.lines();
    let names = fields(lines.next().unwrap());
    let mut groups: HashMap<String, usize> = HashMap::new();
    let mut rows: Vec<Row> = Vec::new();
    for line in lines.map(fields) {
        let field = |name: &str| line[names.iter().position(|column| column == name).unwrap()].as_str();
        let number = |name: &str| field(name).parse::<f64>().unwrap_or(f64::NAN);
        if field("status") != "COMPLETED" {
            continue;
        }
        let n = groups.len();
        rows.push(Row {
            group: *groups.entry(field("process").to_owned()).or_insert(n),
            size: number("rchar"),
            peak_gb: number("peak_rss") / 1e9,
            request_gb: number("memory") / 1e9,
            start_ms: number("start") as i64,
            end_ms: number("complete") as i64,
        });
    }
    rows.sort_by_key(|row| row.start_ms);
    Some(rows)
}

/// Ours first, then the rivals; tasks of processes seen before.
fn contest(rows: &[Row], at_completion: bool, knows_requests: bool) -> [Realised; RIVALS.len() + 1] {
    let asked_at = |row: &Row| if at_completion { row.end_ms } else { row.start_ms };
    let mut asked: Vec<usize> = (0..rows.len()).collect();
    asked.sort_by_key(|row| asked_at(&rows[*row]));
    let mut ended: Vec<usize> = (0..rows.len()).collect();
    ended.sort_by_key(|row| rows[*row].end_ms);
    let mut ended = ended.into_iter().peekable();
    let (mut allocator, mut rivals) = (Allocator::new(1, Params::default()), Rivals::default());
    let mut answers = vec![None; rows.len()];
    let mut sums = [Realised::default(); RIVALS.len() + 1];
    let task_of = |row: &Row, knows: bool| if knows { row.request_gb } else { f64::NAN };
    for at in asked {
        let row = &rows[at];
        while let Some(old) = ended.next_if(|old| rows[*old].end_ms < asked_at(row)) {
            let old_row = &rows[old];
            if let Some(answer) = answers[old].take() {
                allocator.learn(&old_row.task(), &answer, old_row.peak_gb, old_row.hours());
            }
            rivals.learn(old_row.group, old_row.peak_gb);
        }
        let answer = allocator.ask(&Task { request: task_of(row, knows_requests), ..row.task() });
        if answer.n_seen > 0 {
            let simple = rivals.ask(row.group, row.request_gb);
            let ours = answer.allocation.unwrap().request;
            for (sum, request) in sums.iter_mut().zip(std::iter::once(ours).chain(simple)) {
                sum.add(request, row.peak_gb, row.hours(), 1.0);
            }
        }
        answers[at] = Some(answer);
    }
    sums
}

/// The rival of least waste.
fn best(sums: &[Realised]) -> &Realised {
    sums[1..].iter().min_by(|a, b| a.waste.total_cmp(&b.waste)).unwrap()
}

fn check(name: &str, at_completion: bool, at_most: f64) {
    let Some(rows) = trace(name) else { return };
    let sums = contest(&rows, at_completion, false);
    for (rule, sum) in ["ours"].iter().chain(&RIVALS).zip(&sums) {
        eprintln!("{name} {at_completion} {rule}: {:.1} GB·h, {} of {} killed", sum.waste, sum.killed, sum.n);
    }
    let (ours, rival) = (&sums[0], best(&sums));
    assert!(ours.waste <= at_most * rival.waste, "{:.1} of {:.1}", ours.waste, rival.waste);
    assert!(ours.killed <= rival.killed, "{} kills, {}", ours.killed, rival.killed);
}

#[test]
fn rnaseq_wastes_less_than_the_best_rule_and_kills_no_more() {
    check("rnaseq", false, 1.0);
    check("rnaseq", true, 0.75);
}

#[test]
fn methylseq_wastes_less_than_half_of_the_best_rule_and_kills_no_more() {
    check("methylseq", false, 0.5);
    check("methylseq", true, 0.5);
}
