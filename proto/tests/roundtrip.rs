//! Any frame that the rules allow comes back as it was, in the size that was announced.

use gpusher_proto::gateway::Message;
use gpusher_proto::wire::v1::{self, ClientFrame, Resume, ResumeResult, ServerFrame};
use gpusher_proto::wire::{
    Advice, BODY_BYTES_MAX, ChannelKind, EncodedPush, Encoding, MSG_SEQ_MAX, Position, RawFrame,
    Split, Target, inflate, split, v0,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn whole(bytes: &[u8]) -> RawFrame<'_> {
    match split(bytes, BODY_BYTES_MAX) {
        Ok(Split::Whole { frame, len }) if len == bytes.len() => frame,
        other => panic!("not one whole frame: {other:?}"),
    }
}

fn check_client(frame: ClientFrame<'_>) {
    let bytes = frame.to_vec().expect("allowed by the rules");
    assert_eq!(bytes.len(), frame.encoded_len());
    assert_eq!(bytes.capacity(), bytes.len());
    let RawFrame::V1(raw) = whole(&bytes) else { panic!("another version") };
    assert_eq!(ClientFrame::decode(raw), Ok(frame));
}

fn check_server(frame: ServerFrame<'_>) {
    let bytes = frame.to_vec();
    assert_eq!(bytes.len(), frame.encoded_len());
    assert_eq!(bytes.capacity(), bytes.len());
    let RawFrame::V1(raw) = whole(&bytes) else { panic!("another version") };
    assert_eq!(ServerFrame::decode(raw), Ok(frame));
}

/// Own, app or everyone.
fn personal() -> impl Strategy<Value = ChannelKind> {
    (0..3i32).prop_map(|kind| ChannelKind::try_from(kind).expect("a kind"))
}

fn position() -> impl Strategy<Value = Position> {
    (personal(), any::<u64>()).prop_map(|(kind, seq)| Position { kind, seq })
}

fn name() -> impl Strategy<Value = String> {
    "[a-z/ü😀]{1,16}"
}

fn message() -> impl Strategy<Value = Message> {
    let ids = (any::<u64>(), 0..4i32, 0..=MSG_SEQ_MAX, 0..i64::MAX, 0..6u32, any::<u32>());
    let texts = ("[a-z]{0,16}", "[a-z]{0,16}", "\\PC{0,16}", vec(any::<u8>(), 0..2000));
    (ids, texts, any::<bool>()).prop_map(|(ids, texts, kept)| Message {
        id: ids.0,
        channel: ids.1,
        seq: ids.2,
        expires_at_ms: ids.3,
        r#type: ids.4,
        expire_time: ids.5,
        uuid: texts.0,
        topic: texts.1,
        sender: texts.2,
        content: texts.3.into(),
        kept,
        slow: 0,
    })
}

proptest! {
    #[test]
    fn login(
        app_id in 1u32.., user in name(), device in "[a-z]{0,64}", token in "\\PC{0,300}",
        capabilities: u8, epoch: u64, seqs in vec(any::<u64>(), 0..=3),
    ) {
        let kinds = [ChannelKind::Everyone, ChannelKind::Own, ChannelKind::App];
        let resume: Vec<Position> =
            kinds.into_iter().zip(seqs).map(|(kind, seq)| Position { kind, seq }).collect();
        check_client(ClientFrame::Login(v1::Login {
            app_id, user: &user, device: &device, token: &token, capabilities, epoch,
            resume: resume.as_slice().into(),
        }));
    }

    #[test]
    fn requests(
        request: u64, name in name(), content in vec(any::<u8>(), 0..500),
        since in option::of(any::<u64>()), positions in vec(position(), 0..10),
    ) {
        for (target, name) in
            [(Target::User, name.as_str()), (Target::Topic, &name), (Target::Application, "")]
        {
            check_client(ClientFrame::Send { request, target, name, content: &content });
        }
        check_client(ClientFrame::Join { request, topic: &name, since });
        check_client(ClientFrame::Leave { request, topic: &name });
        check_client(ClientFrame::Ack { positions: positions.as_slice().into() });
        check_client(ClientFrame::Heartbeat { acks: positions.as_slice().into() });
    }

    #[test]
    fn answers(
        numbers: [u64; 3], small: [u32; 2], code: u16, advice in 0u8..3,
        target in "\\PC{0,60}", text in "\\PC{0,60}", positions in vec(position(), 0..10),
        results in vec((position(), 0u8..3), 0..4),
    ) {
        let resumed: Vec<Resume> = results
            .into_iter()
            .map(|(Position { kind, seq }, result)| Resume {
                kind, result: ResumeResult::from_number(result).expect("a result"), seq,
            })
            .collect();
        check_server(ServerFrame::Welcome(v1::Welcome {
            connection_id: numbers[0], epoch: numbers[1], heartbeat_interval_s: code,
            ack_delay_10ms: code, body_bytes_max: small[0], capabilities: advice,
            resumed: resumed.as_slice().into(),
        }));
        check_server(ServerFrame::Answer { request: numbers[0], code, value: numbers[1] });
        let position = Position { kind: ChannelKind::Topic, seq: numbers[1] };
        check_server(ServerFrame::Recall { message_id: numbers[0], position });
        check_server(ServerFrame::Synced { positions: positions.as_slice().into() });
        check_server(ServerFrame::GoAway(v1::GoAway {
            reason: code, close_in_ms: small[0], reconnect_after_ms: small[1], target: &target,
        }));
        check_server(ServerFrame::Close(v1::Close {
            reason: code, advice: Advice::from_number(advice), delay_ms: small[0],
            target: &target, text: &text,
        }));
    }

    /// Every encoding of a message says the same.
    #[test]
    fn pushes(message in message()) {
        let push = EncodedPush::new(message.clone());
        for encoding in [Encoding::V1, Encoding::V1Zlib] {
            let RawFrame::V1(raw) = whole(push.frame(encoding)) else { panic!("version") };
            let Ok(ServerFrame::Push(mut read)) = ServerFrame::decode(raw) else { panic!("push") };
            let content = match read.compressed {
                true => inflate(read.content, 2000).expect("inflates"),
                false => read.content.to_vec(),
            };
            prop_assert_eq!(&content, &message.content);
            (read.content, read.compressed) = (&content, false);
            prop_assert_eq!(read, v1::Push::of(&message));
        }
        let RawFrame::V0(frame) = whole(push.frame(Encoding::V0)) else { panic!("version") };
        let read = v0::Push::decode(frame.body).expect("a push");
        prop_assert_eq!(&*read.content().expect("content"), &*message.content);
        prop_assert_eq!(read.msg_seq, frame.stream_id);
        prop_assert_eq!(&read, &v0::Push::of(&message));
    }

    #[test]
    fn upstream_of_version_0(name in name(), content in vec(any::<u8>(), 0..200)) {
        for (target, name) in
            [(Target::User, name.as_str()), (Target::Topic, &name), (Target::Application, "")]
        {
            let body = v0::Upstream::new(target, name, &content).expect("allowed").to_json();
            let read = v0::Upstream::decode(&body).expect("a message");
            prop_assert_eq!(read.target(), Ok(target));
            prop_assert_eq!(read.name(), name);
            prop_assert_eq!(&*read.content().expect("content"), content.as_slice());
        }
    }

    /// What the server has to say is cut to fit, at a character.
    #[test]
    fn texts_of_any_length_fit(text in "\\PC{0,600}") {
        let close = v1::Close::of(gpusher_proto::wire::Code::Kicked, &text);
        let bytes = ServerFrame::Close(close).to_vec();
        let RawFrame::V1(raw) = whole(&bytes) else { panic!("version") };
        let Ok(ServerFrame::Close(read)) = ServerFrame::decode(raw) else { panic!("close") };
        prop_assert!(text.starts_with(read.text));
        prop_assert!(read.text.len() == text.len() || (252..=255).contains(&read.text.len()));
    }
}

/// Encoding refuses what decoding would.
#[test]
fn clients_cannot_say_what_would_be_refused() {
    let long = "x".repeat(65);
    let mut out = Vec::new();
    for frame in [
        ClientFrame::Leave { request: 1, topic: "" },
        ClientFrame::Leave { request: 1, topic: &long },
        ClientFrame::Send { request: 1, target: Target::Application, name: "x", content: b"" },
        ClientFrame::Ack {
            positions: (&[Position { kind: ChannelKind::Topic, seq: 1 }][..]).into(),
        },
    ] {
        assert!(frame.encode(&mut out).is_err(), "{frame:?}");
    }
    assert!(out.is_empty());
}
