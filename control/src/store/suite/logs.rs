//! Logs, sequences, recalls.

use super::*;

pub async fn sequences_count_per_channel(fixture: impl Fixture) {
    let store = fixture.open().await;
    let entries = vec![
        entry(&own("ada"), push(1)),
        entry(&own("bob"), push(1)),
        entry(&own("ada"), push(2)),
        entry(&app_wide(APP), push(3)),
        entry(&everyone(), push(3)),
        entry(&topic("ada"), push(4)),
    ];
    assert_eq!(store.append(entries).await.unwrap(), [1, 1, 2, 1, 1, 1]);
    assert_eq!(store.append(vec![entry(&own("ada"), push(5))]).await.unwrap(), [3]);
    assert_eq!(ids(&*store, &own("ada"), NOON_MS).await, [1, 2, 5]);
    assert_eq!(ids(&*store, &own("bob"), NOON_MS).await, [1]);
    assert_eq!(ids(&*store, &topic("ada"), NOON_MS).await, [4]);
    assert_eq!(ids(&*store, &own("eve"), NOON_MS).await, [0; 0]);
    assert_eq!(store.append(Vec::new()).await.unwrap(), [0; 0]);
    assert_eq!(head(&*store, &own("ada")).await, Head { first: 1, last: 3 });
}

pub async fn kept_and_live_share_a_sequence(fixture: impl Fixture) {
    let store = fixture.open().await;
    let reserve = |count| Reserve { channel: Some(own("ada")), count };
    assert_eq!(store.reserve(vec![reserve(100)]).await.unwrap(), [1]);
    assert_eq!(store.append(vec![entry(&own("ada"), push(1))]).await.unwrap(), [101]);
    assert_eq!(store.reserve(vec![reserve(10), reserve(5)]).await.unwrap(), [102, 112]);
    assert_eq!(store.append(vec![entry(&own("ada"), push(2))]).await.unwrap(), [117]);
    // What was live is not missing from the log.
    assert_eq!(head(&*store, &own("ada")).await, Head { first: 1, last: 117 });
}

pub async fn append_is_idempotent(fixture: impl Fixture) {
    let store = fixture.open().await;
    let batch = || vec![entry(&own("ada"), push(1)), entry(&own("ada"), push(2))];
    let seqs = store.append(batch()).await.unwrap();
    assert_eq!(store.append(batch()).await.unwrap(), seqs);
    let mixed =
        vec![entry(&own("ada"), push(2)), entry(&own("ada"), push(3)), entry(&own("bob"), push(2))];
    let mixed = store.append(mixed).await.unwrap();
    assert_eq!(mixed[0], seqs[1]);
    assert!(mixed[1] > seqs[1]);
    assert_eq!(ids(&*store, &own("ada"), NOON_MS).await, [1, 2, 3]);
    assert_eq!(ids(&*store, &own("bob"), NOON_MS).await, [2]);
}

pub async fn a_batch_may_repeat_itself(fixture: impl Fixture) {
    let store = fixture.open().await;
    let batch = [1, 1, 2, 1].map(|id| entry(&own("ada"), push(id)));
    let seqs = store.append(batch.into()).await.unwrap();
    assert_eq!((seqs[1], seqs[3]), (seqs[0], seqs[0]));
    assert!(seqs[2] > seqs[0]);
    assert_eq!(ids(&*store, &own("ada"), NOON_MS).await, [1, 2]);
}

pub async fn concurrent_writers_get_increasing_sequences(fixture: impl Fixture) {
    const WRITERS: u64 = 8;
    const CALLS: u64 = 20;
    let store = fixture.open().await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut seqs = Vec::new();
                for call in 0..CALLS {
                    let id = 1 + writer * CALLS + call;
                    seqs.extend(store.append(vec![entry(&own("ada"), push(id))]).await.unwrap());
                    let live = Reserve { channel: Some(own("ada")), count: 1 };
                    seqs.extend(store.reserve(vec![live]).await.unwrap());
                }
                seqs
            })
        })
        .collect();
    let mut all = Vec::new();
    for writer in writers {
        let seqs = writer.await.unwrap();
        assert!(seqs.is_sorted(), "a writer's numbers increase: {seqs:?}");
        all.extend(seqs);
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len() as u64, 2 * WRITERS * CALLS, "no number is given twice");
    assert_eq!(ids(&*store, &own("ada"), NOON_MS).await.len() as u64, WRITERS * CALLS);
}

pub async fn names_are_kept_exactly(fixture: impl Fixture) {
    let store = fixture.open().await;
    let names =
        ["a'\"b", "a\\u0041", "ä€𝄞", " a ", "a\nb", "12", "1e2", "null", "[1]", "A", "a", "a\0b"];
    let entries = names.iter().zip(1..).map(|(name, id)| entry(&own(name), push(id))).collect();
    assert_eq!(store.append(entries).await.unwrap(), [1; 12]);
    for (name, id) in names.iter().zip(1..) {
        assert_eq!(ids(&*store, &own(name), NOON_MS).await, [id], "{name:?}");
        acknowledge(&*store, name, name, id).await;
        assert_eq!(cursors_of(&*store, device(name, name)).await.own, id, "{name:?}");
    }
    let bytes: Vec<u8> = (0..=255).collect();
    let binary = Push { content: bytes.clone().into(), id: u64::MAX, ..push(0) };
    store.append(vec![entry(&topic("binary"), binary.clone())]).await.unwrap();
    let request = ReadRequest { channel: Some(topic("binary")), ..ReadRequest::default() };
    assert_eq!(store.read(request).await.unwrap().messages[0].push, Some(binary));
}

pub async fn odd_entries_are_refused(fixture: impl Fixture) {
    let store = fixture.open().await;
    let channels = [
        Channel { kind: 9, ..own("ada") },
        own(""),
        topic(""),
        Channel { name: "x".into(), ..app_wide(APP) },
        Channel { app_id: APP, ..everyone() },
    ];
    for channel in channels {
        let error = store.append(vec![entry(&channel, push(1))]).await.unwrap_err();
        assert_eq!(error.code, Code::Invalid, "{channel:?}");
        let live = Reserve { channel: Some(channel.clone()), count: 1 };
        assert_eq!(store.reserve(vec![live]).await.unwrap_err().code, Code::Invalid);
        let request = ReadRequest { channel: Some(channel), ..ReadRequest::default() };
        assert_eq!(store.read(request).await.unwrap_err().code, Code::Invalid);
    }
    let no_push = Append { channel: Some(own("ada")), push: None };
    assert_eq!(store.append(vec![no_push]).await.unwrap_err().code, Code::Invalid);
    let nothing = Reserve { channel: Some(own("ada")), count: 0 };
    assert_eq!(store.reserve(vec![nothing]).await.unwrap_err().code, Code::Invalid);
}

pub async fn read_skips_expired_messages(fixture: impl Fixture) {
    let store = fixture.open().await;
    let dated = Push { expires_at_ms: NOON_MS + HOUR_MS, ..push(2) };
    let batch =
        vec![entry(&own("ada"), push(1)), entry(&own("ada"), dated), entry(&own("ada"), push(3))];
    store.append(batch).await.unwrap();
    assert_eq!(ids(&*store, &own("ada"), NOON_MS + HOUR_MS - 1).await, [1, 2, 3]);
    assert_eq!(ids(&*store, &own("ada"), NOON_MS + HOUR_MS).await, [1, 3]);
}

pub async fn read_skips_recalled_messages(fixture: impl Fixture) {
    let store = fixture.open().await;
    let batch =
        vec![entry(&own("ada"), push(1)), entry(&own("ada"), push(2)), entry(&own("bob"), push(2))];
    store.append(batch).await.unwrap();
    let mut placed = store.recall(2).await.unwrap();
    placed.sort_by_key(|place| place.seq);
    let expected = [(own("bob"), 1), (own("ada"), 2)]
        .map(|(channel, seq)| Placed { channel: Some(channel), seq });
    assert_eq!(placed, expected);
    assert_eq!(ids(&*store, &own("ada"), NOON_MS).await, [1]);
    assert_eq!(ids(&*store, &own("bob"), NOON_MS).await, [0; 0]);
    assert_eq!(store.recall(2).await.unwrap().len(), 2, "a recall may be repeated");
}

pub async fn a_recall_may_come_before_its_message(fixture: impl Fixture) {
    let store = fixture.open().await;
    assert_eq!(store.recall(1).await.unwrap(), []);
    store.append(vec![entry(&own("ada"), push(1))]).await.unwrap();
    assert_eq!(ids(&*store, &own("ada"), NOON_MS).await, [0; 0]);
}

pub async fn recalls_are_found_among_many_messages(fixture: impl Fixture) {
    let store = fixture.open().await;
    let highest = u64::MAX;
    assert_eq!(store.recalled(vec![1, highest]).await.unwrap(), [0; 0]);
    store.append(vec![entry(&own("ada"), push(1)), entry(&own("ada"), push(2))]).await.unwrap();
    for message in [2, 3, highest] {
        store.recall(message).await.unwrap();
    }
    let mut found = store.recalled(vec![highest, 4, 2, 1]).await.unwrap();
    found.sort_unstable();
    assert_eq!(found, [2, highest]);
    assert_eq!(store.recalled((4..1000).collect()).await.unwrap(), [0; 0]);
    assert_eq!(store.recalled(Vec::new()).await.unwrap(), [0; 0]);
}

pub async fn pages_are_cut_by_number_and_bytes(fixture: impl Fixture) {
    let store = fixture.open().await;
    let big = |id| Push { content: vec![id as u8; 1000].into(), ..push(id) };
    store.append((1..=5).map(|id| entry(&own("ada"), big(id))).collect()).await.unwrap();
    let read = |after, limit, bytes_max| {
        let channel = Some(own("ada"));
        store.read(ReadRequest { channel, after, limit, bytes_max, now_ms: NOON_MS })
    };
    let seqs = |page: &ReadPage| page.messages.iter().map(|m| m.seq).collect::<Vec<_>>();

    let page = read(0, 2, 0).await.unwrap();
    assert_eq!((seqs(&page), page.more), (vec![1, 2], true));
    let page = read(2, 3, 0).await.unwrap();
    assert_eq!((seqs(&page), page.more), (vec![3, 4, 5], false));
    let page = read(0, 10, 2500).await.unwrap();
    assert_eq!((seqs(&page), page.more), (vec![1, 2], true));
    let page = read(3, 10, 1).await.unwrap();
    assert_eq!((seqs(&page), page.more), (vec![4], true), "one message at least");
    let page = read(4, 10, 1).await.unwrap();
    assert_eq!((seqs(&page), page.more), (vec![5], false));
    let page = read(u64::MAX, 10, 0).await.unwrap();
    assert_eq!((seqs(&page), page.more), (vec![], false));
}

pub async fn pages_lead_through_a_log_whatever_the_sizes(fixture: impl Fixture) {
    let store = fixture.open().await;
    let sizes = [3_000, 10, 10, 2_000, 900, 900, 5_000, 5_000, 1];
    let of_size = |(id, size): (u64, usize)| Push { content: vec![7; size].into(), ..push(id) };
    let entries = (1..).zip(sizes).map(|sized| entry(&own("ada"), of_size(sized)));
    let seqs = store.append(entries.collect()).await.unwrap();
    for (limit, bytes_max) in [1, 2, 20]
        .into_iter()
        .flat_map(|limit| [1, 1_000, 2_500, 4_000, 20_000].map(|bytes_max| (limit, bytes_max)))
    {
        let mut met = Vec::new();
        loop {
            let (channel, after) = (Some(own("ada")), met.last().copied().unwrap_or(0));
            let request = ReadRequest { channel, after, limit, bytes_max, now_ms: NOON_MS };
            let page = store.read(request).await.unwrap();
            met.extend(page.messages.iter().map(|message| message.seq));
            if !page.more {
                break;
            }
        }
        assert_eq!(met, seqs, "{limit} messages or {bytes_max} bytes at a time");
    }
}

pub async fn everything_outlives_the_process(fixture: impl Fixture) {
    let store = fixture.open().await;
    let epoch = store.epoch().await.unwrap();
    assert_ne!(epoch, 0);
    store.append(vec![entry(&own("ada"), push(1))]).await.unwrap();
    let live = Reserve { channel: Some(own("eve")), count: 10 };
    store.reserve(vec![Reserve { channel: Some(own("ada")), ..live.clone() }]).await.unwrap();
    assert_eq!(store.reserve(vec![live.clone()]).await.unwrap(), [1]);
    acknowledge(&*store, "bob", "phone", 3).await;
    store.recall(9).await.unwrap();
    store.add_status(vec![Status { id: 1, written: 2, ..Status::default() }]).await.unwrap();
    drop(store);

    let store = fixture.open().await;
    assert_eq!(store.epoch().await.unwrap(), epoch);
    assert_eq!(ids(&*store, &own("ada"), NOON_MS).await, [1]);
    let next = store.append(vec![entry(&own("ada"), push(2))]).await.unwrap()[0];
    assert!(next > 11, "{next} was given before");
    assert!(store.reserve(vec![live]).await.unwrap()[0] > 10, "live numbers outlive it, too");
    assert_eq!(store.append(vec![entry(&own("ada"), push(1))]).await.unwrap(), [1]);
    assert_eq!(cursors_of(&*store, device("bob", "phone")).await.own, 3);
    store.append(vec![entry(&own("bob"), push(9))]).await.unwrap();
    assert_eq!(ids(&*store, &own("bob"), NOON_MS).await, [0; 0]);
    assert_eq!(store.get_status(1).await.unwrap().unwrap().written, 2);
}

pub async fn heads_of_unknown_channels_are_empty(fixture: impl Fixture) {
    let store = fixture.open().await;
    store.append(vec![entry(&own("bob"), push(1))]).await.unwrap();
    let heads = store.heads(vec![own("ada"), own("bob"), everyone()]).await.unwrap();
    let expected = [(1, 0), (1, 1), (1, 0)].map(|(first, last)| Head { first, last });
    assert_eq!(heads, expected);
    assert_eq!(store.heads(Vec::new()).await.unwrap(), []);
}
