//! Set-up: development mode on either driver, one well-behaved client, and many that are not. What must hold: each of them loses its
//! connection, for a reason that is counted; the well-behaved one notices nothing.

use crate::support::forerunner::{Client, HEARTBEAT, frame, login};
use crate::support::{System, version1};
use serde_json::json;

/// Raw bytes, and the reason under which their sender's end is counted.
fn bad_inputs() -> Vec<(Vec<u8>, &'static str)> {
    let mut absurd = frame(HEARTBEAT, 0, 1, b"");
    absurd[13..17].copy_from_slice(&u32::MAX.to_be_bytes());
    let mut large_login = frame(HEARTBEAT, 0, 1, b"");
    large_login[13..17].copy_from_slice(&9_000u32.to_be_bytes());
    let mut unknown_type = frame(HEARTBEAT, 0, 1, b"");
    unknown_type[2] = 99;
    let mut unknown_flag = version1::login("eve", "", (0, &[]));
    unknown_flag[3] = 0x80;
    vec![
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "bad_magic"),
        (vec![0x45, 7, 1, 0, 0, 0, 0, 0], "bad_version"),
        (absurd, "too_large"),
        (large_login, "too_large"),
        (unknown_type, "malformed"),
        (unknown_flag, "malformed"),
        (frame(HEARTBEAT, 0, 1, b"{not json"), "malformed"),
        (version1::frame(version1::HEARTBEAT, 0, b""), "unexpected_frame"),
    ]
}

async fn each_loses_its_connection(io: &str) {
    let data = tempfile::tempdir().unwrap();
    let environment = [("GPUSHER_CONTROL__GATEWAY__IO", io)];
    let system = System::start_with(data.path(), &environment).await;
    let mut good = Client::login(system.clients(), "good").await;
    for (bytes, reason) in bad_inputs() {
        let before = system.closed(reason).await;
        let mut bad = Client::connect(system.clients()).await;
        bad.write(&bytes).await;
        bad.expect_end().await;
        system.closed_at_least(reason, before + 1).await;
        good.expect_nothing_more().await;
    }
    system.push(json!({"type": 1, "uuid": "good", "content": "unharmed"})).await;
    assert_eq!(good.contents(1).await, ["unharmed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_io_uring() {
    each_loses_its_connection("uring").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_epoll() {
    each_loses_its_connection("epoll").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_half_frames_meet_the_login_deadline() {
    let data = tempfile::tempdir().unwrap();
    let environment = [("GPUSHER_CONTROL__GATEWAY__DEADLINES__LOGIN_MS", "500")];
    let system = System::start_with(data.path(), &environment).await;
    let mut silent = Client::connect(system.clients()).await;
    let mut half = Client::connect(system.clients()).await;
    let bytes = login("half", "app_gpusher");
    half.write(&bytes[..bytes.len() / 2]).await;
    silent.expect_end().await;
    half.expect_end().await;
    system.closed_at_least("login_deadline", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_end() {
    let data = tempfile::tempdir().unwrap();
    let environment = [
        ("GPUSHER_CONTROL__GATEWAY__DEADLINES__IDLE_MS", "3000"),
        ("GPUSHER_CONTROL__GATEWAY__DEADLINES__HEARTBEAT_MS", "1000"),
    ];
    let system = System::start_with(data.path(), &environment).await;
    let mut idle = Client::login(system.clients(), "idle").await;
    idle.expect_end().await;
    system.closed_at_least("idle_timeout", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_of_frames_is_cut_off() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    let mut good = Client::login(system.clients(), "good").await;
    let mut flood = Client::login(system.clients(), "flood").await;
    let mut bytes = Vec::new();
    for stream in 0..5_000 {
        bytes.extend(frame(HEARTBEAT, 0, stream, b""));
    }
    flood.write_all_or_end(&bytes).await;
    flood.expect_end().await;
    system.closed_at_least("rate_limited", 1).await;
    good.expect_nothing_more().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_of_logins_leaves_the_others_alone() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    let mut good = Client::login(system.clients(), "good").await;
    let mut crowd = Vec::new();
    for number in 0..500 {
        let mut client = Client::connect(system.clients()).await;
        client.write(&login(&format!("flood{number}"), "no_such_topic")).await;
        crowd.push(client);
        if number % 100 == 0 {
            good.expect_nothing_more().await;
        }
    }
    drop(crowd);
    system.push(json!({"type": 1, "uuid": "good", "content": "unharmed"})).await;
    assert_eq!(good.contents(1).await, ["unharmed"]);
}
