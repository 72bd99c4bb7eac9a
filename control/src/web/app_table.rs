//! Which apps there are: asked by every push, so kept in memory for a few seconds.

use super::envelope::{ApiError, number};
use crate::error::Result;
use crate::store::Store;
use arc_swap::ArcSwapOption;
use axum::http::StatusCode;
use gpusher_proto::data::App;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An unknown tag may be an app that another process has just created; look at most this often.
const MISS_INTERVAL: Duration = Duration::from_millis(100);

struct Snapshot {
    ids: HashMap<String, u32, rustc_hash::FxBuildHasher>,
    taken: Instant,
}

/// Apps by tag. Looks a tag up without a lock; refreshes when too old, or when a tag is unknown.
pub(super) struct AppTable {
    store: Arc<dyn Store>,
    snapshot: ArcSwapOption<Snapshot>,
    refreshing: tokio::sync::Mutex<()>,
    age_max: Duration,
}

impl AppTable {
    pub(super) fn new(store: Arc<dyn Store>, age_max: Duration) -> Self {
        Self { store, snapshot: ArcSwapOption::empty(), refreshing: Default::default(), age_max }
    }

    /// The id of the app with this tag. An old table still answers while the store is away.
    pub(super) async fn id(&self, tag: &str) -> Result<Option<u32>> {
        let known = self.look(tag);
        if let Some((Some(id), age)) = known
            && age < self.age_max
        {
            return Ok(Some(id));
        }
        let fresh_enough =
            if let Some((Some(_), _)) = known { self.age_max } else { MISS_INTERVAL };
        match (self.refresh(fresh_enough).await, known) {
            (Ok(()), _) => Ok(self.look(tag).and_then(|(id, _)| id)),
            (Err(error), Some((Some(id), _))) => {
                tracing::warn!(%error, "apps cannot be read, the last table is used");
                Ok(Some(id))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The app that a request names by tag or by number.
    pub(super) async fn resolve(&self, app: &str) -> std::result::Result<u32, ApiError> {
        if app.is_empty() {
            return Err(ApiError::invalid(number::TAG_MISSING, "app", "app is missing"));
        }
        if let Some(id) = self.id(app).await? {
            return Ok(id);
        }
        let known = self.snapshot.load();
        match app.parse::<u32>() {
            Ok(id)
                if known
                    .as_ref()
                    .is_some_and(|table| table.ids.values().any(|&known| known == id)) =>
            {
                Ok(id)
            }
            _ => Err(unknown(app)),
        }
    }

    /// Makes the next look-up read the store: an app was created or removed here.
    pub(super) fn forget(&self) {
        self.snapshot.store(None);
    }

    fn look(&self, tag: &str) -> Option<(Option<u32>, Duration)> {
        let snapshot = self.snapshot.load();
        let table = snapshot.as_ref()?;
        Some((table.ids.get(tag).copied(), table.taken.elapsed()))
    }

    async fn refresh(&self, fresh_enough: Duration) -> Result<()> {
        let _one_at_a_time = self.refreshing.lock().await;
        if self.snapshot.load().as_ref().is_some_and(|table| table.taken.elapsed() < fresh_enough) {
            return Ok(());
        }
        let taken = Instant::now();
        let apps = self.store.list_apps().await?;
        let ids = apps.into_iter().map(|App { id, tag, .. }| (tag, id)).collect();
        self.snapshot.store(Some(Arc::new(Snapshot { ids, taken })));
        Ok(())
    }
}

/// 404 under the number that the forerunner has for tags.
pub(super) fn unknown(tag: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, number::TAG_MISSING, format!("no app has the tag {tag:?}"))
}
