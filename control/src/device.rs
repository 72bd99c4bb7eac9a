//! Whose connection it is, held a million times.

use gpusher_proto::data::DeviceKey;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A device of a user of an app: who has cursors. Both names are in one allocation without room to grow.
#[derive(Clone, PartialEq, Eq)]
pub struct Device {
    /// The app.
    pub app_id: u32,
    /// Where the device's name begins.
    user_bytes: u32,
    names: Box<str>,
}

// With its names, it is all that is known of many a connection.
const _: () = assert!(size_of::<Device>() == 24);

impl Device {
    /// A device; its name may be empty.
    ///
    /// # Panics
    /// If the user's name has four gigabytes: a link's messages are far below that.
    pub fn new(app_id: u32, user: &str, device: &str) -> Self {
        let user_bytes = u32::try_from(user.len()).expect("names are below a message's size");
        // Exact from the start: growing and shrinking would be two more allocations.
        let mut names = String::with_capacity(user.len() + device.len());
        names.push_str(user);
        names.push_str(device);
        Self { app_id, user_bytes, names: names.into_boxed_str() }
    }

    /// The user.
    pub fn user(&self) -> &str {
        &self.names[..self.user_bytes as usize]
    }

    /// The device, which may be empty.
    pub fn device(&self) -> &str {
        &self.names[self.user_bytes as usize..]
    }

    /// Several connections without a name share one cursor.
    pub fn is_nameless(&self) -> bool {
        self.names.len() == self.user_bytes as usize
    }

    /// As the store names it.
    pub fn key(&self) -> DeviceKey {
        let (user, device) = (self.user().to_owned(), self.device().to_owned());
        DeviceKey { app_id: self.app_id, user, device }
    }
}

impl Hash for Device {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.app_id, self.user_bytes, &*self.names).hash(state);
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{:?}/{:?}", self.app_id, self.user(), self.device())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_border() {
        let device = Device::new(7, "ä", "phone");
        assert_eq!((device.user(), device.device(), device.is_nameless()), ("ä", "phone", false));
        assert_eq!(device.key(), DeviceKey { app_id: 7, user: "ä".into(), device: "phone".into() });
        let other = Device::new(7, "äphone", "");
        assert!(other.is_nameless() && other != device);
    }
}
