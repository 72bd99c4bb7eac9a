//! Whatever depends on a membership comes after it.

use super::*;
use crate::links::LinkId;

fn join(link: LinkId, request: u64) -> FromShard {
    let join = Join { conn: conn(0, 4), request, topic: "news".into(), since: None };
    FromShard::Event { link, app_id: APP, event: event::Kind::Join(join) }
}

fn answer(request: u64, code: u32) -> command::Kind {
    command::Kind::Answer(Answer { conn: conn(0, 4), request, code, value: 12 })
}

fn ack(revision: u64) -> command::Kind {
    command::Kind::MembershipAck(MembershipAck { revision })
}

async fn membership(logic: &mut Logic) -> Membership {
    match logic.event().await {
        event::Kind::Membership(membership) => membership,
        other => panic!("not a membership: {other:?}"),
    }
}

/// The link that has the connection; with one logic attached, any user will do.
fn only(set: &LinkSet) -> LinkId {
    set.pick(0).unwrap()
}

async fn next_answer(rig: &Rig) -> Answer {
    loop {
        match rig.mail(0).await {
            ToShard::Answer(answer) => return answer,
            ToShard::Links(_) | ToShard::Apps(_) => {}
            other => panic!("not an answer: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_logic_knows_the_app_before_one_learns_of_its_first_login() {
    let rig = Rig::start();
    let (mut a, set) = rig.attach("a").await;
    let (mut b, _) = rig.attach("b").await;
    let login = |slot| {
        let opened = Opened { conn: conn(0, slot), app_id: APP, version: 1, ..Opened::default() };
        FromShard::Opened { link: only(&set), opened }
    };
    rig.report(vec![login(1), login(2)]);
    let change = membership(&mut a).await;
    assert_eq!((change.app_id, change.topic.as_str(), change.members), (APP, "", 1));
    assert_eq!(membership(&mut b).await, change);
    a.command(ack(change.revision)).await;
    a.hears_nothing().await;
    // What the connection does meanwhile waits, too.
    let closed = Closed { conn: conn(0, 2), ..Closed::default() };
    let link = only(&set);
    rig.report(vec![FromShard::Event { link, app_id: APP, event: event::Kind::Closed(closed) }]);
    a.hears_nothing().await;
    b.command(ack(change.revision)).await;
    let mut opened = Vec::new();
    for _ in 0..2 {
        opened.push(a.event().await);
        while let Some(event::Kind::Closed(closed)) = a.events.front() {
            let its =
                matches!(opened.last(), Some(event::Kind::Opened(it)) if it.conn == closed.conn);
            assert!(its, "after its login");
            a.event().await;
        }
    }
    assert!(opened.iter().all(|event| matches!(event, event::Kind::Opened(_))), "{opened:?}");
    rig.report(vec![login(3)]);
    assert!(matches!(a.event().await, event::Kind::Opened(_)));
    b.hears_nothing().await;
    assert_eq!((a.logics.len(), b.logics.len()), (1, 1));
    assert_eq!(a.logics[0], ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_logic_that_acknowledges_nothing_is_cut_off() {
    let rig = Rig::start();
    let (mut a, set) = rig.attach("a").await;
    let (mut b, _) = rig.attach("b").await;
    rig.report(vec![join(only(&set), 5)]);
    let revision = membership(&mut a).await.revision;
    a.command(ack(revision)).await;
    assert_eq!(b.ended().await, crate::link::LinkEnd::Stalled);
    assert!(matches!(a.event().await, event::Kind::Join(_)));
}

#[tokio::test(start_paused = true)]
async fn what_one_has_recalled_another_does_not_send() {
    let rig = Rig::start();
    let (mut a, _) = rig.attach("a").await;
    let (b, _) = rig.attach("b").await;
    b.command(command::Kind::Recall(Recall { message_id: 7, ..Recall::default() })).await;
    assert!(matches!(rig.mail(0).await, ToShard::Links(_) | ToShard::Recall(_)));
    a.command(to_conns(7, vec![conn(0, 1), conn(1, 1)])).await;
    match a.event().await {
        event::Kind::Outcome(outcome) => assert_eq!((outcome.job, outcome.recalled), (7, 2)),
        other => panic!("not an outcome: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_has_recalled_another_does_not_send_when_it_is_left_alone() {
    let rig = Rig::start();
    let (mut a, _) = rig.attach("a").await;
    let (b, _) = rig.attach("b").await;
    b.command(command::Kind::Recall(Recall { message_id: 7, ..Recall::default() })).await;
    while !matches!(rig.mail(0).await, ToShard::Recall(_)) {}
    drop(b);
    while !matches!(rig.mail(0).await, ToShard::Links(set) if !set.are_several()) {}
    a.command(to_conns(7, vec![conn(0, 1)])).await;
    loop {
        match a.event().await {
            event::Kind::Outcome(outcome) => break assert_eq!(outcome.recalled, 1),
            event::Kind::Logics(_) | event::Kind::Announced(_) => {}
            other => panic!("not an outcome: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn logics_hear_of_what_another_sends_to_all() {
    let rig = Rig::start();
    let (mut a, _) = rig.attach("a").await;
    let (mut b, _) = rig.attach("b").await;
    let message = Message { id: 9, channel: 1, seq: 4, kept: true, ..Message::default() };
    let audience = Some(delivery::Audience::AppId(APP));
    let delivery = Delivery { job: 1, message: Some(message), audience, replay: false };
    a.command(command::Kind::Delivery(delivery)).await;
    match b.event().await {
        event::Kind::Handed(it) => {
            assert_eq!((it.channel, it.app_id, it.seq, it.message_id), (1, APP, 4, 9))
        }
        other => panic!("not what was handed: {other:?}"),
    }
    a.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_version_0_login_makes_its_topic_known_first() {
    let rig = Rig::start();
    let (mut logic, set) = rig.attach("a").await;
    let opened = Opened { conn: conn(0, 4), app_id: APP, key: "news".into(), ..Opened::default() };
    rig.report(vec![FromShard::Opened { link: only(&set), opened }]);
    assert_eq!(membership(&mut logic).await.topic, "");
    assert_eq!(membership(&mut logic).await.topic, "news");
    assert!(matches!(logic.event().await, event::Kind::Opened(_)));
    let refused = Admit { conn: conn(0, 4), code: 102, ..Admit::default() };
    logic.command(command::Kind::Admit(refused)).await;
    let change = membership(&mut logic).await;
    assert_eq!((change.topic.as_str(), change.members), ("news", 0));
}

#[tokio::test(start_paused = true)]
async fn a_join_is_passed_on_when_every_logic_knows_the_topic() {
    let rig = Rig::start();
    let (mut a, set) = rig.attach("a").await;
    let (mut b, _) = rig.attach("b").await;
    rig.report(vec![join(only(&set), 5)]);
    let revision = membership(&mut a).await.revision;
    a.command(ack(revision)).await;
    a.hears_nothing().await;
    assert_eq!(membership(&mut b).await.revision, revision);
    b.command(ack(revision)).await;
    assert!(matches!(a.event().await, event::Kind::Join(_)));
    a.command(answer(5, 0)).await;
    let answer = next_answer(&rig).await;
    assert_eq!((answer.request, answer.code, answer.value), (5, 0, 12));
}

#[tokio::test(start_paused = true)]
async fn a_join_of_a_known_topic_is_answered_at_once() {
    let rig = Rig::start();
    let (mut a, set) = rig.attach("a").await;
    let members = FromShard::Members { shard: 1, app_id: APP, topic: "news".into(), members: 1 };
    rig.report(vec![members]);
    let revision = membership(&mut a).await.revision;
    rig.report(vec![join(only(&set), 5)]);
    assert!(matches!(a.event().await, event::Kind::Join(_)));
    a.commands(vec![ack(revision), answer(5, 0)]).await;
    assert_eq!(next_answer(&rig).await.code, 0);
    assert_eq!(rig.counts.get(LinkCount::AnswersHeld), 0);
}

#[tokio::test(start_paused = true)]
async fn a_join_does_not_wait_for_a_logic_that_has_gone() {
    let rig = Rig::start();
    let (mut a, set) = rig.attach("a").await;
    let (b, _) = rig.attach("b").await;
    rig.report(vec![join(only(&set), 5)]);
    let revision = membership(&mut a).await.revision;
    a.command(ack(revision)).await;
    a.hears_nothing().await;
    drop(b);
    assert!(matches!(a.event().await, event::Kind::Join(_)));
    a.command(answer(5, 0)).await;
    assert_eq!(next_answer(&rig).await.code, 0);
}

#[tokio::test(start_paused = true)]
async fn a_join_that_cannot_be_made_known_is_refused_in_time() {
    let rig = Rig::start();
    let (mut a, set) = rig.attach("a").await;
    rig.report(vec![join(only(&set), 5)]);
    membership(&mut a).await;
    a.command(answer(5, 0)).await;
    assert_eq!(next_answer(&rig).await.code, 403);
    assert_eq!(rig.counts.get(LinkCount::AnswersOverdue), 1);
    assert!(matches!(a.event().await, event::Kind::Join(_)));
    assert_eq!(membership(&mut a).await.members, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_join_is_answered_at_once_and_taken_back() {
    let rig = Rig::start();
    let (mut a, set) = rig.attach("a").await;
    rig.report(vec![join(only(&set), 5)]);
    membership(&mut a).await;
    assert!(matches!(a.event().await, event::Kind::Join(_)));
    a.command(answer(5, 406)).await;
    assert_eq!(next_answer(&rig).await.code, 406);
    assert_eq!(membership(&mut a).await.members, 0);
}

#[tokio::test(start_paused = true)]
async fn a_new_logic_gets_all_memberships_before_any_session() {
    let rig = Rig::start();
    let members = |shard, topic: &str, members| FromShard::Members {
        shard,
        app_id: APP,
        topic: topic.into(),
        members,
    };
    rig.report(vec![members(0, "", 2), members(1, "news", 1), members(0, "old", 1)]);
    rig.report(vec![members(0, "old", 0)]);
    rig.until(LinkCount::Memberships, 2).await;
    let (mut logic, set) = rig.attach("a").await;
    let opened = Opened { app_id: APP, again: true, ..Opened::default() };
    rig.report(vec![FromShard::Opened { link: only(&set), opened }]);
    assert_eq!(membership(&mut logic).await.topic, "");
    assert_eq!(membership(&mut logic).await.topic, "news");
    assert!(matches!(logic.event().await, event::Kind::Opened(_)));
}
