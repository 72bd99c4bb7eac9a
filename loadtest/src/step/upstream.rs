//! Clients publish to the application, and what arrives there, by `GET /v1/upstream/stream`, is counted.

use super::perform::{Context, Meter};
use crate::crew::QUIET;
use crate::measure::Series;
use crate::message::{Clock, Stamp};
use crate::offer::Offered;
use crate::order::Order;
use crate::protocol::Name;
use crate::report::{Expected, PhaseReport};
use anyhow::{Context as _, Result, ensure};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often the reader looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) fn perform(
    context: &mut Context<'_>,
    rate: f64,
    count: u32,
    size: usize,
) -> Result<PhaseReport> {
    let gpusher = matches!(context.plan.protocol, Name::V0 | Name::V1);
    ensure!(gpusher, "where messages of clients arrive is known of gpusher only");
    let series = context.series();
    let stream =
        open(context.server.pushes, context.api_key.as_deref(), &context.plan.account.tag)?;
    let (arrived, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let clock = context.clock;
    let meter = Meter::start(context.server)?;
    let start_ns = clock.now_ns();
    let seen = thread::scope(|scope| {
        let reading = scope.spawn(|| read(stream, series, clock, &arrived, &stop));
        order(context, series, rate, count, size);
        wait_arrived(&arrived, count.into());
        stop.store(true, Ordering::Relaxed);
        reading.join()
    });
    let seen = seen.ok().context("the thread that reads panicked")??;
    let progress = &context.crew.progress;
    let offered = Offered {
        handed: count,
        start_ns,
        accepted: crate::progress::Progress::read(&progress.published),
        refused: crate::progress::Progress::read(&progress.unpublished),
        spent_ns: clock.now_ns() - start_ns,
        offered_ratio: 1.0,
        paced: true,
        busy_ns: 0,
    };
    let costs = meter.stop(context.server)?;
    let expected = Expected { messages: count.into(), once: true };
    Ok(PhaseReport::new("to the application", expected, &offered, &seen, Some(costs)))
}

fn order(context: &Context<'_>, series: u32, rate: f64, count: u32, size: usize) {
    let shares = context.crew.shares(count);
    let mut first = 1;
    context.crew.order(|_, thread| {
        let share = shares[thread as usize];
        let per_s = rate * f64::from(share.max(1)) / f64::from(count);
        let order = Order::Publish { series, first, per_s, count: share.into(), size };
        first += share;
        order
    });
}

fn wait_arrived(arrived: &AtomicU64, wanted: u64) {
    let (mut seen, mut last) = (0, Instant::now());
    while seen < wanted && last.elapsed() < QUIET {
        thread::sleep(Duration::from_millis(5));
        let present = arrived.load(Ordering::Relaxed);
        if present > seen {
            (seen, last) = (present, Instant::now());
        }
    }
}

fn open(at: SocketAddrV4, api_key: Option<&str>, tag: &str) -> Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(LOOK_EVERY))?;
    let key = api_key.map_or_else(String::new, |key| format!("Authorization: Bearer {key}\r\n"));
    write!(
        stream,
        "GET /v1/upstream/stream?app={tag}&limit=1000 HTTP/1.1\r\nHost: {at}\r\n{key}\r\n"
    )?;
    Ok(BufReader::new(stream))
}

/// An event's data is on one line, and a chunk holds whole events.
fn read(
    mut stream: BufReader<TcpStream>,
    series: u32,
    clock: Clock,
    arrived: &AtomicU64,
    stop: &AtomicBool,
) -> Result<Series> {
    let mut seen = Series::new(1);
    let mut line = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match stream.read_until(b'\n', &mut line) {
            Ok(0) => anyhow::bail!("the stream of clients' messages ended"),
            Ok(_) if line.last() == Some(&b'\n') => {
                let stamp = line.windows(4).position(|window| window == b"\"gp ");
                let stamp = stamp.and_then(|at| Stamp::parse(&line[at + 1..]));
                if let Some(stamp) = stamp.filter(|stamp| stamp.series == series) {
                    // The application sees one stream: its order is the order.
                    let order = arrived.fetch_add(1, Ordering::Relaxed);
                    seen.on_receipt(0, stamp, order, clock.now_ns());
                }
                line.clear();
            }
            // Half a line stays for the next time.
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(seen)
}
