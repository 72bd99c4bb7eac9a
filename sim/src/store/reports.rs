//! Statuses, dead letters, clients' messages to the application.

use super::log::{Log, is_over};
use super::{Tables, invalid, page_limit};
use gpusher_control::error::Result;
use gpusher_control::logic::core::status::add_counts;
use gpusher_proto::data::*;
use gpusher_proto::gateway::ChannelKind;
use std::collections::BTreeMap;

/// The tables.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    statuses: BTreeMap<u64, (i64, Status)>,
    letters: BTreeMap<u64, DeadLetter>,
    upstream: BTreeMap<u64, UpstreamMessage>,
    next: u64,
}

impl Reports {
    pub(super) fn add_status(&mut self, delta: &Status, now_ms: i64) {
        let empty = Status { id: delta.id, ..Status::default() };
        let (at_ms, sum) = self.statuses.entry(delta.id).or_insert((now_ms, empty));
        *at_ms = now_ms;
        if sum.app_id == 0 {
            sum.app_id = delta.app_id;
        }
        if sum.r#type == 0 {
            sum.r#type = delta.r#type;
        }
        if sum.accepted_at_ms == 0 {
            sum.accepted_at_ms = delta.accepted_at_ms;
        }
        if sum.expires_at_ms == 0 {
            sum.expires_at_ms = delta.expires_at_ms;
        }
        add_counts(sum, delta);
    }

    pub(super) fn status(&self, message: u64) -> Option<Status> {
        self.statuses.get(&message).map(|(_, status)| *status)
    }

    pub(super) fn add_letters(&mut self, letters: &[DeadLetter]) -> Result<()> {
        if letters.iter().any(|letter| letter.push.is_none()) {
            return Err(invalid("a dead letter has a push"));
        }
        let name = |letter: &DeadLetter| {
            let id = letter.push.as_ref().map(|push| push.id);
            (id, letter.app_id, letter.user.clone(), letter.device.clone())
        };
        for letter in letters {
            if !self.letters.values().any(|known| name(known) == name(letter)) {
                self.next += 1;
                let letter = DeadLetter { position: self.next, ..letter.clone() };
                self.letters.insert(self.next, letter);
            }
        }
        Ok(())
    }

    /// Whether a message was given up for a device.
    pub(crate) fn is_dead(&self, message: u64, app_id: u32, user: &str, device: &str) -> bool {
        self.letters.values().any(|letter| {
            letter.push.as_ref().is_some_and(|push| push.id == message)
                && (letter.app_id, &*letter.user, &*letter.device) == (app_id, user, device)
        })
    }

    pub(super) fn letters(&self, page: &AppPage) -> Vec<DeadLetter> {
        let all = self.letters.values();
        let of_app = all.filter(|it| it.app_id == page.app_id && it.position > page.after);
        of_app.take(page_limit(page.limit)).cloned().collect()
    }

    pub(super) fn delete_letters(&mut self, app_id: u32, up_to: u64) -> bool {
        let before = self.letters.len();
        self.letters.retain(|&position, it| it.app_id != app_id || position > up_to);
        self.letters.len() < before
    }

    pub(super) fn add_upstream(&mut self, messages: &[UpstreamMessage]) {
        for message in messages {
            if !self.upstream.values().any(|known| known.id == message.id) {
                self.next += 1;
                let message = UpstreamMessage { position: self.next, ..message.clone() };
                self.upstream.insert(self.next, message);
            }
        }
    }

    pub(super) fn upstream(&self, page: &AppPage) -> Vec<UpstreamMessage> {
        let all = self.upstream.values();
        let of_app = all.filter(|it| it.app_id == page.app_id && it.position > page.after);
        of_app.take(page_limit(page.limit)).cloned().collect()
    }

    /// Whether a client's message is filed.
    pub(crate) fn has_upstream(&self, id: u64) -> bool {
        self.upstream.values().any(|message| message.id == id)
    }

    pub(super) fn delete_upstream(&mut self, app_id: u32, up_to: u64) -> bool {
        let before = self.upstream.len();
        self.upstream.retain(|&position, it| it.app_id != app_id || position > up_to);
        self.upstream.len() < before
    }

    pub(super) fn forget(&mut self, before_ms: i64) {
        self.statuses.retain(|_, (at_ms, _)| *at_ms >= before_ms);
        self.letters.retain(|_, letter| letter.at_ms >= before_ms);
        self.upstream.retain(|_, message| message.at_ms >= before_ms);
    }
}

impl Tables {
    /// Of a kept push also if its counters were lost: what its message tells.
    pub(super) fn status(&self, message: u64) -> Option<Status> {
        let known = self.reports.status(message);
        if known.is_some_and(|status| status.accepted_at_ms != 0) {
            return known;
        }
        let copy = |log: &Log| log.by_id.get(&message).map(|seq| log.entries[seq].clone());
        let copies: Vec<Push> = self.logs.values().filter_map(copy).collect();
        let Some(push) = copies.first() else { return known };
        let known = known.unwrap_or_default();
        Some(Status {
            id: message,
            app_id: push.app_id,
            r#type: push.r#type,
            accepted_at_ms: push.accepted_at_ms,
            expires_at_ms: push.expires_at_ms,
            stored: known.stored.max(copies.len() as u64),
            ..known
        })
    }

    pub(super) fn user_status(&self, message: u64, user: &str, now_ms: i64) -> UserStatus {
        let recalled = self.recalled.contains_key(&message);
        let mut status = UserStatus { recalled, ..UserStatus::default() };
        let found = self.logs.iter().find_map(|((kind, app_id, name), log)| {
            let own = *kind == ChannelKind::Own as i32;
            let seq = *log.by_id.get(&message).filter(|_| !own || name == user)?;
            Some((*kind, *app_id, seq, &log.entries[&seq]))
        });
        let Some((kind, app_id, seq, push)) = found else { return status };
        status.known = true;
        status.seq = seq;
        status.expired = is_over(push, now_ms);
        let devices = self.devices.iter().filter(|((app, name, _), _)| {
            name == user && (app_id == 0 || *app == app_id) && kind != ChannelKind::Topic as i32
        });
        for ((app, user, device), row) in devices {
            let dead = self.reports.is_dead(message, *app, user, device);
            status.dead |= dead;
            status.acknowledged |= !dead && row.cursors[kind as usize] >= seq;
        }
        status
    }
}
