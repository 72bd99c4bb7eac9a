//! Which processes have members of what.
//!
//! A set of processes for each audience; and for each process a set of its audiences, so that they are found when it is gone, and of its
//! apps, so that those with anybody at all are found.

use super::RedisRoutes;
use super::member::ProcessNumber;
use crate::error::{Error, Result};
use futures_util::future::try_join_all;
use gpusher_proto::data::{AudienceKey, GatewayMembership};
use gpusher_redis::cmd;
use std::collections::BTreeMap;

/// Audiences that are written, or taken back, at once.
const AUDIENCES_AT_ONCE: usize = 512;

/// An audience that a process has members of, or has not.
type Changes = BTreeMap<(ProcessNumber, u32, String), bool>;

impl RedisRoutes {
    pub(super) async fn announce_all(&self, memberships: Vec<GatewayMembership>) -> Result<()> {
        let table = self.leases.current().await?;
        let change = |of: GatewayMembership| {
            let process = table.process(of.gateway, of.epoch)?;
            Some(((process, of.app_id, of.topic), of.members > 0))
        };
        let changes: Changes = memberships.into_iter().filter_map(change).collect();
        let changes: Vec<_> = changes.into_iter().collect();
        for changes in changes.chunks(AUDIENCES_AT_ONCE) {
            let calls = changes.iter().map(|((process, app_id, topic), has)| {
                self.set_audience(*process, *app_id, topic, *has)
            });
            try_join_all(calls).await?;
        }
        Ok(())
    }

    /// What is found by the process is written first and removed last: nothing is left of it when it is gone.
    async fn set_audience(
        &self,
        process: ProcessNumber,
        app_id: u32,
        topic: &str,
        has: bool,
    ) -> Result<()> {
        let number = process.to_bytes();
        let audience = self.keys.audience(app_id, topic);
        if has {
            self.change_index("SADD", process, app_id, topic).await?;
            return self.change("SADD", &audience, &number).await;
        }
        self.change("SREM", &audience, &number).await?;
        self.change_index("SREM", process, app_id, topic).await
    }

    async fn change_index(
        &self,
        change: &str,
        process: ProcessNumber,
        app_id: u32,
        topic: &str,
    ) -> Result<()> {
        let audience = self.keys.audience(app_id, topic);
        self.change(change, &self.keys.audiences_of(process), &audience).await?;
        if topic.is_empty() {
            let app = app_id.to_string();
            self.change(change, &self.keys.apps_of(process), app.as_bytes()).await?;
        }
        Ok(())
    }

    async fn change(&self, change: &str, key: &[u8], member: &[u8]) -> Result<()> {
        let _: u64 = self.call(cmd(change).arg(key).arg(member)).await?;
        Ok(())
    }

    pub(super) async fn members_of(
        &self,
        AudienceKey { app_id, topic }: AudienceKey,
    ) -> Result<Vec<u32>> {
        if app_id == 0 && topic.is_empty() {
            return self.members_of_any_app().await;
        }
        let asked = cmd("SMEMBERS").arg(self.keys.audience(app_id, &topic)).to_owned();
        let processes: Vec<Vec<u8>> = self.call(&asked).await?;
        // The table is asked for after the set: a process in the set is in the table, too.
        let table = self.leases.current().await?;
        let number = |bytes: Vec<u8>| Some(ProcessNumber::from_bytes(bytes.try_into().ok()?));
        let live = processes.into_iter().filter_map(number).filter_map(|it| table.gateway(it));
        let mut gateways: Vec<u32> = live.collect();
        gateways.sort_unstable();
        gateways.dedup();
        Ok(gateways)
    }

    async fn members_of_any_app(&self) -> Result<Vec<u32>> {
        let table = self.leases.current().await?;
        let apps = table.processes().map(|process| async move {
            let apps: u64 = self.call(cmd("SCARD").arg(self.keys.apps_of(process))).await?;
            Ok::<_, Error>((process, apps))
        });
        let apps: Vec<(ProcessNumber, u64)> = try_join_all(apps).await?;
        let with = apps.into_iter().filter(|&(_, apps)| apps > 0);
        let mut gateways: Vec<u32> =
            with.filter_map(|(process, _)| table.gateway(process)).collect();
        gateways.sort_unstable();
        Ok(gateways)
    }

    /// Removes a process that is gone from all audiences.
    pub(super) async fn forget_audiences(&self, process: ProcessNumber) -> Result<()> {
        let index = self.keys.audiences_of(process);
        let number = process.to_bytes();
        loop {
            let asked = cmd("SRANDMEMBER").arg(&index).arg(AUDIENCES_AT_ONCE).to_owned();
            let audiences: Vec<Vec<u8>> = self.call(&asked).await?;
            if audiences.is_empty() {
                break;
            }
            let leave = audiences.iter().map(|audience| self.change("SREM", audience, &number));
            try_join_all(leave).await?;
            let mut listed = cmd("SREM");
            listed.arg(&index);
            audiences.iter().for_each(|audience| {
                listed.arg(audience.as_slice());
            });
            let _: u64 = self.call(&listed).await?;
        }
        let _: u64 = self.call(cmd("DEL").arg(self.keys.apps_of(process))).await?;
        Ok(())
    }
}
