//! The table as it stands in the documentation.

use super::{Better, Cell, Outcome, Row, Spec};
use crate::environment::Environment;
use std::fmt::Write;

/// What, what it must reach, what it is, and how to get it again.
pub fn markdown(spec: &Spec, outcomes: &[Outcome], environment: &Environment) -> String {
    let mut text = format!("{environment}\n\n");
    text.push_str("| what | reach | measured | command |\n| --- | --- | --- | --- |\n");
    for row in &spec.rows {
        let run = spec.runs.iter().find(|run| run.name == row.run).expect("it was checked");
        let measured = match spec.cell(row, outcomes) {
            Cell::Value(value) => match row.is_reached(value) {
                Some(false) => format!("{} (missed)", amount(value, row)),
                _ => amount(value, row),
            },
            Cell::Nothing(why) => why.replace('|', "/"),
        };
        let command = run.command.join(" ").replace("{bin}/", "").replace(" --json {json}", "");
        let Row { what, .. } = row;
        writeln!(text, "| {what} | {} | {measured} | `{command}` |", reach(row))
            .expect("a string takes everything");
    }
    text
}

fn reach(row: &Row) -> String {
    let sign = match row.better {
        Better::Lower => "≤",
        Better::Higher => "≥",
    };
    row.reach.map_or_else(String::new, |reach| format!("{sign} {}", amount(reach, row)))
}

/// Three digits that count, thousands apart.
fn amount(value: f64, row: &Row) -> String {
    let decimals = match value.abs() {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let plain = format!("{value:.decimals$}");
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 && digit.is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped}{rest} {}", row.unit)
}
