//! One ring: set up with the best flags the kernel takes, entered by our own system call (the
//! crate's cannot name a registered ring together with NO_IOWAIT), and emptied into a list that all
//! rings of the driver share.

use super::error::UringError;
use super::options::UringOptions;
use super::tag::Tag;
use crate::syscall::check;
use io_uring::{EnterFlags, IoUring, squeue};
use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::mem::size_of;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Registering a ring's descriptor with the thread (`linux/io_uring.h`).
const REGISTER_RING_FDS: libc::c_uint = 20;
const UNREGISTER_RING_FDS: libc::c_uint = 21;

/// How much of the set-up the kernel took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingFlags {
    /// SINGLE_ISSUER, DEFER_TASKRUN, TASKRUN_FLAG, SUBMIT_ALL, NO_SQARRAY.
    All,
    /// Linux before 6.6.
    WithoutNoSqarray,
    /// Linux before 6.1: completions interrupt the thread at any system call, not only when it asks
    /// for them.
    WithoutDeferTaskrun,
}

impl RingFlags {
    pub(crate) const BEST_FIRST: [Self; 3] =
        [Self::All, Self::WithoutNoSqarray, Self::WithoutDeferTaskrun];

    fn build(self, sq_entries: u32, cq_entries: u32) -> io::Result<IoUring> {
        let mut builder = IoUring::builder();
        builder.setup_clamp().setup_cqsize(cq_entries);
        builder.setup_submit_all().setup_taskrun_flag();
        match self {
            Self::All => {
                builder.setup_single_issuer().setup_defer_taskrun().setup_no_sqarray();
            }
            Self::WithoutNoSqarray => {
                builder.setup_single_issuer().setup_defer_taskrun();
            }
            Self::WithoutDeferTaskrun => {
                builder.setup_coop_taskrun();
            }
        }
        builder.build(sq_entries)
    }
}

/// What became of an operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Completion {
    /// Which ring it was on.
    pub(super) ring: u32,
    pub(super) tag: Tag,
    /// As the system call would return it, errors negative.
    pub(super) result: i32,
    /// The operation goes on.
    pub(super) more: bool,
}

/// See the module.
pub(super) struct Ring {
    ring: IoUring,
    pub(super) flags: RingFlags,
    registered: Option<u32>,
    number: u32,
    /// The kernel takes entries from the thread that made the ring only.
    _not_send: PhantomData<*const ()>,
}

/// What has come back from all rings and was not handled yet.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) completions: VecDeque<Completion>,
    pub(super) counters: RingCounters,
}

#[derive(Debug, Default)]
pub(super) struct RingCounters {
    pub(super) enters: u64,
    pub(super) submissions: u64,
    pub(super) completions: u64,
    pub(super) completion_overflows: u64,
    pub(super) busy_retries: u64,
}

/// `struct io_uring_getevents_arg`.
#[repr(C)]
struct WaitArgument {
    signal_mask: u64,
    signal_mask_bytes: u32,
    min_wait_us: u32,
    timespec: u64,
}

/// `struct __kernel_timespec`.
#[repr(C)]
struct KernelTimespec {
    seconds: i64,
    nanoseconds: i64,
}

/// `struct io_uring_rsrc_update`.
#[repr(C)]
struct ResourceUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

impl Ring {
    pub(super) fn new(options: &UringOptions, number: u32) -> Result<Self, UringError> {
        let (ring, flags) = Self::set_up(options)?;
        let features = ring.params();
        for (present, missing) in [
            (features.is_feature_nodrop(), "overflow list"),
            (features.is_feature_ext_arg(), "timed wait"),
            (features.is_feature_submit_stable(), "stable submission"),
            (features.is_feature_skip_cqe_on_success(), "completion skipping"),
        ] {
            if !present {
                return Err(UringError::KernelTooOld { missing });
            }
        }
        let mut ring = Self { ring, flags, registered: None, number, _not_send: PhantomData };
        ring.register();
        Ok(ring)
    }

    fn set_up(options: &UringOptions) -> Result<(IoUring, RingFlags), UringError> {
        let mut refusal = None;
        for flags in RingFlags::BEST_FIRST.into_iter().skip_while(|flags| *flags != options.flags) {
            match flags.build(options.sq_entries, options.cq_entries) {
                Ok(ring) => return Ok((ring, flags)),
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refusal = Some(error),
                Err(error) => return Err(UringError::from_setup(error)),
            }
        }
        Err(UringError::from_setup(refusal.expect("there is at least one set of flags")))
    }

    pub(super) fn io_uring(&self) -> &IoUring {
        &self.ring
    }

    pub(super) fn io_uring_mut(&mut self) -> &mut IoUring {
        &mut self.ring
    }

    /// Saves the look-up of the descriptor in each enter. A thread has 16 places for it; without
    /// one, the plain descriptor does.
    fn register(&mut self) {
        let data = self.ring.as_raw_fd() as u64;
        let mut update = ResourceUpdate { offset: u32::MAX, reserved: 0, data };
        if self.update_registration(REGISTER_RING_FDS, &mut update).is_ok() {
            self.registered = Some(update.offset);
        }
    }

    fn update_registration(
        &self,
        operation: libc::c_uint,
        update: &mut ResourceUpdate,
    ) -> io::Result<libc::c_int> {
        let (ring, update) = (self.ring.as_raw_fd(), &raw mut *update);
        // SAFETY: `update` is the one live entry that the last argument announces.
        let result =
            unsafe { libc::syscall(libc::SYS_io_uring_register, ring, operation, update, 1) };
        check(result as libc::c_int)
    }

    pub(super) fn is_full(&mut self) -> bool {
        self.ring.submission().is_full()
    }

    /// Whether there is nothing to submit, to run or to collect.
    pub(super) fn is_idle(&mut self) -> bool {
        let submissions = self.ring.submission();
        let quiet = submissions.is_empty() && !submissions.taskrun() && !submissions.cq_overflow();
        drop(submissions);
        quiet && self.ring.completion().is_empty()
    }

    /// Queues an operation.
    ///
    /// # Safety
    /// What the entry points to must stay valid until the operation has completed, or, where the
    /// kernel copies it (addresses, message headers), until [`Self::enter`] has returned.
    ///
    /// # Panics
    /// When the queue is full.
    pub(super) unsafe fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the caller promises it.
        let pushed = unsafe { self.ring.submission().push(entry) };
        pushed.expect("the caller made room");
    }

    /// Submits everything and collects what has completed; waits for the first completion, at most
    /// `timeout`.
    pub(super) fn enter(&mut self, mut timeout: Duration, collected: &mut Collected) {
        loop {
            let submissions = self.ring.submission().len() as u32;
            collected.counters.enters += 1;
            if let Err(error) = self.enter_once(submissions, timeout) {
                match error.raw_os_error() {
                    Some(libc::ETIME | libc::EINTR) => {}
                    // Out of memory for requests, or completions wait in the kernel for room: both
                    // pass.
                    Some(libc::EAGAIN | libc::EBUSY | libc::ENOMEM) => {
                        collected.counters.busy_retries += 1;
                        std::thread::yield_now();
                    }
                    _ => panic!("io_uring_enter refused: {error}"),
                }
            }
            self.collect(collected);
            timeout = Duration::ZERO;
            let submissions = self.ring.submission();
            if submissions.is_empty() && !submissions.cq_overflow() {
                return;
            }
        }
    }

    fn enter_once(&self, submissions: u32, timeout: Duration) -> io::Result<libc::c_int> {
        let mut flags = EnterFlags::GETEVENTS;
        let ring = match self.registered {
            Some(index) => {
                flags |= EnterFlags::REGISTERED_RING;
                index as libc::c_int
            }
            None => self.ring.as_raw_fd(),
        };
        if timeout.is_zero() {
            let nothing = std::ptr::null::<WaitArgument>();
            return enter(ring, submissions, 0, flags, nothing);
        }
        flags |= EnterFlags::EXT_ARG;
        if self.ring.params().is_feature_no_iowait() {
            flags |= EnterFlags::NO_IOWAIT;
        }
        let timespec = KernelTimespec {
            seconds: timeout.as_secs().min(i64::MAX as u64) as i64,
            nanoseconds: i64::from(timeout.subsec_nanos()),
        };
        let argument = WaitArgument {
            signal_mask: 0,
            signal_mask_bytes: 0,
            min_wait_us: 0,
            timespec: (&raw const timespec).expose_provenance() as u64,
        };
        enter(ring, submissions, 1, flags, &raw const argument)
    }

    pub(super) fn collect(&mut self, collected: &mut Collected) {
        if self.ring.submission().cq_overflow() {
            collected.counters.completion_overflows += 1;
        }
        for entry in self.ring.completion() {
            collected.counters.completions += 1;
            collected.completions.push_back(Completion {
                ring: self.number,
                tag: Tag::unpack(entry.user_data()),
                result: entry.result(),
                more: io_uring::cqueue::more(entry.flags()),
            });
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if let Some(offset) = self.registered {
            let mut update = ResourceUpdate { offset, reserved: 0, data: 0 };
            // Fails only for an index that is not registered; then there is nothing to give back.
            let _ = self.update_registration(UNREGISTER_RING_FDS, &mut update);
        }
    }
}

fn enter(
    ring: libc::c_int,
    submissions: u32,
    wait_for: u32,
    flags: EnterFlags,
    argument: *const WaitArgument,
) -> io::Result<libc::c_int> {
    // SAFETY: `argument` is null or points to live values; the kernel only reads them. Entries were
    // vouched for when pushed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_enter,
            ring,
            submissions,
            wait_for,
            flags.bits(),
            argument,
            if argument.is_null() { 0 } else { size_of::<WaitArgument>() },
        )
    };
    check(result as libc::c_int)
}
