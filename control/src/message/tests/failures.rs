//! What callers see when the role is away, or does not know them.

use super::*;
use crate::auth::Secret;
use gpusher_proto::data::{App, AppKey, RouteList};

fn secret(text: &str) -> Secret {
    Secret::new("the shared secret", text).unwrap()
}

fn connect(addr: SocketAddr, secret: Option<Secret>) -> RemoteStore {
    connect_to(&[addr], secret)
}

fn connect_to(addrs: &[SocketAddr], secret: Option<Secret>) -> RemoteStore {
    let urls = addrs.iter().map(|addr| format!("http://{addr}")).collect();
    let options = ConnectionOptions { secret, ..ConnectionOptions::new(urls) };
    RemoteStore::new(&Connection::new(options).unwrap())
}

#[tokio::test]
async fn a_secret_is_needed_where_one_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let server = MessageServer::bind(ANY_PORT, Some(secret("the right secret"))).unwrap();
    let role = Role::start(server, embedded(&folder).await);
    connect(role.addr, Some(secret("the right secret"))).epoch().await.unwrap();
    for wrong in [None, Some(secret("the wrong secret")), Some(secret("the right secret."))] {
        let error = connect(role.addr, wrong).epoch().await.unwrap_err();
        assert_eq!(error.code, Code::Denied, "{error}");
    }
    role.stop().await;
}

#[tokio::test]
async fn listening_beyond_loopback_needs_a_secret() {
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let error = MessageServer::bind(everywhere, None).err().unwrap();
    assert_eq!(error.code, Code::Invalid);
    assert!(error.text.contains("shared secret"), "{error}");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let first = MessageServer::bind(ANY_PORT, None).unwrap();
    let error = MessageServer::bind(first.local_addr(), None).err().unwrap();
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.text.contains(&first.local_addr().to_string()), "{error}");
}

#[tokio::test]
async fn a_role_that_is_away_can_be_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let addr = MessageServer::bind(ANY_PORT, None).unwrap().local_addr();
    let store = connect(addr, None);
    let error = store.epoch().await.unwrap_err();
    assert!(error.code.retry(), "{error:?}");

    let backends = embedded(&folder).await;
    for _ in 0..2 {
        let server = MessageServer::bind(addr, None).unwrap();
        let role = Role::start(server, backends.clone());
        store.epoch().await.unwrap();
        role.stop().await;
        let error = store.epoch().await.unwrap_err();
        assert!(error.code.retry(), "{error:?}");
    }
}

/// Two roles before the same store: whichever of them is away, calls find the other after one that failed.
#[tokio::test]
async fn of_two_roles_one_may_be_away() {
    let folder = tempfile::tempdir().unwrap();
    let backends = embedded(&folder).await;
    let mut roles = [start(backends.clone()), start(backends.clone())].map(Some);
    let addrs = roles.each_ref().map(|role| role.as_ref().unwrap().addr);
    let store = connect_to(&addrs, None);
    for away in [0, 1, 0, 1] {
        roles[away].take().unwrap().stop().await;
        if let Err(error) = store.epoch().await {
            assert!(error.code.retry(), "{error:?}");
        }
        for _ in 0..3 {
            store.epoch().await.unwrap();
        }
        let server = MessageServer::bind(addrs[away], None).unwrap();
        roles[away] = Some(Role::start(server, backends.clone()));
    }
    for role in roles.into_iter().flatten() {
        role.stop().await;
    }
    assert!(store.epoch().await.unwrap_err().code.retry());
}

/// On one thread, so that answers come in heaps: whoever asks is not mistaken for somebody who is attacked.
#[tokio::test]
async fn many_small_answers_come_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let role = start(embedded(&folder).await);
    let store = connect(role.addr, None);
    let asks = (0..CALLS_PER_CONNECTION_MAX).map(|_| store.epoch());
    for answer in futures_util::future::join_all(asks).await {
        answer.unwrap();
    }
    role.stop().await;
}

#[tokio::test]
async fn errors_keep_their_kind_and_text() {
    let folder = tempfile::tempdir().unwrap();
    let role = start(embedded(&folder).await);
    let app = App { id: 1000, tag: "other".into(), ..App::default() };
    let error = connect(role.addr, None).create_app(app).await.unwrap_err();
    assert_eq!(error.code, Code::AlreadyExists);
    assert!(error.text.contains("taken"), "{error}");
    role.stop().await;
}

#[tokio::test]
async fn a_silent_role_is_given_up() {
    // The kernel takes the connection, nobody answers on it.
    let silent = std::net::TcpListener::bind(ANY_PORT).unwrap();
    let options = ConnectionOptions {
        call_timeout: Duration::from_millis(50),
        ..ConnectionOptions::new(vec![format!("http://{}", silent.local_addr().unwrap())])
    };
    let store = RemoteStore::new(&Connection::new(options).unwrap());
    let error = store.epoch().await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable, "{error:?}");
}

#[test]
fn calls_are_cut_by_bytes_and_keep_their_order() {
    let items = |count| (0..count).map(|id| AppKey { id }).collect::<Vec<_>>();
    assert_eq!(calls(items(5)), [items(5)]);
    assert_eq!(calls(items(0)), [vec![]]);
    let big = |mib: usize| App { name: "x".repeat(mib << 20), ..App::default() };
    let sizes = [1, 2, 3, 9, 1, 1];
    let cut = calls(sizes.map(big).into());
    let cut: Vec<Vec<usize>> =
        cut.iter().map(|call| call.iter().map(|app| app.name.len() >> 20).collect()).collect();
    assert_eq!(cut, [vec![1, 2], vec![3], vec![9], vec![1, 1]]);
    assert_eq!(calls(vec![RouteList::default()]).len(), 1);
}
