//! Topics: membership counts from the JOIN on, a refusal takes it back, and counts are told when they begin and end.

use super::rig::*;
use crate::mail::ToShard;
use crate::metrics::ShardCount;
use crate::shard::ShardConfig;
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::{Answer, event::Kind};
use gpusher_proto::wire::ChannelKind::Topic;
use gpusher_proto::wire::Code;
use gpusher_proto::wire::v1::ClientFrame;

fn answer(conn: ConnId, request: u64, code: Code) -> ToShard {
    let (conn, code) = (conn.raw(), u32::from(code.number()));
    ToShard::Answer(Answer { conn, request, code, value: 0 })
}

fn topics_only(rig: &mut Rig) -> Vec<(String, u32)> {
    let mut changes = rig.memberships();
    changes.retain(|(topic, _)| !topic.is_empty());
    changes
}

#[test]
fn a_member_misses_nothing_between_its_join_and_the_answer() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.member("alice");
    rig.say(peer, join(3, "chess"));
    rig.settle();
    assert!(matches!(&rig.events()[..], [Kind::Join(join)] if join.topic == "chess"));
    assert_eq!(topics_only(&mut rig), [("chess".to_owned(), 1)]);
    rig.deliver(topic("chess"), live(Topic, 1), false);
    rig.settle();
    rig.tell(answer(conn, 3, Code::Done));
    rig.deliver(topic("chess"), live(Topic, 2), false);
    rig.settle();
    let answered = Got::Answer { request: 3, code: 0 };
    assert_eq!(rig.frames(peer), [Got::Push(Topic, 1), answered, Got::Push(Topic, 2)]);
}

#[test]
fn a_refused_join_is_taken_back_but_not_an_earlier_one() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.member("alice");
    for (request, code) in [(1, Code::NotAllowed), (2, Code::Done), (3, Code::NotAllowed)] {
        rig.say(peer, join(request, "chess"));
        rig.settle();
        rig.tell(answer(conn, request, code));
        rig.settle();
    }
    let chess = |count| ("chess".to_owned(), count);
    assert_eq!(topics_only(&mut rig), [chess(1), chess(0), chess(1)]);
    rig.frames(peer);
    rig.deliver(topic("chess"), live(Topic, 1), false);
    rig.settle();
    assert_eq!(rig.seqs(peer), [1]);
}

#[test]
fn leaving_ends_it() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.member("alice");
    rig.say(peer, join(1, "chess"));
    rig.settle();
    rig.tell(answer(conn, 1, Code::Done));
    rig.say(peer, ClientFrame::Leave { request: 2, topic: "chess" });
    rig.settle();
    let job = rig.deliver(topic("chess"), live(Topic, 1), false);
    rig.settle();
    assert_eq!(rig.outcome(job).written, 0);
    assert_eq!(rig.frames(peer), [Got::Answer { request: 1, code: 0 }]);
}

#[test]
fn a_connection_joins_so_many_topics_and_no_more() {
    let mut rig = Rig::new(ShardConfig { topics_max: 3, ..ShardConfig::default() });
    let (peer, conn) = rig.member("alice");
    for request in 1..=4 {
        rig.say(peer, join(request, &format!("topic-{request}")));
        rig.settle();
        rig.tell(answer(conn, request, Code::Done));
        rig.settle();
    }
    let code = Code::TooManyTopics.number();
    let answers = rig.frames(peer);
    assert_eq!(answers[3], Got::Answer { request: 4, code });
    assert_eq!(rig.count(ShardCount::JoinsRefused), 1);
    assert_eq!(rig.events().len(), 3, "logic does not hear of the fourth");
    // What it has joined ends with it.
    topics_only(&mut rig);
    rig.net.hang_up(peer, 0);
    rig.settle();
    assert_eq!(topics_only(&mut rig).len(), 3);
}

#[test]
fn a_join_with_a_replay_holds_until_its_answer() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.member("alice");
    rig.say(peer, ClientFrame::Join { request: 1, topic: "chess", since: Some(4) });
    rig.settle();
    rig.deliver(topic("chess"), live(Topic, 7), false);
    for seq in [5, 6] {
        rig.deliver(crate::mail::Audience::Connections(vec![conn]), kept(Topic, seq), true);
    }
    rig.settle();
    assert_eq!(rig.seqs(peer), [5, 6]);
    rig.tell(answer(conn, 1, Code::Done));
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Push(Topic, 7), Got::Answer { request: 1, code: 0 }]);
}

#[test]
fn a_join_that_logic_does_not_answer_is_taken_back() {
    let config = ShardConfig { login_deadline_ms: 2_000, ..ShardConfig::default() };
    let mut rig = Rig::new(config);
    let (peer, _) = rig.member("alice");
    rig.say(peer, ClientFrame::Join { request: 1, topic: "chess", since: Some(0) });
    rig.settle();
    rig.deliver(topic("chess"), live(Topic, 7), false);
    rig.pass_ms(2_500);
    let answered = Got::Answer { request: 1, code: Code::NotAvailable.number() };
    assert_eq!(rig.frames(peer), [Got::Push(Topic, 7), answered]);
    let job = rig.deliver(topic("chess"), live(Topic, 8), false);
    rig.settle();
    assert_eq!(rig.outcome(job).written, 0);
}

#[test]
fn version_0_subscribes_by_its_key() {
    let mut rig = Rig::new(ShardConfig::default());
    let (by_tag, conn_by_tag) = rig.login_v0("a", "app_gpusher");
    rig.admit(conn_by_tag);
    rig.sync_done(conn_by_tag, &[]);
    let (by_topic, conn_by_topic) = rig.login_v0("b", "chess");
    rig.admit(conn_by_topic);
    rig.sync_done(conn_by_topic, &[]);
    rig.settle();
    assert_eq!(topics_only(&mut rig), [("chess".to_owned(), 1)]);
    let job = rig.deliver(topic("chess"), live(Topic, 1), false);
    rig.settle();
    assert_eq!(rig.outcome(job).written, 1);
    assert_eq!((rig.frames(by_tag).len(), rig.frames(by_topic).len()), (1, 2));
}
