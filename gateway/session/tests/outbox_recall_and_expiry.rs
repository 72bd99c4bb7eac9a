//! Withdrawn and expired messages leave wherever they wait, but never when part of them is written or in flight.

mod entries;

use entries::{OLDEST, entry, queue, write_all};
use gpusher_session::{Class, Entry, Lane, Outbox, Removal};

#[test]
fn a_recalled_message_leaves_both_queues() {
    let mut outbox = Outbox::default();
    queue(&mut outbox, entry(1, OLDEST, 10), Lane::Pass);
    queue(&mut outbox, entry(2, Class::Kept, 10), Lane::Pass);
    queue(&mut outbox, Entry { job: 20, ..entry(2, Class::Kept, 10) }, Lane::Hold);
    let mut removed = Vec::new();
    let stays = outbox.recall(2, &mut |why, entry| removed.push((why, entry.job)));
    assert!(!stays);
    assert_eq!(removed, [(Removal::Recalled, 2), (Removal::Recalled, 20)]);
    assert!(!outbox.has_spilled(), "a withdrawn message is nobody's gap");
    outbox.check_invariants();
    assert_eq!(write_all(&mut outbox), [1]);
}

#[test]
fn a_half_written_message_stays_and_the_caller_knows() {
    let mut outbox = Outbox::default();
    queue(&mut outbox, entry(1, OLDEST, 10), Lane::Pass);
    queue(&mut outbox, entry(2, OLDEST, 10), Lane::Pass);
    outbox.pieces().for_each(drop);
    assert!(outbox.recall(2, &mut |_, _| panic!("it is in flight")));
    outbox.advance(1, &mut |_| ());
    assert!(outbox.recall(1, &mut |_, _| panic!("it is partly written")));
    assert!(!outbox.recall(2, &mut |_, _| ()));
    assert_eq!(write_all(&mut outbox), [1]);
}

/// Control frames have no message id, and 0 is none.
#[test]
fn control_frames_are_not_recalled() {
    let mut outbox = Outbox::default();
    queue(&mut outbox, entry(0, Class::Control, 10), Lane::Pass);
    assert!(!outbox.recall(0, &mut |_, _| panic!("no message")));
    assert_eq!(write_all(&mut outbox), [0]);
}

#[test]
fn expiry_is_exact_and_makes_no_gap() {
    let mut outbox = Outbox::default();
    for (number, expires_at_ms, lane) in
        [(1, 0, Lane::Pass), (2, 100, Lane::Pass), (3, 101, Lane::Hold), (4, 100, Lane::Hold)]
    {
        let entry = Entry { expires_at_ms, ..entry(number, Class::Kept, 10) };
        queue(&mut outbox, entry, lane);
    }
    let mut removed = Vec::new();
    outbox.drop_expired(99, &mut |_, _| panic!("not yet"));
    outbox.drop_expired(100, &mut |why, entry| removed.push((why, entry.job)));
    assert_eq!(removed, [(Removal::Expired, 2), (Removal::Expired, 4)]);
    assert!(!outbox.has_spilled());
    outbox.check_invariants();
    assert!(outbox.release(std::iter::empty(), &mut |_, _| ()));
    assert_eq!(write_all(&mut outbox), [1, 3]);
}
