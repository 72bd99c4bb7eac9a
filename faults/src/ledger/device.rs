//! What one device has been told, as far as order needs it.

use super::entry::{Answer, Kind, Order};
use bytes::Bytes;
use std::collections::HashMap;

/// A message as an application sees it.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// Message id.
    pub id: u64,
    /// What it says.
    pub content: Bytes,
}

impl Receipt {
    /// The push's number, which its content begins with.
    pub fn number(&self) -> Option<u64> {
        let text = self.content.split(|&byte| byte == b' ').next()?;
        std::str::from_utf8(text).ok()?.parse().ok()
    }
}

/// One device's.
#[derive(Debug)]
pub struct Book {
    device: u32,
    /// When its program was started last, on the ledger's clock: what it remembered of live messages is gone since.
    pub restarted_us: u64,
    /// By target: when the latest push that it has was begun.
    latest: HashMap<(Kind, u32), u64>,
}

impl Book {
    /// A device that has had nothing.
    pub fn new(device: u32) -> Self {
        Self { device, restarted_us: 0, latest: HashMap::new() }
    }

    /// Its number.
    pub fn device(&self) -> u32 {
        self.device
    }

    /// Notes a first sight; false if it was accepted before something was even begun that the device has had already. Live messages and
    /// those of topics may be late; one that is being recalled may have been left out before.
    pub(super) fn is_in_order(&mut self, order: &Order, begun_us: u64, answer: &Answer) -> bool {
        if !order.kept || order.kind == Kind::Topic || answer.recalled {
            return true;
        }
        let latest = self.latest.entry((order.kind, order.target)).or_default();
        let late = answer.at_us.is_some_and(|accepted_us| accepted_us < *latest);
        *latest = begun_us.max(*latest);
        !late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_acceptance() {
        let order = Order {
            kind: Kind::User,
            target: 1,
            kept: true,
            expire_time_s: 0,
            audience: [0].into(),
        };
        let accepted = |at_us| Answer { at_us: Some(at_us), ..Answer::default() };
        let mut book = Book::new(0);
        assert!(book.is_in_order(&order, 10, &accepted(20)));
        assert!(book.is_in_order(&order, 5, &accepted(15)), "asked for at the same time");
        assert!(book.is_in_order(&order, 30, &accepted(40)));
        assert!(!book.is_in_order(&order, 21, &accepted(29)));
        assert!(book.is_in_order(&Order { target: 2, ..order }, 1, &accepted(2)));
    }

    #[test]
    fn contents_name_their_push() {
        let receipt = |content: &'static str| Receipt { id: 1, content: content.into() };
        assert_eq!(receipt("17 xxx").number(), Some(17));
        assert_eq!(receipt("17").number(), Some(17));
        assert_eq!(receipt("hello").number(), None);
    }
}
