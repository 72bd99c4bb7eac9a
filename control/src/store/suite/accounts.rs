//! Apps and users.

use super::*;

pub async fn begins_with_the_default_app(fixture: impl Fixture) {
    let store = fixture.open().await;
    let apps = store.list_apps().await.unwrap();
    assert_eq!(apps.len(), 1);
    assert_eq!((apps[0].id, apps[0].tag.as_str()), (1000, "app_gpusher"));
}

fn app(id: u32, tag: &str) -> App {
    App { id, tag: tag.into(), name: "a name".into(), created_at_ms: NOON_MS }
}

pub async fn apps_are_created_listed_and_removed(fixture: impl Fixture) {
    let store = fixture.open().await;
    let chosen = store.create_app(app(0, "chosen")).await.unwrap();
    assert!(chosen.id > 1000);
    let named = store.create_app(app(7, "named")).await.unwrap();
    assert_eq!(named, app(7, "named"));
    for taken in [app(0, "named"), app(7, "other"), app(1000, "app_gpusher")] {
        assert_eq!(store.create_app(taken).await.unwrap_err().code, Code::AlreadyExists);
    }
    assert_eq!(store.create_app(app(8, "")).await.unwrap_err().code, Code::Invalid);
    let ids: Vec<_> = store.list_apps().await.unwrap().iter().map(|app| app.id).collect();
    assert_eq!(ids, [7, 1000, chosen.id]);
    assert!(store.delete_app(7).await.unwrap());
    assert!(!store.delete_app(7).await.unwrap());
    let ids: Vec<_> = store.list_apps().await.unwrap().iter().map(|app| app.id).collect();
    assert_eq!(ids, [1000, chosen.id]);
}

pub async fn an_app_id_is_given_once(fixture: impl Fixture) {
    let store = fixture.open().await;
    let first = store.create_app(app(0, "first")).await.unwrap();
    assert!(store.delete_app(first.id).await.unwrap());
    let again = store.create_app(app(first.id, "again")).await.unwrap_err();
    assert_eq!(again.code, Code::AlreadyExists);
    let second = store.create_app(app(0, "first")).await.unwrap();
    assert!(second.id > first.id);
}

fn user(uuid: &str, username: &str) -> User {
    User {
        uuid: uuid.into(),
        username: username.into(),
        password_hash: "$argon2id$first".into(),
        user_id: 0,
        phone: "+49 30 1".into(),
        available: true,
        created_at_ms: NOON_MS,
    }
}

pub async fn users_are_created_changed_listed_and_removed(fixture: impl Fixture) {
    let store = fixture.open().await;
    let ada = store.create_user(user("u-ada", "ada")).await.unwrap();
    let bob = store.create_user(user("u-bob", "bob")).await.unwrap();
    assert!(ada.user_id != 0 && bob.user_id != 0 && ada.user_id != bob.user_id);
    assert_eq!(store.get_user("u-ada").await.unwrap(), Some(ada.clone()));
    assert_eq!(store.get_user("u-eve").await.unwrap(), None);

    let changed = User { phone: "+49 30 2".into(), available: false, ..ada.clone() };
    let unchanged_hash = User { password_hash: String::new(), ..changed.clone() };
    assert!(store.update_user(unchanged_hash).await.unwrap());
    assert_eq!(store.get_user("u-ada").await.unwrap(), Some(changed.clone()));
    let rehashed = User { password_hash: "$argon2id$second".into(), ..changed };
    assert!(store.update_user(rehashed.clone()).await.unwrap());
    assert_eq!(store.get_user("u-ada").await.unwrap(), Some(rehashed.clone()));
    assert!(!store.update_user(user("u-eve", "eve")).await.unwrap());

    assert_eq!(store.list_users("", 1).await.unwrap(), [rehashed]);
    assert_eq!(store.list_users("u-ada", 10).await.unwrap(), [bob]);
    assert!(store.delete_user("u-ada").await.unwrap());
    assert!(!store.delete_user("u-ada").await.unwrap());
    assert_eq!(store.get_user("u-ada").await.unwrap(), None);
}

pub async fn user_names_are_unique(fixture: impl Fixture) {
    let store = fixture.open().await;
    store.create_user(user("u-ada", "ada")).await.unwrap();
    store.create_user(user("u-bob", "bob")).await.unwrap();
    for taken in [user("u-ada", "other"), user("u-other", "ada")] {
        assert_eq!(store.create_user(taken).await.unwrap_err().code, Code::AlreadyExists);
    }
    let renamed = store.update_user(user("u-bob", "ada")).await.unwrap_err();
    assert_eq!(renamed.code, Code::AlreadyExists);
    assert_eq!(store.get_user("u-bob").await.unwrap().unwrap().username, "bob");
    assert_eq!(store.create_user(user("", "x")).await.unwrap_err().code, Code::Invalid);
}
