//! How long a thread runs before another one has its turn.

use crate::syscall::check;
use std::io;
use std::time::Duration;

/// A slice for threads that do little each time they wake, so that they have their turn soon on a core that others fill. The kernel's least is 0.1 ms.
pub const SHORT_SLICE: Duration = Duration::from_micros(100);

/// Asks for a slice of that length for the calling thread and those that it starts from now on; none: the host's own. Since Linux 6.12 the shorter slice
/// goes first among equals (sched(7), EEVDF), and shares of the processor stay what they were; older kernels take the call and do nothing.
///
/// # Errors
/// As the kernel says, when the thread has another policy than the usual one, or a filter forbids the call.
pub fn set_slice(slice: Option<Duration>) -> io::Result<()> {
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        // SAFETY: takes two numbers; for the calling thread there is no error.
        sched_nice: unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) },
        sched_priority: 0,
        sched_runtime: slice.map_or(0, |slice| slice.as_nanos() as u64),
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: `attributes` is live and says its own size; the kernel only reads it.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } as i32)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::read_to_string;
    use std::thread::spawn;

    /// What the kernel says of this thread, where it says it (`CONFIG_SCHED_DEBUG`, since 6.12).
    fn slice_ns() -> Option<u64> {
        let text = read_to_string("/proc/thread-self/sched").ok()?;
        let line = text.lines().find(|line| line.starts_with("se.slice"))?;
        line.rsplit(':').next()?.trim().parse().ok()
    }

    #[test]
    fn a_thread_has_the_slice_that_its_starter_asked_for() {
        let seen = spawn(|| {
            let before = slice_ns();
            set_slice(Some(SHORT_SLICE)).unwrap();
            let inherited = spawn(slice_ns).join().unwrap();
            set_slice(None).unwrap();
            (before, inherited, slice_ns())
        });
        let (before, inherited, after) = seen.join().unwrap();
        if before.is_some() {
            assert_eq!(inherited, Some(SHORT_SLICE.as_nanos() as u64));
            assert_eq!(after, before);
        }
    }
}
