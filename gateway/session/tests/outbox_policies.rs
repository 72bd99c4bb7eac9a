//! Live messages that find no room: the policy of each decides. Control frames have a limit of their own. The limits are met exactly.

mod entries;

use entries::{CLOSE, LIMITS, NEWEST, OLDEST, entry, offer, queue, write_all};
use gpusher_session::{Class, Lane, Offered, Outbox, Removal};

fn full_of(class: Class) -> Outbox<u64> {
    let mut outbox = Outbox::default();
    (1..=10).for_each(|number| queue(&mut outbox, entry(number, class, 10), Lane::Pass));
    outbox
}

#[test]
fn the_oldest_make_room() {
    let mut outbox = full_of(NEWEST);
    let removed =
        vec![(Removal::Overflowed, 1), (Removal::Overflowed, 2), (Removal::Overflowed, 3)];
    assert_eq!(offer(&mut outbox, entry(11, OLDEST, 25), Lane::Pass), (Offered::Queued, removed));
    assert_eq!(outbox.bytes(), 95);
    assert_eq!(write_all(&mut outbox), [4, 5, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn held_ones_are_younger_than_ready_ones() {
    let mut outbox = Outbox::default();
    queue(&mut outbox, entry(1, OLDEST, 50), Lane::Hold);
    queue(&mut outbox, entry(2, OLDEST, 50), Lane::Pass);
    let removed = vec![(Removal::Overflowed, 2), (Removal::Overflowed, 1)];
    assert_eq!(offer(&mut outbox, entry(3, OLDEST, 60), Lane::Hold), (Offered::Queued, removed));
}

#[test]
fn the_newest_stays_out() {
    let mut outbox = full_of(OLDEST);
    let refused = (Offered::Refused, vec![(Removal::Overflowed, 11)]);
    assert_eq!(offer(&mut outbox, entry(11, NEWEST, 1), Lane::Pass), refused);
    assert_eq!(write_all(&mut outbox), (1..=10).collect::<Vec<_>>());
}

#[test]
fn some_would_rather_see_the_connection_closed() {
    let mut outbox = full_of(OLDEST);
    let closes = (Offered::Close, vec![(Removal::Overflowed, 11)]);
    assert_eq!(offer(&mut outbox, entry(11, CLOSE, 1), Lane::Pass), closes);
}

/// Nobody is dropped for a message that has no room even then.
#[test]
fn nothing_is_dropped_in_vain() {
    let mut outbox = Outbox::default();
    queue(&mut outbox, entry(1, Class::Kept, 60), Lane::Pass);
    queue(&mut outbox, entry(2, OLDEST, 30), Lane::Pass);
    let refused = (Offered::Refused, vec![(Removal::Overflowed, 3)]);
    assert_eq!(offer(&mut outbox, entry(3, OLDEST, 50), Lane::Pass), refused);
    assert_eq!(write_all(&mut outbox), [1, 2]);
}

#[test]
fn both_limits_are_met_exactly() {
    let mut outbox = Outbox::default();
    queue(&mut outbox, entry(1, NEWEST, 99), Lane::Pass);
    queue(&mut outbox, entry(2, NEWEST, 1), Lane::Pass);
    assert_eq!(offer(&mut outbox, entry(3, NEWEST, 1), Lane::Pass).0, Offered::Refused);
    let mut outbox = Outbox::default();
    (1..=10).for_each(|number| queue(&mut outbox, entry(number, NEWEST, 1), Lane::Hold));
    assert_eq!(offer(&mut outbox, entry(11, NEWEST, 1), Lane::Hold).0, Offered::Refused);
}

/// One message larger than the limit could otherwise never be delivered to a socket that is full just then.
#[test]
fn one_message_always_has_room() {
    for class in [OLDEST, NEWEST, CLOSE, Class::Kept] {
        let mut outbox = Outbox::default();
        queue(&mut outbox, entry(1, class, 1000), Lane::Pass);
        assert_eq!(offer(&mut outbox, entry(2, NEWEST, 1), Lane::Pass).0, Offered::Refused);
    }
    let mut outbox = full_of(OLDEST);
    let (offered, removed) = offer(&mut outbox, entry(11, OLDEST, 1000), Lane::Pass);
    assert_eq!((offered, removed.len()), (Offered::Queued, 10));
}

#[test]
fn control_frames_are_never_dropped_for_messages() {
    let mut outbox = full_of(OLDEST);
    queue(&mut outbox, entry(20, Class::Control, 19), Lane::Hold);
    queue(&mut outbox, entry(21, Class::Control, 1), Lane::Pass);
    assert_eq!(outbox.bytes(), LIMITS.bytes_max + LIMITS.control_bytes_max);
    assert_eq!(offer(&mut outbox, entry(22, Class::Control, 1), Lane::Pass).0, Offered::Close);
    let (_, removed) = offer(&mut outbox, entry(23, OLDEST, 100), Lane::Pass);
    assert_eq!(removed.len(), 10);
    assert_eq!(write_all(&mut outbox), [20, 21, 23]);
}
