//! Keys of queue records: what must stay in order gets the same key.

use gpusher_proto::data::Push;

/// One producer's pushes to one audience keep their order.
pub(super) fn of_push(push: &Push) -> String {
    match push.r#type {
        1 => of_user(push.app_id, &push.users[0]),
        2 => format!("app/{}", push.app_id),
        4 => format!("topic/{}/{}", push.app_id, push.topic),
        5 => format!("users/{}", push.app_id),
        _ => "everyone".to_owned(),
    }
}

/// What is about one user.
pub(in crate::web) fn of_user(app_id: u32, user: &str) -> String {
    format!("user/{app_id}/{user}")
}
