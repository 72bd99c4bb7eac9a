//! A server that says what the test wants.

use gpusher_client::core::{Action, Core};
use gpusher_client::{ChannelKind, Config, Event, Positions};
use gpusher_proto::wire::v1::{ClientFrame, Push, Resume, ServerFrame, Welcome};
use gpusher_proto::wire::{BODY_BYTES_MAX, Position, RawFrame, Split, split};

/// Heartbeat interval of these servers.
pub(crate) const HEARTBEAT_MS: u64 = 30_000;
/// Longest delay of an acknowledgement of these servers.
pub(crate) const ACK_DELAY_MS: u64 = 1_000;

pub(crate) fn config() -> Config {
    Config { device: "d".into(), ..Config::new("gateway:1", 1000, "alice") }
}

/// A core that is connected and has sent its login.
pub(crate) fn connected(positions: Positions, now_ms: u64) -> Core {
    let mut core = Core::new(config(), positions, 1);
    core.on_time(now_ms);
    assert_eq!(core.poll_action(), Some(Action::Connect("gateway:1".into())));
    core.on_connected(now_ms);
    core
}

/// A core that is online, its login and events taken.
pub(crate) fn online(now_ms: u64) -> Core {
    let mut core = connected(Positions::default(), now_ms);
    core.output().clear();
    welcome(&mut core, 7, &[], now_ms);
    assert!(matches!(core.poll_event(now_ms), Some(Event::Online { .. })));
    core
}

pub(crate) fn welcome(core: &mut Core, epoch: u64, resumed: &[Resume], now_ms: u64) {
    let frame = ServerFrame::Welcome(Welcome {
        connection_id: 5,
        epoch,
        heartbeat_interval_s: (HEARTBEAT_MS / 1_000) as u16,
        ack_delay_10ms: (ACK_DELAY_MS / 10) as u16,
        body_bytes_max: BODY_BYTES_MAX,
        capabilities: 0,
        resumed: resumed.into(),
    });
    core.on_bytes(&frame.to_vec(), now_ms);
}

pub(crate) fn push(kind: ChannelKind, seq: u64, id: u64, kept: bool) -> Vec<u8> {
    let topic = if kind == ChannelKind::Topic { "news" } else { "" };
    let position = Position { kind, seq };
    let content = b"x";
    let (expires_at_ms, sender, compressed) = (None, "", false);
    let push =
        Push { position, message_id: id, kept, expires_at_ms, topic, sender, compressed, content };
    ServerFrame::Push(push).to_vec()
}

/// Ids of the messages that wait, each taken (and so confirmed by the one after).
pub(crate) fn messages(core: &mut Core, now_ms: u64) -> Vec<u64> {
    let mut ids = Vec::new();
    while let Some(event) = core.poll_event(now_ms) {
        if let Event::Message(message) = event {
            ids.push(message.id);
        }
    }
    ids
}

/// Takes the frames that the core wants to send, printed.
pub(crate) fn frames(core: &mut Core) -> Vec<String> {
    let bytes = std::mem::take(core.output());
    let mut rest = &bytes[..];
    let mut frames = Vec::new();
    while let Ok(Split::Whole { frame: RawFrame::V1(raw), len }) = split(rest, BODY_BYTES_MAX) {
        frames.push(format!("{:?}", ClientFrame::decode(raw).expect("clients keep the rules")));
        rest = &rest[len..];
    }
    assert!(rest.is_empty(), "half a frame");
    frames
}
