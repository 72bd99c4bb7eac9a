//! One gateway's link: what waits for its credit, what it was given to do, whom it has.

use super::login::Waiting;
use super::plan::PushPart;
use gpusher_proto::gateway::{Batch, Command, Delivery, Hello, Load, command, delivery};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// Names one attachment of a gateway while this process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkKey(pub u64);

/// What an outstanding delivery is for.
#[derive(Debug)]
pub enum Part {
    /// A push.
    Push(PushPart),
    /// A message of a session's replay.
    Replay(ReplayPart),
}

impl Part {
    /// The queue's record, if it is a kept push.
    pub fn kept_offset(&self) -> Option<u64> {
        match self {
            Self::Push(part) if part.kept => Some(part.offset),
            _ => None,
        }
    }
}

/// A message of a page of a session's replay.
#[derive(Debug)]
pub struct ReplayPart {
    /// Whose.
    pub conn: u64,
    /// Which message.
    pub message: u64,
    /// Its number.
    pub seq: u64,
    /// Of which page: an earlier life of the connection may have had others.
    pub page: u64,
}

/// More credit than this is not believed.
const CREDIT_MAX: u64 = 1 << 20;
/// Bytes of content in one batch: below gRPC's message limit, with room for one largest message.
const BATCH_BYTES: usize = 1 << 20;
/// Commands in one batch.
const BATCH_COMMANDS: usize = 1_024;

/// A command that waits for credit.
#[derive(Debug)]
struct Queued {
    command: Command,
    bytes: usize,
    /// The queue's record that is done when this was sent, for commands without an outcome.
    offset: Option<u64>,
}

/// A gateway that said hello.
#[derive(Debug)]
pub struct Link {
    /// Its number.
    pub gateway: u32,
    /// Of its process.
    pub epoch: u64,
    /// For clients.
    pub client_addr: String,
    /// Its lease is registered: routes may be bound.
    pub leased: bool,
    /// When the lease is to be renewed.
    pub renew_at_ms: u64,
    /// The lease was lost, and with it the routes of other instances' sessions.
    pub lost_lease: bool,
    /// Connections that had no route when it was looked for: perhaps just replaced.
    pub suspects: Vec<u64>,
    /// Those of them that are being looked for again.
    pub asked_again: Vec<u64>,
    /// When routes are to be looked for next.
    pub canaries_at_ms: u64,
    /// A lease call is under way.
    pub leasing: bool,
    /// Logins reported before the lease was registered.
    pub(super) early: Vec<Waiting>,
    /// It has announced the sessions that are this instance's.
    pub announced: bool,
    /// How often it was asked to announce everybody again.
    pub announcements_asked: u32,
    /// The first record that it may have missed before it was asked: done when it has announced everybody.
    pub owed: Option<u64>,
    /// It has announced all its memberships.
    pub complete: bool,
    /// Other instances share it: names of all, sorted. Empty: this one is alone.
    pub logics: Vec<String>,
    /// Its last report of load.
    pub load: Load,
    /// Members of apps (name empty) and topics that it announced.
    pub members: FxHashMap<(u32, Arc<str>), u32>,
    /// Sessions of each app that this logic has on it: counts as membership before the gateway's announcement arrives.
    pub sessions: FxHashMap<u32, u32>,
    /// Deliveries without an outcome.
    pub parts: FxHashMap<u64, Part>,
    /// Per (kind, app): every member's socket has taken the kept messages up to here.
    pub taken: FxHashMap<(usize, u32), u64>,
    /// Since when commands wait without credit.
    pub stalled_since_ms: Option<u64>,
    credit: u64,
    backlog: VecDeque<Queued>,
    backlog_bytes: usize,
}

impl Link {
    /// A link of a gateway.
    pub fn new(hello: &Hello) -> Self {
        Self {
            gateway: hello.gateway,
            epoch: hello.epoch,
            client_addr: hello.client_addr.clone(),
            leased: false,
            renew_at_ms: 0,
            lost_lease: false,
            suspects: Vec::new(),
            asked_again: Vec::new(),
            canaries_at_ms: 0,
            leasing: false,
            early: Vec::new(),
            announced: false,
            announcements_asked: 0,
            owed: None,
            complete: false,
            logics: Vec::new(),
            load: Load { connections_max: hello.connections_max, ..Load::default() },
            members: FxHashMap::default(),
            sessions: FxHashMap::default(),
            parts: FxHashMap::default(),
            taken: FxHashMap::default(),
            stalled_since_ms: None,
            credit: 0,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
        }
    }

    /// Puts a command at the end of the line.
    pub fn push(&mut self, kind: command::Kind, offset: Option<u64>) {
        let bytes = cost(&kind);
        self.backlog_bytes += bytes;
        self.backlog.push_back(Queued { command: Command { kind: Some(kind) }, bytes, offset });
    }

    /// The gateway takes that many more commands.
    pub fn grant(&mut self, commands: u32) {
        self.credit = (self.credit + u64::from(commands)).min(CREDIT_MAX);
    }

    /// As many waiting commands as credit and the size of a batch allow; and the records that are done by them.
    pub fn take_batch(&mut self) -> Option<(Batch, Vec<u64>)> {
        let mut batch = Batch::default();
        let mut sent = Vec::new();
        let mut bytes = 0;
        while self.credit > 0 && batch.commands.len() < BATCH_COMMANDS && bytes < BATCH_BYTES {
            let Some(waiting) = self.backlog.pop_front() else { break };
            self.credit -= 1;
            self.backlog_bytes -= waiting.bytes;
            bytes += waiting.bytes;
            sent.extend(waiting.offset);
            batch.commands.push(waiting.command);
        }
        (!batch.commands.is_empty()).then_some((batch, sent))
    }

    /// Takes the deliveries of a message that have not been sent out of the line; their jobs.
    pub fn withdraw(&mut self, message: u64) -> Vec<u64> {
        let mut jobs = Vec::new();
        let mut bytes = 0;
        self.backlog.retain(|waiting| match delivery_of(&waiting.command) {
            Some(delivery) if delivery.message.as_ref().is_some_and(|m| m.id == message) => {
                jobs.push(delivery.job);
                bytes += waiting.bytes;
                false
            }
            _ => true,
        });
        self.backlog_bytes -= bytes;
        jobs
    }

    /// Records whose commands will not be sent any more, because the link broke.
    pub fn drop_backlog(&mut self) -> Vec<u64> {
        self.backlog_bytes = 0;
        self.backlog.drain(..).filter_map(|waiting| waiting.offset).collect()
    }

    /// Commands and bytes that wait.
    pub fn backlog(&self) -> (usize, usize) {
        (self.backlog.len(), self.backlog_bytes)
    }

    /// Whether commands wait for want of credit.
    pub fn is_starved(&self) -> bool {
        self.credit == 0 && !self.backlog.is_empty()
    }

    /// Whether anybody of an app (0: of any) is there.
    pub fn has_app(&self, app_id: u32) -> bool {
        if app_id == 0 {
            let announced = self.members.iter().any(|((_, topic), &n)| topic.is_empty() && n > 0);
            return announced || self.sessions.values().any(|&count| count > 0);
        }
        self.has_members(app_id, "") || self.sessions.get(&app_id).is_some_and(|&count| count > 0)
    }

    /// Whether members of an app or topic were announced.
    pub fn has_members(&self, app_id: u32, topic: &str) -> bool {
        self.members.get(&(app_id, topic.into())).is_some_and(|&count| count > 0)
    }
}

fn delivery_of(command: &Command) -> Option<&Delivery> {
    match &command.kind {
        Some(command::Kind::Delivery(delivery)) => Some(delivery),
        _ => None,
    }
}

/// About what a command weighs, for the bounds.
fn cost(kind: &command::Kind) -> usize {
    const BASE: usize = 64;
    match kind {
        command::Kind::Delivery(delivery) => {
            let content = delivery.message.as_ref().map_or(0, |message| message.content.len());
            let ids = match &delivery.audience {
                Some(delivery::Audience::Connections(connections)) => connections.ids.len(),
                _ => 0,
            };
            BASE + content + ids * size_of::<u64>()
        }
        _ => BASE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpusher_proto::gateway::{Message, SyncStart};

    fn link() -> Link {
        Link::new(&Hello { gateway: 1, epoch: 1, ..Hello::default() })
    }

    fn deliver(job: u64, id: u64) -> command::Kind {
        let message = Some(Message { id, ..Message::default() });
        command::Kind::Delivery(Delivery { job, message, ..Delivery::default() })
    }

    #[test]
    fn never_more_commands_than_granted() {
        let mut link = link();
        (0..5).for_each(|job| link.push(deliver(job, job), None));
        assert!(link.take_batch().is_none() && link.is_starved());
        link.grant(3);
        assert_eq!(link.take_batch().map(|(batch, _)| batch.commands.len()), Some(3));
        assert!(link.take_batch().is_none());
        assert_eq!(link.backlog().0, 2);
    }

    #[test]
    fn a_withdrawn_message_leaves_the_line_and_its_weight() {
        let mut link = link();
        link.push(deliver(1, 7), None);
        link.push(command::Kind::SyncStart(SyncStart { conn: 1, announcement: 0 }), Some(4));
        link.push(deliver(2, 7), None);
        assert_eq!(link.withdraw(7), [1, 2]);
        link.grant(9);
        let (batch, sent) = link.take_batch().expect("one is left");
        assert_eq!((batch.commands.len(), sent), (1, vec![4]));
        assert_eq!(link.backlog(), (0, 0));
    }
}
