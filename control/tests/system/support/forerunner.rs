//! The forerunner's client, byte by byte, written without the project's codec: 21-byte big-endian header, JSON login sent as a
//! heartbeat frame, heartbeat answer as acceptance, pushes as JSON bodies.

use super::PATIENCE;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) const GENERAL: u8 = 0;
pub(crate) const HEARTBEAT: u8 = 1;
pub(crate) const ACKNOWLEDGEMENT: u8 = 2;
pub(crate) const SYNC: u8 = 3;

/// A frame as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) request: u8,
    pub(crate) stream: u64,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, request: u8, stream: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, kind, request, 0];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(&u32::try_from(body.len()).expect("short").to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(body);
    bytes
}

/// The bytes of a login.
pub(crate) fn login(user: &str, key: &str) -> Vec<u8> {
    let body = json!({"appId": 1000, "uuid": user, "key": key, "token": "any"});
    frame(HEARTBEAT, 0, 1, body.to_string().as_bytes())
}

/// A connection of the forerunner's kind.
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects without logging in.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gateway accepts");
        stream.set_nodelay(true).expect("a TCP socket");
        Self { stream }
    }

    /// Connects and logs in under the app's own key.
    pub(crate) async fn login(address: SocketAddr, user: &str) -> Self {
        Self::login_with_key(address, user, "app_gpusher").await
    }

    /// Connects and logs in.
    pub(crate) async fn login_with_key(address: SocketAddr, user: &str, key: &str) -> Self {
        let mut client = Self::connect(address).await;
        client.write(&login(user, key)).await;
        let answer = client.read().await.expect("a login is answered");
        assert_eq!((answer.kind, answer.body.len()), (HEARTBEAT, 0), "{answer:?}");
        client
    }

    /// Writes raw bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the connection is open");
    }

    /// Writes raw bytes that the server may not want to read to the end.
    pub(crate) async fn write_all_or_end(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn read(&mut self) -> Option<Frame> {
        timeout(PATIENCE, self.read_frame()).await.expect("a frame or the end, in time")
    }

    async fn read_frame(&mut self) -> Option<Frame> {
        let mut header = [0; 21];
        self.stream.read_exact(&mut header).await.ok()?;
        assert_eq!(header[..2], [0x45, 0], "magic and version");
        let length = u32::from_be_bytes(header[13..17].try_into().expect("4 bytes"));
        let mut body = vec![0; length as usize];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(Frame {
            kind: header[2],
            request: header[3],
            stream: u64::from_be_bytes(header[5..13].try_into().expect("8 bytes")),
            body,
        })
    }

    /// The next push.
    pub(crate) async fn push(&mut self) -> Value {
        let frame = self.read().await.expect("a push");
        assert_eq!(frame.kind, GENERAL, "{frame:?}");
        let body = frame.json();
        assert_eq!(body["msgSeq"].as_u64(), Some(frame.stream), "stream id and msgSeq agree");
        body
    }

    /// Contents of the next pushes.
    pub(crate) async fn contents(&mut self, count: usize) -> Vec<String> {
        let mut contents = Vec::new();
        for _ in 0..count {
            contents.push(self.push().await["content"].as_str().expect("a string").to_owned());
        }
        contents
    }

    /// Contents of the pushes that still come until the connection ends.
    pub(crate) async fn drain_contents(mut self) -> Vec<String> {
        let mut contents = Vec::new();
        while let Some(frame) = self.read().await {
            if frame.kind == GENERAL {
                contents.push(frame.json()["content"].as_str().expect("a string").to_owned());
            }
        }
        contents
    }

    /// Asserts that nothing but the answer to a heartbeat comes: whatever was due before it has been delivered.
    pub(crate) async fn expect_nothing_more(&mut self) {
        self.write(&frame(HEARTBEAT, 0, 77, b"")).await;
        let answer = self.read().await.expect("a heartbeat's answer");
        assert_eq!((answer.kind, answer.stream), (HEARTBEAT, 77), "{answer:?}");
    }

    /// Reads until the server closes, or fails.
    pub(crate) async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await;
        let _ = read.expect("the server closes in time");
    }
}
