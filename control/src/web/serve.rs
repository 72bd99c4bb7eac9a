//! HTTP connections: a bounded number, each with a deadline for its next request.

use super::{Serving, Web};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// When the process is out of descriptors, accepting again at once would only burn CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Serving {
    /// Serves until the parts' token is cancelled; requests under way are finished, within the time a request may take.
    pub async fn run(self, listener: TcpListener) {
        let Self { web, router } = self;
        let places = Arc::new(Semaphore::new(web.config.connections_max));
        let tasks = TaskTracker::new();
        let stopping = web.stopping.clone();
        let accepting = async {
            loop {
                // Never closed, so there always is a place some day.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let stream = accept(&listener).await;
                let (web, router) = (Arc::clone(&web), router.clone());
                tasks.spawn(async move {
                    web.metrics.connections.inc();
                    connection(&web, router, stream).await;
                    web.metrics.connections.dec();
                    drop(place);
                });
            }
        };
        stopping.run_until_cancelled(accepting).await;
        tasks.close();
        if tokio::time::timeout(web.config.request_timeout, tasks.wait()).await.is_err() {
            tracing::warn!(connections = tasks.len(), "requests under way are abandoned");
        }
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(web: &Web, router: Router, stream: TcpStream) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = TowerToHyperService::new(router);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(web.config.head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .pipeline_flush(true);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = web.stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}
