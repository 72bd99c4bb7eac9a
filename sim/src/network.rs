//! The network between a gateway and logic: messages are late, directions stall, links are cut and one end may not know it for a while.

use crate::canary::Canary;
use crate::random::Random;
use gpusher_control::logic::core::LinkKey;
use gpusher_gateway::LinkEnds;
use gpusher_proto::gateway::{FromGateway, ToGateway, command, event, from_gateway, to_gateway};
use gpusher_proto::wire::fuzz::Random as Damage;
use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};

/// What logic hears of a link.
#[derive(Debug)]
pub enum Heard {
    /// A message of the gateway.
    Message(FromGateway),
    /// The stream is over.
    Over,
}

/// One stream, seen from its middle.
pub struct Stream {
    /// Logic's name for it.
    pub key: LinkKey,
    /// Which gateway.
    pub gateway: usize,
    /// The gateway has said hello, which it does first, and once.
    pub greeted: bool,
    /// The gateway's ends, until it has ended the stream or the network has.
    ends: Option<LinkEnds>,
    to_gateway: VecDeque<(u64, ToGateway)>,
    to_logic: VecDeque<(u64, FromGateway)>,
    /// Nothing passes before this time.
    stalled_until_ms: u64,
    /// Logic finds out that the stream is over at this time.
    over_at_ms: Option<u64>,
    /// Deliveries without an Outcome.
    pub jobs: BTreeSet<u64>,
    /// An Outcome of no delivery, or a second one.
    pub stray_outcome: Option<u64>,
    /// Messages recalled before it began: they are withdrawn at the gateway when the first commands have come.
    pub owed: Vec<u64>,
    /// So many messages in a thousand say something else than was meant.
    pub damage_permille: u64,
    /// Those that did.
    pub damaged: Rc<Cell<u64>>,
    /// A bug to be found.
    pub canary: Option<Canary>,
    /// For it: a connection that something was for.
    other: Option<u64>,
}

/// Messages on the way in one direction: a full window holds the sender back.
const WINDOW: usize = 8;

impl Stream {
    /// A stream whose first message is on its way.
    pub fn new(key: LinkKey, gateway: usize, ends: LinkEnds) -> Self {
        Self {
            key,
            gateway,
            greeted: false,
            ends: Some(ends),
            to_gateway: VecDeque::new(),
            to_logic: VecDeque::new(),
            stalled_until_ms: 0,
            over_at_ms: None,
            jobs: BTreeSet::new(),
            stray_outcome: None,
            owed: Vec::new(),
            damage_permille: 0,
            damaged: Rc::default(),
            canary: None,
            other: None,
        }
    }

    /// Logic sends.
    pub fn send(&mut self, message: ToGateway, now_ms: u64, random: &mut Random) {
        if let Some(to_gateway::Kind::Batch(batch)) = &message.kind {
            for command in &batch.commands {
                if let Some(command::Kind::Delivery(delivery)) = &command.kind {
                    self.jobs.insert(delivery.job);
                }
            }
        }
        let message = self.damage(message, random);
        let at_ms = now_ms + latency_ms(random);
        self.to_gateway.push_back((at_ms, message));
    }

    /// Nothing passes for a while.
    pub fn stall(&mut self, until_ms: u64) {
        self.stalled_until_ms = until_ms;
    }

    /// The network loses the stream: the gateway's end breaks now, or is returned to break later; logic finds out when `over_at_ms` has come.
    pub fn cut(&mut self, over_at_ms: u64) -> Option<LinkEnds> {
        self.to_gateway.clear();
        self.to_logic.clear();
        self.over_at_ms.get_or_insert(over_at_ms);
        self.ends.take()
    }

    /// Messages for the gateway that are due.
    pub fn deliver(&mut self, now_ms: u64, mut watch: impl FnMut(&ToGateway)) {
        let (canary, other) = (self.canary, &mut self.other);
        let Some(ends) = &self.ends else { return };
        while now_ms >= self.stalled_until_ms {
            match self.to_gateway.pop_front() {
                Some((at_ms, message)) if at_ms <= now_ms => {
                    let mut sent = message.clone();
                    canary.iter().for_each(|canary| canary.spoil(&mut sent, other));
                    match ends.to.try_send(sent) {
                        Ok(()) => watch(&message),
                        Err(TrySendError::Full(_)) => {
                            return self.to_gateway.push_front((at_ms, message));
                        }
                        Err(TrySendError::Closed(_)) => return,
                    }
                }
                Some(later) => return self.to_gateway.push_front(later),
                None => return,
            }
        }
    }

    /// What logic hears that is due. Nothing comes after `Over`.
    pub fn hear(&mut self, now_ms: u64, random: &mut Random) -> Vec<Heard> {
        self.collect(now_ms, random);
        let mut heard = Vec::new();
        while now_ms >= self.stalled_until_ms
            && self.to_logic.front().is_some_and(|&(at_ms, _)| at_ms <= now_ms)
        {
            let (_, message) = self.to_logic.pop_front().expect("looked at");
            self.settle(&message);
            heard.push(Heard::Message(message));
        }
        if self.to_logic.is_empty() && self.over_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            heard.push(Heard::Over);
        }
        heard
    }

    fn settle(&mut self, message: &FromGateway) {
        let Some(from_gateway::Kind::Report(report)) = &message.kind else { return };
        for event in &report.events {
            if let Some(event::Kind::Outcome(outcome)) = &event.kind
                && !self.jobs.remove(&outcome.job)
            {
                self.stray_outcome = Some(outcome.job);
            }
        }
    }

    /// Bytes of it change, if it can still be read then.
    fn damage<M: prost::Message + Default>(&mut self, message: M, random: &mut Random) -> M {
        if !random.permille(self.damage_permille) {
            return message;
        }
        let mut bytes = message.encode_to_vec();
        Damage::from_seed(random.bits()).damage(&mut bytes);
        match M::decode(&bytes[..]) {
            Ok(damaged) => {
                self.damaged.set(self.damaged.get() + 1);
                damaged
            }
            Err(_) => message,
        }
    }

    fn collect(&mut self, now_ms: u64, random: &mut Random) {
        while self.to_logic.len() < WINDOW {
            let Some(ends) = &mut self.ends else { return };
            match ends.from.try_recv() {
                Ok(message) => {
                    let mut message = self.damage(message, random);
                    self.canary.iter().for_each(|canary| canary.spoil_report(&mut message));
                    let at_ms = now_ms + latency_ms(random);
                    self.to_logic.push_back((at_ms, message));
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.ends = None;
                    self.over_at_ms.get_or_insert(now_ms);
                    return;
                }
            }
        }
    }

    /// Messages on the way.
    pub fn in_flight(&self) -> usize {
        self.to_gateway.len() + self.to_logic.len()
    }
}

/// Mostly little, sometimes more. Order is kept: what is due waits for what is ahead of it.
fn latency_ms(random: &mut Random) -> u64 {
    if random.permille(30) { random.between(5, 60) } else { random.between(0, 3) }
}
