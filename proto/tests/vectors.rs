//! Every test vector of `vectors/`: hex decodes to the fields, what was decoded encodes to the hex, and what is refused is refused with its code.
//! The files follow from `WIRE.md`; they do not come from this codec.

mod fields;

use fields::Body;
use gpusher_proto::gateway::Message;
use gpusher_proto::wire::v1::{ClientFrame, ServerFrame};
use gpusher_proto::wire::{
    BODY_BYTES_MAX, EncodedPush, Encoding, RawFrame, Split, WireError, split,
};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// How the frames of a file are read.
#[derive(Clone, Copy)]
enum Reading {
    V0(Body),
    Client,
    Server,
    HeaderOnly,
}

const FILES: &[(&str, Reading)] = &[
    ("v0_login", Reading::V0(Body::Login)),
    ("v0_heartbeat", Reading::V0(Body::Ignored)),
    ("v0_ack", Reading::V0(Body::Ack)),
    ("v0_sync", Reading::V0(Body::Ignored)),
    ("v0_upstream", Reading::V0(Body::Upstream)),
    ("v0_push", Reading::V0(Body::Push)),
    ("v0_answer", Reading::V0(Body::Answer)),
    ("v0_refusal", Reading::V0(Body::Refusal)),
    ("v1_login", Reading::Client),
    ("v1_client_heartbeat", Reading::Client),
    ("v1_ack", Reading::Client),
    ("v1_send", Reading::Client),
    ("v1_join", Reading::Client),
    ("v1_leave", Reading::Client),
    ("v1_sync", Reading::Client),
    ("v1_bye", Reading::Client),
    ("v1_server_heartbeat", Reading::Server),
    ("v1_welcome", Reading::Server),
    ("v1_push", Reading::Server),
    ("v1_answer", Reading::Server),
    ("v1_recall", Reading::Server),
    ("v1_synced", Reading::Server),
    ("v1_goaway", Reading::Server),
    ("v1_close", Reading::Server),
    ("refused_framing", Reading::HeaderOnly),
    ("refused_v0_login", Reading::V0(Body::Login)),
    ("refused_v0_upstream", Reading::V0(Body::Upstream)),
    ("refused_v0_ack", Reading::V0(Body::Ack)),
    ("refused_v1_login", Reading::Client),
    ("refused_v1_client", Reading::Client),
    ("refused_v1_server", Reading::Server),
];

fn load(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(format!("{name}.json"));
    serde_json::from_slice(&fs::read(path).expect("the file is there")).expect("the file is JSON")
}

fn entries<'a>(file: &'a Value, member: &str) -> &'a [Value] {
    file[member].as_array().map_or(&[], Vec::as_slice)
}

/// Fields of the one frame that the bytes are, and the bytes it encodes to.
fn read(
    bytes: &[u8],
    reading: Reading,
    body_bytes_max: u32,
) -> Result<(Value, Vec<u8>), WireError> {
    let Split::Whole { frame, len } = split(bytes, body_bytes_max)? else {
        panic!("vectors are whole frames");
    };
    assert_eq!(len, bytes.len());
    match (reading, frame) {
        (Reading::V0(body), RawFrame::V0(frame)) => {
            assert_eq!(frame.encoded_len(), frame.to_vec().len());
            Ok((fields::of_v0(&frame, body)?, frame.to_vec()))
        }
        (Reading::Client, RawFrame::V1(raw)) => {
            let frame = ClientFrame::decode(raw)?;
            Ok((fields::of_client(&frame), frame.to_vec()?))
        }
        (Reading::Server, RawFrame::V1(raw)) => {
            let frame = ServerFrame::decode(raw)?;
            Ok((fields::of_server(&frame), frame.to_vec()))
        }
        _ => panic!("a frame of another version"),
    }
}

#[test]
fn every_file_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let mut found: Vec<String> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("plain names"))
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    let mut expected: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn frames_decode_to_their_fields_and_encode_back() {
    for (name, reading) in FILES {
        let file = load(name);
        for vector in entries(&file, "vectors") {
            let label = format!("{name}: {}", vector["name"]);
            let hex = vector["hex"].as_str().expect(&label);
            let (fields, encoded) =
                read(&fields::bytes(hex), *reading, BODY_BYTES_MAX).expect(&label);
            assert_eq!(fields, vector["fields"], "{label}");
            if vector["decode_only"] != true {
                assert_eq!(fields::hex(&encoded), hex, "{label}");
            }
        }
    }
}

/// No beginning of a frame is taken for a frame, or refused, and what is asked for never goes beyond it.
#[test]
fn beginnings_of_frames_are_incomplete() {
    for (name, _) in FILES {
        for vector in entries(&load(name), "vectors") {
            let bytes = fields::bytes(vector["hex"].as_str().expect("hex"));
            for cut in 0..bytes.len() {
                match split(&bytes[..cut], BODY_BYTES_MAX) {
                    Ok(Split::Incomplete { need }) => {
                        assert!(cut < need && need <= bytes.len(), "{name}: {}", vector["name"]);
                    }
                    other => panic!("{name}: {} cut at {cut}: {other:?}", vector["name"]),
                }
            }
        }
    }
}

#[test]
fn what_is_refused_is_refused_with_its_code() {
    let mut refused = 0;
    for (name, reading) in FILES {
        let file = load(name);
        for vector in entries(&file, "refused") {
            let label = format!("{name}: {}", vector["name"]);
            let bytes = fields::bytes(vector["hex"].as_str().expect(&label));
            let body_bytes_max = vector["body_bytes_max"].as_u64().expect(&label) as u32;
            let code = match *reading {
                Reading::HeaderOnly => split(&bytes, body_bytes_max).map(drop),
                // The login's limit is also that of what it inflates to.
                reading => read(&bytes, reading, body_bytes_max).map(drop),
            }
            .map_err(|error| error.code.name());
            assert_eq!(code, Err(vector["code"].as_str().expect(&label)), "{label}");
            refused += 1;
        }
    }
    assert!(refused > 100, "{refused}");
}

/// The push path encodes from a message, not from a frame.
#[test]
fn messages_encode_to_the_vectors_of_their_pushes() {
    for (name, encoding) in [("v0_push", Encoding::V0), ("v1_push", Encoding::V1)] {
        for vector in entries(&load(name), "vectors") {
            if vector["decode_only"] == true {
                continue;
            }
            let push = EncodedPush::new(message_of(&vector["fields"]));
            assert_eq!(fields::hex(push.frame(encoding)), vector["hex"], "{name}");
        }
    }
}

fn message_of(fields: &Value) -> Message {
    let number = |name: &str| match &fields[name] {
        Value::String(text) => text.parse().expect("decimal"),
        number => number.as_u64().unwrap_or(0),
    };
    let text = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
    Message {
        id: number("message_id"),
        channel: number("kind") as i32,
        seq: number("seq"),
        expires_at_ms: number("expires_at_ms") as i64,
        r#type: number("push_type") as u32,
        uuid: text("uuid"),
        topic: text("topic"),
        sender: text("sender"),
        content: fields::bytes(&text("content")).into(),
        kept: fields["kept"] == true,
        expire_time: number("expire_time") as u32,
        slow: 0,
    }
}
