//! Events that another logic's ignorance would make unsafe: a login or a join, until every logic knows that the app or topic has members here.
//!
//! Who handles it reads how far the log reaches. What another logic appends after that it also sends here, if it knows of the members; what it did not
//! send here, because it did not know, it has appended before it knew. So the reading must come after the knowing. With one logic, its own stream keeps that order.
//!
//! What the connection has to say meanwhile waits behind the event.

use crate::mail::LinkId;
use gpusher_proto::gateway::event;
use rustc_hash::FxHashMap;

/// An event and the logic it is for.
pub(crate) type Addressed = (LinkId, event::Kind);

/// Connections whose events wait.
#[derive(Debug, Default)]
pub(crate) struct Barrier(FxHashMap<u64, Waiting>);

#[derive(Debug)]
struct Waiting {
    /// Of the memberships that everybody has to know.
    revision: u64,
    events: Vec<Addressed>,
}

impl Barrier {
    /// Keeps an event until the revision is known everywhere.
    pub(crate) fn hold(&mut self, conn: u64, revision: u64, event: Addressed) {
        let waiting = self.0.entry(conn).or_insert(Waiting { revision, events: Vec::new() });
        waiting.revision = waiting.revision.max(revision);
        waiting.events.push(event);
    }

    /// Keeps an event behind those that wait; gives it back if none do.
    pub(crate) fn follow(&mut self, conn: u64, event: Addressed) -> Option<Addressed> {
        match self.0.get_mut(&conn) {
            Some(waiting) => {
                waiting.events.push(event);
                None
            }
            None => Some(event),
        }
    }

    /// Those that have waited for a revision up to this one, each connection's in order.
    pub(crate) fn release(&mut self, known: u64) -> Vec<Addressed> {
        let due = |_: &u64, waiting: &mut Waiting| waiting.revision <= known;
        self.0.extract_if(due).flat_map(|(_, waiting)| waiting.events).collect()
    }

    /// Connections that wait.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpusher_proto::gateway::{Closed, Join};

    const LINK: LinkId = LinkId(1);

    #[test]
    fn events_of_a_connection_leave_in_their_order() {
        let mut barrier = Barrier::default();
        let join = |conn| (LINK, event::Kind::Join(Join { conn, ..Join::default() }));
        let closed = |conn| (LINK, event::Kind::Closed(Closed { conn, ..Closed::default() }));
        barrier.hold(1, 5, join(1));
        barrier.hold(2, 7, join(2));
        assert_eq!(barrier.follow(1, closed(1)), None);
        assert_eq!(barrier.follow(3, closed(3)), Some(closed(3)));
        assert_eq!(barrier.release(4), []);
        assert_eq!(barrier.release(6), [join(1), closed(1)]);
        assert_eq!(barrier.follow(1, closed(1)), Some(closed(1)));
        assert_eq!(barrier.len(), 1);
    }
}
