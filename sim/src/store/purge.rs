//! What is removed in time.

use super::log::is_over;
use super::{LogKey, MemoryStore, Tables};
use gpusher_control::store::{PURGE_BATCH, REPEAT_WINDOW_MS};
use gpusher_proto::data::*;
use gpusher_proto::gateway::ChannelKind;
use std::collections::BTreeSet;

impl MemoryStore {
    /// Purges the logs past the gates; what has been removed. Reports stay: the checks go by them. What logic has not committed is spared: retention is far
    /// longer than a record takes, see docs/DELIVERY.md.
    pub fn purge_some(
        &self,
        (retention_ms, per_channel_max): (i64, u64),
        spared: &BTreeSet<u64>,
    ) -> Vec<(LogKey, u64)> {
        let now_ms = self.clock.unix();
        let request = PurgeRequest { now_ms, retention_ms, per_channel_max, batch_max: 0 };
        self.with(|tables| {
            let kept = |tables: &Tables| -> BTreeSet<(LogKey, u64)> {
                let logs = tables.logs.iter();
                logs.flat_map(|(key, log)| log.by_id.keys().map(|&id| (key.clone(), id))).collect()
            };
            let before = kept(tables);
            tables.purge_logs(&request, spared);
            before.difference(&kept(tables)).cloned().collect()
        })
    }
}

impl Tables {
    pub(super) fn purge(&mut self, request: &PurgeRequest) -> PurgeResult {
        self.forget_old_reports(request);
        self.purge_logs(request, &BTreeSet::new())
    }

    fn purge_logs(&mut self, request: &PurgeRequest, spared: &BTreeSet<u64>) -> PurgeResult {
        let gone = |app_id: u32, apps: &std::collections::BTreeMap<u32, App>| {
            app_id != 0 && !apps.contains_key(&app_id)
        };
        let apps = &self.apps;
        self.devices.retain(|(app_id, ..), _| !gone(*app_id, apps));
        let limit = if request.batch_max == 0 { PURGE_BATCH } else { request.batch_max } as usize;
        let mut doomed: Vec<(LogKey, u64, bool)> = Vec::new();
        for (key, log) in &self.logs {
            let acknowledged = self.acknowledged_by_all(key);
            let is_over = |seq: u64, push: &Push| {
                let read =
                    seq <= acknowledged && request.now_ms - push.accepted_at_ms > REPEAT_WINDOW_MS;
                is_over(push, request.now_ms) || gone(key.1, &self.apps) || read
            };
            let is_old = |push: &Push| {
                request.retention_ms != 0
                    && push.accepted_at_ms < request.now_ms - request.retention_ms
            };
            let stay =
                log.entries.iter().filter(|&(&seq, push)| !is_over(seq, push) && !is_old(push));
            let mut surplus = match request.per_channel_max {
                0 => 0,
                most => stay.count().saturating_sub(most as usize),
            };
            for (&seq, push) in &log.entries {
                let over = is_over(seq, push);
                let cut = !over && (is_old(push) || surplus > 0);
                if cut && !is_old(push) {
                    surplus -= 1;
                }
                if (over || cut) && !spared.contains(&push.id) {
                    doomed.push((key.clone(), seq, cut));
                }
            }
        }
        let more = doomed.len() > limit;
        doomed.truncate(limit);
        for (key, seq, cut) in &doomed {
            let log = self.logs.get_mut(key).expect("it was there");
            log.remove(*seq);
            if *cut {
                log.first = log.first.max(seq + 1);
            }
        }
        PurgeResult { removed: doomed.len() as u64, more }
    }

    fn forget_old_reports(&mut self, request: &PurgeRequest) {
        if request.retention_ms != 0 {
            let before_ms = request.now_ms - request.retention_ms;
            self.reports.forget(before_ms);
            self.recalled.retain(|_, at_ms| *at_ms >= before_ms);
        }
    }

    /// Own channels: what every device of the user has.
    fn acknowledged_by_all(&self, (kind, app_id, user): &LogKey) -> u64 {
        if *kind != ChannelKind::Own as i32 {
            return 0;
        }
        self.devices_of(*app_id, user).map(|(_, row)| row.cursors[0]).min().unwrap_or(0)
    }
}
