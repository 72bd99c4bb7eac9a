//! Recall: out of the lines, then to everybody who may have it.

use super::replay::Fate;
use super::withdrawal::{Audience, Sent};
use super::*;
use gpusher_proto::data::{Placed, Route};
use gpusher_proto::gateway::{ChannelKind, Connections, Recall, Topic, recall};
use link::Part;

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
        for sent in sent {
            self.send_recall(offset, message, &sent);
        }
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

    fn send_recall(&mut self, offset: u64, message_id: u64, sent: &Sent) {
        let command = |audience| {
            let (channel, seq) = (sent.kind as i32, sent.seq);
            command::Kind::Recall(Recall { message_id, channel, seq, audience: Some(audience) })
        };
        let (app_id, topic) = match &sent.audience {
            Audience::Connections(gateways) => {
                for (gateway, ids) in gateways {
                    let connections = Connections { ids: ids.clone() };
                    let audience = recall::Audience::Connections(connections);
                    self.command_for(offset, *gateway, command(audience));
                }
                return;
            }
            Audience::App(app_id) => (*app_id, ""),
            Audience::Everyone => (0, ""),
            Audience::Topic(topic) => (topic.app_id, topic.name.as_str()),
        };
        for key in self.listeners(sent.kind, app_id, topic) {
            let audience = match &sent.audience {
                Audience::App(app_id) => recall::Audience::AppId(*app_id),
                Audience::Topic(topic) => recall::Audience::Topic(topic.clone()),
                _ => recall::Audience::Everyone(true),
            };
            let gateway = self.link(key).gateway;
            self.command_for(offset, gateway, command(audience));
        }
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
