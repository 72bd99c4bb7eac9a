//! What every store does, whatever it is made of.
//!
//! `store_suite!(fixture)` makes a test of each function here; a fixture opens a store, again and again, on the same data.

// The names of the tests say it.
#![allow(missing_docs)]

mod accounts;
mod against_sqlite;
mod cursors;
mod logs;
mod purges;
mod reports;
mod writers;

use super::*;
use std::sync::Arc;

pub use accounts::*;
pub use against_sqlite::answers_are_those_of_sqlite;
pub use cursors::*;
pub use logs::*;
pub use purges::*;
pub use reports::*;
pub use writers::*;

/// One set of data, and the way to open it.
pub trait Fixture: Send + Sync {
    /// Opens the data. A caller that opens it again has dropped the last one.
    fn open(&self) -> impl Future<Output = Arc<dyn Store>> + Send;

    /// Opens the data several times at once, as several processes do; the same store each time, where it has one owner.
    fn open_several(&self, count: usize) -> impl Future<Output = Vec<Arc<dyn Store>>> + Send {
        async move { vec![self.open().await; count] }
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! store_suite {
    ($fixture:path) => {
        $crate::store::suite::store_suite! { $fixture:
            answers_are_those_of_sqlite,
            begins_with_the_default_app,
            apps_are_created_listed_and_removed,
            an_app_id_is_given_once,
            users_are_created_changed_listed_and_removed,
            user_names_are_unique,
            sequences_count_per_channel,
            kept_and_live_share_a_sequence,
            append_is_idempotent,
            a_batch_may_repeat_itself,
            concurrent_writers_get_increasing_sequences,
            names_are_kept_exactly,
            odd_entries_are_refused,
            read_skips_expired_messages,
            read_skips_recalled_messages,
            a_recall_may_come_before_its_message,
            recalls_are_found_among_many_messages,
            pages_are_cut_by_number_and_bytes,
            pages_lead_through_a_log_whatever_the_sizes,
            everything_outlives_the_process,
            heads_of_unknown_channels_are_empty,
            cursors_move_forward_only,
            a_new_device_starts_at_its_users_furthest,
            a_cursor_that_moves_first_keeps_the_new_device_rule,
            cursors_of_many_devices_come_in_order,
            status_counters_add_up,
            user_status_follows_the_message,
            user_status_knows_shared_logs,
            a_kept_push_is_known_without_counters,
            dead_letters_are_read_and_removed,
            upstream_messages_are_read_and_removed,
            purge_removes_expired_messages,
            purge_removes_what_all_devices_acknowledged,
            purge_keeps_what_is_young_enough_to_be_repeated,
            purge_cuts_logs_by_age,
            purge_cuts_logs_by_number,
            purge_removes_old_reports,
            purge_clears_removed_apps,
            purge_works_in_batches,
            stores_opened_at_once_are_one,
            several_stores_give_increasing_numbers,
            a_log_grows_in_the_order_of_its_numbers,
            a_repeat_at_the_same_time_gets_the_same_numbers,
            positions_are_seen_in_their_order,
            what_several_add_is_all_there,
            ids_that_the_store_chooses_are_given_once,
            purges_beside_writers_take_no_more_than_they_may,
        }
    };
    ($fixture:path: $($case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::store::suite::$case($fixture().await).await;
            }
        )*
    };
}
pub use store_suite;

/// A Sunday in 2026; every time in these tests counts from here.
const NOON_MS: i64 = 1_800_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const APP: u32 = 1000;

fn own(user: &str) -> Channel {
    Channel { kind: ChannelKind::Own as i32, app_id: APP, name: user.to_owned() }
}

fn app_wide(app_id: u32) -> Channel {
    Channel { kind: ChannelKind::App as i32, app_id, name: String::new() }
}

fn everyone() -> Channel {
    Channel { kind: ChannelKind::Everyone as i32, app_id: 0, name: String::new() }
}

fn topic(name: &str) -> Channel {
    Channel { kind: ChannelKind::Topic as i32, app_id: APP, name: name.to_owned() }
}

/// A kept push that never expires.
fn push(id: u64) -> Push {
    Push {
        id,
        r#type: 1,
        app_id: APP,
        tag: "app_gpusher".into(),
        content: format!("message {id}").into_bytes().into(),
        offline_push: true,
        accepted_at_ms: NOON_MS,
        ..Push::default()
    }
}

fn entry(channel: &Channel, push: Push) -> Append {
    Append { channel: Some(channel.clone()), push: Some(push) }
}

fn device(user: &str, device: &str) -> DeviceKey {
    DeviceKey { app_id: APP, user: user.into(), device: device.into() }
}

/// Moves a device's own cursor.
async fn acknowledge(store: &dyn Store, user: &str, name: &str, seq: u64) {
    let cursors = Cursors { own: seq, ..Cursors::default() };
    let update = CursorUpdate { device: Some(device(user, name)), cursors: Some(cursors) };
    store.advance_cursors(vec![update]).await.unwrap();
}

async fn cursors_of(store: &dyn Store, device: DeviceKey) -> Cursors {
    store.get_cursors(vec![device]).await.unwrap()[0]
}

/// The ids of what a channel has at a time, from the beginning.
async fn ids(store: &dyn Store, channel: &Channel, now_ms: i64) -> Vec<u64> {
    let request = ReadRequest { channel: Some(channel.clone()), now_ms, ..ReadRequest::default() };
    let page = store.read(request).await.unwrap();
    assert!(!page.more);
    page.messages.into_iter().map(|logged| logged.push.unwrap().id).collect()
}

async fn head(store: &dyn Store, channel: &Channel) -> Head {
    store.heads(vec![channel.clone()]).await.unwrap()[0]
}
