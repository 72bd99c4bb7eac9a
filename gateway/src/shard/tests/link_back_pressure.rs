//! A link that is behind makes the shard read less; nothing that it has to be told is lost.

use super::rig::*;
use crate::metrics::ShardCount;
use crate::shard::ShardConfig;
use gpusher_proto::gateway::event::Kind;

#[test]
fn clients_are_read_on_when_the_link_has_caught_up_and_nothing_is_lost() {
    let mut config = ShardConfig::default();
    config.slice.reports_max = 20;
    config.session.frames_per_second = 0;
    let mut rig = Rig::new(config);
    let members = rig.members(10);
    rig.events();
    rig.link_listens = false;
    for round in 0..10 {
        for &(peer, _) in &members {
            for request in 0..10 {
                rig.say(peer, send_to_application(round * 10 + request));
            }
        }
    }
    for _ in 0..200 {
        rig.turn();
    }
    assert!(rig.count(ShardCount::LinkFull) > 0);
    assert!(members.iter().all(|&(peer, _)| !rig.net.is_reading(peer)));
    rig.link_listens = true;
    for _ in 0..2_000 {
        rig.turn();
    }
    assert!(members.iter().all(|&(peer, _)| rig.net.is_reading(peer)));
    let events = rig.events();
    for &(_, conn) in &members {
        let requests = events.iter().filter_map(|event| match event {
            Kind::Upstream(upstream) if upstream.conn == conn.raw() => Some(upstream.request),
            _ => None,
        });
        assert_eq!(requests.collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn half_frames_of_all_clients_together_are_bounded() {
    let config = ShardConfig { partial_bytes_max: 100_000, ..ShardConfig::default() };
    let mut rig = Rig::new(config);
    let members = rig.members(20);
    // A frame that announces a megabyte, and ten thousand bytes of it.
    let mut half = vec![0x45, 1, 0x04, 0, 0, 0x10, 0, 0];
    half.resize(10_000, 0);
    for &(peer, _) in &members {
        rig.net.say(peer, &half);
        rig.settle();
    }
    let closed = members.iter().filter(|&&(peer, _)| rig.net.is_closed(peer)).count();
    assert!((8..=14).contains(&closed), "{closed}");
    assert!(rig.count(ShardCount::PartialBytes) <= 100_000);
    for &(peer, _) in &members {
        rig.net.hang_up(peer, 0);
    }
    rig.settle();
    assert_eq!(rig.count(ShardCount::PartialBytes), 0);
}
