//! Leases of gateways, as every caller knows them: a table that is read again when its version is another.

use super::keys::Keys;
use super::member::{Bound, ProcessNumber};
use super::{Clock, failed};
use crate::error::{Code, Error, Result};
use gpusher_proto::data::{GatewayLease, Route};
use gpusher_redis::{Redis, Script, cmd};
use parking_lot::Mutex;
use prost::Message;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! script {
    ($name:literal) => {
        Script::new(concat!(include_str!("leases.lua"), "\n", include_str!($name)))
    };
}

/// The leases in Redis.
pub(super) struct Leases {
    redis: Arc<Redis>,
    keys: Arc<Keys>,
    clock: Clock,
    scripts: Scripts,
    /// And the number of the reading that gave it.
    known: Mutex<(u64, Arc<Table>)>,
    reading: tokio::sync::Mutex<()>,
    /// Readings begun, so that callers who wait for one another's know whether it was begun after they asked.
    begun: AtomicU64,
}

struct Scripts {
    attach: Script,
    renew: Script,
    detach: Script,
    table: Script,
}

/// The leases at one moment.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Each change of who has a lease has another. It is also the latest number given to a process; 0: none yet.
    pub(super) version: u64,
    /// When the first lease runs out, by our clock.
    first_end_ms: u64,
    by_gateway: BTreeMap<u32, Held>,
    by_process: HashMap<ProcessNumber, u32>,
    /// Processes without a lease whose bindings are still there.
    pub(super) gone: Vec<ProcessNumber>,
}

#[derive(Debug)]
struct Held {
    process: ProcessNumber,
    lease: GatewayLease,
}

/// As `table.lua` answers: version, time, gateways and their records in turn, processes that are gone.
type Answer = (u64, u64, Vec<Vec<u8>>, Vec<Vec<u8>>);

impl Table {
    fn parse((version, now_ms, records, gone): Answer, asked_ms: u64) -> Option<Self> {
        let mut table = Self { version, first_end_ms: u64::MAX, ..Self::default() };
        for record in records.chunks_exact(2) {
            let gateway = std::str::from_utf8(&record[0]).ok()?.parse().ok()?;
            let (_epoch, rest) = record[1].split_first_chunk::<8>()?;
            let (process, rest) = rest.split_first_chunk()?;
            let (&[a, b, c, d, e, f], lease) = rest.split_first_chunk()?;
            let until_ms = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
            let process = ProcessNumber::from_bytes(*process);
            let lease = GatewayLease::decode(lease).ok()?;
            // It was asked for before the server looked at its clock: we see the end early rather than late.
            let end_ms = asked_ms + until_ms.saturating_sub(now_ms);
            table.first_end_ms = table.first_end_ms.min(end_ms);
            table.by_process.insert(process, gateway);
            table.by_gateway.insert(gateway, Held { process, lease });
        }
        let number =
            |bytes: &Vec<u8>| Some(ProcessNumber::from_bytes(bytes.as_slice().try_into().ok()?));
        table.gone = gone.iter().map(number).collect::<Option<_>>()?;
        Some(table)
    }

    /// The process of this epoch, if its lease runs.
    pub(super) fn process(&self, gateway: u32, epoch: u64) -> Option<ProcessNumber> {
        let held = self.by_gateway.get(&gateway)?;
        (held.lease.epoch == epoch).then_some(held.process)
    }

    /// Whether the process of a route has a lease that runs.
    pub(super) fn has_lease(&self, route: &Route) -> bool {
        self.process(route.gateway, route.gateway_epoch).is_some()
    }

    /// All processes of an epoch.
    pub(super) fn of_epoch(&self, epoch: u64) -> impl Iterator<Item = ProcessNumber> {
        let held = self.by_gateway.values().filter(move |held| held.lease.epoch == epoch);
        held.map(|held| held.process)
    }

    /// A binding as a route; none if its process has no lease.
    pub(super) fn route(&self, bound: Bound) -> Option<Route> {
        let gateway = *self.by_process.get(&bound.process)?;
        Some(bound.of_gateway(gateway, self.by_gateway.get(&gateway)?.lease.epoch))
    }

    pub(super) fn gateway(&self, process: ProcessNumber) -> Option<u32> {
        self.by_process.get(&process).copied()
    }

    /// Whether the process got its lease after this table was read.
    pub(super) fn is_older_than(&self, process: ProcessNumber) -> bool {
        process.0 > self.version
    }

    pub(super) fn processes(&self) -> impl Iterator<Item = ProcessNumber> {
        self.by_process.keys().copied()
    }

    pub(super) fn leases(&self) -> Vec<GatewayLease> {
        self.by_gateway.values().map(|held| held.lease.clone()).collect()
    }
}

impl Leases {
    pub(super) fn new(redis: Arc<Redis>, keys: Arc<Keys>, clock: Clock) -> Self {
        let scripts = Scripts {
            attach: script!("attach.lua"),
            renew: script!("renew.lua"),
            detach: script!("detach.lua"),
            table: script!("table.lua"),
        };
        let (known, reading, begun) = Default::default();
        Self { redis, keys, clock, scripts, known, reading, begun }
    }

    pub(super) async fn attach(&self, lease: &GatewayLease) -> Result<()> {
        let attached: bool = self.run(&self.scripts.attach, &lease_arguments(lease)).await?;
        self.read().await?;
        if attached {
            return Ok(());
        }
        let text = format!("gateway {} has a newer process than this one", lease.gateway);
        Err(Error::new(Code::Conflict, text))
    }

    pub(super) async fn renew(&self, lease: &GatewayLease) -> Result<bool> {
        self.run(&self.scripts.renew, &lease_arguments(lease)).await
    }

    pub(super) async fn detach(&self, gateway: u32, epoch: u64) -> Result<()> {
        let arguments = [gateway.to_string().into(), epoch.to_be_bytes().to_vec()];
        let _: bool = self.run(&self.scripts.detach, &arguments).await?;
        self.read().await.map(drop)
    }

    /// The table as it was last read, unless a lease has run out since: that one may have been renewed.
    pub(super) async fn known(&self) -> Result<Arc<Table>> {
        let known = self.known.lock().1.clone();
        match known.version > 0 && self.clock.local_ms() < known.first_end_ms {
            true => Ok(known),
            false => self.read().await,
        }
    }

    /// The version at this moment.
    pub(super) async fn version(&self) -> Result<u64> {
        let version: Option<u64> =
            self.redis.call(cmd("GET").arg(&self.keys.version)).await.map_err(failed)?;
        Ok(version.unwrap_or(0))
    }

    /// The table as it is at this moment.
    pub(super) async fn current(&self) -> Result<Arc<Table>> {
        let (known, version) = (self.known().await?, self.version().await?);
        if known.version == version { Ok(known) } else { self.read().await }
    }

    /// Reads the table. Callers at the same time share a reading that begins after the last of them asked.
    pub(super) async fn read(&self) -> Result<Arc<Table>> {
        let asked = self.begun.load(Relaxed);
        let _alone = self.reading.lock().await;
        let (reading, table) = self.known.lock().clone();
        if reading > asked {
            return Ok(table);
        }
        let reading = self.begun.fetch_add(1, Relaxed) + 1;
        let asked_ms = self.clock.local_ms();
        let answer = self.run(&self.scripts.table, &[]).await?;
        let table = Table::parse(answer, asked_ms).ok_or_else(foreign)?;
        let table = Arc::new(table);
        *self.known.lock() = (reading, table.clone());
        Ok(table)
    }

    async fn run<T: gpusher_redis::FromRedisValue>(
        &self,
        script: &Script,
        arguments: &[Vec<u8>],
    ) -> Result<T> {
        let keys = [&self.keys.leases, &self.keys.version, &self.keys.gone].map(Clone::clone);
        let mut all = vec![self.clock.argument()];
        all.extend_from_slice(arguments);
        script.run(&self.redis, &keys, &all).await.map_err(failed)
    }
}

fn lease_arguments(lease: &GatewayLease) -> [Vec<u8>; 4] {
    [
        lease.gateway.to_string().into(),
        lease.epoch.to_be_bytes().to_vec(),
        lease.lease_ms.max(0).to_string().into(),
        lease.encode_to_vec(),
    ]
}

fn foreign() -> Error {
    Error::new(Code::Internal, "the leases in redis are not written by this version of gpusher")
}
