//! The face for tokio: a task drives the core, the application takes events and sends.

use crate::core::{Action, Config, Core, End, Event, Outcome, Positions};
use crate::error::Error;
use gpusher_proto::wire::Target;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};

/// Largest read.
const READ_BYTES: usize = 64 << 10;

/// A client that keeps itself connected until it is closed or dropped.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    driver: tokio::task::JoinHandle<()>,
}

/// Sends for a [`Client`] that somebody else listens to.
#[derive(Debug, Clone)]
pub struct Sender {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    started: Instant,
    /// For the driver: there is something to write, or another deadline.
    wished: Notify,
    /// For the application: there is an event.
    happened: Notify,
}

#[derive(Debug)]
struct State {
    core: Core,
    answers: HashMap<u64, oneshot::Sender<Outcome>>,
}

impl Client {
    /// Starts a client in the current runtime. It connects in the background: [`Event::Online`] says when it has.
    pub fn start(config: Config, positions: Positions) -> Self {
        let seed = RandomState::new().build_hasher().finish();
        let state = State { core: Core::new(config, positions, seed), answers: HashMap::new() };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            started: Instant::now(),
            wished: Notify::new(),
            happened: Notify::new(),
        });
        let driver = tokio::spawn(drive(Arc::clone(&shared)));
        Self { shared, driver }
    }

    /// The next event; none after [`Event::Ended`]. Asking says that the message before is done with: a kept one is then acknowledged.
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let happened = self.shared.happened.notified();
            let (event, ended) = self.shared.poll_event();
            if event.is_some() || ended {
                return event;
            }
            happened.await;
        }
    }

    /// Somebody else who sends.
    pub fn sender(&self) -> Sender {
        Sender { shared: Arc::clone(&self.shared) }
    }

    /// How far the application is with kept messages: to be kept for the next run.
    pub fn positions(&self) -> Positions {
        self.shared.lock().core.positions()
    }

    /// A token to log in with from now on, after [`Event::TokenNeeded`] or before.
    pub fn set_token(&self, token: String) {
        let now_ms = self.shared.now_ms();
        self.shared.lock().core.set_token(token, now_ms);
        self.shared.wished.notify_one();
    }

    /// Acknowledges what was taken, says good-bye and closes. Returns the last positions.
    pub async fn close(mut self) -> Positions {
        let now_ms = self.shared.now_ms();
        self.shared.lock().core.close(now_ms);
        self.shared.wished.notify_one();
        // Ends with the core; a driver that panicked has closed its socket too.
        let _ended = (&mut self.driver).await;
        self.positions()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
        let mut state = self.shared.lock();
        state.core.abandon();
        // Who waits for an answer gets none.
        state.answers.clear();
    }
}

impl Sender {
    /// Sends a message and returns its id. `name` is the user or topic; empty for the application.
    ///
    /// # Errors
    /// See [`Error`]. After `Unanswered` it may or may not have been sent.
    pub async fn send(&self, target: Target, name: &str, content: &[u8]) -> Result<u64, Error> {
        self.request(|core, now_ms| core.send(target, name, content, now_ms)).await
    }

    /// Joins a topic, now and after every reconnect; returns the topic's last sequence. `since`: kept messages after that one come first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn join(&self, topic: &str, since: Option<u64>) -> Result<u64, Error> {
        self.request(|core, now_ms| core.join(topic, since, now_ms)).await
    }

    /// Leaves a topic.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn leave(&self, topic: &str) -> Result<(), Error> {
        self.request(|core, now_ms| core.leave(topic, now_ms)).await.map(drop)
    }

    async fn request(
        &self,
        ask: impl FnOnce(&mut Core, u64) -> Result<u64, Error>,
    ) -> Result<u64, Error> {
        let (sender, answer) = oneshot::channel();
        {
            let now_ms = self.shared.now_ms();
            let mut state = self.shared.lock();
            let request = ask(&mut state.core, now_ms)?;
            state.answers.insert(request, sender);
        }
        self.shared.wished.notify_one();
        match answer.await {
            Ok(Outcome::Done(value)) => Ok(value),
            Ok(Outcome::Refused(code)) => Err(Error::Refused(code)),
            Ok(Outcome::Unanswered) => Err(Error::Unanswered),
            // The driver was dropped with its client.
            Err(_) => Err(Error::Ended(End::Closed)),
        }
    }
}

impl Shared {
    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// The core is whole after any panic: it is left only between inputs.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event, and whether there will be none any more. The driver is woken only if that gave it something to do.
    fn poll_event(&self) -> (Option<Event>, bool) {
        let now_ms = self.now_ms();
        let mut state = self.lock();
        let before = (state.core.deadline(), state.core.wants_bytes());
        let event = state.core.poll_event(now_ms);
        let ended = event.is_none() && state.core.end().is_some();
        if before != (state.core.deadline(), state.core.wants_bytes()) {
            self.wished.notify_one();
        }
        (event, ended)
    }

    /// Tells the application what an input led to.
    fn spread(&self) {
        let mut state = self.lock();
        while let Some((request, outcome)) = state.core.poll_answer() {
            if let Some(waiting) = state.answers.remove(&request) {
                // Whoever asked may have lost interest.
                let _gone = waiting.send(outcome);
            }
        }
        let happened = state.core.has_event() || state.core.end().is_some();
        drop(state);
        if happened {
            self.happened.notify_one();
        }
    }
}

/// What the driver waits for.
struct Wait {
    writes: bool,
    reads: bool,
    until: Option<Duration>,
}

async fn drive(shared: Arc<Shared>) {
    let mut socket: Option<TcpStream> = None;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let (action, wait, ended) = turn(&shared);
        shared.spread();
        match action {
            Some(Action::Connect(address)) => socket = connect(&shared, &address).await,
            Some(Action::Disconnect) => socket = None,
            None if ended => return,
            None => match &socket {
                Some(stream) => {
                    if let Err(error) = exchange(&shared, stream, &wait, &mut buffer).await {
                        socket = None;
                        let now_ms = shared.now_ms();
                        shared.lock().core.on_disconnected(&error.to_string(), now_ms);
                    }
                }
                None => pause(&shared, wait.until).await,
            },
        }
    }
}

fn turn(shared: &Shared) -> (Option<Action>, Wait, bool) {
    let now_ms = shared.now_ms();
    let core = &mut shared.lock().core;
    core.on_time(now_ms);
    let action = core.poll_action();
    let until = core.deadline().map(|at_ms| Duration::from_millis(at_ms.saturating_sub(now_ms)));
    let wait = Wait { writes: !core.output().is_empty(), reads: core.wants_bytes(), until };
    (action, wait, core.end().is_some())
}

async fn connect(shared: &Shared, address: &str) -> Option<TcpStream> {
    let limit = turn(shared).1.until.unwrap_or_default();
    let connected = tokio::time::timeout(limit, TcpStream::connect(address)).await;
    let result = match connected {
        Ok(result) => result.and_then(|stream| stream.set_nodelay(true).map(|()| stream)),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    let now_ms = shared.now_ms();
    let core = &mut shared.lock().core;
    match result {
        Ok(stream) => {
            core.on_connected(now_ms);
            Some(stream)
        }
        Err(error) => {
            core.on_disconnected(&format!("{address}: {error}"), now_ms);
            None
        }
    }
}

/// Waits for one thing and does it.
async fn exchange(
    shared: &Shared,
    stream: &TcpStream,
    wait: &Wait,
    buffer: &mut [u8],
) -> io::Result<()> {
    tokio::select! {
        () = pause(shared, wait.until) => Ok(()),
        writable = stream.writable(), if wait.writes => writable.and_then(|()| write(shared, stream)),
        readable = stream.readable(), if wait.reads => readable.and_then(|()| read(shared, stream, buffer)),
    }
}

fn write(shared: &Shared, stream: &TcpStream) -> io::Result<()> {
    let mut state = shared.lock();
    let output = state.core.output();
    match stream.try_write(output) {
        Ok(taken) => {
            output.drain(..taken);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

fn read(shared: &Shared, stream: &TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    match stream.try_read(buffer) {
        Ok(0) => {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"))
        }
        Ok(count) => {
            let now_ms = shared.now_ms();
            shared.lock().core.on_bytes(&buffer[..count], now_ms);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

async fn pause(shared: &Shared, until: Option<Duration>) {
    let sleep = async {
        match until {
            Some(until) => tokio::time::sleep(until).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = sleep => {}
        () = shared.wished.notified() => {}
    }
}
