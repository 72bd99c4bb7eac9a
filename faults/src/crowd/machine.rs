//! A client program of either version: the protocol without I/O, and what makes it the same program after a restart.

use super::forerunner::Forerunner;
use super::population::{APPS, Profile, topic_name};
use crate::ledger::Receipt;
use gpusher_client::core::{Action, Core, Outcome};
use gpusher_client::{Config, Event, Positions};
use gpusher_proto::wire::v0::Login;

const RECONNECT_BASE_MS: u64 = 100;
const RECONNECT_MAX_MS: u64 = 2_000;
/// Between attempts to join a topic that was refused.
const REJOIN_MS: u64 = 500;

/// What a program needs to start.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) profile: Profile,
    pub(super) gateways: Vec<String>,
    pub(super) token: String,
}

/// A running program.
#[derive(Debug)]
pub(super) enum Machine {
    V0(Box<Forerunner>),
    V1(Box<Modern>),
}

/// The reference client, and the topic that its application wants.
#[derive(Debug)]
pub(super) struct Modern {
    core: Core,
    topic: Option<String>,
    join_at_ms: Option<u64>,
    ended: Option<String>,
}

impl Machine {
    /// A program that wants to connect at once. `positions` are what an earlier run has stored.
    pub(super) fn start(setup: &Setup, positions: Positions, seed: u64) -> Self {
        let profile = &setup.profile;
        let mut gateways = setup.gateways.clone();
        let count = gateways.len();
        gateways.rotate_left(profile.number as usize % count);
        let (tag, app_id) = APPS[profile.app];
        if profile.version == 0 {
            let login = Login {
                app_id,
                uuid: profile.user.as_str().into(),
                key: tag.into(),
                token: setup.token.as_str().into(),
            };
            return Self::V0(Box::new(Forerunner::new(gateways, &login, seed)));
        }
        let mut config = Config::new(String::new(), app_id, profile.user.clone());
        config.gateways = gateways;
        config.device = profile.name.to_owned();
        config.token = setup.token.clone();
        config.reconnect_base_ms = RECONNECT_BASE_MS;
        config.reconnect_max_ms = RECONNECT_MAX_MS;
        let core = Core::new(config, positions, seed);
        let topic = profile.topic.map(topic_name);
        Self::V1(Box::new(Modern { core, topic, join_at_ms: None, ended: None }))
    }

    /// Ends the program, which has taken all its messages; returns what it stores.
    pub(super) fn stop(&mut self) -> Positions {
        match self {
            Self::V0(_) => Positions::default(),
            Self::V1(modern) => {
                modern.core.abandon();
                modern.core.positions()
            }
        }
    }

    pub(super) fn on_time(&mut self, now_ms: u64) {
        match self {
            Self::V0(client) => client.on_time(now_ms),
            Self::V1(modern) => modern.on_time(now_ms),
        }
    }

    pub(super) fn on_connected(&mut self, now_ms: u64) {
        match self {
            Self::V0(client) => client.on_connected(now_ms),
            Self::V1(modern) => modern.core.on_connected(now_ms),
        }
    }

    pub(super) fn on_disconnected(&mut self, reason: &str, now_ms: u64) {
        match self {
            Self::V0(client) => client.on_disconnected(now_ms),
            Self::V1(modern) => modern.core.on_disconnected(reason, now_ms),
        }
    }

    pub(super) fn on_bytes(&mut self, bytes: &[u8], now_ms: u64) {
        match self {
            Self::V0(client) => client.on_bytes(bytes, now_ms),
            Self::V1(modern) => modern.core.on_bytes(bytes, now_ms),
        }
    }

    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        match self {
            Self::V0(client) => client.output(),
            Self::V1(modern) => modern.core.output(),
        }
    }

    pub(super) fn wants_bytes(&self) -> bool {
        match self {
            Self::V0(_) => true,
            Self::V1(modern) => modern.core.wants_bytes(),
        }
    }

    /// Milliseconds of the clock that inputs come with; none: nothing is due.
    pub(super) fn deadline(&self) -> Option<u64> {
        match self {
            Self::V0(client) => Some(client.deadline()),
            Self::V1(modern) => match (modern.core.deadline(), modern.join_at_ms) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
        }
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        match self {
            Self::V0(client) => client.poll_action(),
            Self::V1(modern) => modern.core.poll_action(),
        }
    }

    /// The next message that the application sees.
    pub(super) fn poll_receipt(&mut self, now_ms: u64) -> Option<Receipt> {
        match self {
            Self::V0(client) => client.poll_receipt(),
            Self::V1(modern) => modern.poll_receipt(now_ms),
        }
    }

    /// Whether it is logged in, and has joined what it wants.
    pub(super) fn is_online(&self) -> bool {
        match self {
            Self::V0(client) => client.is_online(),
            Self::V1(modern) => modern.core.is_online() && modern.join_at_ms.is_none(),
        }
    }

    /// Why the server does not want it any more, if so: once.
    pub(super) fn take_end(&mut self) -> Option<String> {
        match self {
            Self::V0(_) => None,
            Self::V1(modern) => modern.ended.take(),
        }
    }
}

impl Modern {
    fn on_time(&mut self, now_ms: u64) {
        self.core.on_time(now_ms);
        while let Some((_, outcome)) = self.core.poll_answer() {
            self.join_at_ms = match outcome {
                Outcome::Done(_) => None,
                Outcome::Refused(_) | Outcome::Unanswered => Some(now_ms + REJOIN_MS),
            };
        }
        if self.join_at_ms.is_some_and(|at_ms| at_ms <= now_ms)
            && let Some(topic) = &self.topic
        {
            // Until it is answered it counts as not joined, and whoever is offline asks again later.
            let _ = self.core.join(topic, None, now_ms);
            self.join_at_ms = Some(now_ms + 10 * REJOIN_MS);
        }
    }

    fn poll_receipt(&mut self, now_ms: u64) -> Option<Receipt> {
        loop {
            match self.core.poll_event(now_ms)? {
                Event::Message(message) => {
                    return Some(Receipt { id: message.id, content: message.content });
                }
                // What it has joined once it joins again by itself.
                Event::Online { .. } if !self.has_joined() => self.join_at_ms = Some(now_ms),
                Event::TopicLost { .. } => self.join_at_ms = Some(now_ms + REJOIN_MS),
                Event::TokenNeeded { reason } => self.ended = Some(reason),
                Event::Ended(end) => self.ended = Some(end.to_string()),
                _ => {}
            }
        }
    }

    fn has_joined(&self) -> bool {
        let joined = self.core.positions().topics;
        self.topic.as_ref().is_none_or(|topic| joined.contains_key(topic))
    }
}
