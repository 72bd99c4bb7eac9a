//! A wake-up ends a wait, whether it comes before the wait or during it, from this thread or
//! another, and as often as it is used.

mod support;

use std::thread;
use std::time::{Duration, Instant};
use support::{PATIENCE, Seen, on_every_driver};

#[test]
fn wake_up() {
    on_every_driver(|fixture| {
        for _ in 0..100 {
            fixture.waker.wake();
            let started = Instant::now();
            fixture.turn(PATIENCE);
            assert!(started.elapsed() < PATIENCE, "{}: slept through", fixture.name);
            assert_eq!(fixture.seen, [Seen::Woken], "{}", fixture.name);
            fixture.seen.clear();
        }

        let waker = fixture.waker.clone();
        let (tell, told) = std::sync::mpsc::channel::<()>();
        let other = thread::spawn(move || {
            while told.recv().is_ok() {
                waker.wake();
            }
        });
        for _ in 0..100 {
            tell.send(()).unwrap();
            fixture.turn(PATIENCE);
            assert_eq!(fixture.seen, [Seen::Woken], "{}", fixture.name);
            fixture.seen.clear();
        }
        drop(tell);
        other.join().unwrap();

        // Without a wake-up it waits; a signal may cut a wait short.
        let (started, mut turns) = (Instant::now(), 0);
        while started.elapsed() < Duration::from_millis(20) {
            fixture.turn(Duration::from_millis(20));
            turns += 1;
        }
        assert!(turns < 10, "{}: did not wait", fixture.name);
        fixture.expect_nothing_else();
    });
}
