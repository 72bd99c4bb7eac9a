//! The link's end of the shards' mailboxes, and what waits before one that is full. A full mailbox holds up nobody but its own
//! shard's mail; what waits is bounded by the credit that logic has, which is given back only when mail is accepted.

use crate::mail::{LinkId, ToShard};
use gpusher_sys::mailbox::SendError;
use std::collections::VecDeque;

/// Puts mail in one shard's mailbox.
pub trait Mailbox: Send {
    /// Hands the mail over and wakes the shard.
    ///
    /// # Errors
    /// Gives the mail back if there is no room. Mail for a shard that has ended is taken and dropped.
    fn try_send(&self, mail: ToShard) -> Result<(), ToShard>;
}

impl Mailbox for gpusher_sys::mailbox::Sender<ToShard> {
    fn try_send(&self, mail: ToShard) -> Result<(), ToShard> {
        match self.send(mail) {
            Ok(()) | Err(SendError::Closed(_)) => Ok(()),
            Err(SendError::Full(mail)) => Err(mail),
        }
    }
}

/// Mail for all shards, in order for each.
pub(crate) struct Postboxes {
    shards: Vec<Postbox>,
}

struct Postbox {
    mailbox: Box<dyn Mailbox>,
    waiting: VecDeque<(ToShard, Option<LinkId>)>,
}

impl Postboxes {
    /// One mailbox per shard, by number.
    pub(crate) fn new(mailboxes: Vec<Box<dyn Mailbox>>) -> Self {
        let postbox = |mailbox| Postbox { mailbox, waiting: VecDeque::new() };
        Self { shards: mailboxes.into_iter().map(postbox).collect() }
    }

    /// Sends, or queues behind what waits. Returns the link that may be given credit for it; if it has to wait, [`Postboxes::retry`] does.
    pub(crate) fn post(
        &mut self,
        shard: u32,
        mail: ToShard,
        credit: Option<LinkId>,
    ) -> Option<LinkId> {
        let postbox = &mut self.shards[shard as usize];
        if postbox.waiting.is_empty() {
            match postbox.mailbox.try_send(mail) {
                Ok(()) => return credit,
                Err(mail) => postbox.waiting.push_back((mail, credit)),
            }
        } else {
            postbox.waiting.push_back((mail, credit));
        }
        None
    }

    /// Sends what has waited, as far as there is room; calls `accepted` for each link that may be given credit.
    pub(crate) fn retry(&mut self, mut accepted: impl FnMut(LinkId)) {
        for postbox in &mut self.shards {
            while let Some((mail, credit)) = postbox.waiting.pop_front() {
                match postbox.mailbox.try_send(mail) {
                    Ok(()) => credit.into_iter().for_each(&mut accepted),
                    Err(mail) => {
                        postbox.waiting.push_front((mail, credit));
                        break;
                    }
                }
            }
        }
    }

    /// Mails waiting for room.
    pub(crate) fn waiting(&self) -> usize {
        self.shards.iter().map(|postbox| postbox.waiting.len()).sum()
    }
}
