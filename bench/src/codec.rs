//! Frames: splitting and decoding what clients send, encoding a push for each kind of connection, and the way back at the client.

use crate::figure::Figure;
use crate::timing::{Effort, time};
use bytes::Bytes;
use gpusher_proto::gateway::{ChannelKind, Message};
use gpusher_proto::wire::{
    EncodedPush, Encoding, Position, Positions, RawFrame, Split, inflate, split, v0, v1,
};
use std::hint::black_box;

const BODY_BYTES_MAX: u32 = 1 << 20;

/// Takes the figures.
pub fn figures(effort: Effort) -> Vec<Figure> {
    let positions = [Position { kind: ChannelKind::Own, seq: 7 }];
    let ack = v1::ClientFrame::Ack { positions: Positions::from(&positions[..]) };
    let ack = ack.to_vec().expect("fits");
    let beat = v0::Frame::from_client(v0::FrameType::Heartbeat, 3, &[]).to_vec();
    let mut figures = vec![
        time("decode: version 0 heartbeat", effort, || {
            black_box(client_frame(black_box(&beat)));
        }),
        time("decode: version 1 acknowledgement", effort, || {
            black_box(client_frame(black_box(&ack)));
        }),
    ];
    let pushes = [
        ("64 B push, version 0 (JSON)", message(64), Encoding::V0),
        ("64 B push, version 1", message(64), Encoding::V1),
        ("4 KiB push of text, version 1", text(4096), Encoding::V1),
        ("4 KiB push of text, version 1 compressed", text(4096), Encoding::V1Zlib),
    ];
    for (name, message, encoding) in pushes {
        figures.push(time(&format!("encode: {name}"), effort, || {
            let push = EncodedPush::new(black_box(message.clone()));
            black_box(push.frame(encoding));
        }));
        let frame = EncodedPush::new(message).frame(encoding).clone();
        figures.push(time(&format!("decode: {name}"), effort, || {
            server_frame(black_box(&frame));
        }));
    }
    figures
}

fn client_frame(bytes: &[u8]) -> usize {
    match split(bytes, BODY_BYTES_MAX) {
        Ok(Split::Whole { frame: RawFrame::V1(frame), len }) => {
            black_box(v1::ClientFrame::decode(frame).expect("valid"));
            len
        }
        Ok(Split::Whole { len, .. }) => len,
        other => panic!("a whole frame: {other:?}"),
    }
}

/// As far as the content.
fn server_frame(bytes: &[u8]) {
    match split(bytes, BODY_BYTES_MAX) {
        Ok(Split::Whole { frame: RawFrame::V0(frame), .. }) => {
            black_box(v0::Push::decode(frame.body).expect("valid").content().expect("text"));
        }
        Ok(Split::Whole { frame: RawFrame::V1(frame), .. }) => {
            match v1::ServerFrame::decode(frame).expect("valid") {
                v1::ServerFrame::Push(push) if push.compressed => {
                    black_box(inflate(push.content, BODY_BYTES_MAX as usize).expect("valid"));
                }
                v1::ServerFrame::Push(push) => {
                    black_box(push.content);
                }
                other => panic!("a push: {other:?}"),
            }
        }
        other => panic!("a whole frame: {other:?}"),
    }
}

/// A live message with that much content.
pub(crate) fn message(content_bytes: usize) -> Message {
    with_content(Bytes::from(vec![b'x'; content_bytes]))
}

/// One whose content compresses as JSON of an application does.
fn text(content_bytes: usize) -> Message {
    let line = |number| format!(r#"{{"order":{number},"state":"shipped","town":"Ulm"}},"#);
    let mut content: Vec<u8> =
        (7_000..).flat_map(|n| line(n).into_bytes()).take(content_bytes).collect();
    content.truncate(content_bytes);
    with_content(content.into())
}

fn with_content(content: Bytes) -> Message {
    Message {
        id: 1 << 40,
        channel: ChannelKind::App as i32,
        seq: 12_345,
        r#type: 2,
        content,
        ..Message::default()
    }
}
