//! What a fault can lay hands on.

use crate::api::Api;
use crate::crowd::Crowd;
use crate::deployment::Deployment;
use crate::ledger::Ledger;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The running system: product, clients, books.
#[derive(Debug)]
pub struct Stage {
    /// The product.
    pub deployment: Deployment,
    /// Its HTTP interfaces, one of each web process.
    pub webs: Vec<Api>,
    /// Its clients.
    pub crowd: Crowd,
    /// The truth.
    pub ledger: Arc<Ledger>,
    /// Where the data is mounted, if on a disk of its own.
    pub disk: Option<PathBuf>,
    /// What a fault saw the product do wrong, in words.
    pub complaints: Mutex<Vec<String>>,
    /// What a fault counted of what it did, by name.
    pub counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Stage {
    /// The product has done something wrong.
    pub fn complain(&self, text: String) {
        self.complaints.lock().push(text);
    }

    /// So much more of something was done.
    pub fn count(&self, what: &'static str, more: u64) {
        *self.counts.lock().entry(what).or_default() += more;
    }
}
