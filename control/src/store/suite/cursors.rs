//! Cursors.

use super::*;

fn update(name: &str, own: u64, app: u64, everyone: u64) -> CursorUpdate {
    CursorUpdate {
        device: Some(device("ada", name)),
        cursors: Some(Cursors { own, app, everyone }),
    }
}

async fn cursors(store: &dyn Store, name: &str) -> (u64, u64, u64) {
    let cursors = cursors_of(store, device("ada", name)).await;
    (cursors.own, cursors.app, cursors.everyone)
}

pub async fn cursors_move_forward_only(fixture: impl Fixture) {
    let store = fixture.open().await;
    store.advance_cursors(vec![update("phone", 5, 6, 0)]).await.unwrap();
    assert_eq!(cursors(&*store, "phone").await, (5, 6, 0));
    store.advance_cursors(vec![update("phone", 4, 7, 0)]).await.unwrap();
    assert_eq!(cursors(&*store, "phone").await, (5, 7, 0));
    let batch = vec![update("phone", 9, 0, 0), update("phone", 8, 0, 3), update("", 1, 0, 0)];
    store.advance_cursors(batch).await.unwrap();
    assert_eq!(cursors(&*store, "phone").await, (9, 7, 3));
    let nobody = CursorUpdate { device: None, ..update("", 1, 1, 1) };
    assert_eq!(store.advance_cursors(vec![nobody]).await.unwrap_err().code, Code::Invalid);
    store.advance_cursors(Vec::new()).await.unwrap();
}

pub async fn a_new_device_starts_at_its_users_furthest(fixture: impl Fixture) {
    let store = fixture.open().await;
    assert_eq!(cursors(&*store, "phone").await, (0, 0, 0));
    store.advance_cursors(vec![update("phone", 5, 1, 1), update("desk", 3, 2, 1)]).await.unwrap();
    assert_eq!(cursors(&*store, "watch").await, (5, 2, 1));
    // It is known from then on: it does not move with the others.
    store.advance_cursors(vec![update("phone", 9, 9, 9)]).await.unwrap();
    assert_eq!(cursors(&*store, "watch").await, (5, 2, 1));
    let stranger = DeviceKey { app_id: APP + 1, ..device("ada", "watch") };
    assert_eq!(cursors_of(&*store, stranger).await, Cursors::default());
}

pub async fn a_cursor_that_moves_first_keeps_the_new_device_rule(fixture: impl Fixture) {
    let store = fixture.open().await;
    store.advance_cursors(vec![update("phone", 5, 6, 7)]).await.unwrap();
    store.advance_cursors(vec![update("watch", 8, 0, 0)]).await.unwrap();
    assert_eq!(cursors(&*store, "watch").await, (8, 6, 7));
}

pub async fn cursors_of_many_devices_come_in_order(fixture: impl Fixture) {
    let store = fixture.open().await;
    store.advance_cursors(vec![update("phone", 5, 6, 7), update("desk", 1, 2, 3)]).await.unwrap();
    let names = ["watch", "desk", "phone", "tv", "watch"];
    let devices = names.map(|name| device("ada", name)).into();
    let cursors = store.get_cursors(devices).await.unwrap();
    let own: Vec<_> = cursors.iter().map(|cursors| cursors.own).collect();
    assert_eq!(own, [5, 1, 5, 5, 5]);
    assert_eq!(store.get_cursors(Vec::new()).await.unwrap(), []);
}
