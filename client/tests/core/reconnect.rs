//! When and where a client comes back, and when it does not.

use crate::scripted::{HEARTBEAT_MS, config, connected, frames, online, welcome};
use gpusher_client::core::{Action, Core};
use gpusher_client::{Code, Config, End, Event, Positions, Target};
use gpusher_proto::wire::Advice;
use gpusher_proto::wire::v1::{Close, GoAway, ServerFrame};

fn close(reason: Code, advice: Advice, delay_ms: u32, target: &str) -> Vec<u8> {
    let reason = reason.number();
    ServerFrame::Close(Close { reason, advice, delay_ms, target, text: "why" }).to_vec()
}

#[test]
fn the_delay_and_target_of_a_close_are_kept() {
    let mut core = online(0);
    core.on_bytes(&close(Code::Rebalance, Advice::Reconnect, 12_345, "other:2"), 1_000);
    let reason = "rebalance: why".to_owned();
    assert_eq!(core.poll_event(1_000), Some(Event::Offline { reason, retry_in_ms: 12_345 }));
    assert_eq!(core.poll_action(), Some(Action::Disconnect));
    assert_eq!(core.deadline(), Some(13_345));
    core.on_time(13_344);
    assert_eq!(core.poll_action(), None);
    core.on_time(13_345);
    assert_eq!(core.poll_action(), Some(Action::Connect("other:2".into())));
    // The other one does not answer: back to the known ones.
    core.on_disconnected("refused", 13_400);
    let again_ms = core.deadline().unwrap();
    assert!(again_ms <= 13_400 + config().reconnect_base_ms);
    core.on_time(again_ms);
    assert_eq!(core.poll_action(), Some(Action::Connect("gateway:1".into())));
}

#[test]
fn gateways_are_tried_in_turn_with_growing_waits() {
    let gateways = vec!["a:1".to_owned(), "b:1".to_owned()];
    let mut core = Core::new(Config { gateways, ..config() }, Positions::default(), 9);
    let (mut now_ms, mut tried, mut bound_ms) = (0, Vec::new(), 500);
    for _ in 0..6 {
        core.on_time(now_ms);
        let Some(Action::Connect(address)) = core.poll_action() else { panic!("no attempt") };
        tried.push(address);
        core.on_disconnected("refused", now_ms);
        let at_ms = core.deadline().unwrap();
        assert!(at_ms - now_ms <= bound_ms, "{} of {bound_ms}", at_ms - now_ms);
        (now_ms, bound_ms) = (at_ms, (bound_ms * 2).min(60_000));
    }
    assert_eq!(tried, ["a:1", "a:1", "b:1", "a:1", "b:1", "a:1"]);
}

#[test]
fn a_new_token_is_waited_for() {
    let mut core = connected(Positions::default(), 0);
    core.output().clear();
    core.on_bytes(&close(Code::TokenExpired, Advice::NewToken, 0, ""), 0);
    let reason = "token_expired: why".to_owned();
    assert_eq!(core.poll_event(0), Some(Event::TokenNeeded { reason }));
    assert_eq!(core.poll_action(), Some(Action::Disconnect));
    assert_eq!((core.deadline(), core.poll_action()), (None, None));
    core.set_token("fresh".into(), 5_000);
    core.on_time(5_000);
    assert!(matches!(core.poll_action(), Some(Action::Connect(_))));
    core.on_connected(5_000);
    assert!(frames(&mut core)[0].contains("token: \"fresh\""));
}

#[test]
fn who_is_not_wanted_stays_away() {
    let mut core = online(0);
    core.on_bytes(&close(Code::Replaced, Advice::GiveUp, 0, ""), 0);
    let end = End::Dismissed { code: Code::Replaced.number(), text: "why".into() };
    assert_eq!(core.poll_event(0), Some(Event::Ended(end.clone())));
    assert_eq!(core.poll_action(), Some(Action::Disconnect));
    assert_eq!((core.deadline(), core.end()), (None, Some(&end)));
    assert!(core.send(Target::User, "bob", b"x", 0).is_err());
}

#[test]
fn a_login_that_breaks_the_rules_is_not_sent() {
    let config = Config { user: "x".repeat(65), ..config() };
    let mut core = Core::new(config, Positions::default(), 1);
    core.on_time(0);
    core.poll_action();
    core.on_connected(0);
    assert!(core.output().is_empty());
    assert!(matches!(core.end(), Some(End::Unusable(_))));
}

#[test]
fn a_silent_server_is_left() {
    let mut core = online(0);
    let mut heartbeats = 0;
    let mut now_ms = 0;
    while core.is_online() {
        now_ms = core.deadline().unwrap();
        core.on_time(now_ms);
        heartbeats +=
            frames(&mut core).iter().filter(|frame| frame.starts_with("Heartbeat")).count();
    }
    assert_eq!((heartbeats, now_ms), (2, HEARTBEAT_MS * 5 / 2));
    assert_eq!(core.poll_action(), Some(Action::Disconnect));
}

#[test]
fn answers_to_heartbeats_keep_the_connection() {
    let mut core = online(0);
    for _ in 0..100 {
        let now_ms = core.deadline().unwrap();
        core.on_time(now_ms);
        if !frames(&mut core).is_empty() {
            core.on_bytes(&ServerFrame::Heartbeat.to_vec(), now_ms + 50);
        }
    }
    assert!(core.is_online());
}

#[test]
fn a_login_that_is_not_answered_is_given_up() {
    let mut core = connected(Positions::default(), 0);
    let until_ms = core.deadline().unwrap();
    core.on_time(until_ms);
    assert!(matches!(core.poll_event(until_ms), Some(Event::Offline { .. })));
    assert_eq!(core.poll_action(), Some(Action::Disconnect));
}

#[test]
fn go_away_is_followed_once_answers_are_in() {
    let mut core = online(0);
    let request = core.send(Target::User, "bob", b"x", 0).unwrap();
    frames(&mut core);
    let reason = Code::ShuttingDown.number();
    let go_away =
        GoAway { reason, close_in_ms: 10_000, reconnect_after_ms: 700, target: "other:2" };
    core.on_bytes(&ServerFrame::GoAway(go_away).to_vec(), 1_000);
    assert_eq!(frames(&mut core), [""; 0], "an answer is still to come");
    core.on_bytes(&ServerFrame::Answer { request, code: 0, value: 9 }.to_vec(), 2_000);
    assert_eq!(frames(&mut core), ["Bye"]);
    // The server takes the good-bye and closes.
    core.on_disconnected("closed", 2_100);
    assert_eq!(core.deadline(), Some(2_800));
    core.on_time(2_800);
    assert_eq!(core.poll_action(), Some(Action::Connect("other:2".into())));
}

#[test]
fn go_away_does_not_wait_for_ever() {
    let mut core = online(0);
    core.send(Target::User, "bob", b"x", 0).unwrap();
    frames(&mut core);
    let reason = Code::ShuttingDown.number();
    let go_away = GoAway { reason, close_in_ms: 4_000, reconnect_after_ms: 0, target: "" };
    core.on_bytes(&ServerFrame::GoAway(go_away).to_vec(), 1_000);
    core.on_time(3_000);
    assert_eq!(frames(&mut core), ["Bye"]);
    // A server that does not close is left.
    core.on_time(4_000);
    assert_eq!(core.poll_action(), Some(Action::Disconnect));
}

#[test]
fn nonsense_ends_the_connection_only() {
    for nonsense in [
        &b"HTTP/1.1 400"[..],
        &[0x45, 1, 0x82, 0, 0, 0, 0, 0],
        &[0x45, 0],
        &[0x45, 1, 0x82, 0, 0xff, 0, 0, 0],
    ] {
        let mut core = online(0);
        let mut bytes = nonsense.to_vec();
        bytes.resize(bytes.len().max(21), 0);
        core.on_bytes(&bytes, 0);
        assert!(matches!(core.poll_event(0), Some(Event::Offline { .. })), "{nonsense:?}");
        assert_eq!(core.poll_action(), Some(Action::Disconnect));
        assert!(core.deadline().is_some());
    }
}

#[test]
fn frames_of_the_future_are_ignored() {
    let mut core = online(0);
    core.on_bytes(&ServerFrame::Unknown { frame_type: 0xf0 }.to_vec(), 0);
    assert!(core.is_online() && core.poll_event(0).is_none());
}

#[test]
fn closing_says_goodbye() {
    let mut core = online(0);
    core.close(0);
    assert_eq!(frames(&mut core), ["Bye"]);
    core.on_disconnected("closed", 10);
    assert_eq!(core.poll_event(10), Some(Event::Ended(End::Closed)));
    let mut waiting = Core::new(config(), Positions::default(), 1);
    waiting.close(0);
    assert_eq!(waiting.end(), Some(&End::Closed));
}

#[test]
fn a_good_connection_makes_the_next_wait_short_again() {
    let mut core = Core::new(config(), Positions::default(), 3);
    let mut now_ms = 0;
    for _ in 0..10 {
        core.on_time(now_ms);
        core.poll_action();
        core.on_disconnected("refused", now_ms);
        now_ms = core.deadline().unwrap();
    }
    core.on_time(now_ms);
    core.poll_action();
    core.on_connected(now_ms);
    core.output().clear();
    welcome(&mut core, 7, &[], now_ms);
    core.on_time(now_ms + 10_000);
    core.on_disconnected("cut", now_ms + 10_001);
    assert!(core.deadline().unwrap() <= now_ms + 10_001 + config().reconnect_base_ms);
}
