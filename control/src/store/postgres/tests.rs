//! The suite, on a real server, each test in a database of its own; and what PostgreSQL alone has.

use super::*;
use crate::error::Code;
use crate::server_url::ServerUrl;
use crate::store::server::tests::{self as faults, TestServer, database};
use crate::store::suite::{Fixture, store_suite};
use gpusher_proto::data::{Append, Channel, Push, Reserve};
use sqlx::{AssertSqlSafe, PgConnection};

impl TestServer for gpusher_testbed::Postgres {
    fn url(&self, database: &str) -> String {
        self.url(database)
    }

    fn execute(&self, sql: &str) {
        self.execute(sql);
    }

    async fn execute_in(&self, database: &str, sql: &str) {
        let mut connection = PgConnection::connect(&self.url(database)).await.unwrap();
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
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1")
            .bind(database)
            .execute(&mut connection)
            .await
            .unwrap();
    }

    fn open(
        options: ServerOptions,
        metrics: ServerMetrics,
    ) -> impl Future<Output = Result<Arc<dyn Store>>> + Send {
        open(options, metrics)
    }
}

fn server() -> &'static gpusher_testbed::Postgres {
    gpusher_testbed::postgres()
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
    faults::a_killed_server_is_missed_until_it_is_back(gpusher_testbed::Postgres::start()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_connections_lose_and_double_nothing() {
    faults::broken_connections_lose_and_double_nothing(server()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_given_up() {
    faults::a_server_that_stands_still_is_given_up(gpusher_testbed::Postgres::start()).await;
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
    let url = server().url("postgres").replace("postgres@", "nobody_here:hunter2@");
    let options = ServerOptions { url: ServerUrl::new(url), ..faults::options(String::new()) };
    let error = open(options, ServerMetrics::default()).await.err().unwrap();
    assert!(error.text.contains("refuses user or password"), "{error}");
    assert!(error.text.contains("nobody_here") && !error.text.contains("hunter2"), "{error}");
}

/// It takes nothing but TLS, and the only authority is the one that the URL names.
#[tokio::test]
async fn a_server_is_reached_over_tls_and_its_certificate_checked() {
    let server = gpusher_testbed::Postgres::start_with_tls();
    let root = server.certificate();
    let url = format!("{}?sslmode=verify-full&sslrootcert={root}", server.url("postgres"));
    let options = ServerOptions { url: ServerUrl::new(url), ..faults::options(String::new()) };
    let store = open(options, ServerMetrics::default()).await.unwrap();
    store.list_apps().await.unwrap();
    store.close().await;
}

fn entry(name: &str, id: u64) -> Append {
    let channel = Channel { kind: 3, app_id: 1000, name: name.into() };
    Append { channel: Some(channel), push: Some(Push { id, ..Push::default() }) }
}

/// Somebody else's transaction that has taken a number of every log, and is not over.
async fn take_numbers(name: &str) -> PgConnection {
    let mut connection = PgConnection::connect(&server().url(name)).await.unwrap();
    connection
        .execute(sqlx::raw_sql("BEGIN; UPDATE channels SET last_seq = last_seq + 1"))
        .await
        .unwrap();
    connection
}

/// Returns when so many calls wait for a lock.
async fn wait_for_waiters(name: &str, count: i64) {
    let mut connection = PgConnection::connect(&server().url("postgres")).await.unwrap();
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'",
        )
        .bind(name)
        .fetch_one(&mut connection)
        .await
        .unwrap();
        if waiting >= count {
            return;
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
    other.execute("COMMIT").await.unwrap();
    assert_eq!(later.await.unwrap().unwrap(), [3]);
    assert_eq!(live.await.unwrap().unwrap(), [3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_in_a_call_leaves_nothing_half_done() {
    let name = database(server());
    let store = faults::open(server(), &name).await;
    store.append(vec![entry("a", 1), entry("b", 1)]).await.unwrap();
    let other = take_numbers(&name).await;
    let batch = || vec![entry("new", 2), entry("b", 2)];
    let call = {
        let store = store.clone();
        tokio::spawn(async move { store.append(batch()).await })
    };
    wait_for_waiters(&name, 1).await;
    server().execute(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = '{name}' AND wait_event_type = 'Lock'"
    ));
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::Unavailable, "{error}");
    drop(other);
    let repeated = loop {
        match store.append(batch()).await {
            Err(error) if error.code == Code::Unavailable => {}
            result => break result.unwrap(),
        }
    };
    assert_eq!(repeated, [1, 2], "what broke off took no numbers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_beyond_the_connections_are_refused_and_counted() {
    let name = database(server());
    let mut options = faults::options(server().url(&name));
    (options.connections, options.call_timeout) = (1, Duration::from_secs(4));
    let metrics = ServerMetrics::default();
    let store = open(options, metrics.clone()).await.unwrap();
    store.append(vec![entry("a", 1)]).await.unwrap();
    let mut other = take_numbers(&name).await;
    let held = {
        let store = store.clone();
        tokio::spawn(async move { store.append(vec![entry("a", 2)]).await })
    };
    wait_for_waiters(&name, 1).await;
    let error = store.list_apps().await.unwrap_err();
    assert_eq!(error.code, Code::Overloaded, "{error}");
    assert!(error.text.contains("store.connections"), "{error}");
    assert_eq!(metrics.exhausted.get(), 1);
    other.execute("COMMIT").await.unwrap();
    assert!(held.await.unwrap().is_ok() || store.append(vec![entry("a", 2)]).await.is_ok());
}
