//! `gpusher send`.

use crate::options::Identity;
use anyhow::{Context, bail};
use clap::Args;
use gpusher_client::{Client, Event, Positions, Target};
use std::io::Read;
use std::time::Duration;

/// Options of `send`.
#[derive(Args)]
pub(crate) struct Send {
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    to: To,
    /// The message; absent: the standard input
    text: Option<String>,
    /// Give up after so many seconds
    #[arg(long, default_value_t = 10)]
    timeout: u64,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct To {
    /// To a user of the same app
    #[arg(long)]
    to: Option<String>,
    /// To who has joined a topic
    #[arg(long)]
    topic: Option<String>,
    /// To the application, which reads it over HTTP
    #[arg(long)]
    app_inbox: bool,
}

impl Send {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let content = match &self.text {
            Some(text) => text.clone().into_bytes(),
            None => {
                let mut content = Vec::new();
                std::io::stdin().read_to_end(&mut content)?;
                content
            }
        };
        let (target, name) = match &self.to {
            To { to: Some(user), .. } => (Target::User, user.as_str()),
            To { topic: Some(topic), .. } => (Target::Topic, topic.as_str()),
            To { .. } => (Target::Application, ""),
        };
        let limit = Duration::from_secs(self.timeout);
        let sending = self.send(target, name, &content);
        let id = tokio::time::timeout(limit, sending).await.context("no answer in time")??;
        println!("{id}");
        Ok(())
    }

    async fn send(&self, target: Target, name: &str, content: &[u8]) -> anyhow::Result<u64> {
        let mut client = self.identity.client(Positions::default()).await?;
        online(&mut client).await?;
        let id = client.sender().send(target, name, content).await?;
        client.close().await;
        Ok(id)
    }
}

/// Waits for the connection. What comes for the user in the meantime is left unacknowledged by not taking it.
async fn online(client: &mut Client) -> anyhow::Result<()> {
    loop {
        match client.next().await {
            Some(Event::Online { .. }) => return Ok(()),
            Some(Event::Offline { reason, .. }) => eprintln!("offline: {reason}"),
            Some(Event::TokenNeeded { reason }) => bail!("the token is not accepted: {reason}"),
            Some(Event::Ended(end)) => bail!("{end}"),
            None => bail!("ended"),
            Some(_) => {}
        }
    }
}
