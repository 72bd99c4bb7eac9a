//! Who comes once: new users of both wire versions, who stay for a moment; and those who have no business here.

use crate::crowd::{APPS, greeting};
use crate::deployment::{Deployment, Secrets};
use crate::fault::{bad_login, nonsense};
use crate::random::Random;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// In a thousand of all who come.
const STRANGERS: u64 = 400;
/// At once; more are not let in by us.
const AT_ONCE_MAX: usize = 64;
/// How long a stranger stays, in milliseconds.
const STAY_MS: (u64, u64) = (0, 2_000);

/// Those who are here, and the next.
#[derive(Debug)]
pub(super) struct Strangers {
    gateways: Vec<String>,
    secrets: Secrets,
    random: Random,
    here: JoinSet<std::io::Result<()>>,
    count: u64,
}

impl Strangers {
    pub(super) fn new(deployment: &Deployment, random: Random) -> Self {
        let (gateways, secrets) = (deployment.gateways(), deployment.secrets.clone());
        Self { gateways, secrets, random, here: JoinSet::new(), count: 0 }
    }

    /// How many have come.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The next who comes may be a stranger: then he does.
    pub(super) fn may_come(&mut self) -> bool {
        // What became of those who have gone is their own affair.
        while self.here.try_join_next().is_some() {}
        let comes = self.random.permille(STRANGERS) && self.here.len() < AT_ONCE_MAX;
        if comes {
            self.count += 1;
            let says = self.greeting();
            let stay_ms = self.random.between(STAY_MS.0, STAY_MS.1);
            let gateway = self.random.pick(&self.gateways).clone();
            self.here.spawn(visit(gateway, says, Duration::from_millis(stay_ms)));
        }
        comes
    }

    /// What he says first, or nothing at all.
    fn greeting(&mut self) -> Vec<u8> {
        let user = format!("stranger-{}", self.count);
        match self.random.below(5) {
            0 => Vec::new(),
            1 => nonsense(&mut self.random),
            2 => bad_login(&mut self.random),
            3 => greeting::login_v0(APPS[0], &user, &self.secrets.token(&user)),
            _ => greeting::login(APPS[0].1, &user, "phone", &self.secrets.token(&user)),
        }
    }
}

/// Reads what comes until it is time to go, or the other side ends it. What waits unread then makes it a reset.
async fn visit(gateway: String, says: Vec<u8>, stay: Duration) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(gateway).await?;
    stream.write_all(&says).await?;
    let listening = async {
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).await? > 0 {}
        Ok(())
    };
    tokio::time::timeout(stay, listening).await.unwrap_or(Ok(()))
}
