//! Who there is: apps, users, their devices, topics.

use crate::ledger::Audience;
use std::net::Ipv4Addr;

/// Tag and number of the apps. The first is there from the start.
pub const APPS: [(&str, u32); 2] = [("app_gpusher", 1000), ("app_second", 2000)];
/// Topics of the first app.
pub const TOPICS: u32 = 4;
/// Users, the first ones, whose devices are never touched by a fault of clients: by them recovery is seen.
pub const PROBES: usize = 12;
/// Where clients come from who can be made unreachable.
pub const MOBILE: Ipv4Addr = Ipv4Addr::new(127, 50, 0, 1);

/// One device.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Index in the population.
    pub number: u32,
    /// Whose it is.
    pub user: String,
    /// Index in [`APPS`].
    pub app: usize,
    /// Of the wire.
    pub version: u8,
    /// Empty with version 0, which has none.
    pub name: &'static str,
    /// Which it joins.
    pub topic: Option<u32>,
    /// Where it comes from, if that matters.
    pub source: Option<Ipv4Addr>,
}

/// A user.
#[derive(Debug, Clone)]
pub struct User {
    /// On the wire.
    pub name: String,
    /// Index in [`APPS`].
    pub app: usize,
    /// Numbers of the devices.
    pub devices: Vec<u32>,
}

/// Everybody.
#[derive(Debug)]
pub struct Population {
    /// By number.
    pub devices: Vec<Profile>,
    /// The first are the probes.
    pub users: Vec<User>,
    /// By app.
    pub apps: Vec<Audience>,
    /// All devices.
    pub everyone: Audience,
    /// By topic.
    pub topics: Vec<Audience>,
}

impl Population {
    /// About so many devices: a quarter of the users has one of version 1, one has two, one has one of each version, one has one of version 0.
    pub fn new(clients: usize) -> Self {
        let mut devices: Vec<Profile> = Vec::new();
        let mut users = Vec::new();
        while devices.len() < clients.max(PROBES) {
            let index = users.len();
            let is_probe = index < PROBES;
            let app = usize::from(index % 8 == 7 && !is_probe);
            let kinds: &[(u8, &'static str)] = match index % 4 {
                _ if is_probe => &[(1, "phone")],
                0 => &[(1, "phone")],
                1 => &[(1, "phone"), (1, "desk")],
                2 => &[(1, "phone"), (0, "")],
                _ => &[(0, "")],
            };
            let name = format!("user-{index}");
            let first = devices.len() as u32;
            for (offset, &(version, device)) in kinds.iter().enumerate() {
                let number = first + offset as u32;
                let topic = Some(index as u32 % 8).filter(|&at| at < TOPICS);
                devices.push(Profile {
                    number,
                    user: name.clone(),
                    app,
                    version,
                    name: device,
                    topic: topic.filter(|_| version == 1 && app == 0),
                    source: (version == 1 && number % 8 == 3 && !is_probe).then_some(MOBILE),
                });
            }
            let devices = (first..devices.len() as u32).collect();
            users.push(User { name, app, devices });
        }
        let audience = |belongs: &dyn Fn(&Profile) -> bool| -> Audience {
            devices.iter().filter(|device| belongs(device)).map(|device| device.number).collect()
        };
        let apps = (0..APPS.len()).map(|app| audience(&|device| device.app == app)).collect();
        let topics = (0..TOPICS).map(|topic| audience(&|device| device.topic == Some(topic)));
        Self { apps, topics: topics.collect(), everyone: audience(&|_| true), devices, users }
    }

    /// The devices of several users.
    pub fn audience(&self, users: &[usize]) -> Audience {
        let devices = users.iter().flat_map(|&user| &self.users[user].devices);
        let mut devices: Vec<u32> = devices.copied().collect();
        devices.sort_unstable();
        devices.into()
    }

    /// Whether a device belongs to the probes.
    pub fn is_probe(&self, device: u32) -> bool {
        (device as usize) < PROBES
    }
}

/// A topic's name.
pub fn topic_name(topic: u32) -> String {
    format!("topic-{topic}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audiences_are_of_those_they_are_for() {
        let everybody = Population::new(200);
        let count = everybody.devices.len();
        assert!((200..203).contains(&count) && everybody.everyone.len() == count);
        assert_eq!(everybody.apps.iter().map(|app| app.len()).sum::<usize>(), count);
        assert!(everybody.topics.iter().all(|topic| !topic.is_empty()));
        for (number, device) in everybody.devices.iter().enumerate() {
            assert_eq!(device.number as usize, number);
            assert!(everybody.apps[device.app].binary_search(&device.number).is_ok());
        }
        assert!(everybody.audience(&[13, 12]).is_sorted());
    }
}
