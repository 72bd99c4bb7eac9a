//! Who logs in where, and how patient it is.

/// What a client needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Gateways as host:port, tried in turn; at least one.
    pub gateways: Vec<String>,
    /// Number of the app.
    pub app_id: u32,
    /// 1 to 64 bytes.
    pub user: String,
    /// 0 to 64 bytes. A name makes the server remember what this device has received, and allows one connection at a time.
    pub device: String,
    /// From `POST /v1/token`; development servers take any.
    pub token: String,
    /// Takes large contents compressed.
    pub zlib: bool,
    /// For a connection and for the answer to the login.
    pub login_timeout_ms: u64,
    /// Bound of the first wait before a reconnect; doubled each time. The wait is anything up to the bound.
    pub reconnect_base_ms: u64,
    /// Largest bound.
    pub reconnect_max_ms: u64,
}

impl Config {
    /// Defaults for everything but who and where.
    pub fn new(gateway: impl Into<String>, app_id: u32, user: impl Into<String>) -> Self {
        Self {
            gateways: vec![gateway.into()],
            app_id,
            user: user.into(),
            device: String::new(),
            token: "development".into(),
            zlib: true,
            login_timeout_ms: 10_000,
            reconnect_base_ms: 500,
            reconnect_max_ms: 60_000,
        }
    }
}
