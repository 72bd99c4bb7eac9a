//! Who gets a push: from the log's numbers and the routes to deliveries.

use gpusher_proto::data::{KickJob, Placed, Push, Route};
use gpusher_proto::gateway::{ChannelKind, Connections, Message, Topic, delivery};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A record of the queue, after the store and the routes were asked.
#[derive(Debug)]
pub enum Prepared {
    /// A push to deliver.
    Push(PreparedPush),
    /// A message to withdraw.
    Recall {
        /// Which.
        message: u64,
        /// Logs that had it.
        placed: Vec<Placed>,
        /// Per log: where its user is connected (own channels).
        routes: Vec<Vec<Route>>,
    },
    /// Connections to close.
    Kick {
        /// Why and how.
        job: KickJob,
        /// The connections.
        routes: Vec<Route>,
    },
    /// It expired in the queue.
    Expired(Arc<Push>),
    /// It was recalled by an earlier process, which had not committed it.
    Recalled(Arc<Push>),
    /// It cannot be delivered, and was filed as a dead letter.
    Failed(Arc<Push>),
    /// Nothing to do: an unknown kind of job.
    Nothing,
}

/// A push with its numbers.
#[derive(Debug)]
pub struct PreparedPush {
    /// The push.
    pub push: Arc<Push>,
    /// The channel it takes.
    pub kind: ChannelKind,
    /// Its sequence: one, or for own channels one per user.
    pub seqs: Vec<u64>,
    /// Own channels: where each user is connected.
    pub routes: Vec<Vec<Route>>,
}

/// One user of a push by own channels.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// The user.
    pub user: String,
    /// The number on the own channel.
    pub seq: u64,
    /// Connections it was sent to so far.
    pub conns: Vec<u64>,
}

/// A connection that a delivery names.
#[derive(Debug, Clone)]
pub struct Target {
    /// The connection.
    pub conn: u64,
    /// Of the gateway that held it when it was bound.
    pub gateway_epoch: u64,
    /// Index of its user among the push's receivers.
    pub receiver: usize,
}

/// A push to connections: who they are, whatever the gateway.
#[derive(Debug)]
pub struct Receivers {
    /// The push.
    pub push: Arc<Push>,
    /// Its users.
    pub users: Vec<Receiver>,
    /// How often users were looked up again.
    pub retries: u8,
}

/// A delivery to connections of one gateway: those with the same number share it.
#[derive(Debug)]
pub struct Unicast {
    /// Where.
    pub gateway: u32,
    /// The number.
    pub seq: u64,
    /// To whom.
    pub targets: Vec<Target>,
}

/// A push's delivery at one gateway, waiting for its outcome.
#[derive(Debug)]
pub struct PushPart {
    /// The queue's record.
    pub offset: u64,
    /// The message.
    pub message: u64,
    /// Whether it is in a log.
    pub kept: bool,
    /// Its channel.
    pub kind: ChannelKind,
    /// Of which app.
    pub app_id: u32,
    /// Its number.
    pub seq: u64,
    /// With it, the gateway has finished with the push.
    pub closes: bool,
    /// Own channels: the connections, and whose they are.
    pub unicast: Option<(Arc<Receivers>, Vec<Target>)>,
}

/// Groups connections by gateway and number. Users without a route are not among them.
pub fn unicasts(users: &[Receiver], routes: &[Vec<Route>]) -> Vec<Unicast> {
    let mut plan: Vec<Unicast> = Vec::new();
    let mut index: FxHashMap<(u32, u64), usize> = FxHashMap::default();
    for (receiver, (user, routes)) in users.iter().zip(routes).enumerate() {
        for route in routes {
            let key = (route.gateway, user.seq);
            let known = match users {
                // Most pushes: not worth a table.
                [_] => plan.iter().position(|unicast| unicast.gateway == route.gateway),
                _ => index.get(&key).copied(),
            };
            let at = known.unwrap_or_else(|| {
                let (gateway, seq) = key;
                plan.push(Unicast { gateway, seq, targets: Vec::new() });
                if users.len() > 1 {
                    index.insert(key, plan.len() - 1);
                }
                plan.len() - 1
            });
            let (conn, gateway_epoch) = (route.conn, route.gateway_epoch);
            plan[at].targets.push(Target { conn, gateway_epoch, receiver });
        }
    }
    plan
}

/// The users of a push by own channels, with numbers and connections.
pub fn receivers(prepared: &PreparedPush) -> Vec<Receiver> {
    let users = prepared.push.users.iter().zip(&prepared.seqs).zip(&prepared.routes);
    users
        .map(|((user, &seq), routes)| {
            let conns = routes.iter().map(|route| route.conn).collect();
            Receiver { user: user.clone(), seq, conns }
        })
        .collect()
}

/// The channel that a type of push takes; none for a type that does not exist.
pub fn channel_kind(r#type: u32) -> Option<ChannelKind> {
    match r#type {
        1 | 5 => Some(ChannelKind::Own),
        2 => Some(ChannelKind::App),
        3 => Some(ChannelKind::Everyone),
        4 => Some(ChannelKind::Topic),
        _ => None,
    }
}

/// Everybody that a push by a shared channel is for.
pub fn shared_audience(push: &Push, kind: ChannelKind) -> delivery::Audience {
    match kind {
        ChannelKind::App => delivery::Audience::AppId(push.app_id),
        ChannelKind::Everyone => delivery::Audience::Everyone(true),
        ChannelKind::Topic => {
            delivery::Audience::Topic(Topic { app_id: push.app_id, name: push.topic.clone() })
        }
        ChannelKind::Own => delivery::Audience::Connections(Connections::default()),
    }
}

/// What the gateway is given to encode.
pub fn message(push: &Push, kind: ChannelKind, seq: u64) -> Message {
    let uuid = push.users.first().filter(|_| push.r#type == 1).cloned().unwrap_or_default();
    Message {
        id: push.id,
        channel: kind as i32,
        seq,
        expires_at_ms: push.expires_at_ms,
        r#type: push.r#type,
        uuid,
        topic: push.topic.clone(),
        sender: push.sender.clone(),
        content: push.content.clone(),
        kept: push.offline_push,
        expire_time: push.expire_time,
        slow: push.slow,
    }
}

/// Whether a message is past its time.
pub fn is_expired(push: &Push, now_ms: i64) -> bool {
    push.expires_at_ms != 0 && push.expires_at_ms <= now_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(gateway: u32, conn: u64) -> Route {
        Route { gateway, conn, gateway_epoch: 1, ..Route::default() }
    }

    fn user(name: &str, seq: u64) -> Receiver {
        Receiver { user: name.to_owned(), seq, conns: Vec::new() }
    }

    #[test]
    fn connections_are_grouped_by_gateway_and_number() {
        let users = [user("a", 4), user("b", 4), user("c", 9), user("away", 4)];
        let routes =
            [vec![route(1, 10), route(2, 20)], vec![route(1, 11)], vec![route(1, 12)], vec![]];
        let plan = unicasts(&users, &routes);
        let shape = |unicast: &Unicast| {
            let targets: Vec<_> = unicast.targets.iter().map(|t| (t.conn, t.receiver)).collect();
            (unicast.gateway, unicast.seq, targets)
        };
        let expected =
            [(1, 4, vec![(10, 0), (11, 1)]), (2, 4, vec![(20, 0)]), (1, 9, vec![(12, 2)])];
        assert_eq!(plan.iter().map(shape).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn random_plans_reach_every_route_once() {
        let seed: u64 = rand::random();
        println!("seed {seed}");
        let mut state = seed | 1;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for _ in 0..200 {
            let mut conn = 0;
            let users: Vec<Receiver> =
                (0..random(20)).map(|n| user(&n.to_string(), random(4))).collect();
            let routes: Vec<Vec<Route>> = users
                .iter()
                .map(|_| {
                    (0..random(4))
                        .map(|_| {
                            conn += 1;
                            route(random(3) as u32, conn)
                        })
                        .collect()
                })
                .collect();
            let mut reached = Vec::new();
            for unicast in unicasts(&users, &routes) {
                for target in unicast.targets {
                    assert_eq!(users[target.receiver].seq, unicast.seq);
                    let of = &routes[target.receiver];
                    assert!(of.contains(&route(unicast.gateway, target.conn)));
                    reached.push(target.conn);
                }
            }
            reached.sort_unstable();
            assert_eq!(reached, (1..=conn).collect::<Vec<_>>());
        }
    }
}
