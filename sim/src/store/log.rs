//! Logs of channels: numbers given out, kept messages, recalls.

use super::{Tables, bytes_limit, invalid, page_limit};
use gpusher_control::error::Result;
use gpusher_proto::data::*;
use gpusher_proto::gateway::ChannelKind;
use prost::Message;
use std::collections::BTreeMap;

/// Kind, app, name.
pub type LogKey = (i32, u32, String);

/// One channel's log.
#[derive(Debug)]
pub(crate) struct Log {
    /// Below it, retention has removed what was still due.
    pub(crate) first: u64,
    /// Last number given out.
    pub(crate) last: u64,
    /// By number.
    pub(crate) entries: BTreeMap<u64, Push>,
    pub(super) by_id: BTreeMap<u64, u64>,
}

impl Default for Log {
    fn default() -> Self {
        Self { first: 1, last: 0, entries: BTreeMap::new(), by_id: BTreeMap::new() }
    }
}

impl Log {
    pub(super) fn remove(&mut self, seq: u64) {
        if let Some(push) = self.entries.remove(&seq) {
            self.by_id.remove(&push.id);
        }
    }
}

fn key_of(channel: Option<&Channel>) -> Result<LogKey> {
    let channel = channel.ok_or_else(|| invalid("a channel is missing"))?;
    let kind = ChannelKind::try_from(channel.kind).map_err(|_| invalid("no such kind"))?;
    let named = matches!(kind, ChannelKind::Own | ChannelKind::Topic);
    let everyone = kind == ChannelKind::Everyone;
    if named == channel.name.is_empty() || everyone && channel.app_id != 0 {
        return Err(invalid("the channel's name does not fit its kind"));
    }
    Ok((channel.kind, channel.app_id, channel.name.clone()))
}

impl Tables {
    pub(super) fn append(&mut self, entries: &[Append]) -> Result<Vec<u64>> {
        let mut keyed = Vec::new();
        for entry in entries {
            match &entry.push {
                Some(push) if push.id != 0 => keyed.push((key_of(entry.channel.as_ref())?, push)),
                _ => return Err(invalid("a push with an id is missing")),
            }
        }
        let number = |(key, push): (LogKey, &Push)| {
            let log = self.logs.entry(key.clone()).or_default();
            if let Some(&seq) = log.by_id.get(&push.id) {
                self.said.push(format!("message {} is number {seq} of {key:?} already", push.id));
                return seq;
            }
            self.said.push(format!("message {} is number {} of {key:?}", push.id, log.last + 1));
            log.last += 1;
            log.entries.insert(log.last, push.clone());
            log.by_id.insert(push.id, log.last);
            log.last
        };
        Ok(keyed.into_iter().map(number).collect())
    }

    /// A bug to be found.
    pub(super) fn lose_some(&mut self) {
        for log in self.logs.values_mut() {
            let lost: Vec<u64> = log.entries.keys().copied().filter(|seq| seq % 8 == 5).collect();
            lost.into_iter().for_each(|seq| drop(log.entries.remove(&seq)));
        }
    }

    pub(super) fn reserve(&mut self, entries: &[Reserve]) -> Result<Vec<u64>> {
        let mut firsts = Vec::new();
        for entry in entries {
            let key = key_of(entry.channel.as_ref())?;
            if entry.count == 0 {
                return Err(invalid("a reservation is of one number at least"));
            }
            let log = self.logs.entry(key.clone()).or_default();
            let first = log.last + 1;
            self.said.push(format!("{} numbers of {key:?} from {first}", entry.count));
            firsts.push(first);
            log.last += u64::from(entry.count);
        }
        Ok(firsts)
    }

    pub(super) fn read(&mut self, request: &ReadRequest) -> Result<ReadPage> {
        let key = key_of(request.channel.as_ref())?;
        let mut page = ReadPage::default();
        let (Some(log), Some(from)) = (self.logs.get(&key), request.after.checked_add(1)) else {
            return Ok(page);
        };
        let due = log.entries.range(from..).filter(|(_, push)| {
            !is_over(push, request.now_ms) && !self.recalled.contains_key(&push.id)
        });
        let mut bytes = 0;
        for (&seq, push) in due {
            bytes += push.encoded_len();
            let first = page.messages.is_empty();
            let full = page.messages.len() >= page_limit(request.limit)
                || bytes > bytes_limit(request.bytes_max);
            if full && !first {
                page.more = true;
                break;
            }
            page.messages.push(Logged { seq, push: Some(push.clone()) });
        }
        let found: Vec<u64> = page.messages.iter().map(|it| it.seq).collect();
        self.said.push(format!("{key:?} has after {}: {found:?}", request.after));
        Ok(page)
    }

    pub(super) fn heads(&mut self, channels: &[Channel]) -> Result<Vec<Head>> {
        let head = |channel: &Channel| {
            let key = key_of(Some(channel))?;
            let (first, last) = self.logs.get(&key).map_or((1, 0), |log| (log.first, log.last));
            self.said.push(format!("{key:?} ends with {last}"));
            Ok(Head { first, last })
        };
        channels.iter().map(head).collect()
    }

    pub(super) fn recall(&mut self, message: u64, now_ms: i64) -> Vec<Placed> {
        self.recalled.entry(message).or_insert(now_ms);
        let placed = |((kind, app_id, name), log): (&LogKey, &Log)| {
            let channel = Channel { kind: *kind, app_id: *app_id, name: name.clone() };
            Some(Placed { channel: Some(channel), seq: *log.by_id.get(&message)? })
        };
        self.logs.iter().filter_map(placed).collect()
    }

    pub(super) fn recalled(&self, messages: &[u64]) -> Vec<u64> {
        messages.iter().copied().filter(|message| self.recalled.contains_key(message)).collect()
    }
}

pub(super) fn is_over(push: &Push, now_ms: i64) -> bool {
    push.expires_at_ms != 0 && push.expires_at_ms <= now_ms
}
