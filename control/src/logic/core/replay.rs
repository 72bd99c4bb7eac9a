//! A session's replay: which logs, how far, page by page.
//!
//! A replay walks its logs in turn. A page goes out as one delivery per message; the next page is read when the outcomes of
//! all of them are in and the socket has taken them. A spill in between moves the log concerned back.

use gpusher_proto::data::{Channel, ReadPage, ReadRequest};
use gpusher_proto::gateway::ChannelKind;
use rustc_hash::FxHashMap;

/// One log to walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// Which log.
    pub channel: Channel,
    /// The walk began here.
    pub start: u64,
    /// Replayed (or known) up to here.
    pub after: u64,
    /// The walk ends here at the earliest: last sequence given out when it began.
    pub head: u64,
    /// Nothing is left up to `after` or `head`.
    pub ended: bool,
    /// Messages replayed.
    pub replayed: u64,
    /// The join this answers when the replay is over (topics only).
    pub join: Option<u64>,
}

impl Walk {
    /// A walk over a log after a sequence.
    pub fn new(channel: Channel, after: u64, head: u64) -> Self {
        let ended = after >= head;
        Self { channel, start: after, after, head, ended, replayed: 0, join: None }
    }

    /// The position that the walk has reached once it has ended.
    pub fn position(&self) -> u64 {
        self.after.max(self.head)
    }

    /// Index among own, app, everyone; none for a topic.
    pub fn index(&self) -> Option<usize> {
        Some(self.channel.kind as usize).filter(|&index| index < 3)
    }
}

/// What a replay needs next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A page of a log.
    Read(ReadRequest),
    /// Outcomes, or a `Drained`.
    Wait,
    /// Its end to be told.
    Finish,
}

/// What became of a replayed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The socket has it, or it is not due any more.
    Taken,
    /// It waits in the outbox.
    Waits,
    /// There was no room for it.
    Refused,
}

/// The replay of one session.
#[derive(Debug, Default)]
pub struct Replay {
    /// Logs in the order of the walk.
    pub walks: Vec<Walk>,
    /// Version 0 sync frames to answer at the end.
    pub requests: Vec<u64>,
    /// The last gap that it fills, as the gateway names it; 0: none.
    pub gap: u32,
    /// Sent again for want of an acknowledgement.
    pub redelivery: bool,
    /// Sequences of the page under way without an outcome, in order.
    open: Vec<u64>,
    /// The socket has not taken all of it.
    pub waiting: bool,
    /// Names the page under way.
    pub page: u64,
    /// Names the read under way. The page of an earlier one is not taken, whatever it was asked for: what it lacks may have been appended since.
    pub read: u64,
    /// First message of the page that was not taken. Its log may have no spill to say so: a topic's never has, and a connection takes nothing more of a replay
    /// that has lost a message of another log.
    refused: Option<u64>,
    /// Last of the page under way: log and sequence.
    page_end: Option<(usize, u64)>,
}

impl Replay {
    /// A replay of some logs.
    pub fn of(walks: Vec<Walk>) -> Self {
        Self { walks, ..Self::default() }
    }

    /// A replay that fills a gap; of which logs, [`Replay::respill`] says.
    pub fn of_gap(gap: u32) -> Self {
        Self { gap, ..Self::default() }
    }

    /// What is next.
    pub fn step(&self, now_ms: i64, page_messages: u32, page_bytes: u32) -> Step {
        if self.is_under_way() || self.waiting {
            return Step::Wait;
        }
        let Some(walk) = self.walks.iter().find(|walk| !walk.ended) else {
            return Step::Finish;
        };
        Step::Read(ReadRequest {
            channel: Some(walk.channel.clone()),
            after: walk.after,
            limit: page_messages,
            bytes_max: page_bytes,
            now_ms,
        })
    }

    /// Whether outcomes of the page are awaited.
    pub fn is_under_way(&self) -> bool {
        !self.open.is_empty()
    }

    /// A page came, of which messages with the sequences `due` go out. False if it is not what the replay is waiting for any more (a spill
    /// moved the log back meanwhile).
    pub fn on_page(&mut self, request: &ReadRequest, page: &ReadPage, due: Vec<u64>) -> bool {
        let wanted = self.walks.iter().position(|walk| !walk.ended);
        let Some((index, walk)) = wanted.map(|index| (index, &mut self.walks[index])) else {
            return false;
        };
        if request.channel.as_ref() != Some(&walk.channel) || request.after != walk.after {
            return false;
        }
        walk.ended = !page.more;
        walk.replayed += due.len() as u64;
        if let Some(last) = page.messages.last() {
            walk.after = walk.after.max(last.seq);
        }
        self.open = due;
        self.page_end = Some((index, walk.after));
        true
    }

    /// One delivery of the page is finished. The position that the socket has taken, when the page is through.
    pub fn on_outcome(&mut self, seq: u64, fate: Fate) -> Option<(usize, u64)> {
        self.open.retain(|&open| open != seq);
        self.waiting |= fate != Fate::Taken;
        if fate == Fate::Refused {
            self.refused = Some(self.refused.map_or(seq, |first| first.min(seq)));
        }
        self.page_through()
    }

    /// The socket has taken what waited, but for what spilled (see [`Replay::respill`]).
    pub fn on_drained(&mut self) -> Option<(usize, u64)> {
        self.waiting = false;
        if let Some(refused) = self.refused.take() {
            self.walk_again_from(refused);
        }
        self.page_through()
    }

    /// The connection did not get a kept message of a log: walk again from there.
    pub fn respill(&mut self, channel: Channel, first_missing: u64, head: u64) {
        let after = first_missing.saturating_sub(1);
        match self.walks.iter_mut().find(|walk| walk.channel == channel) {
            Some(walk) => {
                walk.after = walk.after.min(after);
                walk.start = walk.start.min(after);
                walk.head = walk.head.max(head);
                walk.ended = false;
            }
            None => {
                let mut walk = Walk::new(channel, after, head);
                walk.ended = false;
                self.walks.push(walk);
            }
        }
    }

    /// What has no outcome yet of the page will be refused: it is due again, with what was.
    pub fn abandon_page(&mut self) {
        let open = self.open.first().copied();
        if let Some(first) = self.refused.take().into_iter().chain(open).min() {
            self.walk_again_from(first);
        }
        self.page_end = None;
        self.page = 0;
        self.open.clear();
        self.waiting = false;
    }

    /// The log of the page under way, from a message that did not arrive.
    fn walk_again_from(&mut self, first: u64) {
        let Some((index, _)) = self.page_end else { return };
        let walk = &mut self.walks[index];
        walk.after = walk.after.min(first.saturating_sub(1));
        walk.ended = false;
    }

    fn page_through(&mut self) -> Option<(usize, u64)> {
        if self.is_under_way() || self.waiting {
            return None;
        }
        let (index, seq) = self.page_end.take()?;
        self.walks[index].index().map(|channel| (channel, seq))
    }
}

/// Stretches of the shared logs known to hold nothing: a login storm whose cursors lie in them reads nothing. A log grows only at its
/// head, so what is empty stays empty.
#[derive(Debug, Default)]
pub struct Quiet {
    stretches: FxHashMap<(i32, u32), (u64, u64)>,
}

impl Quiet {
    /// Whether nothing is due after `after` up to `head`.
    pub fn covers(&self, channel: &Channel, after: u64, head: u64) -> bool {
        let stretch = self.stretches.get(&(channel.kind, channel.app_id));
        stretch.is_some_and(|&(from, to)| from <= after && head <= to)
    }

    /// A read after `after` found nothing, when `head` had been given out.
    pub fn learn(&mut self, channel: &Channel, after: u64, head: u64) {
        let shared =
            channel.kind == ChannelKind::App as i32 || channel.kind == ChannelKind::Everyone as i32;
        if !shared || after >= head {
            return;
        }
        let stretch = self.stretches.entry((channel.kind, channel.app_id)).or_insert((after, head));
        if after <= stretch.1 && stretch.0 <= head {
            *stretch = (stretch.0.min(after), stretch.1.max(head));
        } else if head > stretch.1 {
            *stretch = (after, head);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpusher_proto::data::Logged;

    fn own() -> Channel {
        Channel { kind: ChannelKind::Own as i32, app_id: 1000, name: "a".to_owned() }
    }

    fn app() -> Channel {
        Channel { kind: ChannelKind::App as i32, app_id: 1000, name: String::new() }
    }

    fn page(seqs: &[u64], more: bool) -> ReadPage {
        let messages = seqs.iter().map(|&seq| Logged { seq, push: None }).collect();
        ReadPage { messages, more }
    }

    fn read(replay: &Replay) -> ReadRequest {
        match replay.step(0, 2, 1_000) {
            Step::Read(request) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pages_follow_each_other_and_the_logs_too() {
        let walks = vec![Walk::new(own(), 3, 9), Walk::new(app(), 4, 4), Walk::new(app(), 1, 2)];
        let mut replay = Replay { walks, ..Replay::default() };
        let request = read(&replay);
        assert_eq!((request.channel.clone(), request.after), (Some(own()), 3));
        assert!(replay.on_page(&request, &page(&[5, 6], true), vec![5, 6]));
        assert_eq!(replay.step(0, 2, 1), Step::Wait);
        assert_eq!(replay.on_outcome(5, Fate::Taken), None);
        assert_eq!(replay.on_outcome(6, Fate::Taken), Some((0, 6)));
        let request = read(&replay);
        assert!(replay.on_page(&request, &page(&[11], false), vec![11]));
        replay.on_outcome(11, Fate::Taken);
        let request = read(&replay);
        assert_eq!((request.channel.clone(), request.after), (Some(app()), 1));
        assert!(replay.on_page(&request, &page(&[], false), vec![]));
        assert_eq!(replay.step(0, 2, 1), Step::Finish);
        let positions: Vec<u64> = replay.walks.iter().map(Walk::position).collect();
        assert_eq!(positions, [11, 4, 2]);
    }

    #[test]
    fn a_full_socket_holds_the_next_page_until_it_has_drained() {
        let walks = vec![Walk::new(own(), 0, 9)];
        let mut replay = Replay { walks, ..Replay::default() };
        let request = read(&replay);
        replay.on_page(&request, &page(&[1, 2], true), vec![1, 2]);
        replay.on_outcome(1, Fate::Taken);
        assert_eq!(replay.on_outcome(2, Fate::Waits), None);
        assert_eq!(replay.step(0, 2, 1), Step::Wait);
        assert_eq!(replay.on_drained(), Some((0, 2)));
        assert_eq!(read(&replay).after, 2);
    }

    #[test]
    fn a_spill_moves_the_log_back_and_voids_the_page_under_way() {
        let walks = vec![Walk::new(own(), 0, 9)];
        let mut replay = Replay { walks, ..Replay::default() };
        let first = read(&replay);
        replay.on_page(&first, &page(&[1, 2], true), vec![1, 2]);
        replay.on_outcome(1, Fate::Taken);
        replay.on_outcome(2, Fate::Taken);
        let second = read(&replay);
        replay.abandon_page();
        replay.respill(own(), 2, 9);
        assert!(!replay.on_page(&second, &page(&[3, 4], false), vec![3, 4]));
        assert_eq!(read(&replay).after, 1);
    }

    #[test]
    fn an_abandoned_page_is_due_again_from_what_has_no_outcome() {
        let mut replay = Replay::of(vec![Walk::new(own(), 0, 9)]);
        let request = read(&replay);
        replay.on_page(&request, &page(&[2, 4, 6], true), vec![2, 4, 6]);
        replay.on_outcome(2, Fate::Taken);
        replay.abandon_page();
        replay.respill(own(), 8, 9);
        assert_eq!(read(&replay).after, 3);
    }

    #[test]
    fn an_abandoned_page_is_due_again_from_what_was_refused() {
        let mut replay = Replay::of(vec![Walk::new(own(), 0, 9)]);
        let request = read(&replay);
        replay.on_page(&request, &page(&[4, 5], false), vec![4, 5]);
        replay.on_outcome(4, Fate::Refused);
        replay.on_outcome(5, Fate::Refused);
        replay.abandon_page();
        replay.respill(app(), 7, 9);
        assert_eq!((read(&replay).channel, read(&replay).after), (Some(own()), 3));
    }

    #[test]
    fn a_topics_refused_message_comes_again_once_drained() {
        let topic = Channel { kind: ChannelKind::Topic as i32, ..own() };
        let mut replay = Replay::of(vec![Walk::new(topic, 0, 9)]);
        let request = read(&replay);
        replay.on_page(&request, &page(&[2, 4, 6], false), vec![2, 4, 6]);
        replay.on_outcome(2, Fate::Taken);
        replay.on_outcome(4, Fate::Refused);
        replay.on_outcome(6, Fate::Waits);
        assert_eq!(replay.step(0, 2, 1), Step::Wait);
        replay.on_drained();
        assert_eq!(read(&replay).after, 3);
    }

    #[test]
    fn quiet_stretches_grow_and_cover_only_themselves() {
        let mut quiet = Quiet::default();
        quiet.learn(&app(), 10, 20);
        assert!(quiet.covers(&app(), 10, 20) && quiet.covers(&app(), 15, 18));
        assert!(!quiet.covers(&app(), 9, 20) && !quiet.covers(&app(), 10, 21));
        quiet.learn(&app(), 15, 30);
        assert!(quiet.covers(&app(), 10, 30));
        quiet.learn(&app(), 40, 50);
        assert!(quiet.covers(&app(), 45, 50) && !quiet.covers(&app(), 10, 30));
        quiet.learn(&own(), 0, 10);
        assert!(!quiet.covers(&own(), 5, 6));
    }
}
