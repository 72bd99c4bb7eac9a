//! The table: a row for each measure, a column for each system, medians over the rounds, and their ratio to the first system's.

use super::{Arguments, Measurement, Outcome};

/// Takes a measure out of a measurement.
type Take = fn(&Measurement) -> Option<f64>;

/// Measures, with the decimals they are worth.
const ROWS: &[(&str, usize, Take)] = &[
    ("logins/s", 0, |of| Some(of.logins_per_s)),
    ("server memory/connection, B", 0, |of| of.user_bytes),
    ("kernel, both ends/connection, B", 0, |of| of.kernel_bytes),
    ("saturated broadcast, messages/s", 0, |of| Some(of.messages_per_s)),
    ("  server CPU/message, us", 3, |of| of.saturated.cpu_us),
    ("paced broadcast, p50 ms", 2, |of| Some(of.broadcast.p50_ms)),
    ("  p99 ms", 2, |of| Some(of.broadcast.p99_ms)),
    ("  server CPU/message, us", 2, |of| of.broadcast.cpu_us),
    ("unicast, p50 ms", 2, |of| Some(of.unicast.p50_ms)),
    ("  p99 ms", 2, |of| Some(of.unicast.p99_ms)),
    ("  server CPU/message, us", 1, |of| of.unicast.cpu_us),
];

const NAME_COLUMNS: usize = 34;
const COLUMNS: usize = 21;

pub(super) fn print(arguments: &Arguments, outcomes: &[Outcome]) {
    let Arguments { connections, size, rounds, .. } = arguments;
    println!(
        "\n{connections} connections, {size} B, medians of {rounds} rounds (ratio to the first)\n"
    );
    let measured: Vec<&Outcome> =
        outcomes.iter().filter(|outcome| !outcome.rounds.is_empty()).collect();
    print_line("", measured.iter().map(|outcome| outcome.system.name().to_owned()));
    for (name, decimals, take) in ROWS {
        let first = measured.first().and_then(|outcome| median(&outcome.rounds, *take));
        let cell = |outcome: &&Outcome| cell(median(&outcome.rounds, *take), first, *decimals);
        print_line(name, measured.iter().map(cell));
    }
    print_line("lost, doubled, disordered", measured.iter().map(|outcome| faults(&outcome.rounds)));
    println!();
    for outcome in outcomes {
        if !outcome.version.is_empty() {
            println!("{}: {}", outcome.system.name(), outcome.version);
        }
        if let Some(missing) = &outcome.missing {
            println!("{}: not measured: {missing}", outcome.system.name());
        }
        for invalid in outcome.rounds.iter().filter_map(|round| round.invalid.as_ref()) {
            println!("{}: a round does not count: {invalid}", outcome.system.name());
        }
    }
}

fn print_line(name: &str, cells: impl Iterator<Item = String>) {
    let cells: String = cells.map(|cell| format!("{cell:>COLUMNS$}")).collect();
    println!("{name:<NAME_COLUMNS$}{cells}");
}

fn cell(value: Option<f64>, first: Option<f64>, decimals: usize) -> String {
    let Some(value) = value else { return "-".to_owned() };
    match first.filter(|first| *first > 0.0) {
        Some(first) => format!("{value:.decimals$} ({:.2}x)", value / first),
        None => format!("{value:.decimals$}"),
    }
}

/// The middle one of an odd number, the mean of the two in the middle of an even one.
fn median(rounds: &[Measurement], take: Take) -> Option<f64> {
    let mut values: Vec<f64> = rounds.iter().filter_map(take).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// Over all rounds and kinds of push.
fn faults(rounds: &[Measurement]) -> String {
    let pushed = || rounds.iter().flat_map(|of| [&of.saturated, &of.broadcast, &of.unicast]);
    let lost: u64 = pushed().map(|of| of.lost).sum();
    let doubled: u64 = pushed().map(|of| of.duplicates).sum();
    let disordered: u64 = pushed().map(|of| of.disordered).sum();
    format!("{lost}, {doubled}, {disordered}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(rates: &[f64]) -> Vec<Measurement> {
        let round = |rate: &f64| Measurement { messages_per_s: *rate, ..Measurement::default() };
        rates.iter().map(round).collect()
    }

    #[test]
    fn median_is_in_the_middle() {
        let rate: Take = |of| Some(of.messages_per_s);
        assert_eq!(median(&rounds(&[3.0, 1.0, 100.0]), rate), Some(3.0));
        assert_eq!(median(&rounds(&[4.0, 1.0, 2.0, 9.0]), rate), Some(3.0));
        assert_eq!(median(&[], rate), None);
        assert_eq!(median(&rounds(&[1.0]), |of| of.user_bytes), None);
    }

    #[test]
    fn cells_tell_the_ratio_to_the_first() {
        assert_eq!(cell(Some(3.0), Some(1.5), 1), "3.0 (2.00x)");
        assert_eq!(cell(Some(3.0), Some(0.0), 0), "3");
        assert_eq!(cell(None, Some(1.0), 0), "-");
    }
}
