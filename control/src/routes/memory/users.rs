//! One shard of the route table: apps, their users, and where these are connected.

use super::processes::ProcessNumber;
use gpusher_proto::data::{Count, Route};
use std::collections::{HashMap, HashSet};

/// A connection of a user: what the maps around it do not say.
#[derive(Clone)]
pub(super) struct Bound {
    pub(super) conn: u64,
    pub(super) since_ms: i64,
    pub(super) device: Box<str>,
    pub(super) process: ProcessNumber,
    pub(super) version: u32,
}

// Millions of them are held.
const _: () = assert!(size_of::<Bound>() <= 40);

impl Bound {
    pub(super) fn new(route: &Route, process: ProcessNumber) -> Self {
        Self {
            conn: route.conn,
            since_ms: route.since_ms,
            device: route.device.as_str().into(),
            process,
            version: route.version,
        }
    }
}

/// Names come from clients, so that the maps are keyed by a hash they cannot foresee (the standard one).
#[derive(Default)]
pub(super) struct Users {
    apps: HashMap<u32, App>,
}

#[derive(Default)]
struct App {
    users: HashMap<Box<str>, Vec<Bound>>,
    connections: u64,
}

impl Users {
    /// Binds a connection; returns those that are not bound any more because of it, which is itself when the device has
    /// a younger connection.
    pub(super) fn bind(
        &mut self,
        app_id: u32,
        user: &str,
        bound: Bound,
        connections_max: usize,
    ) -> Vec<Bound> {
        let app = self.apps.entry(app_id).or_default();
        if !app.users.contains_key(user) {
            app.users.insert(user.into(), Vec::new());
        }
        let Some(connections) = app.users.get_mut(user) else { return Vec::new() };
        let before = connections.len();
        let replaced = replace(connections, bound, connections_max);
        app.connections = app.connections + connections.len() as u64 - before as u64;
        replaced
    }

    /// Removes the connection that `holder` recognises.
    pub(super) fn unbind(&mut self, app_id: u32, user: &str, holder: impl Fn(&Bound) -> bool) {
        let Some(app) = self.apps.get_mut(&app_id) else { return };
        let Some(connections) = app.users.get_mut(user) else { return };
        let Some(at) = connections.iter().position(holder) else { return };
        connections.swap_remove(at);
        app.connections -= 1;
        if connections.is_empty() {
            app.users.remove(user);
        }
        if app.users.is_empty() {
            self.apps.remove(&app_id);
        }
    }

    /// A user's connections.
    pub(super) fn of(&self, app_id: u32, user: &str) -> &[Bound] {
        self.apps.get(&app_id).and_then(|app| app.users.get(user)).map_or(&[], Vec::as_slice)
    }

    /// Every connection of an app, in no order.
    pub(super) fn connections(&self, app_id: u32) -> impl Iterator<Item = (&str, &Bound)> {
        let users = self.apps.get(&app_id).into_iter().flat_map(|app| &app.users);
        users.flat_map(|(user, connections)| connections.iter().map(move |c| (&**user, c)))
    }

    /// Connections and users, per app.
    pub(super) fn counts(&self) -> impl Iterator<Item = Count> {
        self.apps.iter().map(|(app_id, app)| Count {
            app_id: *app_id,
            connections: app.connections,
            users: app.users.len() as u64,
        })
    }

    /// Drops the connections of processes that are gone.
    pub(super) fn forget(&mut self, gone: &HashSet<ProcessNumber>) {
        self.apps.retain(|_, app| {
            let mut left = 0;
            app.users.retain(|_, connections| {
                connections.retain(|bound| !gone.contains(&bound.process));
                left += connections.len() as u64;
                !connections.is_empty()
            });
            app.connections = left;
            app.users.shrink_to(app.users.len() * 2);
            left > 0
        });
    }
}

/// Presence goes by when a connection began, not by when word of it arrives.
fn replace(connections: &mut Vec<Bound>, bound: Bound, connections_max: usize) -> Vec<Bound> {
    let itself = |held: &Bound| held.conn == bound.conn && held.process == bound.process;
    let same_device = |held: &Bound| !bound.device.is_empty() && held.device == bound.device;
    connections.retain(|held| !itself(held));
    if connections.iter().any(|held| same_device(held) && held.since_ms > bound.since_ms) {
        return vec![bound];
    }
    let mut replaced: Vec<Bound> = connections.extract_if(.., |held| same_device(held)).collect();
    while connections.len() >= connections_max {
        let oldest = (0..connections.len()).min_by_key(|at| connections[*at].since_ms);
        replaced.extend(oldest.map(|at| connections.swap_remove(at)));
    }
    // Most users have one connection: growing by doubling would hold four.
    connections.reserve_exact(1);
    connections.push(bound);
    replaced
}
