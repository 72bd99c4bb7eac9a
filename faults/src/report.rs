//! Outcomes as a table.

use crate::run::Outcome;
use std::fmt::Write;

const HEAD: [&str; 15] = [
    "fault",
    "shape",
    "times",
    "accepted",
    "delivered",
    "seen again",
    "disordered",
    "expired",
    "recalled",
    "dead",
    "pending",
    "lost",
    "live",
    "recovery, median",
    "max",
];

/// Outcomes with those of the same fault and shape added up, in the order in which they came first.
pub fn summed(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let mut sums: Vec<Outcome> = Vec::new();
    for outcome in outcomes {
        let same = |sum: &&mut Outcome| sum.fault == outcome.fault && sum.shape == outcome.shape;
        match sums.iter_mut().find(same) {
            Some(sum) => sum.add(outcome),
            None => sums.push(outcome),
        }
    }
    sums
}

/// One line an outcome, in Markdown: kept messages by receiver, live ones as the share that arrived, whatever was done, recovery in seconds.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.push(std::array::from_fn(|column| if column < 2 { "---" } else { "---:" }.to_owned()));
    rows.extend(outcomes.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; HEAD.len()] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(widths) {
            // Names to the left, numbers to the right.
            let _ = match cell.starts_with(|first: char| first.is_ascii_digit()) {
                true => write!(text, "| {cell:>width$} "),
                false => write!(text, "| {cell:<width$} "),
            };
        }
        text.push_str("|\n");
    }
    text
}

fn row(outcome: &Outcome) -> [String; HEAD.len()] {
    let (kept, live) = (outcome.account.kept_total(), outcome.account.live_total());
    let breaches = &outcome.account.breaches;
    let share = live.delivered as f64 * 100.0 / live.accepted.max(1) as f64;
    let recovery = |share| {
        let ms = outcome.recovery_quantile_ms(share);
        ms.map_or("-".to_owned(), |ms| format!("{:.1} s", ms as f64 / 1e3))
    };
    [
        outcome.fault.clone(),
        outcome.shape.clone(),
        outcome.cycles.to_string(),
        kept.accepted.to_string(),
        kept.delivered.to_string(),
        breaches.duplicates.to_string(),
        breaches.disordered.to_string(),
        kept.expired.to_string(),
        kept.recalled.to_string(),
        kept.dead.to_string(),
        kept.pending.to_string(),
        kept.lost.to_string(),
        format!("{share:.1} %"),
        recovery(0.5),
        recovery(1.0),
    ]
}

/// What went wrong, and what to repeat it with.
pub fn explain(outcome: &Outcome) -> String {
    let mut text: String =
        outcome.notes.iter().map(|note| format!("{}: {note}\n", outcome.fault)).collect();
    if outcome.failures.is_empty() {
        return text;
    }
    let _ = writeln!(text, "\n{} failed (--seed {}):", outcome.fault, outcome.seed);
    let account = &outcome.account;
    let lists = [
        &outcome.failures,
        &account.lost_examples,
        &account.breaches.examples,
        &outcome.receipts.examples,
    ];
    for line in lists.into_iter().flatten() {
        let _ = writeln!(text, "  {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Account, Balance, Kind};

    fn outcome(fault: &str, recovery_ms: &[u64]) -> Outcome {
        let balance =
            Balance { pushes: 1, accepted: 3, delivered: 2, lost: 1, ..Balance::default() };
        let kept = [(Kind::App, balance)].into();
        Outcome {
            fault: fault.to_owned(),
            shape: "apart".to_owned(),
            cycles: recovery_ms.len(),
            clients: 3,
            seed: 1,
            recovery_ms: recovery_ms.to_vec(),
            account: Account { kept, ..Account::default() },
            receipts: Default::default(),
            failures: Vec::new(),
            notes: Vec::new(),
            seconds: 1.0,
        }
    }

    #[test]
    fn runs_of_one_fault_are_one_line() {
        let outcomes = [outcome("a", &[100, 300]), outcome("b", &[]), outcome("a", &[7_000])];
        // As they are kept between runs.
        let text = serde_json::to_string(&outcomes).unwrap();
        let sums = summed(serde_json::from_str(&text).unwrap());
        let table = table(&sums);
        let lines: Vec<Vec<&str>> =
            table.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
        assert_eq!(lines.len(), 4, "{table}");
        assert_eq!(lines[2][1..6], ["a", "apart", "3", "6", "4"]);
        assert_eq!(lines[2][12..16], ["2", "0.0 %", "0.3 s", "7.0 s"]);
        assert_eq!(lines[3][14..16], ["-", "-"]);
    }
}
