//! Starts `gpusher-control dev` as a user would, and talks to it from outside: HTTP, and raw bytes on the client port.

pub(crate) mod forerunner;
mod metrics;
pub(crate) mod version1;

use gpusher_testbed::free_port;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before a test calls it lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running system in development mode, on ports of its own.
pub(crate) struct System {
    child: Child,
    data: PathBuf,
    environment: Vec<(String, String)>,
    ports: Ports,
    http: reqwest::Client,
}

#[derive(Clone, Copy)]
struct Ports {
    clients: u16,
    web: u16,
    admin: u16,
}

impl System {
    /// Starts on fresh data in `data`, and waits until it is ready.
    pub(crate) async fn start(data: &Path) -> Self {
        Self::start_with(data, &[]).await
    }

    /// As `start`, with further environment variables.
    pub(crate) async fn start_with(data: &Path, environment: &[(&str, &str)]) -> Self {
        let ports = Ports { clients: free_port(), web: free_port(), admin: free_port() };
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let environment: Vec<_> = environment.iter().map(owned).collect();
        let child = spawn(data, ports, &environment);
        let http = reqwest::Client::new();
        let mut system = Self { child, data: data.to_owned(), environment, ports, http };
        system.wait_ready().await;
        system
    }

    /// Kills it with SIGKILL and starts it again on the same data and ports.
    pub(crate) async fn crash_and_restart(&mut self) {
        self.kill();
        self.restart().await;
    }

    /// Starts it again on the same data and ports, after it ended.
    pub(crate) async fn restart(&mut self) {
        self.child = spawn(&self.data, self.ports, &self.environment);
        self.wait_ready().await;
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the child is ours");
        self.child.wait().expect("it ends");
    }

    async fn wait_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(answer) = self.http.get(self.url("/readyz")).send().await
                && answer.status().is_success()
            {
                return;
            }
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                panic!("gpusher-control ended early: {status}");
            }
            assert!(Instant::now() < deadline, "not ready within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where clients connect.
    pub(crate) fn clients(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.clients))
    }

    /// A URL of the web role.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.web)
    }

    /// Pushes; returns the message id.
    pub(crate) async fn push(&self, body: Value) -> String {
        let request = json!({"tag": "app_gpusher", "body": body});
        let answer = self.post("/v1/push", &request).await;
        assert_eq!(answer["Code"], 1, "{answer}");
        answer["Data"]["id"].as_str().expect("an id").to_owned()
    }

    /// Pushes; returns whatever web answers.
    pub(crate) async fn try_push(&self, body: Value) -> reqwest::Response {
        let request = json!({"tag": "app_gpusher", "body": body});
        self.http.post(self.url("/v1/push")).json(&request).send().await.expect("web answers")
    }

    /// The gateway's metrics as text.
    pub(crate) async fn gateway_metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.ports.admin);
        let answer = self.http.get(url).send().await.expect("the gateway's admin answers");
        answer.text().await.expect("text")
    }

    /// POSTs JSON, returns JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.http.post(self.url(path)).json(body).send().await.expect("web answers");
        answer.json().await.expect("web speaks JSON")
    }

    /// GETs JSON.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(self.url(path)).send().await.expect("web answers");
        answer.json().await.expect("web speaks JSON")
    }

    /// DELETEs, returns JSON.
    pub(crate) async fn delete(&self, path: &str) -> Value {
        let answer = self.http.delete(self.url(path)).send().await.expect("web answers");
        answer.json().await.expect("web speaks JSON")
    }

    /// Waits until the answer to a GET satisfies the condition; returns it.
    pub(crate) async fn get_until(&self, path: &str, good: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path).await;
            if good(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "never came true: {path} {answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(data: &Path, ports: Ports, environment: &[(String, String)]) -> Child {
    let at = |port: u16| format!("127.0.0.1:{port}");
    Command::new(env!("CARGO_BIN_EXE_gpusher-control"))
        .arg("dev")
        .arg("--data")
        .arg(data)
        .env("GPUSHER_CONTROL__WEB__LISTEN", at(ports.web))
        .env("GPUSHER_CONTROL__GATEWAY__LISTEN", at(ports.clients))
        .env("GPUSHER_CONTROL__GATEWAY__ADMIN_LISTEN", at(ports.admin))
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("gpusher-control starts")
}
