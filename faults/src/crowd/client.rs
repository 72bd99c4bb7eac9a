//! One client with a real socket.

use super::machine::{Machine, Setup};
use super::{Mood, Shared};
use crate::ledger::Book;
use gpusher_client::Positions;
use gpusher_client::core::Action;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 16 << 10;
/// For the server to end its half of a connection whose other half has ended.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);
/// A program that the server dismissed is started again by its user.
const DISMISSED: Duration = Duration::from_secs(1);

struct Client {
    shared: Arc<Shared>,
    setup: Setup,
    machine: Machine,
    book: Book,
    socket: Option<TcpStream>,
    hung: bool,
}

/// Lives until the task is aborted.
pub(super) async fn live(shared: Arc<Shared>, setup: Setup, mut mood: watch::Receiver<Mood>) {
    let number = setup.profile.number;
    let machine = Machine::start(&setup, Positions::default(), seed(&shared, number));
    let mut client =
        Client { shared, setup, machine, book: Book::new(number), socket: None, hung: false };
    loop {
        let now = *mood.borrow_and_update();
        let hung = std::mem::replace(&mut client.hung, now == Mood::Hung);
        if hung && now != Mood::Hung {
            client.start_afresh();
        }
        if now == Mood::Away {
            client.stay_away(&mut mood).await;
        } else if !client.act().await {
            client.wait(&mut mood, now == Mood::Deaf).await;
        }
    }
}

fn seed(shared: &Shared, number: u32) -> u64 {
    shared.seed ^ (u64::from(number) << 32) ^ shared.now_ms()
}

impl Client {
    /// Ends the program, and starts it again when its user is back.
    async fn stay_away(&mut self, mood: &mut watch::Receiver<Mood>) {
        if self.setup.profile.version == 0 {
            let _ = tokio::time::timeout(FAREWELL_TIMEOUT, self.read_to_the_end()).await;
        }
        self.take_receipts();
        let positions = self.machine.stop();
        self.socket = None;
        self.tell_presence(false);
        if mood.wait_for(|&mood| mood != Mood::Away).await.is_err() {
            // The crowd is being dropped, and this task with it.
            return std::future::pending().await;
        }
        self.restart(positions);
    }

    /// Its user ends it, and starts it without what it had stored.
    fn start_afresh(&mut self) {
        self.machine.stop();
        self.socket = None;
        self.tell_presence(false);
        self.restart(Positions::default());
    }

    /// What the server's socket took counts as received by who cannot acknowledge: it has to be read before the program ends.
    async fn read_to_the_end(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.socket else { return Ok(()) };
        stream.shutdown().await?;
        loop {
            stream.readable().await?;
            read(stream, &mut self.machine, &self.shared)?;
        }
    }

    fn restart(&mut self, positions: Positions) {
        let seed = seed(&self.shared, self.setup.profile.number);
        // Version 0 has nothing to store but the ids that it knows.
        if let Machine::V0(client) = &mut self.machine {
            client.on_disconnected(self.shared.now_ms());
        } else {
            self.machine = Machine::start(&self.setup, positions, seed);
            self.book.restarted_us = self.shared.ledger.now_us();
        }
    }

    /// Does what is due; true if there may be more.
    async fn act(&mut self) -> bool {
        self.machine.on_time(self.shared.now_ms());
        self.take_receipts();
        if let Some(reason) = self.machine.take_end() {
            self.shared.dismissed(&self.setup.profile, &reason);
            tokio::time::sleep(DISMISSED).await;
            let positions = self.machine.stop();
            self.socket = None;
            self.restart(positions);
            return true;
        }
        self.tell_presence(self.machine.is_online());
        match self.machine.poll_action() {
            None => return false,
            Some(Action::Disconnect) => self.socket = None,
            Some(Action::Connect(address)) => self.connect(&address).await,
        }
        true
    }

    async fn connect(&mut self, address: &str) {
        let connecting = connect(address, self.setup.profile.source);
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        let now_ms = self.shared.now_ms();
        match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => {
                self.socket = Some(stream);
                self.machine.on_connected(now_ms);
            }
            Err(error) => self.machine.on_disconnected(&error.to_string(), now_ms),
        }
    }

    /// Waits for one thing and does it.
    async fn wait(&mut self, mood: &mut watch::Receiver<Mood>, deaf: bool) {
        let until =
            self.machine.deadline().map(|ms| self.shared.started + Duration::from_millis(ms));
        let writes = !self.machine.output().is_empty();
        let reads = self.machine.wants_bytes() && !deaf;
        let done = match &self.socket {
            None => {
                tokio::select! {
                    () = sleep_until(until) => {}
                    _ = mood.changed() => {}
                }
                return;
            }
            Some(stream) => {
                tokio::select! {
                    () = sleep_until(until) => Ok(()),
                    _ = mood.changed() => Ok(()),
                    ready = stream.readable(), if reads => {
                        ready.and_then(|()| read(stream, &mut self.machine, &self.shared))
                    }
                    ready = stream.writable(), if writes => {
                        ready.and_then(|()| write(stream, self.machine.output()))
                    }
                }
            }
        };
        if let Err(error) = done {
            self.socket = None;
            // What was read before the end counts.
            self.take_receipts();
            self.machine.on_disconnected(&error.to_string(), self.shared.now_ms());
        }
    }

    fn take_receipts(&mut self) {
        if self.hung {
            return;
        }
        while let Some(receipt) = self.machine.poll_receipt(self.shared.now_ms()) {
            self.shared.ledger.receive(&mut self.book, &receipt);
        }
    }

    fn tell_presence(&self, online: bool) {
        let flag = &self.shared.online[self.setup.profile.number as usize];
        if flag.load(Ordering::Relaxed) != online {
            flag.store(online, Ordering::Relaxed);
        }
    }
}

async fn connect(address: &str, source: Option<std::net::Ipv4Addr>) -> io::Result<TcpStream> {
    let address: SocketAddr =
        address.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let socket = TcpSocket::new_v4()?;
    // From an address of loopback no other host is reached.
    if let Some(source) = source.filter(|_| address.ip().is_loopback()) {
        socket.bind(SocketAddrV4::new(source, 0).into())?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}

fn read(stream: &TcpStream, machine: &mut Machine, shared: &Shared) -> io::Result<()> {
    let mut buffer = [0; READ_BYTES];
    match stream.try_read(&mut buffer) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(count) => {
            machine.on_bytes(&buffer[..count], shared.now_ms());
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

fn write(stream: &TcpStream, output: &mut Vec<u8>) -> io::Result<()> {
    match stream.try_write(output) {
        Ok(taken) => {
            output.drain(..taken);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}
