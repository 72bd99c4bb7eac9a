//! What is measured of each server, in which order, and how starts of the same server become one figure.

use crate::child::{Server, Usage};
use crate::client::Client;
use crate::contender::Contender;
use anyhow::{Context, Result};
use gpusher_figures::figure::{Figure, Unit};
use gpusher_sys::affinity;
use std::time::{Duration, Instant};

/// Echoes under way at once, and for how long, for the throughput.
const ECHOING: u32 = 64;

/// How much is done with each server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// Connections held.
    pub(crate) connections: u32,
    /// Messages to everybody.
    pub(crate) broadcasts: u32,
    /// Messages there and back, one after the other.
    pub(crate) echoes: u32,
}

/// What one start has shown, in the order of [`NAMES`].
type Values = [f64; NAMES.len()];

/// Names and units of the figures.
const NAMES: [(&str, Unit); 8] = [
    ("memory of an idle connection", Unit::Bytes),
    ("accepts, each with a first echo", Unit::PerSecond),
    ("accept with a first echo, CPU", Unit::Nanoseconds),
    ("message of a broadcast, CPU", Unit::Nanoseconds),
    ("echo, p50", Unit::Nanoseconds),
    ("echo, p99", Unit::Nanoseconds),
    ("echoes, 64 at once", Unit::PerSecond),
    ("echo, 64 at once, CPU", Unit::Nanoseconds),
];

/// Starts each server so often, taking turns, and measures it.
///
/// # Errors
/// When a server does not start or does not keep up. None is left out silently.
pub(crate) fn compare(contenders: &[Contender], work: &Work, repeats: u32) -> Result<Vec<Figure>> {
    affinity::pin_to(*affinity::allowed_cores()?.first().context("no core")?)?;
    let mut starts: Vec<Vec<Values>> = vec![Vec::new(); contenders.len()];
    for _ in 0..repeats.max(1) {
        for (contender, starts) in contenders.iter().zip(&mut starts) {
            eprintln!("{} ...", contender.name());
            let values = one_start(*contender, work);
            starts.push(values.with_context(|| contender.name().to_owned())?);
        }
    }
    let figures = NAMES.iter().enumerate().flat_map(|(index, &(name, unit))| {
        contenders.iter().zip(&starts).map(move |(contender, starts)| {
            let values = starts.iter().map(|values| values[index]).collect();
            Figure::median(format!("{name}: {}", contender.name()), values, unit)
        })
    });
    Ok(figures.collect())
}

fn one_start(contender: Contender, work: &Work) -> Result<Values> {
    let server = Server::start(contender)?;
    let mut client = Client::new(work.connections)?;
    // Buffers that a server has once, however many connections there are, grow with the first tenth.
    let tenth = (work.connections / 10).max(ECHOING.min(work.connections / 2));
    client.connect(server.address, tenth)?;
    let ((), accepting) =
        over(&server, || client.connect(server.address, work.connections - tenth))?;
    let accepted = f64::from(work.connections - tenth);

    let mut broadcasts = Vec::new();
    for _ in 0..work.broadcasts {
        let ((), spent) = over(&server, || client.broadcast())?;
        broadcasts.push(spent.cpu_ns / f64::from(work.connections));
    }
    let mut echoes = Vec::new();
    for number in 0..work.echoes {
        echoes.push(client.echo(number % work.connections)?.as_nanos() as f64);
    }
    let at_once = ECHOING.min(work.connections);
    let time = Duration::from_millis(u64::from(work.echoes) / 5);
    let (echoed, echoing) = over(&server, || client.echo_all(at_once, time))?;
    Ok([
        accepting.memory_bytes / accepted,
        accepted / accepting.seconds,
        accepting.cpu_ns / accepted,
        quantile(&mut broadcasts, 0.5),
        quantile(&mut echoes, 0.5),
        quantile(&mut echoes, 0.99),
        echoed as f64 / echoing.seconds,
        echoing.cpu_ns / echoed as f64,
    ])
}

/// What something has cost.
struct Spent {
    seconds: f64,
    cpu_ns: f64,
    memory_bytes: f64,
}

fn over<T>(server: &Server, work: impl FnOnce() -> Result<T>) -> Result<(T, Spent)> {
    let (before, started) = (server.usage()?, Instant::now());
    let done = work()?;
    let (seconds, after) = (started.elapsed().as_secs_f64(), server.usage()?);
    let grown = |field: fn(&Usage) -> u64| field(&after) as f64 - field(&before) as f64;
    let spent = Spent {
        seconds,
        cpu_ns: grown(|usage| usage.cpu_ns),
        memory_bytes: grown(|usage| usage.memory_bytes),
    };
    Ok((done, spent))
}

fn quantile(values: &mut [f64], quantile: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * quantile) as usize]
}
