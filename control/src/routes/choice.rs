//! Which gateway a client is sent to.

use gpusher_proto::data::GatewayLease;
use rand::seq::SliceRandom;
use rand::{Rng, rng};

/// Orders gateways for a client that is about to connect: by tenths of how full they are, the emptiest first; those of one tenth in
/// random order, since what is known of them is a report old: strictly by load, everybody who asks between two reports would go to
/// the same one. One without a client address cannot be connected to, and is left out.
pub fn least_loaded_first(leases: &mut Vec<GatewayLease>) {
    order(leases, &mut rng());
}

fn order(leases: &mut Vec<GatewayLease>, random: &mut impl Rng) {
    leases.retain(|lease| !lease.client_addr.is_empty());
    leases.shuffle(random);
    leases.sort_by_key(tenths);
}

fn tenths(lease: &GatewayLease) -> u64 {
    let load = lease.load.unwrap_or_default();
    load.connections.saturating_mul(10) / load.connections_max.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpusher_proto::gateway::Load;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;
    use std::collections::HashSet;

    fn lease(gateway: u32, connections: u64) -> GatewayLease {
        let load = Load { connections, connections_max: 100, ..Load::default() };
        let client_addr = format!("10.0.0.{gateway}:8881");
        GatewayLease { gateway, client_addr, load: Some(load), ..GatewayLease::default() }
    }

    #[test]
    fn the_emptiest_come_first_and_share_who_comes() {
        let mut random = SmallRng::seed_from_u64(1);
        let mut firsts = HashSet::new();
        for _ in 0..100 {
            let mut leases = vec![lease(1, 95), lease(2, 12), lease(3, 18), lease(4, 40)];
            leases.push(GatewayLease { client_addr: String::new(), ..lease(5, 0) });
            order(&mut leases, &mut random);
            let order: Vec<u32> = leases.iter().map(|lease| lease.gateway).collect();
            assert_eq!(order[2..], [4, 1]);
            firsts.insert(order[0]);
        }
        assert_eq!(firsts, HashSet::from([2, 3]));
    }
}
