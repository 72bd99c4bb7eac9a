//! What the server itself says of the pushes that it accepted: `GET /v1/push/{id}` of each, added up.

use crate::protocol::Answers;
use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// For acknowledgements to come, be counted and be written, from when the receivers have everything.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// One answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 16 << 10;

/// All receipts of a phase together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Receipts {
    /// Pushes asked for.
    pub pushes: u64,
    /// Of them, those that the server does not know.
    pub unknown: u64,
    /// Receivers whose socket took the message, at once or from their outbox.
    pub taken: u64,
    /// Receivers that acknowledged it.
    pub acknowledged: u64,
    /// What one of these has to be.
    pub due: u64,
    /// Whether it is the acknowledgements; else what sockets took.
    pub acknowledges: bool,
}

impl Receipts {
    /// Every push is known, and for every receiver there is one receipt.
    pub fn add_up(&self) -> bool {
        let said = if self.acknowledges { self.acknowledged } else { self.taken };
        self.unknown == 0 && said == self.due
    }
}

/// Whom to ask.
#[derive(Debug)]
pub struct Office<'a> {
    /// Where pushes were taken.
    pub server: SocketAddrV4,
    /// For it.
    pub api_key: Option<&'a str>,
}

impl Office<'_> {
    /// Asks for all pushes, again and again until their receipts add up or half a minute is over.
    ///
    /// # Errors
    /// If the server does not answer as it should.
    pub fn ask(&self, ids: &[u64], due: u64, acknowledges: bool) -> Result<Receipts> {
        let deadline = Instant::now() + PATIENCE;
        let mut stream = TcpStream::connect(self.server).context("cannot ask for receipts")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
        loop {
            let mut sum = Receipts { due, acknowledges, ..Receipts::default() };
            for id in ids {
                sum.pushes += 1;
                match self.counters(&mut stream, *id)? {
                    Some(counters) => {
                        sum.taken += counters.written + counters.queued;
                        sum.acknowledged += counters.acked;
                    }
                    None => sum.unknown += 1,
                }
            }
            if sum.add_up() || Instant::now() > deadline {
                return Ok(sum);
            }
            thread::sleep(PAUSE);
        }
    }

    fn counters(&self, stream: &mut TcpStream, id: u64) -> Result<Option<Counters>> {
        let key = self.api_key.map(|key| format!("Authorization: Bearer {key}\r\n"));
        let (host, key) = (self.server, key.unwrap_or_default());
        write!(stream, "GET /v1/push/{id} HTTP/1.1\r\nHost: {host}\r\n{key}\r\n")?;
        let mut bytes = Vec::new();
        loop {
            let mut answers = Answers::new(&bytes);
            let answer = answers.next_answer().map_err(|_| anyhow!("no HTTP answer"))?;
            match answer {
                Some(answer) if answer.status == 404 => return Ok(None),
                Some(answer) if answer.is_success() => {
                    let envelope = serde_json::from_slice::<Envelope>(answer.body);
                    return Ok(Some(envelope.context("a receipt")?.data.counters));
                }
                Some(answer) => bail!("receipt of push {id}: status {}", answer.status),
                None => read_more(stream, &mut bytes)?,
            }
        }
    }
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<()> {
    let before = bytes.len();
    bytes.resize(before + READ_BYTES, 0);
    let count = stream.read(&mut bytes[before..]).or_else(|error| match error.kind() {
        ErrorKind::Interrupted => Ok(usize::MAX),
        _ => Err(error),
    })?;
    if count == 0 {
        bail!("the server ended the connection that asks for receipts");
    }
    bytes.truncate(if count == usize::MAX { before } else { before + count });
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    data: Status,
}

#[derive(Deserialize)]
struct Status {
    counters: Counters,
}

#[derive(Deserialize)]
struct Counters {
    written: u64,
    queued: u64,
    acked: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_receipt_too_few_or_too_many_does_not_add_up() {
        let taken = |taken| Receipts { pushes: 2, taken, due: 60, ..Receipts::default() };
        assert!(taken(60).add_up());
        assert!(!taken(59).add_up() && !taken(61).add_up());
        let kept = Receipts { acknowledges: true, acknowledged: 59, ..taken(60) };
        assert!(!kept.add_up() && Receipts { acknowledged: 60, ..kept }.add_up());
        assert!(!Receipts { unknown: 1, ..taken(60) }.add_up());
    }
}
