//! A queue that a message role holds.

use super::{Consumer, Queue};
use crate::error::{Code, Error, Result};
use crate::message::connection::{Authorized, Connection, call, failure};
use crate::message::{MESSAGE_BYTES_MAX, calls};
use async_trait::async_trait;
use gpusher_proto::data::consume_answer::Kind as Answer;
use gpusher_proto::data::consume_request::Kind as Ask;
use gpusher_proto::data::queue_client::QueueClient;
use gpusher_proto::data::*;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

/// For the other side to confirm that a consumer's group is free again.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the message role.
pub struct RemoteQueue {
    client: QueueClient<Authorized>,
    /// Streams of dropped consumers that are not quite closed, per group.
    closing: Closing,
}

type Closing = Arc<Mutex<HashMap<String, JoinHandle<()>>>>;

impl RemoteQueue {
    /// The queue behind a connection.
    pub fn new(connection: &Connection) -> Self {
        let client = QueueClient::new(connection.channel())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self { client, closing: Closing::default() }
    }
}

#[async_trait]
impl Queue for RemoteQueue {
    async fn publish(&self, records: Vec<Record>) -> Result<()> {
        for records in calls(records) {
            call!(self.client, publish, Records { records, took_over: false })?;
        }
        Ok(())
    }

    async fn consume(&self, group: &str) -> Result<Box<dyn Consumer>> {
        let mut consumer = RemoteConsumer {
            client: self.client.clone(),
            closing: self.closing.clone(),
            group: group.to_owned(),
            stream: None,
            waiting: VecDeque::new(),
            handed_out: 0,
            took_over: false,
        };
        consumer.open().await?;
        Ok(Box::new(consumer))
    }

    async fn depth(&self, group: &str) -> Result<u64> {
        Ok(call!(self.client, depth, GroupKey { group: group.to_owned() })?.records)
    }
}

/// A consumer on a stream. When that breaks, the call under way fails, and the next one opens another: records that were
/// handed out and not committed are not handed out twice by the same consumer.
struct RemoteConsumer {
    client: QueueClient<Authorized>,
    closing: Closing,
    group: String,
    stream: Option<Stream>,
    /// Received, not handed out.
    waiting: VecDeque<Record>,
    /// The highest offset handed out.
    handed_out: u64,
    /// The other side's consumer has taken over what others of the group had.
    took_over: bool,
}

struct Stream {
    asks: mpsc::UnboundedSender<ConsumeRequest>,
    answers: Streaming<ConsumeAnswer>,
    /// Records asked for and not received.
    credit: usize,
    /// The highest offset received on this stream.
    received: u64,
    /// Commits that were not answered, because their caller went away.
    commits: usize,
}

impl Stream {
    /// The other end is told as long as it listens; that it does not shows when an answer is waited for.
    fn ask(&self, ask: Ask) {
        let _ = self.asks.send(ConsumeRequest { kind: Some(ask) });
    }

    fn ask_for(&mut self, records: usize) {
        let records = u32::try_from(records.saturating_sub(self.credit)).unwrap_or(u32::MAX);
        if records > 0 {
            self.ask(Ask::More(records));
            self.credit += records as usize;
        }
    }
}

impl RemoteConsumer {
    async fn open(&mut self) -> Result<&mut Stream> {
        if self.stream.is_none() {
            let closing = self.closing.lock().remove(&self.group);
            if let Some(closing) = closing {
                // It cannot fail but by panicking, and then the group's fate is told by the call below.
                let _ = closing.await;
            }
            let (asks, requests) = mpsc::unbounded_channel();
            let open = Ask::Open(GroupKey { group: self.group.clone() });
            let _ = asks.send(ConsumeRequest { kind: Some(open) });
            let answers = call!(self.client, consume, UnboundedReceiverStream::new(requests))?;
            self.stream = Some(Stream { asks, answers, credit: 0, received: 0, commits: 0 });
        }
        self.stream.as_mut().ok_or_else(broken)
    }

    /// Waits for one answer. Records are put by, the result of a commit is returned.
    async fn receive(&mut self) -> Result<Option<Committed>> {
        let stream = self.stream.as_mut().ok_or_else(broken)?;
        let answer = match stream.answers.message().await {
            Ok(Some(answer)) => answer,
            end => {
                self.stream = None;
                return Err(end.err().map_or_else(broken, failure));
            }
        };
        match answer.kind {
            Some(Answer::Committed(committed)) => {
                stream.commits = stream.commits.saturating_sub(1);
                return Ok(Some(committed));
            }
            Some(Answer::Records(Records { records, took_over })) => {
                self.took_over |= took_over;
                stream.credit = stream.credit.saturating_sub(records.len());
                stream.received = records.last().map_or(stream.received, |last| last.offset);
                let known = self.waiting.back().map_or(self.handed_out, |last| last.offset);
                self.waiting.extend(records.into_iter().filter(|record| record.offset > known));
            }
            None => {}
        }
        Ok(None)
    }
}

impl RemoteConsumer {
    async fn commit_once(&mut self, offset: u64) -> Result<()> {
        let stream = self.open().await?;
        stream.ask(Ask::Commit(offset));
        stream.commits += 1;
        loop {
            let Some(committed) = self.receive().await? else { continue };
            if self.stream.as_ref().is_some_and(|stream| stream.commits > 0) {
                continue;
            }
            if committed.code == 0 {
                return Ok(());
            }
            let code = Code::from_grpc(tonic::Code::from_i32(committed.code));
            return Err(Error::new(code, committed.text));
        }
    }

    /// After the stream broke, the other side has to come again to where it was before it takes the position.
    async fn catch_up(&mut self, offset: u64) -> Result<()> {
        while self.open().await?.received < offset {
            self.open().await?.ask_for(1);
            self.receive().await?;
        }
        Ok(())
    }
}

fn broken() -> Error {
    Error::new(Code::Unavailable, "the stream from the message service ended")
}

#[async_trait]
impl Consumer for RemoteConsumer {
    async fn next(&mut self, limit: usize) -> Result<Vec<Record>> {
        while self.waiting.is_empty() {
            self.open().await?.ask_for(limit.max(1));
            self.receive().await?;
        }
        let records: Vec<Record> = self.waiting.drain(..limit.min(self.waiting.len())).collect();
        self.handed_out = records.last().map_or(self.handed_out, |last| last.offset);
        Ok(records)
    }

    fn took_over(&mut self) -> bool {
        std::mem::take(&mut self.took_over)
    }

    async fn commit(&mut self, offset: u64) -> Result<()> {
        // What waits here was read over there, but not by the caller.
        if offset > self.handed_out {
            return Err(Error::new(Code::Invalid, "a position that was not read yet"));
        }
        match self.commit_once(offset).await {
            Err(error) if error.code == Code::Invalid => self.catch_up(offset).await?,
            committed => return committed,
        }
        self.commit_once(offset).await
    }
}

impl Drop for RemoteConsumer {
    /// Ends the stream, and lets the next consumer of the group wait until the other side has noticed.
    fn drop(&mut self) {
        let Some(Stream { asks, mut answers, .. }) = self.stream.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        drop(asks);
        let ended = async move { while let Ok(Some(_)) = answers.message().await {} };
        let closing = runtime.spawn(async move {
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, ended).await;
        });
        self.closing.lock().insert(self.group.clone(), closing);
    }
}
