//! Replays in motion: places, pages, outcomes, spills, ends.

use super::plan;
use super::replay::{Fate, Replay, Step, Walk};
use super::*;
use crate::error::Result;
use gpusher_proto::data::{Channel, ReadPage, ReadRequest};
use gpusher_proto::gateway::{
    Answer, ChannelKind, Connections, Delivery, Drained, Outcome, Position, SyncDone, SyncRequest,
    SyncStart, delivery,
};
use link::{Part, ReplayPart};

/// Pages asked for in one work of the read lane.
const READ_BATCH: usize = 16;

impl Core {
    /// Begins a session's replay. `holds`: the gateway holds its messages already.
    pub(super) fn start_replay(&mut self, conn: u64, replay: Replay, holds: bool) {
        let nothing = replay.walks.iter().all(|walk| walk.ended);
        let Some(session) = self.sessions.get_mut(conn) else { return };
        session.replay = Some(Box::new(replay));
        if nothing {
            self.count(Count::ReplaysSkipped, 1);
            return self.finish_replay(conn);
        }
        if !holds {
            self.command(conn, command::Kind::SyncStart(SyncStart { conn, announcement: 0 }));
        }
        self.queue_replay(conn);
    }

    fn queue_replay(&mut self, conn: u64) {
        self.set_phase(conn, Phase::Queued);
        self.replay_queue.push_back(conn);
    }

    /// Changes a session's phase and keeps count of the places taken.
    pub(super) fn set_phase(&mut self, conn: u64, phase: Phase) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let takes_place = |phase| matches!(phase, Phase::Reading | Phase::Sent);
        self.replaying -= usize::from(takes_place(session.phase));
        self.replaying += usize::from(takes_place(phase));
        session.phase = phase;
    }

    pub(super) fn take_reads(&mut self) -> Option<Work> {
        while self.replaying < self.limits.replays {
            let Some(conn) = self.replay_queue.pop_front() else { break };
            if self.sessions.get(conn).is_some_and(|session| session.phase == Phase::Queued) {
                self.advance_replay(conn);
            }
        }
        let mut asks: Vec<ReadAsk> = Vec::new();
        while asks.len() < READ_BATCH {
            let Some(conn) = self.reads.pop_front() else { break };
            let read = self.new_job();
            let session = self.sessions.get_mut(conn).filter(|it| it.phase == Phase::Reading);
            let Some(replay) = session.and_then(|session| session.replay.as_mut()) else {
                continue;
            };
            let Step::Read(request) = step(replay, &self.limits, self.now.unix_ms) else {
                continue;
            };
            replay.read = read;
            let reader = Reader { conn, read };
            match asks.iter_mut().find(|ask| ask.request == request) {
                Some(ask) => ask.readers.push(reader),
                None => asks.push(ReadAsk { request, readers: vec![reader] }),
            }
        }
        (!asks.is_empty()).then_some(Work::Read(asks))
    }

    /// Takes a replay to where it has to wait again.
    fn advance_replay(&mut self, conn: u64) {
        let Some(replay) = self.sessions.get(conn).and_then(|session| session.replay.as_ref())
        else {
            return;
        };
        let waiting = replay.waiting;
        match step(replay, &self.limits, self.now.unix_ms) {
            Step::Read(_) => {
                self.set_phase(conn, Phase::Reading);
                self.reads.push_back(conn);
            }
            Step::Wait if waiting && !replay.is_under_way() => {
                self.set_phase(conn, Phase::Draining)
            }
            Step::Wait => self.set_phase(conn, Phase::Sent),
            Step::Finish => self.finish_replay(conn),
        }
    }

    pub(super) fn on_page(&mut self, ask: ReadAsk, page: Result<ReadPage>) {
        for reader in ask.readers {
            let session = self.sessions.get(reader.conn);
            let replay = session
                .filter(|session| session.phase == Phase::Reading)
                .and_then(|session| session.replay.as_ref());
            if replay.is_none_or(|replay| replay.read != reader.read) {
                continue;
            }
            match &page {
                Ok(page) => self.send_page(reader.conn, &ask.request, page),
                Err(_) => self.queue_replay(reader.conn),
            }
        }
    }

    fn send_page(&mut self, conn: u64, request: &ReadRequest, page: &ReadPage) {
        let gateway = ConnId::from_raw(conn).gateway();
        let (Some(&key), Some(session)) =
            (self.gateways.get(&gateway), self.sessions.get_mut(conn))
        else {
            return;
        };
        let now_ms = self.now.unix_ms;
        let kind = request.channel.as_ref().map_or(0, |channel| channel.kind);
        let kind = ChannelKind::try_from(kind).unwrap_or(ChannelKind::Topic);
        let due: Vec<_> = page
            .messages
            .iter()
            .filter_map(|logged| Some((logged.seq, logged.push.as_ref()?)))
            .filter(|(_, push)| !self.withdrawn.contains(push.id))
            .filter(|(_, push)| !plan::is_expired(push, now_ms))
            .collect();
        let Some(replay) = session.replay.as_mut() else { return };
        let seqs = due.iter().map(|&(seq, _)| seq).collect();
        if !replay.on_page(request, page, seqs) {
            // A spill moved the log back while the page was on its way.
            return self.advance_replay(conn);
        }
        self.next_job += 1;
        let page_number = self.next_job;
        replay.page = page_number;
        let redelivery = replay.redelivery;
        if let (Some(channel), true) = (&request.channel, page.messages.is_empty()) {
            let head = replay.walks.iter().find(|walk| walk.channel == *channel);
            let head = head.map_or(0, |walk| walk.head);
            self.quiet.learn(channel, request.after, head);
        }
        if kind == ChannelKind::Own {
            due.iter().for_each(|&(seq, push)| session.hand_own(seq, push.id));
        }
        self.count(Count::Replayed, due.len() as u64);
        for (seq, push) in due {
            self.statuses.add(push.id, |row| match redelivery {
                true => row.redelivered += 1,
                false => row.replayed += 1,
            });
            let job = self.new_job();
            self.count(Count::Deliveries, 1);
            let delivery = Delivery {
                job,
                message: Some(gpusher_proto::gateway::Message {
                    kept: true,
                    ..plan::message(push, kind, seq)
                }),
                audience: Some(delivery::Audience::Connections(Connections { ids: vec![conn] })),
                replay: true,
            };
            let link = self.link(key);
            link.parts.insert(
                job,
                Part::Replay(ReplayPart { conn, message: push.id, page: page_number, seq }),
            );
            link.push(command::Kind::Delivery(delivery), None);
        }
        self.advance_replay(conn);
    }

    pub(super) fn on_replay_outcome(&mut self, part: ReplayPart, outcome: &Outcome) {
        let conn = part.conn;
        self.add_outcome(part.message, outcome);
        if outcome.absent.contains(&conn) {
            // Of a replay from before it was to log in again: what is under way now will find out by itself.
            let opening = |session: &Session| session.phase == Phase::Opening;
            if !self.sessions.get(conn).is_some_and(opening) {
                self.set_phase(conn, Phase::Gone);
            }
            return;
        }
        let fate = match () {
            () if outcome.overflowed > 0 => Fate::Refused,
            () if outcome.waiting.contains(&conn) => Fate::Waits,
            () => Fate::Taken,
        };
        self.on_page_outcome(&part, fate);
    }

    /// One delivery of a session's page is finished, or was withdrawn.
    pub(super) fn on_page_outcome(&mut self, part: &ReplayPart, fate: Fate) {
        let conn = part.conn;
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let Some(replay) = session.replay.as_mut().filter(|replay| replay.page == part.page) else {
            return;
        };
        let through = replay.on_outcome(part.seq, fate);
        self.on_page_through(conn, through);
        if self.sessions.get(conn).is_some_and(|session| session.phase == Phase::Sent) {
            self.advance_replay(conn);
        }
    }

    /// The socket has a whole page: that is what version 0 can say of receiving.
    fn on_page_through(&mut self, conn: u64, through: Option<(usize, u64)>) {
        let version = self.sessions.get(conn).map_or(1, |session| session.version);
        if let (Some((channel, seq)), 0) = (through, version) {
            self.take_as_read(conn, channel, seq);
        }
    }

    fn finish_replay(&mut self, conn: u64) {
        self.set_phase(conn, Phase::Finishing);
        match self.preparing_kept {
            true => self.finishing.push(conn),
            false => self.end_replay(conn),
        }
    }

    /// Tells the end of a replay, with the positions reached.
    pub(super) fn end_replay(&mut self, conn: u64) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        if session.phase != Phase::Finishing {
            return;
        }
        let Some(replay) = session.replay.take() else { return };
        let mut positions = Vec::new();
        for walk in &replay.walks {
            let Some(channel) = walk.index() else { continue };
            let seq = walk.position();
            positions.push(Position { channel: channel as i32, seq });
            // Version 1 will acknowledge the last message, not the head of the log.
            let handed = if session.version == 0 { seq } else { walk.after };
            session.handed[channel] = session.handed[channel].max(handed);
            // Nothing was due between the cursor and here: no need to look again. It is not worth a write.
            let untouched = walk.replayed == 0 && walk.start <= session.acked[channel];
            if untouched || session.version == 0 {
                session.acked[channel] = session.acked[channel].max(seq);
            }
        }
        let joins = session.take_joins();
        self.set_phase(conn, Phase::Live);
        let Replay { walks, requests, gap, .. } = *replay;
        self.command(conn, command::Kind::SyncDone(SyncDone { conn, positions, requests, gap }));
        for walk in &walks {
            self.answer_walk(conn, walk);
        }
        if !joins.is_empty() {
            self.start_replay(conn, Replay::of(joins), false);
        }
    }

    fn answer_walk(&mut self, conn: u64, walk: &Walk) {
        if let Some(request) = walk.join {
            let answer = Answer { conn, request, code: 0, value: walk.position() };
            self.command(conn, command::Kind::Answer(answer));
        }
    }

    /// A connection whose outbox had overflowed or was full has drained.
    pub(super) fn on_drained(&mut self, drained: Drained) {
        let conn = drained.conn;
        let Some(session) = self.sessions.get_mut(conn) else { return };
        if session.phase == Phase::Opening && drained.gap != 0 {
            session.rare_mut().early_gap = drained.gap;
        }
        let spilled = spilled_logs(session, &drained.spilled_from);
        let reported_own = session.reported_own();
        let (version, phase) = (session.version, session.phase);
        if !drained.spilled_from.is_empty() {
            self.count(Count::Spills, 1);
        }
        // With a gap, the connection holds, and what came since may be in the hold.
        if version == 0 && phase == Phase::Live && drained.spilled_from.is_empty() {
            self.take_as_read(conn, ChannelKind::Own as usize, reported_own);
        }
        match phase {
            // The replay of a login begins at its cursors in any case.
            Phase::Opening | Phase::Gone => {}
            Phase::Live if drained.spilled_from.is_empty() => {}
            Phase::Live => {
                let mut replay = Replay::of_gap(drained.gap);
                spilled
                    .into_iter()
                    .for_each(|it| replay.respill(it.channel, it.due_from, it.known));
                self.start_replay(conn, replay, false);
            }
            Phase::Queued | Phase::Reading | Phase::Sent | Phase::Draining | Phase::Finishing => {
                self.on_drained_in_replay(&drained, spilled);
            }
        }
    }

    fn on_drained_in_replay(&mut self, drained: &Drained, spilled: Vec<Spilled>) {
        let conn = drained.conn;
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let phase = session.phase;
        let Some(replay) = session.replay.as_mut() else { return };
        if drained.spilled_from.is_empty() {
            let through = replay.on_drained();
            self.on_page_through(conn, through);
            if phase == Phase::Draining {
                self.queue_replay(conn);
            }
            return;
        }
        replay.gap = drained.gap;
        replay.abandon_page();
        spilled.into_iter().for_each(|it| replay.respill(it.channel, it.due_from, it.known));
        // The gateway takes nothing of the pages from before it told, up to here.
        self.command(conn, command::Kind::SyncStart(SyncStart { conn, announcement: 0 }));
        self.finishing.retain(|&finishing| finishing != conn);
        if phase != Phase::Queued {
            self.queue_replay(conn);
        }
    }

    /// The client asks for what is due: version 1 for what it has not acknowledged, version 0 for what its socket did not take.
    pub(super) fn on_sync_request(&mut self, asked: SyncRequest) {
        let conn = asked.conn;
        let Some(session) = self.sessions.get_mut(conn) else { return };
        match (session.phase, session.replay.as_mut()) {
            (Phase::Opening, _) => session.rare_mut().early_requests.extend(asked.request),
            (Phase::Gone, _) => {}
            (_, Some(replay)) => replay.requests.extend(asked.request),
            (_, None) => {
                let mut replay = self.resend(conn);
                replay.requests.extend(asked.request);
                self.start_replay(conn, replay, false);
            }
        }
    }

    /// A live session's replay of what it has not acknowledged, up to what was handed out since.
    ///
    /// Version 0 acknowledges the shared channels only at its end. What they bring it is in its outbox or on the way there, and may be held when
    /// the replay is over: its end says nothing of them.
    pub(super) fn resend(&self, conn: u64) -> Replay {
        let Some(session) = self.sessions.get(conn) else { return Replay::default() };
        let handed = self.handed(session);
        let channels = login::channels_of(session.device.app_id, session.device.user());
        let told = if session.version == 0 { 1 } else { channels.len() };
        let walks = channels.into_iter().enumerate().take(told).map(|(index, channel)| {
            let mut walk = Walk::new(channel, session.acked[index], handed[index]);
            // Other logics may have appended: the log is asked even where this one knows of nothing.
            walk.ended = false;
            walk
        });
        Replay::of(walks.collect())
    }

    /// What a live session was handed, with what went to its whole app or everyone.
    pub(super) fn handed(&self, session: &Session) -> Positions {
        std::array::from_fn(|channel| {
            let tail = consume::tail_key(channel, session.device.app_id);
            let tail = tail.and_then(|key| self.tails.get(&key)).map_or(0, |tail| tail.last);
            session.handed[channel].max(tail)
        })
    }
}

fn step(replay: &Replay, limits: &Limits, now_ms: i64) -> Step {
    replay.step(now_ms, limits.page_messages, limits.page_bytes)
}

/// A log to walk again.
struct Spilled {
    channel: Channel,
    /// The first message that may be missing.
    due_from: u64,
    /// A number that the log has given out for certain.
    known: u64,
}

/// The logs to walk again. What was acknowledged is not missing: it was in the outbox since before that was known. A topic's
/// position is the client's own: it joins again with `since` if it wants.
fn spilled_logs(session: &Session, spilled: &[Position]) -> Vec<Spilled> {
    let channels = login::channels_of(session.device.app_id, session.device.user());
    let log = |position: &Position| {
        let index = usize::try_from(position.channel).ok()?;
        let channel = channels.get(index)?.clone();
        let due_from = position.seq.max(session.acked[index] + 1);
        Some(Spilled { channel, due_from, known: position.seq })
    };
    spilled.iter().filter_map(log).collect()
}
