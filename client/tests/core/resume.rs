//! Acknowledgement, duplicates and resuming.

use crate::scripted::{
    ACK_DELAY_MS, HEARTBEAT_MS, connected, frames, messages, online, push, welcome,
};
use gpusher_client::{ChannelKind, Event, Positions};
use gpusher_proto::wire::v1::{Resume, ResumeResult, ServerFrame};
use gpusher_proto::wire::{Position, Positions as WirePositions};

const OWN: ChannelKind = ChannelKind::Own;

#[test]
fn a_kept_message_is_acknowledged_in_time_and_not_before_it_was_worked_on() {
    let mut core = online(0);
    core.on_bytes(&push(OWN, 5, 50, true), 0);
    core.on_bytes(&push(ChannelKind::App, 9, 90, true), 0);
    assert!(matches!(core.poll_event(0), Some(Event::Message(message)) if message.id == 50));
    core.on_time(10 * ACK_DELAY_MS);
    assert_eq!(frames(&mut core), [""; 0], "the application may still be at it");
    // Asking for the second says that the first is done with.
    let now_ms = 10 * ACK_DELAY_MS;
    assert!(matches!(core.poll_event(now_ms), Some(Event::Message(message)) if message.id == 90));
    let due_ms = core.deadline().unwrap();
    assert!(due_ms <= now_ms + ACK_DELAY_MS, "{due_ms}");
    core.on_time(due_ms);
    assert_eq!(frames(&mut core), ["Ack { positions: [Position { kind: Own, seq: 5 }] }"]);
    assert_eq!(core.positions().channels, [Some(5), None, None]);
    core.poll_event(due_ms);
    assert_eq!(core.positions().channels, [Some(5), Some(9), None]);
}

#[test]
fn acknowledgements_ride_on_a_heartbeat_that_is_due() {
    let mut core = online(0);
    core.on_bytes(&push(OWN, 5, 50, true), HEARTBEAT_MS - 100);
    messages(&mut core, HEARTBEAT_MS - 100);
    core.on_time(HEARTBEAT_MS);
    assert_eq!(frames(&mut core), ["Heartbeat { acks: [Position { kind: Own, seq: 5 }] }"]);
    core.on_time(HEARTBEAT_MS + ACK_DELAY_MS);
    assert_eq!(frames(&mut core), [""; 0]);
}

#[test]
fn live_messages_are_not_acknowledged() {
    let mut core = online(0);
    core.on_bytes(&push(OWN, 5, 50, false), 0);
    assert_eq!(messages(&mut core, 0), [50]);
    core.on_time(ACK_DELAY_MS);
    assert_eq!(frames(&mut core), [""; 0]);
    assert_eq!(core.positions().channels, [None; 3]);
}

#[test]
fn duplicates_are_dropped_by_number_and_by_id() {
    let mut core = online(0);
    for bytes in [
        push(OWN, 5, 50, true),
        push(OWN, 5, 50, true),
        push(OWN, 6, 60, false),
        // A live message may be newer than a kept one that comes again.
        push(OWN, 4, 40, true),
        push(ChannelKind::App, 5, 51, true),
        push(OWN, 7, 60, false),
        push(OWN, 8, 50, true),
    ] {
        core.on_bytes(&bytes, 0);
    }
    assert_eq!(messages(&mut core, 0), [50, 60, 51]);
    // The one known by id only is confirmed too, or it would come for ever.
    assert_eq!(core.positions().channels, [Some(8), Some(5), None]);
}

#[test]
fn what_is_delivered_again_is_acknowledged_again() {
    let mut core = online(0);
    core.on_bytes(&push(OWN, 5, 50, true), 0);
    messages(&mut core, 0);
    core.on_time(ACK_DELAY_MS);
    frames(&mut core);
    core.on_bytes(&push(OWN, 5, 50, true), 20_000);
    assert_eq!(messages(&mut core, 20_000), [0; 0]);
    core.on_time(20_000 + ACK_DELAY_MS);
    assert_eq!(frames(&mut core), ["Ack { positions: [Position { kind: Own, seq: 5 }] }"]);
}

#[test]
fn a_login_names_what_was_confirmed_and_not_what_was_only_seen() {
    let mut core = online(0);
    core.on_bytes(&push(OWN, 5, 50, true), 0);
    core.on_bytes(&push(OWN, 6, 60, true), 0);
    core.poll_event(0);
    core.poll_event(0);
    core.on_disconnected("cut", 100);
    core.poll_action();
    let until_ms = core.deadline().unwrap();
    core.on_time(until_ms);
    core.poll_action();
    core.on_connected(until_ms);
    let login = frames(&mut core).remove(0);
    assert!(login.contains("epoch: 7, resume: [Position { kind: Own, seq: 5 }]"), "{login}");
    let resumed = [Resume { kind: OWN, result: ResumeResult::Resumed, seq: 5 }];
    welcome(&mut core, 7, &resumed, until_ms);
    // 6 comes again; the application, which has it, does not see it twice.
    core.on_bytes(&push(OWN, 6, 60, true), until_ms);
    core.on_bytes(&push(OWN, 7, 70, true), until_ms);
    assert_eq!(messages(&mut core, until_ms), [70]);
    assert_eq!(core.positions().channels[0], Some(7));
}

#[test]
fn another_epoch_starts_over_and_says_so() {
    let positions =
        Positions { epoch: 6, channels: [Some(900), Some(3), None], ..Default::default() };
    let mut core = connected(positions, 0);
    welcome(&mut core, 7, &[], 0);
    let lost = vec![OWN, ChannelKind::App];
    assert_eq!(core.poll_event(0), Some(Event::Online { connection_id: 5, lost }));
    core.on_bytes(&push(OWN, 1, 10, true), 0);
    assert_eq!(messages(&mut core, 0), [10]);
    let expected = Positions { epoch: 7, channels: [Some(1), None, None], ..Default::default() };
    assert_eq!(core.positions(), expected);
}

#[test]
fn a_gateway_that_is_alone_leaves_positions_as_they_are() {
    let positions = Positions { epoch: 6, channels: [Some(900), None, None], ..Default::default() };
    let mut core = connected(positions, 0);
    welcome(&mut core, 0, &[], 0);
    // What it was named is not known to be heeded.
    let expected = Event::Online { connection_id: 5, lost: vec![OWN] };
    assert_eq!(core.poll_event(0), Some(expected));
    core.on_bytes(&push(OWN, 900, 10, true), 0);
    core.on_bytes(&push(OWN, 901, 11, true), 0);
    assert_eq!(messages(&mut core, 0), [11]);
    let expected = Positions { epoch: 6, channels: [Some(901), None, None], ..Default::default() };
    assert_eq!(core.positions(), expected);
}

#[test]
fn a_log_that_was_cut_is_told() {
    let positions =
        Positions { epoch: 7, channels: [Some(9), Some(3), None], ..Default::default() };
    let mut core = connected(positions, 0);
    let resumed = [
        Resume { kind: OWN, result: ResumeResult::TooOld, seq: 100 },
        Resume { kind: ChannelKind::App, result: ResumeResult::Resumed, seq: 3 },
    ];
    welcome(&mut core, 7, &resumed, 0);
    assert_eq!(core.poll_event(0), Some(Event::Online { connection_id: 5, lost: vec![OWN] }));
}

#[test]
fn a_recalled_message_is_not_seen_if_it_still_waited() {
    let mut core = online(0);
    core.on_bytes(&push(OWN, 5, 50, true), 0);
    core.on_bytes(&push(OWN, 6, 60, true), 0);
    let recall =
        |message_id, seq| ServerFrame::Recall { message_id, position: Position { kind: OWN, seq } };
    core.on_bytes(&recall(60, 6).to_vec(), 0);
    core.on_bytes(&recall(40, 4).to_vec(), 0);
    assert!(matches!(core.poll_event(0), Some(Event::Message(message)) if message.id == 50));
    assert_eq!(core.poll_event(0), Some(Event::Recalled { id: 40 }));
    assert_eq!(core.positions().channels[0], Some(6));
}

#[test]
fn the_end_of_a_replay_is_told() {
    let mut core = online(0);
    core.on_bytes(&ServerFrame::Synced { positions: WirePositions::EMPTY }.to_vec(), 0);
    assert_eq!(core.poll_event(0), Some(Event::Synced));
}
