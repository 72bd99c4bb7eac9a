//! Who is a member of what: every admitted connection of its app, and of the topics it joined.
//!
//! Membership of *everyone* needs no list: it is a bit in the table's state byte, and the walk goes by slot.

use super::roll::Roll;
use crate::mail::Audience;
use rustc_hash::FxHashMap;
use slab::Slab;
use std::sync::Arc;

/// A topic of this shard; its number is used again when it has neither members nor jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TopicId(u32);

/// An audience that is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Group {
    /// All members.
    Everyone,
    /// Members of an app.
    App(u32),
    /// Who joined a topic.
    Topic(TopicId),
}

/// A count that became zero or non-zero, to be told to the link.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) app: u32,
    /// Empty for the app itself.
    pub(crate) topic: Arc<str>,
    pub(crate) members: u32,
}

/// What became of a request to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    /// A member from now on.
    New,
    /// It was one already.
    Already,
    /// It has joined as many topics as it may.
    TooMany,
}

#[derive(Debug, Default)]
struct App {
    roll: Roll,
    /// Jobs that wait for it: while there are any it is not forgotten.
    pins: u32,
    topics: FxHashMap<Arc<str>, TopicId>,
    /// Kept messages of the app's channel up to here were given to all who were members throughout.
    through: u64,
}

#[derive(Debug)]
struct Topic {
    app: u32,
    name: Arc<str>,
    roll: Roll,
    pins: u32,
}

/// Memberships of one shard.
#[derive(Debug, Default)]
pub(crate) struct Members {
    apps: FxHashMap<u32, App>,
    topics: Slab<Topic>,
    /// By slot: position in the app's roll.
    app_position: Vec<u32>,
    /// By slot: topics joined, with the position in each one's roll.
    joined: FxHashMap<u32, Vec<(TopicId, u32)>>,
    everyone: u32,
    everyone_pins: u32,
    everyone_through: u64,
    /// By app: last kept message of its channel that came for the members, even if there were none.
    sent: FxHashMap<u32, u64>,
    everyone_sent: u64,
    changes: Vec<Change>,
}

impl Members {
    /// Memory for this many slots, not touched before it is used.
    pub(crate) fn with_capacity(slots: usize) -> Self {
        Self { app_position: Vec::with_capacity(slots), ..Self::default() }
    }

    /// Makes the connection a member of its app and of everyone.
    pub(crate) fn admit(&mut self, slot: u32, app: u32) {
        let index = slot as usize;
        if self.app_position.len() <= index {
            self.app_position.resize(index + 1, 0);
        }
        self.everyone += 1;
        let roll = &mut self.apps.entry(app).or_default().roll;
        self.app_position[index] = roll.add(slot);
        if roll.len() == 1 {
            self.changes.push(Change { app, topic: "".into(), members: 1 });
        }
    }

    /// Ends the connection's memberships, of the app and all topics.
    pub(crate) fn retire(&mut self, slot: u32, app: u32) {
        for (topic, position) in self.joined.remove(&slot).unwrap_or_default() {
            self.remove_from_topic(slot, topic, position);
        }
        self.everyone -= 1;
        let members = self.apps.get_mut(&app).expect("a member's app is there");
        members.roll.remove(self.app_position[slot as usize], slot);
        let positions = &mut self.app_position;
        members.roll.compact(|slot, position| positions[slot as usize] = position);
        if members.roll.len() == 0 {
            self.changes.push(Change { app, topic: "".into(), members: 0 });
            self.forget_app(app);
        }
    }

    /// Joins a topic of the connection's app.
    pub(crate) fn join(&mut self, slot: u32, app: u32, name: &str, topics_max: usize) -> Joined {
        let joined = self.joined.entry(slot).or_default();
        let known = self.apps.get(&app).and_then(|app| app.topics.get(name)).copied();
        if known.is_some_and(|known| joined.iter().any(|&(topic, _)| topic == known)) {
            return Joined::Already;
        }
        if joined.len() >= topics_max {
            return Joined::TooMany;
        }
        let id = known.unwrap_or_else(|| add_topic(&mut self.topics, &mut self.apps, app, name));
        let topic = &mut self.topics[id.0 as usize];
        joined.push((id, topic.roll.add(slot)));
        if topic.roll.len() == 1 {
            self.changes.push(Change { app, topic: topic.name.clone(), members: 1 });
        }
        Joined::New
    }

    /// Leaves a topic; false if it was not joined.
    pub(crate) fn leave(&mut self, slot: u32, app: u32, name: &str) -> bool {
        let Some(&id) = self.apps.get(&app).and_then(|app| app.topics.get(name)) else {
            return false;
        };
        let Some(joined) = self.joined.get_mut(&slot) else { return false };
        let Some(index) = joined.iter().position(|&(topic, _)| topic == id) else { return false };
        let (_, position) = joined.swap_remove(index);
        if joined.is_empty() {
            self.joined.remove(&slot);
        }
        self.remove_from_topic(slot, id, position);
        true
    }

    fn remove_from_topic(&mut self, slot: u32, id: TopicId, position: u32) {
        let topic = &mut self.topics[id.0 as usize];
        topic.roll.remove(position, slot);
        let joined = &mut self.joined;
        topic.roll.compact(|slot, position| set_topic_position(joined, slot, id, position));
        if topic.roll.len() == 0 {
            self.changes.push(Change { app: topic.app, topic: topic.name.clone(), members: 0 });
            self.forget_topic(id);
        }
    }

    /// The group that an audience names; none for connections, and for what has no members here.
    pub(crate) fn group(&self, audience: &Audience) -> Option<Group> {
        match audience {
            Audience::Connections(_) => None,
            Audience::Everyone => (self.everyone > 0).then_some(Group::Everyone),
            Audience::App(app) => self.apps.contains_key(app).then_some(Group::App(*app)),
            Audience::Topic { app_id, name } => {
                self.apps.get(app_id)?.topics.get(name).map(|&topic| Group::Topic(topic))
            }
        }
    }

    /// Members of a group.
    pub(crate) fn count(&self, group: Group) -> u32 {
        match group {
            Group::Everyone => self.everyone,
            group => self.roll(group).len(),
        }
    }

    /// Keeps the group known while jobs wait for it, members or not.
    pub(crate) fn pin(&mut self, group: Group) {
        *self.pins(group) += 1;
    }

    /// Takes one [`Members::pin`] back.
    pub(crate) fn unpin(&mut self, group: Group) {
        let pins = self.pins(group);
        assert!(*pins > 0);
        *pins -= 1;
        match group {
            Group::Everyone => (),
            Group::App(app) => self.forget_app(app),
            Group::Topic(topic) => self.forget_topic(topic),
        }
    }

    /// Starts the walk over an app or topic; returns the position where it ends.
    pub(crate) fn begin_walk(&mut self, group: Group) -> u32 {
        match group {
            Group::Everyone => unreachable!("everyone is walked by slot"),
            Group::App(app) => {
                let positions = &mut self.app_position;
                let app = self.apps.get_mut(&app).expect("pinned");
                app.roll.begin_walk(|slot, position| positions[slot as usize] = position)
            }
            Group::Topic(id) => {
                let joined = &mut self.joined;
                let topic = &mut self.topics[id.0 as usize];
                topic
                    .roll
                    .begin_walk(|slot, position| set_topic_position(joined, slot, id, position))
            }
        }
    }

    /// Ends the walk.
    pub(crate) fn end_walk(&mut self, group: Group) {
        self.roll_mut(group).end_walk();
    }

    /// The roll of an app or topic.
    pub(crate) fn roll(&self, group: Group) -> &Roll {
        match group {
            Group::Everyone => unreachable!("everyone is walked by slot"),
            Group::App(app) => &self.apps[&app].roll,
            Group::Topic(topic) => &self.topics[topic.0 as usize].roll,
        }
    }

    fn roll_mut(&mut self, group: Group) -> &mut Roll {
        match group {
            Group::Everyone => unreachable!("everyone is walked by slot"),
            Group::App(app) => &mut self.apps.get_mut(&app).expect("pinned").roll,
            Group::Topic(topic) => &mut self.topics[topic.0 as usize].roll,
        }
    }

    fn pins(&mut self, group: Group) -> &mut u32 {
        match group {
            Group::Everyone => &mut self.everyone_pins,
            Group::App(app) => &mut self.apps.get_mut(&app).expect("group was found").pins,
            Group::Topic(topic) => &mut self.topics[topic.0 as usize].pins,
        }
    }

    /// Notes that a kept message was given to all members of the group.
    pub(crate) fn set_through(&mut self, group: Group, seq: u64) {
        let through = match group {
            Group::Everyone => &mut self.everyone_through,
            Group::App(app) => &mut self.apps.get_mut(&app).expect("pinned").through,
            Group::Topic(_) => return,
        };
        *through = seq.max(*through);
    }

    /// Up to where kept messages of (the app, everyone) were given to all who were members throughout; 0: none was.
    pub(crate) fn through(&self, app: u32) -> (u64, u64) {
        (self.apps.get(&app).map_or(0, |app| app.through), self.everyone_through)
    }

    /// Notes that a kept message of a shared channel has come for whoever is a member.
    pub(crate) fn note_sent(&mut self, audience: &Audience, seq: u64) {
        let sent = match audience {
            Audience::App(app) => self.sent.entry(*app).or_default(),
            Audience::Everyone => &mut self.everyone_sent,
            Audience::Connections(_) | Audience::Topic { .. } => return,
        };
        *sent = seq.max(*sent);
    }

    /// The last kept messages that came for members of (the app, everyone); 0: none.
    pub(crate) fn sent(&self, app: u32) -> (u64, u64) {
        (self.sent.get(&app).copied().unwrap_or(0), self.everyone_sent)
    }

    /// Counts that became zero or non-zero since the last call.
    pub(crate) fn take_changes(&mut self) -> std::vec::Drain<'_, Change> {
        self.changes.drain(..)
    }

    /// Members of any app.
    pub(crate) fn everyone(&self) -> u32 {
        self.everyone
    }

    /// Bytes on the heap, without what hash tables add.
    pub(crate) fn heap_bytes(&self) -> usize {
        let apps: usize = self.apps.values().map(|app| app.roll.heap_bytes()).sum();
        let topics: usize = self.topics.iter().map(|(_, topic)| topic.roll.heap_bytes()).sum();
        apps + topics
            + self.app_position.len() * size_of::<u32>()
            + self.joined.len()
                * (size_of::<(u32, Vec<(TopicId, u32)>)>() + 4 * size_of::<(TopicId, u32)>())
            + self.topics.capacity() * size_of::<Topic>()
    }

    fn forget_app(&mut self, app: u32) {
        let members = &self.apps[&app];
        if members.roll.len() == 0 && members.pins == 0 && members.topics.is_empty() {
            self.apps.remove(&app);
        }
    }

    fn forget_topic(&mut self, id: TopicId) {
        let topic = &self.topics[id.0 as usize];
        if topic.roll.len() > 0 || topic.pins > 0 {
            return;
        }
        let Topic { app, name, .. } = self.topics.remove(id.0 as usize);
        self.apps.get_mut(&app).expect("a topic's app is there").topics.remove(&name);
        self.forget_app(app);
    }
}

fn add_topic(
    topics: &mut Slab<Topic>,
    apps: &mut FxHashMap<u32, App>,
    app: u32,
    name: &str,
) -> TopicId {
    let name: Arc<str> = name.into();
    let topic = Topic { app, name: name.clone(), roll: Roll::default(), pins: 0 };
    let id = TopicId(u32::try_from(topics.insert(topic)).expect("fewer topics than 2^32"));
    apps.entry(app).or_default().topics.insert(name, id);
    id
}

fn set_topic_position(
    joined: &mut FxHashMap<u32, Vec<(TopicId, u32)>>,
    slot: u32,
    id: TopicId,
    position: u32,
) {
    let topics = joined.get_mut(&slot).expect("a topic's member has joined it");
    let entry = topics.iter_mut().find(|(topic, _)| *topic == id).expect("it has joined this one");
    entry.1 = position;
}
