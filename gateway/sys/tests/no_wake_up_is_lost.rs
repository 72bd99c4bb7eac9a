//! Four senders and a mailbox whose owner sleeps on the waker whenever it may. Every message must
//! arrive, in the order of its sender, and no sleep may outlast the next message: a lost wake-up
//! shows as a wait that times out.

use gpusher_sys::driver::{Driver, Event};
use gpusher_sys::epoll::Epoll;
use gpusher_sys::mailbox::{Mailbox, SendError, Sender, mailbox};
use gpusher_sys::uring::{Uring, UringOptions};
use std::thread;
use std::time::{Duration, Instant};

/// Sender and sequence.
type Message = (usize, u64);

const SENDERS: usize = 4;
const MESSAGES_EACH: u64 = 20_000;

#[test]
fn no_wake_up_is_lost() {
    // Small, so that the mailbox is often full and often empty: both edges of the handshake.
    let (sender, mut mailbox) = mailbox(64).unwrap();
    let waker = mailbox.waker();
    run(&mut Epoll::new(None, waker.clone()).unwrap(), &sender, &mut mailbox);
    let options = UringOptions::default();
    run(&mut Uring::new(&options, None, waker).unwrap(), &sender, &mut mailbox);
}

fn run(driver: &mut dyn Driver, sender: &Sender<Message>, mailbox: &mut Mailbox<Message>) {
    let threads: Vec<_> = (0..SENDERS)
        .map(|number| {
            let sender = sender.clone();
            thread::spawn(move || {
                for sequence in 0..MESSAGES_EACH {
                    let mut message = (number, sequence);
                    while let Err(SendError::Full(back)) = sender.send(message) {
                        message = back;
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();

    let mut expected = [0u64; SENDERS];
    let mut sleeps = 0u64;
    while expected.iter().sum::<u64>() < SENDERS as u64 * MESSAGES_EACH {
        while let Some((number, sequence)) = mailbox.pop() {
            assert_eq!(sequence, expected[number], "sender {number} was overtaken");
            expected[number] += 1;
        }
        if expected.iter().sum::<u64>() == SENDERS as u64 * MESSAGES_EACH {
            break;
        }
        if mailbox.prepare_sleep() {
            sleeps += 1;
            let mut woken = false;
            let started = Instant::now();
            driver.turn(Duration::from_secs(10), &mut |event| {
                woken |= matches!(event, Event::Woken);
            });
            assert!(woken, "slept {:?} while senders had messages", started.elapsed());
            mailbox.awake();
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(mailbox.is_empty());
    assert!(sleeps > 0, "the owner never slept: nothing was tested");
}
