//! What the fuzz targets and the tests that replay their corpora run.

use crate::{Admission, Limits, Session, State};
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::wire::v1::Close;
use gpusher_proto::wire::{Code, Positions};

/// One life of a session. The first byte says into how large segments the rest is cut, and whether the login is admitted, refused or left waiting.
///
/// # Panics
/// When the session does something that it never may.
pub fn life(data: &[u8]) {
    let Some((&plan, bytes)) = data.split_first() else { return };
    let segment_bytes = if plan & 0x3f == 0x3f { usize::MAX } else { usize::from(plan & 0x3f) + 1 };
    let limits = Limits { body_bytes_max: 4096, login_body_bytes_max: 512, ..Limits::default() };
    let mut session = Session::new();
    let mut replies = Vec::new();
    for (turn, segment) in bytes.chunks(segment_bytes).enumerate() {
        let now_ms = turn as u64;
        let mut outcome = session.on_bytes(segment, now_ms, &limits, &mut replies, &mut |_| ());
        if session.state() == State::Pending && plan & 0x80 == 0 {
            let admission = Admission { connection: ConnId::from_raw(1), epoch: 1, resumed: &[] };
            outcome = session.admit(&admission, now_ms, &limits, &mut replies, &mut |_| ());
            session.answer(1, 0, 2, &mut replies);
            session.synced(Some(1), Positions::EMPTY, &mut replies);
        } else if session.state() == State::Pending && plan & 0x40 != 0 {
            session.close(Close::of(Code::BadToken, "no"), &mut replies);
        }
        assert!(outcome.is_ok() || session.state() == State::Closing);
        assert!(session.partial_bytes() <= 4096 + 21);
        if session.state() == State::Closing {
            assert_eq!(session.partial_bytes(), 0);
            let said = replies.len();
            session.close(Close::of(Code::IdleTimeout, ""), &mut replies);
            assert_eq!(replies.len(), said, "nothing is said after the last word");
            return;
        }
        replies.clear();
    }
}
