//! Which logic instance has a session: rendezvous hashing of (app, user) over those attached.
//!
//! The shards pick, because they know what each session's logic was told; the link only forwards.

use std::sync::Arc;

/// Which of the attached logic instances: index into the link's table, not reused while the process runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u32);

/// The logic instances attached at one time.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct LinkSet {
    /// Increases with every change.
    pub revision: u64,
    /// Id and hash of the name.
    links: Arc<[(LinkId, u64)]>,
}

/// Picks the logic of a session; stable between processes and versions.
pub fn session_hash(app_id: u32, user: &str) -> u64 {
    mix(hash_bytes(user.as_bytes()) ^ mix(u64::from(app_id)))
}

impl LinkSet {
    /// A set of links with their names.
    pub fn new<'a>(revision: u64, links: impl IntoIterator<Item = (LinkId, &'a str)>) -> Self {
        let links = links.into_iter().map(|(id, name)| (id, hash_bytes(name.as_bytes()))).collect();
        Self { revision, links }
    }

    /// The same links at a later revision.
    pub fn at(&self, revision: u64) -> Self {
        Self { revision, links: Arc::clone(&self.links) }
    }

    /// Whether nobody is attached.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Whether a logic has a session, whose [`session_hash`] is only asked for if there are several.
    pub fn is_owner(&self, link: LinkId, session_hash: impl FnOnce() -> u64) -> bool {
        match &*self.links {
            [(only, _)] => *only == link,
            _ => self.pick(session_hash()) == Some(link),
        }
    }

    /// Whether this one is attached.
    pub fn contains(&self, link: LinkId) -> bool {
        self.links.iter().any(|&(id, _)| id == link)
    }

    /// Whether several are attached.
    pub fn are_several(&self) -> bool {
        self.links.len() > 1
    }

    /// The logic that has a session with this [`session_hash`]; none if nobody is attached. When one comes or goes, only the sessions
    /// that it gets or had change hands.
    pub fn pick(&self, session_hash: u64) -> Option<LinkId> {
        let weight = |&&(id, name): &&(LinkId, u64)| (mix(session_hash ^ name), id);
        match &*self.links {
            [(only, _)] => Some(*only),
            links => links.iter().max_by_key(weight).map(|&(id, _)| id),
        }
    }
}

/// FNV-1a, mixed: short names, no keys to keep.
fn hash_bytes(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// The finaliser of SplitMix64: every input bit reaches every output bit.
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> impl Iterator<Item = u64> {
        (0..10_000).map(|n| session_hash(1000, &format!("user-{n}")))
    }

    #[test]
    fn sessions_are_shared_out_evenly() {
        let set = LinkSet::new(1, [(LinkId(0), "a"), (LinkId(1), "b"), (LinkId(2), "c")]);
        let mut counts = [0; 3];
        users().for_each(|hash| counts[set.pick(hash).unwrap().0 as usize] += 1);
        assert!(counts.iter().all(|&count| (3_000..3_700).contains(&count)), "{counts:?}");
    }

    #[test]
    fn a_leaving_logic_moves_only_its_own_sessions() {
        let three = LinkSet::new(1, [(LinkId(0), "a"), (LinkId(1), "b"), (LinkId(2), "c")]);
        let two = LinkSet::new(2, [(LinkId(0), "a"), (LinkId(2), "c")]);
        for hash in users() {
            let before = three.pick(hash).unwrap();
            assert!(before == LinkId(1) || two.pick(hash) == Some(before));
        }
    }

    #[test]
    fn names_decide_not_numbers() {
        let first = LinkSet::new(1, [(LinkId(0), "a"), (LinkId(1), "b")]);
        let second = LinkSet::new(2, [(LinkId(8), "b"), (LinkId(9), "a")]);
        for hash in users() {
            let same = matches!(
                (first.pick(hash), second.pick(hash)),
                (Some(LinkId(0)), Some(LinkId(9))) | (Some(LinkId(1)), Some(LinkId(8)))
            );
            assert!(same);
        }
        assert_eq!(LinkSet::default().pick(7), None);
    }
}
