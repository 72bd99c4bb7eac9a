//! Numbers for operators: one registry for all roles of the process, served by web at `/metrics`.
//!
//! Each part keeps its own struct of counters, whose fields are documented with what they count and in which unit, and
//! registers it here once. A part that keeps its numbers another way (the gateway's shards) adds a page of text instead.

mod queue;

pub use self::queue::QueueMetrics;

use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::fmt;

/// Appends samples in the Prometheus text format, without the final `# EOF`.
pub type Page = Box<dyn Fn(&mut String) + Send + Sync>;

/// All numbers of the process.
pub struct Metrics {
    registry: Mutex<Registry>,
    pages: Mutex<Vec<Page>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            registry: Mutex::new(Registry::with_prefix("gpusher")),
            pages: Mutex::new(Vec::new()),
        }
    }
}

impl Metrics {
    /// Lets a part register its metrics; every name gets the prefix `gpusher_`. Meant for start-up: a name registered twice
    /// appears twice.
    pub fn register<T>(&self, with: impl FnOnce(&mut Registry) -> T) -> T {
        with(&mut self.registry.lock())
    }

    /// Adds a page that is made anew for every scrape.
    pub fn add_page(&self, page: Page) {
        self.pages.lock().push(page);
    }

    /// Everything, in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for page in self.pages.lock().iter() {
            page(&mut text);
        }
        prometheus_client::encoding::text::encode(&mut text, &self.registry.lock())
            .expect("writing to a string cannot fail");
        text
    }

    /// The media type of [`Metrics::text`].
    pub const CONTENT_TYPE: &'static str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_holds_registry_and_pages() {
        let metrics = Metrics::default();
        let queue = QueueMetrics::new(&metrics);
        queue.published.inc_by(3);
        metrics.add_page(Box::new(|text| text.push_str("gpusher_other 7\n")));
        let text = metrics.text();
        assert!(text.contains("gpusher_queue_published_total 3\n"), "{text}");
        assert!(text.contains("gpusher_other 7\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
