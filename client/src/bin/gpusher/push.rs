//! `gpusher push`: what `curl` does, with less to type.

use crate::http;
use clap::Args;
use serde_json::json;

/// Options of `push`.
#[derive(Args)]
pub(crate) struct Push {
    #[command(flatten)]
    to: To,
    /// Tag of the app
    #[arg(long, default_value = "app_gpusher")]
    tag: String,
    /// Keep it for who is away
    #[arg(long)]
    offline: bool,
    /// Seconds until it expires; 0: never
    #[arg(long, default_value_t = 0)]
    expire: u32,
    /// API key; development servers ask for none
    #[arg(long, env = "GPUSHER_API_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Web role
    #[arg(long, env = "GPUSHER_WEB", default_value = http::WEB)]
    web: String,
    /// The message
    text: String,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct To {
    /// To users; may be given several times
    #[arg(long)]
    user: Vec<String>,
    /// To who has joined a topic
    #[arg(long)]
    topic: Option<String>,
    /// To every user of the app
    #[arg(long)]
    app: bool,
    /// To every user of every app
    #[arg(long)]
    everyone: bool,
}

impl Push {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut body = json!({
            "content": self.text, "expireTime": self.expire, "offlinePush": self.offline,
        });
        match &self.to {
            To { topic: Some(topic), .. } => {
                body["type"] = 4.into();
                body["topic"] = topic.as_str().into();
            }
            To { app: true, .. } => body["type"] = 2.into(),
            To { everyone: true, .. } => body["type"] = 3.into(),
            To { user, .. } if user.len() == 1 => {
                body["type"] = 1.into();
                body["uuid"] = user[0].as_str().into();
            }
            To { user, .. } => {
                body["type"] = 5.into();
                body["uuids"] = json!(user);
            }
        }
        let push = json!({"tag": self.tag, "body": body});
        let data = http::post(&self.web, "/v1/push", self.key.as_deref(), &push).await?;
        println!("{}", data["id"].as_str().unwrap_or_default());
        Ok(())
    }
}
