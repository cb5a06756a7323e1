//! An origin, a gateway and a way to ask it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_wapbridge");

/// A running gateway, its configuration and its log.
pub(crate) struct Gateway {
    process: Child,
    log: mpsc::Receiver<String>,
    directory: PathBuf,
    pub(crate) address: String,
    /// Where it listens to RADIUS accounting, if it does.
    pub(crate) accounting: Option<String>,
    /// Where push initiators reach it, if they do.
    pub(crate) pushes: Option<String>,
    /// Of the admin interface, if the configuration has one.
    pub(crate) admin: String,
}

impl Gateway {
    /// Starts one in a directory of its own, with this configuration and authority.
    pub(crate) fn start(name: &str, configuration: &str, authority: &str) -> Self {
        Self::start_with(name, configuration, authority, &[])
    }

    /// The same with more files beside the configuration.
    pub(crate) fn start_with(
        name: &str,
        configuration: &str,
        authority: &str,
        files: &[(&str, &str)],
    ) -> Self {
        let directory =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("wapbridge.toml"), configuration).unwrap();
        std::fs::write(directory.join("ca.pem"), authority).unwrap();
        for (name, text) in files {
            std::fs::write(directory.join(name), text).unwrap();
        }
        let (process, log) = run(&directory);
        let mut gateway = Self {
            process,
            log,
            directory,
            address: String::new(),
            accounting: None,
            pushes: None,
            admin: String::new(),
        };
        gateway.is_ready();
        gateway
    }

    /// Kills the gateway and starts it again, without its state.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Kills the gateway (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts the gateway that was killed.
    pub(crate) fn start_again(&mut self) {
        (self.process, self.log) = run(&self.directory);
        self.is_ready();
    }

    fn is_ready(&mut self) {
        // Every address it names comes before it is ready.
        loop {
            let line = self.says("");
            let named = || line.split("address=").nth(1).unwrap().to_owned();
            if line.contains("admin: ") {
                self.admin = named();
            } else if line.contains("listening for WSP over WTP") {
                self.address = named();
            } else if line.contains("listening for RADIUS accounting") {
                self.accounting = Some(named());
            } else if line.contains("listening for push initiators") {
                self.pushes = Some(named());
            } else if line.ends_with(" ready") {
                return;
            }
        }
    }

    /// Waits for a line of the log.
    pub(crate) fn says(&self, words: &str) -> String {
        loop {
            let line = self.log.recv_timeout(Duration::from_secs(30)).expect(words);
            if line.contains(words) {
                return line;
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.join(name), text).unwrap();
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn hang_up(&self) {
        self.signal("HUP");
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// The handset's result: the body, or the status on standard error.
    pub(crate) fn get(&self) -> String {
        self.get_from("http://sync.example/", &[])
    }

    /// The same for another URI, with header fields.
    pub(crate) fn get_from(&self, uri: &str, fields: &[&str]) -> String {
        let fields = fields.iter().flat_map(|field| ["--header", field]);
        let output = Command::new(PROGRAM)
            .args(["get", "--timeout", "20", "--gateway", &self.address])
            .args(fields)
            .arg(uri)
            .output()
            .unwrap();
        if output.status.success() {
            return String::from_utf8(output.stdout).unwrap();
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        said.split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn run(directory: &Path) -> (Child, mpsc::Receiver<String>) {
    let mut process = Command::new(PROGRAM)
        .args(["serve", "--config"])
        .arg(directory.join("wapbridge.toml"))
        .env("NO_COLOR", "1")
        .env_remove("RUST_LOG")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (tell, log) = mpsc::channel();
    let stderr = BufReader::new(process.stderr.take().unwrap());
    std::thread::spawn(move || {
        for line in stderr.lines() {
            let _ = tell.send(line.unwrap());
        }
    });
    (process, log)
}

/// One route to the origin at `port`, listening at the gateway's `address`.
pub(crate) fn configuration(address: &str, port: u16) -> String {
    format!(
        "[listen]\nconnection_mode = \"{address}\"\nconnectionless = []\n[admin]\nlisten = []\n\
         [[route]]\nmatch = \"http://sync.example/\"\nupstream = \"https://localhost:{port}/\"\n\
         [tls]\nca_file = \"ca.pem\"\n"
    )
}
