//! Publishing: bounded in records, bytes and time.

use super::failure::{coded, failed, log};
use super::layout::Placed;
use crate::error::{Code, Error, Result};
use crate::metrics::KafkaMetrics;
use crate::queue::kafka_options::KafkaOptions;
use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::oneshot;

/// Sends records to brokers.
pub(super) struct Producer {
    options: KafkaOptions,
    client: Mutex<ThreadedProducer<Context>>,
    shared: Arc<Shared>,
}

/// What all batches share.
pub(super) struct Shared {
    records: AtomicUsize,
    bytes: AtomicUsize,
    /// Brokers did not answer the last batch: until they do, one at a time is tried.
    down: AtomicBool,
    trying: AtomicBool,
    metrics: KafkaMetrics,
}

/// The records of one call. It is done when its last record is, and then tells how it went.
pub(super) struct Batch {
    left: AtomicUsize,
    outcome: Mutex<Outcome>,
    bytes: usize,
    records: usize,
    shared: Arc<Shared>,
}

struct Outcome {
    error: Option<Error>,
    done: Option<oneshot::Sender<Result<()>>>,
}

pub(super) struct Context;

impl Producer {
    /// A producer; brokers need not be there yet.
    ///
    /// # Errors
    /// `invalid` if librdkafka does not accept its settings.
    pub(super) fn new(options: KafkaOptions, metrics: KafkaMetrics) -> Result<Self> {
        let client = Mutex::new(create(&options)?);
        let shared = Arc::new(Shared {
            records: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            trying: AtomicBool::new(false),
            metrics,
        });
        Ok(Self { options, client, shared })
    }

    /// Returns once all replicas in sync have the records, or it is certain or likely that one will not be there.
    pub(super) async fn publish(&self, topic: &str, records: Vec<Placed>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let (batch, done) = self.admit(&records)?;
        let client = self.client.lock().clone();
        for Placed { partition, key, payload } in &records {
            let record = BaseRecord::with_opaque_to(topic, batch.clone());
            let record = BaseRecord { partition: *partition, ..record }
                .key(key.as_str())
                .payload(&payload[..]);
            if let Err((error, record)) = client.send(record) {
                record.delivery_opaque.on_end(Some(failed("publish to Kafka", &error)));
            }
        }
        drop(batch);
        // librdkafka ends each record within its timeout.
        done.await.unwrap_or_else(|_| Err(Error::new(Code::Unavailable, "the queue is closed")))
    }

    fn admit(&self, records: &[Placed]) -> Result<(Arc<Batch>, oneshot::Receiver<Result<()>>)> {
        let shared = &self.shared;
        let largest = records.iter().map(Placed::bytes).max().unwrap_or_default();
        if largest > self.options.record_bytes_max {
            let text =
                format!("a record of {largest} bytes is larger than queue.kafka.record_bytes_max");
            return Err(Error::new(Code::Invalid, text));
        }
        if shared.down.load(Relaxed) && shared.trying.swap(true, Relaxed) {
            shared.metrics.refused_down.inc_by(records.len() as u64);
            let text = "the queue is down: no broker of Kafka confirms records";
            return Err(Error::new(Code::Unavailable, text));
        }
        let bytes = records.iter().map(Placed::bytes).sum();
        let (waiting, waiting_bytes) = shared.take(records.len(), bytes);
        let batch = Arc::new(Batch {
            left: AtomicUsize::new(records.len()),
            outcome: Mutex::new(Outcome { error: None, done: None }),
            bytes,
            records: records.len(),
            shared: shared.clone(),
        });
        let full = waiting + records.len() > self.options.buffer_records_max
            || waiting_bytes + bytes > self.options.buffer_bytes_max;
        // One call that is larger than the buffer goes alone.
        if full && waiting > 0 {
            shared.give_back(records.len(), bytes);
            shared.trying.store(false, Relaxed);
            shared.metrics.refused_full.inc_by(records.len() as u64);
            let text =
                format!("the queue is full: {waiting} records wait for Kafka in this process");
            return Err(Error::new(Code::Overloaded, text));
        }
        let (sender, done) = oneshot::channel();
        batch.outcome.lock().done = Some(sender);
        Ok((batch, done))
    }

    /// After an error that librdkafka cannot get over, only a new client helps.
    pub(super) fn mend(&self) {
        let fatal = self.client.lock().client().fatal_error();
        let Some((code, reason)) = fatal else { return };
        match create(&self.options) {
            Ok(client) => {
                tracing::warn!(%code, reason, "kafka: the producer is opened again");
                let old = std::mem::replace(&mut *self.client.lock(), client);
                drop(old);
            }
            Err(error) => tracing::error!(%error, "kafka: the producer cannot be opened again"),
        }
    }

    /// Waits for what was accepted. Blocks.
    pub(super) fn flush(&self, timeout: Duration) {
        let client = self.client.lock().clone();
        if let Err(error) = client.flush(timeout) {
            tracing::warn!(%error, "kafka: not every record was confirmed at the end");
        }
    }
}

fn create(options: &KafkaOptions) -> Result<ThreadedProducer<Context>> {
    let created = options.producer().create_with_context(Context);
    created.map_err(|error| failed("open a Kafka producer", &error))
}

impl Placed {
    /// What it takes of the buffer, and about what it takes on the wire.
    fn bytes(&self) -> usize {
        self.key.len() + self.payload.len() + 64
    }
}

impl Shared {
    /// Takes room; what was taken before.
    fn take(&self, records: usize, bytes: usize) -> (usize, usize) {
        let before =
            (self.records.fetch_add(records, Relaxed), self.bytes.fetch_add(bytes, Relaxed));
        self.metrics.buffered.set((before.0 + records) as i64);
        before
    }

    fn give_back(&self, records: usize, bytes: usize) {
        let left = self.records.fetch_sub(records, Relaxed) - records;
        self.bytes.fetch_sub(bytes, Relaxed);
        self.metrics.buffered.set(left as i64);
    }
}

impl Batch {
    /// One record has ended.
    fn on_end(&self, error: Option<Error>) {
        let mut outcome = self.outcome.lock();
        if outcome.error.is_none() {
            outcome.error = error;
        }
        if self.left.fetch_sub(1, Relaxed) > 1 {
            return;
        }
        self.shared.give_back(self.records, self.bytes);
        let error = outcome.error.take();
        let down = error.as_ref().is_some_and(|error| error.code == Code::Unavailable);
        if self.shared.down.swap(down, Relaxed) != down {
            tracing::warn!(down, "kafka: brokers confirm records, or no longer do");
        }
        self.shared.trying.store(false, Relaxed);
        let metrics = &self.shared.metrics;
        let counter = if error.is_none() { &metrics.produced } else { &metrics.failed };
        counter.inc_by(self.records as u64);
        if let Some(done) = outcome.done.take() {
            // Who has gone away does not want to know.
            let _ = done.send(error.map_or(Ok(()), Err));
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<Batch>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Self::DeliveryOpaque) {
        let error = result.as_ref().err().map(|(error, _)| match error.rdkafka_error_code() {
            Some(code) => coded("publish to Kafka", code),
            None => failed("publish to Kafka", error),
        });
        batch.on_end(error);
    }
}
