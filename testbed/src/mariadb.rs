//! MariaDB.

use crate::folder::Folder;
use crate::ports::free_address;
use crate::probe::listens;
use crate::programs::{find, run};
use crate::server::{Server, one_process};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::{Command, Stdio};

/// A MariaDB server; its user `root` has no password.
#[derive(Debug)]
pub struct MariaDb {
    at: SocketAddrV4,
    server: Server,
    folder: Folder,
}

impl MariaDb {
    /// Makes the system tables and starts the server on them.
    ///
    /// # Panics
    /// If MariaDB is missing or does not start.
    pub fn start() -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST)
    }

    /// As [`Self::start`], on another address of this machine.
    pub fn start_on(host: Ipv4Addr) -> Self {
        let (folder, at) = (Folder::new("mariadb"), free_address(host));
        let data = format!("--datadir={}", folder.file("data"));
        let user = format!("--user={}", whoami());
        let install =
            ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"];
        run(Command::new(find("mariadb-install-db")).args(install).args([&data, &user]));
        let socket = folder.file("socket");
        let mut command = Command::new(find("mariadbd"));
        command.args([
            "--no-defaults",
            &data,
            &user,
            &format!("--port={}", at.port()),
            &format!("--socket={socket}"),
            // A server that starts removes the temporary tables of others from the folder they share.
            &format!("--tmpdir={}", folder.file("")),
        ]);
        command.args([
            &format!("--bind-address={host}"),
            "--skip-name-resolve",
            "--max-connections=200",
        ]);
        // A kill of the process loses nothing without syncing; only the machine's end would.
        command.args(["--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=64M"]);
        command.args(["--performance-schema=OFF", "--character-set-server=utf8mb4"]);
        let admin = find("mariadb-admin");
        let ready = move || {
            let ping = ["--no-defaults", "--user=root", &format!("--socket={socket}"), "ping"];
            let answer = Command::new(&admin)
                .args(ping)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            listens(at) && answer.is_ok_and(|status| status.success())
        };
        let server = Server::start("mariadb", &folder, command, ready);
        Self { at, server, folder }
    }

    /// URL of a database by this name, which need not exist yet; `mysql` does.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://root@{}/{database}", self.at)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.at.port()
    }

    /// Runs SQL as root.
    ///
    /// # Panics
    /// If it fails.
    pub fn execute(&self, sql: &str) {
        let socket = format!("--socket={}", self.folder.file("socket"));
        run(Command::new(find("mariadb")).args([
            "--no-defaults",
            "--user=root",
            &socket,
            "-e",
            sql,
        ]));
    }
}

one_process!(MariaDb);

fn whoami() -> String {
    let output = Command::new("id").arg("-un").output().expect("id starts");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
