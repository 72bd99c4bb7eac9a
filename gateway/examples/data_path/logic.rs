//! Logic's part, without its work.

use super::{APP, unix_ns, until};
use anyhow::Result;
use gpusher_gateway::link::LinkEnds;
use gpusher_proto::gateway::{
    Admit, App, Attach, Batch, ChannelKind, Command, Connections, Delivery, Message, SyncDone,
    ToGateway, command, delivery, event, from_gateway, to_gateway,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::mpsc;

/// A logic that admits everybody at once.
pub(super) struct Logic {
    to: mpsc::Sender<ToGateway>,
    credit: Arc<tokio::sync::Semaphore>,
    connections: Arc<Mutex<Vec<u64>>>,
    under_way: Arc<Mutex<HashMap<u64, Instant>>>,
    /// Of finished jobs, from the command to the outcome, in microseconds.
    pub(super) outcomes: Arc<Mutex<Vec<u64>>>,
    jobs: AtomicU64,
    broadcasts: AtomicU64,
}

impl Logic {
    pub(super) async fn attach(mut ends: LinkEnds) -> Result<Self> {
        let apps = vec![App { id: APP, tag: "app".into() }];
        let attach = Attach { logic: "measure".into(), apps, ..Attach::default() };
        ends.to.send(ToGateway { kind: Some(to_gateway::Kind::Attach(attach)) }).await?;
        let logic = Self {
            to: ends.to.clone(),
            credit: Arc::new(tokio::sync::Semaphore::new(0)),
            connections: Arc::default(),
            under_way: Arc::default(),
            outcomes: Arc::default(),
            jobs: AtomicU64::new(0),
            broadcasts: AtomicU64::new(0),
        };
        let (credit, connections, under_way, outcomes) = (
            logic.credit.clone(),
            logic.connections.clone(),
            logic.under_way.clone(),
            logic.outcomes.clone(),
        );
        let to = ends.to.clone();
        tokio::spawn(async move {
            while let Some(message) = ends.from.recv().await {
                let events = match message.kind {
                    Some(from_gateway::Kind::Credit(given)) => {
                        credit.add_permits(given.commands as usize);
                        continue;
                    }
                    Some(from_gateway::Kind::Report(report)) => report.events,
                    _ => continue,
                };
                let mut commands = Vec::new();
                for event in events {
                    match event.kind {
                        Some(event::Kind::Opened(opened)) => {
                            let conn = opened.conn;
                            connections.lock().expect("no panic").push(conn);
                            commands.push(command::Kind::Admit(Admit {
                                conn,
                                epoch: 7,
                                ..Admit::default()
                            }));
                            commands.push(command::Kind::SyncDone(SyncDone {
                                conn,
                                ..SyncDone::default()
                            }));
                        }
                        Some(event::Kind::Outcome(outcome)) => {
                            let began = under_way.lock().expect("no panic").remove(&outcome.job);
                            let took = began.map_or(0, |began| began.elapsed().as_micros() as u64);
                            outcomes.lock().expect("no panic").push(took);
                        }
                        _ => {}
                    }
                }
                if !commands.is_empty() {
                    let (to, credit) = (to.clone(), credit.clone());
                    tokio::spawn(async move { send(&to, &credit, commands).await });
                }
            }
        });
        Ok(logic)
    }

    async fn deliver(&self, message: Message, audience: delivery::Audience) -> Result<()> {
        let job = self.jobs.fetch_add(1, Ordering::Relaxed);
        self.under_way.lock().expect("no panic").insert(job, Instant::now());
        let delivery =
            Delivery { job, message: Some(message), audience: Some(audience), replay: false };
        send(&self.to, &self.credit, vec![command::Kind::Delivery(delivery)]).await
    }

    pub(super) async fn broadcast(&self, bytes: usize) -> Result<()> {
        let seq = self.broadcasts.fetch_add(1, Ordering::Relaxed) + 1;
        let content = vec![b'x'; bytes].into();
        let channel = ChannelKind::App.into();
        self.deliver(
            Message { id: seq, channel, seq, content, ..Message::default() },
            delivery::Audience::AppId(APP),
        )
        .await
    }

    pub(super) async fn unicast(&self, index: usize) -> Result<()> {
        let conn = {
            let connections = self.connections.lock().expect("no panic");
            connections[index % connections.len()]
        };
        let seq = self.jobs.load(Ordering::Relaxed) + 1;
        let content = unix_ns().to_be_bytes().to_vec().into();
        let channel = ChannelKind::Own.into();
        self.deliver(
            Message { id: seq, channel, seq, content, ..Message::default() },
            delivery::Audience::Connections(Connections { ids: vec![conn] }),
        )
        .await
    }

    pub(super) async fn settled(&self) -> Result<()> {
        until("outcomes", || self.under_way.lock().expect("no panic").is_empty()).await
    }
}

async fn send(
    to: &mpsc::Sender<ToGateway>,
    credit: &tokio::sync::Semaphore,
    commands: Vec<command::Kind>,
) -> Result<()> {
    credit.acquire_many(commands.len() as u32).await?.forget();
    let commands = commands.into_iter().map(|kind| Command { kind: Some(kind) }).collect();
    to.send(ToGateway { kind: Some(to_gateway::Kind::Batch(Batch { commands })) }).await?;
    Ok(())
}
