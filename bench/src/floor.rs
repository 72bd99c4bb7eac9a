//! The floor under every broadcast: what one core spends to hand one buffer to many sockets with nothing around it, by a bare ring and by a
//! bare loop of system calls, in turns, with the receivers in the same process.

use crate::timing::{Effort, Figure};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use gpusher_sys::Waker;
use gpusher_sys::clock::thread_cpu_ns;
use gpusher_sys::driver::{Driver, Event};
use gpusher_sys::floor::{FloorRing, broadcast_by_system_calls};
use gpusher_sys::uring::{Descriptors, Uring, UringOptions};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What one message costs, in nanoseconds of CPU time of the sending thread; medians over the rounds.
#[derive(Debug, Clone, Copy)]
pub struct Floor {
    /// By a bare ring.
    pub ring_ns: f64,
    /// By a bare loop of system calls.
    pub system_calls_ns: f64,
}

/// Sends per system call of the ring.
const BATCH: u32 = 1024;
/// Connects under way at once: less than the backlog of a listener.
const CONNECTING_MAX: u32 = 64;
/// Longest wait for the receivers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes the figures of the group.
pub fn figures(effort: Effort) -> Vec<Figure> {
    let (sockets, rounds) = if effort.rounds == 1 { (50, 2) } else { (5_000, 11) };
    let floor = measure(sockets, rounds, 64).expect("loopback sockets");
    let figure = |name: &str, median_ns| Figure {
        name: format!("{name}, {sockets} sockets, CPU for each message"),
        median_ns,
        spread: 1.0,
    };
    vec![figure("bare ring", floor.ring_ns), figure("bare send(2)", floor.system_calls_ns)]
}

/// Sends that many messages to that many sockets by each of the two ways.
///
/// # Errors
/// When sockets cannot be made: the process needs a descriptor for each.
pub fn measure(sockets: u32, rounds: u32, message_bytes: usize) -> Result<Floor> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
    let SocketAddr::V4(address) = listener.local_addr()? else { unreachable!("bound to IPv4") };
    let receivers = Receivers::start(address, sockets);
    let accepted = accept(&listener, sockets, &receivers)?;
    let fds: Vec<BorrowedFd<'_>> = accepted.iter().map(AsFd::as_fd).collect();
    let bytes = Bytes::from(vec![b'x'; message_bytes]);
    let mut ring = FloorRing::new(BATCH).context("cannot open a ring")?;
    let (mut by_ring, mut by_calls) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        by_ring.push(receivers.timed_round(&bytes, sockets, || ring.broadcast(&fds, &bytes))?);
        let calls = || Ok(broadcast_by_system_calls(&fds, &bytes));
        by_calls.push(receivers.timed_round(&bytes, sockets, calls)?);
    }
    receivers.stop()?;
    Ok(Floor { ring_ns: median(by_ring), system_calls_ns: median(by_calls) })
}

fn accept(listener: &TcpListener, sockets: u32, receivers: &Receivers) -> Result<Vec<TcpStream>> {
    let mut accepted = Vec::with_capacity(sockets as usize);
    while accepted.len() < sockets as usize {
        ensure!(!receivers.thread.is_finished(), "the receivers gave up");
        let (socket, _) = listener.accept().context("cannot accept")?;
        socket.set_nodelay(true)?;
        accepted.push(socket);
    }
    Ok(accepted)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A thread that connects, reads and forgets.
struct Receivers {
    thread: JoinHandle<Result<()>>,
    received: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Receivers {
    fn start(address: SocketAddrV4, sockets: u32) -> Self {
        let received = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (counter, ended) = (received.clone(), stop.clone());
        let thread = thread::spawn(move || receive(address, sockets, &counter, &ended));
        Self { thread, received, stop }
    }

    /// One broadcast; returns its CPU time for each message, after everybody has it.
    fn timed_round(
        &self,
        bytes: &Bytes,
        sockets: u32,
        broadcast: impl FnOnce() -> std::io::Result<usize>,
    ) -> Result<f64> {
        let goal = self.received.load(Ordering::Relaxed) + bytes.len() as u64 * u64::from(sockets);
        let before_ns = thread_cpu_ns();
        let refused = broadcast()?;
        let spent_ns = thread_cpu_ns() - before_ns;
        ensure!(refused == 0, "{refused} sockets were full");
        let deadline = Instant::now() + PATIENCE;
        while self.received.load(Ordering::Relaxed) < goal {
            ensure!(Instant::now() < deadline, "receivers do not keep up");
            thread::sleep(Duration::from_millis(1));
        }
        Ok(spent_ns as f64 / f64::from(sockets))
    }

    fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the receivers panicked"))?
    }
}

/// Descriptors live in the ring's own table, so that the process's table is left to the senders.
fn receive(
    address: SocketAddrV4,
    sockets: u32,
    received: &AtomicU64,
    stop: &AtomicBool,
) -> Result<()> {
    let descriptors = Descriptors::Direct { table: sockets + 1 };
    let options = UringOptions { descriptors, ..UringOptions::default() };
    let mut driver = Uring::new(&options, None, Waker::new()?)?;
    let (mut asked, mut connected, mut failed) = (0, 0, 0);
    while !stop.load(Ordering::Relaxed) {
        while asked < sockets && asked - connected < CONNECTING_MAX {
            driver.connect(asked, None, address)?;
            asked += 1;
        }
        driver.turn(Duration::from_millis(10), &mut |event| match event {
            Event::Connected(_) => connected += 1,
            Event::Received(_, bytes) => {
                received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            Event::Hangup { .. } => failed += 1,
            _ => {}
        });
        ensure!(failed == 0 || stop.load(Ordering::Relaxed), "{failed} connections failed");
    }
    Ok(())
}
