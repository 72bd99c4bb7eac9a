//! Two hundred clients, broadcasts and unicasts at once, some of the clients reading late: everybody gets everything, in order.

use crate::harness::{Client, Got, Harness, message, on_every_driver};
use gpusher_gateway::mail::Audience;
use gpusher_proto::gateway::ChannelKind::{Everyone, Own};

const CLIENTS: usize = 200;
const BROADCASTS: u64 = 50;

fn everybody_gets_everything(harness: &mut Harness) {
    let mut clients: Vec<Client> =
        (0..CLIENTS).map(|number| harness.member(&format!("user-{number}"))).collect();
    let mut jobs = Vec::new();
    for seq in 1..=BROADCASTS {
        jobs.push(harness.deliver(Audience::Everyone, message(Everyone, seq, false), false));
        let conn = clients[seq as usize].conn;
        let unicast = Audience::Connections(vec![conn]);
        jobs.push(harness.deliver(unicast, message(Own, seq, false), false));
        harness.turn();
    }
    let mut reached = 0;
    for job in jobs {
        let outcome = harness.outcome(job);
        assert_eq!((outcome.overflowed, outcome.absent.len()), (0, 0));
        reached += u64::from(outcome.written + outcome.queued);
    }
    assert_eq!(reached, BROADCASTS * (CLIENTS as u64 + 1));
    // Nobody has read so far: 50 KB are more than the sockets' buffers take.
    for (number, client) in clients.iter_mut().enumerate() {
        let own = (1..=BROADCASTS).contains(&(number as u64));
        let mut broadcasts = 0;
        for _ in 0..BROADCASTS + u64::from(own) {
            match harness.next(client) {
                Got::Push(Everyone, seq) if seq == broadcasts + 1 => broadcasts = seq,
                Got::Push(Own, seq) if seq == number as u64 => {}
                other => panic!("client {number}, after {broadcasts}: {other:?}"),
            }
        }
        assert_eq!(broadcasts, BROADCASTS);
    }
}

on_every_driver!(everybody_gets_everything);
