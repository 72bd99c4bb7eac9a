//! How a run goes over time: the counters at even intervals, shown on a terminal while it runs, kept for the plots.

use crate::message::Clock;
use crate::process::{kernel, usage};
use crate::progress::Progress;
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The counters at one time.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sample {
    /// Seconds since the start of the run.
    pub at_s: f64,
    /// Connections that are logged in.
    pub logged_in: u64,
    /// Logins so far.
    pub logins: u64,
    /// Messages received so far.
    pub messages: u64,
    /// Resident memory of the process that holds the server's ends, if it is known, in bytes.
    pub server_bytes: u64,
    /// Resident memory of this process, in bytes.
    pub generator_bytes: u64,
    /// Slab and TCP pages of the machine, in bytes.
    pub kernel_bytes: u64,
}

const EVERY: Duration = Duration::from_millis(250);
/// When there are more, every other one is dropped.
const SAMPLES_MAX: usize = 2_000;

/// Takes samples until it is ended.
#[derive(Debug)]
pub struct Sampler {
    thread: JoinHandle<Vec<Sample>>,
    stop: Sender<()>,
    server: Arc<Mutex<Option<u32>>>,
}

impl Sampler {
    /// `server`: the process that holds the server's ends, if it is known.
    pub fn start(clock: Clock, progress: Arc<Progress>, server: Option<u32>) -> Self {
        let (stop, stopped) = channel();
        let server = Arc::new(Mutex::new(server));
        let process = server.clone();
        let thread = thread::spawn(move || {
            let mut samples: Vec<Sample> = Vec::new();
            let display = Display::new();
            let mut every = 1;
            for turn in 0u64.. {
                if turn % every == 0 {
                    let pid = *process.lock().expect("nobody panics with it");
                    let sample = take(clock, &progress, pid);
                    display.show(&sample, samples.last());
                    samples.push(sample);
                }
                if samples.len() > SAMPLES_MAX {
                    let mut number = 0;
                    samples.retain(|_| {
                        number += 1;
                        number % 2 == 1
                    });
                    every *= 2;
                }
                if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            display.clear();
            samples
        });
        Self { thread, stop, server }
    }

    /// The process was started again.
    pub fn set_server(&self, pid: Option<u32>) {
        *self.server.lock().expect("nobody panics with it") = pid;
    }

    /// Ends it.
    pub fn finish(self) -> Vec<Sample> {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

fn take(clock: Clock, progress: &Progress, server: Option<u32>) -> Sample {
    let resident = |pid| usage(pid).map_or(0, |usage| usage.resident_bytes);
    let kernel = kernel().unwrap_or_default();
    Sample {
        at_s: clock.now_ns() as f64 / 1e9,
        logged_in: Progress::read(&progress.logged_in),
        logins: Progress::read(&progress.welcomes),
        messages: progress.received_in_all(),
        server_bytes: server.map_or(0, resident),
        generator_bytes: resident(std::process::id()),
        kernel_bytes: kernel.slab_bytes + kernel.tcp_bytes,
    }
}

/// One line that is written over, on a terminal only.
struct Display {
    terminal: bool,
}

impl Display {
    fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal() }
    }

    fn show(&self, sample: &Sample, before: Option<&Sample>) {
        let Some(before) = before.filter(|_| self.terminal) else { return };
        let seconds = (sample.at_s - before.at_s).max(1e-3);
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        let _ = write!(
            std::io::stderr(),
            "\r\x1b[K{:7.1} s  {} logged in, {:.0} logins/s, {:.0} messages/s, server {} MiB, generator {} MiB, kernel {} MiB ",
            sample.at_s,
            sample.logged_in,
            rate(sample.logins, before.logins),
            rate(sample.messages, before.messages),
            sample.server_bytes >> 20,
            sample.generator_bytes >> 20,
            sample.kernel_bytes >> 20,
        );
    }

    fn clear(&self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
