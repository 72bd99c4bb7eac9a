//! Who connects, and where: the same for all commands that connect.

use crate::http;
use clap::Args;
use gpusher_client::{Config, Positions};

/// Who and where.
#[derive(Args)]
pub(crate) struct Identity {
    /// The user to be
    #[arg(long)]
    pub(crate) user: String,
    /// Number of the app
    #[arg(long, default_value_t = 1000)]
    app: u32,
    /// Name of this device; the server remembers what it has received
    #[arg(long, default_value = "")]
    pub(crate) device: String,
    /// Gateway as host:port; several are tried in turn. Without a password, 127.0.0.1:8881; with one, what the web role names
    #[arg(long)]
    gateway: Vec<String>,
    /// Token to log in with; development servers take any
    #[arg(long, env = "GPUSHER_TOKEN", conflicts_with = "password")]
    token: Option<String>,
    /// Name of the account, if it is not the user
    #[arg(long, requires = "password")]
    username: Option<String>,
    /// Password of the account: the token comes from the web role
    #[arg(long, env = "GPUSHER_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Web role, for tokens
    #[arg(long, env = "GPUSHER_WEB", default_value = http::WEB)]
    web: String,
}

impl Identity {
    /// The client's configuration, with a token if there is a password to get one with.
    pub(crate) async fn config(&self) -> anyhow::Result<Config> {
        let mut config = Config::new("127.0.0.1:8881", self.app, &self.user);
        config.device.clone_from(&self.device);
        if let Some(token) = &self.token {
            config.token.clone_from(token);
        }
        if let Some((token, gateways)) = self.fetch_token().await? {
            config.token = token;
            config.gateways = gateways;
        }
        if !self.gateway.is_empty() {
            config.gateways.clone_from(&self.gateway);
        }
        Ok(config)
    }

    /// Another token, if there is a way to get one.
    pub(crate) async fn fetch_token(&self) -> anyhow::Result<Option<(String, Vec<String>)>> {
        let Some(password) = &self.password else { return Ok(None) };
        let username = self.username.as_deref().unwrap_or(&self.user);
        http::token(&self.web, &self.user, username, password).await.map(Some)
    }

    /// Connects.
    pub(crate) async fn client(
        &self,
        positions: Positions,
    ) -> anyhow::Result<gpusher_client::Client> {
        Ok(gpusher_client::Client::start(self.config().await?, positions))
    }
}
