//! The sending side: shards that hold the connections, all turned by the measuring thread, and the bare ways past them.

use super::shared::Shared;
use super::{Plan, Way};
use crate::rig::{APP, Rig};
use anyhow::Result;
use gpusher_gateway::mail::Audience;
use gpusher_proto::wire::{EncodedPush, Encoding};
use gpusher_sys::floor::{broadcast_by_ring, broadcast_by_system_calls};
use gpusher_sys::socket::{ListenOptions, Listener};
use gpusher_sys::uring::{Descriptors, Uring, UringOptions};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

/// Sends of the bare ring per system call: more at once only push each other out of the caches.
const BATCH: u32 = 1024;

/// A shard with its connections.
pub(super) struct House {
    rig: Rig<Shared>,
    driver: Shared,
    address: SocketAddrV4,
    connections: u32,
}

/// As many as the plan's connections need, and whether their sockets are in the process's table.
pub(super) fn open_houses(plan: &Plan) -> Result<(Vec<House>, bool)> {
    let is_plain = plan.connections <= plan.per_ring.min(plan.per_shard);
    let mut houses = Vec::new();
    let mut rest = plan.connections;
    while rest > 0 {
        let connections = rest.min(plan.per_shard);
        let (rings, table) = plan.rings_for(connections);
        let options = match is_plain {
            true => UringOptions::default(),
            false => {
                let descriptors = Descriptors::Direct { table };
                UringOptions { descriptors, rings, ..UringOptions::default() }
            }
        };
        houses.push(House::open(houses.len() as u32, connections, &options)?);
        rest -= connections;
    }
    Ok((houses, is_plain))
}

impl House {
    fn open(number: u32, connections: u32, options: &UringOptions) -> Result<Self> {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener::bind(anywhere, &ListenOptions::default())?;
        let SocketAddr::V4(address) = listener.address() else { unreachable!("bound to IPv4") };
        let mut shared = None;
        let rig = Rig::new(number, connections, |waker| {
            let driver = Shared::new(Uring::new(options, Some(listener), waker)?);
            Ok(shared.insert(driver).clone())
        })?;
        let driver = shared.expect("it was opened");
        Ok(Self { rig, driver, address, connections })
    }

    /// Where to connect, and how many.
    pub(super) fn address(&self) -> (SocketAddrV4, u32) {
        (self.address, self.connections)
    }

    /// What happens before the first round.
    pub(super) fn let_in(&mut self) {
        self.rig.let_in();
    }

    /// Sends to everybody; returns how many sockets did not take the message at once.
    pub(super) fn broadcast(&mut self, way: Way, push: &Arc<EncodedPush>) -> Result<u32> {
        let (slots, frame) = (0..self.connections, push.frame(Encoding::V1));
        let refused = match way {
            Way::Ring => broadcast_by_ring(&mut self.driver.bare(), slots, frame, BATCH)?,
            Way::SystemCalls => broadcast_by_system_calls(&self.driver.bare(), slots, frame)?,
            Way::Gateway => {
                self.rig.deliver(Audience::App(APP), push.clone());
                self.connections as usize - self.rig.finish(1) as usize
            }
        };
        Ok(refused as u32)
    }
}
