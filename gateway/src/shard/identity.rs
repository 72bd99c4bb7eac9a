//! Whose connection it is, in one allocation: a 16-character user without a device takes 24 bytes on the heap.

use crate::links::session_hash;

/// User and device of a connection.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    /// Length of the user, the user, the device.
    packed: Box<[u8]>,
}

impl Identity {
    /// Both names are at most 64 bytes, as the session saw to.
    pub(crate) fn new(user: &str, device: &str) -> Self {
        let user_bytes = u8::try_from(user.len()).expect("names are at most 64 bytes");
        let packed = [&[user_bytes][..], user.as_bytes(), device.as_bytes()].concat();
        Self { packed: packed.into() }
    }

    /// The user; empty before the login.
    pub(crate) fn user(&self) -> &str {
        self.part(true)
    }

    /// The device; empty if it has no name.
    pub(crate) fn device(&self) -> &str {
        self.part(false)
    }

    /// Picks the logic that has the session.
    pub(crate) fn session_hash(&self, app: u32) -> u64 {
        session_hash(app, self.user())
    }

    fn part(&self, user: bool) -> &str {
        let Some((&len, names)) = self.packed.split_first() else { return "" };
        let (before, after) = names.split_at(usize::from(len));
        std::str::from_utf8(if user { before } else { after }).expect("made of strings")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for (user, device) in [("liangjf", ""), ("ü", "phone"), ("a", "ß")] {
            let identity = Identity::new(user, device);
            assert_eq!((identity.user(), identity.device()), (user, device));
        }
        assert_eq!((Identity::default().user(), Identity::default().device()), ("", ""));
    }
}
