//! Checks the arithmetic of docs/SCALING.md where chance has a part in it: how evenly clients spread over gateways that report their
//! load every few seconds, as everybody comes, and as one gateway of many dies. Uses the order that `/v1/token` gives.
//!
//! `cargo run --release --example scale -- [gateways] [clients]`

use gpusher_control::routes::least_loaded_first;
use gpusher_proto::data::GatewayLease;
use gpusher_proto::gateway::Load;

/// A gateway's load reaches web this late, at most.
const REPORT_S: f64 = 5.0;
/// Places of one gateway over its fair share of the clients.
const ROOM: f64 = 1.25;
/// Clients that ask together; each group gets one order, as many webs ask at the same time.
const GROUP: u64 = 100;

struct Fleet {
    connections: Vec<u64>,
    room: u64,
    reported: Vec<u64>,
    dead: Option<usize>,
}

impl Fleet {
    /// Logs in so many clients at a rate; returns the most that one gateway got in a second.
    fn log_in(&mut self, clients: u64, per_s: f64) -> u64 {
        let (mut peak, mut second, mut now_s) = (0, vec![0; self.connections.len()], 0.0);
        let (mut next_report, mut next_second) = (0.0, 1.0);
        for _ in 0..clients / GROUP {
            if now_s >= next_report {
                self.reported.clone_from(&self.connections);
                next_report += REPORT_S;
            }
            if now_s >= next_second {
                peak = peak.max(second.iter().copied().max().unwrap_or(0));
                second.fill(0);
                next_second += 1.0;
            }
            let gateway = self.choose();
            self.connections[gateway] += GROUP;
            second[gateway] += GROUP;
            now_s += GROUP as f64 / per_s;
        }
        peak.max(second.iter().copied().max().unwrap_or(0))
    }

    fn choose(&self) -> usize {
        let alive = (0..self.connections.len()).filter(|gateway| Some(*gateway) != self.dead);
        let lease = |gateway: usize| {
            let (connections, connections_max) = (self.reported[gateway], self.room);
            let load = Some(Load { connections, connections_max, ..Load::default() });
            GatewayLease {
                gateway: gateway as u32,
                client_addr: "a:1".into(),
                load,
                ..GatewayLease::default()
            }
        };
        let mut leases: Vec<_> = alive.map(lease).collect();
        least_loaded_first(&mut leases);
        leases[0].gateway as usize
    }

    fn spread(&self) -> (u64, u64) {
        let alive = (0..self.connections.len()).filter(|gateway| Some(*gateway) != self.dead);
        let counts = alive.map(|gateway| self.connections[gateway]);
        (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0))
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let gateways = arguments.next().unwrap_or(50);
    let clients = arguments.next().unwrap_or(100_000_000);
    let room = (clients as f64 / gateways as f64 * ROOM) as u64;
    let none = vec![0; gateways as usize];
    let mut fleet = Fleet { connections: none.clone(), room, reported: none, dead: None };

    let peak = fleet.log_in(clients, 500_000.0);
    let (least, most) = fleet.spread();
    println!(
        "{clients} clients on {gateways} gateways at 500,000/s: {least} to {most} each, at most {peak} logins/s at one"
    );

    let lost = fleet.connections[0];
    fleet.dead = Some(0);
    fleet.connections[0] = 0;
    let peak = fleet.log_in(lost, 100_000.0);
    let (least, most) = fleet.spread();
    println!(
        "one dies, its {lost} come back at 100,000/s: {least} to {most} each, of {room} places, at most {peak} logins/s at one"
    );
}
