//! A web role on a port of its own, and a client for it.

use crate::fakes::{FakeCredentials, FakeQueue, FakeRoutes, FakeStore};
use gpusher_control::message_id::MessageIds;
use gpusher_control::web::{Config, Parts, Serving};
use gpusher_proto::data::{App, Push, job};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) const KEY: &str = "key-of-the-tests";

pub(crate) struct Server {
    pub(crate) store: Arc<FakeStore>,
    pub(crate) routes: Arc<FakeRoutes>,
    pub(crate) queue: Arc<FakeQueue>,
    pub(crate) stopping: CancellationToken,
    pub(crate) serving: tokio::task::JoinHandle<()>,
    pub(crate) addr: std::net::SocketAddr,
    client: reqwest::Client,
}

/// Status and envelope.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    /// Number of the error.
    pub(crate) fn code(&self) -> u64 {
        assert_eq!(self.body["Code"], 0, "an error was expected: {}", self.body);
        assert_eq!(self.body["Msg"], "error");
        self.body["Data"]["code"].as_u64().unwrap()
    }

    /// Data of a success.
    pub(crate) fn data(&self) -> &Value {
        assert_eq!(self.body["Code"], 1, "a success was expected: {}", self.body);
        assert_eq!(self.body["Msg"], "ok");
        &self.body["Data"]
    }
}

impl Server {
    /// With one app, in development mode.
    pub(crate) async fn start() -> Self {
        Self::start_with(Config { development: true, ..Config::default() }).await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (store, routes, queue) = (Arc::default(), Arc::default(), Arc::default());
        let stopping = CancellationToken::new();
        let app = App { id: 1000, tag: "app_gpusher".into(), ..App::default() };
        let parts = Parts {
            store: Arc::<FakeStore>::clone(&store),
            routes: Arc::<FakeRoutes>::clone(&routes),
            queue: Arc::<FakeQueue>::clone(&queue),
            ids: Arc::new(MessageIds::new(1)),
            credentials: Arc::new(FakeCredentials),
            registry: Arc::new(Mutex::new(Registry::default())),
            stopping: stopping.clone(),
        };
        store.apps.lock().push(app);
        let serving = tokio::spawn(Serving::new(config, parts).run(listener));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { store, routes, queue, stopping, serving, addr, client }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.addr))
    }

    pub(crate) async fn send(request: RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let type_ = headers["content-type"].to_str().unwrap();
        assert!(type_.starts_with("application/json"), "{type_}");
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"));
        Reply { status, headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        Self::send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        Self::send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        Self::send(self.request(Method::POST, path).json(&body)).await
    }

    /// Pushes in the queue.
    pub(crate) fn pushes(&self) -> Vec<Push> {
        let records = self.queue.records.lock();
        let kinds = records.iter().filter_map(|record| record.job.clone()?.kind);
        kinds
            .filter_map(|kind| if let job::Kind::Push(push) = kind { Some(push) } else { None })
            .collect()
    }
}
