//! Every unsafe line of the workspace: rings, sockets, affinity, mailboxes. Knows no protocol.
//!
//! | module | gives |
//! | --- | --- |
//! | [`driver`] | the trait a shard drives its sockets through |
//! | [`uring`], [`epoll`] | its two implementations |
//! | [`choose`], [`selftest`] | which of them to use, and whether this kernel does what the ring's driver relies on |
//! | [`mailbox`] | a bounded queue into a shard, with a wake-up only when the shard sleeps |
//! | [`socket`] | listeners |
//! | [`affinity`], [`scheduling`], [`limits`], [`clock`] | cores, turns on them, resource limits, time |
//! | [`heap`] | the allocator that counts what is live |
//! | [`floor`] | the bare cost of one-to-many sends, for measurements |

mod accepted;
mod address;
pub mod affinity;
pub mod choose;
pub mod clock;
mod doorbell;
pub mod driver;
pub mod epoll;
pub mod floor;
mod frames;
pub mod heap;
pub mod limits;
pub mod mailbox;
mod primitive;
pub mod scheduling;
pub mod selftest;
mod slots;
pub mod socket;
mod syscall;
pub mod uring;
mod waker;

pub use waker::Waker;
