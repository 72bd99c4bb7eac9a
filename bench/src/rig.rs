//! A shard of the gateway turned by the caller's thread, the caller in the place of the link and of logic.

use anyhow::{Context, Result};
use gpusher_gateway::links::{LinkId, LinkSet};
use gpusher_gateway::mail::{Audience, FromShard, Job, ToLink, ToShard};
use gpusher_gateway::metrics::{ShardCount, ShardCounts};
use gpusher_gateway::shard::{Shard, ShardConfig, SystemClock};
use gpusher_proto::gateway::{Admit, SyncDone};
use gpusher_proto::wire::v1::{ClientFrame, Login};
use gpusher_proto::wire::{EncodedPush, Positions};
use gpusher_sys::Waker;
use gpusher_sys::driver::Driver;
use gpusher_sys::mailbox::{Sender, mailbox};
use std::sync::Arc;
use tokio::sync::mpsc::Receiver;

/// The app of all connections.
pub(crate) const APP: u32 = 1000;
const LINK: LinkId = LinkId(1);
/// Longer than any run: nobody sends heartbeats.
const NEVER_MS: u64 = 86_400_000;

/// See the module.
pub(crate) struct Rig<D> {
    shard: Shard<D, SystemClock>,
    mail: Sender<ToShard>,
    waker: Waker,
    counts: Arc<ShardCounts>,
    reports: Receiver<Vec<FromShard>>,
    /// Deliveries so far.
    jobs: u64,
}

impl<D: Driver> Rig<D> {
    /// A shard for that many connections; `open` makes its driver.
    pub(crate) fn new(
        shard: u32,
        connections: u32,
        open: impl FnOnce(Waker) -> Result<D>,
    ) -> Result<Self> {
        let (mail, mailbox) = mailbox(1 << 14).context("cannot make a mailbox")?;
        let (to_link, reports) = ToLink::queue(1 << 10);
        let waker = mailbox.waker();
        let driver = open(waker.clone())?;
        let config = ShardConfig {
            shard,
            connections_max: connections as usize,
            login_deadline_ms: NEVER_MS,
            idle_timeout_ms: NEVER_MS,
            ..ShardConfig::default()
        };
        let counts = Arc::<ShardCounts>::default();
        let shard = Shard::new(config, driver, SystemClock, mailbox, to_link, counts.clone());
        let rig = Self { shard, mail, waker, counts, reports, jobs: 0 };
        rig.tell(ToShard::Links(Arc::new(LinkSet::new(1, [(LINK, "bench")]))));
        Ok(rig)
    }

    fn tell(&self, mail: ToShard) {
        assert!(self.mail.send(mail).is_ok(), "the shard reads its mail each turn");
    }

    /// Connections that are logged in.
    pub(crate) fn members(&self) -> u32 {
        self.counts.get(ShardCount::Members) as u32
    }

    /// Turns once without waiting, and admits who has come.
    pub(crate) fn let_in(&mut self) {
        self.waker.wake();
        self.shard.turn();
        while let Ok(batch) = self.reports.try_recv() {
            for report in batch {
                let FromShard::Opened { opened, .. } = report else { continue };
                let conn = opened.conn;
                self.tell(ToShard::Admit(LINK, Admit { conn, ..Admit::default() }));
                // Nothing is to be replayed.
                self.tell(ToShard::SyncDone(LINK, SyncDone { conn, ..SyncDone::default() }));
            }
        }
    }

    /// Delivers a message; what becomes of it shows in the turns that follow.
    pub(crate) fn deliver(&mut self, audience: Audience, push: Arc<EncodedPush>) {
        self.jobs += 1;
        let (link, job) = (LINK, self.jobs);
        self.tell(ToShard::Deliver(Job { link, job, audience, push, replay: false }));
    }

    /// Turns until that many deliveries are done; returns how many messages sockets have taken whole.
    pub(crate) fn finish(&mut self, deliveries: usize) -> u64 {
        let (mut done, mut written) = (0, 0);
        while done < deliveries {
            self.shard.turn();
            while let Ok(batch) = self.reports.try_recv() {
                for report in batch {
                    if let FromShard::Done(it) = report {
                        done += 1;
                        written += u64::from(it.written);
                    }
                }
            }
        }
        written
    }
}

/// The first frame of a client of version 1.
pub(crate) fn login(user: &str) -> Vec<u8> {
    let login = Login {
        app_id: APP,
        user,
        device: "",
        token: "any",
        capabilities: 0,
        epoch: 0,
        resume: Positions::EMPTY,
    };
    ClientFrame::Login(login).to_vec().expect("a short name")
}
