//! Outcomes as a table.

use crate::run::Outcome;
use std::fmt::Write;

const HEAD: [&str; 14] = [
    "fault",
    "times",
    "accepted",
    "delivered",
    "expired",
    "recalled",
    "dead",
    "pending",
    "duplicates",
    "disordered",
    "lost",
    "live",
    "p50",
    "max",
];

/// One line an outcome, in Markdown: kept messages by receiver, live ones as a share, recovery in milliseconds.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.push(std::array::from_fn(|column| if column == 0 { "---" } else { "---:" }.to_owned()));
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
    let kept = outcome.account.kept_total();
    let breaches = &outcome.account.breaches;
    let live = outcome.account.live.values();
    let (accepted, delivered) =
        live.fold((0, 0), |sum, live| (sum.0 + live.accepted, sum.1 + live.delivered));
    let share = if accepted == 0 { 100.0 } else { delivered as f64 * 100.0 / accepted as f64 };
    let recovery =
        |share| outcome.recovery_quantile_ms(share).map_or("-".to_owned(), |ms| format!("{ms} ms"));
    [
        outcome.fault.to_owned(),
        outcome.cycles.to_string(),
        kept.accepted.to_string(),
        kept.delivered.to_string(),
        kept.expired.to_string(),
        kept.recalled.to_string(),
        kept.dead.to_string(),
        kept.pending.to_string(),
        breaches.duplicates.to_string(),
        breaches.disordered.to_string(),
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
