//! The table of apps, for the gateways: they refuse logins of apps they do not know.

use super::data::Data;
use gpusher_proto::gateway::App;
use std::time::Duration;
use tokio::sync::watch;

/// New apps are known everywhere after about this time.
const PERIOD: Duration = Duration::from_secs(1);

/// Reads the table again and again, and tells when it has changed.
pub(super) async fn watch_apps(
    data: Data,
    apps: watch::Sender<Vec<App>>,
    mut refresh: watch::Receiver<()>,
) {
    loop {
        let table = read_apps(&data).await;
        apps.send_if_modified(|known| {
            let changed = *known != table;
            if changed {
                known.clone_from(&table);
            }
            changed
        });
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            asked = refresh.changed() => if asked.is_err() { return },
            () = apps.closed() => return,
        }
    }
}

/// The table as gateways want it.
pub(super) async fn read_apps(data: &Data) -> Vec<App> {
    let apps = data.persist("list apps", || data.store.list_apps()).await;
    apps.into_iter().map(|app| App { id: app.id, tag: app.tag }).collect()
}
