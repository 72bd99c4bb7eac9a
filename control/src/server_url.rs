//! URLs of servers, which may hold a password: nothing shows it.

use std::fmt;

/// The URL of a server. What it displays, in logs and in errors, is without password and parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

impl ServerUrl {
    /// A URL as the operator wrote it.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// With the password in it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return f.write_str(self.0.split(':').next().unwrap_or_default());
        };
        // The last @ there is: a password may hold anything, also what ought to be encoded.
        let (login, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        let user = login.split(':').next().unwrap_or_default();
        let at = if login.is_empty() { "" } else { "@" };
        let place = place.split(['?', '#']).next().unwrap_or_default();
        write!(f, "{scheme}://{user}{at}{place}")
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("postgres://ann:hunter2@db:5432/push", "postgres://ann@db:5432/push"),
            ("postgres://ann:a/b?c@d#e@db/push?password=hunter2", "postgres://ann@db/push"),
            ("mysql://db/push?password=hunter2", "mysql://db/push"),
            ("mysql://:hunter2@db/push", "mysql://@db/push"),
            ("redis:hunter2", "redis"),
        ] {
            let url = ServerUrl::new(url);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("{shown:?}"));
        }
    }
}
