//! What a store on a server does when the server, or the way to it, fails: the same for every engine.

use super::*;
use crate::server_url::ServerUrl;
use gpusher_proto::gateway::ChannelKind;
use std::sync::Arc;

/// A server that tests may ill-treat, and the store on it.
pub(in crate::store) trait TestServer: Send + Sync + 'static {
    /// URL of a database, which need not exist.
    fn url(&self, database: &str) -> String;
    /// Runs SQL on the server, in no database of ours.
    fn execute(&self, sql: &str);
    /// Runs SQL in a database.
    fn execute_in(&self, database: &str, sql: &str) -> impl Future<Output = ()> + Send;
    fn kill(&self);
    fn start_again(&self);
    fn pause(&self);
    fn resume(&self);
    /// Breaks all connections to a database but its own.
    fn break_connections(&self, database: &str) -> impl Future<Output = ()> + Send;
    fn open(
        options: ServerOptions,
        metrics: ServerMetrics,
    ) -> impl Future<Output = Result<Arc<dyn Store>>> + Send;
}

/// A new database.
pub(in crate::store) fn database(server: &impl TestServer) -> String {
    let name = format!("t{:016x}", rand::random::<u64>());
    server.execute(&format!("CREATE DATABASE {name}"));
    name
}

pub(in crate::store) fn options(url: String) -> ServerOptions {
    let call_timeout = Duration::from_secs(40);
    ServerOptions { url: ServerUrl::new(url), connections: 4, call_timeout }
}

/// Opens a store in a database.
pub(in crate::store) async fn open<S: TestServer>(server: &S, database: &str) -> Arc<dyn Store> {
    S::open(options(server.url(database)), ServerMetrics::default()).await.unwrap()
}

fn topic() -> Channel {
    Channel { kind: ChannelKind::Topic as i32, app_id: 1000, name: "news".into() }
}

fn entries(id: u64) -> Vec<Append> {
    vec![Append { channel: Some(topic()), push: Some(Push { id, ..Push::default() }) }]
}

async fn ids(store: &dyn Store) -> Vec<u64> {
    let request = ReadRequest { channel: Some(topic()), ..ReadRequest::default() };
    let page = store.read(request).await.unwrap();
    page.messages.into_iter().map(|logged| logged.push.unwrap().id).collect()
}

/// Repeats what is `unavailable`; how often it was.
async fn persist<T, F: Future<Output = Result<T>>>(mut call: impl FnMut() -> F) -> (T, u32) {
    let mut repeats = 0;
    loop {
        match call().await {
            Err(error) if error.code == Code::Unavailable => repeats += 1,
            result => return (result.unwrap(), repeats),
        }
    }
}

pub(in crate::store) async fn a_killed_server_is_missed_until_it_is_back<S: TestServer>(server: S) {
    let name = database(&server);
    let store = open(&server, &name).await;
    let first = store.append(entries(1)).await.unwrap();
    server.kill();
    let error = store.append(entries(2)).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable, "{error}");
    // A process that starts meanwhile does not fail, and says why it does not serve.
    let early = open(&server, &name).await;
    let error = early.list_apps().await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable, "{error}");
    assert!(error.text.contains("refused"), "{error}");
    server.start_again();
    let (second, _) = persist(|| store.append(entries(2))).await;
    assert!(second > first);
    assert_eq!(store.append(entries(1)).await.unwrap(), first);
    assert_eq!(ids(&*early).await, [1, 2]);
}

pub(in crate::store) async fn a_server_that_stands_still_is_given_up<S: TestServer>(server: S) {
    let name = database(&server);
    let mut options = options(server.url(&name));
    options.call_timeout = Duration::from_secs(1);
    let metrics = ServerMetrics::default();
    let store = S::open(options, metrics.clone()).await.unwrap();
    persist(|| store.append(entries(1))).await;
    server.pause();
    let error = store.append(entries(2)).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable, "{error}");
    assert!(metrics.away.get() > 0);
    server.resume();
    persist(|| store.append(entries(2))).await;
    assert_eq!(ids(&*store).await, [1, 2]);
}

pub(in crate::store) async fn broken_connections_lose_and_double_nothing<S: TestServer>(
    server: &S,
) {
    const WRITERS: u64 = 4;
    const CALLS: u64 = 20;
    let name = database(server);
    let stores = [open(server, &name).await, open(server, &name).await];
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = stores[writer as usize % 2].clone();
            tokio::spawn(async move {
                let mut seqs = Vec::new();
                for id in (1 + writer..).step_by(WRITERS as usize).take(CALLS as usize) {
                    let (given, _) = persist(|| store.append(entries(id))).await;
                    let (again, _) = persist(|| store.append(entries(id))).await;
                    assert_eq!(given, again, "a repeat has its number");
                    seqs.extend(given);
                }
                seqs
            })
        })
        .collect();
    while writers.iter().any(|writer| !writer.is_finished()) {
        server.break_connections(&name).await;
    }
    let mut seqs = Vec::new();
    for writer in writers {
        let given = writer.await.unwrap();
        assert!(given.is_sorted(), "{given:?}");
        seqs.extend(given);
    }
    let mut found = persist(|| async { Ok(ids(&*open(server, &name).await).await) }).await.0;
    found.sort_unstable();
    assert_eq!(found, (1..=WRITERS * CALLS).collect::<Vec<_>>());
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len() as u64, WRITERS * CALLS);
}

pub(in crate::store) async fn a_newer_versions_tables_are_left_alone<S: TestServer>(server: &S) {
    let name = database(server);
    let store = open(server, &name).await;
    let future = "INSERT INTO _sqlx_migrations
             (version, description, success, checksum, execution_time)
         SELECT 9999, 'of the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    server.execute_in(&name, future).await;
    let metrics = ServerMetrics::default();
    let error = S::open(options(server.url(&name)), metrics).await.err().unwrap();
    assert!(error.text.contains("9999") && error.text.contains("newer version"), "{error}");
    store.close().await;
    assert_eq!(store.list_apps().await.unwrap_err().code, Code::Unavailable);
}

pub(in crate::store) async fn a_missing_database_is_named<S: TestServer>(server: &S) {
    let url = server.url("no_such_database");
    let error = S::open(options(url), ServerMetrics::default()).await.err().unwrap();
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.text.contains("create the database"), "{error}");
    assert!(error.text.contains("no_such_database"), "{error}");
}
