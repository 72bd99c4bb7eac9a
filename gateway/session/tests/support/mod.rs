//! A connection with a clock, and frames to feed it.

// Each test file uses its part.
#![allow(dead_code)]

use gpusher_proto::conn_id::ConnId;
use gpusher_proto::wire::v1::{self, ClientFrame};
use gpusher_proto::wire::{Code, List, Positions, v0};
use gpusher_session::{Admission, Event, Limits, Login, Session};
use serde_json::Value;

pub(crate) struct Peer {
    pub(crate) session: Session,
    pub(crate) limits: Limits,
    pub(crate) now_ms: u64,
    replies: Vec<u8>,
}

impl Peer {
    pub(crate) fn new() -> Self {
        Self { session: Session::new(), limits: Limits::default(), now_ms: 0, replies: Vec::new() }
    }

    /// Logged in and admitted, with nothing left unsaid.
    pub(crate) fn admitted(login: &[u8]) -> Self {
        let mut peer = Self::new();
        assert_eq!(peer.hear_all(login).map(|events| events.len()), Ok(1));
        peer.admit(&[]).expect("nothing waits");
        peer.said();
        peer
    }

    /// Feeds bytes, which must cause exactly these events.
    #[track_caller]
    pub(crate) fn hear(&mut self, bytes: &[u8], expected: &[Event<'_>]) -> Result<(), Code> {
        let mut expected = expected.iter();
        let outcome = self.session.on_bytes(
            bytes,
            self.now_ms,
            &self.limits,
            &mut self.replies,
            &mut |event| assert_eq!(Some(&event), expected.next()),
        );
        assert_eq!(expected.next(), None);
        outcome.map_err(|error| error.code)
    }

    /// Feeds bytes; the events as text.
    pub(crate) fn hear_all(&mut self, bytes: &[u8]) -> Result<Vec<String>, Code> {
        let mut events = Vec::new();
        self.session
            .on_bytes(bytes, self.now_ms, &self.limits, &mut self.replies, &mut |event| {
                events.push(format!("{event:?}"));
            })
            .map_err(|error| error.code)?;
        Ok(events)
    }

    /// Admits; what waited must cause exactly these events.
    #[track_caller]
    pub(crate) fn admit(&mut self, expected: &[Event<'_>]) -> Result<(), Code> {
        let mut expected = expected.iter();
        let outcome = self.session.admit(
            &ADMISSION,
            self.now_ms,
            &self.limits,
            &mut self.replies,
            &mut |event| assert_eq!(Some(&event), expected.next()),
        );
        assert_eq!(expected.next(), None);
        outcome.map_err(|error| error.code)
    }

    /// What was said since the last call.
    pub(crate) fn said(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.replies)
    }
}

pub(crate) const ADMISSION: Admission<'static> =
    Admission { connection: ConnId::from_raw(77), epoch: 5, resumed: &[] };

/// What a version 1 client is told when [`Peer::admit`] is called and the limits are the default ones.
pub(crate) fn welcome(capabilities: u8) -> Vec<u8> {
    let limits = Limits::default();
    v1::ServerFrame::Welcome(v1::Welcome {
        connection_id: 77,
        epoch: 5,
        heartbeat_interval_s: limits.heartbeat_interval_s,
        ack_delay_10ms: 100,
        body_bytes_max: limits.body_bytes_max,
        capabilities,
        resumed: List::EMPTY,
    })
    .to_vec()
}

pub(crate) const LOGIN_V0_STREAM_ID: u64 = 99;

/// As the forerunner's client does it: JSON in a heartbeat frame.
pub(crate) fn login_v0() -> Vec<u8> {
    let body = br#"{"appId":1000,"uuid":"liangjf","key":"app_gpusher","token":"t"}"#;
    v0::Frame::from_client(v0::FrameType::Heartbeat, LOGIN_V0_STREAM_ID, body).to_vec()
}

pub(crate) fn login_v0_event() -> Event<'static> {
    Event::Login(Login {
        version: 0,
        app_id: 1000,
        user: "liangjf",
        device: "",
        token: "t",
        key: "app_gpusher",
        epoch: 0,
        resume: Positions::EMPTY,
    })
}

pub(crate) fn login_v1(capabilities: u8) -> Vec<u8> {
    client(ClientFrame::Login(v1::Login {
        app_id: 1000,
        user: "liangjf",
        device: "phone",
        token: "t",
        capabilities,
        epoch: 0,
        resume: Positions::EMPTY,
    }))
}

pub(crate) fn login_v1_event() -> Event<'static> {
    Event::Login(Login {
        version: 1,
        app_id: 1000,
        user: "liangjf",
        device: "phone",
        token: "t",
        key: "",
        epoch: 0,
        resume: Positions::EMPTY,
    })
}

pub(crate) fn client(frame: ClientFrame<'_>) -> Vec<u8> {
    frame.to_vec().expect("allowed by the rules")
}

pub(crate) fn heartbeat_v1() -> Vec<u8> {
    client(ClientFrame::Heartbeat { acks: Positions::EMPTY })
}

pub(crate) fn v0_frame(frame_type: v0::FrameType, stream_id: u64, body: &str) -> Vec<u8> {
    v0::Frame::from_client(frame_type, stream_id, body.as_bytes()).to_vec()
}

/// The refused entries of a file of test vectors: name, bytes, body limit, code.
pub(crate) fn refused(file: &str) -> Vec<(String, Vec<u8>, u32, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/vectors");
    let text = std::fs::read_to_string(format!("{folder}/{file}.json")).expect("vectors");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let entries = file["refused"].as_array().expect("a list");
    let text = |entry: &Value, member: &str| entry[member].as_str().expect("text").to_owned();
    entries
        .iter()
        .map(|entry| {
            let hex = text(entry, "hex");
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
            let bytes = (0..hex.len()).step_by(2).map(byte).collect();
            let body_bytes_max = entry["body_bytes_max"].as_u64().expect("a number") as u32;
            (text(entry, "name"), bytes, body_bytes_max, text(entry, "code"))
        })
        .collect()
}
