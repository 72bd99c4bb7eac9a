//! The clients, as the measuring process sees them.

use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The child process, and what it says.
pub(super) struct Clients {
    child: Child,
    counts: Arc<[(&'static str, AtomicU64); 3]>,
    pub(super) latencies: Arc<std::sync::Mutex<Vec<u64>>>,
}

impl Clients {
    pub(super) fn start(server: SocketAddr) -> Result<Self> {
        let mut child = std::process::Command::new(std::env::current_exe()?)
            .args(std::env::args().skip(1))
            .args(["--server", &server.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("piped")?);
        let counts = Arc::new([
            ("ready", AtomicU64::new(0)),
            ("messages", AtomicU64::new(0)),
            ("violations", AtomicU64::new(0)),
        ]);
        let latencies = Arc::<std::sync::Mutex<Vec<u64>>>::default();
        let (into, late) = (counts.clone(), latencies.clone());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(|line| line.ok()) {
                let mut words = line.split(' ');
                let (Some(name), Some(Ok(value))) = (words.next(), words.next().map(str::parse))
                else {
                    continue;
                };
                if name == "latency" {
                    late.lock().expect("no panic").push(value);
                }
                into.iter()
                    .filter(|(own, _)| *own == name)
                    .for_each(|(_, count)| count.store(value, Ordering::Relaxed));
            }
        });
        Ok(Self { child, counts, latencies })
    }

    pub(super) fn get(&self, name: &str) -> u64 {
        self.counts
            .iter()
            .find(|(own, _)| *own == name)
            .map_or(0, |(_, count)| count.load(Ordering::Relaxed))
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
