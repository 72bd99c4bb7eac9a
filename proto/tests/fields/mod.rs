//! What a frame says, in the words of `vectors/README.md`.

use gpusher_proto::wire::v1::{ClientFrame, ServerFrame};
use gpusher_proto::wire::{Positions, WireError, inflate, position_of, v0};
use serde_json::{Value, json};
use std::borrow::Cow;

/// Which body a version 0 frame has; the header does not tell.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    Login,
    Ignored,
    Ack,
    Upstream,
    Push,
    Answer,
    Refusal,
}

pub(crate) fn of_v0(frame: &v0::Frame<'_>, body: Body) -> Result<Value, WireError> {
    let mut fields = json!({
        "type": frame.frame_type as u8,
        "request": u8::from(!frame.wants_answer),
        "compression": u8::from(frame.compressed),
        "stream_id": frame.stream_id.to_string(),
    });
    let more = of_v0_body(frame, body)?;
    let map = fields.as_object_mut().expect("an object");
    map.extend(more.as_object().expect("an object").clone());
    Ok(fields)
}

fn of_v0_body(frame: &v0::Frame<'_>, body: Body) -> Result<Value, WireError> {
    let bytes = match frame.compressed {
        true => Cow::Owned(inflate(frame.body, 8192)?),
        false => Cow::Borrowed(frame.body),
    };
    Ok(match body {
        Body::Ignored => json!({}),
        Body::Login => {
            let login = v0::Login::decode(&bytes)?;
            json!({"appId": login.app_id, "uuid": login.uuid, "key": login.key, "token": login.token})
        }
        Body::Ack => {
            let position = position_of(frame.stream_id).ok_or(WireError {
                code: gpusher_proto::wire::Code::Malformed,
                text: "stream id is no push's",
            })?;
            json!({"kind": position.kind as u8, "seq": position.seq.to_string()})
        }
        Body::Upstream => {
            let upstream = v0::Upstream::decode(&bytes)?;
            let content = hex(&upstream.content()?);
            json!({"target": upstream.target()? as u8, "name": upstream.name(), "content": content})
        }
        Body::Push => {
            let push = v0::Push::decode(&bytes)?;
            assert_eq!(push.msg_seq, frame.stream_id);
            let position = position_of(push.msg_seq).expect("a message's");
            json!({
                "push_type": push.push_type,
                "kind": position.kind as u8,
                "seq": position.seq.to_string(),
                "uuid": push.uuid,
                "content": hex(&push.content()?),
                "expire_time": push.expire_time,
                "kept": push.offline_push,
                "message_id": push.msg_id.to_string(),
                "topic": push.topic,
                "sender": push.sender,
            })
        }
        Body::Answer => {
            let answer = v0::Answer::decode(&bytes)?;
            json!({"code": answer.code, "msgId": answer.msg_id.to_string()})
        }
        Body::Refusal => {
            let refusal = v0::Refusal::decode(&bytes)?;
            json!({"code": refusal.code, "msg": refusal.msg})
        }
    })
}

pub(crate) fn of_client(frame: &ClientFrame<'_>) -> Value {
    match frame {
        ClientFrame::Login(login) => json!({
            "app_id": login.app_id,
            "user": login.user,
            "device": login.device,
            "token": login.token,
            "capabilities": login.capabilities,
            "epoch": login.epoch.to_string(),
            "resume": of_positions(login.resume),
        }),
        ClientFrame::Heartbeat { acks: positions } | ClientFrame::Ack { positions } => {
            json!({"positions": of_positions(*positions)})
        }
        ClientFrame::Send { request, target, name, content } => json!({
            "request": request.to_string(),
            "target": *target as u8,
            "name": name,
            "content": hex(content),
        }),
        ClientFrame::Join { request, topic, since } => json!({
            "request": request.to_string(),
            "topic": topic,
            "since": since.map(|since| since.to_string()),
        }),
        ClientFrame::Leave { request, topic } => {
            json!({"request": request.to_string(), "topic": topic})
        }
        ClientFrame::Sync | ClientFrame::Bye => json!({}),
    }
}

pub(crate) fn of_server(frame: &ServerFrame<'_>) -> Value {
    match frame {
        ServerFrame::Heartbeat => json!({}),
        ServerFrame::Welcome(welcome) => json!({
            "connection_id": welcome.connection_id.to_string(),
            "epoch": welcome.epoch.to_string(),
            "heartbeat_interval_s": welcome.heartbeat_interval_s,
            "ack_delay_10ms": welcome.ack_delay_10ms,
            "body_bytes_max": welcome.body_bytes_max,
            "capabilities": welcome.capabilities,
            "resumed": welcome.resumed.iter().map(|entry| json!({
                "kind": entry.kind as u8, "result": entry.result as u8, "seq": entry.seq.to_string(),
            })).collect::<Vec<_>>(),
        }),
        ServerFrame::Push(push) => {
            let content = match push.compressed {
                true => inflate(push.content, 1 << 20).expect("vectors inflate"),
                false => push.content.to_vec(),
            };
            json!({
                "kind": push.position.kind as u8,
                "message_id": push.message_id.to_string(),
                "seq": push.position.seq.to_string(),
                "kept": push.kept,
                "expires_at_ms": push.expires_at_ms.map(|at_ms| at_ms.to_string()),
                "topic": push.topic,
                "sender": push.sender,
                "compressed": push.compressed,
                "content": hex(&content),
            })
        }
        ServerFrame::Answer { request, code, value } => {
            json!({"request": request.to_string(), "code": code, "value": value.to_string()})
        }
        ServerFrame::Recall { message_id, position } => json!({
            "kind": position.kind as u8,
            "message_id": message_id.to_string(),
            "seq": position.seq.to_string(),
        }),
        ServerFrame::Synced { positions } => json!({"positions": of_positions(*positions)}),
        ServerFrame::GoAway(go_away) => json!({
            "reason": go_away.reason,
            "close_in_ms": go_away.close_in_ms,
            "reconnect_after_ms": go_away.reconnect_after_ms,
            "target": go_away.target,
        }),
        ServerFrame::Close(close) => json!({
            "reason": close.reason,
            "advice": close.advice.number(),
            "delay_ms": close.delay_ms,
            "target": close.target,
            "text": close.text,
        }),
        ServerFrame::Unknown { frame_type } => json!({"unknown": frame_type}),
    }
}

fn of_positions(positions: Positions<'_>) -> Vec<Value> {
    positions
        .iter()
        .map(|entry| json!({"kind": entry.kind as u8, "seq": entry.seq.to_string()}))
        .collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2));
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}
