//! The face for threads: one thread reads and keeps time, any thread takes events and sends.

use crate::core::{Action, Config, Core, Event, Outcome, Positions};
use crate::error::Error;
use gpusher_proto::wire::Target;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A thread that waits in a read cannot be told of an earlier deadline; it looks up this often.
const READ_TIMEOUT: Duration = Duration::from_millis(100);
/// A server that takes nothing for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 64 << 10;

/// A client that keeps itself connected until it is closed or dropped. May be shared by threads; events go to one of those who wait.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    started: Instant,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    core: Core,
    answers: HashMap<u64, Outcome>,
    socket: Option<TcpStream>,
}

impl Client {
    /// Starts a client. It connects in the background: [`Event::Online`] says when it has.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(config: Config, positions: Positions) -> io::Result<Self> {
        let seed = RandomState::new().build_hasher().finish();
        let core = Core::new(config, positions, seed);
        let state = State { core, answers: HashMap::new(), socket: None };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            started: Instant::now(),
            changed: Condvar::new(),
        });
        let for_reader = Arc::clone(&shared);
        let reader = std::thread::Builder::new().name("gpusher-client".into());
        let reader = reader.spawn(move || drive(&for_reader))?;
        Ok(Self { shared, reader: Some(reader) })
    }

    /// Waits for the next event; none after [`Event::Ended`]. Asking says that the message before is done with: a kept one is then
    /// acknowledged.
    pub fn next(&self) -> Option<Event> {
        self.next_before(None)
    }

    /// As [`Self::next`], but none also when the time is over.
    pub fn next_timeout(&self, timeout: Duration) -> Option<Event> {
        self.next_before(Some(Instant::now() + timeout))
    }

    fn next_before(&self, until: Option<Instant>) -> Option<Event> {
        let mut state = self.shared.lock();
        loop {
            let now_ms = self.shared.now_ms();
            let event = state.core.poll_event(now_ms);
            self.shared.changed.notify_all();
            if event.is_some() || state.core.end().is_some() {
                return event;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return None;
            }
            state = self.shared.wait(state, left);
        }
    }

    /// Sends a message and returns its id. `name` is the user or topic; empty for the application.
    ///
    /// # Errors
    /// See [`Error`]. After `Unanswered` it may or may not have been sent.
    pub fn send(&self, target: Target, name: &str, content: &[u8]) -> Result<u64, Error> {
        self.request(|core, now_ms| core.send(target, name, content, now_ms))
    }

    /// Joins a topic, now and after every reconnect; returns the topic's last sequence. `since`: kept messages after that one come first.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn join(&self, topic: &str, since: Option<u64>) -> Result<u64, Error> {
        self.request(|core, now_ms| core.join(topic, since, now_ms))
    }

    /// Leaves a topic.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn leave(&self, topic: &str) -> Result<(), Error> {
        self.request(|core, now_ms| core.leave(topic, now_ms)).map(drop)
    }

    /// How far the application is with kept messages: to be kept for the next run.
    pub fn positions(&self) -> Positions {
        self.shared.lock().core.positions()
    }

    /// A token to log in with from now on, after [`Event::TokenNeeded`] or before.
    pub fn set_token(&self, token: String) {
        let now_ms = self.shared.now_ms();
        self.shared.lock().core.set_token(token, now_ms);
        self.shared.changed.notify_all();
    }

    /// Acknowledges what was taken, says good-bye and closes. Returns the last positions.
    pub fn close(mut self) -> Positions {
        self.end();
        self.positions()
    }

    fn request(
        &self,
        ask: impl FnOnce(&mut Core, u64) -> Result<u64, Error>,
    ) -> Result<u64, Error> {
        let mut state = self.shared.lock();
        let request = ask(&mut state.core, self.shared.now_ms())?;
        self.shared.flush(&mut state);
        loop {
            match state.answers.remove(&request) {
                Some(Outcome::Done(value)) => return Ok(value),
                Some(Outcome::Refused(code)) => return Err(Error::Refused(code)),
                Some(Outcome::Unanswered) => return Err(Error::Unanswered),
                None => state = self.shared.wait(state, None),
            }
        }
    }

    fn end(&mut self) {
        let mut state = self.shared.lock();
        state.core.close(self.shared.now_ms());
        self.shared.flush(&mut state);
        drop(state);
        self.shared.changed.notify_all();
        if let Some(reader) = self.reader.take() {
            // A reader that panicked has nothing more to say.
            let _panicked = reader.join();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.reader.is_some() {
            self.end();
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

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        match limit {
            Some(limit) => {
                let waited = self.changed.wait_timeout(state, limit);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Writes what waits. Whoever made it writes it, so nothing waits for the reader to look up.
    fn flush(&self, state: &mut State) {
        let State { core, socket, .. } = state;
        let Some(stream) = socket else { return };
        if core.output().is_empty() {
            return;
        }
        let result = stream.write_all(core.output());
        core.output().clear();
        if let Err(error) = result {
            *socket = None;
            core.on_disconnected(&error.to_string(), self.now_ms());
        }
    }

    /// Collects answers and wakes whoever waits for something.
    fn spread(&self, state: &mut State) {
        while let Some((request, outcome)) = state.core.poll_answer() {
            state.answers.insert(request, outcome);
        }
        self.changed.notify_all();
    }
}

fn drive(shared: &Shared) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let mut state = shared.lock();
        state.core.on_time(shared.now_ms());
        shared.flush(&mut state);
        let action = state.core.poll_action();
        shared.spread(&mut state);
        match action {
            Some(Action::Disconnect) => state.socket = None,
            Some(Action::Connect(address)) => connect(shared, state, &address),
            None if state.core.end().is_some() => return,
            None => read_or_wait(shared, state, &mut buffer),
        }
    }
}

fn connect(shared: &Shared, state: MutexGuard<'_, State>, address: &str) {
    let now_ms = shared.now_ms();
    let limit = state.core.deadline().unwrap_or(now_ms).saturating_sub(now_ms).max(1);
    drop(state);
    let result = open(address, Duration::from_millis(limit));
    let mut state = shared.lock();
    match result {
        Ok(stream) => {
            state.socket = Some(stream);
            state.core.on_connected(shared.now_ms());
        }
        Err(error) => state.core.on_disconnected(&format!("{address}: {error}"), shared.now_ms()),
    }
}

fn open(address: &str, limit: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(READ_TIMEOUT))?;
                stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn read_or_wait(shared: &Shared, state: MutexGuard<'_, State>, buffer: &mut [u8]) {
    let readable = match &state.socket {
        Some(stream) if state.core.wants_bytes() => stream.try_clone().ok(),
        _ => None,
    };
    let Some(mut stream) = readable else {
        let now_ms = shared.now_ms();
        let until_ms = state.core.deadline().unwrap_or(now_ms + 60_000);
        let limit = Duration::from_millis(until_ms.saturating_sub(now_ms).max(1));
        drop(shared.wait(state, Some(limit)));
        return;
    };
    drop(state);
    let result = stream.read(buffer);
    let mut state = shared.lock();
    let now_ms = shared.now_ms();
    match result {
        Ok(0) => end(&mut state, "the server closed the connection", now_ms),
        Ok(count) => state.core.on_bytes(&buffer[..count], now_ms),
        Err(error) if is_pause(&error) => {}
        Err(error) => end(&mut state, &error.to_string(), now_ms),
    }
}

fn end(state: &mut State, reason: &str, now_ms: u64) {
    state.socket = None;
    state.core.on_disconnected(reason, now_ms);
}

fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
