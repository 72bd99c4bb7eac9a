//! Kafka's errors as ours: whose fault, whether to try again, what to do. Values of settings are never told.

use crate::error::{Code, Error};
use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Kafka};

/// An error of a call that was to do something.
pub(super) fn failed(what: &str, error: &KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(_, _, name, _) => {
            let text = format!(
                "queue.kafka.options: librdkafka does not accept this value for {name}, or was built without it"
            );
            Error::new(Code::Invalid, text)
        }
        KafkaError::ClientCreation(_) => {
            let text = format!(
                "cannot {what}: librdkafka does not accept queue.kafka.options (a setting that is missing, that contradicts another, or that needs the feature kafka-ssl)"
            );
            Error::new(Code::Invalid, text)
        }
        _ => match error.rdkafka_error_code() {
            Some(code) => coded(what, code),
            None => Error::new(Code::Unavailable, format!("cannot {what}: {error}")),
        },
    }
}

/// An error by Kafka's code.
pub(super) fn coded(what: &str, code: Kafka) -> Error {
    let (kind, remedy) = match code {
        Kafka::MessageSizeTooLarge | Kafka::InvalidMessageSize => (
            Code::Invalid,
            "; raise queue.kafka.record_bytes_max, and max.message.bytes of the topic",
        ),
        Kafka::QueueFull => (Code::Overloaded, ""),
        Kafka::TopicAuthorizationFailed
        | Kafka::GroupAuthorizationFailed
        | Kafka::ClusterAuthorizationFailed => (
            Code::Denied,
            "; give this user the right to it, or another user in queue.kafka.options",
        ),
        Kafka::SaslAuthenticationFailed | Kafka::Authentication => {
            (Code::Denied, "; correct the user and password in queue.kafka.options")
        }
        Kafka::InvalidReplicationFactor => (
            Code::Unavailable,
            "; there are fewer brokers than queue.kafka.replicas: start them, or lower it",
        ),
        Kafka::NotEnoughReplicas | Kafka::NotEnoughReplicasAfterAppend => {
            (Code::Unavailable, "; start the brokers that are missing")
        }
        Kafka::BrokerTransportFailure
        | Kafka::AllBrokersDown
        | Kafka::Resolve
        | Kafka::MessageTimedOut
        | Kafka::OperationTimedOut => (
            Code::Unavailable,
            "; no broker of queue.url answers: start them, or correct the address",
        ),
        Kafka::Fenced | Kafka::FencedInstanceId => (
            Code::Conflict,
            "; another process runs under the same logic.name: give each its own, and start this one again",
        ),
        _ => (Code::Unavailable, ""),
    };
    Error::new(kind, format!("cannot {what}: {code}{remedy}"))
}

/// Passes librdkafka's log on, and remembers what it last complained about.
#[derive(Default)]
pub(super) struct Quiet {
    complaint: Mutex<Option<String>>,
}

impl Quiet {
    /// An error with the reason that librdkafka had for it, if it gave one since the last time.
    pub(super) fn explain(&self, mut error: Error) -> Error {
        if let Some(complaint) = self.complaint.lock().take() {
            error.text = format!("{} ({complaint})", error.text);
        }
        error
    }
}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka");
        // That all are down says less than why one is.
        if error.rdkafka_error_code() != Some(Kafka::AllBrokersDown) {
            *self.complaint.lock() = Some(reason.to_owned());
        }
    }
}

impl rdkafka::consumer::ConsumerContext for Quiet {}

/// What librdkafka takes for errors it mends itself, time and again: whoever waits for it is told by the call's own end.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, message, "kafka");
        }
        _ => tracing::debug!(facility, message, "kafka"),
    }
}
