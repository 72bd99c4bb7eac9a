//! What the operator decides about the web role: limits, keys, times.

use std::time::Duration;

/// Settings of the web role. Every limit answers with an error of the envelope when it is hit.
#[derive(Debug, Clone)]
pub struct Config {
    /// No API key is asked for and any user gets a token. Only ever on loopback.
    pub development: bool,
    /// Keys that open what changes or reveals something. None outside development: nobody gets in.
    pub api_keys: Vec<String>,
    /// Content of one push after base64.
    pub content_bytes_max: usize,
    /// Receivers of one push of type 5.
    pub users_max: usize,
    /// Pushes in one batch.
    pub batch_max: usize,
    /// Body of a batch. Other bodies may be as long as one push of the largest content.
    pub batch_bytes_max: usize,
    /// Requests being answered at a time; more get 503.
    pub requests_max: usize,
    /// HTTP connections held at a time; more wait in the listener's backlog.
    pub connections_max: usize,
    /// From the end of a request's head to the start of its answer.
    pub request_timeout: Duration,
    /// For the head of a request, and for how long an idle connection is kept.
    pub head_timeout: Duration,
    /// What the answers remembered under an `Idempotency-Key` may take.
    pub idempotency_bytes_max: u64,
    /// For how long they are remembered.
    pub idempotency_ttl: Duration,
    /// Newest pushes that are known to be accepted before logic has counted anything of them.
    pub pushes_remembered_max: usize,
    /// Password checks at a time; each takes 19 MiB and tens of milliseconds.
    pub password_checks_max: usize,
    /// Wrong passwords of one user within a minute before more are refused with 429.
    pub password_failures_max: u32,
    /// Event streams at a time.
    pub streams_max: usize,
    /// How often an event stream that is up to date looks for more.
    pub stream_poll: Duration,
    /// How long the app table is trusted. An app deleted by another process is accepted for that long.
    pub apps_max_age: Duration,
    /// Group whose backlog `/v1/system` shows: that of logic.
    pub queue_group: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            development: false,
            api_keys: Vec::new(),
            content_bytes_max: 1 << 20,
            users_max: 10_000,
            batch_max: 10_000,
            batch_bytes_max: 16 << 20,
            requests_max: 4_096,
            connections_max: 8_192,
            request_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(75),
            idempotency_bytes_max: 64 << 20,
            idempotency_ttl: Duration::from_secs(3_600),
            pushes_remembered_max: 131_072,
            password_checks_max: 4,
            password_failures_max: 20,
            streams_max: 256,
            stream_poll: Duration::from_millis(200),
            apps_max_age: Duration::from_secs(5),
            queue_group: "logic".into(),
        }
    }
}

impl Config {
    /// The longest body of anything but a batch: base64 grows by a third, JSON escapes at most sixfold for
    /// control characters, which nobody sends by the megabyte; users take their length and four bytes.
    pub(super) fn body_bytes_max(&self) -> usize {
        self.content_bytes_max * 2 + self.users_max * (super::limits::NAME_BYTES_MAX + 4) + 4_096
    }
}
