//! What a login costs the control plane: logic, routes in memory and the SQLite store in this process, and a gateway that only reports.
//!
//! ```sh
//! cargo run --release -p gpusher-control --example login_storm -- 100000
//! ```
//!
//! Everybody logs in (never seen before), is announced again to a second logic, closes, logs in once more (known), and is lost with its
//! gateway. Per phase: rate, CPU for each connection by kind of thread, resident memory. The gateway's own share is not in it.

#![forbid(unsafe_code)]

use gpusher_control::logic::{Count, Counters, Data, Identity, Limits, Logic};
use gpusher_control::message_id::MessageIds;
use gpusher_control::metrics::QueueMetrics;
use gpusher_control::queue::local::{LocalOptions, LocalQueue};
use gpusher_control::routes::{MemoryRoutes, Routes};
use gpusher_control::store::{Durability, SqliteOptions, SqliteStore};
use gpusher_gateway::link::{EndReason, LinkEnds};
use gpusher_gateway::token::{Claims, TokenCheck};
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::*;
use jsonwebtoken::{EncodingKey, Header};
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const APP: u32 = 1000;
/// Events in a report, as the gateway's link makes them.
const REPORT_EVENTS: u32 = 512;
/// Logins without an answer: beyond it the gateway waits, as clients do that connect at a rate.
const UNANSWERED_MAX: u32 = 16_384;
const CREDIT: u32 = 4_096;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count: u32 = arguments.first().map_or(100_000, |count| count.parse().expect("a count"));
    let device = arguments.get(1).map_or("", String::as_str);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let world = World::open(folder.path()).await;
    println!("a shard's check of a token: {:.2} us", token_check_us());
    println!("{:<22} {:>9} {:>9}  CPU us/connection", "phase", "per s", "RSS MiB");

    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    let half = count / 2;
    let phase = Phase::begin("storm, first half");
    gateway.log_in(0..half, device, false).await;
    let first = phase.end(half);
    let phase = Phase::begin("storm, second half");
    gateway.log_in(half..count, device, false).await;
    let second = phase.end(count - half);
    let bytes = (second.resident_bytes - first.resident_bytes) as f64 / f64::from(count - half);
    println!("  {bytes:.0} bytes resident for each connection of the second half");

    let phase = Phase::begin("5 s of nothing");
    tokio::time::sleep(Duration::from_secs(5)).await;
    phase.end(count);

    let phase = Phase::begin("link breaks");
    drop(gateway);
    world.sessions(0).await;
    phase.end(count);
    let phase = Phase::begin("announced again");
    let mut gateway = Gateway::attach(&logic, 1).await;
    gateway.log_in(0..count, device, true).await;
    phase.end(count);

    let phase = Phase::begin("close");
    gateway.close(0..count).await;
    world.sessions(0).await;
    world.unbound().await;
    phase.end(count);

    let phase = Phase::begin("storm, all known");
    gateway.log_in(0..count, device, false).await;
    phase.end(count);
    let phase = Phase::begin("stop");
    drop(gateway);
    logic.stop().await;
    phase.end(count);
}

/// Wall time of one check on one core.
fn token_check_us() -> f64 {
    const CHECKS: u32 = 100_000;
    let claims = Claims { sub: "loadtest00000001".to_owned(), app: Some(APP), exp: 2_000_000_000 };
    let key = EncodingKey::from_secret(b"a secret of thirty-two characters");
    let token = jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a token");
    let check = TokenCheck::jwt(b"a secret of thirty-two characters");
    let started = Instant::now();
    for _ in 0..CHECKS {
        let checked = check.check(APP, &claims.sub, std::hint::black_box(&token), 1_800_000_000);
        assert_eq!(checked, Ok(()));
    }
    started.elapsed().as_secs_f64() * 1e6 / f64::from(CHECKS)
}

/// What outlives a logic.
struct World {
    data: Data,
    routes: Arc<MemoryRoutes>,
}

impl World {
    async fn open(folder: &std::path::Path) -> Self {
        let path = folder.join("store.db");
        let options = SqliteOptions { durability: Durability::Full, ..SqliteOptions::new(path) };
        let store = Arc::new(SqliteStore::open(options).await.expect("the store opens"));
        let metrics = QueueMetrics::register(&mut Registry::default());
        let path = folder.join("queue.db");
        let queue = LocalQueue::open(&path, LocalOptions::default(), metrics).await;
        let queue = Arc::new(queue.expect("the queue opens"));
        let routes = Arc::new(MemoryRoutes::default());
        let counters = Arc::new(Counters::default());
        Self { data: Data { store, routes: routes.clone(), queue, counters }, routes }
    }

    async fn start(&self) -> Logic {
        let identity = Identity { name: "logic".to_owned(), peers: vec!["logic".to_owned()] };
        let ids = Arc::new(MessageIds::new(1));
        Logic::start(self.data.clone(), Limits::default(), identity, ids, None).await
    }

    async fn sessions(&self, count: u64) {
        while self.data.counters.get(Count::Sessions) != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn unbound(&self) {
        while !self.routes.counts(0).await.expect("routes").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A gateway's side of its link.
struct Gateway {
    number: u32,
    to_logic: mpsc::Sender<FromGateway>,
    from_logic: mpsc::Receiver<ToGateway>,
    owed: u32,
}

impl Gateway {
    async fn attach(logic: &Logic, number: u32) -> Self {
        let (to, mut from_logic) = mpsc::channel(16);
        let (to_logic, from) = mpsc::channel(16);
        logic.attach_gateway(LinkEnds { to, from, end: EndReason::default() });
        from_logic.recv().await.expect("logic attaches");
        let gateway = Self { number, to_logic, from_logic, owed: 0 };
        gateway
            .send(from_gateway::Kind::Hello(Hello {
                gateway: number,
                epoch: 1,
                ..Hello::default()
            }))
            .await;
        gateway.send(from_gateway::Kind::Credit(Credit { commands: CREDIT })).await;
        gateway
    }

    async fn send(&self, kind: from_gateway::Kind) {
        self.to_logic.send(FromGateway { kind: Some(kind) }).await.expect("logic listens");
    }

    async fn report(&self, events: Vec<event::Kind>) {
        let events = events.into_iter().map(|kind| Event { kind: Some(kind) }).collect();
        self.send(from_gateway::Kind::Report(Report { events })).await;
    }

    fn conn(&self, index: u32) -> u64 {
        ConnId::new(self.number, 0, index, 1).raw()
    }

    fn opened(&self, index: u32, device: &str, again: bool) -> event::Kind {
        event::Kind::Opened(Opened {
            conn: self.conn(index),
            app_id: APP,
            user: format!("loadtest{index:08}"),
            device: device.to_owned(),
            version: 1,
            at_ms: 1_800_000_000_000,
            again,
            ..Opened::default()
        })
    }

    /// Reports logins in full reports, and takes the end of each one's replay.
    async fn log_in(&mut self, indices: std::ops::Range<u32>, device: &str, again: bool) {
        let (mut next, mut done) = (indices.start, indices.start);
        while done < indices.end {
            while next < indices.end && next - done < UNANSWERED_MAX {
                let end = indices.end.min(next + REPORT_EVENTS);
                let events = (next..end).map(|index| self.opened(index, device, again)).collect();
                next = end;
                self.report(events).await;
                done += self.take_waiting().await;
            }
            done += self.take().await;
        }
        if again {
            self.report(vec![event::Kind::Announced(Announced::default())]).await;
        }
    }

    async fn close(&mut self, indices: std::ops::Range<u32>) {
        let mut next = indices.start;
        while next < indices.end {
            let end = indices.end.min(next + REPORT_EVENTS);
            let closed =
                |index| event::Kind::Closed(Closed { conn: self.conn(index), ..Closed::default() });
            self.report((next..end).map(closed).collect()).await;
            next = end;
            self.take_waiting().await;
        }
    }

    async fn take_waiting(&mut self) -> u32 {
        let mut done = 0;
        while let Ok(message) = self.from_logic.try_recv() {
            done += self.on_message(message).await;
        }
        done
    }

    async fn take(&mut self) -> u32 {
        let message = self.from_logic.recv().await.expect("logic keeps the link");
        self.on_message(message).await
    }

    /// Logins whose end of replay is in the message.
    async fn on_message(&mut self, message: ToGateway) -> u32 {
        let Some(to_gateway::Kind::Batch(batch)) = message.kind else { return 0 };
        self.owed += batch.commands.len() as u32;
        if self.owed >= CREDIT / 4 {
            let commands = std::mem::take(&mut self.owed);
            self.send(from_gateway::Kind::Credit(Credit { commands })).await;
        }
        let done = |command: &&Command| matches!(command.kind, Some(command::Kind::SyncDone(_)));
        batch.commands.iter().filter(done).count() as u32
    }
}

/// A part of the run, and what was used before it.
struct Phase {
    name: &'static str,
    started: Instant,
    before: Usage,
}

#[derive(Debug, Default)]
struct Usage {
    cpu_ns: BTreeMap<String, u64>,
    resident_bytes: u64,
}

impl Phase {
    fn begin(name: &'static str) -> Self {
        Self { name, before: usage(), started: Instant::now() }
    }

    fn end(self, count: u32) -> Usage {
        let seconds = self.started.elapsed().as_secs_f64();
        let after = usage();
        let (rate, mib) = (f64::from(count) / seconds, after.resident_bytes as f64 / 1048576.0);
        print!("{:<22} {rate:>9.0} {mib:>9.1} ", self.name);
        for (thread, ns) in &after.cpu_ns {
            let spent = ns - self.before.cpu_ns.get(thread).copied().unwrap_or(0);
            print!(" {thread} {:.2}", spent as f64 / 1_000.0 / f64::from(count));
        }
        println!("  peak {} MiB", kilobytes("VmHWM:") / 1024);
        let _ = fs::write("/proc/self/clear_refs", "5");
        after
    }
}

/// CPU time by the thread's name without its number, and resident memory.
fn usage() -> Usage {
    let mut usage = Usage { resident_bytes: kilobytes("VmRSS:") * 1024, ..Usage::default() };
    for task in fs::read_dir("/proc/self/task").expect("threads").flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let name = name.trim().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
        let spent = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let spent = spent.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        *usage.cpu_ns.entry(name.to_owned()).or_default() += spent;
    }
    usage
}

fn kilobytes(key: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}
