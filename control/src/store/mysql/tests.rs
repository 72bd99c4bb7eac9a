//! The suite, on a real MariaDB, each test in a database of its own; and what MariaDB alone has.

use super::*;
use crate::error::Code;
use crate::server_url::ServerUrl;
use crate::store::server::tests::{self as faults, TestServer, database};
use crate::store::suite::{Fixture, store_suite};
use gpusher_proto::data::{Append, Channel, Push, ReadRequest, Reserve};
use sqlx::AssertSqlSafe;

impl TestServer for gpusher_testbed::MariaDb {
    fn url(&self, database: &str) -> String {
        self.url(database)
    }

    fn execute(&self, sql: &str) {
        self.execute(sql);
    }

    async fn execute_in(&self, database: &str, sql: &str) {
        let mut connection = MySqlConnection::connect(&self.url(database)).await.unwrap();
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
    }

    fn kill(&self) {
        self.kill();
    }

    fn start_again(&self) {
        self.start_again();
    }

    fn pause(&self) {
        self.pause();
    }

    fn resume(&self) {
        self.resume();
    }

    async fn break_connections(&self, database: &str) {
        let mut connection = MySqlConnection::connect(&self.url("mysql")).await.unwrap();
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE db = ?",
        )
        .bind(database)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        for id in ids {
            // It may have gone by itself.
            let _ = connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}")))).await;
        }
    }

    fn open(
        options: ServerOptions,
        metrics: ServerMetrics,
    ) -> impl Future<Output = Result<Arc<dyn Store>>> + Send {
        open(options, metrics)
    }
}

fn server() -> &'static gpusher_testbed::MariaDb {
    gpusher_testbed::mariadb()
}

struct Database(String);

async fn fresh() -> Database {
    Database(database(server()))
}

impl Fixture for Database {
    async fn open(&self) -> Arc<dyn Store> {
        faults::open(server(), &self.0).await
    }

    async fn open_several(&self, count: usize) -> Vec<Arc<dyn Store>> {
        futures_util::future::join_all((0..count).map(|_| self.open())).await
    }
}

store_suite!(fresh);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_missed_until_it_is_back() {
    faults::a_killed_server_is_missed_until_it_is_back(gpusher_testbed::MariaDb::start()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_lose_and_double_nothing() {
    faults::broken_connections_lose_and_double_nothing(server()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_given_up() {
    faults::a_server_that_stands_still_is_given_up(gpusher_testbed::MariaDb::start()).await;
}

#[tokio::test]
async fn a_newer_versions_tables_are_left_alone() {
    faults::a_newer_versions_tables_are_left_alone(server()).await;
}

#[tokio::test]
async fn a_missing_database_is_named() {
    faults::a_missing_database_is_named(server()).await;
}

#[tokio::test]
async fn a_refused_user_is_named_and_the_password_is_not() {
    let url = server().url("mysql").replace("root@", "nobody_here:hunter2@");
    let options = ServerOptions { url: ServerUrl::new(url), ..faults::options(String::new()) };
    let error = open(options, ServerMetrics::default()).await.err().unwrap();
    assert!(error.text.contains("refuses user or password"), "{error}");
    assert!(error.text.contains("nobody_here") && !error.text.contains("hunter2"), "{error}");
}

fn entry(name: &str, id: u64) -> Append {
    let channel = Channel { kind: 3, app_id: 1000, name: name.into() };
    Append { channel: Some(channel), push: Some(Push { id, ..Push::default() }) }
}

/// Somebody else's transaction that has taken a number of every log, and is not over.
async fn take_numbers(name: &str) -> MySqlConnection {
    let mut connection = MySqlConnection::connect(&server().url(name)).await.unwrap();
    connection.execute(sqlx::raw_sql("BEGIN")).await.unwrap();
    connection.execute(sqlx::raw_sql("UPDATE channels SET last_seq = last_seq + 1")).await.unwrap();
    connection
}

/// Returns when so many calls are at the lock of a log that somebody holds; their connections. (InnoDB's own list of waiters is not renewed while
/// it is being asked for.)
async fn wait_for_waiters(name: &str, count: usize) -> Vec<i64> {
    let mut connection = MySqlConnection::connect(&server().url("mysql")).await.unwrap();
    loop {
        let waiting: Vec<i64> = sqlx::query_scalar(
            "SELECT CAST(id AS SIGNED) FROM information_schema.processlist
             WHERE db = ? AND info LIKE 'INSERT INTO channels%'",
        )
        .bind(name)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        if waiting.len() >= count {
            return waiting;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_waits_for_the_one_before_it() {
    let name = database(server());
    let store = faults::open(server(), &name).await;
    assert_eq!(store.append(vec![entry("a", 1), entry("b", 1)]).await.unwrap(), [1, 1]);
    let mut other = take_numbers(&name).await;
    let channel = entry("a", 1).channel;
    let later = {
        let store = store.clone();
        tokio::spawn(async move { store.append(vec![entry("a", 2)]).await })
    };
    let live = {
        let (store, channel) = (store.clone(), entry("b", 1).channel);
        tokio::spawn(async move { store.reserve(vec![Reserve { channel, count: 5 }]).await })
    };
    wait_for_waiters(&name, 2).await;
    // The number that is not in the log yet is told to nobody.
    assert_eq!(store.heads(vec![channel.unwrap()]).await.unwrap()[0].last, 1);
    assert!(!later.is_finished() && !live.is_finished());
    other.execute(sqlx::raw_sql("COMMIT")).await.unwrap();
    assert_eq!(later.await.unwrap().unwrap(), [3]);
    assert_eq!(live.await.unwrap().unwrap(), [3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_in_a_call_leaves_nothing_half_done() {
    let name = database(server());
    let store = faults::open(server(), &name).await;
    store.append(vec![entry("a", 1), entry("b", 1)]).await.unwrap();
    let other = take_numbers(&name).await;
    let batch = || vec![entry("a", 2), entry("new", 2)];
    let call = {
        let store = store.clone();
        tokio::spawn(async move { store.append(batch()).await })
    };
    let waiting = wait_for_waiters(&name, 1).await;
    server().execute(&format!("KILL {}", waiting[0]));
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::Unavailable, "{error}");
    drop(other);
    let repeated = loop {
        match store.append(batch()).await {
            Err(error) if error.code == Code::Unavailable => {}
            result => break result.unwrap(),
        }
    };
    assert_eq!(repeated, [2, 1], "what broke off took no numbers");
}

/// Contents of one batch beyond what the server takes in a packet go in several.
#[tokio::test]
async fn a_batch_may_be_larger_than_a_packet() {
    let name = database(server());
    let store = faults::open(server(), &name).await;
    let large = |id: u64| {
        let mut entry = entry("a", id);
        let content = vec![id as u8; 1 << 20];
        entry.push.as_mut().unwrap().content = content.into();
        entry
    };
    let seqs = store.append((1..=20).map(large).collect()).await.unwrap();
    assert_eq!(seqs, (1..=20).collect::<Vec<_>>());
    let (mut after, mut found) = (0, Vec::new());
    loop {
        let channel = entry("a", 1).channel;
        let request = ReadRequest { channel, after, ..ReadRequest::default() };
        let page = store.read(request).await.unwrap();
        for logged in &page.messages {
            let push = logged.push.as_ref().unwrap();
            assert_eq!(*push, large(logged.seq).push.unwrap());
            found.push(push.id);
            after = logged.seq;
        }
        if !page.more {
            break;
        }
        assert!(page.messages.len() <= 4, "a page has 4 MiB");
    }
    assert_eq!(found, (1..=20).collect::<Vec<_>>());
    let error = store.append(vec![entry(&"n".repeat(300), 21)]).await.unwrap_err();
    assert_eq!(error.code, Code::Invalid, "{error}");
}
