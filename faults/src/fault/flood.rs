//! Harm from strangers: nonsense, connections that never log in, logins that are refused.

use crate::crowd::{APPS, greeting};
use crate::random::Random;
use crate::stage::Stage;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Strangers at a time.
const STRANGERS: usize = 64;
/// Connections that are held without a login: far below the descriptors that a process has.
const SILENT: usize = 3_000;
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// What a stranger sends.
#[derive(Clone, Copy)]
enum Message {
    Nonsense,
    BadLogin,
}

/// Random bytes, broken frames, announced lengths that do not come.
pub(super) async fn garbage(stage: &Stage, hold: Duration, random: &mut Random) {
    strangers(stage, hold, random, Message::Nonsense).await;
}

/// Logins with tokens that are no good.
pub(super) async fn logins(stage: &Stage, hold: Duration, random: &mut Random) {
    strangers(stage, hold, random, Message::BadLogin).await;
}

/// Connections that say nothing.
pub(super) async fn connections(stage: &Stage, hold: Duration, random: &mut Random) {
    let gateways = stage.deployment.gateways();
    let until = Instant::now() + hold;
    let mut held = Vec::new();
    while held.len() < SILENT && Instant::now() < until {
        let gateway = random.pick(&gateways);
        match tokio::time::timeout(ANSWER_TIMEOUT, TcpStream::connect(gateway)).await {
            Ok(Ok(stream)) => held.push(stream),
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    tokio::time::sleep_until(until).await;
}

async fn strangers(stage: &Stage, hold: Duration, random: &mut Random, message: Message) {
    let gateways = stage.deployment.gateways();
    let until = Instant::now() + hold;
    let mut tasks = JoinSet::new();
    for _ in 0..STRANGERS {
        let (gateway, mut random) = (random.pick(&gateways).clone(), random.fork());
        tasks.spawn(async move {
            while Instant::now() < until {
                let bytes = match message {
                    Message::Nonsense => nonsense(&mut random),
                    Message::BadLogin => bad_login(&mut random),
                };
                // Refused, reset or answered: all the same to a stranger.
                let _ = tokio::time::timeout(ANSWER_TIMEOUT, say(&gateway, &bytes)).await;
            }
        });
    }
    tasks.join_all().await;
}

/// Says something, and waits for the end.
async fn say(gateway: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(gateway).await?;
    stream.write_all(bytes).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map(drop)
}

/// Half of it begins as a frame does, so that it gets further.
pub(crate) fn nonsense(random: &mut Random) -> Vec<u8> {
    let length = random.between(1, 4_096) as usize;
    let mut bytes: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
    if random.permille(500) {
        let start = [0x45, random.below(3) as u8, random.below(10) as u8];
        bytes.splice(0..1, start);
    }
    bytes
}

/// A login with a token that is no good.
pub(crate) fn bad_login(random: &mut Random) -> Vec<u8> {
    let user = format!("user-{}", random.below(1_000));
    let token = "x".repeat(random.between(1, 400) as usize);
    greeting::login(APPS[0].1, &user, "phone", &token)
}
