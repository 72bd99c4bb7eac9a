//! Outcomes as tables.

use crate::ledger::{Account, Kind};
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
const CLASS_HEAD: [&str; 10] = [
    "class",
    "pushes",
    "accepted",
    "delivered",
    "expired",
    "recalled",
    "dead",
    "pending",
    "lost",
    "missed",
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
    markdown(HEAD, 2, outcomes.iter().map(row))
}

/// The books of all outcomes together, one line a class of messages, in Markdown. A class that nothing was pushed of has none. Kept pushes to
/// topics count once, as what a latecomer finds in the log; their members get them as live ones.
pub fn classes(outcomes: &[Outcome]) -> String {
    let mut sum = Account::default();
    outcomes.iter().for_each(|outcome| sum.add(&outcome.account));
    let kept = sum.kept.iter().map(|(kind, it)| {
        let fates = [it.delivered, it.expired, it.recalled, it.dead, it.pending, it.lost];
        let mut counts = [Some(it.pushes), Some(it.accepted)].to_vec();
        counts.extend(fates.map(Some));
        class(*kind, "kept", &counts)
    });
    let live = sum.live.iter().map(|(kind, it)| {
        let [pushes, accepted, delivered] = [it.pushes, it.accepted, it.delivered].map(Some);
        let missed = Some(it.missed);
        class(*kind, "live", &[pushes, accepted, delivered, None, None, None, None, None, missed])
    });
    markdown(CLASS_HEAD, 1, kept.chain(live))
}

/// What is not counted is left out.
fn class(kind: Kind, how: &str, counts: &[Option<u64>]) -> [String; CLASS_HEAD.len()] {
    std::array::from_fn(|column| match column.checked_sub(1) {
        None => format!("{}, {how}", kind.name()),
        Some(at) => {
            counts.get(at).copied().flatten().map_or("-".to_owned(), |count| count.to_string())
        }
    })
}

/// Rows under a head, whose first columns are names.
fn markdown<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    names: usize,
    body: impl Iterator<Item = [String; COLUMNS]>,
) -> String {
    let mut rows = vec![head.map(str::to_owned)];
    rows.push(std::array::from_fn(|column| if column < names { "---" } else { "---:" }.to_owned()));
    rows.extend(body);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
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
    use crate::ledger::{Balance, LiveBalance};

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

    #[test]
    fn each_class_has_a_line_in_which_the_books_close() {
        let mut second = outcome("b", &[]);
        let live = LiveBalance { pushes: 1, accepted: 5, delivered: 4, missed: 1 };
        second.account.live.insert(Kind::Topic, live);
        let table = classes(&[outcome("a", &[]), second]);
        let lines: Vec<Vec<&str>> =
            table.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
        assert_eq!(lines.len(), 4, "{table}");
        assert_eq!(lines[2][1..11], ["app, kept", "2", "6", "4", "0", "0", "0", "0", "2", "-"]);
        assert_eq!(lines[3][1..11], ["topic, live", "1", "5", "4", "-", "-", "-", "-", "-", "1"]);
    }
}
