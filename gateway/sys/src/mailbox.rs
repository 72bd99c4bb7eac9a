//! A bounded queue into a shard. A sender makes a system call only when the shard sleeps.
//! How the two agree on that: `doorbell`.

use crate::Waker;
use crate::doorbell::Doorbell;
use crate::primitive::{AtomicBool, Ordering};
use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;
use std::io;
use std::sync::Arc;

/// Makes a mailbox that holds `capacity` messages.
///
/// # Errors
/// When the process has no descriptor left for the waker.
///
/// # Panics
/// When `capacity` is zero.
pub fn mailbox<T: Send>(capacity: usize) -> io::Result<(Sender<T>, Mailbox<T>)> {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(capacity),
        doorbell: CachePadded::new(Doorbell::new()),
        receiver_gone: AtomicBool::new(false),
        waker: Waker::new()?,
    });
    Ok((Sender { shared: Arc::clone(&shared) }, Mailbox { shared }))
}

#[derive(Debug)]
struct Shared<T> {
    queue: ArrayQueue<T>,
    doorbell: CachePadded<Doorbell>,
    receiver_gone: AtomicBool,
    waker: Waker,
}

/// Why a message was not taken; the message comes back.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError<T> {
    /// The shard is behind. Try later, or count the loss.
    #[error("mailbox is full")]
    Full(T),
    /// The shard has ended.
    #[error("mailbox has no receiver")]
    Closed(T),
}

/// The end that other threads hold.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Puts a message in, and wakes the shard if it sleeps. Messages of one thread keep their
    /// order.
    ///
    /// # Errors
    /// When the mailbox is full or its shard has ended.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        if self.shared.receiver_gone.load(Ordering::Acquire) {
            return Err(SendError::Closed(message));
        }
        self.shared.queue.push(message).map_err(SendError::Full)?;
        if self.shared.doorbell.must_ring() {
            self.shared.waker.wake();
        }
        Ok(())
    }

    /// Messages waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.queue.len()
    }

    /// Whether no message waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.queue.is_empty()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// The shard's end.
#[derive(Debug)]
pub struct Mailbox<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Mailbox<T> {
    /// What the shard's driver must watch.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.shared.waker.clone()
    }

    /// Takes the oldest message.
    pub fn pop(&mut self) -> Option<T> {
        self.shared.queue.pop()
    }

    /// Messages waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.queue.len()
    }

    /// Whether no message waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.queue.is_empty()
    }

    /// Call before a wait: from here on senders wake the driver. False: a message is there already,
    /// do not wait.
    #[must_use]
    pub fn prepare_sleep(&mut self) -> bool {
        let Shared { doorbell, queue, .. } = &*self.shared;
        doorbell.may_sleep(|| queue.is_empty())
    }

    /// Call after a wait: senders need not wake the driver any more.
    pub fn awake(&mut self) {
        self.shared.doorbell.awake();
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        self.shared.receiver_gone.store(true, Ordering::Release);
        // A sender that looked just before may still put a message in: it is freed with the queue.
        while self.shared.queue.pop().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_it_cannot_hold() {
        let (sender, mut mailbox) = mailbox(2).unwrap();
        assert_eq!(sender.send(1), Ok(()));
        assert_eq!(sender.send(2), Ok(()));
        assert_eq!(sender.send(3), Err(SendError::Full(3)));
        assert_eq!(mailbox.pop(), Some(1));
        assert_eq!(sender.send(3), Ok(()));
        drop(mailbox);
        assert_eq!(sender.send(4), Err(SendError::Closed(4)));
    }

    #[test]
    fn does_not_sleep_on_a_message() {
        let (sender, mut mailbox) = mailbox(2).unwrap();
        assert!(mailbox.prepare_sleep());
        mailbox.awake();
        sender.send(1).unwrap();
        assert!(!mailbox.prepare_sleep());
    }
}
