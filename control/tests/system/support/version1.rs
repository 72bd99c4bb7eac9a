//! A version 1 client written from `proto/WIRE.md` alone, byte by byte, without the project's codec.

use super::PATIENCE;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) const LOGIN: u8 = 0x01;
pub(crate) const HEARTBEAT: u8 = 0x02;
pub(crate) const ACK: u8 = 0x03;
pub(crate) const SEND: u8 = 0x04;
pub(crate) const JOIN: u8 = 0x05;
pub(crate) const LEAVE: u8 = 0x06;
pub(crate) const WELCOME: u8 = 0x81;
pub(crate) const PUSH: u8 = 0x82;
pub(crate) const ANSWER: u8 = 0x83;
pub(crate) const SYNCED: u8 = 0x85;
pub(crate) const CLOSE: u8 = 0x87;

/// A frame as read.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) body: Vec<u8>,
}

/// A PUSH, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Push {
    pub(crate) channel: u8,
    pub(crate) id: u64,
    pub(crate) seq: u64,
    pub(crate) kept: bool,
    pub(crate) expires_at_ms: Option<u64>,
    pub(crate) topic: Option<String>,
    pub(crate) sender: Option<String>,
    pub(crate) content: String,
}

/// Takes fields off the front of a body.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }
    fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }
    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().expect("2 bytes"))
    }
    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take(8).try_into().expect("8 bytes"))
    }
    fn str8(&mut self) -> String {
        let length = self.u8() as usize;
        String::from_utf8(self.take(length).to_vec()).expect("UTF-8")
    }
}

impl Push {
    fn parse(frame: &Frame) -> Self {
        let mut fields = Fields(&frame.body);
        let (channel, id, seq) = (fields.u8(), fields.u64(), fields.u64());
        let expires_at_ms = (frame.flags & 0x02 != 0).then(|| fields.u64());
        let topic = (frame.flags & 0x04 != 0).then(|| fields.str8());
        let sender = (frame.flags & 0x08 != 0).then(|| fields.str8());
        assert_eq!(frame.flags & 0x10, 0, "no compression was negotiated");
        let content = String::from_utf8(fields.0.to_vec()).expect("UTF-8");
        let kept = frame.flags & 0x01 != 0;
        Self { channel, id, seq, kept, expires_at_ms, topic, sender, content }
    }
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 1, kind, flags];
    bytes.extend_from_slice(&u32::try_from(body.len()).expect("short").to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn str8(text: &str) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(text.len()).expect("short")];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// The bytes of a login to app 1000; `resume` is (epoch, positions as (kind, sequence)).
pub(crate) fn login(user: &str, device: &str, resume: (u64, &[(u8, u64)])) -> Vec<u8> {
    let mut body = 1000u32.to_be_bytes().to_vec();
    body.extend(str8(user));
    body.extend(str8(device));
    body.extend_from_slice(&[0, 3]);
    body.extend_from_slice(b"any");
    body.push(0);
    body.extend_from_slice(&resume.0.to_be_bytes());
    body.push(u8::try_from(resume.1.len()).expect("short"));
    for (kind, seq) in resume.1 {
        body.push(*kind);
        body.extend_from_slice(&seq.to_be_bytes());
    }
    frame(LOGIN, 0, &body)
}

/// A version 1 connection, logged in.
pub(crate) struct Client {
    stream: TcpStream,
    /// Epoch of the logs, from WELCOME.
    pub(crate) epoch: u64,
    /// Results of resuming: (kind, result, sequence).
    pub(crate) resumed: Vec<(u8, u8, u64)>,
}

impl Client {
    /// Connects and logs in, resuming where the server knows the device to be.
    pub(crate) async fn login(address: SocketAddr, user: &str, device: &str) -> Self {
        Self::resume(address, user, device, (0, &[])).await
    }

    /// Connects and logs in with positions.
    pub(crate) async fn resume(
        address: SocketAddr,
        user: &str,
        device: &str,
        resume: (u64, &[(u8, u64)]),
    ) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gateway accepts");
        let mut client = Self { stream, epoch: 0, resumed: Vec::new() };
        client.write(&login(user, device, resume)).await;
        let welcome = client.read().await.expect("a login is answered");
        assert_eq!(welcome.kind, WELCOME, "{welcome:?}");
        let mut fields = Fields(&welcome.body);
        let _connection = fields.u64();
        client.epoch = fields.u64();
        let _limits = (fields.u16(), fields.u16(), fields.take(4), fields.u8());
        for _ in 0..fields.u8() {
            client.resumed.push((fields.u8(), fields.u8(), fields.u64()));
        }
        client
    }

    /// Writes raw bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the connection is open");
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn read(&mut self) -> Option<Frame> {
        timeout(PATIENCE, self.read_frame()).await.expect("a frame or the end, in time")
    }

    async fn read_frame(&mut self) -> Option<Frame> {
        let mut header = [0; 8];
        self.stream.read_exact(&mut header).await.ok()?;
        assert_eq!(header[..2], [0x45, 1], "magic and version");
        let length = u32::from_be_bytes(header[4..8].try_into().expect("4 bytes"));
        let mut body = vec![0; length as usize];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(Frame { kind: header[2], flags: header[3], body })
    }

    /// The next push; SYNCED frames before it are passed over.
    pub(crate) async fn push(&mut self) -> Push {
        loop {
            let frame = self.read().await.expect("a push");
            match frame.kind {
                SYNCED => {}
                PUSH => return Push::parse(&frame),
                _ => panic!("not a push: {frame:?}"),
            }
        }
    }

    /// Contents of the next pushes.
    pub(crate) async fn contents(&mut self, count: usize) -> Vec<String> {
        let mut contents = Vec::new();
        for _ in 0..count {
            contents.push(self.push().await.content);
        }
        contents
    }

    /// Acknowledges a channel up to a sequence.
    pub(crate) async fn acknowledge(&mut self, channel: u8, seq: u64) {
        let mut body = vec![channel];
        body.extend_from_slice(&seq.to_be_bytes());
        self.write(&frame(ACK, 0, &body)).await;
    }

    /// Sends a request that is answered; returns (code, value).
    pub(crate) async fn ask(&mut self, bytes: &[u8], request: u64) -> (u16, u64) {
        self.write(bytes).await;
        loop {
            let frame = self.read().await.expect("an answer");
            match frame.kind {
                SYNCED => {}
                ANSWER => {
                    let mut fields = Fields(&frame.body);
                    assert_eq!(fields.u64(), request, "{frame:?}");
                    return (fields.u16(), fields.u64());
                }
                _ => panic!("not an answer: {frame:?}"),
            }
        }
    }

    /// Joins a topic; returns (code, last sequence).
    pub(crate) async fn join(&mut self, request: u64, topic: &str) -> (u16, u64) {
        let body = [&request.to_be_bytes()[..], &str8(topic)].concat();
        self.ask(&frame(JOIN, 0, &body), request).await
    }

    /// Leaves a topic; returns the code.
    pub(crate) async fn leave(&mut self, request: u64, topic: &str) -> u16 {
        let body = [&request.to_be_bytes()[..], &str8(topic)].concat();
        self.ask(&frame(LEAVE, 0, &body), request).await.0
    }

    /// Sends upstream (target 0 application, 1 user, 4 topic); returns (code, message id).
    pub(crate) async fn send(
        &mut self,
        request: u64,
        target: u8,
        name: &str,
        content: &str,
    ) -> (u16, u64) {
        let body =
            [&request.to_be_bytes()[..], &[target], &str8(name), content.as_bytes()].concat();
        self.ask(&frame(SEND, 0, &body), request).await
    }

    /// The reason and advice of the CLOSE that comes next (pushes and SYNCED are passed over).
    pub(crate) async fn closed(&mut self) -> (u16, u8) {
        loop {
            let frame = self.read().await.expect("a CLOSE before the end");
            if frame.kind == CLOSE {
                let mut fields = Fields(&frame.body);
                return (fields.u16(), fields.u8());
            }
        }
    }
}
