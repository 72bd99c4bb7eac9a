//! Which cores this process may use, and binding a thread to one.

use crate::syscall::check;
use std::io;
use std::mem::{size_of, zeroed};

/// The cores this thread may run on, in increasing order: container limits and `taskset` show here.
///
/// # Errors
/// When the host has more cores than the C library's set holds (1,024).
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    // SAFETY: a `cpu_set_t` is plain integers, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: `set` is live and of the length given.
    check(unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) })?;
    let is_in = |core: &usize| {
        // SAFETY: `core` is below the number of bits in the set.
        unsafe { libc::CPU_ISSET(*core, &set) }
    };
    Ok((0..libc::CPU_SETSIZE as usize).filter(is_in).collect())
}

/// Binds the calling thread to one core.
///
/// # Errors
/// When the core does not exist or is not allowed.
pub fn pin_to(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: a `cpu_set_t` is plain integers, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: `core` is below the number of bits in the set.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: `set` is live and of the length given; the kernel only reads it.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) })
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_has_one_core() {
        let last = *allowed_cores().unwrap().last().unwrap();
        let seen = std::thread::spawn(move || {
            pin_to(last).unwrap();
            allowed_cores().unwrap()
        });
        assert_eq!(seen.join().unwrap(), [last]);
    }

    #[test]
    fn a_core_that_cannot_be_is_an_error() {
        assert!(pin_to(1_000_000).is_err());
    }
}
