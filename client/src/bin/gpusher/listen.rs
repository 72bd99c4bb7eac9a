//! `gpusher listen` and `gpusher subscribe`.

use crate::options::Identity;
use crate::print::Printer;
use anyhow::{Context, bail};
use clap::Args;
use gpusher_client::{Client, End, Error, Event, Positions, StateFile};
use std::path::PathBuf;

/// Options of `listen`.
#[derive(Args)]
pub(crate) struct Listen {
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    output: Output,
    /// Topic to join; may be given several times
    #[arg(long)]
    topic: Vec<String>,
}

/// Options of `subscribe`.
#[derive(Args)]
pub(crate) struct Subscribe {
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    output: Output,
    /// Topic to join; may be given several times
    #[arg(long, required = true)]
    topic: Vec<String>,
}

#[derive(Args)]
struct Output {
    /// Print messages as JSON
    #[arg(long)]
    json: bool,
    /// Print nothing but messages
    #[arg(long, short)]
    quiet: bool,
    /// File that remembers what was received, for the next run
    #[arg(long)]
    state: Option<PathBuf>,
    /// End after so many messages
    #[arg(long)]
    count: Option<u64>,
}

impl Listen {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        follow(&self.identity, &self.output, &self.topic, |_| true).await
    }
}

impl Subscribe {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        follow(&self.identity, &self.output, &self.topic, |event| match event {
            Event::Message(message) => self.topic.contains(&message.topic),
            _ => true,
        })
        .await
    }
}

async fn follow(
    identity: &Identity,
    output: &Output,
    topics: &[String],
    wanted: impl Fn(&Event) -> bool,
) -> anyhow::Result<()> {
    let mut state = match &output.state {
        Some(path) => {
            let open = || format!("state file {} cannot be read", path.display());
            Some(StateFile::open(path).with_context(open)?)
        }
        None => None,
    };
    let positions =
        state.as_ref().map_or_else(Positions::default, |state| state.positions().clone());
    let mut client = identity.client(positions).await?;
    let printer = Printer { json: output.json, quiet: output.quiet };
    let mut left = output.count.unwrap_or(u64::MAX);
    while left > 0 {
        let event = tokio::select! {
            event = client.next() => event,
            result = tokio::signal::ctrl_c() => {
                result?;
                break;
            }
        };
        if let Some(state) = &mut state {
            state.store(client.positions()).context("state file cannot be written")?;
        }
        let Some(event) = event else { break };
        if wanted(&event) {
            printer.print(&event)?;
            left -= u64::from(matches!(event, Event::Message(_)));
        }
        react(identity, &client, &event, topics).await?;
    }
    let positions = client.close().await;
    if let Some(state) = &mut state {
        state.store(positions).context("state file cannot be written")?;
    }
    Ok(())
}

async fn react(
    identity: &Identity,
    client: &Client,
    event: &Event,
    topics: &[String],
) -> anyhow::Result<()> {
    match event {
        // Those joined before are joined again by the client itself.
        Event::Online { .. } => {
            let joined = client.positions().topics;
            for topic in topics.iter().filter(|topic| !joined.contains_key(*topic)) {
                join(client, topic);
            }
        }
        Event::TokenNeeded { reason } => match identity.fetch_token().await? {
            Some((token, _)) => client.set_token(token),
            None => bail!(
                "the token is not accepted ({reason}); give --token, or --password for a new one"
            ),
        },
        Event::Ended(End::Closed) => {}
        Event::Ended(end) => bail!("{end}"),
        _ => {}
    }
    Ok(())
}

/// In the background: the answer may come after messages that have to be taken first.
fn join(client: &Client, topic: &str) {
    let (sender, topic) = (client.sender(), topic.to_owned());
    tokio::spawn(async move {
        match sender.join(&topic, None).await {
            // Offline: joined with the next connection.
            Ok(_) | Err(Error::Unanswered | Error::Offline | Error::Ended(_)) => {}
            Err(error) => eprintln!("topic {topic} cannot be joined: {error}"),
        }
    });
}
