//! A gateway, a scripted logic, and clients that speak bytes.

mod client;
mod logic;

pub(crate) use client::{Client, as_v0, as_v1, login_v0, send_login_v0, send_login_v1};
pub(crate) use logic::{Logic, Way, kept, live, to};

use gpusher_gateway::config::Io;
use gpusher_gateway::{Gateway, RuntimeConfig};
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The app that logic knows.
pub(crate) const APP: u32 = 1000;
/// Its tag.
pub(crate) const TAG: &str = "app_gpusher";

/// Long enough for a loaded machine; whoever waits longer waits for nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes a test of a function for each driver.
macro_rules! on_both_drivers {
    ($test:ident) => {
        #[tokio::test]
        async fn uring() {
            crate::support::in_time($test(gpusher_gateway::config::Io::Uring)).await;
        }

        #[tokio::test]
        async fn epoll() {
            crate::support::in_time($test(gpusher_gateway::config::Io::Epoll)).await;
        }
    };
}

/// Makes a test of a function for each driver and each way for logic to attach.
macro_rules! on_both_drivers_both_ways {
    ($test:ident) => {
        #[tokio::test]
        async fn uring_in_process() {
            let way = crate::support::Way::InProcess;
            crate::support::in_time($test(gpusher_gateway::config::Io::Uring, way)).await;
        }

        #[tokio::test]
        async fn uring_by_grpc() {
            let way = crate::support::Way::Grpc;
            crate::support::in_time($test(gpusher_gateway::config::Io::Uring, way)).await;
        }

        #[tokio::test]
        async fn epoll_in_process() {
            let way = crate::support::Way::InProcess;
            crate::support::in_time($test(gpusher_gateway::config::Io::Epoll, way)).await;
        }

        #[tokio::test]
        async fn epoll_by_grpc() {
            let way = crate::support::Way::Grpc;
            crate::support::in_time($test(gpusher_gateway::config::Io::Epoll, way)).await;
        }
    };
}
pub(crate) use {on_both_drivers, on_both_drivers_both_ways};

/// Fails what does not end.
pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("took too long")
}

/// A gateway with two shards, all its listeners on ports of the kernel's choice.
pub(crate) fn gateway(io: Io, change: impl FnOnce(&mut RuntimeConfig)) -> Gateway {
    let anywhere = "127.0.0.1:0".parse().expect("an address");
    let mut config = RuntimeConfig::embedded();
    config.id = 3;
    config.io = io;
    config.shards = Some(2);
    config.connections_max = Some(1_000);
    config.rpc_listen = Some(anywhere);
    config.admin_listen = Some(anywhere);
    config.deadlines.stop_grace = Duration::from_millis(200);
    change(&mut config);
    let started = Gateway::start(config, &tokio::runtime::Handle::current());
    started.unwrap_or_else(|error| panic!("the gateway does not start: {error}"))
}

/// A page of the admin listener: status and body.
pub(crate) async fn page(gateway: &Gateway, path: &str) -> (u16, String) {
    let address = gateway.admin_addr().expect("there is an admin listener");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it accepts");
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// Looks until it is so.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
