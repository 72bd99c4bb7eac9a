//! Logic comes and goes: sessions are told to whoever has them now, and hold until that has replayed; without any, logins are admitted alone.

use super::rig::*;
use crate::links::{LinkId, LinkSet};
use crate::mail::{Audience, FromShard, ToShard};
use crate::metrics::ShardCount;
use crate::shard::ShardConfig;
use gpusher_proto::gateway::{Kick, SyncDone, SyncStart, event::Kind};
use gpusher_proto::wire::ChannelKind::{App, Own};
use std::sync::Arc;

fn links(rig: &mut Rig, revision: u64, names: &[(u32, &'static str)]) {
    let links = names.iter().map(|&(id, name)| (LinkId(id), name));
    rig.link = names.first().map_or(rig.link, |&(id, _)| LinkId(id));
    rig.tell(ToShard::Links(Arc::new(LinkSet::new(revision, links))));
}

fn opened(rig: &mut Rig) -> Vec<(u32, String, bool)> {
    rig.settle();
    let reports = std::mem::take(&mut rig.reports);
    let opened = reports.into_iter().filter_map(|report| match report {
        FromShard::Opened { link, opened } => Some((link.0, opened.user, opened.again)),
        other => {
            rig.reports.push(other);
            None
        }
    });
    opened.collect()
}

/// Connections that a logic was told it does not have any more.
fn moved_from(rig: &mut Rig, from: LinkId) -> impl Iterator<Item = u64> {
    rig.settle();
    let reports = std::mem::take(&mut rig.reports);
    reports.into_iter().filter_map(move |report| match report {
        FromShard::Event { link, event: Kind::Moved(moved), .. } if link == from => {
            Some(moved.conn)
        }
        _ => None,
    })
}

#[test]
fn a_login_without_logic_is_admitted_alone_after_a_while() {
    let mut rig = Rig::unlinked(ShardConfig::default());
    let (peer, conn) = {
        let peer = rig.net.connect();
        rig.say(peer, login("alice"));
        rig.settle();
        (peer, gpusher_proto::conn_id::ConnId::new(0, 0, 0, 0))
    };
    rig.pass_ms(1_750);
    assert_eq!(rig.frames(peer), []);
    rig.pass_ms(500);
    assert_eq!(rig.frames(peer), [Got::Welcome]);
    assert_eq!(rig.count(ShardCount::LoginsAlone), 1);
    rig.say(peer, send_to_application(9));
    rig.settle();
    let not_available = gpusher_proto::wire::Code::NotAvailable.number();
    assert_eq!(rig.frames(peer), [Got::Answer { request: 9, code: not_available }]);
    // Logic comes: it is told, replays, and only then the rest is delivered.
    links(&mut rig, 1, &[(4, "logic")]);
    assert_eq!(opened(&mut rig), [(4, "alice".to_owned(), true)]);
    assert_eq!(rig.announced(), [1]);
    rig.deliver(Audience::App(APP), kept(App, 2), false);
    rig.deliver(Audience::Connections(vec![conn]), kept(App, 1), true);
    rig.deliver(Audience::Connections(vec![conn]), kept(App, 2), true);
    rig.sync_done(conn, &[(App, 2)]);
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Push(App, 1), Got::Push(App, 2), Got::Synced]);
}

#[test]
fn a_login_that_waits_is_told_to_the_logic_that_comes() {
    let mut rig = Rig::unlinked(ShardConfig::default());
    let peer = rig.net.connect();
    rig.say(peer, login("alice"));
    rig.settle();
    links(&mut rig, 1, &[(4, "logic")]);
    assert_eq!(opened(&mut rig), [(4, "alice".to_owned(), false)]);
    rig.admit(gpusher_proto::conn_id::ConnId::new(0, 0, 0, 0));
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Welcome]);
}

#[test]
fn only_sessions_whose_logic_is_another_are_told_and_hold() {
    let mut config = ShardConfig::default();
    config.slice.announced_max = 3;
    let mut rig = Rig::new(config);
    let members = rig.members(40);
    links(&mut rig, 2, &[(LINK.0, "logic"), (7, "second")]);
    // While the walk is under way, everybody holds.
    rig.turn();
    let job = rig.deliver(Audience::App(APP), live(App, 1), false);
    rig.turn();
    assert_eq!(rig.outcome(job).queued, 40);
    let moved = opened(&mut rig);
    assert!(moved.iter().all(|(link, _, again)| *link == 7 && *again));
    assert!((10..30).contains(&moved.len()), "{}", moved.len());
    assert_eq!(rig.announced(), [1, 2]);
    let told: Vec<u64> = moved_from(&mut rig, LINK).collect();
    for (number, &(peer, conn)) in members.iter().enumerate() {
        let has_moved = moved.iter().any(|(_, user, _)| *user == format!("user-{number}"));
        assert_eq!(rig.seqs(peer).len(), usize::from(!has_moved));
        assert_eq!(told.contains(&conn.raw()), has_moved, "the one that had it is told");
        if has_moved {
            // What the logic that had it still says of its replay means nothing.
            rig.deliver(Audience::Connections(vec![conn]), kept(App, 1), true);
            rig.sync_done(conn, &[]);
            rig.settle();
            assert_eq!(rig.frames(peer), []);
            let done = SyncDone { conn: conn.raw(), ..SyncDone::default() };
            rig.tell(ToShard::SyncDone(LinkId(7), done));
            rig.settle();
            assert_eq!(rig.frames(peer), [Got::Push(App, 1), Got::Synced]);
        }
    }
}

#[test]
fn without_logic_connections_stay() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.member("alice");
    links(&mut rig, 2, &[]);
    rig.settle();
    assert_eq!(rig.announced(), [1, 2]);
    rig.say(peer, HEARTBEAT);
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Heartbeat]);
    links(&mut rig, 3, &[(5, "logic")]);
    assert_eq!(opened(&mut rig), [(5, "alice".to_owned(), true)]);
    rig.unicast(conn, live(Own, 1));
    rig.sync_done(conn, &[]);
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Push(Own, 1), Got::Synced]);
}

#[test]
fn a_connection_on_its_way_out_ends_for_the_logic_that_had_it() {
    let mut rig = Rig::new(ShardConfig::default());
    let members = rig.members(20);
    for &(peer, _) in &members {
        rig.net.set_room(peer, 0);
    }
    rig.deliver(Audience::App(APP), kept(App, 4), false);
    rig.turn();
    for &(_, conn) in &members {
        rig.tell(ToShard::Kick(Kick { conn: conn.raw(), reason: 200, ..Kick::default() }));
    }
    rig.turn();
    rig.reports.clear();
    links(&mut rig, 2, &[(LINK.0, "logic"), (7, "second")]);
    rig.pass_ms(3_000);
    let ends = |link: u32| {
        let ends = rig.reports.iter().filter_map(move |report| match report {
            FromShard::Event { link: to, event: Kind::Closed(closed), .. } if to.0 == link => {
                Some(closed.unwritten_from.first().map(|first| first.seq))
            }
            _ => None,
        });
        ends.collect::<Vec<_>>()
    };
    assert!(ends(7).is_empty());
    assert_eq!(ends(LINK.0), vec![Some(4); 20]);
}

#[test]
fn an_announced_session_is_as_old_as_it_is() {
    let mut rig = Rig::new(ShardConfig::default());
    let since_ms = rig.unix_ms() as i64;
    let (_, conn) = rig.member("alice");
    rig.pass_ms(60_000);
    rig.tell(ToShard::AnnounceAgain(9));
    let (again, opened) = rig.opened();
    assert_eq!((again, opened.again), (conn, true));
    assert!((opened.at_ms - since_ms).abs() <= 32, "{since_ms} {opened:?}");
}

#[test]
fn words_from_before_an_announcement_do_not_count() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.member("alice");
    rig.tell(ToShard::AnnounceAgain(9));
    let (_, opened) = rig.opened();
    let announcement = opened.announcement;
    assert_ne!(announcement, 0, "the same logic may have sent something before it hears of this");
    let job = rig.deliver(Audience::Connections(vec![conn]), kept(Own, 4), true);
    rig.sync_done(conn, &[(Own, 4)]);
    rig.unicast(conn, live(Own, 5));
    rig.settle();
    assert_eq!(rig.frames(peer), []);
    assert_eq!(rig.outcome(job).overflowed, 1);
    let conn_id = conn.raw();
    rig.tell(ToShard::SyncStart(LINK, SyncStart { conn: conn_id, announcement }));
    rig.deliver(Audience::Connections(vec![conn]), kept(Own, 3), true);
    rig.sync_done(conn, &[(Own, 4)]);
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Push(Own, 3), Got::Push(Own, 5), Got::Synced]);
}

#[test]
fn a_connection_that_ends_before_the_walk_comes_to_it_ends_for_the_logic_that_had_it() {
    let mut config = ShardConfig::default();
    config.slice.announced_max = 1;
    let mut rig = Rig::new(config);
    let members = rig.members(20);
    rig.reports.clear();
    links(&mut rig, 2, &[(LINK.0, "logic"), (7, "second")]);
    rig.turn();
    members.iter().for_each(|&(peer, _)| rig.net.hang_up(peer, 0));
    rig.settle();
    for &(_, conn) in &members {
        let mut ends = 0;
        for report in &rig.reports {
            let FromShard::Event { link, event, .. } = report else { continue };
            let over = match event {
                Kind::Closed(closed) => closed.conn == conn.raw(),
                Kind::Moved(moved) => moved.conn == conn.raw(),
                _ => false,
            };
            ends += usize::from(over && *link == LINK);
        }
        assert_eq!(ends, 1, "{conn:?}");
    }
}

#[test]
fn a_connection_that_leaves_before_the_walk_comes_to_it_ends_for_the_logic_that_had_it() {
    let mut config = ShardConfig::default();
    config.slice.announced_max = 1;
    let mut rig = Rig::new(config);
    let members = rig.members(20);
    rig.members(1);
    members.iter().for_each(|&(peer, _)| rig.net.set_room(peer, 0));
    rig.reports.clear();
    links(&mut rig, 2, &[(LINK.0, "logic"), (7, "second")]);
    for &(_, conn) in &members {
        rig.tell(ToShard::Kick(Kick { conn: conn.raw(), reason: 200, ..Kick::default() }));
    }
    rig.pass_ms(5_000);
    for &(_, conn) in &members {
        let over = |report: &&FromShard| match report {
            FromShard::Event { link, event: Kind::Closed(closed), .. } => {
                *link == LINK && closed.conn == conn.raw()
            }
            FromShard::Event { link, event: Kind::Moved(moved), .. } => {
                *link == LINK && moved.conn == conn.raw()
            }
            _ => false,
        };
        assert_eq!(rig.reports.iter().filter(over).count(), 1, "{conn:?}");
    }
}

#[test]
fn a_connection_that_came_after_the_change_ends_for_the_logic_that_it_was_told_to() {
    let mut config = ShardConfig::default();
    config.slice.announced_max = 1;
    let mut rig = Rig::new(config);
    rig.members(100);
    rig.reports.clear();
    links(&mut rig, 2, &[(LINK.0, "logic"), (7, "second")]);
    let late: Vec<usize> = (0..8)
        .map(|number| {
            let peer = rig.net.connect();
            rig.say(peer, login(&format!("late-{number}")));
            rig.net.set_room(peer, 0);
            peer
        })
        .collect();
    for _ in 0..5 {
        rig.turn();
    }
    let told: Vec<(LinkId, u64)> = rig.reports.iter().filter_map(late_login).collect();
    assert_eq!(told.len(), late.len(), "while the walk is under way");
    assert!(rig.announced().is_empty());
    for &(_, conn) in &told {
        rig.tell(ToShard::Kick(Kick { conn, reason: 200, ..Kick::default() }));
    }
    rig.pass_ms(5_000);
    assert_eq!(rig.announced(), [2]);
    for told in told {
        let over = |report: &FromShard| match report {
            FromShard::Event { link, event: Kind::Closed(closed), .. } => {
                (*link, closed.conn) == told
            }
            _ => false,
        };
        assert!(rig.reports.iter().any(over), "{told:?}");
    }
}

fn late_login(report: &FromShard) -> Option<(LinkId, u64)> {
    match report {
        FromShard::Opened { link, opened } if opened.user.starts_with("late") => {
            Some((*link, opened.conn))
        }
        _ => None,
    }
}

#[test]
fn who_leaves_before_the_walk_comes_to_it_may_have_been_passed_by() {
    let mut config = ShardConfig::default();
    config.slice.announced_max = 1;
    let mut rig = Rig::new(config);
    let members = rig.members(20);
    let kick = |conn: gpusher_proto::conn_id::ConnId| {
        ToShard::Kick(Kick { conn: conn.raw(), reason: 200, ..Kick::default() })
    };
    let (_, early) = members[18];
    rig.tell(kick(early));
    rig.settle();
    rig.tell(ToShard::AnnounceAgain(9));
    let (_, late) = members[19];
    rig.tell(kick(late));
    rig.settle();
    let closed: Vec<_> = rig.closed().iter().map(|it| (it.conn, it.passed_by)).collect();
    assert_eq!(closed, [(early.raw(), false), (late.raw(), true)]);
}

#[test]
fn the_end_of_a_replay_does_not_release_what_came_after_a_walk_began() {
    let mut config = ShardConfig::default();
    config.slice.announced_max = 1;
    let mut rig = Rig::new(config);
    let (peer, conn) = rig.members(20)[19];
    rig.tell(sync_start(conn));
    rig.settle();
    rig.reports.clear();
    // Some of the log may have passed it by.
    rig.tell(ToShard::AnnounceAgain(9));
    rig.deliver(Audience::App(APP), kept(App, 3), false);
    rig.sync_done(conn, &[(App, 1)]);
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Synced]);
    let announcement = rig.reports.iter().find_map(|report| match report {
        FromShard::Opened { opened, .. } if opened.conn == conn.raw() => Some(opened.announcement),
        _ => None,
    });
    let announcement = announcement.expect("it is announced");
    rig.tell(ToShard::SyncStart(LINK, SyncStart { conn: conn.raw(), announcement }));
    for message in [kept(App, 2), kept(App, 3)] {
        rig.deliver(Audience::Connections(vec![conn]), message, true);
    }
    rig.sync_done(conn, &[(App, 3)]);
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Push(App, 2), Got::Push(App, 3), Got::Synced]);
}

#[test]
fn what_a_logic_that_is_gone_had_sent_before_a_login_was_admitted_is_missed() {
    let mut rig = Rig::new(ShardConfig::default());
    let (_, conn) = rig.login_v1("alice");
    rig.reports.clear();
    rig.link = LinkId(7);
    rig.deliver(Audience::App(APP), kept(App, 1), false);
    rig.deliver(Audience::App(APP), kept(App, 2), false);
    rig.link = LINK;
    rig.admit_up_to(conn, 1);
    rig.sync_done(conn, &[(App, 1)]);
    rig.settle();
    let events = rig.events();
    let [Kind::Drained(drained)] = &events[..] else { panic!("one gap: {events:?}") };
    let from: Vec<u64> = drained.spilled_from.iter().map(|position| position.seq).collect();
    assert_eq!((drained.conn, from), (conn.raw(), vec![2]));
    assert_eq!(rig.count(ShardCount::LoginsOvertaken), 1);
}
