//! Client frames: splitting, decoding, encoding a push for each kind of connection.

use crate::timing::{Effort, Figure, time};
use bytes::Bytes;
use gpusher_proto::gateway::{ChannelKind, Message};
use gpusher_proto::wire::{
    EncodedPush, Encoding, Position, Positions, RawFrame, Split, split, v0, v1,
};
use std::hint::black_box;

/// Takes the figures.
pub fn figures(effort: Effort) -> Vec<Figure> {
    let positions = [Position { kind: ChannelKind::Own, seq: 7 }];
    let ack = v1::ClientFrame::Ack { positions: Positions::from(&positions[..]) };
    let ack = ack.to_vec().expect("fits");
    let beat = v0::Frame::from_client(v0::FrameType::Heartbeat, 3, &[]).to_vec();
    let message = message(64);
    let encode = |name, encoding| {
        time(name, effort, || {
            let push = EncodedPush::new(black_box(message.clone()));
            black_box(push.frame(encoding));
        })
    };
    vec![
        time("split and decode: version 0 heartbeat", effort, || {
            black_box(decode(black_box(&beat)));
        }),
        time("split and decode: version 1 acknowledgement", effort, || {
            black_box(decode(black_box(&ack)));
        }),
        encode("encode: 64 B push for version 0 (JSON)", Encoding::V0),
        encode("encode: 64 B push for version 1", Encoding::V1),
    ]
}

fn decode(bytes: &[u8]) -> usize {
    match split(bytes, 4096) {
        Ok(Split::Whole { frame: RawFrame::V1(frame), len }) => {
            black_box(v1::ClientFrame::decode(frame).expect("valid"));
            len
        }
        Ok(Split::Whole { len, .. }) => len,
        other => panic!("a whole frame: {other:?}"),
    }
}

/// A live message with that much content.
pub(crate) fn message(content_bytes: usize) -> Message {
    Message {
        id: 1 << 40,
        channel: ChannelKind::App as i32,
        seq: 12_345,
        r#type: 2,
        content: Bytes::from(vec![b'x'; content_bytes]),
        ..Message::default()
    }
}
