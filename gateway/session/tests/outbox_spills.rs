//! A kept message that finds no room makes all kept ones leave; the first of each channel is remembered, nothing enters behind it, and after
//! the replay everything goes on in order.

mod entries;

use entries::{OLDEST, entry, kept_of, offer, queue, write_all};
use gpusher_proto::wire::{ChannelKind, Position};
use gpusher_session::{Class, Lane, Offered, Outbox, Removal};

const OWN: ChannelKind = ChannelKind::Own;
const APP: ChannelKind = ChannelKind::App;

/// Nine kept messages, three of them held, and a live one: full.
fn full() -> Outbox<u64> {
    let mut outbox = Outbox::default();
    (1..=5).for_each(|seq| queue(&mut outbox, kept_of(OWN, seq), Lane::Pass));
    queue(&mut outbox, entry(50, OLDEST, 10), Lane::Pass);
    queue(&mut outbox, kept_of(APP, 8), Lane::Pass);
    (6..=7).for_each(|seq| queue(&mut outbox, kept_of(OWN, seq), Lane::Hold));
    queue(&mut outbox, kept_of(APP, 9), Lane::Hold);
    outbox
}

fn at(kind: ChannelKind, seq: u64) -> Position {
    Position { kind, seq }
}

#[test]
fn all_kept_ones_leave_and_the_first_are_remembered() {
    let mut outbox = full();
    let (offered, removed) = offer(&mut outbox, kept_of(OWN, 10), Lane::Hold);
    assert_eq!(offered, Offered::Refused);
    let spilled: Vec<u64> = removed.iter().map(|(_, number)| *number).collect();
    assert_eq!(spilled, [1, 2, 3, 4, 5, 8, 6, 7, 9, 10]);
    assert!(removed.iter().all(|(why, _)| *why == Removal::Spilled));
    assert_eq!(outbox.unwritten_from().positions().collect::<Vec<_>>(), [at(OWN, 1), at(APP, 8)]);
    assert_eq!(write_all(&mut outbox), [50]);
    let gap = outbox.take_gap().expect("something spilled");
    assert_eq!((gap.of(OWN), gap.of(APP), gap.of(ChannelKind::Everyone)), (Some(1), Some(8), None));
    assert_eq!(outbox.take_gap(), None, "told once");
    assert!(!outbox.is_idle(), "a replay is owed");
    assert_eq!(outbox.unwritten_from(), gap, "the connection may end before the replay does");
}

#[test]
fn nothing_enters_behind_a_gap() {
    let mut outbox = full();
    assert_eq!(offer(&mut outbox, kept_of(OWN, 10), Lane::Pass).0, Offered::Refused);
    write_all(&mut outbox);
    for (kind, seq) in [(OWN, 1), (OWN, 11), (APP, 8)] {
        let refused = (Offered::Refused, vec![(Removal::Spilled, seq)]);
        assert_eq!(offer(&mut outbox, kept_of(kind, seq), Lane::Pass), refused);
    }
    queue(&mut outbox, kept_of(APP, 7), Lane::Pass);
    queue(&mut outbox, kept_of(ChannelKind::Everyone, 1), Lane::Pass);
    queue(&mut outbox, entry(51, OLDEST, 10), Lane::Pass);
}

#[test]
fn what_is_partly_written_or_in_flight_stays() {
    let mut outbox = full();
    outbox.pieces().for_each(drop);
    outbox.advance(15, &mut |_| ());
    let (_, removed) = offer(&mut outbox, entry(10, Class::Kept, 30), Lane::Pass);
    assert!(!removed.contains(&(Removal::Spilled, 2)), "half of it is gone");
    assert_eq!(write_all(&mut outbox), [2, 50]);
    let mut outbox = full();
    assert_eq!(outbox.pieces().count(), 7);
    let (_, removed) = offer(&mut outbox, kept_of(OWN, 10), Lane::Pass);
    assert_eq!(removed, [6, 7, 9, 10].map(|number| (Removal::Spilled, number)));
    outbox.advance(0, &mut |_| ());
    assert_eq!(write_all(&mut outbox), [1, 2, 3, 4, 5, 50, 8], "in front of the gap");
}

#[test]
fn the_end_of_the_replay_drops_duplicates_and_releases_the_rest() {
    let mut outbox = Outbox::default();
    queue(&mut outbox, kept_of(OWN, 5), Lane::Hold);
    queue(&mut outbox, kept_of(APP, 5), Lane::Hold);
    queue(&mut outbox, entry(4, OLDEST, 1), Lane::Hold);
    queue(&mut outbox, kept_of(OWN, 6), Lane::Hold);
    queue(&mut outbox, entry(30, Class::Control, 1), Lane::Hold);
    queue(&mut outbox, kept_of(OWN, 4), Lane::Pass);
    assert_eq!(write_all(&mut outbox), [30, 4], "control frames and replays go past the hold");
    let mut removed = Vec::new();
    let ended =
        outbox.release([at(OWN, 5)].into_iter(), &mut |why, entry| removed.push((why, entry.job)));
    assert!(ended);
    assert_eq!(removed, [(Removal::Duplicate, 5)]);
    assert_eq!(write_all(&mut outbox), [5, 4, 6], "the app's 5, the live one, the own 6");
    assert!(outbox.is_idle());
}

#[test]
fn a_spill_during_the_replay_goes_on_with_the_hold() {
    let mut outbox = full();
    write_all(&mut outbox);
    (11..=17).for_each(|number| queue(&mut outbox, entry(number, OLDEST, 10), Lane::Hold));
    assert_eq!(offer(&mut outbox, kept_of(OWN, 18), Lane::Hold).0, Offered::Refused);
    let released = outbox.release([at(OWN, 5)].into_iter(), &mut |_, _| panic!("none is left"));
    assert!(!released);
    assert!(!outbox.has_ready());
    let gap = outbox.take_gap().expect("the spill");
    assert_eq!((gap.of(OWN), gap.of(APP)), (Some(6), Some(9)));
    assert!(!outbox.release([at(OWN, 5)].into_iter(), &mut |_, _| ()), "not the one asked for");
    outbox.gap_filled();
    assert!(outbox.release([at(OWN, 18)].into_iter(), &mut |_, _| ()));
    assert_eq!(write_all(&mut outbox), [11, 12, 13, 14, 15, 16, 17]);
    assert!(outbox.is_idle());
}
