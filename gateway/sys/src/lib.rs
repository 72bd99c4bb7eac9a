//! Every unsafe line of the workspace: rings, sockets, affinity, mailboxes. Knows no protocol.
//!
//! | module | gives |
//! | --- | --- |
//! | [`driver`] | the trait a shard drives its sockets through |
//! | [`epoll`] | its implementation where io_uring is blocked |
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
mod waker;

pub use waker::Waker;
