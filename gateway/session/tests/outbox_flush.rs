//! Writing: pieces in order, at most sixteen at once, the first from where the socket stopped; what a direct send left goes in front.

mod entries;

use entries::{OLDEST, entry, queue, write_all};
use gpusher_session::{Class, Lane, Outbox, PIECES_MAX, Progress};

fn lengths(outbox: &mut Outbox<u64>) -> Vec<usize> {
    outbox.pieces().map(|piece| piece.len()).collect()
}

#[test]
fn the_first_piece_goes_on_where_the_socket_stopped() {
    let mut outbox = Outbox::default();
    (1..=3).for_each(|number| queue(&mut outbox, entry(number, OLDEST, 10), Lane::Pass));
    let mut written = Vec::new();
    let mut done = |entry: gpusher_session::Entry<u64>| written.push(entry.job);
    assert_eq!(lengths(&mut outbox), [10, 10, 10]);
    assert_eq!(outbox.advance(0, &mut done), Progress::Full);
    assert_eq!(lengths(&mut outbox), [10, 10, 10]);
    assert_eq!(outbox.advance(13, &mut done), Progress::Full);
    assert_eq!(lengths(&mut outbox), [7, 10]);
    assert_eq!(outbox.advance(6, &mut done), Progress::Full);
    assert_eq!(lengths(&mut outbox), [1, 10]);
    assert_eq!(outbox.advance(11, &mut done), Progress::Done);
    assert_eq!(written, [1, 2, 3]);
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn sixteen_at_once() {
    let mut outbox = Outbox::default();
    for number in 0..20 {
        outbox.put_back(entry(number, OLDEST, 1), 0);
    }
    assert_eq!(lengths(&mut outbox).len(), PIECES_MAX);
    let mut written = 0;
    assert_eq!(outbox.advance(16, &mut |_| written += 1), Progress::More);
    assert_eq!(lengths(&mut outbox).len(), 4);
    assert_eq!(outbox.advance(4, &mut |_| written += 1), Progress::Done);
    assert_eq!(written, 20);
}

#[test]
fn held_entries_are_not_written() {
    let mut outbox = Outbox::default();
    queue(&mut outbox, entry(1, OLDEST, 10), Lane::Hold);
    queue(&mut outbox, entry(2, OLDEST, 10), Lane::Pass);
    assert_eq!(lengths(&mut outbox), [10]);
    assert_eq!(outbox.advance(10, &mut |entry| assert_eq!(entry.job, 2)), Progress::Done);
    assert_eq!((outbox.len(), outbox.has_ready()), (1, false));
}

/// A buffer of frames 1 and 2 was sent at once, 3 queued meanwhile; of 1, four bytes are gone.
#[test]
fn what_a_direct_send_left_goes_in_front() {
    let mut outbox = Outbox::default();
    queue(&mut outbox, entry(3, Class::Kept, 10), Lane::Pass);
    outbox.put_back(entry(2, Class::Kept, 10), 0);
    outbox.put_back(entry(1, Class::Kept, 10), 4);
    outbox.check_invariants();
    assert_eq!(lengths(&mut outbox), [6, 10, 10]);
    outbox.advance(0, &mut |_| ());
    assert_eq!(write_all(&mut outbox), [1, 2, 3]);
}

#[test]
fn what_is_left_at_the_end_is_handed_back_in_order() {
    let mut outbox = Outbox::default();
    queue(&mut outbox, entry(3, Class::Kept, 10), Lane::Hold);
    queue(&mut outbox, entry(2, OLDEST, 10), Lane::Pass);
    outbox.put_back(entry(1, OLDEST, 10), 4);
    let mut left = Vec::new();
    outbox.clear(&mut |entry| left.push(entry.job));
    assert_eq!(left, [1, 2, 3]);
    assert!(outbox.is_idle());
}

#[test]
#[should_panic(expected = "more was taken than given")]
fn a_socket_cannot_take_more_than_it_was_given() {
    let mut outbox = Outbox::default();
    queue(&mut outbox, entry(1, OLDEST, 10), Lane::Pass);
    outbox.pieces().for_each(drop);
    outbox.advance(11, &mut |_| ());
}
