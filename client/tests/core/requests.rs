//! Sending, joining and leaving.

use crate::scripted::{connected, frames, messages, online, push, welcome};
use gpusher_client::core::{Core, Outcome};
use gpusher_client::{ChannelKind, Code, Error, Event, Positions, Target, Topic};
use gpusher_proto::wire::v1::ServerFrame;

fn answer(core: &mut Core, request: u64, code: Code, value: u64) {
    core.on_bytes(&ServerFrame::Answer { request, code: code.number(), value }.to_vec(), 0);
}

fn cut_and_return(core: &mut Core) {
    core.on_disconnected("cut", 0);
    core.poll_action();
    let now_ms = core.deadline().unwrap();
    core.on_time(now_ms);
    core.poll_action();
    core.on_connected(now_ms);
    frames(core);
    welcome(core, 7, &[], now_ms);
}

#[test]
fn answers_find_their_requests() {
    let mut core = online(0);
    let one = core.send(Target::User, "bob", b"hi", 0).unwrap();
    let two = core.send(Target::Application, "", b"", 0).unwrap();
    assert_ne!(one, two);
    assert_eq!(frames(&mut core).len(), 2);
    answer(&mut core, two, Code::Done, 77);
    answer(&mut core, one, Code::NoSuchTarget, 0);
    answer(&mut core, one, Code::Done, 1);
    answer(&mut core, 12_345, Code::Done, 1);
    assert_eq!(core.poll_answer(), Some((two, Outcome::Done(77))));
    assert_eq!(core.poll_answer(), Some((one, Outcome::Refused(404))));
    assert_eq!(core.poll_answer(), None);
}

#[test]
fn what_cannot_be_sent_is_refused_at_once() {
    let mut core = connected(Positions::default(), 0);
    assert_eq!(core.send(Target::User, "bob", b"x", 0), Err(Error::Offline));
    let mut core = online(0);
    assert!(matches!(core.send(Target::User, "", b"x", 0), Err(Error::Invalid(_))));
    assert!(matches!(core.join(&"x".repeat(65), None, 0), Err(Error::Invalid(_))));
    assert_eq!(frames(&mut core), [""; 0]);
    let taken = (0..).take_while(|_| core.send(Target::User, "bob", b"x", 0).is_ok()).count();
    assert_eq!(taken, 1_024);
    assert_eq!(core.send(Target::User, "bob", b"x", 0), Err(Error::TooMany));
}

#[test]
fn a_cut_leaves_requests_unanswered_and_topics_joined() {
    let mut core = online(0);
    let joined = core.join("news", None, 0).unwrap();
    answer(&mut core, joined, Code::Done, 40);
    core.on_bytes(&push(ChannelKind::Topic, 41, 1, true), 0);
    core.on_bytes(&push(ChannelKind::Topic, 42, 2, false), 0);
    assert_eq!(messages(&mut core, 0), [1, 2]);
    let sent = core.send(Target::User, "bob", b"x", 0).unwrap();
    let joining = core.join("other", None, 0).unwrap();
    core.poll_answer();
    cut_and_return(&mut core);
    assert_eq!(core.poll_answer(), Some((sent, Outcome::Unanswered)));
    assert_eq!(core.poll_answer(), Some((joining, Outcome::Unanswered)));
    let frames = frames(&mut core);
    assert_eq!(frames.len(), 1, "{frames:?}");
    assert!(frames[0].contains("topic: \"news\", since: Some(41)"), "{frames:?}");
    // The core's own request is nobody's answer.
    answer(&mut core, joining + 1, Code::Done, 50);
    assert_eq!(core.poll_answer(), None);
    assert_eq!(core.positions().topics["news"], Topic { seq: Some(41) });
}

#[test]
fn a_topic_that_cannot_be_joined_again_is_lost() {
    let mut core = online(0);
    let joined = core.join("news", Some(3), 0).unwrap();
    answer(&mut core, joined, Code::Done, 40);
    cut_and_return(&mut core);
    answer(&mut core, joined + 1, Code::TooManyTopics, 0);
    let events: Vec<Event> = std::iter::from_fn(|| core.poll_event(0)).collect();
    let lost = Event::TopicLost { topic: "news".into(), code: 405 };
    assert_eq!(events.last(), Some(&lost));
    assert!(core.positions().topics.is_empty());
}

#[test]
fn a_topic_that_was_left_is_not_joined_again() {
    let mut core = online(0);
    let joined = core.join("news", None, 0).unwrap();
    answer(&mut core, joined, Code::Done, 40);
    core.leave("news", 0).unwrap();
    cut_and_return(&mut core);
    assert_eq!(frames(&mut core), [""; 0]);
}

#[test]
fn a_refused_join_leaves_nothing_behind() {
    let mut core = online(0);
    let joined = core.join("news", None, 0).unwrap();
    answer(&mut core, joined, Code::NotAllowed, 0);
    assert_eq!(core.poll_answer(), Some((joined, Outcome::Refused(406))));
    assert!(core.positions().topics.is_empty());
}

#[test]
fn an_application_that_lags_stops_the_reading() {
    let mut core = online(0);
    let mut seq = 0;
    while core.wants_bytes() {
        seq += 1;
        core.on_bytes(&push(ChannelKind::Own, seq, seq, false), 0);
        assert!(seq < 10_000);
    }
    core.poll_event(0);
    assert!(core.wants_bytes());
}
