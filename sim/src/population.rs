//! Who there is: apps, users, topics, and the clients.

use crate::client::{Client, Profile};
use crate::random::Random;
use gpusher_proto::gateway::App;

/// Topics that clients join.
pub(crate) const TOPICS: [&str; 2] = ["news", "sport"];
/// Users of each app.
pub(crate) const USERS: [&str; 4] = ["ada", "bob", "cyd", "dee"];

/// The table of apps.
pub(crate) fn apps() -> Vec<App> {
    let app = |id, tag: &str| App { id, tag: tag.to_owned() };
    vec![app(7, "seven"), app(1000, "app_gpusher")]
}

/// As many clients, of a few users. Some acknowledge what version 0 need not.
pub(crate) fn clients(count: usize, random: &mut Random) -> Vec<Client> {
    let mut clients: Vec<Client> = profiles(count, random).into_iter().map(Client::new).collect();
    clients.iter_mut().for_each(|client| client.acknowledges = random.permille(300));
    clients
}

/// Several devices, several connections of the nameless device, both versions, two apps.
fn profiles(count: usize, random: &mut Random) -> Vec<Profile> {
    let profile = |index: usize| {
        let app_id = if index % 5 == 4 { 7 } else { 1000 };
        let tag = if app_id == 7 { "seven" } else { "app_gpusher" };
        let user = USERS[random.index(USERS.len())].to_owned();
        if random.permille(400) {
            let key = if random.permille(700) { tag } else { *random.pick(&TOPICS) };
            return Profile {
                app_id,
                user,
                device: String::new(),
                version: 0,
                key: key.to_owned(),
            };
        }
        let device = (*random.pick(&["phone", "desk", ""])).to_owned();
        Profile { app_id, user, device, version: 1, key: String::new() }
    };
    (0..count).map(profile).collect()
}
