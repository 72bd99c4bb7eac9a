//! Gateways' processes and their leases.

use crate::error::{Code, Error, Result};
use gpusher_proto::data::GatewayLease;
use std::collections::{BTreeMap, HashMap};

/// One registration of a process: another one, even of the same epoch after its lease ran out, has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ProcessNumber(u32);

struct Process {
    lease: GatewayLease,
    until_ms: u64,
}

/// The processes whose lease runs.
#[derive(Default)]
pub(super) struct Processes {
    by_number: HashMap<ProcessNumber, Process>,
    by_gateway: BTreeMap<u32, ProcessNumber>,
    last: u32,
}

impl Processes {
    /// Registers a process; returns the one it takes over from. A lower epoch has to wait for the end of a higher one's lease, and no longer: it may be the later
    /// process, whose clock was set back.
    pub(super) fn attach(
        &mut self,
        lease: GatewayLease,
        now_ms: u64,
    ) -> Result<Option<ProcessNumber>> {
        let held = self.by_gateway.get(&lease.gateway).and_then(|&number| self.lease(number));
        if held.is_some_and(|held| held.epoch > lease.epoch) {
            let text = format!("gateway {} has a newer process than this one", lease.gateway);
            return Err(Error::new(Code::Conflict, text));
        }
        if self.renew(lease.clone(), now_ms) {
            return Ok(None);
        }
        self.last = self.last.wrapping_add(1);
        let number = ProcessNumber(self.last);
        let replaced = self.by_gateway.insert(lease.gateway, number);
        if let Some(replaced) = replaced {
            self.by_number.remove(&replaced);
        }
        let until_ms = end_of(&lease, now_ms);
        self.by_number.insert(number, Process { lease, until_ms });
        Ok(replaced)
    }

    /// Extends a lease that runs; false if there is none of this epoch.
    pub(super) fn renew(&mut self, lease: GatewayLease, now_ms: u64) -> bool {
        let Some(number) = self.number(lease.gateway, lease.epoch) else { return false };
        let until_ms = end_of(&lease, now_ms);
        self.by_number.insert(number, Process { lease, until_ms });
        true
    }

    pub(super) fn detach(&mut self, gateway: u32, epoch: u64) -> Option<ProcessNumber> {
        let number = self.number(gateway, epoch)?;
        self.remove(number);
        Some(number)
    }

    /// Removes the processes whose lease has run out, and names them.
    pub(super) fn expire(&mut self, now_ms: u64) -> Vec<ProcessNumber> {
        let expired = self.by_number.iter().filter(|(_, process)| process.until_ms <= now_ms);
        let expired: Vec<_> = expired.map(|(number, _)| *number).collect();
        for number in &expired {
            self.remove(*number);
        }
        expired
    }

    fn remove(&mut self, number: ProcessNumber) {
        if let Some(process) = self.by_number.remove(&number) {
            self.by_gateway.remove(&process.lease.gateway);
        }
    }

    /// When the first lease runs out, as things are.
    pub(super) fn next_expiry_ms(&self) -> u64 {
        self.by_number.values().map(|process| process.until_ms).min().unwrap_or(u64::MAX)
    }

    /// The process of this epoch, if its lease runs.
    pub(super) fn number(&self, gateway: u32, epoch: u64) -> Option<ProcessNumber> {
        let number = *self.by_gateway.get(&gateway)?;
        (self.lease(number)?.epoch == epoch).then_some(number)
    }

    pub(super) fn lease(&self, number: ProcessNumber) -> Option<&GatewayLease> {
        self.by_number.get(&number).map(|process| &process.lease)
    }

    /// All leases, by gateway.
    pub(super) fn leases(&self) -> Vec<GatewayLease> {
        let leases = self.by_gateway.values().filter_map(|number| self.lease(*number));
        leases.cloned().collect()
    }
}

fn end_of(lease: &GatewayLease, now_ms: u64) -> u64 {
    now_ms.saturating_add(u64::try_from(lease.lease_ms).unwrap_or(0))
}
