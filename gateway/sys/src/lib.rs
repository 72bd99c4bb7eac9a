//! Every unsafe line of the workspace: rings, sockets, affinity, mailboxes.

pub mod driver;

/// Placeholder of the waker until the mailbox lands.
#[derive(Debug)]
pub struct Waker;
