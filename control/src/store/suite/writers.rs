//! Several writers at once: in several processes where the store allows that, in several tasks where it has one owner.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

const STORES: usize = 3;

/// Starts a task; its panic is the test's.
fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> {
    let task = tokio::spawn(task);
    async { task.await.unwrap() }
}

/// A call that lost too many races is the caller's to repeat.
async fn persist<T, F: Future<Output = Result<T>>>(mut call: impl FnMut() -> F) -> T {
    for _ in 0..50 {
        match call().await {
            Err(error) if error.code.retry() => {}
            result => return result.unwrap(),
        }
    }
    panic!("an undisturbed store gives in sooner");
}

pub async fn stores_opened_at_once_are_one(fixture: impl Fixture) {
    let stores = fixture.open_several(STORES).await;
    let epoch = stores[0].epoch().await.unwrap();
    stores[0].append(vec![entry(&own("ada"), push(1))]).await.unwrap();
    stores[1].create_app(App { tag: "second".into(), ..App::default() }).await.unwrap();
    for store in &stores {
        assert_eq!(store.epoch().await.unwrap(), epoch);
        assert_eq!(ids(&**store, &own("ada"), NOON_MS).await, [1]);
        assert_eq!(store.list_apps().await.unwrap().len(), 2);
    }
}

pub async fn several_stores_give_increasing_numbers(fixture: impl Fixture) {
    const WRITERS: u64 = 6;
    const CALLS: u64 = 12;
    let stores = fixture.open_several(STORES).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = stores[writer as usize % STORES].clone();
            spawn(async move {
                let mut seqs = Vec::new();
                for call in 0..CALLS {
                    let id = 1 + writer * CALLS + call;
                    let batch = || vec![entry(&topic("news"), push(id))];
                    seqs.extend(persist(|| store.append(batch())).await);
                    let live = || vec![Reserve { channel: Some(topic("news")), count: 2 }];
                    let first = persist(|| store.reserve(live())).await[0];
                    seqs.extend([first, first + 1]);
                }
                seqs
            })
        })
        .collect();
    let mut all = BTreeSet::new();
    for writer in writers {
        let seqs = writer.await;
        assert!(seqs.is_sorted(), "a writer's numbers increase: {seqs:?}");
        for seq in seqs {
            assert!(all.insert(seq), "{seq} was given twice");
        }
    }
    assert_eq!(all.len() as u64, 3 * WRITERS * CALLS);
    for store in &stores {
        assert_eq!(ids(&**store, &topic("news"), NOON_MS).await.len() as u64, WRITERS * CALLS);
        assert_eq!(head(&**store, &topic("news")).await.last, *all.last().unwrap());
    }
}

/// Sequences and ids of what a log has after a position.
async fn tail(store: &dyn Store, channel: &Channel, after: u64) -> Vec<(u64, u64)> {
    let channel = Some(channel.clone());
    let request = ReadRequest { channel, after, now_ms: NOON_MS, ..ReadRequest::default() };
    let page = store.read(request).await.unwrap();
    assert!(!page.more);
    page.messages.into_iter().map(|logged| (logged.seq, logged.push.unwrap().id)).collect()
}

pub async fn a_log_grows_in_the_order_of_its_numbers(fixture: impl Fixture) {
    const WRITERS: u64 = 4;
    const CALLS: u64 = 12;
    let stores = fixture.open_several(STORES).await;
    let channels: Arc<Vec<Channel>> =
        Arc::new(["a", "b", "c", "d"].iter().map(|name| topic(name)).collect());
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, channels) = (stores[writer as usize % STORES].clone(), channels.clone());
            spawn(async move {
                for call in 0..CALLS {
                    let id = 1 + writer * CALLS + call;
                    // Each batch touches the logs in another order.
                    let batch = || {
                        let mut batch: Vec<_> =
                            channels.iter().map(|channel| entry(channel, push(id))).collect();
                        batch.rotate_left((writer + call) as usize % channels.len());
                        batch
                    };
                    persist(|| store.append(batch())).await;
                    let live = || vec![Reserve { channel: Some(channels[0].clone()), count: 1 }];
                    persist(|| store.reserve(live())).await;
                }
            })
        })
        .collect();
    let over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = stores
        .iter()
        .map(|store| {
            let (store, channels, over) = (store.clone(), channels.clone(), over.clone());
            spawn(async move {
                let mut seen = vec![Vec::<(u64, u64)>::new(); channels.len()];
                loop {
                    let last_round = over.load(Ordering::SeqCst);
                    for (channel, seen) in channels.iter().zip(&mut seen) {
                        let told = head(&*store, channel).await.last;
                        let after = seen.last().map_or(0, |(seq, _)| *seq);
                        let new = tail(&*store, channel, after).await;
                        // What lies below a head that was told is there.
                        let below = |entry: &&(u64, u64)| entry.0 <= told;
                        let complete = tail(&*store, channel, 0).await;
                        let known = seen.iter().chain(&new).filter(below).count();
                        assert_eq!(known, complete.iter().filter(below).count());
                        seen.extend(new);
                    }
                    if last_round {
                        return seen;
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await;
    }
    over.store(true, Ordering::SeqCst);
    for reader in readers {
        for (channel, seen) in channels.iter().zip(reader.await) {
            let complete = tail(&*stores[0], channel, 0).await;
            assert_eq!(seen, complete, "who follows {} misses nothing", channel.name);
            assert_eq!(complete.len() as u64, WRITERS * CALLS);
        }
    }
}

pub async fn a_repeat_at_the_same_time_gets_the_same_numbers(fixture: impl Fixture) {
    let stores = fixture.open_several(STORES).await;
    for round in 0..8 {
        let batch = move || {
            let ids = (1..=5).map(|id| 10 * round + id);
            let entries =
                ids.flat_map(|id| [entry(&own("ada"), push(id)), entry(&topic("news"), push(id))]);
            entries.collect::<Vec<_>>()
        };
        let appends: Vec<_> = stores
            .iter()
            .map(|store| {
                let store = store.clone();
                spawn(async move { persist(|| store.append(batch())).await })
            })
            .collect();
        let mut answers = Vec::new();
        for append in appends {
            answers.push(append.await);
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
    for channel in [own("ada"), topic("news")] {
        let entries = tail(&*stores[0], &channel, 0).await;
        let ids: BTreeSet<_> = entries.iter().map(|(_, id)| *id).collect();
        assert_eq!((entries.len(), ids.len()), (40, 40), "each is there once");
    }
    // No repeat was counted as an entry.
    let limits = PurgeRequest { now_ms: NOON_MS, per_channel_max: 40, ..Default::default() };
    assert_eq!(stores[0].purge(limits).await.unwrap().removed, 0);
}

pub async fn positions_are_seen_in_their_order(fixture: impl Fixture) {
    const WRITERS: u64 = 4;
    const CALLS: u64 = 12;
    let stores = fixture.open_several(STORES).await;
    let message = |id, app_id| UpstreamMessage { id, app_id, ..UpstreamMessage::default() };
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = stores[writer as usize % STORES].clone();
            spawn(async move {
                for call in 0..CALLS {
                    let id = 1 + 2 * (writer * CALLS + call);
                    let mut batch = vec![message(id, APP), message(id + 1, APP + 1)];
                    batch.rotate_left((call % 2) as usize);
                    persist(|| store.add_upstream(batch.clone())).await;
                    let letter = DeadLetter {
                        app_id: APP,
                        user: "ada".into(),
                        push: Some(push(id)),
                        ..DeadLetter::default()
                    };
                    persist(|| store.add_dead_letters(vec![letter.clone()])).await;
                }
            })
        })
        .collect();
    let over = Arc::new(AtomicBool::new(false));
    let (store, ended) = (stores[STORES - 1].clone(), over.clone());
    let reader = spawn(async move {
        let (mut sent, mut dead) = (Vec::<(u64, u64)>::new(), Vec::<(u64, u64)>::new());
        let page = |seen: &[(u64, u64)]| {
            let after = seen.last().map_or(0, |(position, _)| *position);
            AppPage { app_id: APP, after, limit: 0 }
        };
        loop {
            let last_round = ended.load(Ordering::SeqCst);
            let new = store.list_upstream(page(&sent)).await.unwrap();
            sent.extend(new.into_iter().map(|message| (message.position, message.id)));
            let new = store.list_dead_letters(page(&dead)).await.unwrap();
            dead.extend(new.into_iter().map(|letter| (letter.position, letter.push.unwrap().id)));
            if last_round {
                return (sent, dead);
            }
        }
    });
    for writer in writers {
        writer.await;
    }
    over.store(true, Ordering::SeqCst);
    let (sent, dead) = reader.await;
    let expected: BTreeSet<u64> = (0..WRITERS * CALLS).map(|number| 1 + 2 * number).collect();
    for seen in [sent, dead] {
        let ids: BTreeSet<u64> = seen.iter().map(|(_, id)| *id).collect();
        assert_eq!((ids, seen.len()), (expected.clone(), expected.len()), "a reader missed one");
    }
}

pub async fn what_several_add_is_all_there(fixture: impl Fixture) {
    const WRITERS: u64 = 6;
    const CALLS: u64 = 10;
    let stores = fixture.open_several(STORES).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = stores[writer as usize % STORES].clone();
            spawn(async move {
                for call in 0..CALLS {
                    let count = |id| Status { id, written: 1, ..Status::default() };
                    let mut counts: Vec<_> = (1..=4).map(count).collect();
                    counts.rotate_left((writer + call) as usize % 4);
                    // A counter cannot be repeated blindly: a conflict must not come out here.
                    store.add_status(counts).await.unwrap();
                    let device = |name: &str| CursorUpdate {
                        device: Some(device("ada", name)),
                        cursors: Some(Cursors {
                            own: 1 + call * WRITERS + writer,
                            app: 0,
                            everyone: 0,
                        }),
                    };
                    let mut moves: Vec<_> = ["a", "b", "c"].map(device).into();
                    moves.rotate_left((writer + call) as usize % 3);
                    persist(|| store.advance_cursors(moves.clone())).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await;
    }
    for id in 1..=4 {
        let status = stores[0].get_status(id).await.unwrap().unwrap();
        assert_eq!(status.written, WRITERS * CALLS);
    }
    for name in ["a", "b", "c"] {
        assert_eq!(cursors_of(&*stores[1], device("ada", name)).await.own, WRITERS * CALLS);
    }
}

pub async fn ids_that_the_store_chooses_are_given_once(fixture: impl Fixture) {
    const EACH: u64 = 4;
    let stores = fixture.open_several(STORES).await;
    let named = User { uuid: "u-named".into(), user_id: 3, ..User::default() };
    stores[0].create_user(named).await.unwrap();
    let tasks: Vec<_> = stores
        .iter()
        .zip(0..)
        .map(|(store, at): (_, u64)| {
            let store = store.clone();
            spawn(async move {
                let mut ids = Vec::new();
                for number in 0..EACH {
                    let name = format!("{at}-{number}");
                    let app = App { tag: name.clone(), ..App::default() };
                    let app = persist(|| store.create_app(app.clone())).await;
                    let user = User { uuid: name.clone(), username: name, ..User::default() };
                    let user = persist(|| store.create_user(user.clone())).await;
                    ids.push((app.id, user.user_id));
                }
                ids
            })
        })
        .collect();
    let (mut apps, mut users) = (BTreeSet::new(), BTreeSet::from([3]));
    for task in tasks {
        for (app, user) in task.await {
            assert!(apps.insert(app) && users.insert(user), "an id was given twice");
        }
    }
    assert_eq!(stores[0].list_apps().await.unwrap().len() as u64, 1 + STORES as u64 * EACH);
}

pub async fn purges_beside_writers_take_no_more_than_they_may(fixture: impl Fixture) {
    const CALLS: u64 = 25;
    let stores = fixture.open_several(STORES).await;
    // Each message goes to ada, who has it at once, and then to bob, who never has: a purge may take ada's entry in between, and with it
    // must not take what bob is about to get.
    let old = |id| Push { accepted_at_ms: NOON_MS - 2 * HOUR_MS, ..push(id) };
    let over = Arc::new(AtomicBool::new(false));
    let purges: Vec<_> = stores
        .iter()
        .map(|store| {
            let (store, over) = (store.clone(), over.clone());
            spawn(async move {
                let mut removed = 0;
                while !over.load(Ordering::SeqCst) {
                    let request =
                        PurgeRequest { now_ms: NOON_MS, batch_max: 7, ..Default::default() };
                    removed += persist(|| store.purge(request)).await.removed;
                }
                removed
            })
        })
        .collect();
    let writers: Vec<_> = stores
        .iter()
        .zip(0..)
        .map(|(store, writer): (_, u64)| {
            let store = store.clone();
            spawn(async move {
                let mut given = BTreeMap::new();
                for call in 0..CALLS {
                    let id = 1 + writer * CALLS + call;
                    let seq = persist(|| store.append(vec![entry(&own("ada"), old(id))])).await[0];
                    let cursors = Cursors { own: seq, ..Cursors::default() };
                    let update =
                        CursorUpdate { device: Some(device("ada", "")), cursors: Some(cursors) };
                    persist(|| store.advance_cursors(vec![update.clone()])).await;
                    let seq = persist(|| store.append(vec![entry(&own("bob"), old(id))])).await[0];
                    given.insert(seq, id);
                }
                given
            })
        })
        .collect();
    let mut given = BTreeMap::new();
    for writer in writers {
        given.extend(writer.await);
    }
    over.store(true, Ordering::SeqCst);
    for purge in purges {
        purge.await;
    }
    let entries = tail(&*stores[0], &own("bob"), 0).await;
    assert_eq!(entries, given.into_iter().collect::<Vec<_>>());
    let rest = PurgeRequest { now_ms: NOON_MS, ..Default::default() };
    acknowledge(&*stores[0], "ada", "", u64::MAX >> 1).await;
    while stores[0].purge(rest).await.unwrap().removed > 0 {}
    assert_eq!(ids(&*stores[0], &own("ada"), NOON_MS).await, [0; 0]);
    assert_eq!(tail(&*stores[1], &own("bob"), 0).await, entries);
}
