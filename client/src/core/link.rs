//! The connection's life: wait, connect, log in, be online, leave, and again.

use super::Core;
use super::event::{Action, End, Event, Outcome};
use super::requests::Kind;
use gpusher_proto::wire::v1::{CAPABILITY_ZLIB, ClientFrame, Login};
use gpusher_proto::wire::{Advice, Positions as WirePositions};

/// A connection that lasted this long was a good one: the next wait is a short one again.
const GOOD_MS: u64 = 10_000;
/// For the server to take the last bytes of a connection that is left, and close it.
const GOODBYE_MS: u64 = 1_000;

/// How far the connection is.
#[derive(Debug)]
pub(super) enum Link {
    /// For the next attempt.
    Waiting { until_ms: u64 },
    /// The driver is connecting.
    Connecting { until_ms: u64 },
    /// The login is sent.
    LoggingIn { until_ms: u64 },
    /// In use.
    Online(Online),
    /// BYE is sent, and the server closes: closing first could cost it what was sent last.
    Leaving { until_ms: u64, after: After },
    /// Until there is another token.
    AwaitToken,
    /// For good.
    Ended(End),
}

/// What follows a good-bye.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum After {
    End,
    Reconnect { wait_ms: u64, target: String, reason: String },
}

/// A connection in use.
#[derive(Debug)]
pub(super) struct Online {
    pub(super) since_ms: u64,
    pub(super) heartbeat_ms: u64,
    pub(super) ack_delay_ms: u64,
    pub(super) last_sent_ms: u64,
    pub(super) last_received_ms: u64,
    pub(super) ack_due_ms: Option<u64>,
    /// The server asked us to go: when to, if answers do not come before, and what then.
    pub(super) leave: Option<(u64, After)>,
}

impl Online {
    /// Half of the delay allowed, so that the network may take the other half.
    pub(super) fn want_ack(&mut self, now_ms: u64) {
        self.ack_due_ms.get_or_insert(now_ms + self.ack_delay_ms / 2);
    }

    /// A server that answers no heartbeat is gone.
    fn silent_at_ms(&self) -> u64 {
        self.last_received_ms + self.heartbeat_ms * 5 / 2
    }

    fn deadline_ms(&self) -> u64 {
        let heartbeat_ms = self.last_sent_ms + self.heartbeat_ms;
        let leave_ms = self.leave.as_ref().map(|(at_ms, _)| *at_ms);
        [Some(heartbeat_ms), Some(self.silent_at_ms()), self.ack_due_ms, leave_ms]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(heartbeat_ms)
    }
}

/// Why a connection ended, and what the server had to say about coming back.
#[derive(Debug)]
pub(super) struct Parting<'a> {
    pub(super) reason: String,
    pub(super) code: u16,
    pub(super) text: &'a str,
    pub(super) advice: Advice,
    pub(super) delay_ms: Option<u64>,
    pub(super) target: &'a str,
}

impl Parting<'_> {
    fn accident(reason: &str) -> Self {
        let reason = reason.to_owned();
        Self { reason, code: 0, text: "", advice: Advice::Reconnect, delay_ms: None, target: "" }
    }
}

impl Core {
    /// What the driver has to do; to be asked after every input until there is nothing.
    pub fn poll_action(&mut self) -> Option<Action> {
        let needs_socket = matches!(
            self.link,
            Link::Connecting { .. }
                | Link::LoggingIn { .. }
                | Link::Online(_)
                | Link::Leaving { .. }
        );
        if self.socket && !needs_socket {
            self.socket = false;
            return Some(Action::Disconnect);
        }
        if let Link::Connecting { .. } = self.link
            && !self.socket
        {
            self.socket = true;
            return Some(Action::Connect(self.backoff.address(&self.config.gateways)));
        }
        None
    }

    /// When [`Self::on_time`] has something to do; none: not before another input.
    pub fn deadline(&self) -> Option<u64> {
        match &self.link {
            Link::Waiting { until_ms }
            | Link::Connecting { until_ms }
            | Link::LoggingIn { until_ms }
            | Link::Leaving { until_ms, .. } => Some(*until_ms),
            Link::Online(online) => Some(online.deadline_ms()),
            Link::AwaitToken | Link::Ended(_) => None,
        }
    }

    /// The time is this. To be called at the deadline, and whenever convenient.
    pub fn on_time(&mut self, now_ms: u64) {
        match &self.link {
            Link::Waiting { until_ms } if now_ms >= *until_ms => {
                self.link = Link::Connecting { until_ms: now_ms + self.config.login_timeout_ms };
            }
            Link::Connecting { until_ms } if now_ms >= *until_ms => {
                self.part(Parting::accident("no connection in time"), now_ms);
            }
            Link::LoggingIn { until_ms } if now_ms >= *until_ms => {
                self.part(Parting::accident("the login was not answered"), now_ms);
            }
            Link::Leaving { until_ms, .. } if now_ms >= *until_ms => self.left(now_ms),
            Link::Online(_) => self.on_time_online(now_ms),
            _ => {}
        }
    }

    fn on_time_online(&mut self, now_ms: u64) {
        let Link::Online(online) = &mut self.link else { return };
        if now_ms >= online.since_ms + GOOD_MS {
            self.backoff.reset();
        }
        if now_ms >= online.silent_at_ms() {
            return self.part(Parting::accident("the server is silent"), now_ms);
        }
        let leave_now = |(at_ms, _): &(u64, After)| now_ms >= *at_ms || self.requests.is_empty();
        if online.leave.as_ref().is_some_and(leave_now)
            && let Some((_, after)) = online.leave.take()
        {
            return self.say_goodbye(after, now_ms);
        }
        if now_ms >= online.last_sent_ms + online.heartbeat_ms {
            online.last_sent_ms = now_ms;
            online.ack_due_ms = None;
            let acks = self.tracker.take_unacknowledged();
            self.encode(ClientFrame::Heartbeat { acks: acks.as_slice().into() });
        } else if online.ack_due_ms.is_some_and(|due_ms| now_ms >= due_ms) {
            self.write_acks(now_ms);
        }
    }

    /// The socket is connected: writes the login.
    pub fn on_connected(&mut self, now_ms: u64) {
        if !matches!(self.link, Link::Connecting { .. }) {
            return;
        }
        self.link = Link::LoggingIn { until_ms: now_ms + self.config.login_timeout_ms };
        let resume = self.tracker.confirmed();
        let login = ClientFrame::Login(Login {
            app_id: self.config.app_id,
            user: &self.config.user,
            device: &self.config.device,
            token: &self.config.token,
            capabilities: if self.config.zlib { CAPABILITY_ZLIB } else { 0 },
            epoch: self.tracker.epoch(),
            resume: WirePositions::from(resume.as_slice()),
        });
        if let Err(error) = login.encode(&mut self.output) {
            self.finish(End::Unusable(error.to_string()));
        }
    }

    /// The socket could not be connected, or has ended.
    pub fn on_disconnected(&mut self, reason: &str, now_ms: u64) {
        self.socket = false;
        match self.link {
            Link::Connecting { .. } | Link::LoggingIn { .. } | Link::Online(_) => {
                self.part(Parting::accident(reason), now_ms);
            }
            Link::Leaving { .. } => self.left(now_ms),
            Link::Waiting { .. } | Link::AwaitToken | Link::Ended(_) => {}
        }
    }

    /// The connection is over; what comes next follows from the advice.
    pub(super) fn part(&mut self, parting: Parting<'_>, now_ms: u64) {
        self.forget_connection();
        match parting.advice {
            Advice::Reconnect => {
                let wait_ms = self.backoff.wait_ms(parting.delay_ms, parting.target);
                self.wait(wait_ms, parting.reason, now_ms);
            }
            Advice::NewToken => {
                self.link = Link::AwaitToken;
                self.tell(Event::TokenNeeded { reason: parting.reason });
            }
            Advice::GiveUp => {
                let text = parting.text.to_owned();
                self.finish(End::Dismissed { code: parting.code, text });
            }
        }
    }

    /// Acknowledges, says BYE, and leaves the driver time to get that out.
    pub(super) fn say_goodbye(&mut self, after: After, now_ms: u64) {
        self.write_acks(now_ms);
        self.encode(ClientFrame::Bye);
        self.link = Link::Leaving { until_ms: now_ms + GOODBYE_MS, after };
    }

    fn left(&mut self, now_ms: u64) {
        let Link::Leaving { after, .. } = &self.link else { return };
        match after.clone() {
            After::End => self.finish(End::Closed),
            After::Reconnect { wait_ms, target, reason } => {
                self.forget_connection();
                let wait_ms = self.backoff.wait_ms(Some(wait_ms), &target);
                self.wait(wait_ms, reason, now_ms);
            }
        }
    }

    fn wait(&mut self, wait_ms: u64, reason: String, now_ms: u64) {
        self.link = Link::Waiting { until_ms: now_ms + wait_ms };
        self.tell(Event::Offline { reason, retry_in_ms: wait_ms });
    }

    pub(super) fn finish(&mut self, end: End) {
        self.forget_connection();
        self.link = Link::Ended(end.clone());
        self.tell(Event::Ended(end));
    }

    fn forget_connection(&mut self) {
        self.input.clear();
        self.output.clear();
        for (request, kind) in self.requests.take_all() {
            match kind {
                // Asked for again when there is a connection.
                Kind::Rejoin { .. } => continue,
                Kind::Join { topic, is_new: true } => self.tracker.leave(&topic),
                Kind::Send | Kind::Join { .. } | Kind::Leave => {}
            }
            self.answers.push_back((request, Outcome::Unanswered));
        }
    }
}
