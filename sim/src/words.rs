//! What gateways and logic tell each other, in a few words for the trace.

use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::{
    Delivery, Event, Opened, Position, ToGateway, command, delivery, event, to_gateway,
};

/// Commands in a few words each.
pub(crate) fn commands_in(message: &ToGateway) -> impl Iterator<Item = String> {
    let commands = match &message.kind {
        Some(to_gateway::Kind::Batch(batch)) => &batch.commands[..],
        _ => &[],
    };
    commands.iter().filter_map(|command| match command.kind.as_ref()? {
        command::Kind::Delivery(Delivery { job, message, audience, replay }) => {
            let message = message.as_ref()?;
            let to = match audience.as_ref()? {
                delivery::Audience::Connections(to) => names(&to.ids),
                delivery::Audience::AppId(app_id) => format!("app {app_id}"),
                delivery::Audience::Everyone(_) => "everyone".to_owned(),
                delivery::Audience::Topic(topic) => {
                    format!("topic {} {}", topic.app_id, topic.name)
                }
            };
            let (id, seq) = (message.id, message.seq);
            Some(format!("job {job} message {id} seq {seq} replay {replay} to {to}"))
        }
        command::Kind::Admit(admit) => {
            Some(format!("admit {} code {} {:?}", name(admit.conn), admit.code, admit.resumed))
        }
        command::Kind::SyncStart(start) => Some(format!("sync start {}", name(start.conn))),
        command::Kind::SyncDone(done) => {
            let positions: Vec<_> = done.positions.iter().map(|it| (it.channel, it.seq)).collect();
            Some(format!("sync done {} {positions:?} {:?}", name(done.conn), done.requests))
        }
        command::Kind::AnnounceAgain(_) => Some("announce again".to_owned()),
        command::Kind::Recall(recall) => Some(format!("recall {}", recall.message_id)),
        command::Kind::Kick(kick) => Some(format!("kick {} {}", name(kick.conn), kick.reason)),
        _ => None,
    })
}

/// A connection: gateway, shard, slot and generation.
fn name(conn: u64) -> String {
    let conn = ConnId::from_raw(conn);
    format!("{}.{}.{}.{}", conn.gateway(), conn.shard(), conn.slot(), conn.generation() % 1_000)
}

fn names(conns: &[u64]) -> String {
    conns.iter().map(|&conn| name(conn)).collect::<Vec<_>>().join(" ")
}

/// An event of a gateway; none for those that say little.
pub(crate) fn in_words(event: &Event) -> Option<String> {
    let positions = |of: &[Position]| -> Vec<(i32, u64)> {
        of.iter().map(|position| (position.channel, position.seq)).collect()
    };
    Some(match event.kind.as_ref()? {
        event::Kind::Opened(opened) => {
            let Opened { conn, user, device, again, .. } = opened;
            let resume = positions(&opened.resume);
            format!("opened {} {user}/{device} again {again} resume {resume:?}", name(*conn))
        }
        event::Kind::Closed(closed) => {
            let (unwritten, through) =
                (positions(&closed.unwritten_from), positions(&closed.through));
            format!("closed {} unwritten {unwritten:?} through {through:?}", name(closed.conn))
        }
        event::Kind::Outcome(it) => {
            let absent: Vec<String> = it.absent.iter().map(|&conn| name(conn)).collect();
            let waiting: Vec<String> = it.waiting.iter().map(|&conn| name(conn)).collect();
            format!(
                "outcome {} written {} queued {} over {} expired {} recalled {} absent {absent:?} waiting {waiting:?}",
                it.job, it.written, it.queued, it.overflowed, it.expired, it.recalled
            )
        }
        event::Kind::Ack(ack) => format!("ack {} {} {}", name(ack.conn), ack.channel, ack.seq),
        event::Kind::Drained(drained) => {
            format!("drained {} spilled {:?}", name(drained.conn), positions(&drained.spilled_from))
        }
        event::Kind::Farewell(farewell) => format!("farewell {}", name(farewell.conn)),
        event::Kind::Handed(handed) => {
            format!(
                "handed {} {} {} taken {}",
                name(handed.conn),
                handed.channel,
                handed.seq,
                handed.taken
            )
        }
        event::Kind::Logics(logics) => format!("logics {:?}", logics.names),
        event::Kind::Moved(moved) => format!("moved {}", name(moved.conn)),
        event::Kind::SyncRequest(asked) => format!("sync request {}", name(asked.conn)),
        event::Kind::Join(join) => {
            format!("join {} {} {:?}", name(join.conn), join.topic, join.since)
        }
        event::Kind::Announced(_) => "announced".to_owned(),
        _ => return None,
    })
}
