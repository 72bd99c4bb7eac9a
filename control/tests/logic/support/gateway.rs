//! A gateway that does what the test says.

use super::{APP, BEGIN_MS, PATIENCE};
use gpusher_control::logic::Logic;
use gpusher_gateway::link::{EndReason, LinkEnd, LinkEnds};
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::*;
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// A gateway's side of its link.
pub(crate) struct Gateway {
    pub(crate) number: u32,
    /// Times that it was asked to announce everybody again.
    pub(crate) asked_again: u32,
    to_logic: mpsc::Sender<FromGateway>,
    from_logic: mpsc::Receiver<ToGateway>,
    end: EndReason,
    commands: VecDeque<command::Kind>,
    next_slot: u32,
    revision: u64,
}

/// A login of a device (version 1 unless changed).
pub(crate) fn login(user: &str, device: &str) -> Opened {
    Opened {
        app_id: APP,
        user: user.to_owned(),
        device: device.to_owned(),
        version: 1,
        at_ms: BEGIN_MS,
        ..Opened::default()
    }
}

impl Gateway {
    /// Attaches to an instance, with credit for as many commands as there may be and nobody connected.
    pub(crate) async fn attach(logic: &Logic, number: u32) -> Self {
        let gateway = Self::attach_without_credit(logic, number).await;
        gateway.credit(100_000).await;
        gateway.report(event::Kind::Announced(Announced::default())).await;
        gateway
    }

    pub(crate) async fn attach_without_credit(logic: &Logic, number: u32) -> Self {
        let (to, mut from_logic) = mpsc::channel(16);
        let (to_logic, from) = mpsc::channel(16);
        let end = EndReason::default();
        logic.attach_gateway(LinkEnds { to, from, end: end.clone() });
        let first = from_logic.recv().await.expect("logic attaches");
        assert!(matches!(first.kind, Some(to_gateway::Kind::Attach(_))), "{first:?}");
        let commands = VecDeque::new();
        let (asked_again, next_slot, revision) = (0, 0, 0);
        let gateway =
            Self { number, asked_again, to_logic, from_logic, end, commands, next_slot, revision };
        let hello = Hello {
            gateway: number,
            epoch: 1,
            client_addr: format!("gateway-{number}:8881"),
            shards: 1,
            connections_max: 1_000,
        };
        gateway.send(from_gateway::Kind::Hello(hello)).await;
        gateway
    }

    pub(crate) async fn credit(&self, commands: u32) {
        self.send(from_gateway::Kind::Credit(Credit { commands })).await;
    }

    async fn send(&self, kind: from_gateway::Kind) {
        self.to_logic.send(FromGateway { kind: Some(kind) }).await.expect("logic listens");
    }

    pub(crate) async fn report(&self, kind: event::Kind) {
        let events = vec![Event { kind: Some(kind) }];
        self.send(from_gateway::Kind::Report(Report { events })).await;
    }

    /// Reports a login; the connection's id.
    pub(crate) async fn opened(&mut self, login: Opened) -> u64 {
        self.next_slot += 1;
        let conn = ConnId::new(self.number, 0, self.next_slot, 1).raw();
        self.report(event::Kind::Opened(Opened { conn, ..login })).await;
        conn
    }

    /// Logs in and follows until the replay is over: what was replayed, with its sequence.
    pub(crate) async fn log_in(&mut self, login: Opened) -> (u64, Vec<Message>) {
        let conn = self.opened(login).await;
        let admit = self.admit().await;
        assert_eq!((admit.conn, admit.code), (conn, 0), "{admit:?}");
        let (messages, _) = self.replay(conn).await;
        (conn, messages)
    }

    /// Logs in, whatever else comes meanwhile for others.
    pub(crate) async fn log_in_past(&mut self, login: Opened) -> u64 {
        let conn = self.opened(login).await;
        loop {
            if let command::Kind::SyncDone(done) = self.next().await
                && done.conn == conn
            {
                return conn;
            }
        }
    }

    /// Takes a replay to its end, answering every delivery as written.
    pub(crate) async fn replay(&mut self, conn: u64) -> (Vec<Message>, SyncDone) {
        let mut messages = Vec::new();
        loop {
            match self.next().await {
                command::Kind::Delivery(delivery) if delivery.replay => {
                    assert_eq!(conns(&delivery), [conn]);
                    self.written(&delivery).await;
                    messages.extend(delivery.message);
                }
                command::Kind::SyncDone(done) => {
                    assert_eq!(done.conn, conn);
                    return (messages, done);
                }
                command::Kind::SyncStart(start) => assert_eq!(start.conn, conn),
                other => panic!("in a replay: {other:?}"),
            }
        }
    }

    /// The next command that is not housekeeping.
    pub(crate) async fn next(&mut self) -> command::Kind {
        tokio::time::timeout(PATIENCE, self.receive()).await.expect("a command comes")
    }

    async fn receive(&mut self) -> command::Kind {
        loop {
            while let Some(command) = self.commands.pop_front() {
                match command {
                    command::Kind::Apps(_) => {}
                    command::Kind::AnnounceAgain(_) => {
                        self.asked_again += 1;
                        let again = self.asked_again;
                        self.report(event::Kind::Announced(Announced { again })).await;
                    }
                    command => return command,
                }
            }
            let message = self.from_logic.recv().await.expect("logic keeps the link");
            let Some(to_gateway::Kind::Batch(batch)) = message.kind else { panic!("{message:?}") };
            self.commands.extend(batch.commands.into_iter().filter_map(|command| command.kind));
        }
    }

    pub(crate) async fn admit(&mut self) -> Admit {
        match self.next().await {
            command::Kind::Admit(admit) => admit,
            other => panic!("not an admit: {other:?}"),
        }
    }

    pub(crate) async fn delivery(&mut self) -> Delivery {
        match self.next().await {
            command::Kind::Delivery(delivery) => delivery,
            other => panic!("not a delivery: {other:?}"),
        }
    }

    pub(crate) async fn kick(&mut self) -> Kick {
        match self.next().await {
            command::Kind::Kick(kick) => kick,
            other => panic!("not a kick: {other:?}"),
        }
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        match self.next().await {
            command::Kind::Answer(answer) => answer,
            other => panic!("not an answer: {other:?}"),
        }
    }

    pub(crate) async fn recall(&mut self) -> Recall {
        match self.next().await {
            command::Kind::Recall(recall) => recall,
            other => panic!("not a recall: {other:?}"),
        }
    }

    /// Everybody's socket took it.
    pub(crate) async fn written(&self, delivery: &Delivery) {
        let written = conns(delivery).len().max(1) as u32;
        self.outcome(Outcome { job: delivery.job, written, ..Outcome::default() }).await;
    }

    pub(crate) async fn outcome(&self, outcome: Outcome) {
        self.report(event::Kind::Outcome(outcome)).await;
    }

    pub(crate) async fn ack(&self, conn: u64, channel: ChannelKind, seq: u64) {
        self.report(event::Kind::Ack(Ack { conn, channel: channel as i32, seq })).await;
    }

    pub(crate) async fn closed(&self, conn: u64) {
        self.report(event::Kind::Closed(Closed { conn, ..Closed::default() })).await;
    }

    /// Announces members and waits until logic has passed it on.
    pub(crate) async fn members(&mut self, app_id: u32, topic: &str, members: u32) {
        self.revision += 1;
        let (revision, topic) = (self.revision, topic.to_owned());
        self.report(event::Kind::Membership(Membership { revision, app_id, topic, members })).await;
        match self.next().await {
            command::Kind::MembershipAck(ack) => assert_eq!(ack.revision, revision),
            other => panic!("not a membership's acknowledgement: {other:?}"),
        }
    }

    /// Nothing was sent but what has been taken: shown by something that is answered in order.
    pub(crate) async fn nothing_more(&mut self) {
        self.members(99, "a topic nobody else uses", 1).await;
    }

    /// The gateway is gone.
    pub(crate) fn break_link(self) {}

    /// The stream breaks, and the gateway is still there.
    pub(crate) fn lose_link(self) {
        self.end.set(LinkEnd::Stalled);
    }
}

/// Connections that a delivery names.
pub(crate) fn conns(delivery: &Delivery) -> Vec<u64> {
    match &delivery.audience {
        Some(delivery::Audience::Connections(connections)) => connections.ids.clone(),
        _ => Vec::new(),
    }
}
