//! Bugs that are switched on in the simulation's own parts, for the checks to find.

use gpusher_proto::gateway::{
    Command, FromGateway, ToGateway, command, delivery, event, from_gateway, to_gateway,
};

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canary {
    /// Routes: an unbind removes whoever holds the user's routes.
    UnbindAnybody,
    /// Network: a SyncDone arrives without its positions.
    ForgetPositions,
    /// Network: a message goes to somebody else, too.
    Misdeliver,
    /// Network: a connection is named twice in a delivery.
    DeliverTwice,
    /// Network: messages lose their expiry.
    NeverExpire,
    /// Network: commands overtake each other.
    SwapCommands,
    /// Network: recalls do not arrive.
    DropRecalls,
    /// Network: answers do not arrive.
    DropAnswers,
    /// Network: logic does not hear of ends.
    DropClosed,
    /// Network: an outcome arrives twice.
    DoubleOutcomes,
    /// Store: cursors move one further than asked.
    OvershootCursors,
    /// Store: some messages get their number and are not kept.
    LoseAppends,
    /// Store: a page that one message fills says that it is the last.
    EndFullPages,
    /// Queue: a record is passed over.
    SkipRecords,
    /// Queue: what clients publish is answered and not kept.
    LosePublishes,
    /// Kernel: the first byte of a longer send is lost.
    LoseBytes,
    /// Kernel: a reset makes the process panic.
    PanicOnReset,
}

impl Canary {
    /// What becomes of a message to a gateway. `other`: a connection that something was for before.
    pub(crate) fn spoil(self, message: &mut ToGateway, other: &mut Option<u64>) {
        let Some(to_gateway::Kind::Batch(batch)) = &mut message.kind else { return };
        let commands = &mut batch.commands;
        match self {
            Self::SwapCommands => {
                let delivery = |it: &Command| matches!(it.kind, Some(command::Kind::Delivery(_)));
                if let [one, two, ..] = &mut commands[..]
                    && delivery(one)
                    && delivery(two)
                {
                    std::mem::swap(one, two);
                }
            }
            Self::DropAnswers => {
                commands.retain(|it| !matches!(it.kind, Some(command::Kind::Answer(_))));
            }
            Self::DropRecalls => {
                commands.retain(|it| !matches!(it.kind, Some(command::Kind::Recall(_))));
            }
            _ => commands.iter_mut().for_each(|command| self.spoil_command(command, other)),
        }
    }

    fn spoil_command(self, command: &mut Command, other: &mut Option<u64>) {
        match (self, &mut command.kind) {
            (Self::ForgetPositions, Some(command::Kind::SyncDone(done))) => done.positions.clear(),
            (Self::NeverExpire, Some(command::Kind::Delivery(delivery))) => {
                delivery.message.iter_mut().for_each(|message| message.expires_at_ms = 0);
            }
            (Self::Misdeliver, Some(command::Kind::Delivery(delivery))) if !delivery.replay => {
                if let Some(delivery::Audience::Connections(to)) = &mut delivery.audience {
                    let before = std::mem::replace(other, to.ids.first().copied());
                    to.ids.extend(before.filter(|before| !to.ids.contains(before)));
                }
            }
            (Self::DeliverTwice, Some(command::Kind::Delivery(delivery))) => {
                if let Some(delivery::Audience::Connections(to)) = &mut delivery.audience {
                    to.ids.extend(to.ids.first().copied());
                }
            }
            _ => {}
        }
    }

    /// What becomes of a message to logic.
    pub(crate) fn spoil_report(self, message: &mut FromGateway) {
        let Some(from_gateway::Kind::Report(report)) = &mut message.kind else { return };
        let events = &mut report.events;
        match self {
            Self::DropClosed => {
                events.retain(|it| !matches!(it.kind, Some(event::Kind::Closed(_))));
            }
            Self::DoubleOutcomes => {
                let is_outcome = |it: &&_| {
                    let event: &gpusher_proto::gateway::Event = it;
                    matches!(event.kind, Some(event::Kind::Outcome(_)))
                };
                let again = events.iter().find(is_outcome).cloned();
                events.extend(again);
            }
            _ => {}
        }
    }
}
