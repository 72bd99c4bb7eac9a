//! Measures the gateway without logic's work: a gateway in this process with a logic that admits everybody, and clients in a child
//! process. Prints what each scenario took.
//!
//! `cargo run --release -p gpusher-gateway --example data_path -- --connections 10000 saturate`

#![forbid(unsafe_code)]

mod clients;
mod cpu;
mod crowd;
mod logic;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use clients::Clients;
use cpu::Cpu;
use crowd::Crowd;
use gpusher_gateway::config::{Descriptors, Io};
use gpusher_gateway::metrics::ShardCount;
use gpusher_gateway::{Gateway, RuntimeConfig};
use gpusher_sys::limits::resident_bytes;
use logic::Logic;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

/// The app of all connections.
const APP: u32 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Logins per second, memory when all are idle, and what idling costs.
    Hold,
    /// Broadcasts as fast as the gateway takes them.
    Saturate,
    /// Unicasts, idle and during broadcasts.
    Unicast,
}

#[derive(Debug, Parser)]
struct Arguments {
    scenario: Scenario,
    #[arg(long, default_value_t = 10_000)]
    connections: u32,
    /// Threads of the gateway; 0: one per core.
    #[arg(long, default_value_t = 0)]
    shards: usize,
    /// Content of each message.
    #[arg(long, default_value_t = 64)]
    bytes: usize,
    /// Broadcasts, or unicasts in each half.
    #[arg(long, default_value_t = 5_000)]
    messages: u64,
    /// Of a hundred connections, how many never read.
    #[arg(long, default_value_t = 0)]
    deaf: u32,
    /// Logins a second that are offered; 0: as many as go.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    #[arg(long, default_value = "uring")]
    io: Io,
    /// In the child: where the gateway is.
    #[arg(long)]
    server: Option<SocketAddrV4>,
}

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    gpusher_sys::limits::raise_descriptor_limit()?;
    if let Some(server) = arguments.server {
        return Crowd::open(&arguments, server)?.run();
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(measure(arguments))
}

async fn measure(arguments: Arguments) -> Result<()> {
    let n = u64::from(arguments.connections);
    let mut config = RuntimeConfig::embedded();
    config.io = arguments.io;
    config.descriptors = Descriptors::Direct;
    config.connections_max = Some(arguments.connections as usize + 128);
    config.shards = (arguments.shards > 0).then_some(arguments.shards);
    config.deadlines.idle = Duration::from_secs(3_600);
    let gateway = Gateway::start(config, &tokio::runtime::Handle::current())?;
    println!("{}", gateway.budget());
    let before = resident_bytes()?;
    let logic = Logic::attach(gateway.attach()).await?;
    let started = Instant::now();
    let crowd = Clients::start(gateway.client_addr())?;
    let cpu = Cpu::read()?;
    until("logins", || crowd.get("ready") >= n).await?;
    let took = started.elapsed().as_secs_f64();
    println!("{n} logins in {took:.1} s: {:.0}/s; {}", n as f64 / took, cpu.spent(n, "login")?);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let grown = resident_bytes()? - before;
    println!(
        "memory of the gateway: {:.0} B per connection, {} MiB in all",
        grown as f64 / n as f64,
        grown >> 20
    );
    let counted = gateway.metrics().sum(ShardCount::MemoryBytes);
    println!("  of it counted by the shards: {:.0} B", counted as f64 / n as f64);
    let cpu = Cpu::read()?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    println!("idle for three seconds: {}", cpu.spent(3, "second")?);
    match arguments.scenario {
        Scenario::Hold => {}
        Scenario::Saturate => saturate(&arguments, &logic, &crowd).await?,
        Scenario::Unicast => unicast(&arguments, &logic, &crowd).await?,
    }
    for what in [
        ShardCount::DroppedOverflow,
        ShardCount::Spilled,
        ShardCount::MessagesQueued,
        ShardCount::OutboxBytes,
    ] {
        println!("{what:?}: {}", gateway.metrics().sum(what));
    }
    println!(
        "memory of the gateway: {} MiB more than before the logins",
        (resident_bytes()? - before) >> 20
    );
    drop(crowd);
    gateway.shutdown().await;
    Ok(())
}

/// A few broadcasts one by one, for CPU per message; then all that the credit allows at once.
async fn saturate(arguments: &Arguments, logic: &Logic, crowd: &Clients) -> Result<()> {
    let n = u64::from(arguments.connections) * u64::from(100 - arguments.deaf) / 100;
    let single = arguments.messages.min(10);
    for _ in 0..2 {
        let cpu = Cpu::read()?;
        let started = Instant::now();
        for _ in 0..single {
            let goal = crowd.get("messages") + n;
            logic.broadcast(arguments.bytes).await?;
            until("a broadcast", || crowd.get("messages") >= goal).await?;
        }
        let took = started.elapsed().as_secs_f64() / single as f64;
        println!(
            "a broadcast alone: {:.1} ms to the last; {}",
            took * 1e3,
            cpu.spent(n * single, "message")?
        );
    }
    let (cpu, started) = (Cpu::read()?, Instant::now());
    let goal = crowd.get("messages") + n * arguments.messages;
    for _ in 0..arguments.messages {
        logic.broadcast(arguments.bytes).await?;
    }
    logic.settled().await?;
    println!("all {} accepted after {:.2} s", arguments.messages, started.elapsed().as_secs_f64());
    let (mut received, mut took) = (0, Duration::ZERO);
    // What does not come within three seconds of what came before was dropped.
    while received < goal && started.elapsed() < took + Duration::from_secs(3) {
        let now = crowd.get("messages");
        took = if now > received { started.elapsed() } else { took };
        received = now;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = took.as_secs_f64();
    let got = n * arguments.messages - goal.saturating_sub(crowd.get("messages"));
    println!(
        "saturated: {got} messages in {took:.2} s: {:.2} million/s; {}",
        got as f64 / took / 1e6,
        cpu.spent(got, "message")?
    );
    println!("out of order or lost: {}", crowd.get("violations"));
    Ok(())
}

/// Of microseconds; leaves none behind.
fn percentiles(micros: &mut Vec<u64>) -> String {
    let mut micros = std::mem::take(micros);
    micros.sort_unstable();
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    format!("p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", at(0.5), at(0.99), at(1.0))
}

/// One connection of each hundred gets a message every few milliseconds; then again while everybody is broadcast to.
async fn unicast(arguments: &Arguments, logic: &Logic, crowd: &Clients) -> Result<()> {
    let n = u64::from(arguments.connections);
    for busy in [false, true, false, true] {
        let received = crowd.get("messages");
        let started = Instant::now();
        if busy {
            logic.broadcast(arguments.bytes).await?;
        }
        let mut sent = 0;
        while sent < arguments.messages && (!busy || crowd.get("messages") < received + n) {
            logic.unicast(sent as usize * 7919).await?;
            sent += 1;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        until("unicasts", || crowd.get("messages") >= received + sent + if busy { n } else { 0 })
            .await?;
        let took = started.elapsed().as_secs_f64();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let received = percentiles(&mut crowd.latencies.lock().expect("no panic"));
        let name = if busy { "during a broadcast" } else { "idle" };
        println!("unicasts, {name}: {sent} in {took:.1} s, received after {received}");
        let mut outcomes = logic.outcomes.lock().expect("no panic");
        println!(
            "  written by the gateway and said so to logic after {}",
            percentiles(&mut outcomes)
        );
    }
    Ok(())
}

fn unix_ns() -> u64 {
    std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(180);
    while !holds() {
        ensure!(Instant::now() < deadline, "{what}: they do not come");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
