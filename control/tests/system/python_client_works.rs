//! Set-up: development mode, and the single-file client in Python's standard library, written from `proto/WIRE.md` alone. What must
//! hold: it logs in, gets what was kept and what is live, over both versions.

use crate::support::{PATIENCE, System};
use serde_json::json;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/python/gpusher_client.py");

fn listen(system: &System, more: &[&str]) -> Child {
    Command::new("python3")
        .arg(CLIENT)
        .args(["--gateway", &system.clients().to_string(), "--user", "snake"])
        .args(more)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python3 is installed")
}

async fn expect_line(client: &mut Child, wanted: &str) {
    let mut lines = BufReader::new(client.stdout.as_mut().expect("piped")).lines();
    let found = async {
        while let Some(line) = lines.next_line().await.expect("text") {
            if line.contains(wanted) {
                return;
            }
        }
        panic!("the client ended without {wanted}");
    };
    timeout(PATIENCE, found).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_both_versions() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    for more in [&[][..], &["--v0"]] {
        let content = format!("kept {more:?}");
        system
            .push(json!({"type": 1, "uuid": "snake", "content": content, "offlinePush": true}))
            .await;
        let mut client = listen(&system, more);
        expect_line(&mut client, &content).await;
        system.push(json!({"type": 1, "uuid": "snake", "content": "live"})).await;
        expect_line(&mut client, "live").await;
    }
}
