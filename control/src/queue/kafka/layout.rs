//! Which partition a record goes to: what must stay in order goes to the same one.
//!
//! A channel's records are all in one partition, so that one instance of logic at a time numbers them: those to a user by the user,
//! whether pushed alone or in a list; those to an app, a topic or everyone by that. A recall goes to every partition, behind the push
//! wherever that is. Why one topic: `docs/adr/0008-one-topic-for-all-apps.md`.

use bytes::Bytes;
use gpusher_proto::data::{Job, Push, Record, job};
use prost::Message;
use std::collections::BTreeMap;

/// A push to a list of users.
const TO_LIST: u32 = 5;

/// A record on its way to a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    /// None: librdkafka finds it by the same hash.
    pub(super) partition: Option<i32>,
    pub(super) key: String,
    /// The job, encoded.
    pub(super) payload: Bytes,
}

/// The records as they are written, each key's in the order given.
pub(super) fn place(records: Vec<Record>, partitions: u32) -> Vec<Placed> {
    let mut placed = Vec::with_capacity(records.len());
    for Record { key, job, .. } in records {
        let job = job.unwrap_or_default();
        match job.kind {
            Some(job::Kind::Push(push)) if push.r#type == TO_LIST => {
                placed.extend(place_list(&key, push, partitions));
            }
            Some(job::Kind::Recall(_)) => {
                let payload = encode(&job);
                let everywhere = (0..partitions as i32).map(|partition| Placed {
                    partition: Some(partition),
                    key: key.clone(),
                    payload: payload.clone(),
                });
                placed.extend(everywhere);
            }
            _ => placed.push(Placed {
                partition: Some(partition_of(&key, partitions)),
                payload: encode(&job),
                key,
            }),
        }
    }
    placed
}

/// One record per partition that some of the users have, with these users.
fn place_list(key: &str, mut push: Push, partitions: u32) -> Vec<Placed> {
    let mut users: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for user in std::mem::take(&mut push.users) {
        let partition = partition_of(&format!("user/{}/{user}", push.app_id), partitions);
        users.entry(partition).or_default().push(user);
    }
    let place = |(partition, users)| {
        let push = Push { users, ..push.clone() };
        let payload = encode(&Job { kind: Some(job::Kind::Push(push)) });
        Placed { partition: Some(partition), key: key.to_owned(), payload }
    };
    users.into_iter().map(place).collect()
}

fn encode(job: &Job) -> Bytes {
    job.encode_to_vec().into()
}

/// As Kafka's own clients do it, so that programs in other languages can find a key's partition.
fn partition_of(key: &str, partitions: u32) -> i32 {
    assert!(partitions > 0, "a topic has partitions");
    ((murmur2(key.as_bytes()) & 0x7fff_ffff) % partitions) as i32
}

/// Murmur2 with the seed of Kafka's Java client (`org.apache.kafka.common.utils.Utils`).
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (shift, &byte) in rest.iter().enumerate() {
            hash ^= u32::from(byte) << (8 * shift);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpusher_proto::data::MessageKey;

    fn decode(placed: &Placed) -> job::Kind {
        Job::decode(placed.payload.clone()).unwrap().kind.unwrap()
    }

    fn record(key: &str, kind: job::Kind) -> Record {
        Record { offset: 0, key: key.to_owned(), job: Some(Job { kind: Some(kind) }) }
    }

    /// The vectors of Kafka's `UtilsTest`.
    #[test]
    fn hashes_as_kafkas_own_clients_do() {
        for (text, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ] {
            assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
        }
    }

    #[test]
    fn a_list_goes_where_its_users_single_pushes_go() {
        let names: Vec<String> = (0..100).map(|n| format!("user {n}")).collect();
        let push = Push { id: 9, r#type: 5, app_id: 7, users: names.clone(), ..Push::default() };
        let placed = place(vec![record("users/7", job::Kind::Push(push))], 8);
        assert_eq!(placed.len(), 8, "100 users are in all of 8 partitions");
        let mut found = Vec::new();
        for part in &placed {
            let job::Kind::Push(push) = decode(part) else { panic!("not a push") };
            assert_eq!((push.id, push.r#type, &part.key[..]), (9, 5, "users/7"));
            for user in push.users {
                let alone = Push { r#type: 1, users: vec![user.clone()], ..Push::default() };
                let alone = record(&format!("user/7/{user}"), job::Kind::Push(alone));
                assert_eq!(place(vec![alone], 8)[0].partition, part.partition);
                found.push(user);
            }
        }
        found.sort();
        let mut names = names;
        names.sort();
        assert_eq!(found, names);
    }

    #[test]
    fn a_recall_goes_everywhere() {
        let recall = record("recall/5", job::Kind::Recall(MessageKey { id: 5 }));
        let placed = place(vec![recall], 3);
        assert_eq!(
            placed.iter().map(|it| it.partition).collect::<Vec<_>>(),
            [Some(0), Some(1), Some(2)]
        );
    }
}
