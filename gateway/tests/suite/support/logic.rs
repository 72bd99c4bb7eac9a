//! A logic that does what a test says.

use super::{APP, TAG};
use gpusher_gateway::Gateway;
use gpusher_proto::gateway::gateway_client::GatewayClient;
use gpusher_proto::gateway::*;
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// How it attaches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By channels.
    InProcess,
    /// Over the network.
    Grpc,
}

/// One attached logic. Dropping it cuts the link.
pub(crate) struct Logic {
    to: mpsc::Sender<ToGateway>,
    from: mpsc::Receiver<FromGateway>,
    events: VecDeque<event::Kind>,
    jobs: u64,
}

impl Logic {
    /// Attached, introduced, and the shards' announcements begun.
    pub(crate) async fn attach(gateway: &Gateway, way: Way, name: &str) -> Self {
        let (to, from) = match way {
            Way::InProcess => {
                let ends = gateway.attach();
                (ends.to, ends.from)
            }
            Way::Grpc => connect(gateway).await,
        };
        let mut logic = Self { to, from, events: VecDeque::new(), jobs: 0 };
        let apps = vec![App { id: APP, tag: TAG.into() }];
        let attach = Attach { logic: name.into(), apps, ..Attach::default() };
        logic.send(to_gateway::Kind::Attach(attach)).await;
        match logic.from.recv().await.and_then(|message| message.kind) {
            Some(from_gateway::Kind::Hello(hello)) => assert_eq!(hello.gateway, 3),
            other => panic!("not a hello: {other:?}"),
        }
        logic
    }

    async fn send(&self, kind: to_gateway::Kind) {
        self.to.send(ToGateway { kind: Some(kind) }).await.expect("the link lives");
    }

    pub(crate) async fn command(&self, kind: command::Kind) {
        let commands = vec![Command { kind: Some(kind) }];
        self.send(to_gateway::Kind::Batch(Batch { commands })).await;
    }

    /// The next event, leaving out the load.
    pub(crate) async fn event(&mut self) -> event::Kind {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let message = self.from.recv().await.expect("the link lives");
            if let Some(from_gateway::Kind::Report(report)) = message.kind {
                let events = report.events.into_iter().filter_map(|event| event.kind);
                self.events.extend(events.filter(|event| !matches!(event, event::Kind::Load(_))));
            }
        }
    }

    /// The next event that is wanted; others are passed over.
    pub(crate) async fn until<T>(&mut self, mut wanted: impl FnMut(event::Kind) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.event().await) {
                return found;
            }
        }
    }

    pub(crate) async fn opened(&mut self) -> Opened {
        let opened = |event| match event {
            event::Kind::Opened(opened) => Some(opened),
            _ => None,
        };
        self.until(opened).await
    }

    pub(crate) async fn announced(&mut self) {
        self.until(|event| matches!(event, event::Kind::Announced(_)).then_some(())).await;
    }

    /// Knows of the next app or topic.
    pub(crate) async fn acknowledge_membership(&mut self) {
        let membership = |event| match event {
            event::Kind::Membership(membership) => Some(membership.revision),
            _ => None,
        };
        let revision = self.until(membership).await;
        self.command(command::Kind::MembershipAck(MembershipAck { revision })).await;
    }

    /// Admits a login that needs no replay.
    pub(crate) async fn admit(&self, conn: u64) {
        self.command(command::Kind::Admit(Admit { conn, epoch: 77, ..Admit::default() })).await;
        self.command(command::Kind::SyncDone(SyncDone { conn, ..SyncDone::default() })).await;
    }

    /// The next login, admitted.
    pub(crate) async fn admit_next(&mut self) -> Opened {
        let opened = self.opened().await;
        self.admit(opened.conn).await;
        opened
    }

    /// Delivers, and waits for the outcome.
    pub(crate) async fn deliver(
        &mut self,
        message: Message,
        audience: delivery::Audience,
    ) -> Outcome {
        self.jobs += 1;
        let job = self.jobs;
        let (message, audience) = (Some(message), Some(audience));
        let delivery = Delivery { job, message, audience, replay: false };
        self.command(command::Kind::Delivery(delivery)).await;
        let outcome = |event| match event {
            event::Kind::Outcome(outcome) => Some(outcome),
            _ => None,
        };
        let outcome = self.until(outcome).await;
        assert_eq!(outcome.job, job);
        outcome
    }
}

async fn connect(gateway: &Gateway) -> (mpsc::Sender<ToGateway>, mpsc::Receiver<FromGateway>) {
    let address = gateway.rpc_addr().expect("there is a gRPC listener");
    let mut client = GatewayClient::connect(format!("http://{address}")).await.expect("it answers");
    let (to, commands) = mpsc::channel(16);
    let (events, from) = mpsc::channel(16);
    let mut stream = client.link(ReceiverStream::new(commands)).await.expect("a link").into_inner();
    tokio::spawn(async move {
        while let Ok(Some(message)) = stream.message().await {
            if events.send(message).await.is_err() {
                return;
            }
        }
    });
    (to, from)
}

/// A live message on a user's own channel.
pub(crate) fn live(seq: u64, content: &str) -> Message {
    let content = content.to_owned().into();
    Message { id: 1_000 + seq, seq, r#type: 1, content, ..Message::default() }
}

/// A kept one.
pub(crate) fn kept(seq: u64, content: &str) -> Message {
    Message { kept: true, ..live(seq, content) }
}

/// One connection.
pub(crate) fn to(conn: u64) -> delivery::Audience {
    delivery::Audience::Connections(Connections { ids: vec![conn] })
}
