//! A process that appends from many callers is killed with SIGKILL, again and again: every entry that it had been told of is
//! in its log under its number, and numbers go on from there.
//!
//! The test runs itself as that process: with `STORE_FILE` set it appends until it is killed.

use gpusher_control::store::{Durability, SqliteOptions, SqliteStore, Store};
use gpusher_proto::data::{Append, Channel, Push, ReadRequest};
use gpusher_proto::gateway::ChannelKind;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const CALLERS: u64 = 8;
const KILLS: u64 = 3;
const ACKNOWLEDGED_PER_KILL: usize = 300;
/// Ids of a round's messages begin at its number times this.
const ROUND: u64 = 1 << 32;

#[tokio::test(flavor = "multi_thread")]
async fn store_survives_kill() {
    if let Ok(file) = std::env::var("STORE_FILE") {
        let round = std::env::var("STORE_ROUND").unwrap().parse().unwrap();
        append_until_killed(Path::new(&file), round).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    // By sequence, the message that was said to have it.
    let mut acknowledged = BTreeMap::new();
    for round in 1..=KILLS {
        let highest = acknowledged.keys().next_back().copied().unwrap_or(0);
        let fresh = run_and_kill(&file, round);
        assert!(fresh.keys().all(|seq| *seq > highest), "a number was given again");
        acknowledged.extend(fresh);
    }
    assert!(acknowledged.len() >= KILLS as usize * ACKNOWLEDGED_PER_KILL);
    check(&file, acknowledged).await;
}

async fn open(file: &Path) -> SqliteStore {
    // The weaker of the two is enough: the kernel goes on.
    let options = SqliteOptions { durability: Durability::Normal, ..SqliteOptions::new(file) };
    SqliteStore::open(options).await.unwrap()
}

fn channel() -> Channel {
    Channel { kind: ChannelKind::App as i32, app_id: 1000, name: String::new() }
}

async fn append_until_killed(file: &Path, round: u64) -> ! {
    let store = Arc::new(open(file).await);
    let callers = (0..CALLERS).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let id = round * ROUND + number * CALLERS + caller;
                let entry =
                    Append { channel: Some(channel()), push: Some(Push { id, ..Push::default() }) };
                let seq = store.append(vec![entry]).await.unwrap()[0];
                // One write call per line: a kill cannot leave half of it.
                std::io::stderr().write_all(format!("ack {seq} {id}\n").as_bytes()).unwrap();
            }
        })
    });
    futures_util::future::join_all(callers.collect::<Vec<_>>()).await;
    unreachable!("callers append for ever");
}

/// Returns what the child was told: messages by their sequence.
fn run_and_kill(file: &Path, round: u64) -> BTreeMap<u64, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["store_survives_kill", "--exact", "--nocapture"])
        .env("STORE_FILE", file)
        .env("STORE_ROUND", round.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut acknowledged = BTreeMap::new();
    let mut count = |line: String| {
        let Some(pair) = line.strip_prefix("ack ") else { return };
        let (seq, id) = pair.split_once(' ').unwrap();
        let earlier = acknowledged.insert(seq.parse().unwrap(), id.parse().unwrap());
        assert_eq!(earlier, None, "a number was given twice");
    };
    for _ in 0..ACKNOWLEDGED_PER_KILL {
        count(lines.next().expect("the child ended by itself").unwrap());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    lines.map_while(Result::ok).for_each(&mut count);
    acknowledged
}

async fn check(file: &Path, mut acknowledged: BTreeMap<u64, u64>) {
    let store = open(file).await;
    let mut after = 0;
    loop {
        let request = ReadRequest { channel: Some(channel()), after, ..ReadRequest::default() };
        let page = store.read(request).await.unwrap();
        for logged in page.messages {
            after = logged.seq;
            if let Some(id) = acknowledged.remove(&logged.seq) {
                assert_eq!(logged.push.unwrap().id, id, "at {}", logged.seq);
            }
        }
        if !page.more {
            break;
        }
    }
    assert!(acknowledged.is_empty(), "lost: {acknowledged:?}");
}
