//! Each server starts, is killed and starts again on the same port; what it wrote to disk is still there. Its folder goes with it.

use gpusher_testbed::{Etcd, Kafka, MariaDb, Postgres, Redis, RedisCluster, RedisSentinel};
use std::net::TcpStream;

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn port_of(address: &str) -> u16 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn postgres() {
    let server = Postgres::start();
    server.execute("CREATE TABLE kept (id INT)");
    server.kill();
    assert!(!answers(server.port()));
    server.start_again();
    server.execute("INSERT INTO kept VALUES (1)");
}

#[test]
fn mariadb() {
    let server = MariaDb::start();
    server.execute("CREATE DATABASE kept");
    server.kill();
    assert!(!answers(server.port()));
    server.start_again();
    server.execute("CREATE TABLE kept.kept (id INT)");
}

#[test]
fn redis() {
    let server = Redis::start();
    server.kill();
    assert!(!answers(server.port()));
    server.start_again();
    assert!(answers(server.port()));
}

#[test]
fn redis_cluster() {
    let cluster = RedisCluster::start();
    assert!(cluster.nodes().iter().all(|node| answers(port_of(node))));
}

#[test]
fn redis_sentinel() {
    let watched = RedisSentinel::start();
    watched.kill_master();
    assert!(answers(port_of(&watched.sentinel())));
}

#[test]
fn etcd() {
    let server = Etcd::start();
    server.kill();
    server.start_again();
    assert!(answers(port_of(&server.address())));
}

#[test]
fn kafka() {
    let server = Kafka::start();
    server.kill();
    server.start_again();
    assert!(answers(port_of(&server.broker())));
    let pid = server.pid().unwrap();
    drop(server);
    assert!(!std::path::Path::new(&format!("/proc/{pid}/cmdline")).exists());
}
