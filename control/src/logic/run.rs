//! An instance of logic: the task that owns the core, and the handle to it.

use super::apps::{read_apps, watch_apps};
use super::consume::{Taken, consume};
use super::core::work::{Done, Lane};
use super::core::{Core, LinkKey, Now};
use super::counters::Counters;
use super::data::Data;
use super::follow::{Streams, follow};
use super::limits::Limits;
use super::link::{End, Socket, Up, drive};
use super::perform;
use crate::error::{Code, Error, Result};
use crate::message_id::MessageIds;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use gpusher_discovery::Services;
use gpusher_gateway::link::{LinkEnd, LinkEnds};
use gpusher_proto::gateway::{App, Attach, Batch, Report, ToGateway, to_gateway};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Reports on their way from all links.
const INPUTS: usize = 256;
/// Inputs taken before commands go out.
const INPUTS_PER_TURN: usize = 64;
const TICK: Duration = Duration::from_millis(50);
/// At the end, what is known is written; this long at most.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// Who this instance is among those that share the work.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Names of all, this one among them.
    pub peers: Vec<String>,
}

/// Where the time comes from: the system's clocks, or a test's.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// What streams and tasks tell the core.
#[derive(Debug)]
pub(super) enum Input {
    /// A gateway said hello.
    Up(Up),
    /// It reports.
    Report(LinkKey, Report),
    /// It gives credit.
    Credit(LinkKey, u32),
    /// Its stream ended.
    Down(LinkKey, End),
}

/// A running instance. Stop the gateways first: what their last reports say is then written, too.
pub struct Logic {
    socket: Socket,
    identity: Identity,
    epoch: u64,
    next_link: Arc<AtomicU64>,
    expected: Arc<AtomicUsize>,
    apps: watch::Receiver<Vec<App>>,
    refresh: watch::Sender<()>,
    counters: Arc<Counters>,
    /// The core's task and the queue's; none once they have been waited for.
    tasks: Vec<JoinHandle<()>>,
}

impl Logic {
    /// Starts an instance; waits for the store to answer. `clock`: the system's, unless given.
    pub async fn start(
        data: Data,
        limits: Limits,
        identity: Identity,
        ids: Arc<MessageIds>,
        clock: Option<Clock>,
    ) -> Self {
        let clock = clock.unwrap_or_else(system_clock);
        let epoch = data.persist("epoch", || data.store.epoch()).await;
        let (apps_sender, apps) = watch::channel(read_apps(&data).await);
        let (refresh, refreshed) = watch::channel(());
        tokio::spawn(watch_apps(data.clone(), apps_sender, refreshed));
        let (inputs, received) = mpsc::channel(INPUTS);
        let (records_sender, records) = mpsc::channel(1);
        let (commits, committed) = watch::channel(None);
        let batch_records = limits.batch_records;
        let consumer =
            tokio::spawn(consume(data.clone(), batch_records, records_sender, committed));
        let socket = Socket { inputs, stop: CancellationToken::new() };
        let expected = Arc::new(AtomicUsize::new(0));
        let alone = identity.peers.len() <= 1;
        let counters = data.counters.clone();
        let start_wait = Duration::from_millis(limits.start_wait_ms);
        let runner = Runner {
            core: Core::new(limits, counters.clone(), ids, epoch, alone),
            data,
            clock: clock.clone(),
            inputs: received,
            records,
            commits,
            apps: apps.clone(),
            links: FxHashMap::default(),
            works: FuturesUnordered::new(),
            stop: socket.stop.clone(),
            expected: expected.clone(),
            read_from: Instant::now() + start_wait,
            reading: false,
            complete: false,
        };
        Self {
            socket,
            identity,
            epoch: clock().unix_ms as u64,
            next_link: Arc::new(AtomicU64::new(1)),
            expected,
            apps,
            refresh,
            counters,
            tasks: vec![tokio::spawn(runner.run()), consumer],
        }
    }

    /// Attaches a gateway in this process by its ends of the link.
    pub fn attach_gateway(&self, ends: LinkEnds) -> JoinHandle<()> {
        self.expected.fetch_add(1, Relaxed);
        let (socket, mut attach) = (self.socket.clone(), self.attach_maker());
        tokio::spawn(async move {
            let LinkEnds { to, from, end } = ends;
            let (key, attach) = attach();
            // The reason is set before the channel closes.
            let broken = stream::iter([()]).filter_map(move |()| {
                let why = end.get().filter(|why| *why != LinkEnd::Shutdown);
                std::future::ready(why.map(|why| Err(Status::aborted(why.to_string()))))
            });
            if to.send(attach).await.is_ok() {
                drive(&socket, key, to, ReceiverStream::new(from).map(Ok).chain(broken)).await;
            }
        })
    }

    /// Keeps a stream to each gateway of `services`, except the one at `own`, which is attached in this process; `token` goes along as
    /// `authorization: Bearer`.
    ///
    /// # Errors
    /// `invalid` if the token cannot be sent.
    pub fn follow_gateways(
        &self,
        services: watch::Receiver<Services>,
        own: Option<String>,
        token: Option<&str>,
    ) -> Result<()> {
        let bearer = token.map(|token| format!("Bearer {token}").parse());
        let bearer = bearer.transpose().map_err(|_| {
            Error::new(Code::Invalid, "the link's token has characters that a header cannot carry")
        })?;
        let (socket, expected) = (self.socket.clone(), self.expected.clone());
        let streams = Streams::new(socket, bearer, expected, self.attach_maker());
        tokio::spawn(follow(streams, services, own));
        Ok(())
    }

    fn attach_maker(&self) -> impl FnMut() -> (LinkKey, ToGateway) + Clone + Send + use<> {
        let (apps, next) = (self.apps.clone(), self.next_link.clone());
        let (identity, epoch) = (self.identity.clone(), self.epoch);
        move || {
            let attach = Attach {
                logic: identity.name.clone(),
                epoch,
                peers: identity.peers.clone(),
                apps: apps.borrow().clone(),
            };
            let key = LinkKey(next.fetch_add(1, Relaxed));
            (key, ToGateway { kind: Some(to_gateway::Kind::Attach(attach)) })
        }
    }

    /// Reads the table of apps at once, because it has changed.
    pub fn refresh_apps(&self) {
        self.refresh.send_replace(());
    }

    /// The numbers of this instance.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Ends the instance: no more records are taken, what is known is written and committed.
    pub async fn stop(mut self) {
        self.socket.stop.cancel();
        for task in self.tasks.drain(..) {
            if let Err(error) = task.await {
                tracing::error!(%error, "logic did not end well");
            }
        }
    }
}

impl Drop for Logic {
    fn drop(&mut self) {
        self.socket.stop.cancel();
    }
}

/// The system's clocks.
fn system_clock() -> Clock {
    let begin = Instant::now();
    Arc::new(move || {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono_ms: begin.elapsed().as_millis() as u64, unix_ms: unix.as_millis() as i64 }
    })
}

/// The way out to a gateway.
struct Outlet {
    batches: mpsc::UnboundedSender<Batch>,
    cut: CancellationToken,
}

struct Runner {
    core: Core,
    data: Data,
    clock: Clock,
    inputs: mpsc::Receiver<Input>,
    records: mpsc::Receiver<Taken>,
    commits: watch::Sender<Option<u64>>,
    apps: watch::Receiver<Vec<App>>,
    links: FxHashMap<LinkKey, Outlet>,
    /// In this task rather than in their own: most of them never wait, and a task costs more than they do.
    works: FuturesUnordered<BoxFuture<'static, Done>>,
    stop: CancellationToken,
    expected: Arc<AtomicUsize>,
    read_from: Instant,
    reading: bool,
    complete: bool,
}

impl Runner {
    async fn run(mut self) {
        self.core.on_apps(self.apps.borrow_and_update().clone());
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let room = self.may_read() && self.core.has_room();
            tokio::select! {
                Some(input) = self.inputs.recv() => self.on_inputs(input),
                Some(done) = self.works.next() => self.on_done(done),
                Some(Taken { records, took_over }) = self.records.recv(), if room => {
                    self.core.set_time((self.clock)());
                    if took_over {
                        self.core.on_took_over();
                    }
                    self.core.on_records(records);
                }
                Ok(()) = self.apps.changed() => {
                    let apps = self.apps.borrow_and_update().clone();
                    self.core.on_apps(apps);
                }
                _ = tick.tick() => {
                    self.core.set_time((self.clock)());
                    self.core.on_tick();
                }
                () = self.stop.cancelled() => break,
            }
            self.pump();
        }
        if tokio::time::timeout(FLUSH_TIMEOUT, self.flush()).await.is_err() {
            tracing::warn!("not everything was written at the end; cursors are behind");
        }
    }

    /// At start, live messages would miss gateways that are not linked yet.
    fn may_read(&mut self) -> bool {
        let expected = self.expected.load(Relaxed);
        let complete = expected > 0 && self.core.links_announced() >= expected;
        if complete && !self.complete {
            self.complete = true;
            self.core.on_all_announced();
        }
        self.reading |= complete || Instant::now() >= self.read_from;
        self.reading
    }

    fn on_inputs(&mut self, first: Input) {
        self.core.set_time((self.clock)());
        self.on_input(first);
        for _ in 1..INPUTS_PER_TURN {
            let Ok(input) = self.inputs.try_recv() else { break };
            self.on_input(input);
        }
    }

    fn on_input(&mut self, input: Input) {
        match input {
            Input::Up(up) => {
                self.links.insert(up.key, Outlet { batches: up.batches, cut: up.cut });
                self.core.on_link_up(up.key, &up.hello);
            }
            Input::Report(key, report) => self.core.on_report(key, report),
            Input::Credit(key, commands) => self.core.on_credit(key, commands),
            Input::Down(key, end) => {
                self.links.remove(&key);
                self.core.on_link_down(key, end == End::Closed);
            }
        }
    }

    fn on_done(&mut self, done: Done) {
        self.core.set_time((self.clock)());
        self.core.on_done(done);
    }

    /// Lets out what the core has to say.
    fn pump(&mut self) {
        for lane in Lane::ALL {
            while let Some(work) = self.core.take_work(lane) {
                self.works.push(perform::perform(self.data.clone(), work).boxed());
            }
        }
        for key in self.core.link_keys() {
            while let Some(batch) = self.core.take_batch(key) {
                if let Some(link) = self.links.get(&key) {
                    let _ = link.batches.send(batch);
                }
            }
        }
        for key in self.core.take_closing() {
            if let Some(link) = self.links.remove(&key) {
                link.cut.cancel();
            }
        }
        if let Some(offset) = self.core.take_commit() {
            self.commits.send_replace(Some(offset));
        }
    }

    async fn flush(&mut self) {
        self.records.close();
        while let Ok(input) = self.inputs.try_recv() {
            self.on_input(input);
        }
        loop {
            self.core.flush();
            self.pump();
            if self.core.is_flushed() {
                return;
            }
            match self.works.next().await {
                Some(done) => self.on_done(done),
                None => return,
            }
        }
    }
}
