//! With `link.secret` set, a logic that does not present it gets no stream, one that does gets one.

use crate::support::*;
use gpusher_gateway::config::Io;
use gpusher_proto::gateway::ToGateway;
use gpusher_proto::gateway::gateway_client::GatewayClient;
use tonic::{Code, Request};

const SECRET: &str = "0123456789abcdef";

#[tokio::test]
async fn only_who_knows_it_attaches() {
    let gateway = gateway(Io::Epoll, |config| config.link.secret = Some(SECRET.into()));
    let address = gateway.rpc_addr().expect("a gRPC listener");
    let mut client = GatewayClient::connect(format!("http://{address}")).await.expect("it answers");
    for wrong in [None, Some("Bearer 0123456789abcdeX"), Some(SECRET)] {
        let mut call = Request::new(tokio_stream::iter(Vec::<ToGateway>::new()));
        if let Some(value) = wrong {
            call.metadata_mut().insert("authorization", value.parse().expect("ASCII"));
        }
        let refused = client.link(call).await.expect_err("a wrong secret");
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(refused.message().contains("link.secret"), "{refused}");
    }
    let mut call = Request::new(tokio_stream::pending::<ToGateway>());
    let value = format!("Bearer {SECRET}").parse().expect("ASCII");
    call.metadata_mut().insert("authorization", value);
    let mut stream = in_time(client.link(call)).await.expect("the right secret").into_inner();
    let stopped = tokio::spawn(gateway.shutdown());
    let end = in_time(stream.message()).await.expect_err("the gateway goes");
    assert_eq!(end.code(), Code::Unavailable);
    in_time(stopped).await.expect("a clean end");
}
