//! What a purge removes, and what it leaves.

use super::*;

const DAY_MS: i64 = 24 * HOUR_MS;

/// Limits that remove nothing by themselves.
fn request(now_ms: i64) -> PurgeRequest {
    PurgeRequest { now_ms, retention_ms: 0, per_channel_max: 0, batch_max: 1000 }
}

pub async fn purge_removes_expired_messages(fixture: impl Fixture) {
    let store = fixture.open().await;
    let dated = |id| Push { expires_at_ms: NOON_MS + HOUR_MS, ..push(id) };
    let batch = vec![
        entry(&own("ada"), dated(1)),
        entry(&own("bob"), dated(1)),
        entry(&own("ada"), push(2)),
    ];
    store.append(batch).await.unwrap();
    let early = store.purge(request(NOON_MS + HOUR_MS - 1)).await.unwrap();
    assert_eq!(early, PurgeResult { removed: 0, more: false });
    let late = store.purge(request(NOON_MS + HOUR_MS)).await.unwrap();
    assert_eq!(late, PurgeResult { removed: 2, more: false });
    // Read as of before the expiry: it is gone, not just hidden.
    assert_eq!(ids(&*store, &own("ada"), NOON_MS).await, [2]);
    assert_eq!(ids(&*store, &own("bob"), NOON_MS).await, [0; 0]);
    assert_eq!(head(&*store, &own("ada")).await, Head { first: 1, last: 2 });
    assert_eq!(store.append(vec![entry(&own("bob"), push(3))]).await.unwrap(), [2]);
}

pub async fn purge_removes_what_all_devices_acknowledged(fixture: impl Fixture) {
    let store = fixture.open().await;
    let batch = (1..=4).map(|id| entry(&own("ada"), push(id)));
    store.append(batch.chain([entry(&app_wide(APP), push(9))]).collect()).await.unwrap();
    cursors_of(&*store, device("ada", "desk")).await;
    let cursors = Some(Cursors { own: 3, app: 1, everyone: 0 });
    let update = CursorUpdate { device: Some(device("ada", "phone")), cursors };
    store.advance_cursors(vec![update]).await.unwrap();
    let later = NOON_MS + DAY_MS;
    assert_eq!(store.purge(request(later)).await.unwrap().removed, 0, "the desk has none");
    acknowledge(&*store, "ada", "desk", 2).await;
    assert_eq!(store.purge(request(later)).await.unwrap().removed, 2);
    assert_eq!(ids(&*store, &own("ada"), NOON_MS).await, [3, 4]);
    acknowledge(&*store, "ada", "desk", 4).await;
    assert_eq!(store.purge(request(later)).await.unwrap().removed, 1);
    assert_eq!(ids(&*store, &own("ada"), NOON_MS).await, [4]);
    assert_eq!(ids(&*store, &app_wide(APP), NOON_MS).await, [9], "others may want it");
    assert_eq!(head(&*store, &own("ada")).await, Head { first: 1, last: 4 });
}

pub async fn purge_keeps_what_is_young_enough_to_be_repeated(fixture: impl Fixture) {
    let store = fixture.open().await;
    let seqs = store.append(vec![entry(&own("ada"), push(1))]).await.unwrap();
    acknowledge(&*store, "ada", "phone", seqs[0]).await;
    let young = NOON_MS + REPEAT_WINDOW_MS;
    assert_eq!(store.purge(request(young)).await.unwrap().removed, 0);
    assert_eq!(store.append(vec![entry(&own("ada"), push(1))]).await.unwrap(), seqs);
    assert_eq!(store.purge(request(young + 1)).await.unwrap().removed, 1);
}

pub async fn purge_cuts_logs_by_age(fixture: impl Fixture) {
    let store = fixture.open().await;
    let aged = |id, age_ms| Push { accepted_at_ms: NOON_MS - age_ms, ..push(id) };
    let batch = vec![
        entry(&own("ada"), aged(1, 3 * DAY_MS)),
        entry(&own("ada"), aged(2, 2 * DAY_MS)),
        entry(&own("ada"), aged(3, DAY_MS)),
        entry(&topic("news"), aged(1, 3 * DAY_MS)),
    ];
    store.append(batch).await.unwrap();
    let limits = PurgeRequest { retention_ms: 2 * DAY_MS, ..request(NOON_MS) };
    assert_eq!(store.purge(limits).await.unwrap().removed, 2);
    assert_eq!(ids(&*store, &own("ada"), NOON_MS).await, [2, 3]);
    assert_eq!(head(&*store, &own("ada")).await, Head { first: 2, last: 3 });
    assert_eq!(head(&*store, &topic("news")).await, Head { first: 2, last: 1 });
}

pub async fn purge_cuts_logs_by_number(fixture: impl Fixture) {
    let store = fixture.open().await;
    let many = (1..=100).map(|id| entry(&app_wide(APP), push(id)));
    let few = (1..=5).map(|id| entry(&own("ada"), push(id)));
    store.append(many.chain(few).collect()).await.unwrap();
    // A repeat is not counted as an entry.
    store.append(vec![entry(&own("ada"), push(5))]).await.unwrap();
    let limits = PurgeRequest { per_channel_max: 70, ..request(NOON_MS) };
    assert_eq!(store.purge(limits).await.unwrap().removed, 30);
    assert_eq!(ids(&*store, &app_wide(APP), NOON_MS).await, (31..=100).collect::<Vec<_>>());
    assert_eq!(head(&*store, &app_wide(APP)).await, Head { first: 31, last: 100 });
    let limits = PurgeRequest { per_channel_max: 5, ..request(NOON_MS) };
    assert_eq!(store.purge(limits).await.unwrap().removed, 65);
    assert_eq!(ids(&*store, &own("ada"), NOON_MS).await, [1, 2, 3, 4, 5]);
    assert_eq!(ids(&*store, &app_wide(APP), NOON_MS).await, [96, 97, 98, 99, 100]);
    assert_eq!(store.purge(limits).await.unwrap().removed, 0);
}

pub async fn purge_removes_old_reports(fixture: impl Fixture) {
    let store = fixture.open().await;
    store.add_status(vec![Status { id: 1, written: 1, ..Status::default() }]).await.unwrap();
    let letter = |id, at_ms| DeadLetter {
        app_id: APP,
        push: Some(push(id)),
        at_ms,
        ..DeadLetter::default()
    };
    store.add_dead_letters(vec![letter(1, NOON_MS - 1), letter(2, NOON_MS)]).await.unwrap();
    let sent = |id, at_ms| UpstreamMessage { id, app_id: APP, at_ms, ..Default::default() };
    store.add_upstream(vec![sent(1, NOON_MS - 1), sent(2, NOON_MS)]).await.unwrap();
    let limits = PurgeRequest { retention_ms: DAY_MS, ..request(NOON_MS + DAY_MS) };
    store.purge(limits).await.unwrap();
    let page = AppPage { app_id: APP, after: 0, limit: 0 };
    assert_eq!(store.list_dead_letters(page).await.unwrap().len(), 1);
    assert_eq!(store.list_upstream(page).await.unwrap().len(), 1);

    // Statuses and recalls are dated by the store, which is not at noon.
    store.recall(3).await.unwrap();
    let limits = PurgeRequest { retention_ms: DAY_MS, ..request(i64::MAX / 2) };
    store.purge(limits).await.unwrap();
    assert_eq!(store.get_status(1).await.unwrap(), None);
    assert!(!store.get_user_status(3, "ada").await.unwrap().recalled);
}

pub async fn purge_clears_removed_apps(fixture: impl Fixture) {
    let store = fixture.open().await;
    let app = store.create_app(App { tag: "short-lived".into(), ..App::default() }).await.unwrap();
    let theirs = Channel { app_id: app.id, ..own("ada") };
    let batch = vec![
        entry(&theirs, push(1)),
        entry(&app_wide(app.id), push(1)),
        entry(&own("ada"), push(1)),
        entry(&own("ada"), push(2)),
    ];
    store.append(batch).await.unwrap();
    let gone_device = DeviceKey { app_id: app.id, ..device("ada", "phone") };
    let cursors = Some(Cursors { own: 1, ..Cursors::default() });
    let update = CursorUpdate { device: Some(gone_device.clone()), cursors };
    store.advance_cursors(vec![update]).await.unwrap();
    store.delete_app(app.id).await.unwrap();
    let row_by_row = PurgeRequest { batch_max: 1, ..request(NOON_MS) };
    while store.purge(row_by_row).await.unwrap().more {}
    assert_eq!(ids(&*store, &theirs, NOON_MS).await, [0; 0]);
    assert_eq!(ids(&*store, &app_wide(app.id), NOON_MS).await, [0; 0]);
    assert_eq!(ids(&*store, &own("ada"), NOON_MS).await, [1, 2]);
    assert_eq!(cursors_of(&*store, gone_device).await, Cursors::default());
}

pub async fn purge_works_in_batches(fixture: impl Fixture) {
    let store = fixture.open().await;
    let dated = |id| Push { expires_at_ms: NOON_MS, ..push(id) };
    store.append((1..=25).map(|id| entry(&topic("news"), dated(id))).collect()).await.unwrap();
    let small = PurgeRequest { batch_max: 10, ..request(NOON_MS) };
    let mut batches = Vec::new();
    loop {
        let result = store.purge(small).await.unwrap();
        batches.push(result.removed);
        if !result.more {
            break;
        }
    }
    assert_eq!(batches, [10, 10, 5]);
}
