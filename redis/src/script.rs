//! Lua scripts: a few reads and writes of one key's slot that belong together.

use crate::failure::Failure;
use crate::server::{Redis, Unanswered};
use redis::{Cmd, ErrorKind, FromRedisValue, ServerErrorKind, cmd};

/// A script that the server keeps, by its digest, once it has seen it.
pub struct Script {
    text: String,
    digest: String,
}

impl Script {
    /// A script with this text.
    pub fn new(text: &str) -> Self {
        let digest = redis::Script::new(text).get_hash().to_owned();
        Self { text: text.to_owned(), digest }
    }

    /// Runs it on keys of one slot. It may run twice.
    ///
    /// # Errors
    /// As [`Redis::call`].
    pub async fn run<T: FromRedisValue>(
        &self,
        redis: &Redis,
        keys: &[Vec<u8>],
        arguments: &[Vec<u8>],
    ) -> Result<T, Failure> {
        let known = self.command("EVALSHA", &self.digest, keys, arguments);
        let mut sent = redis.send(&known).await;
        if is_unknown(&sent) {
            let text = self.command("EVAL", &self.text, keys, arguments);
            sent = redis.send(&text).await;
        }
        redis.answer(sent)
    }

    fn command(&self, name: &str, script: &str, keys: &[Vec<u8>], arguments: &[Vec<u8>]) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(keys.len());
        keys.iter().chain(arguments).for_each(|bytes| {
            command.arg(bytes.as_slice());
        });
        command
    }
}

fn is_unknown<T>(sent: &Result<T, Unanswered>) -> bool {
    let unknown = ErrorKind::Server(ServerErrorKind::NoScript);
    matches!(sent, Err(Unanswered::Error(error)) if error.kind() == unknown)
}
