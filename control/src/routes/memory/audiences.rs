//! Which process has members of what.

use super::processes::ProcessNumber;
use std::collections::{HashMap, HashSet};

/// Per app and topic (the app itself: an empty topic), the processes with members. There are few of them each.
#[derive(Default)]
pub(super) struct Audiences {
    apps: HashMap<u32, HashMap<Box<str>, Vec<ProcessNumber>>>,
}

impl Audiences {
    /// Notes that a process has so many members, or none any more.
    pub(super) fn set(&mut self, app_id: u32, topic: &str, process: ProcessNumber, members: u32) {
        if members == 0 {
            return self.retain(app_id, topic, |held| held != process);
        }
        let topics = self.apps.entry(app_id).or_default();
        match topics.get_mut(topic) {
            Some(processes) if processes.contains(&process) => {}
            Some(processes) => processes.push(process),
            None => {
                topics.insert(topic.into(), vec![process]);
            }
        }
    }

    fn retain(&mut self, app_id: u32, topic: &str, keep: impl Fn(ProcessNumber) -> bool) {
        let Some(topics) = self.apps.get_mut(&app_id) else { return };
        let Some(processes) = topics.get_mut(topic) else { return };
        processes.retain(|process| keep(*process));
        if processes.is_empty() {
            topics.remove(topic);
        }
        if topics.is_empty() {
            self.apps.remove(&app_id);
        }
    }

    /// Processes with members; app 0 stands for everyone, in any app.
    pub(super) fn members(&self, app_id: u32, topic: &str) -> Vec<ProcessNumber> {
        let of = |topics: &HashMap<Box<str>, Vec<ProcessNumber>>| {
            topics.get(topic).cloned().unwrap_or_default()
        };
        match app_id {
            0 => self.apps.values().flat_map(of).collect(),
            _ => self.apps.get(&app_id).map(of).unwrap_or_default(),
        }
    }

    /// Drops processes that are gone.
    pub(super) fn forget(&mut self, gone: &HashSet<ProcessNumber>) {
        self.apps.retain(|_, topics| {
            topics.retain(|_, processes| {
                processes.retain(|process| !gone.contains(process));
                !processes.is_empty()
            });
            !topics.is_empty()
        });
    }
}
