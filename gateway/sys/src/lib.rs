//! Every unsafe line of the workspace: rings, sockets, affinity, mailboxes. Knows no protocol.
//!
//! | module | gives |
//! | --- | --- |
//! | [`driver`] | the trait a shard drives its sockets through |
//! | [`uring`], [`epoll`] | its two implementations |
//! | [`mailbox`] | a bounded queue into a shard, with a wake-up only when the shard sleeps |
//! | [`socket`] | listeners |
//! | [`affinity`], [`limits`], [`clock`] | cores, resource limits, time |

mod accepted;
mod address;
pub mod affinity;
pub mod clock;
pub mod driver;
pub mod epoll;
mod frames;
pub mod limits;
pub mod mailbox;
mod primitive;
mod slots;
pub mod socket;
mod syscall;
pub mod uring;
mod waker;

pub use waker::Waker;
