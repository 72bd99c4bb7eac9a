//! First frames, for those who are no clients of the crowd.

use gpusher_proto::wire::v0::{self, Frame, FrameType};
use gpusher_proto::wire::v1::{ClientFrame, Login};

/// Version 1; as good as the token is.
pub fn login(app_id: u32, user: &str, device: &str, token: &str) -> Vec<u8> {
    let login = ClientFrame::Login(Login {
        app_id,
        user,
        device,
        token,
        capabilities: 0,
        epoch: 0,
        resume: (&[][..]).into(),
    });
    let mut bytes = Vec::new();
    login.encode(&mut bytes).expect("a login within the limits");
    bytes
}

/// Version 0, of an app by tag and number.
pub fn login_v0((tag, app_id): (&str, u32), user: &str, token: &str) -> Vec<u8> {
    let login = v0::Login { app_id, uuid: user.into(), key: tag.into(), token: token.into() };
    let mut bytes = Vec::new();
    Frame::from_client(FrameType::Heartbeat, 1, &login.to_json()).encode(&mut bytes);
    bytes
}
