//! The built program, run to its end or kept running.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::support::certificate::ca_file;

/// How a run ended.
pub(crate) struct Output {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Output {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.status, Some(0), "{}\n{}", self.stderr, self.lossy());
        self
    }

    #[track_caller]
    pub(crate) fn fails(self) -> Self {
        assert_eq!(self.status, Some(1), "{}\n{}", self.stderr, self.lossy());
        // A log file must have no colours.
        assert!(!self.stderr.contains('\x1b'), "{:?}", self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} in {}", self.stderr);
        }
        self
    }

    fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wapbridge"));
    for name in [
        "RUST_LOG",
        "WAPBRIDGE_CONFIG",
        "WAPBRIDGE_GATEWAY",
        "NO_COLOR",
        "RUST_BACKTRACE",
        "WAPBRIDGE_KEYLOG",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_SERVICE_NAME",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs it without blocking the test's runtime, which serves the origin.
pub(crate) fn spawn(directory: &Path, arguments: &[&str], input: &[u8]) -> JoinHandle<Output> {
    let mut command = command();
    command
        .current_dir(directory)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let input = input.to_vec();
    spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        // A program that does not read its input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(&input);
        let output = child.wait_with_output().unwrap();
        Output {
            status: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    })
}

pub(crate) async fn run(arguments: &[&str]) -> Output {
    run_in(Path::new(env!("CARGO_MANIFEST_DIR")), arguments).await
}

pub(crate) async fn run_in(directory: &Path, arguments: &[&str]) -> Output {
    spawn(directory, arguments, b"").await.unwrap()
}

/// A gateway that runs until it is dropped.
pub(crate) struct Gateway {
    child: Option<Child>,
    lines: watch::Sender<Vec<String>>,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) air: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// A configuration on ports of the system's choice, with one route to `upstream`.
pub(crate) fn configuration(upstream: &str, more: &str) -> String {
    format!(
        "[listen]\nconnection_mode = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [[route]]\nmatch = \"http://sync.example.com/\"\nupstream = \"{upstream}\"\n\
         [tls]\nca_file = \"{}\"\n{more}",
        ca_file().display()
    )
}

impl Gateway {
    pub(crate) async fn start(configuration: &str) -> Self {
        Self::start_with(configuration, &[]).await
    }

    /// The same with these variables in its environment.
    pub(crate) async fn start_with(configuration: &str, environment: &[(&str, &Path)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("wapbridge.toml"), configuration).unwrap();
        let mut child = command()
            .current_dir(&directory)
            .arg("serve")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = watch::Sender::new(Vec::new());
        let heard = lines.clone();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                heard.send_modify(|lines| lines.push(line));
            }
        });
        let mut gateway = Self {
            child: Some(child),
            lines,
            directory,
            air: ([0, 0, 0, 0], 0).into(),
            admin: ([0, 0, 0, 0], 0).into(),
        };
        gateway.line(" ready").await;
        gateway.air = address(&gateway.line("listening for WSP over WTP").await);
        gateway.admin = address(&gateway.line("admin: ").await);
        gateway
    }

    /// Waits for a line of its log.
    pub(crate) async fn line(&self, words: &str) -> String {
        let mut lines = self.lines.subscribe();
        let has = |line: &&String| line.contains(words);
        let found = lines.wait_for(|lines| lines.iter().any(|line| has(&line)));
        let found = tokio::time::timeout(Duration::from_secs(30), found).await;
        match found {
            Ok(lines) => lines.unwrap().iter().find(has).unwrap().clone(),
            Err(_) => panic!("no {words:?} in {:#?}", self.lines.borrow()),
        }
    }

    pub(crate) fn log(&self) -> String {
        self.lines.borrow().join("\n")
    }

    /// `--gateway` and the address.
    pub(crate) fn option(&self) -> String {
        format!("--gateway={}", self.air)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {pid}")])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        spawn_blocking(move || child.wait().unwrap()).await.unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

fn address(line: &str) -> SocketAddr {
    let (_, address) = line.split_once("address=").unwrap();
    let end = address.find(' ').unwrap_or(address.len());
    address[..end].parse().unwrap()
}

/// A file of the recorded sessions.
pub(crate) fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/syncml-sessions")
        .join(name)
}
