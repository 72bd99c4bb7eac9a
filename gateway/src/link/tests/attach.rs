//! How logics come and go.

use super::*;
use crate::link::LinkEnd;
use crate::links::{LinkId, session_hash};

fn opened(link: LinkId, user: &str, again: bool) -> FromShard {
    let opened = Opened { app_id: APP, user: user.into(), again, version: 1, ..Opened::default() };
    FromShard::Opened { link, opened }
}

fn owner(set: &LinkSet) -> LinkId {
    set.pick(session_hash(APP, "liangjf")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn announced_follows_the_sessions_of_every_shard() {
    let rig = Rig::start();
    let (mut logic, set) = rig.attach("a").await;
    let revision = set.revision;
    let link = owner(&set);
    rig.report(vec![opened(link, "liangjf", true), FromShard::Announced { shard: 0, revision }]);
    assert!(matches!(logic.event().await, event::Kind::Membership(_)));
    assert!(matches!(logic.event().await, event::Kind::Opened(opened) if opened.again));
    logic.hears_nothing().await;
    rig.report(vec![FromShard::Announced { shard: 1, revision }]);
    assert_eq!(logic.event().await, event::Kind::Announced(Announced::default()));
}

#[tokio::test(start_paused = true)]
async fn shards_are_told_of_every_change_and_the_rest_keeps_its_sessions() {
    let rig = Rig::start();
    let (_a, one) = rig.attach("a").await;
    let (b, two) = rig.attach("b").await;
    drop(b);
    let left = rig.links().await;
    assert!(one.revision < two.revision && two.revision < left.revision);
    let users = (0..100).map(|n| session_hash(APP, &format!("user-{n}")));
    for hash in users {
        assert_eq!(left.pick(hash), one.pick(hash));
    }
    let mut status = rig.link.status();
    status.wait_for(|status| status.attached == ["a"]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_second_stream_of_one_name_replaces_the_first() {
    let rig = Rig::start();
    let (mut first, before) = rig.attach("a").await;
    let (mut second, after) = rig.attach("a").await;
    assert_eq!(first.ended().await, LinkEnd::Replaced);
    assert_ne!(owner(&before), owner(&after));
    rig.report(vec![opened(owner(&before), "late", false), opened(owner(&after), "new", true)]);
    assert!(matches!(second.event().await, event::Kind::Membership(_)));
    assert!(matches!(second.event().await, event::Kind::Opened(opened) if opened.user == "new"));
    assert_eq!(rig.counts.get(LinkCount::EventsOrphaned), 1);
}

#[tokio::test(start_paused = true)]
async fn with_the_last_logic_the_set_is_empty() {
    let rig = Rig::start();
    let (logic, _) = rig.attach("a").await;
    drop(logic);
    assert!(rig.links().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn peers_that_are_not_attached_are_named() {
    let rig = Rig::start();
    let logic = rig.open();
    let peers = vec!["a".into(), "b".into()];
    let attach = Attach { logic: "a".into(), peers, ..Attach::default() };
    logic.send(to_gateway::Kind::Attach(attach)).await;
    let mut status = rig.link.status();
    status.wait_for(|status| status.missing == ["b"]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn apps_are_sorted_and_reach_every_shard() {
    let rig = Rig::start();
    let (logic, _) = rig.attach("a").await;
    let app = |id, tag: &str| App { id, tag: tag.into() };
    let apps = vec![app(7, "seven"), app(3, "three")];
    logic.command(command::Kind::Apps(gpusher_proto::gateway::Apps { apps })).await;
    for shard in 0..2 {
        let ToShard::Apps(apps) = rig.mail(shard).await else { panic!("not apps") };
        assert_eq!(apps.apps, [(3, "three".into()), (7, "seven".into())]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_breaks_the_rules_loses_the_link() {
    let rig = Rig::start();
    let mut nameless = rig.open();
    nameless.send(to_gateway::Kind::Attach(Attach::default())).await;
    assert_eq!(nameless.ended().await, LinkEnd::Violation("attach without a name"));

    let mut early = rig.open();
    early.command(to_conns(1, vec![])).await;
    assert_eq!(early.ended().await, LinkEnd::Violation("commands before attach"));

    let (mut twice, _) = rig.attach("twice").await;
    let attach = Attach { logic: "twice".into(), ..Attach::default() };
    twice.send(to_gateway::Kind::Attach(attach)).await;
    assert_eq!(twice.ended().await, LinkEnd::Violation("attached twice"));

    let mut silent = rig.open();
    assert_eq!(silent.ended().await, LinkEnd::Violation("no attach in time"));
    assert_eq!(rig.counts.get(LinkCount::Violations), 4);
}

#[tokio::test(start_paused = true)]
async fn streams_are_bounded() {
    let rig = Rig::start();
    let inside: Vec<_> = (0..64).map(|_| rig.open()).collect();
    assert_eq!(rig.open().ended().await, LinkEnd::Violation("too many logics attached"));
    drop(inside);
    rig.attach("a").await;
}

#[tokio::test(start_paused = true)]
async fn the_load_is_reported_unasked() {
    let rig = Rig::start();
    let (mut logic, _) = rig.attach("a").await;
    loop {
        let message = logic.ends.from.recv().await.unwrap().kind.unwrap();
        let from_gateway::Kind::Report(report) = message else { continue };
        assert!(matches!(report.events[0].kind, Some(event::Kind::Load(_))));
        break;
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_all_shards_ends_the_links() {
    let rig = Rig::start();
    let (mut logic, _) = rig.attach("a").await;
    let Rig { shards, to_link, link, .. } = rig;
    let stopped = tokio::spawn(link.stop());
    for (number, shard) in (0..).zip(&shards) {
        assert!(matches!(shard.next().await, ToShard::Stop));
        assert!(to_link.try_send(&mut vec![FromShard::Stopped(number, None)]));
    }
    stopped.await.unwrap();
    assert_eq!(logic.ended().await, LinkEnd::Shutdown);
}
