//! The web role's API, as far as this program uses it.

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::{Value, json};

/// Where the development server is.
pub(crate) const WEB: &str = "http://127.0.0.1:7030";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    code: u8,
    data: Value,
}

/// A token for a user, and the gateways to use.
pub(crate) async fn token(
    web: &str,
    uuid: &str,
    username: &str,
    password: &str,
) -> anyhow::Result<(String, Vec<String>)> {
    #[derive(Deserialize)]
    struct Answer {
        token: String,
        gateways: Vec<String>,
    }
    let body = json!({"uuid": uuid, "username": username, "password": password});
    let data = post(web, "/v1/token", None, &body).await?;
    let answer: Answer = serde_json::from_value(data).context("no token in the answer")?;
    Ok((answer.token, answer.gateways))
}

/// Posts JSON and returns the data of the envelope.
pub(crate) async fn post(
    web: &str,
    path: &str,
    key: Option<&str>,
    body: &Value,
) -> anyhow::Result<Value> {
    let url = format!("{}{path}", web.trim_end_matches('/'));
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut request = client.post(&url).json(body);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let response = request.send().await.with_context(|| format!("{url} does not answer"))?;
    let status = response.status();
    let text = response.text().await?;
    let Ok(Envelope { code, data }) = serde_json::from_str(&text) else {
        bail!("{url} answers {status} and no envelope: is this the web role?");
    };
    if code != 1 {
        bail!(
            "{url} answers {status}: {} (code {})",
            data["msg"].as_str().unwrap_or("?"),
            data["code"]
        );
    }
    Ok(data)
}
