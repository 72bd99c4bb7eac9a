//! The whole system in one thread, from one seed: production shards, links, logic and routes over a simulated kernel, network, store and clock; clients
//! of both versions; faults of every part; and the promises that must hold whatever happens ([`Invariant`]).
//!
//! What is production code: the shard with its session and outbox, the link between gateway and logic, logic's core and the works it asks for, the
//! routes in memory, the client codec. What is simulated: sockets ([`driver`]), streams between processes ([`network`]), the store and the queue
//! (in memory, and passing the suites of the real ones), time ([`clock`]), and the processes' deaths.
//!
//! A seed decides everything. [`run`] gives the same trace for the same options.

#![forbid(unsafe_code)]

mod canary;
mod check;
pub mod client;
pub mod clock;
pub mod driver;
mod faults;
mod finale;
pub mod gate;
pub mod gateway;
pub mod invariant;
pub mod ledger;
pub mod logic;
pub mod net;
pub mod network;
mod population;
pub mod queue;
pub mod random;
pub mod routes;
pub mod share;
pub mod speech;
pub mod store;
pub mod trace;
mod traffic;
mod words;
mod world;

pub use canary::Canary;
pub use faults::Fault;
pub use invariant::{Invariant, Violation};
pub use world::{Options, World};

use std::collections::BTreeMap;

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// The options it had.
    pub options: Options,
    /// Steps taken, the end included.
    pub steps: u64,
    /// Hash of the trace.
    pub hash: u64,
    /// Events in it.
    pub events: u64,
    /// Messages accepted, and receptions of kept ones.
    pub accepted: usize,
    /// Kept messages that devices have received.
    pub received: usize,
    /// Messages damaged on their way.
    pub damaged: u64,
    /// What has broken, and how often.
    pub injected: BTreeMap<Fault, u64>,
    /// The first promise broken, if any.
    pub violation: Option<Violation>,
    /// The last events, if a promise was broken.
    pub tail: Vec<String>,
}

/// Runs a world from its beginning to its end, or to the first broken promise.
pub fn run(options: Options) -> Report {
    let mut world = World::new(options);
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
    if let Err(panic) = ran {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        world.violate(Invariant::NoPanic, text.to_owned());
    }
    world.report()
}

/// Less with which the same promise is broken: fewer steps, fewer clients, fewer kinds of faults. Not the least there is, but quick to find.
pub fn shrink(report: Report) -> Report {
    const TRIES: usize = 60;
    let broken = |report: &Report| report.violation.as_ref().map(|violation| violation.invariant);
    let invariant = broken(&report);
    let mut best = report;
    let mut tries = 0;
    while let Some(smaller) = smaller_than(&best.options).find_map(|options| {
        tries += 1;
        let report = (tries <= TRIES).then(|| run(options))?;
        (broken(&report) == invariant).then_some(report)
    }) {
        best = smaller;
    }
    best
}

/// What to try next, the greatest step first.
fn smaller_than(options: &Options) -> impl Iterator<Item = Options> + use<> {
    let Options { steps, clients, .. } = *options;
    let sizes = [(steps / 2, clients), (steps * 3 / 4, clients), (steps, clients - 1)];
    let sizes = sizes.into_iter().filter(|&(steps, clients)| steps > 0 && clients > 0);
    let present = if options.faults { Fault::ALL } else { &[] };
    let present = present.iter().filter(|fault| !options.without.contains(fault));
    let fewer = present.map(|&fault| {
        let mut without = options.without.clone();
        without.insert(fault);
        Options { without, ..options.clone() }
    });
    let smaller = sizes.map(|(steps, clients)| Options { steps, clients, ..options.clone() });
    fewer.chain(smaller).collect::<Vec<_>>().into_iter()
}
