//! PostgreSQL.

use crate::folder::Folder;
use crate::ports::free_address;
use crate::programs::{find_postgres, missing, run};
use crate::server::{Server, one_process};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A PostgreSQL server; its superuser is `postgres`, without a password.
#[derive(Debug)]
pub struct Postgres {
    at: SocketAddrV4,
    server: Server,
    folder: Folder,
}

impl Postgres {
    /// Makes a database and starts the server on it.
    ///
    /// # Panics
    /// If PostgreSQL is missing or does not start.
    pub fn start() -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST)
    }

    /// As [`Self::start`], but it takes TLS only, under a certificate for 127.0.0.1: [`Self::certificate`].
    ///
    /// # Panics
    /// Also if openssl is missing.
    pub fn start_with_tls() -> Self {
        Self::start_so(Ipv4Addr::LOCALHOST, true)
    }

    /// As [`Self::start`], on another address of this machine.
    pub fn start_on(host: Ipv4Addr) -> Self {
        Self::start_so(host, false)
    }

    fn start_so(host: Ipv4Addr, tls: bool) -> Self {
        let (folder, at) = (Folder::new("postgres"), free_address(host));
        let (host, port) = (at.ip().to_string(), at.port().to_string());
        let owner = owner(folder.path());
        let data = folder.file("data");
        let as_owner = |program: &str| {
            let mut command = Command::new(find_postgres(program));
            if let Some((user, group)) = owner {
                command.uid(user).gid(group);
            }
            command.current_dir(folder.path());
            command
        };
        let initdb =
            ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"];
        run(as_owner("initdb").args(["--pgdata", &data]).args(initdb));
        let mut command = as_owner("postgres");
        if tls {
            folder
                .write("data/pg_hba.conf", "local all all trust\nhostssl all all samenet trust\n");
            certify(&folder, as_owner("openssl"));
            let (certificate, key) = (folder.file(CERTIFICATE), folder.file(KEY));
            for setting in
                ["ssl=on", &format!("ssl_cert_file={certificate}"), &format!("ssl_key_file={key}")]
            {
                command.args(["-c", setting]);
            }
        } else {
            folder.append("data/pg_hba.conf", "host all all samenet trust\n");
        }
        command.args(["-D", &data, "-k", &folder.file("")]).args(["-p", &port]);
        // A kill of the process loses nothing without fsync; only the machine's end would.
        let listen = format!("listen_addresses={host}");
        for setting in [listen.as_str(), "fsync=off", "max_connections=200"] {
            command.args(["-c", setting]);
        }
        let is_ready = find_postgres("pg_isready");
        let ready = move || {
            let arguments = ["-q", "-h", &host, "-p", &port];
            Command::new(&is_ready)
                .args(arguments)
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        let server = Server::start("postgres", &folder, command, ready);
        Self { at, server, folder }
    }

    /// URL of a database by this name, which need not exist yet; `postgres` does.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@{}/{database}", self.at)
    }

    /// Its own certificate and that of its authority, where it takes TLS.
    pub fn certificate(&self) -> String {
        self.folder.file(CERTIFICATE)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.at.port()
    }

    /// Runs SQL in the database `postgres`, one statement for a transaction of its own each.
    ///
    /// # Panics
    /// If it fails.
    pub fn execute(&self, sql: &str) {
        let url = self.url("postgres");
        run(Command::new(find_postgres("psql")).args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            &url,
            "-c",
            sql,
        ]));
    }
}

one_process!(Postgres);

/// Signed by itself; no authority, or it could not be a server's.
const REQUEST: &str = "[req]\ndistinguished_name = name\nx509_extensions = extensions\nprompt = no\n\
    [name]\nCN = testbed\n[extensions]\nbasicConstraints = critical,CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

fn certify(folder: &Folder, mut openssl: Command) {
    folder.write("tls.cnf", REQUEST);
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args([
        "-nodes",
        "-days",
        "2",
        "-config",
        "tls.cnf",
        "-keyout",
        KEY,
        "-out",
        CERTIFICATE,
    ]);
    run(&mut openssl);
}

/// PostgreSQL refuses to run as root: then it runs as the account that its package made.
fn owner(folder: &Path) -> Option<(u32, u32)> {
    let metadata = std::fs::metadata(folder).expect("the folder was made");
    if metadata.uid() != 0 {
        return None;
    }
    let user = account("-u")?;
    let group = account("-g")?;
    chown(folder, Some(user), Some(group)).expect("root may give folders away");
    Some((user, group))
}

fn account(which: &str) -> Option<u32> {
    let output = Command::new("id").args([which, "postgres"]).output().expect("id starts");
    let number = String::from_utf8_lossy(&output.stdout).trim().parse().ok();
    number.or_else(|| missing("PostgreSQL (its account)"))
}
