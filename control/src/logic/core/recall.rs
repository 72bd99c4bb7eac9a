//! Recall: out of the lines, then to everybody who may have it.

use super::replay::Fate;
use super::withdrawal::{Audience, Sent};
use super::*;
use gpusher_proto::data::{Placed, Route};
use gpusher_proto::gateway::{ChannelKind, Connections, Recall, Topic, recall};
use link::{Link, Part};

impl Core {
    pub(super) fn dispatch_recall(
        &mut self,
        offset: u64,
        message: u64,
        placed: &[Placed],
        routes: &[Vec<Route>],
    ) {
        self.withdrawn.add(message);
        self.statuses.add(message, |row| row.recalled = true);
        self.withdraw_waiting(message);
        let mut sent = self.recent.recall(message);
        for (index, placed) in placed.iter().enumerate() {
            let routes = routes.get(index).map_or(&[][..], Vec::as_slice);
            sent.extend(sent_to(placed, routes));
        }
        for key in self.link_keys() {
            let link = self.link(key);
            let gateway = link.gateway;
            let known = sent.iter().filter(|sent| has_some(link, sent));
            let mut recalls: Vec<_> = known.map(|sent| recall_at(gateway, message, sent)).collect();
            if sent.is_empty() {
                recalls.push(drop_only(message));
            }
            recalls.into_iter().for_each(|kind| self.command_for(offset, gateway, kind));
        }
        self.withdrawn.tell(message, sent, self.now.mono_ms);
        self.owe_recall(offset);
    }

    /// Deliveries that wait for credit are not sent at all.
    fn withdraw_waiting(&mut self, message: u64) {
        for key in self.link_keys() {
            let link = self.link(key);
            let jobs = link.withdraw(message);
            let parts: Vec<Part> =
                jobs.into_iter().filter_map(|job| link.parts.remove(&job)).collect();
            for part in parts {
                self.count(Count::Withdrawn, 1);
                match part {
                    Part::Push(part) => {
                        let receivers = part.unicast.as_ref().map_or(1, |(_, to)| to.len());
                        self.statuses.add(message, |row| row.withdrawn += receivers as u64);
                        self.progress.finish_part(part.offset);
                    }
                    Part::Replay(part) => {
                        self.statuses.add(message, |row| row.withdrawn += 1);
                        self.on_page_outcome(&part, Fate::Taken);
                    }
                }
            }
        }
    }

    /// What a gateway was not told, or not for certain, because it was not linked. A process that is new has nothing of it.
    pub(super) fn tell_missed_recalls(&mut self, key: LinkKey) {
        let link = self.link(key);
        let (gateway, epoch) = (link.gateway, link.epoch);
        let since_ms = match self.links_lost.get(&gateway) {
            Some(&(before, _)) if before != epoch => return,
            Some(&(_, lost_ms)) => lost_ms.saturating_sub(self.limits.stall_ms),
            None => 0,
        };
        let told = self.withdrawn.told_since(since_ms);
        // Who is a member there is not known yet: the gateway knows.
        let may_have = |sent: &&Sent| match &sent.audience {
            Audience::Connections(gateways) => gateways.iter().any(|&(it, _)| it == gateway),
            _ => true,
        };
        let recalls: Vec<command::Kind> = told
            .flat_map(|told| {
                let sent = told.sent.iter().filter(may_have);
                let none = told.sent.is_empty().then(|| drop_only(told.message));
                sent.map(|sent| recall_at(gateway, told.message, sent)).chain(none)
            })
            .collect();
        recalls.into_iter().for_each(|kind| self.link(key).push(kind, None));
    }
}

/// Nobody knows who had the message: it is dropped wherever it waits, and nobody is told.
fn drop_only(message_id: u64) -> command::Kind {
    command::Kind::Recall(Recall { message_id, ..Recall::default() })
}

fn recall_at(gateway: u32, message_id: u64, sent: &Sent) -> command::Kind {
    let audience = match &sent.audience {
        Audience::Connections(gateways) => {
            let here = gateways.iter().filter(|&&(number, _)| number == gateway);
            let ids = here.flat_map(|(_, ids)| ids.iter().copied()).collect();
            recall::Audience::Connections(Connections { ids })
        }
        Audience::App(app_id) => recall::Audience::AppId(*app_id),
        Audience::Everyone => recall::Audience::Everyone(true),
        Audience::Topic(topic) => recall::Audience::Topic(topic.clone()),
    };
    let (channel, seq, audience) = (sent.kind as i32, sent.seq, Some(audience));
    command::Kind::Recall(Recall { message_id, channel, seq, audience })
}

/// Whether a gateway has any of those who may have the message.
fn has_some(link: &Link, sent: &Sent) -> bool {
    match &sent.audience {
        Audience::Connections(gateways) => gateways.iter().any(|&(it, _)| it == link.gateway),
        Audience::App(app_id) => link.has_app(*app_id),
        Audience::Everyone => link.has_app(0),
        Audience::Topic(topic) => link.has_members(topic.app_id, &topic.name),
    }
}

/// Who may have a kept message of a log.
fn sent_to(placed: &Placed, routes: &[Route]) -> Option<Sent> {
    let channel = placed.channel.as_ref()?;
    let kind = ChannelKind::try_from(channel.kind).ok()?;
    let audience = match kind {
        ChannelKind::Own => {
            let mut gateways: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
            for route in routes {
                gateways.entry(route.gateway).or_default().push(route.conn);
            }
            Audience::Connections(gateways.into_iter().collect())
        }
        ChannelKind::App => Audience::App(channel.app_id),
        ChannelKind::Everyone => Audience::Everyone,
        ChannelKind::Topic => {
            Audience::Topic(Topic { app_id: channel.app_id, name: channel.name.clone() })
        }
    };
    Some(Sent { kind, seq: placed.seq, audience })
}
