//! The store and the queue that the simulation stands on keep the contracts of the real ones.

use gpusher_control::queue;
use gpusher_control::store::{self, Store};
use gpusher_sim::clock::SimClock;
use gpusher_sim::gate::Gates;
use gpusher_sim::queue::MemoryQueue;
use gpusher_sim::store::MemoryStore;
use std::sync::Arc;

struct Memory(MemoryStore);

impl store::suite::Fixture for Memory {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }
}

async fn memory() -> Memory {
    Memory(MemoryStore::new(SimClock::default(), Gates::default()))
}

gpusher_control::store_suite!(memory);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_passes() {
    queue::suite::run(Arc::new(MemoryQueue::default())).await;
}
