//! A process that may not have more of a resource; it may again, whatever happens to us.

use crate::deployment::Part;
use rustix::process::Resource;
use std::sync::Arc;

pub(super) struct Limited {
    part: Arc<Part>,
    resource: Resource,
    pid: Option<u32>,
    before: Option<u64>,
}

impl Limited {
    /// From now on it may have no more than this, and may end by itself; none: it does not run.
    pub(super) fn begin(part: &Arc<Part>, resource: Resource, limit: Option<u64>) -> Self {
        part.excuse(true);
        let lower = |limit| part.with_process(|process| process.limit(resource, limit));
        let before = limit.and_then(lower);
        Self { part: Arc::clone(part), resource, pid: part.pid(), before }
    }

    /// Whether the process has ended meanwhile.
    pub(super) fn end(self) -> bool {
        self.part.pid() != self.pid
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // One that was started since has the limits of who started it.
        if self.part.pid() == self.pid
            && let Some(before) = self.before
        {
            self.part.with_process(|process| process.limit(self.resource, before));
        }
        self.part.excuse(false);
    }
}
