//! A bounded queue into a shard. A sender makes a system call only when the shard sleeps.
//!
//! # The handshake
//! A sender first puts its message in, then looks at `sleeping`; the shard first sets `sleeping`,
//! then looks at the queue. A sequentially consistent fence between the two steps on both sides
//! means that at least one of them sees the other: either the shard finds the message and does not
//! sleep, or the sender finds the shard sleeping and wakes it. The sender that clears `sleeping` is
//! the only one to write the eventfd.

use crate::Waker;
use crate::primitive::{AtomicBool, Ordering, fence};
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
        sleeping: CachePadded::new(AtomicBool::new(false)),
        receiver_gone: AtomicBool::new(false),
        waker: Waker::new()?,
    });
    Ok((Sender { shared: Arc::clone(&shared) }, Mailbox { shared }))
}

#[derive(Debug)]
struct Shared<T> {
    queue: ArrayQueue<T>,
    sleeping: CachePadded<AtomicBool>,
    receiver_gone: AtomicBool,
    waker: Waker,
}

impl<T> Shared<T> {
    fn wake_if_sleeping(&self) {
        fence(Ordering::SeqCst);
        let sleeps = self.sleeping.load(Ordering::Relaxed);
        if sleeps && self.sleeping.swap(false, Ordering::Relaxed) {
            self.waker.wake();
        }
    }
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
        self.shared.wake_if_sleeping();
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
        self.shared.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.shared.queue.is_empty() {
            return true;
        }
        self.awake();
        false
    }

    /// Call after a wait: senders need not wake the driver any more.
    pub fn awake(&mut self) {
        self.shared.sleeping.store(false, Ordering::Relaxed);
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
