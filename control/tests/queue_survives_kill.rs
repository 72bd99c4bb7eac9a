//! A process that publishes from many callers is killed with SIGKILL, again and again: every record it had acknowledged is
//! there, in order, once.
//!
//! The test runs itself as that process: with `QUEUE_FILE` set it publishes until it is killed.

use gpusher_control::metrics::QueueMetrics;
use gpusher_control::queue::Queue;
use gpusher_control::queue::local::{LocalOptions, LocalQueue};
use gpusher_control::store::sqlite::Durability;
use gpusher_proto::data::Record;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const CALLERS: usize = 8;
const KILLS: usize = 3;
const ACKNOWLEDGED_PER_KILL: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn queue_survives_kill() {
    if let Ok(file) = std::env::var("QUEUE_FILE") {
        publish_until_killed(Path::new(&file), std::env::var("QUEUE_ROUND").unwrap()).await;
    }
    for durability in [Durability::Full, Durability::Normal] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("queue.db");
        let mut acknowledged = BTreeMap::new();
        for round in 0..KILLS {
            run_and_kill(&file, durability, round, &mut acknowledged);
        }
        check(&file, &acknowledged).await;
    }
}

async fn open(file: &Path, durability: Durability) -> LocalQueue {
    let options = LocalOptions { durability, ..LocalOptions::default() };
    LocalQueue::open(file, options, QueueMetrics::register(&mut Registry::default())).await.unwrap()
}

/// Every caller has a key of its own and counts in the offset's stead: `round/caller:number`.
async fn publish_until_killed(file: &Path, round: String) -> ! {
    let durability = match std::env::var("QUEUE_DURABILITY").unwrap().as_str() {
        "Full" => Durability::Full,
        _ => Durability::Normal,
    };
    let queue = Arc::new(open(file, durability).await);
    let callers = (0..CALLERS).map(|caller| {
        let (queue, round) = (queue.clone(), round.clone());
        tokio::spawn(async move {
            for number in 0.. {
                let key = format!("{round}/{caller}:{number}");
                queue
                    .publish(vec![Record { key: key.clone(), ..Record::default() }])
                    .await
                    .unwrap();
                // One write call per line: a kill cannot leave half of it.
                std::io::stderr().write_all(format!("ack {key}\n").as_bytes()).unwrap();
            }
        })
    });
    futures_util::future::join_all(callers.collect::<Vec<_>>()).await;
    unreachable!("callers publish for ever");
}

/// Adds the number of records acknowledged per caller.
fn run_and_kill(
    file: &Path,
    durability: Durability,
    round: usize,
    into: &mut BTreeMap<String, usize>,
) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["queue_survives_kill", "--exact", "--nocapture"])
        .env("QUEUE_FILE", file)
        .env("QUEUE_DURABILITY", format!("{durability:?}"))
        .env("QUEUE_ROUND", round.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut count = |line: String| {
        let Some(key) = line.strip_prefix("ack ") else { return };
        let (caller, number) = key.split_once(':').unwrap();
        let number: usize = number.parse().unwrap();
        let before = into.insert(caller.to_owned(), number + 1);
        assert_eq!(before.unwrap_or(0), number);
    };
    for _ in 0..ACKNOWLEDGED_PER_KILL {
        count(lines.next().expect("the child ended by itself").unwrap());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    lines.map_while(Result::ok).for_each(&mut count);
}

async fn check(file: &Path, acknowledged: &BTreeMap<String, usize>) {
    let queue = open(file, Durability::Full).await;
    let mut consumer = queue.consume("logic").await.unwrap();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut left = queue.depth("logic").await.unwrap() as usize;
    let mut last = 0;
    while left > 0 {
        for record in consumer.next(left).await.unwrap() {
            assert_eq!(record.offset, last + 1, "offsets have no gap");
            last = record.offset;
            let (caller, number) = record.key.split_once(':').unwrap();
            let next = found.entry(caller.to_owned()).or_default();
            assert_eq!(number.parse::<usize>().unwrap(), *next, "order of {caller}");
            *next += 1;
            left -= 1;
        }
    }
    assert_eq!(acknowledged.len(), KILLS * CALLERS);
    for (caller, count) in acknowledged {
        assert!(found[caller] >= *count, "{caller}: {count} acknowledged, {} there", found[caller]);
    }
}
