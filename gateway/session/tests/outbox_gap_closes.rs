//! What spilled from the hold while a replay brought it anyway is not replayed again.

mod entries;

use entries::LIMITS;
use gpusher_proto::wire::{ChannelKind, Position};
use gpusher_session::{Class, Entry, Lane, Offered, Outbox};

fn position(seq: u64) -> Position {
    Position { kind: ChannelKind::Own, seq }
}

/// A hold that held 1 to the sequence before `end`, and has spilled.
fn spilled(end: u64) -> Outbox<u64> {
    let mut outbox = Outbox::default();
    let mut refused = 0;
    for seq in 1..end {
        let bytes = LIMITS.bytes_max / 2;
        let entry = Entry { position: position(seq), ..entries::entry(seq, Class::Kept, bytes) };
        let offered = outbox.offer(entry, Lane::Hold, &LIMITS, &mut |_, _| ());
        refused += u64::from(offered == Offered::Refused);
    }
    assert!(refused > 0 && outbox.has_spilled());
    outbox
}

#[test]
fn a_replay_of_all_that_spilled_closes_the_gap() {
    let mut outbox = spilled(9);
    outbox.close_gap([position(8)].into_iter());
    assert!(outbox.release([position(8)].into_iter(), &mut |_, _| ()));
    assert!(outbox.is_idle());
}

#[test]
fn a_replay_of_a_part_narrows_it() {
    let mut outbox = spilled(9);
    outbox.close_gap([position(5)].into_iter());
    assert!(!outbox.release([position(5)].into_iter(), &mut |_, _| ()));
    let gap = outbox.take_gap().expect("three are missing");
    assert_eq!(gap.of(ChannelKind::Own), Some(6));
}

#[test]
fn a_replay_of_other_channels_leaves_it() {
    let mut outbox = spilled(9);
    let others = [ChannelKind::App, ChannelKind::Topic].map(|kind| Position { kind, seq: 100 });
    outbox.close_gap(others.into_iter());
    let gap = outbox.take_gap().expect("it is still there");
    assert_eq!(gap.of(ChannelKind::Own), Some(1));
}
