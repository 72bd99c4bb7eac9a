//! What logic sends.

use super::LinkEnd;
use super::hub::Hub;
use super::joins::LOGIN;
use super::logic::Logic;
use super::membership::Key;
use super::split::Split;
use crate::mail::LinkId;
use crate::metrics::LinkCount;
use gpusher_proto::gateway::{
    Answer, ChannelKind, Delivery, Handed, Message, Outcome, ToGateway, command, delivery, event,
    to_gateway,
};
use gpusher_proto::wire::Code;

/// Join answers held at most; more are refused.
const ANSWERS_HELD_MAX: usize = 65_536;

impl Hub {
    /// One message of a stream. A logic that breaks the rules loses its link.
    pub(super) fn on_message(&mut self, id: LinkId, message: ToGateway) {
        if let Err(why) = self.try_message(id, message) {
            self.end(id, LinkEnd::Violation(why));
        }
    }

    fn try_message(&mut self, id: LinkId, message: ToGateway) -> Result<(), &'static str> {
        let named = self.logic(id).is_some_and(|logic| logic.name.is_some());
        match message.kind {
            Some(to_gateway::Kind::Attach(_)) if named => Err("attached twice"),
            Some(to_gateway::Kind::Attach(attach)) if attach.logic.is_empty() => {
                Err("attach without a name")
            }
            Some(to_gateway::Kind::Attach(attach)) => {
                self.attach(id, attach);
                Ok(())
            }
            Some(to_gateway::Kind::Batch(_)) if !named => Err("commands before attach"),
            Some(to_gateway::Kind::Batch(batch)) => {
                self.counts.add(LinkCount::Commands, batch.commands.len() as u64);
                batch.commands.into_iter().try_for_each(|command| self.on_command(id, command.kind))
            }
            None => Err("empty message"),
        }
    }

    fn on_command(&mut self, id: LinkId, kind: Option<command::Kind>) -> Result<(), &'static str> {
        let now = self.now;
        let logic = self.logic(id).ok_or("the link has ended")?;
        logic.credit.spend().map_err(|_| "more commands than credit")?;
        match kind {
            Some(command::Kind::MembershipAck(ack)) => {
                logic.acknowledge(ack.revision, now);
                self.release_acknowledged();
                self.give_back(id);
            }
            Some(command::Kind::Apps(apps)) => {
                self.set_apps(apps.apps);
                self.give_back(id);
            }
            Some(command::Kind::AnnounceAgain(_)) => {
                self.announce_again(id);
                self.give_back(id);
            }
            Some(command::Kind::Answer(answer)) => return self.on_answer(id, answer),
            Some(command::Kind::Admit(admit)) => {
                self.after_login(admit.conn, admit.code == 0);
                return self.pass_on(id, command::Kind::Admit(admit));
            }
            Some(command::Kind::Delivery(delivery)) => return self.on_delivery(id, delivery),
            Some(command::Kind::Recall(recall)) => {
                self.recalled.add(recall.message_id);
                return self.pass_on(id, command::Kind::Recall(recall));
            }
            Some(kind) => return self.pass_on(id, kind),
            None => self.unusable(id, &"empty command"),
        }
        Ok(())
    }

    /// With several logics, one may not know what another has recalled, even if that is gone since, and does not know what another has sent.
    fn on_delivery(&mut self, id: LinkId, delivery: Delivery) -> Result<(), &'static str> {
        if let Some(message) = &delivery.message {
            if self.recalled.contains(message.id) {
                let outcome = recalled(&delivery);
                self.finish_job(id, outcome);
                return Ok(());
            }
            if self.attached() > 1
                && let Some(handed) = handed_to_all(&delivery, message)
            {
                let named = |logic: &&mut Logic| logic.name.is_some() && logic.id != id;
                for logic in self.logics.iter_mut().filter(named) {
                    logic.outgoing.push(event::Kind::Handed(handed));
                }
            }
        }
        self.pass_on(id, command::Kind::Delivery(delivery))
    }

    /// Hands a command to the shards it concerns.
    fn pass_on(&mut self, id: LinkId, kind: command::Kind) -> Result<(), &'static str> {
        match self.layout.split(id, kind) {
            Ok(split) => self.dispatch(id, split),
            Err(error) => {
                self.unusable(id, &error);
                Ok(())
            }
        }
    }

    fn unusable(&mut self, id: LinkId, error: &dyn std::fmt::Display) {
        tracing::debug!(link = id.0, %error, "unusable command");
        self.counts.add(LinkCount::CommandsUnusable, 1);
        self.give_back(id);
    }

    /// Posts a command's mail. A delivery's credit comes back with its Outcome, any other's when its last mail is in its mailbox.
    fn dispatch(&mut self, id: LinkId, split: Split) -> Result<(), &'static str> {
        let mut credit = Some(id);
        if let Some(parts) = split.job {
            credit = None;
            let begun = self.collector.begin(id, parts).map_err(|_| "job number used twice")?;
            if let Some(outcome) = begun {
                self.finish_job(id, outcome);
            }
        }
        // Nobody here is concerned.
        if let (true, Some(link)) = (split.mails.is_empty(), credit) {
            self.give_back(link);
        }
        let last = split.mails.len().wrapping_sub(1);
        for (index, (shard, mail)) in split.mails.into_iter().enumerate() {
            let credit = credit.filter(|_| index == last);
            if let Some(link) = self.postboxes.post(shard, mail, credit) {
                self.give_back(link);
            }
        }
        Ok(())
    }

    /// Reports a finished job and gives its credit back.
    pub(super) fn finish_job(&mut self, id: LinkId, outcome: gpusher_proto::gateway::Outcome) {
        if let Some(logic) = self.logic(id) {
            logic.outgoing.push(event::Kind::Outcome(outcome));
            logic.credit.give_back();
        }
    }

    /// A join's positive answer waits until every logic knows of the topic.
    fn on_answer(&mut self, id: LinkId, answer: Answer) -> Result<(), &'static str> {
        match self.joins.answered(answer.conn, answer.request) {
            Some(key) if answer.code == 0 => {
                let revision = self.memberships.revision_of(&key);
                if revision <= self.acknowledged_by_all() {
                    self.joins.settle_later(key, self.now);
                    return self.pass_on(id, command::Kind::Answer(answer));
                }
                self.give_back(id);
                if self.joins.held() < ANSWERS_HELD_MAX {
                    self.joins.hold(answer, key, revision, self.now);
                } else {
                    self.refuse_join(answer, &key);
                }
                Ok(())
            }
            join => {
                join.iter().for_each(|key| self.settle(key));
                self.pass_on(id, command::Kind::Answer(answer))
            }
        }
    }

    /// A version 0 login names its topic; admitted, its shard counts it soon.
    fn after_login(&mut self, conn: u64, admitted: bool) {
        match self.joins.answered(conn, LOGIN) {
            Some(key) if admitted => self.joins.settle_later(key, self.now),
            Some(key) => self.settle(&key),
            None => {}
        }
    }

    /// A topic that could not be made known everywhere in time: the client may try again.
    pub(super) fn refuse_join(&mut self, answer: Answer, key: &Key) {
        self.counts.add(LinkCount::AnswersOverdue, 1);
        let code = u32::from(Code::NotAvailable.number());
        self.send_answer(Answer { code, value: 0, ..answer });
        self.settle(key);
    }

    /// One command of that logic is done with.
    pub(super) fn give_back(&mut self, id: LinkId) {
        if let Some(logic) = self.logic(id) {
            logic.credit.give_back();
        }
    }
}

/// What becomes of a delivery whose message was recalled.
fn recalled(delivery: &Delivery) -> Outcome {
    let receivers = match &delivery.audience {
        Some(delivery::Audience::Connections(connections)) => connections.ids.len(),
        _ => 1,
    };
    Outcome { job: delivery.job, recalled: receivers as u32, ..Outcome::default() }
}

/// What the other logics are told of a kept message that goes to a whole app, or everyone.
fn handed_to_all(delivery: &Delivery, message: &Message) -> Option<Handed> {
    let app_id = match &delivery.audience {
        Some(delivery::Audience::AppId(app_id)) if message.channel == ChannelKind::App as i32 => {
            *app_id
        }
        Some(delivery::Audience::Everyone(_)) => 0,
        _ => return None,
    };
    let (channel, seq, message_id) = (message.channel, message.seq, message.id);
    message.kept.then_some(Handed { channel, app_id, seq, message_id, ..Handed::default() })
}
