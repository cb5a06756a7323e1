//! A stand-in for the service manager: it binds and holds the sockets, starts the gateway with
//! them, and receives its notifications.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::gateway::PROGRAM;
use super::now;
use crate::support::certificate::ca_file;

/// State of a service manager.
pub(crate) struct Manager {
    directory: tempfile::TempDir,
    told: UnixDatagram,
    /// The sockets for the gateway: two at most, which arrive as standard input and output.
    pub(crate) sockets: Vec<UdpSocket>,
}

impl Manager {
    pub(crate) fn new(configuration: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let told = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        told.set_read_timeout(Some(PATIENCE)).unwrap();
        let manager = Self {
            directory,
            told,
            sockets: Vec::new(),
        };
        manager.write(configuration);
        manager
    }

    pub(crate) fn write(&self, configuration: &str) {
        std::fs::write(self.file(), configuration).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("wapbridge.toml")
    }

    /// Starts a gateway, as the service manager would: same process, same sockets.
    pub(crate) fn start(&self) -> Process {
        self.start_with(&[])
    }

    /// The same with another program between.
    pub(crate) fn start_with(&self, between: &[&str]) -> Process {
        let mut command = Command::new("sh");
        let stdio = |socket: &UdpSocket| Stdio::from(OwnedFd::from(socket.try_clone().unwrap()));
        let script = match self.sockets.as_slice() {
            [] => "exec \"$@\"",
            [one] => {
                command.stdin(stdio(one));
                "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\""
            }
            [one, two] => {
                command.stdin(stdio(one)).stdout(stdio(two));
                "exec 3<&0 4>&1 0</dev/null 1>/dev/null; export LISTEN_PID=$$ LISTEN_FDS=2; exec \"$@\""
            }
            more => panic!("{} sockets", more.len()),
        };
        command
            .args(["-c", script, "sh"])
            .args(between)
            .args([PROGRAM, "serve", "--config"])
            .arg(self.file())
            .env("NOTIFY_SOCKET", self.directory.path().join("notify"))
            .env("WATCHDOG_USEC", "10000000")
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG");
        Process::spawn(command)
    }

    /// Waits for a notification with these words, and returns it.
    pub(crate) fn hears(&self, words: &str) -> String {
        let until = now() + PATIENCE;
        let mut buffer = [0; 4096];
        while now() < until {
            let len = self.told.recv(&mut buffer).expect(words);
            let told = String::from_utf8(buffer[..len].to_vec()).unwrap();
            if told.contains(words) {
                return told;
            }
        }
        panic!("never told {words}");
    }
}

/// A running gateway.
pub(crate) struct Process {
    child: Child,
    log: mpsc::Receiver<String>,
}

impl Process {
    fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (tell, log) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Self { child, log }
    }

    /// Waits for a line of its log.
    pub(crate) fn says(&self, words: &str) -> String {
        loop {
            let line = self.log.recv_timeout(PATIENCE).expect(words);
            if line.contains(words) {
                return line;
            }
        }
    }

    /// The address in a line of its log.
    pub(crate) fn address(&self, words: &str) -> SocketAddr {
        let line = self.says(words);
        let address = line.split("address=").nth(1).unwrap();
        address.split(' ').next().unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let until = now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The rest of its log, once it has ended.
    pub(crate) fn last_words(&mut self) -> String {
        let lines: Vec<String> = self.log.iter().collect();
        lines.join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One route to `upstream`; [listen] is `listen`.
pub(crate) fn configuration(listen: &str, upstream: &str, more: &str) -> String {
    format!(
        "[listen]\n{listen}\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [[route]]\nmatch = \"http://sync.example/\"\nupstream = \"{upstream}\"\n\
         [tls]\nca_file = \"{}\"\n{more}",
        ca_file().display()
    )
}

const PATIENCE: Duration = Duration::from_secs(30);
