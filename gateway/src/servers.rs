//! The listeners of the tokio side: logic by gRPC, operators by HTTP.

use crate::admin::Admin;
use crate::link::LinkService;
use gpusher_proto::gateway::gateway_server::GatewayServer;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use tokio_stream::wrappers::TcpListenerStream;

/// A logic that has gone without a word is noticed within twice this time.
const LOGIC_PING: Duration = Duration::from_secs(5);

/// A listener whose port is known, to be served later.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// Takes the port; nobody is answered yet.
pub(crate) fn bind(address: SocketAddr) -> io::Result<Bound> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok(Bound { listener, address })
}

/// Answers logics until the task is aborted.
pub(crate) async fn serve_logic(bound: Bound, service: GatewayServer<LinkService>) {
    let served = async {
        let listener = tokio::net::TcpListener::from_std(bound.listener)?;
        tonic::transport::Server::builder()
            .tcp_nodelay(true)
            .http2_keepalive_interval(Some(LOGIC_PING))
            .http2_keepalive_timeout(Some(LOGIC_PING))
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await
            .map_err(io::Error::other)
    };
    if let Err(error) = served.await {
        tracing::error!(%error, "the listener for logic failed");
    }
}

/// Answers operators until the task is aborted.
pub(crate) async fn serve_operators(bound: Bound, admin: Admin) {
    let served = async {
        let listener = tokio::net::TcpListener::from_std(bound.listener)?;
        axum::serve(listener, admin.router()).await
    };
    if let Err(error) = served.await {
        tracing::error!(%error, "the listener for operators failed");
    }
}
