//! The `Queue` service over any queue.

use super::calls;
use crate::error::{Code, Error};
use crate::queue::{Consumer, Queue};
use gpusher_proto::data::*;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// Records read from the queue at once, whatever credit there is.
const READ_MAX: usize = 4096;
/// Credit that a consumer can have.
const CREDIT_MAX: usize = 1 << 20;

pub(super) struct QueueService {
    pub(super) queue: Arc<dyn Queue>,
    /// Lets consumers go, so that the server can stop.
    pub(super) stop: CancellationToken,
}

type Answers = mpsc::Sender<Result<ConsumeAnswer, Status>>;

#[tonic::async_trait]
impl queue_server::Queue for QueueService {
    type ConsumeStream = ReceiverStream<Result<ConsumeAnswer, Status>>;

    async fn publish(&self, request: Request<Records>) -> Result<Response<Nothing>, Status> {
        self.queue.publish(request.into_inner().records).await?;
        Ok(Response::new(Nothing {}))
    }

    async fn consume(
        &self,
        request: Request<Streaming<ConsumeRequest>>,
    ) -> Result<Response<Self::ConsumeStream>, Status> {
        let mut asks = request.into_inner();
        let first = asks.message().await?.and_then(|ask| ask.kind);
        let Some(consume_request::Kind::Open(open)) = first else {
            return Err(Error::new(Code::Invalid, "a consumer opens its group first").into());
        };
        let consumer = self.queue.consume(&open.group).await?;
        let (answers, stream) = mpsc::channel(1);
        let feed = Feed { consumer, answers, credit: 0 };
        let stop = self.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = feed.run(asks) => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn depth(&self, request: Request<GroupKey>) -> Result<Response<DepthValue>, Status> {
        let records = self.queue.depth(&request.into_inner().group).await?;
        Ok(Response::new(DepthValue { records }))
    }
}

/// One remote consumer. It ends, and its group is free, when its caller has gone or the queue fails.
struct Feed {
    consumer: Box<dyn Consumer>,
    answers: Answers,
    /// Records that may be sent.
    credit: usize,
}

/// The caller is gone.
struct Gone;

impl Feed {
    async fn run(mut self, mut asks: Streaming<ConsumeRequest>) {
        while self.step(&mut asks).await.is_ok() {}
    }

    async fn step(&mut self, asks: &mut Streaming<ConsumeRequest>) -> Result<(), Gone> {
        tokio::select! {
            // Commits and the end of the caller go before more work for it.
            biased;
            ask = asks.message() => {
                let ask = ask.ok().flatten().ok_or(Gone)?;
                self.on_ask(ask).await
            }
            () = self.answers.closed() => Err(Gone),
            read = self.consumer.next(self.credit.min(READ_MAX)), if self.credit > 0 => {
                match read {
                    Ok(records) => self.send_records(records).await,
                    Err(error) => self.send(Err(error.into())).await.and(Err(Gone)),
                }
            }
        }
    }

    async fn on_ask(&mut self, ask: ConsumeRequest) -> Result<(), Gone> {
        match ask.kind {
            Some(consume_request::Kind::More(records)) => {
                self.credit = self.credit.saturating_add(records as usize).min(CREDIT_MAX);
                Ok(())
            }
            Some(consume_request::Kind::Commit(offset)) => {
                let committed = match self.consumer.commit(offset).await {
                    Ok(()) => Committed::default(),
                    Err(error) => Committed { code: error.code.grpc().into(), text: error.text },
                };
                let kind = consume_answer::Kind::Committed(committed);
                self.send(Ok(ConsumeAnswer { kind: Some(kind) })).await
            }
            Some(consume_request::Kind::Open(_)) | None => {
                let error = Error::new(Code::Invalid, "a consumer opens one group, once");
                self.send(Err(error.into())).await.and(Err(Gone))
            }
        }
    }

    async fn send_records(&mut self, records: Vec<Record>) -> Result<(), Gone> {
        self.credit -= records.len().min(self.credit);
        let mut took_over = self.consumer.took_over();
        for records in calls(records) {
            let took_over = std::mem::take(&mut took_over);
            let kind = consume_answer::Kind::Records(Records { records, took_over });
            self.send(Ok(ConsumeAnswer { kind: Some(kind) })).await?;
        }
        Ok(())
    }

    async fn send(&mut self, answer: Result<ConsumeAnswer, Status>) -> Result<(), Gone> {
        self.answers.send(answer).await.map_err(|_| Gone)
    }
}
