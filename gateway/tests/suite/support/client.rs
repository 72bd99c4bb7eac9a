//! A client that knows frames and nothing else.

use super::{APP, TAG};
use gpusher_gateway::Gateway;
use gpusher_proto::wire::v1::{ClientFrame, Login, ServerFrame};
use gpusher_proto::wire::{BODY_BYTES_MAX, Positions, RawFrame, Split, split, v0};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(gateway: &Gateway) -> Self {
        let stream = TcpStream::connect(gateway.client_addr()).await.expect("it accepts");
        Self { stream, received: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the gateway reads");
    }

    pub(crate) async fn send_v1(&mut self, frame: ClientFrame<'_>) {
        let bytes = frame.to_vec().expect("a frame that can be encoded");
        self.send(&bytes).await;
    }

    /// The next frame, or none at the end of the connection.
    pub(crate) async fn try_frame(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Split::Whole { len, .. } =
                split(&self.received, BODY_BYTES_MAX).expect("the gateway sends frames")
            {
                let rest = self.received.split_off(len);
                return Some(std::mem::replace(&mut self.received, rest));
            }
            match self.stream.read_buf(&mut self.received).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub(crate) async fn frame(&mut self) -> Vec<u8> {
        self.try_frame().await.expect("the connection lives")
    }

    /// Reads to the end, and how many frames came before it.
    pub(crate) async fn ended(&mut self) -> usize {
        let mut frames = 0;
        while self.try_frame().await.is_some() {
            frames += 1;
        }
        frames
    }
}

/// A version 0 login.
pub(crate) fn login_v0(user: &str, key: &str) -> Vec<u8> {
    let login = v0::Login { app_id: APP, uuid: user.into(), key: key.into(), token: "any".into() };
    v0::Frame::from_client(v0::FrameType::Heartbeat, 7, &login.to_json()).to_vec()
}

/// A version 1 login without device or positions.
pub(crate) fn login_v1(user: &str) -> Vec<u8> {
    let login = Login {
        app_id: APP,
        user,
        device: "",
        token: "any",
        capabilities: 0,
        epoch: 0,
        resume: Positions::from(&[][..]),
    };
    ClientFrame::Login(login).to_vec().expect("a login")
}

/// A frame of version 0.
pub(crate) fn as_v0(bytes: &[u8]) -> v0::Frame<'_> {
    match split(bytes, BODY_BYTES_MAX) {
        Ok(Split::Whole { frame: RawFrame::V0(frame), .. }) => frame,
        other => panic!("not a version 0 frame: {other:?}"),
    }
}

/// A frame of version 1.
pub(crate) fn as_v1(bytes: &[u8]) -> ServerFrame<'_> {
    match split(bytes, BODY_BYTES_MAX) {
        Ok(Split::Whole { frame: RawFrame::V1(raw), .. }) => {
            ServerFrame::decode(raw).expect("a frame of the server")
        }
        other => panic!("not a version 1 frame: {other:?}"),
    }
}

/// Logs in over version 0, with the app's tag as key.
pub(crate) async fn send_login_v0(gateway: &Gateway, user: &str) -> Client {
    let mut client = Client::connect(gateway).await;
    client.send(&login_v0(user, TAG)).await;
    client
}

/// Logs in over version 1.
pub(crate) async fn send_login_v1(gateway: &Gateway, user: &str) -> Client {
    let mut client = Client::connect(gateway).await;
    client.send(&login_v1(user)).await;
    client
}
