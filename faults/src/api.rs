//! The product's HTTP interface, as an application uses it.

use anyhow::{Context, Result, bail};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than the server's own limit, which answers 503.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A caller of one web process.
#[derive(Debug, Clone)]
pub struct Api {
    client: reqwest::Client,
    base: String,
    key: String,
}

/// An accepted push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Message id.
    pub id: u64,
    /// Unix milliseconds.
    pub expires_at_ms: Option<u64>,
}

/// Where a push stands for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Of the push.
    pub state: String,
    /// Devices that acknowledged it.
    pub acked: u64,
    /// Of the user.
    pub user: String,
}

/// A row of the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// To go on after.
    pub position: String,
    /// Message id.
    pub id: u64,
    /// Whose.
    pub user: String,
    /// On which device.
    pub device: String,
}

impl Api {
    /// Nothing is connected yet.
    pub fn new(base: &str, key: &str) -> Self {
        let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build();
        let client = client.expect("a client without TLS needs nothing of the system");
        Self { client, base: base.to_owned(), key: key.to_owned() }
    }

    /// Pushes; the same key and body are accepted once by one web process.
    ///
    /// # Errors
    /// Without the answer that it was accepted: it may have been.
    pub async fn push(&self, body: &Value, idempotency_key: &str) -> Result<Accepted> {
        let request = self.request(Method::POST, "/v1/push").json(body);
        let response = request.header("Idempotency-Key", idempotency_key).send().await?;
        accepted(&data(response).await?)
    }

    /// Pushes several at once, all of which have to be accepted.
    ///
    /// # Errors
    /// Without the answer that they were: they may have been.
    pub async fn push_batch(
        &self,
        bodies: &[Value],
        idempotency_key: &str,
    ) -> Result<Vec<Accepted>> {
        let request = self.request(Method::POST, "/v1/push/batch").json(bodies);
        let response = request.header("Idempotency-Key", idempotency_key).send().await?;
        let data = data(response).await?;
        data["results"].as_array().context("a batch has results")?.iter().map(accepted).collect()
    }

    /// Takes a push back; false: no such push is known any more.
    ///
    /// # Errors
    /// Without an answer: it may be taken back.
    pub async fn recall(&self, id: u64) -> Result<bool> {
        let response = self.request(Method::DELETE, &format!("/v1/push/{id}")).send().await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        data(response).await.map(|_| true)
    }

    /// Where a push stands for a user; none: no such push is known any more.
    ///
    /// # Errors
    /// Without an answer.
    pub async fn standing(&self, id: u64, user: &str) -> Result<Option<Standing>> {
        let path = format!("/v1/push/{id}?uuid={user}");
        let response = self.request(Method::GET, &path).send().await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let data = data(response).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Some(Standing {
            state: text(&data["state"]),
            acked: data["counters"]["acked"].as_u64().unwrap_or_default(),
            user: text(&data["user"]["state"]),
        }))
    }

    /// Pushes of an app that were given up, after a position.
    ///
    /// # Errors
    /// Without an answer.
    pub async fn dead_letters(&self, app: &str, after: &str) -> Result<Vec<Letter>> {
        let path = format!("/v1/dead-letters?app={app}&after={after}&limit=1000");
        let data = data(self.request(Method::GET, &path).send().await?).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rows = data.as_array().context("dead letters are a list")?;
        let letter = |row: &Value| {
            let (user, device) = (text(&row["uuid"]), text(&row["device"]));
            Ok(Letter { position: text(&row["position"]), id: number(&row["id"])?, user, device })
        };
        rows.iter().map(letter).collect()
    }

    /// Adds an app, or finds that it is there.
    ///
    /// # Errors
    /// Without an answer.
    pub async fn create_app(&self, tag: &str, id: u32) -> Result<()> {
        let body = json!({"tag": tag, "name": tag, "id": id});
        let response = self.request(Method::POST, "/v1/apps").json(&body).send().await?;
        if response.status() == StatusCode::CONFLICT {
            return Ok(());
        }
        data(response).await.map(drop)
    }

    /// Pushes that are accepted and not routed.
    ///
    /// # Errors
    /// Without an answer.
    pub async fn queue_depth(&self) -> Result<u64> {
        let data = data(self.request(Method::GET, "/v1/system").send().await?).await?;
        data["queueDepth"].as_u64().context("the system tells the queue's depth")
    }

    /// Whether all that it depends on answers.
    pub async fn is_ready(&self) -> bool {
        let answer = self.request(Method::GET, "/readyz").send().await;
        answer.is_ok_and(|response| response.status().is_success())
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key)
    }
}

fn accepted(answer: &Value) -> Result<Accepted> {
    Ok(Accepted { id: number(&answer["id"])?, expires_at_ms: answer["expiresAt"].as_u64() })
}

async fn data(response: Response) -> Result<Value> {
    let status = response.status();
    let text = response.text().await?;
    if !status.is_success() {
        bail!("{status}: {text}");
    }
    let mut body: Value = serde_json::from_str(&text)?;
    Ok(body["Data"].take())
}

/// Numbers of 64 bits come as text.
fn number(value: &Value) -> Result<u64> {
    let text = value.as_str().context("a number in decimal digits")?;
    text.parse().with_context(|| format!("{text} is not a number"))
}
