//! The gateway: pinned shards that hold connections, and the link to logic.
