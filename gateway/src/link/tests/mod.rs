//! The link with scripted shards and scripted logics, on a clock that moves only when all are idle.

mod attach;
mod credit;
mod jobs;
mod membership;

use super::{Link, LinkEnds, LinkParts, Mailbox};
use crate::config::RuntimeConfig;
use crate::links::LinkSet;
use crate::mail::{FromShard, ToLink, ToShard};
use crate::metrics::{Counts, LinkCount, ShardCounts};
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::*;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Notify;

const GATEWAY: u32 = 3;
const APP: u32 = 1000;

/// A mailbox that a test reads instead of a shard.
#[derive(Clone)]
struct Box_ {
    mails: Arc<Mutex<VecDeque<ToShard>>>,
    arrived: Arc<Notify>,
    capacity: usize,
}

impl Mailbox for Box_ {
    fn try_send(&self, mail: ToShard) -> Result<(), ToShard> {
        let mut mails = self.mails.lock();
        if mails.len() >= self.capacity {
            return Err(mail);
        }
        mails.push_back(mail);
        self.arrived.notify_one();
        Ok(())
    }
}

impl Box_ {
    fn new(capacity: usize) -> Self {
        Self { mails: Arc::default(), arrived: Arc::default(), capacity }
    }

    async fn next(&self) -> ToShard {
        loop {
            if let Some(mail) = self.mails.lock().pop_front() {
                return mail;
            }
            self.arrived.notified().await;
        }
    }
}

/// A running link with two scripted shards.
struct Rig {
    shards: Vec<Box_>,
    to_link: ToLink,
    link: Link,
    counts: Arc<Counts<LinkCount>>,
}

impl Rig {
    fn start() -> Self {
        Self::with(4096, |_| {})
    }

    fn with(mails: usize, change: impl FnOnce(&mut RuntimeConfig)) -> Self {
        let mut config = RuntimeConfig::embedded();
        change(&mut config);
        let shards = vec![Box_::new(mails), Box_::new(mails)];
        let (to_link, from_shards) = ToLink::queue(64);
        let counts = Arc::new(Counts::default());
        let mailboxes = shards.iter().map(|shard| Box::new(shard.clone()) as Box<dyn Mailbox>);
        let link = Link::start(LinkParts {
            hello: Hello { gateway: GATEWAY, epoch: 77, shards: 2, ..Hello::default() },
            config: config.link,
            mailboxes: mailboxes.collect(),
            from_shards,
            shard_counts: vec![Arc::new(ShardCounts::default())],
            counts: Arc::clone(&counts),
        });
        Self { shards, to_link, link, counts }
    }

    fn open(&self) -> Logic {
        let (events, logics) = Default::default();
        Logic { ends: self.link.attach(), events, logics, credit: 0 }
    }

    /// A logic past its introduction, and the set that the shards were told.
    async fn attach(&self, name: &str) -> (Logic, Arc<LinkSet>) {
        let mut logic = self.open();
        let attach = Attach { logic: name.into(), ..Attach::default() };
        logic.send(to_gateway::Kind::Attach(attach)).await;
        let hello = logic.hello().await;
        assert_eq!((hello.gateway, hello.epoch), (GATEWAY, 77));
        (logic, self.links().await)
    }

    /// The next set of links; both shards must get it.
    async fn links(&self) -> Arc<LinkSet> {
        let mut sets = Vec::new();
        for shard in &self.shards {
            let set = loop {
                match shard.next().await {
                    ToShard::Links(set) => break set,
                    ToShard::Apps(_) => {}
                    other => panic!("not a set of links: {other:?}"),
                }
            };
            sets.push(set);
        }
        assert_eq!(sets[0], sets[1]);
        sets.remove(0)
    }

    async fn mail(&self, shard: usize) -> ToShard {
        self.shards[shard].next().await
    }

    fn report(&self, messages: Vec<FromShard>) {
        let mut batch = messages;
        assert!(self.to_link.try_send(&mut batch));
    }

    async fn until(&self, what: LinkCount, value: u64) {
        while self.counts.get(what) != value {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

/// A scripted logic.
struct Logic {
    ends: LinkEnds,
    events: VecDeque<event::Kind>,
    /// What it was told of others.
    logics: Vec<Vec<String>>,
    credit: u32,
}

impl Logic {
    async fn send(&self, kind: to_gateway::Kind) {
        self.ends.to.send(ToGateway { kind: Some(kind) }).await.unwrap();
    }

    async fn command(&self, kind: command::Kind) {
        self.commands(vec![kind]).await;
    }

    async fn commands(&self, kinds: Vec<command::Kind>) {
        let commands = kinds.into_iter().map(|kind| Command { kind: Some(kind) }).collect();
        self.send(to_gateway::Kind::Batch(Batch { commands })).await;
    }

    async fn hello(&mut self) -> Hello {
        match self.ends.from.recv().await.unwrap().kind.unwrap() {
            from_gateway::Kind::Hello(hello) => hello,
            other => panic!("not a hello: {other:?}"),
        }
    }

    /// The next event that is not the load; credit is added up on the way.
    async fn event(&mut self) -> event::Kind {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            assert!(self.read().await, "the link has ended: {:?}", self.ends.end.get());
        }
    }

    async fn read(&mut self) -> bool {
        let Some(message) = self.ends.from.recv().await else { return false };
        match message.kind.unwrap() {
            from_gateway::Kind::Report(report) => {
                let events = report.events.into_iter().map(|event| event.kind.unwrap());
                for event in events {
                    match event {
                        event::Kind::Load(_) => {}
                        event::Kind::Logics(logics) => self.logics.push(logics.names),
                        event => self.events.push_back(event),
                    }
                }
            }
            from_gateway::Kind::Credit(credit) => self.credit += credit.commands,
            from_gateway::Kind::Hello(_) => panic!("a second hello"),
        }
        true
    }

    /// Reads on until the link has ended.
    async fn ended(&mut self) -> super::LinkEnd {
        while self.read().await {}
        self.ends.end.get().unwrap()
    }

    /// No event comes for the time that nobody has anything to do.
    async fn hears_nothing(&mut self) {
        let wait = std::time::Duration::from_millis(300);
        let event = tokio::time::timeout(wait, self.event()).await;
        assert!(event.is_err(), "unexpected {event:?}");
    }

    async fn has_credit(&mut self, commands: u32) {
        while self.credit < commands {
            assert!(self.read().await);
        }
        assert_eq!(self.credit, commands);
    }
}

fn conn(shard: u32, slot: u32) -> u64 {
    ConnId::new(GATEWAY, shard, slot, 1).raw()
}

fn delivery(job: u64, audience: delivery::Audience) -> command::Kind {
    let message = Some(Message { id: job, ..Message::default() });
    let audience = Some(audience);
    command::Kind::Delivery(Delivery { job, message, audience, replay: false })
}

fn to_conns(job: u64, ids: Vec<u64>) -> command::Kind {
    delivery(job, delivery::Audience::Connections(Connections { ids }))
}
