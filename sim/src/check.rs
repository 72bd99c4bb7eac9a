//! What is checked as it happens.

use crate::client::Conn;
use crate::gateway::OUTBOX_BYTES_MAX;
use crate::invariant::Invariant;
use crate::ledger::{Accepted, is_for};
use crate::speech::{Delivered, Framed, Request, Told};
use crate::store::DeviceId;
use crate::world::{GATEWAYS, World};
use gpusher_gateway::metrics::ShardCount;
use gpusher_proto::gateway::ChannelKind;
use std::collections::BTreeMap;

/// Rounds of an idle gateway, and time, after which a recall has reached all its shards.
const SETTLED_ROUNDS: u32 = 8;
const SETTLED_MS: u64 = 150;
/// What shards may hold beyond their limit: one message for each connection, and bookkeeping.
const OUTBOX_SLACK: u64 = 256 << 10;
/// Clients say that they are there this often.
const HEARTBEAT_MS: u64 = 20_000;

/// Recalls on their way through gateways.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    pending: Vec<(usize, u64, u64, u32)>,
    /// (gateway, message): monotonic ms from which on it may not be sent.
    settled: BTreeMap<(usize, u64), u64>,
}

impl Settling {
    /// Recalls that gateways have been given.
    pub(crate) fn begin(&mut self, recalls: Vec<(usize, u64)>, now_ms: u64) {
        self.pending.extend(recalls.into_iter().map(|(gateway, id)| (gateway, id, now_ms, 0)));
    }

    /// A gateway's process is gone, and what it was told.
    pub(crate) fn forget(&mut self, gateway: usize) {
        self.pending.retain(|&(pending, ..)| pending != gateway);
        self.settled.retain(|&(settled, _), _| settled != gateway);
    }

    fn round(&mut self, gateway: usize, now_ms: u64) {
        let Self { pending, settled } = self;
        pending.retain_mut(|(number, id, since_ms, rounds)| {
            *rounds += u32::from(*number == gateway);
            let done = *rounds >= SETTLED_ROUNDS && now_ms >= *since_ms + SETTLED_MS;
            if done {
                settled.insert((*number, *id), now_ms);
            }
            !done
        });
    }

    fn is_settled(&self, gateway: usize, message: u64, at_ms: u64) -> bool {
        self.settled.get(&(gateway, message)).is_some_and(|&since_ms| since_ms < at_ms)
    }
}

impl World {
    /// Clients read, acknowledge, keep their connections; what sockets have taken is checked.
    pub(crate) fn turn_clients(&mut self) {
        let now_ms = self.clock.ms();
        let beats = now_ms >= self.last_heartbeat_ms + HEARTBEAT_MS;
        if beats {
            self.last_heartbeat_ms = now_ms;
        }
        for index in 0..self.clients.len() {
            let Some(conn) = self.clients[index].conn.take() else { continue };
            let conn = self.check_taken(index, conn);
            self.clients[index].conn = Some(conn);
            self.read(index);
            let client = &mut self.clients[index];
            let share = if self.calm { 1_000 } else { client.ack_permille };
            if self.random.permille(share) {
                client.acknowledge(&mut self.net.borrow_mut());
            }
            if beats {
                client.heartbeat(&mut self.net.borrow_mut());
            }
            self.leave_closed(index);
        }
        for (index, conn) in std::mem::take(&mut self.ghosts) {
            let conn = self.check_taken(index, conn);
            let pipe_over = {
                let pipe = &self.net.borrow().pipes[conn.pipe];
                pipe.down_end || pipe.reset
            };
            if !pipe_over {
                self.ghosts.push((index, conn));
            }
        }
    }

    fn read(&mut self, index: usize) {
        let speed = if self.calm { usize::MAX } else { self.clients[index].speed };
        let before = self.clients[index].conn.as_ref().map(|conn| conn.open.clone());
        let read = self.clients[index].read(&mut self.net.borrow_mut(), speed);
        let (id, version) = (self.clients[index].profile.id(), self.clients[index].profile.version);
        for framed in read {
            match &framed.told {
                Told::Push(push) if version == 1 && push.kept => {
                    self.ledger.receive(&id, push.message);
                }
                Told::Answer { request, code: 0, value } => {
                    let asked = before.as_ref().and_then(|open| open.get(request));
                    if asked == Some(&Request::Send) {
                        self.check_answer(index, *value);
                    }
                }
                _ => {}
            }
        }
    }

    fn check_answer(&mut self, index: usize, message: u64) {
        let accepted = self.ledger.pushes.contains_key(&message)
            || self.store.with(|tables| tables.reports.has_upstream(message));
        if !accepted {
            let text = format!("client {index} was told that {message} is accepted");
            self.violate(Invariant::AnsweredIsAccepted, text);
        }
    }

    /// The gateway has ended it, and the client has read its last words.
    fn leave_closed(&mut self, index: usize) {
        let Some(conn) = &self.clients[index].conn else { return };
        let over = self.net.borrow().pipes[conn.pipe].down_end;
        if over && conn.is_read() {
            self.note(format_args!("client {index} finds its connection closed"));
            self.clients[index].conn = None;
        }
    }

    fn check_taken(&mut self, index: usize, mut conn: Conn) -> Conn {
        let taken = conn.taken(&self.net.borrow());
        match taken {
            Ok(frames) => {
                for framed in frames {
                    let at = self.net.borrow().pipes[conn.pipe].time_of(framed.start);
                    self.check_frame(index, &mut conn, &framed, at);
                }
            }
            Err(error) => {
                let text = format!("client {index} pipe {}: {error}", conn.pipe);
                self.violate(Invariant::WellFormed, text);
            }
        }
        conn
    }

    fn check_frame(
        &mut self,
        index: usize,
        conn: &mut Conn,
        framed: &Framed,
        (at_ms, unix_ms): (u64, i64),
    ) {
        self.note(format_args!("client {index} pipe {} <- {:?}", conn.pipe, framed.told));
        match &framed.told {
            Told::Welcome { epoch } if conn.welcome_ms.is_none() => {
                conn.welcome_ms = Some(at_ms);
                conn.alone = *epoch == 0;
            }
            Told::Welcome { .. } => {}
            Told::Close(_) => {}
            _ if conn.welcome_ms.is_none() => {
                let text = format!("client {index} pipe {}: {:?} first", conn.pipe, framed.told);
                self.violate(Invariant::WellFormed, text);
            }
            Told::Push(push) => self.check_push(index, conn, push, (at_ms, unix_ms)),
            Told::Recall(message) => drop(conn.withdrawn.insert(*message)),
            _ => {}
        }
    }

    fn check_push(
        &mut self,
        index: usize,
        conn: &mut Conn,
        push: &Delivered,
        (at_ms, sent_ms): (u64, i64),
    ) {
        let profile = self.clients[index].profile.clone();
        let name = format!(
            "client {index} pipe {} message {} ({:?} {})",
            conn.pipe, push.message, push.kind, push.seq
        );
        let Some(accepted) = self.ledger.pushes.get(&push.message).cloned() else {
            return self.violate(Invariant::RightReceiver, format!("{name} was never accepted"));
        };
        let topical = push.kind == ChannelKind::Topic;
        let subscribed = !topical || conn.topics.contains(&push.topic);
        if !is_for(&accepted.push, profile.app_id, &profile.user) || !subscribed {
            self.violate(Invariant::RightReceiver, format!("{name} is for somebody else"));
        }
        let expires_ms = accepted.push.expires_at_ms;
        if expires_ms != 0 && sent_ms >= expires_ms {
            let text = format!("{name} sent {} ms after its expiry", sent_ms - expires_ms);
            self.violate(Invariant::NothingExpired, text);
        }
        let settled = self.settling.is_settled(conn.gateway, push.message, at_ms);
        if conn.withdrawn.contains(&push.message) || settled {
            let text = format!("{name} after its recall (settled: {settled})");
            self.violate(Invariant::NothingRecalled, text);
        }
        if push.kept {
            self.check_kept(index, conn, push, &name);
            if profile.version == 0 && !topical {
                self.ledger.receive(&profile.id(), push.message);
            }
        } else {
            self.check_live(conn, push, &name, &accepted);
        }
    }

    fn check_kept(&mut self, index: usize, conn: &mut Conn, push: &Delivered, name: &str) {
        let version = self.clients[index].profile.version;
        let channel = (push.kind as i32, push.topic.clone());
        let device = self.clients[index].profile.id();
        let had =
            !self.clients[index].had.insert(push.message) || self.ledger.has(&device, push.message);
        if !conn.kept.insert(push.message) {
            let (breaks, redelivered) = self.repeats(conn.gateway);
            let redelivery = version == 1 && redelivered > conn.redelivered;
            let excused = breaks > conn.breaks
                || conn.syncs > 0
                || redelivery
                || self.ledger.taken_again.contains(&push.message)
                || push.kind == ChannelKind::Topic
                // One logic replays what another has appended and is about to send.
                || self.options.logics > 1;
            if !excused {
                self.violate(Invariant::KeptOnceUnlessSynced, format!("{name} came again"));
            }
            return;
        }
        // What logic had not committed when it was killed goes again to whoever is connected, a device that came meanwhile included.
        let born = self.store.with(|tables| tables.devices.get(&device).map(|row| row.born));
        let born = born.and_then(|born| born.get(push.kind as usize).copied()).unwrap_or(0);
        // Several logics do not send to the gateways at the same time: what is from before the device may be late at its own.
        let late = self.options.logics > 1 || self.ledger.taken_again.contains(&push.message);
        let early = push.seq <= born && late;
        let last = conn.kept_last.entry(channel).or_default();
        // What an earlier connection of the device had is a repeat, too. While a recall is under way, its message may be left out and come later.
        let recalled = self.ledger.recalls.contains_key(&push.message);
        // Gone from the log when it was replayed, and still on its way from the queue.
        let (app_id, user, _) = &device;
        let purged = self
            .ledger
            .pushes
            .get(&push.message)
            .is_some_and(|accepted| self.ledger.is_purged(&accepted.push, *app_id, user));
        // Passed over as expired, and due again by a clock that was set back.
        let expires_ms =
            self.ledger.pushes.get(&push.message).map_or(0, |it| it.push.expires_at_ms);
        let expired = expires_ms != 0 && expires_ms <= self.clock.latest_unix();
        // Sent again by who took the part of the queue over: what is from before the device began may then come to it late.
        let again = self.options.logics > 1 && self.queue.handed(push.message) > 1;
        let topical = push.kind == ChannelKind::Topic;
        let excused = topical || had || recalled || early || purged || expired || again;
        if push.seq <= *last && !excused {
            let text = format!("{name} after {last}");
            self.violate(Invariant::KeptInOrder, text);
        } else {
            *last = push.seq.max(*last);
        }
    }

    fn check_live(&mut self, conn: &mut Conn, push: &Delivered, name: &str, accepted: &Accepted) {
        let times = conn.live.entry(push.message).or_default();
        *times += 1;
        if *times > self.queue.handed(push.message) {
            self.violate(Invariant::LiveOnce, format!("{name} came again"));
        }
        let early = conn.welcome_ms.is_none_or(|welcome_ms| accepted.at_ms <= welcome_ms);
        // Its receivers were looked up again, and it comes when they are found.
        let late = self.ledger.retried.contains(&push.message);
        if push.kind == ChannelKind::Own && (early || late) {
            return;
        }
        // Of two logics that had the record, the later one may be heard first: beside what the other still sends.
        if self.options.logics > 1 && self.queue.handed(push.message) > 1 {
            return;
        }
        let last = conn.live_last.entry((push.kind as i32, push.topic.clone())).or_default();
        let before = std::mem::replace(last, push.seq.max(*last));
        if push.seq <= before {
            self.violate(Invariant::LiveInOrder, format!("{name} after {before}"));
        }
    }

    /// What is cheap enough for every step.
    pub(crate) fn check_step(&mut self) {
        let now_ms = self.clock.ms();
        for number in 0..GATEWAYS {
            let Some(gateway) = &self.gateways[number].process else { continue };
            if gateway.mail() == 0 && self.gateways[number].frozen_until_ms <= now_ms {
                self.settling.round(number, now_ms);
            }
            let bytes = gateway.sum(ShardCount::OutboxBytes);
            if bytes > 2 * OUTBOX_BYTES_MAX as u64 + OUTBOX_SLACK {
                let text = format!("gateway {number} holds {bytes} bytes");
                self.violate(Invariant::OutboxBounded, text);
            }
        }
        let said = self.store.with(|tables| std::mem::take(&mut tables.said));
        said.iter().for_each(|it| self.note(format_args!("store: {it}")));
        let moved = self.store.with(|tables| std::mem::take(&mut tables.moved));
        for moved in moved {
            if moved.from != moved.to {
                self.note(format_args!(
                    "cursor of {:?} from {:?} to {:?}",
                    moved.device, moved.from, moved.to
                ));
                self.check_cursor(&moved.device, moved.from, moved.to);
            }
        }
    }

    fn check_cursor(&mut self, device: &DeviceId, from: [u64; 3], to: [u64; 3]) {
        let missing = self.ledger.missing(&self.store, device, from, to, self.clock.latest_unix());
        if let Some((channel, seq, message)) = missing.first() {
            let text = format!(
                "cursor of {device:?} moved from {from:?} to {to:?} past message {message} (channel {channel} seq {seq})"
            );
            self.violate(Invariant::CursorBehindReceipt, text);
        }
    }
}
