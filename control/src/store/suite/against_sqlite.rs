//! Whatever is done, in whatever order and by whichever of two processes: the answers are those of SQLite.
//!
//! But for the numbers in a log: a repeat may cost one, or not. So positions are compared by how many messages they are behind.

use super::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::fmt::Debug;

const STEPS: usize = 1_000;
const MINUTE_MS: i64 = 60_000;
/// Longer than a run takes by its own time: stores date recalls themselves, and forget them after it.
const RETENTION_MS: i64 = 60 * MINUTE_MS;
const APPS: [u32; 2] = [1000, 1001];
const USERS: [&str; 3] = ["ada", "böb", "o'neill"];
const DEVICES: [&str; 3] = ["", "phone", "desk"];
/// Of pushes: to users more often than to others.
const TYPES: [u32; 6] = [1, 5, 5, 2, 3, 4];
const ENTRIES_MAX: usize = 6;
const CONTENT_BYTES_MAX: usize = 3_000;

/// A store, by whichever process, and the numbers that its logs have given to messages, in order.
struct Side {
    stores: Vec<Arc<dyn Store>>,
    given: HashMap<Channel, Vec<u64>>,
}

impl Side {
    /// How many messages of the log a position has behind it.
    fn rank(&self, channel: &Channel, seq: u64) -> u64 {
        self.given.get(channel).map_or(0, |given| given.partition_point(|&it| it <= seq) as u64)
    }

    /// The position of the message that has so many behind it, itself included; of the last one if there are not as many.
    fn position(&self, channel: &Channel, rank: usize) -> u64 {
        let given = self.given.get(channel).map_or(&[][..], |given| given);
        given[..rank.min(given.len())].last().copied().unwrap_or(0)
    }

    fn ranks(&self, device: &DeviceKey, cursors: Cursors) -> [u64; 3] {
        let positions = [cursors.own, cursors.app, cursors.everyone];
        let channels = channels_of(device);
        std::array::from_fn(|kind| self.rank(&channels[kind], positions[kind]))
    }

    async fn append(&mut self, process: usize, entries: &[Append]) -> Vec<u64> {
        let seqs = self.stores[process].append(entries.to_vec()).await.unwrap();
        for (entry, &seq) in entries.iter().zip(&seqs) {
            let given = self.given.entry(entry.channel.clone().unwrap()).or_default();
            match given.last() {
                Some(&last) if seq <= last => assert!(given.contains(&seq), "{seq} after {last}"),
                _ => given.push(seq),
            }
        }
        let ranked = entries.iter().zip(seqs);
        ranked.map(|(entry, seq)| self.rank(entry.channel.as_ref().unwrap(), seq)).collect()
    }
}

/// Where a push of a type goes.
fn channel_of(r#type: u32, app_id: u32, user: &str) -> Channel {
    let (kind, app_id, name) = match r#type {
        2 => (ChannelKind::App, app_id, ""),
        3 => (ChannelKind::Everyone, 0, ""),
        4 => (ChannelKind::Topic, app_id, "news"),
        _ => (ChannelKind::Own, app_id, user),
    };
    Channel { kind: kind as i32, app_id, name: name.to_owned() }
}

/// The three that a device has a cursor on.
fn channels_of(device: &DeviceKey) -> [Channel; 3] {
    [1, 2, 3].map(|r#type| channel_of(r#type, device.app_id, &device.user))
}

/// The same data twice, and what time it is there.
struct Pair {
    sqlite: Side,
    other: Side,
    random: SmallRng,
    now_ms: i64,
    /// By id, from 1 on.
    pushes: Vec<Push>,
}

impl Pair {
    /// Asks both.
    async fn ask<T: Debug + PartialEq>(
        &mut self,
        call: impl AsyncFn(&dyn Store, &Side) -> Result<T>,
    ) -> T {
        let process = self.below(2);
        let expected = call(&*self.sqlite.stores[0], &self.sqlite).await.unwrap();
        let answer = call(&*self.other.stores[process], &self.other).await.unwrap();
        assert_eq!(answer, expected, "SQLite says so");
        expected
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random.random_range(0..limit)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn device(&mut self) -> DeviceKey {
        let (app_id, user, device) = (self.pick(&APPS), self.pick(&USERS), self.pick(&DEVICES));
        DeviceKey { app_id, user: user.to_owned(), device: device.to_owned() }
    }

    fn channel(&mut self) -> Channel {
        let (r#type, device) = (self.pick(&TYPES), self.device());
        channel_of(r#type, device.app_id, &device.user)
    }

    /// Of a message that there is, was, or will be.
    fn id(&mut self) -> u64 {
        self.below(self.pushes.len() + 3) as u64 + 1
    }

    /// A new push, or one that was there before.
    fn push(&mut self) -> Push {
        if self.below(4) == 0 && !self.pushes.is_empty() {
            let index = self.below(self.pushes.len());
            return self.pushes[index].clone();
        }
        let lasts_ms = self.pick(&[0, 0, 1, 10]) * MINUTE_MS;
        let age_ms = self.below(90) as i64 * MINUTE_MS;
        let push = Push {
            id: self.pushes.len() as u64 + 1,
            r#type: self.pick(&TYPES),
            app_id: self.pick(&APPS),
            content: vec![b'x'; self.below(CONTENT_BYTES_MAX)].into(),
            offline_push: true,
            accepted_at_ms: self.now_ms - age_ms,
            expires_at_ms: if lasts_ms > 0 { self.now_ms + lasts_ms } else { 0 },
            ..Push::default()
        };
        self.pushes.push(push.clone());
        push
    }

    async fn step(&mut self) {
        match self.below(20) {
            0..=4 => self.append().await,
            5 => self.reserve().await,
            6..=9 => self.read().await,
            10 => self.look_at_heads().await,
            11 => self.look_at_cursors().await,
            12..=14 => self.acknowledge().await,
            15 => self.recall().await,
            16 => self.look_for_recalls().await,
            17 => self.look_at_statuses().await,
            18 => self.now_ms += self.below(40) as i64 * 1_000,
            _ => self.purge().await,
        }
    }

    async fn append(&mut self) {
        let count = self.below(ENTRIES_MAX) + 1;
        let entry = |_| {
            let (push, user) = (self.push(), self.pick(&USERS));
            let channel = channel_of(push.r#type, push.app_id, user);
            Append { channel: Some(channel), push: Some(push) }
        };
        let entries: Vec<Append> = (0..count).map(entry).collect();
        let process = self.below(2);
        let expected = self.sqlite.append(0, &entries).await;
        assert_eq!(self.other.append(process, &entries).await, expected, "{entries:?}");
    }

    async fn reserve(&mut self) {
        let (channel, count) = (self.channel(), self.below(5) as u32 + 1);
        let ask = Reserve { channel: Some(channel.clone()), count };
        self.ask(async |store, side| {
            let first = store.reserve(vec![ask.clone()]).await?[0];
            assert!(first > side.position(&channel, usize::MAX), "given before");
            Ok(())
        })
        .await
    }

    /// A page, and those behind it.
    async fn read(&mut self) {
        let (channel, mut rank) = (self.channel(), self.below(30));
        let (limit, bytes_max) = (self.pick(&[1, 2, 3, 100]), self.pick(&[1, 1_000, 4_000, 0]));
        let now_ms = self.now_ms;
        loop {
            let (messages, more) = self
                .ask(async |store, side| {
                    let after = side.position(&channel, rank);
                    let channel = Some(channel.clone());
                    let request = ReadRequest { channel, after, limit, bytes_max, now_ms };
                    let page = store.read(request.clone()).await?;
                    let ranked = page.messages.into_iter().map(|Logged { seq, push }| {
                        let push = push.unwrap();
                        let channel = request.channel.as_ref().unwrap();
                        (side.rank(channel, seq), push.id, push.content.len(), push.expires_at_ms)
                    });
                    Ok((ranked.collect::<Vec<_>>(), page.more))
                })
                .await;
            rank = messages.last().map_or(rank, |&(last, ..)| last as usize);
            if !more {
                return;
            }
        }
    }

    async fn look_at_heads(&mut self) {
        let channels: Vec<Channel> = (0..8).map(|_| self.channel()).collect();
        self.ask(async |store, side| {
            let heads = store.heads(channels.clone()).await?.into_iter().zip(&channels);
            let ranks = heads.map(|(head, channel)| {
                (side.rank(channel, head.first - 1), side.rank(channel, head.last))
            });
            Ok(ranks.collect::<Vec<_>>())
        })
        .await;
    }

    async fn look_at_cursors(&mut self) {
        let devices = vec![self.device(), self.device()];
        self.ask(async |store, side| {
            let cursors = store.get_cursors(devices.clone()).await?.into_iter();
            let ranks = cursors.zip(&devices).map(|(cursors, device)| side.ranks(device, cursors));
            Ok(ranks.collect::<Vec<_>>())
        })
        .await;
    }

    async fn acknowledge(&mut self) {
        let (device, ranks) = (self.device(), [self.below(40), self.below(40), self.below(40)]);
        let channels = channels_of(&device);
        self.ask(async |store, side| {
            let [own, app, everyone] =
                std::array::from_fn(|kind| side.position(&channels[kind], ranks[kind]));
            let cursors = Some(Cursors { own, app, everyone });
            let update = CursorUpdate { device: Some(device.clone()), cursors };
            store.advance_cursors(vec![update]).await
        })
        .await;
    }

    async fn recall(&mut self) {
        let id = self.id();
        self.ask(async |store, side| {
            let placed = store.recall(id).await?.into_iter();
            let mut placed: Vec<_> = placed
                .map(|Placed { channel, seq }| {
                    let channel = channel.unwrap();
                    let rank = side.rank(&channel, seq);
                    (channel.kind, channel.app_id, channel.name, rank)
                })
                .collect();
            placed.sort();
            Ok(placed)
        })
        .await;
    }

    async fn look_for_recalls(&mut self) {
        let ids: Vec<u64> = (0..6).map(|_| self.id()).collect();
        self.ask(async |store, _| {
            let mut recalled = store.recalled(ids.clone()).await?;
            recalled.sort_unstable();
            recalled.dedup();
            Ok(recalled)
        })
        .await;
    }

    async fn look_at_statuses(&mut self) {
        let (id, user) = (self.id(), self.pick(&USERS));
        let push = self.pushes.get(id as usize - 1);
        let (r#type, app_id) = push.map_or((1, APPS[0]), |push| (push.r#type, push.app_id));
        let channel = channel_of(r#type, app_id, user);
        self.ask(async |store, side| {
            let status = store.get_user_status(id, user).await?;
            // Whether it has expired is by the store's clock.
            Ok(UserStatus { seq: side.rank(&channel, status.seq), expired: false, ..status })
        })
        .await;
        self.ask(async |store, _| store.get_status(id).await).await;
    }

    /// Of what is acknowledged, all is old enough to go: a store may come to what was young at its last look a little later.
    async fn purge(&mut self) {
        let request = PurgeRequest {
            now_ms: self.now_ms + REPEAT_WINDOW_MS + 1,
            retention_ms: self.pick(&[0, 0, RETENTION_MS]),
            per_channel_max: self.pick(&[0, 0, 10]),
            batch_max: u32::MAX,
        };
        self.ask(async |store, _| store.purge(request).await).await;
    }
}

pub async fn answers_are_those_of_sqlite(fixture: impl Fixture) {
    let seed = rand::random();
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new(folder.path().join("store.db"));
    let sqlite: Arc<dyn Store> = Arc::new(SqliteStore::open(options).await.unwrap());
    let of = |stores| Side { stores, given: HashMap::new() };
    let mut pair = Pair {
        sqlite: of(vec![sqlite]),
        other: of(fixture.open_several(2).await),
        random: SmallRng::seed_from_u64(seed),
        now_ms: unix_ms(),
        pushes: Vec::new(),
    };
    let app = App { id: APPS[1], tag: "second".to_owned(), ..App::default() };
    pair.ask(async |store, _| store.create_app(app.clone()).await.map(|app| app.id)).await;
    for _ in 0..STEPS {
        pair.step().await;
    }
}
